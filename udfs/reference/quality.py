"""Plain twin of `udfs.quality`: Gopher's quality signals, word for word."""

from __future__ import annotations

from collections.abc import Collection

from udfs.reference.characters import is_letter, is_punctuation, lower_cased
from udfs.reference.tokens import split_words


def ratio(numerator: int, divisor: int) -> float:
    """Return a quotient, 0 where the divisor is 0."""
    return numerator / divisor if divisor else 0.0


def bare(word: str) -> str:
    """Return a word lower-cased and stripped of leading and trailing punctuation and symbols."""
    word = lower_cased(word)
    while word and is_punctuation(word[0]):
        word = word[1:]
    while word and is_punctuation(word[-1]):
        word = word[:-1]
    return word


def quality_signals(text: str, stop_words: Collection[str] | None) -> dict[str, float | int | None]:
    """Return the word signals of a text; `stop_word_count` is None without a list."""
    words = split_words(text)
    present = {bare(word) for word in words}
    return {
        "word_count": len(words),
        "mean_word_length": ratio(sum(map(len, words)), len(words)),
        "hash_word_ratio": ratio(text.count("#"), len(words)),
        "ellipsis_word_ratio": ratio(text.count("...") + text.count("…"), len(words)),
        "alpha_word_fraction": ratio(sum(any(map(is_letter, word)) for word in words), len(words)),
        "stop_word_count": None if stop_words is None else len({bare(word) for word in stop_words} & present - {""}),
    }
