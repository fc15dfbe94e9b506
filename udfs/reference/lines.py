"""Plain twin of `udfs.lines`: lines, paragraphs, and C4's edits."""

from __future__ import annotations

import re

from udfs.reference.characters import WHITESPACE
from udfs.reference.quality import ratio
from udfs.reference.tokens import split_words

BULLETS = "•‣▶◀◦■□▪▫●○⁃∙·*-–—"
TERMINAL_MARKS = ".!?。！？؟।…"
CLOSING_QUOTES = "\"'”’“‘»«›‹」』＂"

_BLANK_LINE = re.compile(f"\n[{WHITESPACE}]*\n")


def with_line_feeds(text: str) -> str:
    """Return a text in which CRLF and CR are LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_lines(text: str) -> list[str]:
    """Return the lines: split on LF, stripped, none empty."""
    return [line for part in with_line_feeds(text).split("\n") if (line := part.strip(WHITESPACE))]


def split_paragraphs(text: str) -> list[str]:
    """Return the paragraphs: split on a blank line, stripped, none empty."""
    return [part for piece in _BLANK_LINE.split(with_line_feeds(text)) if (part := piece.strip(WHITESPACE))]


def ends_in_terminal_mark(line: str) -> bool:
    """Say whether a line ends in a terminal mark, or in one followed by closing quotes."""
    bare = line.rstrip(CLOSING_QUOTES)
    return bare != "" and bare[-1] in TERMINAL_MARKS


def line_signals(text: str) -> dict[str, float | int | None]:
    """Return the signals of lines."""
    lines = split_lines(text)
    return {
        "bullet_line_fraction": ratio(sum(line[0] in BULLETS for line in lines), len(lines)),
        "ellipsis_line_fraction": ratio(sum(line.endswith(("...", "…")) for line in lines), len(lines)),
        "terminal_punct_line_fraction": ratio(sum(map(ends_in_terminal_mark, lines)), len(lines)),
        "short_line_fraction": ratio(sum(len(line) <= 30 for line in lines), len(lines)),
        "newline_word_ratio": ratio(with_line_feeds(text).count("\n"), len(split_words(text))),
    }
