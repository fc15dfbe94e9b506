"""Lines, paragraphs and spans of sentences of a text, their digests, and a text without some of them.

A *line* is what stands between line feeds (CR and CRLF count as one), without whitespace around it; a *paragraph* is a
run of lines up to a blank one; a *sentence* ends, within a line, at a run of terminal marks and closing quotes that
whitespace follows, or right after one that holds ``。！？।`` (`udfs.lines.count_sentences`), or with its line. What is
empty does not count. A *span* is three consecutive sentences (C4, arXiv 1910.10683, section 2.2), or all of a text that
has fewer.

The digest of a unit is 128 bits of its normalised text: form C, case-folded, whitespace runs to one space
(`udfs.digests`). It is made of two 64-bit chains over 8 bytes at a time, each step a bijection of its state: equal by
accident with odds of 2⁻¹²⁸ a pair. It is no cryptographic hash: who wants a line cut elsewhere need only publish it.

*Without* some units, a text keeps what stands before its first remaining unit and after its last one if these were so
before, and between two remaining units the separator with the most line feeds of those between them.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.digests import MOST_EXPANSION, normalise_text
from udfs.kernels import njit
from udfs.lines import SENTENCE_ENDS, is_closing_quote, is_terminal_mark, strip_whitespace
from udfs.nfc import composition_tables
from udfs.tokens import HASH_START, mix, string_buffers, tables_for_kernels
from udfs.unicode import SPACE, class_of, decode

Kind = Literal["lines", "paragraphs", "sentence_spans"]
KINDS: tuple[Kind, ...] = ("lines", "paragraphs", "sentence_spans")
SPAN_SENTENCES = 3

_SENTENCE_ENDS = tuple(sorted(map(ord, SENTENCE_ENDS)))
_FIRST = np.uint64(0xD6E8FEB86659FD93)
_SECOND = np.uint64(0xA0761D6478BD642F)


class Units(NamedTuple):
    """The units of a batch of documents, flat."""

    starts: NDArray[np.int64]  # [units] first byte, counted from the document's first byte
    ends: NDArray[np.int64]  # [units] byte after the last one, counted likewise
    digests: NDArray[np.int64]  # [units, 2] of the unit, or of the span that begins with the sentence
    counted: NDArray[np.bool_]  # [units] whether the digest is compared: long enough, and a span of three begins here
    offsets: NDArray[np.int64]  # [documents + 1] units of document i are offsets[i] … offsets[i + 1]


@njit(cache=True, nogil=True)
def sentence_end(data, begin, end, tables):
    """Return the byte after the sentence that begins at `begin` of the line ``data[begin:end]``."""
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
                return end
            code_point, width = decode(data, position, end)
            if not (is_terminal_mark(code_point) or is_closing_quote(code_point)):
                ends = ends or (class_of(code_point, tables) & SPACE) != 0
                break
            position += width
        if ends and something:
            return position
    return end


@njit(cache=True, nogil=True)
def find_units(data, begin, end, sentences, paragraphs, tables, starts, ends):
    """Find the units of ``data[begin:end]``: lines, or else paragraphs or sentences.

    Args:
        data: uint8[:], UTF-8.
        begin: First byte.
        end: Byte after the last.
        sentences: Divide lines into sentences.
        paragraphs: Join lines into paragraphs.
        tables: `udfs.unicode.Tables`.
        starts: int64[:], room for a unit for every two bytes and one more; first bytes counted from `begin`.
        ends: int64[:] likewise.

    Returns:
        The number of units.
    """
    count = 0
    joined = False  # the line goes on with the paragraph before it
    line = begin
    while line < end:
        stop = line
        while stop < end and data[stop] != 0x0A and data[stop] != 0x0D:
            stop += 1
        first, last = strip_whitespace(data, line, stop, tables)
        if first == last:
            # The empty line inside CRLF is none.
            if not (stop == line and line > begin and data[line - 1] == 0x0D and stop < end and data[stop] == 0x0A):
                joined = False
        elif paragraphs and joined:
            ends[count - 1] = last - begin
        elif not sentences:
            starts[count], ends[count] = first - begin, last - begin
            count += 1
            joined = True
        else:
            while first < last:
                after = sentence_end(data, first, last, tables)
                starts[count], ends[count] = first - begin, after - begin
                count += 1
                first, _ = strip_whitespace(data, after, last, tables)
        line = stop + 1
    return count


@njit(cache=True, nogil=True)
def digest_bytes(data, begin, end):
    """Return two 64-bit digests of ``data[begin:end]``."""
    first, second = HASH_START, _SECOND
    position = begin
    while position < end:
        word = np.uint64(0)
        for index in range(min(8, end - position)):
            word |= np.uint64(data[position + index]) << np.uint64(8 * index)
        first = (((first << np.uint64(23)) | (first >> np.uint64(41))) ^ word) * _FIRST
        second = (((second << np.uint64(31)) | (second >> np.uint64(33))) ^ word) * _SECOND
        position += 8
    length = np.uint64(end - begin)
    return np.int64(mix(first ^ length)), np.int64(mix(second ^ length))


@njit(cache=True, nogil=True)
def _units_of_batch(
    data, offsets, sentences, paragraphs, span, min_chars, tables, composition, scratch,
    starts, ends, digests, counted, unit_offsets,
):  # fmt: skip
    """Find and digest the units of every document of a batch."""
    total = 0
    unit_offsets[0] = 0
    for document in range(len(offsets) - 1):
        begin = offsets[document]
        count = find_units(
            data, begin, offsets[document + 1], sentences, paragraphs, tables, starts[total:], ends[total:]
        )
        for unit in range(count):
            last = min(unit + span, count)
            # Of a text of fewer sentences than a span holds there is one span, the whole.
            wanted = last - unit == span or unit == 0
            size, chars = 0, 0
            for part in range(unit, last if wanted else unit):
                if part > unit:
                    scratch[size] = 0x20
                    size += 1
                first, stop = begin + starts[total + part], begin + ends[total + part]
                size = normalise_text(data, first, stop, True, tables, composition, scratch, size)
                for position in range(first, stop):
                    chars += (data[position] & 0xC0) != 0x80
            counted[total + unit] = wanted and chars >= min_chars
            digests[total + unit, 0], digests[total + unit, 1] = digest_bytes(scratch, 0, size)
        total += count
        unit_offsets[document + 1] = total


def units(text: pa.Array, kind: Kind, min_chars: int = 0) -> Units:
    """Return the units of every document of a string array; a null has none.

    Args:
        text: ``string`` or ``large_string``.
        kind: What is compared. For spans the units are sentences, and digests are those of spans.
        min_chars: Units (spans) of fewer code points are not compared.

    Raises:
        TypeError: `text` is not a string array.
        ValueError: an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    data, offsets = string_buffers(text)
    capacity = int(offsets[-1] - offsets[0]) // 2 + len(offsets)
    span = SPAN_SENTENCES if kind == "sentence_spans" else 1
    longest = int(np.diff(offsets).max(initial=0))
    found = Units(
        np.empty(capacity, dtype=np.int64),
        np.empty(capacity, dtype=np.int64),
        np.empty((capacity, 2), dtype=np.int64),
        np.empty(capacity, dtype=np.bool_),
        np.empty(len(offsets), dtype=np.int64),
    )
    _units_of_batch(
        data,
        offsets,
        kind == "sentence_spans",
        kind == "paragraphs",
        span,
        min_chars,
        tables_for_kernels(),
        composition_tables(),
        np.empty(MOST_EXPANSION * longest + span, dtype=np.uint8),
        *found,
    )
    count = int(found.offsets[-1])
    return Units(found.starts[:count], found.ends[:count], found.digests[:count], found.counted[:count], found.offsets)


class Cut(NamedTuple):
    """A half-open range of code points that was cut, and what stood there."""

    begin: int
    end: int
    text: str


SHOWN_CHARS = 200  # of a cut are kept in the record


def without(text: str, starts: list[int], ends: list[int], cut: set[int]) -> tuple[str, list[Cut]]:
    """Return a text without some of its units, and what was cut, neighbours as one.

    Args:
        text: The text.
        starts: First byte of each unit in UTF-8, ascending.
        ends: Byte after each.
        cut: Numbers of the units to leave out.
    """
    data = text.encode()
    if not cut:
        return text, []
    left = [unit for unit in range(len(starts)) if unit not in cut]
    if not left:
        return "", [_cut(data, starts[0], ends[-1])]
    pieces = [data[: starts[0]]]
    for before, unit in zip([None, *left], left, strict=False):
        if before is not None:
            gaps = [data[ends[place] : starts[place + 1]] for place in range(before, unit)]
            pieces.append(max(gaps, key=lambda gap: gap.count(b"\n")))
        pieces.append(data[starts[unit] : ends[unit]])
    pieces.append(data[ends[-1] :])
    runs: list[list[int]] = []
    for unit in sorted(cut):
        if runs and runs[-1][1] == unit - 1:
            runs[-1][1] = unit
        else:
            runs.append([unit, unit])
    return b"".join(pieces).decode(), [_cut(data, starts[first], ends[last]) for first, last in runs]


def _cut(data: bytes, start: int, end: int) -> Cut:
    begin = len(data[:start].decode())
    text = data[start:end].decode()
    return Cut(begin, begin + len(text), text[:SHOWN_CHARS])
