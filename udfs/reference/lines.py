"""Plain twin of `udfs.lines`: lines, paragraphs, and C4's edits."""

from __future__ import annotations

import re

from udfs.lines import LineRules
from udfs.reference.characters import WHITESPACE
from udfs.reference.quality import ratio
from udfs.reference.tokens import split_words

BULLETS = "•‣▶◀◦■□▪▫●○⁃∙·*-–—"
TERMINAL_MARKS = ".!?。！？؟।…"
CLOSING_QUOTES = "\"'”’“‘»«›‹」』＂"

SENTENCE_ENDS = "。！？।"
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")

_BLANK_LINE = re.compile(f"\n[{WHITESPACE}]*\n")

_CITATION = re.compile(r"\[[0-9]*\]|\[edit\]|\[citation needed\]")
_SENTENCE_END = re.compile(f"[{re.escape(TERMINAL_MARKS)}][{re.escape(TERMINAL_MARKS + CLOSING_QUOTES)}]*")
_UPPER_TO_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


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


def count_sentences(line: str) -> int:
    """Return the number of sentences of a line."""
    pieces = []
    begin = 0
    for match in _SENTENCE_END.finditer(line):
        after = line[match.end() : match.end() + 1]
        if after == "" or after in WHITESPACE or any(mark in SENTENCE_ENDS for mark in match[0]):
            pieces.append(line[begin : match.end()])
            begin = match.end()
    pieces.append(line[begin:])
    # A piece without content passes nothing on but to the next end, which then ends a sentence of both.
    count = 0
    content = False
    for piece in pieces:
        content = content or piece.strip(WHITESPACE + TERMINAL_MARKS + CLOSING_QUOTES) != ""
        if content:
            count += 1
            content = False
    return count


def keeps_line(line: str, rules: LineRules) -> bool:
    """Say whether C4's edits keep a line."""
    words = split_words(line)
    lowered = line.translate(_UPPER_TO_LOWER)
    return (
        line != ""
        and len(words) >= rules.min_words
        and not (rules.max_word_chars and any(len(word) > rules.max_word_chars for word in words))
        and not (rules.terminal_mark and not ends_in_terminal_mark(line))
        and not (rules.javascript and "javascript" in lowered)
        and not (rules.policies and any(policy in lowered for policy in POLICIES))
    )


def edit_lines_plain(text: str, rules: LineRules) -> tuple[str, dict[str, float | int]]:
    """Return a text after C4's edits, and what is counted on the way (the signals, `words_*` and `lines_*`)."""
    lines = split_lines(text)
    edited = [_CITATION.sub("", line).strip(WHITESPACE) if rules.citations else line for line in lines]
    kept = [line for line in edited if keeps_line(line, rules)]
    before, after = (sum(len(split_words(line)) for line in part) for part in (lines, kept))
    lowered = text.translate(_UPPER_TO_LOWER)
    return "\n".join(kept), {
        "words_before": before,
        "words_after": after,
        "lines_before": len(lines),
        "lines_after": len(kept),
        "sentence_count": sum(map(count_sentences, kept)),
        "curly_bracket_count": text.count("{"),
        "lorem_ipsum_count": lowered.count("lorem ipsum"),
        "removed_word_fraction": ratio(before - after, before),
    }
