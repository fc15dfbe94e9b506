"""Lines: what they begin and end with (FineWeb, Gopher), and C4's edits that drop lines (`edit_lines`).

A *line* is what is left of the text between line feeds (CRLF and CR count as one) once stripped of whitespace; empty
ones are dropped.

- *Bullet line*: its first character is one of ``•‣▶◀◦■□▪▫●○⁃∙·*-–—``.
- *Ellipsis line*: it ends in ``...`` or ``…``.
- *Terminal line*: it ends in a terminal mark ``. ! ? 。 ！ ？ ؟ । …``, or in one followed by closing quotes. Quotes
close differently by
  language (“…” „…“ »…« «…»), so every quotation mark closes; one without a terminal mark before it does not end a
  sentence.
- *Short line*: at most 30 characters (FineWeb, arXiv 2406.17557, section 3.6).
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from numba import njit

from udfs.unicode import decode

BULLETS = "•‣▶◀◦■□▪▫●○⁃∙·*-–—"
TERMINAL_MARKS = ".!?。！？؟।…"
CLOSING_QUOTES = "\"'”’“‘»«›‹」』＂"
SHORT_LINE_CHARS = 30

_BULLETS = tuple(sorted(map(ord, BULLETS)))
_TERMINAL_MARKS = tuple(sorted(map(ord, TERMINAL_MARKS)))
_CLOSING_QUOTES = tuple(sorted(map(ord, CLOSING_QUOTES)))


@njit(cache=True, nogil=True)
def is_bullet(code_point):
    """Say whether a line that begins with this code point is a bullet line."""
    if code_point > 0x2D and code_point < 0xB7:
        return False
    for bullet in _BULLETS:  # noqa: SIM110 (kernels have no generators)
        if code_point == bullet:
            return True
    return False


@njit(cache=True, nogil=True)
def is_terminal_mark(code_point):
    """Say whether a code point ends a sentence."""
    for mark in _TERMINAL_MARKS:  # noqa: SIM110 (kernels have no generators)
        if code_point == mark:
            return True
    return False


@njit(cache=True, nogil=True)
def is_closing_quote(code_point):
    """Say whether a code point may follow a terminal mark at the end of a line."""
    for quote in _CLOSING_QUOTES:  # noqa: SIM110 (kernels have no generators)
        if code_point == quote:
            return True
    return False


@njit(cache=True, nogil=True)
def ends_in_ellipsis(data, begin, end):
    """Say whether the bytes ``data[begin:end]`` end in ``...`` or ``…``."""
    if end - begin < 3:
        return False
    if data[end - 1] == 0x2E:
        return data[end - 2] == 0x2E and data[end - 3] == 0x2E
    return data[end - 1] == 0xA6 and data[end - 2] == 0x80 and data[end - 3] == 0xE2


@njit(cache=True, nogil=True)
def ends_in_terminal_mark(data, begin, end):
    """Say whether the UTF-8 text ``data[begin:end]`` ends in a terminal mark and any number of closing quotes."""
    while end > begin:
        start = end - 1
        while start > begin and (data[start] & 0xC0) == 0x80:
            start -= 1
        code_point, _ = decode(data, start, end)
        if not is_closing_quote(code_point):
            return is_terminal_mark(code_point)
        end = start
    return False
