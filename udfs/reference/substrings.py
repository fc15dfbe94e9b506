"""Plain twin of `udfs.substrings`: windows compared as tuples of strings, every token looked at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from udfs.reference.tokens import words

Place = tuple[int, int]  # document, token


class Repeats(NamedTuple):
    """What is cut from documents in survivor order."""

    cut: list[list[bool]]  # for every token of every document
    lost: int  # windows whose first occurrence is cut, in part or whole
    sources: dict[Place, Place]  # of every token that is cut: the token that stays for it


def tokens(text: str, unit: str, seams: Sequence[int] = ()) -> list[list[str]]:
    """Return the tokens of a text, a list for each part between seams (code points)."""
    bounds = [0, *sorted({seam for seam in seams if 0 < seam < len(text)}), len(text)]
    parts = [text[a:b] for a, b in pairwise(bounds)]
    if unit == "words":
        return [[word.text for word in words(part, False)] for part in parts]
    if unit == "characters":
        return [list(part) for part in parts]
    return [[chr(byte) for byte in part.encode()] for part in parts]


def anchors(hashes: Sequence[int], length: int, gram: int) -> list[int]:
    """Return for each window the k-gram that is its anchor: of the smallest hashes the rightmost."""
    span = length - gram + 1
    return [
        max(range(first, first + span), key=lambda place: (-hashes[place], place))
        for first in range(len(hashes) - span + 1)
    ]


def repeats(documents: Sequence[Sequence[Sequence[str]]], length: int) -> Repeats:
    """Return what is cut from documents (lists of parts, these lists of tokens) that stand in survivor order."""
    occurrences: dict[tuple[str, ...], list[Place]] = {}
    window_at: dict[Place, tuple[str, ...]] = {}
    cut = []
    for number, parts in enumerate(documents):
        first = 0
        for part in parts:
            for place in range(len(part) - length + 1):
                window = tuple(part[place : place + length])
                window_at[number, first + place] = window
                occurrences.setdefault(window, []).append((number, first + place))
            first += len(part)
        cut.append([False] * first)
    for places in occurrences.values():
        for number, place in places[1:]:
            cut[number][place : place + length] = [True] * length
    lost = sum(
        any(cut[places[0][0]][places[0][1] : places[0][1] + length])
        for places in occurrences.values()
        if len(places) > 1
    )
    return Repeats(cut, lost, _sources(cut, window_at, occurrences, length))


def _sources(
    cut: list[list[bool]],
    window_at: dict[Place, tuple[str, ...]],
    occurrences: dict[tuple[str, ...], list[Place]],
    length: int,
) -> dict[Place, Place]:
    """Return the token that stays for every token that is cut: by way of the first repeated window that covers it, to
    the occurrence just before where the two overlap and else to the first one, as often as it takes."""
    sources: dict[Place, Place] = {}
    for number, flags in enumerate(cut):
        for token, gone in enumerate(flags):
            if not gone:
                continue
            for place in range(max(0, token - length + 1), token + 1):
                places = occurrences.get(window_at.get((number, place), ()), [])
                if (number, place) in places[1:]:
                    before = places[places.index((number, place)) - 1]
                    overlaps = before[0] == number and place - before[1] < length
                    earlier = before if overlaps else places[0]
                    source = (earlier[0], earlier[1] + token - place)
                    # Earlier tokens are done already, so the chain ends here.
                    sources[number, token] = sources.get(source, source)
                    break
    return sources
