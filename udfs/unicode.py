"""Pinned Unicode 14.0.0: what kind of character a code point is, its case folding and its lower case, as flat arrays
for kernels.

Python's own `unicodedata` changes with the Python that runs, Spark's with the JVM; the answers of a corpus must not.
The tables are built by `udfs.unicode_build` and stored in ``unicode_tables.npz`` (its source and licence:
``unicode_tables.LICENSE``).

Lookup is two-stage: ``classes[(blocks[c >> BLOCK_BITS] << BLOCK_BITS) + (c & BLOCK_MASK)]``; block 0 comes first, so
``classes[c]`` is enough for ASCII. ``case_rows`` is indexed the same way and gives the row of ``folds`` and
``lowers`` (0 = maps to itself).
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels import njit

UNICODE_VERSION = "14.0.0"
TABLES_PATH = Path(__file__).with_name("unicode_tables.npz")

BLOCK_BITS = 7
BLOCK_MASK = (1 << BLOCK_BITS) - 1

# Class bits.
SPACE = 1  # what str.split() splits on
PUNCTUATION = 2  # categories P* and S*: punctuation and symbols
ALPHA = 4  # categories L*, which is str.isalpha()
MARK = 8  # categories M*
OWN_WORD = 16  # letters that are a word of their own: Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar
HAN = 32  # Han letters
DIGIT = 64  # category Nd
NUMERIC = 128  # str.isnumeric(); str.isalnum() is ALPHA or NUMERIC
FOLDS = 256  # its full case folding is another string
LOWERS = 512  # its lower case is another string
CASED = 1024  # cased and not case-ignorable: what a final sigma must follow
CASE_IGNORABLE = 2048  # skipped when looking for the cased letter beside a sigma

OWN_WORD_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana phonetic extensions
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # Han, compatibility
    (0xFF66, 0xFF9F),  # Katakana, half width
    (0x20000, 0x3FFFF),  # Han, supplementary planes
)
HAN_RANGES = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))


class Tables(NamedTuple):
    """The tables as one argument that kernels pass on to each other."""

    blocks: NDArray[np.uint16]  # [0x110000 >> BLOCK_BITS]
    classes: NDArray[np.uint16]  # [blocks × 128] class bits
    case_rows: NDArray[np.uint16]  # [blocks × 128] row of `folds` and `lowers`
    folds: NDArray[np.int32]  # [rows, 3] full case folding, 0 after its end
    lowers: NDArray[np.int32]  # [rows, 2] full lower case, 0 after its end (final sigma is the caller's)


@cache
def load_tables() -> Tables:
    """Return the tables, read once per process."""
    with np.load(TABLES_PATH, allow_pickle=False) as stored:
        if str(stored["version"]) != UNICODE_VERSION:
            raise RuntimeError(f"{TABLES_PATH} holds Unicode {stored['version']}, not {UNICODE_VERSION}: reinstall")
        return Tables(*(stored[name] for name in Tables._fields))


@njit(cache=True, nogil=True)
def class_of(code_point, tables):
    """Return the class bits of one code point, 0 <= code_point < 0x110000."""
    return tables.classes[(np.int64(tables.blocks[code_point >> 7]) << 7) + (code_point & 127)]


@njit(cache=True, nogil=True)
def case_row_of(code_point, tables):
    """Return the row of `folds` and `lowers` that belongs to a code point; row 0 means that it maps to itself."""
    return tables.case_rows[(np.int64(tables.blocks[code_point >> 7]) << 7) + (code_point & 127)]


@njit(cache=True, nogil=True)
def decode(data, position, end):
    """Return (code point, bytes) of the UTF-8 sequence at `position` < `end`; a byte that begins none is U+FFFD of
    one byte.

    Never reads at or after `end`. Surrogates and overlong forms are not looked for: Arrow strings are valid UTF-8,
    and what is returned for other bytes is only promised to be below 0x110000.
    """
    first = np.int64(data[position])
    if first < 0x80:
        return first, np.int64(1)
    if first >= 0xC2:
        if first < 0xE0:
            if position + 1 < end and (data[position + 1] & 0xC0) == 0x80:
                return ((first & 0x1F) << 6) | np.int64(data[position + 1] & 0x3F), np.int64(2)
        elif first < 0xF0:
            if position + 2 < end and (data[position + 1] & 0xC0) == 0x80 and (data[position + 2] & 0xC0) == 0x80:
                return (
                    ((first & 0x0F) << 12)
                    | (np.int64(data[position + 1] & 0x3F) << 6)
                    | np.int64(data[position + 2] & 0x3F)
                ), np.int64(3)
        elif (
            position + 3 < end
            and (data[position + 1] & 0xC0) == 0x80
            and (data[position + 2] & 0xC0) == 0x80
            and (data[position + 3] & 0xC0) == 0x80
        ):
            code_point = (
                ((first & 0x07) << 18)
                | (np.int64(data[position + 1] & 0x3F) << 12)
                | (np.int64(data[position + 2] & 0x3F) << 6)
                | np.int64(data[position + 3] & 0x3F)
            )
            if first <= 0xF4 and code_point < 0x110000:
                return code_point, np.int64(4)
    return np.int64(0xFFFD), np.int64(1)
