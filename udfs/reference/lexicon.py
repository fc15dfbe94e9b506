"""Plain twin of `udfs.lexicon`: lists of words compared with lists of words."""

from __future__ import annotations

from collections.abc import Iterable

from udfs.reference import tokens


def normalised_words(text: str) -> list[str]:
    """Return the normalised words of a text."""
    return [word.text for word in tokens.words(text, normalised=True)]


def measure(text: str, phrases: Iterable[tuple[str, str | None]], language: str | None) -> tuple[int, float]:
    """Return (occurrences, share of words) of the phrases, each with its language or None, in one document."""
    listed = {
        tuple(normalised_words(phrase))
        for phrase, spoken in phrases
        if spoken is None or language is None or spoken == language
    }
    listed.discard(())
    words = normalised_words(text)
    hits = covered = at = 0
    while at < len(words):
        length = next((n for n in range(len(words) - at, 0, -1) if tuple(words[at : at + n]) in listed), 0)
        hits += length > 0
        covered += length
        at += max(length, 1)
    return hits, covered / max(len(words), 1)
