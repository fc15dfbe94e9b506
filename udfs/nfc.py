"""Unicode Normalization Form C of pinned Unicode 14.0.0, in place of whatever version Python or Arrow carries.

Definition: UAX #15. Every code point is replaced by its full canonical decomposition, each run of marks (combining
class > 0) is put in stable order of combining class, then each character is composed with the last starter before it
where the pair has a primary composite and nothing of the same or a higher class stands between. Hangul syllables are
composed and decomposed by arithmetic.

Most text is in this form already: one look at each code point from U+0300 on says so (the quick check of UAX #15,
section 9), and only what fails it is decomposed. Time is linear, also for a text of combining marks only.

The tables (``nfc_tables.npz``) are built by ``python -m udfs.nfc_build`` from the Unicode data of CPython 3.11; their
licence: ``nfc_tables.LICENSE``.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels import njit
from udfs.unicode import UNICODE_VERSION, decode

TABLES_PATH = Path(__file__).with_name("nfc_tables.npz")
FIRST_OF_INTEREST = (
    0x300  # below it every code point is in form C, starts a sequence, and composes with nothing before it
)
LONGEST_DECOMPOSITION = 4  # code points, U+1F82 for one
CODE_POINTS_PER_BYTE = 2  # no UTF-8 sequence decomposes to more code points than this times its length

# Bits of `Composition.marks` above the combining class.
UNSTABLE = 256  # may change in form C: it decomposes, or composes with what is before it
DECOMPOSES = 512

HANGUL_FIRST, HANGUL_COUNT = 0xAC00, 11172
LEADING_FIRST, LEADING_COUNT = 0x1100, 19
VOWEL_FIRST, VOWEL_COUNT = 0x1161, 21
TRAILING_FIRST, TRAILING_COUNT = 0x11A7, 28

_SHORT_RUN = 16  # marks sorted by insertion; longer runs are counted


class Composition(NamedTuple):
    """The tables as one argument that kernels pass on to each other."""

    blocks: NDArray[np.uint16]  # [0x110000 >> 7]
    marks: NDArray[np.uint16]  # [blocks × 128] combining class and bits
    rows: NDArray[np.uint16]  # [blocks × 128] row of `decompositions`
    decompositions: NDArray[np.int32]  # [rows, 4] full canonical decomposition, 0 after its end
    pairs: NDArray[np.int64]  # [composites] first << 21 | second, ascending
    composites: NDArray[np.int32]  # [composites] what the pair composes to


@cache
def composition_tables() -> Composition:
    """Return the tables, read once per process."""
    with np.load(TABLES_PATH, allow_pickle=False) as stored:
        if str(stored["version"]) != UNICODE_VERSION:
            raise RuntimeError(f"{TABLES_PATH} holds Unicode {stored['version']}, not {UNICODE_VERSION}: reinstall")
        return Composition(*(stored[name] for name in Composition._fields))


@njit(cache=True, nogil=True)
def marks_of(code_point, tables):
    """Return the combining class and bits of a code point."""
    return tables.marks[(np.int64(tables.blocks[code_point >> 7]) << 7) + (code_point & 127)]


@njit(cache=True, nogil=True)
def is_nfc(data, begin, end, tables):
    """Say whether ``data[begin:end]`` passes the quick check; a text that does not may still be in form C."""
    position = begin
    before = np.int64(0)
    while position < end:
        if data[position] < 0xCC:  # below U+0300
            position += 1
            before = np.int64(0)
            continue
        code_point, width = decode(data, position, end)
        position += width
        marks = np.int64(marks_of(code_point, tables))
        if marks & UNSTABLE:
            return False
        combining = marks & 0xFF
        if combining != 0 and combining < before:
            return False
        before = combining
    return True


@njit(cache=True, nogil=True)
def compose_pair(first, second, tables):
    """Return the primary composite of two code points, 0 where there is none."""
    if 0 <= first - LEADING_FIRST < LEADING_COUNT and 0 <= second - VOWEL_FIRST < VOWEL_COUNT:
        return HANGUL_FIRST + ((first - LEADING_FIRST) * VOWEL_COUNT + (second - VOWEL_FIRST)) * TRAILING_COUNT
    syllable = first - HANGUL_FIRST
    if 0 <= syllable < HANGUL_COUNT and syllable % TRAILING_COUNT == 0 and 0 < second - TRAILING_FIRST < TRAILING_COUNT:
        return first + (second - TRAILING_FIRST)
    wanted = (np.int64(first) << 21) | np.int64(second)
    low, high = 0, len(tables.pairs)
    while low < high:
        middle = (low + high) >> 1
        if tables.pairs[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    if low < len(tables.pairs) and tables.pairs[low] == wanted:
        return np.int64(tables.composites[low])
    return np.int64(0)


@njit(cache=True, nogil=True)
def decompose(data, begin, end, tables, code_points):
    """Write the full canonical decomposition of a text, marks not yet in order; return the number of code points."""
    count = 0
    position = begin
    while position < end:
        code_point, width = decode(data, position, end)
        position += width
        syllable = code_point - HANGUL_FIRST
        if 0 <= syllable < HANGUL_COUNT:
            code_points[count] = LEADING_FIRST + syllable // (VOWEL_COUNT * TRAILING_COUNT)
            code_points[count + 1] = VOWEL_FIRST + syllable // TRAILING_COUNT % VOWEL_COUNT
            count += 2
            if syllable % TRAILING_COUNT != 0:
                code_points[count] = TRAILING_FIRST + syllable % TRAILING_COUNT
                count += 1
        elif code_point >= 0xC0 and np.int64(marks_of(code_point, tables)) & DECOMPOSES:
            row = tables.rows[(np.int64(tables.blocks[code_point >> 7]) << 7) + (code_point & 127)]
            for place in range(LONGEST_DECOMPOSITION):
                if tables.decompositions[row, place] == 0:
                    break
                code_points[count] = tables.decompositions[row, place]
                count += 1
        else:
            code_points[count] = code_point
            count += 1
    return count


@njit(allocates=True, cache=True, nogil=True)
def _count_marks_in_order(code_points, begin, end, tables, spare):
    """Put one run of marks in stable order, whatever its length, in linear time."""
    places = np.zeros(257, dtype=np.int64)
    for index in range(begin, end):
        places[(np.int64(marks_of(code_points[index], tables)) & 0xFF) + 1] += 1
    for place in range(256):
        places[place + 1] += places[place]
    for index in range(begin, end):
        combining = np.int64(marks_of(code_points[index], tables)) & 0xFF
        spare[places[combining]] = code_points[index]
        places[combining] += 1
    code_points[begin:end] = spare[: end - begin]


@njit(cache=True, nogil=True)
def order_marks(code_points, count, tables, spare):
    """Put each run of marks in stable order of combining class; `spare` is scratch as long as `code_points`."""
    begin = 0
    while begin < count:
        if np.int64(marks_of(code_points[begin], tables)) & 0xFF == 0:
            begin += 1
            continue
        end = begin + 1
        while end < count and np.int64(marks_of(code_points[end], tables)) & 0xFF != 0:
            end += 1
        if end - begin <= _SHORT_RUN:
            for index in range(begin + 1, end):
                moved = code_points[index]
                combining = np.int64(marks_of(moved, tables)) & 0xFF
                place = index
                while place > begin and np.int64(marks_of(code_points[place - 1], tables)) & 0xFF > combining:
                    code_points[place] = code_points[place - 1]
                    place -= 1
                code_points[place] = moved
        else:
            _count_marks_in_order(code_points, begin, end, tables, spare)
        begin = end


@njit(cache=True, nogil=True)
def compose(data, begin, end, tables, code_points, spare):
    """Write the code points of the form C of ``data[begin:end]``.

    Args:
        data: uint8[:], UTF-8.
        begin: First byte.
        end: Byte after the last.
        tables: `Composition`.
        code_points: int32[:], at least ``CODE_POINTS_PER_BYTE × (end - begin)``; receives the result.
        spare: int32[:], scratch of the same length.

    Returns:
        The number of code points.
    """
    count = decompose(data, begin, end, tables, code_points)
    order_marks(code_points, count, tables, spare)
    written = 0
    starter = -1  # where in the output the last starter stands
    before = np.int64(0)  # class of the last character kept after it
    for index in range(count):
        code_point = code_points[index]
        combining = np.int64(marks_of(code_point, tables)) & 0xFF
        if starter >= 0 and (written == starter + 1 or before < combining):
            composite = compose_pair(code_points[starter], code_point, tables)
            if composite != 0:
                code_points[starter] = composite
                continue
        if combining == 0:
            starter = written
        before = combining
        code_points[written] = code_point
        written += 1
    return written
