"""Where a text breaks a rule: the places that a signal counted, for people to look at.

The signals are counted by kernels that keep no places; these functions find the places again, one text at a time and in
plain Python, by the definitions of `udfs.reference`. They serve reports and explanations of single documents, not runs.
Signals that no place stands for (too few words, no stop word) have no span.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from udfs.reference.characters import is_letter
from udfs.reference.code import encoded_chars
from udfs.reference.lines import BULLETS, ends_in_terminal_mark
from udfs.reference.repetition import covered_chars
from udfs.reference.tokens import split_words

Span = tuple[int, int]

SHORT_LINE_CHARS = 30
_NGRAM_RULE = re.compile(r"^(top|duplicate)_(\d+)gram_char_fraction$")


def offending_spans(rule: str, text: str) -> list[Span]:
    """Return the places of a text that a rule's signal counts.

    Args:
        rule: A signal's name.
        text: The text; about a second a megabyte.

    Returns:
        (begin, end) in code points, in order, apart from each other; empty for a rule without places.
    """
    if match := _NGRAM_RULE.match(rule):
        find = _top_ngrams if match[1] == "top" else _repeated_ngrams
        return merged(find(text, int(match[2])))
    finder = _FINDERS.get(rule)
    return merged(finder(text)) if finder else []


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, those that touch or overlap as one."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif end > begin:
            found.append((begin, end))
    return found


def places_of_words(text: str) -> list[Span]:
    """Return the place of every word."""
    places = []
    at = 0
    for word in split_words(text):
        begin = text.index(word, at)
        at = begin + len(word)
        places.append((begin, at))
    return places


def places_of_lines(text: str) -> list[Span]:
    """Return the place of every line that is not blank, without the space around it."""
    places = []
    at = 0
    for line in text.replace("\r", "\n").split("\n"):
        stripped = line.strip()
        if stripped:
            begin = at + line.index(stripped[0])
            places.append((begin, begin + len(stripped)))
        at += len(line) + 1
    return places


def places_of_paragraphs(text: str) -> list[Span]:
    """Return the place of every paragraph: lines that no blank line parts."""
    single = text.replace("\r\n", "\n").replace("\r", "\n")
    if single != text and len(single) != len(text):  # a carriage return and a line feed are one newline
        return _through(text, places_of_paragraphs(single))
    places: list[Span] = []
    blank = True
    at = 0
    for line in single.split("\n"):
        stripped = line.strip()
        if stripped:
            begin = at + line.index(stripped[0])
            places = [*places, (begin, begin + len(stripped))] if blank else [
                *places[:-1], (places[-1][0], begin + len(stripped))
            ]  # fmt: skip
        blank = not stripped
        at += len(line) + 1
    return places


def _through(text: str, places: list[Span]) -> list[Span]:
    """Return places in a text with single newlines as places in the text with carriage returns before them."""
    origin = [at for at in range(len(text)) if not text.startswith("\r\n", at)]
    return [(origin[begin], origin[end - 1] + 1) for begin, end in places]


def _repeats(text: str, places: list[Span]) -> Iterator[Span]:
    seen: set[str] = set()
    for begin, end in places:
        part = text[begin:end]
        if part in seen:
            yield begin, end
        seen.add(part)


def _occurrences(text: str, *parts: str) -> Iterator[Span]:
    at = 0
    while at < len(text):
        part = next((part for part in parts if text.startswith(part, at)), None)
        if part is not None:
            yield at, at + len(part)
        at += len(part) if part else 1


def _ngrams(text: str, n: int) -> tuple[list[Span], list[str], dict[tuple[str, ...], list[int]]]:
    places = places_of_words(text)
    words = [text[begin:end] for begin, end in places]
    grams = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
    often = {gram for gram, count in Counter(grams).items() if count > 1}
    starts: dict[tuple[str, ...], list[int]] = {}
    for start, gram in enumerate(grams):
        if gram in often:
            starts.setdefault(gram, []).append(start)
    return places, words, starts


def _repeated_ngrams(text: str, n: int) -> list[Span]:
    places, _, starts = _ngrams(text, n)
    return [(places[start][0], places[start + n - 1][1]) for every in starts.values() for start in every]


def _top_ngrams(text: str, n: int) -> list[Span]:
    places, words, starts = _ngrams(text, n)
    most = max(map(len, starts.values()), default=0)
    frequent = [every for every in starts.values() if len(every) == most]
    if not frequent:
        return []
    widest = max(frequent, key=lambda every: covered_chars(words, every, n))
    return [(places[start][0], places[start + n - 1][1]) for start in widest]


def _lines_that(condition: Callable[[str], bool]) -> Callable[[str], Iterable[Span]]:
    return lambda text: [place for place in places_of_lines(text) if condition(text[place[0] : place[1]])]


def _words_that(condition: Callable[[str], bool]) -> Callable[[str], Iterable[Span]]:
    return lambda text: [place for place in places_of_words(text) if condition(text[place[0] : place[1]])]


def _longest_line(text: str) -> Iterable[Span]:
    lines = places_of_lines(text)
    return [max(lines, key=lambda place: place[1] - place[0])] if lines else []


def _repeated_lines(text: str) -> Iterable[Span]:
    return _repeats(text, places_of_lines(text))


def _repeated_paragraphs(text: str) -> Iterable[Span]:
    return _repeats(text, places_of_paragraphs(text))


_FINDERS: dict[str, Callable[[str], Iterable[Span]]] = {
    "hash_word_ratio": lambda text: _occurrences(text, "#"),
    "ellipsis_word_ratio": lambda text: _occurrences(text, "...", "…"),
    "curly_bracket_count": lambda text: _occurrences(text, "{"),
    "bullet_line_fraction": _lines_that(lambda line: line[0] in BULLETS),
    "ellipsis_line_fraction": _lines_that(lambda line: line.endswith(("...", "…"))),
    "terminal_punct_line_fraction": _lines_that(lambda line: not ends_in_terminal_mark(line)),
    "short_line_fraction": _lines_that(lambda line: len(line) <= SHORT_LINE_CHARS),
    "alpha_word_fraction": _words_that(lambda word: not any(map(is_letter, word))),
    "encoded_char_fraction": _words_that(lambda word: encoded_chars(word) > 0),
    "longest_line_chars": _longest_line,
    "duplicate_line_fraction": _repeated_lines,
    "duplicate_line_char_fraction": _repeated_lines,
    "duplicate_paragraph_fraction": _repeated_paragraphs,
    "duplicate_paragraph_char_fraction": _repeated_paragraphs,
}
