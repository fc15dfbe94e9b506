"""Plain twin of `udfs.repetition`: repeated lines, paragraphs and n-grams by counting strings."""

from __future__ import annotations

from collections import Counter

from udfs.reference.lines import split_lines, split_paragraphs
from udfs.reference.quality import ratio
from udfs.reference.tokens import split_words


def repeats(parts: list[str]) -> tuple[float, float]:
    """Return (repeats / parts, characters in repeats / characters in parts); the first copy is no repeat."""
    seen: set[str] = set()
    repeated = []
    for part in parts:
        if part in seen:
            repeated.append(part)
        seen.add(part)
    return ratio(len(repeated), len(parts)), ratio(sum(map(len, repeated)), sum(map(len, parts)))


def covered_chars(words: list[str], starts: list[int], n: int) -> int:
    """Return the word characters in the n-grams that begin at the given words, each counted once."""
    covered = {position for start in starts for position in range(start, start + n)}
    return sum(len(words[position]) for position in covered)


def top_ngram_chars(words: list[str], n: int) -> int:
    """Return the characters covered by the most frequent n-gram that occurs twice; of equals, of the widest cover."""
    places = _places(words, n)
    most = max(map(len, places.values()), default=0)
    if most < 2:
        return 0
    return max(covered_chars(words, starts, n) for starts in places.values() if len(starts) == most)


def duplicate_ngram_chars(words: list[str], n: int) -> int:
    """Return the characters covered by the union of all n-grams that occur at least twice."""
    places = _places(words, n)
    return covered_chars(words, [start for starts in places.values() if len(starts) > 1 for start in starts], n)


def _places(words: list[str], n: int) -> dict[tuple[str, ...], list[int]]:
    grams = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
    often = {gram for gram, count in Counter(grams).items() if count > 1}
    places: dict[tuple[str, ...], list[int]] = {}
    for start, gram in enumerate(grams):
        if gram in often:
            places.setdefault(gram, []).append(start)
    return places


def repetition_signals(text: str) -> dict[str, float | int | None]:
    """Return Gopher's repetition signals of a text."""
    words = split_words(text)
    word_chars = sum(map(len, words))
    line_fraction, line_char_fraction = repeats(split_lines(text))
    paragraph_fraction, paragraph_char_fraction = repeats(split_paragraphs(text))
    return {
        "duplicate_line_fraction": line_fraction,
        "duplicate_paragraph_fraction": paragraph_fraction,
        "duplicate_line_char_fraction": line_char_fraction,
        "duplicate_paragraph_char_fraction": paragraph_char_fraction,
        **{f"top_{n}gram_char_fraction": ratio(top_ngram_chars(words, n), word_chars) for n in (2, 3, 4)},
        **{
            f"duplicate_{n}gram_char_fraction": ratio(duplicate_ngram_chars(words, n), word_chars) for n in range(5, 11)
        },
    }
