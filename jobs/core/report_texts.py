"""Texts as a report may show them: cut to what matters, offending places marked, personal data masked.

A shown text is a list of pieces (text, kind), where kind is ``""``, ``mark`` (an offending place), ``mask`` (what
stands for personal data) or ``gap`` (something was left out). Pieces are plain text: the template escapes them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from udfs.offending_spans import Span, merged, offending_spans
from udfs.personal_data import MASKS, find, redact

EXCERPT_CHARS = 700
CONTEXT_CHARS = 90
MOST_CHARS = 20_000  # of a text that are looked at
DIFF_WORDS = 400
DIFF_CONTEXT_WORDS = 12
MOST_LINE_BREAKS = 24

# Controls and directional overrides would change how the page around them reads.
_CONTROLS = (*range(9), 11, 12, *range(14, 32), *range(0x7F, 0xA0), 0xFEFF, *range(0xFFF9, 0xFFFC))
_DIRECTIONS = (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNSAFE = dict.fromkeys((*_CONTROLS, *_DIRECTIONS), "\ufffd")


class Piece(NamedTuple):
    """A stretch of a shown text."""

    text: str
    kind: str = ""


def safe(text: str) -> str:
    """A text without controls (tabs and newlines stay) and without directional overrides; as long as before."""
    return text.translate(_UNSAFE)


class Masker:
    """Masks personal data, or shows it where that was asked for."""

    def __init__(self, *, masked: bool) -> None:
        self.masked = masked

    def line(self, text: str | None) -> str:
        """A short text such as an address, masked."""
        shown = (text or "")[:300]
        if self.masked and shown:
            shown = redact(pa.array([shown], pa.string())).text[0].as_py()
        return safe(shown.replace("\n", " "))

    def spans(self, text: str) -> list[tuple[str, int, int]]:
        """(kind, begin, end) of the personal data in a text."""
        if not self.masked:
            return []
        found = find(pa.array([text], pa.string())).spans[0].as_py() or []
        return [(each["kind"], each["begin"], each["end"]) for each in found]

    def excerpt(self, text: str | None, spans: Sequence[Span] = ()) -> list[Piece]:
        """The places of a text and what stands around them; its beginning where it has none."""
        if not text:
            return [Piece("no text is stored" if text is None else "no text", "gap")]
        text = text[:MOST_CHARS]
        windows = _windows(text, [span for span in spans if span[0] < len(text)])
        personal = self.spans(text)
        pieces: list[Piece] = []
        for place, (begin, end) in enumerate(windows):
            if begin > 0:
                pieces.append(Piece(" … ", "gap"))
            pieces += _marked(text, begin, end, spans, personal)
            if place == len(windows) - 1 and end < len(text):
                pieces.append(Piece(" …", "gap"))
        return pieces

    def of_rule(self, rule: str, text: str | None) -> list[Piece]:
        """A text with the places that a rule objects to."""
        return self.excerpt(text, offending_spans(rule, text[:MOST_CHARS]) if text else ())

    def difference(self, left: str | None, right: str | None) -> tuple[list[Piece], list[Piece]]:
        """Two texts side by side: what only one of them has is marked, what both have is cut short."""
        words = self._words(left), self._words(right)
        matcher = difflib.SequenceMatcher(None, words[0], words[1], autojunk=False)
        sides: tuple[list[Piece], list[Piece]] = ([], [])
        for tag, *bounds in matcher.get_opcodes():
            for side, (begin, end) in enumerate((bounds[:2], bounds[2:])):
                own = words[side][begin:end]
                sides[side].extend(_shortened(own, first=not begin) if tag == "equal" else _if_any(own))
        for side, text in enumerate((left, right)):
            if len((text or "").split()) > DIFF_WORDS:
                sides[side].append(Piece(" …", "gap"))
        return sides

    def _words(self, text: str | None) -> list[str]:
        shown = (text or "")[:MOST_CHARS]
        if self.masked and shown:
            shown = redact(pa.array([shown], pa.string())).text[0].as_py()
        return safe(shown).split()[:DIFF_WORDS]


def _if_any(words: Sequence[str]) -> Iterator[Piece]:
    if words:
        yield Piece(" ".join(words), "mark")
        yield Piece(" ")


def _shortened(words: Sequence[str], *, first: bool) -> Iterator[Piece]:
    if len(words) <= 2 * DIFF_CONTEXT_WORDS + 5:
        yield Piece(" ".join(words) + " ")
        return
    if not first:
        yield Piece(" ".join(words[:DIFF_CONTEXT_WORDS]) + " ")
    yield Piece("… ", "gap")
    yield Piece(" ".join(words[-DIFF_CONTEXT_WORDS:]) + " ")


def _windows(text: str, spans: Sequence[Span]) -> list[Span]:
    """What is shown of a text: the spans with what stands around them, in ``EXCERPT_CHARS`` in all."""
    if not spans:
        return [(0, _word_end(text, 0, EXCERPT_CHARS))]
    around = merged(
        (_word_begin(text, max(0, begin - CONTEXT_CHARS), begin), _word_end(text, end, end + CONTEXT_CHARS))
        for begin, end in spans
    )
    if around[0][0] < EXCERPT_CHARS // 4:
        around[0] = (0, around[0][1])
    shown: list[Span] = []
    left = EXCERPT_CHARS
    for begin, end in around:
        if left <= CONTEXT_CHARS:
            break
        end = min(end, begin + left)
        shown.append((begin, end))
        left -= end - begin
    if len(shown) == 1 and left > 0:
        shown = [(shown[0][0], min(len(text), shown[0][1] + left))]
    return shown


def _word_begin(text: str, at: int, limit: int) -> int:
    """Where the next word begins, when that is soon; a text without spaces is cut anywhere."""
    if at == 0:
        return 0
    space = next((place for place in range(at, min(at + 24, limit)) if text[place].isspace()), None)
    return at if space is None else space + 1


def _word_end(text: str, limit: int, at: int) -> int:
    """Where the word before a place ends, when that is not far."""
    if at >= len(text):
        return len(text)
    space = next((place for place in range(at, max(at - 24, limit), -1) if text[place].isspace()), None)
    return at if space is None else space


def _marked(
    text: str, begin: int, end: int, spans: Iterable[Span], personal: Sequence[tuple[str, int, int]]
) -> Iterator[Piece]:
    """A stretch of a text as pieces: masks win over marks."""
    at = begin
    for kind, first, last in [*personal, ("", end, end)]:
        first, last = max(first, at), min(max(last, at), max(end, at))
        if first > end:
            break
        yield from _plain(text, at, min(first, end), spans)
        if kind and last > first:
            yield Piece(MASKS[kind], "mask")
        at = max(at, last) if kind else at
    return


def _plain(text: str, begin: int, end: int, spans: Iterable[Span]) -> Iterator[Piece]:
    at = begin
    for first, last in spans:
        first, last = max(first, begin), min(last, end)
        if first >= last:
            continue
        if first > at:
            yield Piece(_lines(text[at:first]))
        yield Piece(_lines(text[first:last]), "mark")
        at = last
    if end > at:
        yield Piece(_lines(text[at:end]))


def _lines(text: str) -> str:
    """A stretch with at most so many line breaks: a text of one word a line must not fill the page."""
    shown = safe(text.replace("\r\n", "\n").replace("\r", "\n"))
    if shown.count("\n") <= MOST_LINE_BREAKS:
        return shown
    head = shown.split("\n", MOST_LINE_BREAKS)
    return "\n".join(head[:-1]) + "\n" + head[-1].replace("\n", " ⏎ ")
