"""Plain twin of `udfs.line_units`: units by splitting strings, compared by their normalised text."""

from __future__ import annotations

import re

from udfs.reference.characters import WHITESPACE
from udfs.reference.digests import normalised

TERMINAL_MARKS = ".!?。！？؟।…"
CLOSING_QUOTES = "\"'”’“‘»«›‹」』＂"
SENTENCE_ENDS = "。！？।"


def lines(text: str) -> list[str]:
    """Return the lines of a text, the blank ones as empty strings."""
    return [line.strip(WHITESPACE) for line in re.split(r"\r\n|\r|\n", text)]


def paragraphs(text: str) -> list[list[str]]:
    """Return the paragraphs of a text as lists of lines."""
    found: list[list[str]] = [[]]
    for line in lines(text):
        if line:
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [paragraph for paragraph in found if paragraph]


def sentences(line: str) -> list[str]:
    """Return the sentences of a line."""
    found, current = [], ""
    for place, character in enumerate(line):
        current += character
        after = line[place + 1 : place + 2]
        if after and after in TERMINAL_MARKS + CLOSING_QUOTES:
            continue
        marks = re.search(f"[{re.escape(TERMINAL_MARKS)}][{re.escape(TERMINAL_MARKS + CLOSING_QUOTES)}]*$", current)
        ends = marks and (not after or after in WHITESPACE or any(mark in marks.group() for mark in SENTENCE_ENDS))
        something = any(c not in TERMINAL_MARKS + CLOSING_QUOTES + WHITESPACE for c in current)
        if ends and something:
            found.append(current.strip(WHITESPACE))
            current = ""
    return [sentence for sentence in [*found, current.strip(WHITESPACE)] if sentence]


def units(text: str, kind: str) -> list[str]:
    """Return the normalised text of each unit; a span is three sentences, or all where there are fewer."""
    if kind == "lines":
        return [normalised(line, "full") for line in lines(text) if line]
    if kind == "paragraphs":
        return [normalised("\n".join(paragraph), "full") for paragraph in paragraphs(text)]
    found = [normalised(sentence, "full") for line in lines(text) for sentence in sentences(line)]
    if not found:
        return []
    return [" ".join(found[i : i + 3]) for i in range(max(1, len(found) - 2))]
