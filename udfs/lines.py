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

C4's edits (arXiv 1910.10683, section 2.2; TFDS `c4_utils.py`), each switched by `LineRules`: citation marks ``[12]``,
``[]``, ``[edit]``, ``[citation needed]`` are removed inside lines; then lines are dropped that do not end in a
terminal mark, have too few words or too long a word, or name javascript or a policy, ASCII case ignored. The text
becomes its remaining lines joined by LF. Measured besides:

- `removed_word_fraction` = (words before − words after) / words before.
- `sentence_count` over the remaining lines: a run of terminal marks and closing quotes ends a sentence where
  whitespace or the end of
  the line follows, or where one of its marks is ``。！？।``; what is left at the end of a line is one more; a sentence
  has something besides marks and quotes. (C4 uses NLTK's punkt, which knows some abbreviations.)
- `curly_bracket_count` (``{``) and `lorem_ipsum_count` ("lorem ipsum", ASCII case ignored) in the whole text before
  the edits.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from udfs.code import matches_ignoring_case
from udfs.kernels import njit
from udfs.tokens import string_buffers
from udfs.unicode import MARK, OWN_WORD, SPACE, class_of, decode, load_tables

BULLETS = "•‣▶◀◦■□▪▫●○⁃∙·*-–—"
TERMINAL_MARKS = ".!?。！？؟।…"
CLOSING_QUOTES = "\"'”’“‘»«›‹」』＂"
SENTENCE_ENDS = "。！？।"  # end a sentence whatever follows
SHORT_LINE_CHARS = 30
JAVASCRIPT = "javascript"
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
LOREM_IPSUM = "lorem ipsum"
CITATION_WORDS = ("[edit]", "[citation needed]")

_BULLETS = tuple(sorted(map(ord, BULLETS)))
_TERMINAL_MARKS = tuple(sorted(map(ord, TERMINAL_MARKS)))
_CLOSING_QUOTES = tuple(sorted(map(ord, CLOSING_QUOTES)))
_SENTENCE_ENDS = tuple(sorted(map(ord, SENTENCE_ENDS)))


def _flat(patterns):
    """Return patterns as one byte array and the offsets of each."""
    return (
        np.frombuffer("".join(patterns).encode(), dtype=np.uint8),
        np.cumsum([0] + [len(pattern) for pattern in patterns]),
    )


_JAVASCRIPT_BYTES, _JAVASCRIPT_OFFSETS = _flat([JAVASCRIPT])
_POLICY_BYTES, _POLICY_OFFSETS = _flat(POLICIES)
_LOREM_IPSUM_BYTES, _LOREM_IPSUM_OFFSETS = _flat([LOREM_IPSUM])
_CITATION_BYTES, _CITATION_OFFSETS = _flat(CITATION_WORDS)


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


@njit(cache=True, nogil=True)
def match_at(data, position, end, patterns, offsets):
    """Return the length of the first of the lower-case ASCII `patterns` that stands at `position`, 0 for none."""
    for pattern in range(len(offsets) - 1):
        if matches_ignoring_case(data, position, end, patterns, offsets[pattern], offsets[pattern + 1]):
            return offsets[pattern + 1] - offsets[pattern]
    return np.int64(0)


@njit(cache=True, nogil=True)
def count_occurrences(data, begin, end, patterns, offsets):
    """Count where one of `patterns` stands in ``data[begin:end]``, ASCII case ignored."""
    count = 0
    for position in range(begin, end):
        if match_at(data, position, end, patterns, offsets) > 0:
            count += 1
    return count


@njit(cache=True, nogil=True)
def citation_at(data, position, end):
    """Return the length of the citation mark at `position`, 0 where there is none."""
    if data[position] != 0x5B:
        return np.int64(0)
    after = position + 1
    while after < end and 0x30 <= data[after] <= 0x39:
        after += 1
    if after < end and data[after] == 0x5D:
        return np.int64(after + 1 - position)
    for word in range(len(_CITATION_OFFSETS) - 1):
        length = _CITATION_OFFSETS[word + 1] - _CITATION_OFFSETS[word]
        if position + length <= end:
            equal = True
            for index in range(length):
                if data[position + index] != _CITATION_BYTES[_CITATION_OFFSETS[word] + index]:
                    equal = False
                    break
            if equal:
                return np.int64(length)
    return np.int64(0)


@njit(cache=True, nogil=True)
def strip_whitespace(data, begin, end, tables):
    """Return the range of ``data[begin:end]`` without whitespace around it; empty where there is nothing else."""
    while begin < end:
        code_point, width = decode(data, begin, end)
        if (class_of(code_point, tables) & SPACE) == 0:
            break
        begin += width
    while end > begin:
        start = end - 1
        while start > begin and (data[start] & 0xC0) == 0x80:
            start -= 1
        code_point, _ = decode(data, start, end)
        if (class_of(code_point, tables) & SPACE) == 0:
            break
        end = start
    return begin, end


@njit(cache=True, nogil=True)
def count_words(data, begin, end, tables):
    """Return the number of words in ``data[begin:end]`` and the code points of the longest."""
    words = 0
    longest = 0
    chars = 0
    own = False
    position = begin
    while position < end:
        code_point, width = decode(data, position, end)
        bits = np.int64(class_of(code_point, tables))
        position += width
        if (bits & SPACE) != 0:
            chars = 0
            continue
        if chars == 0 or (bits & OWN_WORD) != 0 or (own and (bits & MARK) == 0):
            words += 1
            chars = 0
            own = (bits & OWN_WORD) != 0
        chars += 1
        longest = max(longest, chars)
    return words, longest


@njit(cache=True, nogil=True)
def count_sentences(data, begin, end, tables):
    """Count the sentences of the line ``data[begin:end]``."""
    sentences = 0
    something = False
    position = begin
    while position < end:
        code_point, width = decode(data, position, end)
        position += width
        if not is_terminal_mark(code_point):
            if (class_of(code_point, tables) & SPACE) == 0 and not is_closing_quote(code_point):
                something = True
            continue
        ends = False
        while True:
            for mark in _SENTENCE_ENDS:
                if code_point == mark:
                    ends = True
            if position >= end:
                ends = True
                break
            code_point, width = decode(data, position, end)
            if not (is_terminal_mark(code_point) or is_closing_quote(code_point)):
                ends = ends or (class_of(code_point, tables) & SPACE) != 0
                break
            position += width
        if ends and something:
            sentences += 1
            something = False
    return sentences + (1 if something else 0)


# What `edit_lines` counts, by column.
_WORDS_BEFORE = 0
_WORDS_AFTER = 1
_LINES_BEFORE = 2
_LINES_AFTER = 3
_SENTENCES = 4
_CURLY_BRACKETS = 5
_LOREM_IPSUMS = 6
_COLUMNS = 7


@njit(cache=True, nogil=True)
def _edit_batch(data, offsets, tables, rules, edited, edited_offsets, counts):
    """Write the edited texts one after another.

    Args:
        data: uint8[:], the bytes of the string array.
        offsets: int64[documents + 1].
        tables: `udfs.unicode.Tables`.
        rules: (terminal_mark, min_words, max_word_chars, javascript, policies, citations) as int64; max_word_chars 0
        for none. edited: uint8[:], at least as long as the texts; receives the edited ones. edited_offsets:
        int64[documents + 1], receives their offsets. counts: int64[documents, _COLUMNS], zeroed; receives the counts.
    """
    terminal_mark, min_words, max_word_chars, javascript, policies, citations = rules
    out = 0
    edited_offsets[0] = 0
    for document in range(len(offsets) - 1):
        row = counts[document]
        begin = offsets[document]
        end = offsets[document + 1]
        text_begin = out
        position = begin
        while position < end:
            line_begin = position
            while position < end and data[position] != 0x0A and data[position] != 0x0D:
                if data[position] == 0x7B:
                    row[_CURLY_BRACKETS] += 1
                elif match_at(data, position, end, _LOREM_IPSUM_BYTES, _LOREM_IPSUM_OFFSETS) > 0:
                    row[_LOREM_IPSUMS] += 1
                position += 1
            line_begin, line_end = strip_whitespace(data, line_begin, position, tables)
            position += 1
            if line_begin == line_end:
                continue
            words, longest = count_words(data, line_begin, line_end, tables)
            row[_LINES_BEFORE] += 1
            row[_WORDS_BEFORE] += words
            # The line as edited is written first and taken back if it is to be dropped.
            kept_begin = out if out == text_begin else out + 1
            kept_end = kept_begin
            index = line_begin
            while index < line_end:
                mark = citation_at(data, index, line_end) if citations else np.int64(0)
                if mark > 0:
                    index += mark
                else:
                    edited[kept_end] = data[index]
                    kept_end += 1
                    index += 1
            if kept_end - kept_begin != line_end - line_begin:
                first, last = strip_whitespace(edited, kept_begin, kept_end, tables)
                for index in range(last - first):
                    edited[kept_begin + index] = edited[first + index]
                kept_end = kept_begin + last - first
                words, longest = count_words(edited, kept_begin, kept_end, tables)
            if kept_begin == kept_end or words < min_words or (max_word_chars > 0 and longest > max_word_chars):
                continue
            if terminal_mark and not ends_in_terminal_mark(edited, kept_begin, kept_end):
                continue
            if javascript and count_occurrences(edited, kept_begin, kept_end, _JAVASCRIPT_BYTES, _JAVASCRIPT_OFFSETS):
                continue
            if policies and count_occurrences(edited, kept_begin, kept_end, _POLICY_BYTES, _POLICY_OFFSETS):
                continue
            if kept_begin > text_begin:
                edited[kept_begin - 1] = 0x0A
            out = kept_end
            row[_LINES_AFTER] += 1
            row[_WORDS_AFTER] += words
            row[_SENTENCES] += count_sentences(edited, kept_begin, kept_end, tables)
        edited_offsets[document + 1] = out


@dataclass(frozen=True)
class LineRules:
    """Which lines C4's edits drop; the defaults are TFDS's and the arXiv text's."""

    terminal_mark: bool = True  # drop lines that do not end in a terminal mark
    min_words: int = 5  # drop lines with fewer words
    max_word_chars: int | None = None  # drop lines with a longer word, in code points
    javascript: bool = True  # drop lines that name javascript
    policies: bool = True  # drop lines that name terms of use, privacy or cookie policies
    citations: bool = False  # remove citation marks inside lines


class LineEdits(NamedTuple):
    """What `edit_lines` gives; every array is as long as its input and NULL where that is."""

    text: pa.Array  # the remaining lines joined by LF, of the type of the input
    words_before: pa.Array  # int64
    words_after: pa.Array  # int64
    lines_before: pa.Array  # int64
    lines_after: pa.Array  # int64
    signals: dict[str, pa.Array]  # sentence_count, curly_bracket_count, lorem_ipsum_count, removed_word_fraction


def edit_lines(text: pa.Array | pa.ChunkedArray, rules: LineRules) -> LineEdits:
    """Drop lines as C4 does and measure what the page rules of the step judge.

    Raises:
        TypeError: `text` is not a string array.
    """
    data, offsets = string_buffers(text)
    absent = np.asarray(text.is_null()).astype(bool)
    edited = np.empty(int(offsets[-1] - offsets[0]) + 1, dtype=np.uint8)
    edited_offsets = np.empty(len(offsets), dtype=np.int64)
    counts = np.zeros((len(offsets) - 1, _COLUMNS), dtype=np.int64)
    plain_rules = (
        int(rules.terminal_mark),
        rules.min_words,
        rules.max_word_chars or 0,
        int(rules.javascript),
        int(rules.policies),
        int(rules.citations),
    )
    _edit_batch(data, offsets, load_tables(), plain_rules, edited, edited_offsets, counts)
    before, after = counts[:, _WORDS_BEFORE], counts[:, _WORDS_AFTER]
    removed = np.divide(before - after, before, out=np.zeros(len(before)), where=before > 0)

    def column(number: int) -> pa.Array:
        return pa.array(counts[:, number], pa.int64(), mask=absent)

    return LineEdits(
        text=_strings(edited, edited_offsets, absent).cast(text.type),
        words_before=column(_WORDS_BEFORE),
        words_after=column(_WORDS_AFTER),
        lines_before=column(_LINES_BEFORE),
        lines_after=column(_LINES_AFTER),
        signals={
            "sentence_count": column(_SENTENCES),
            "curly_bracket_count": column(_CURLY_BRACKETS),
            "lorem_ipsum_count": column(_LOREM_IPSUMS),
            "removed_word_fraction": pa.array(removed, pa.float64(), mask=absent),
        },
    )


def _strings(data, offsets, absent) -> pa.Array:
    """Return a large_string array over the bytes; no copy of them."""
    valid = pa.array(~absent).buffers()[1]
    return pa.LargeStringArray.from_buffers(
        len(absent), pa.py_buffer(offsets), pa.py_buffer(data[: offsets[-1]]), valid, int(absent.sum())
    )
