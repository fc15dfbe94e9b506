"""Digests of texts: 128 bits that are equal when two texts are the same after normalisation.

Levels of normalisation, a choice of the recipe (`dedup_exact.normalise`):

- ``none``: the text as it is;
- ``whitespace``: runs of whitespace (`udfs.unicode.SPACE`) become one space, none at the ends;
- ``full``: form C (`udfs.nfc`), then full case folding (pinned Unicode), then whitespace as above.

The digest is BLAKE2b-128 of the UTF-8 bytes of what is left. A text of which nothing is left has none: empty pages are
not copies of each other. The hash is cryptographic because pages come from strangers: nobody can write two pages that
collide and so delete another's. By accident, 10¹⁰ texts hold two with equal digests with odds of 10⁻¹⁹.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from hashlib import blake2b
from itertools import pairwise
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels import njit
from udfs.nfc import CODE_POINTS_PER_BYTE, Composition, compose, composition_tables, is_nfc
from udfs.tokens import string_buffers, tables_for_kernels
from udfs.unicode import FOLDS, SPACE, Tables, case_row_of, class_of, decode

Level = Literal["none", "whitespace", "full"]
LEVELS: tuple[Level, ...] = ("none", "whitespace", "full")

DIGEST_BYTES = 16
MOST_EXPANSION = (
    3  # bytes out for a byte in: U+0390 folds to three code points of two bytes, U+0DDD decomposes likewise
)


@njit(cache=True, nogil=True)
def encode(code_point, out, position):
    """Write a code point as UTF-8 at `position` of `out`; return the position after it."""
    if code_point < 0x80:
        out[position] = code_point
        return position + 1
    if code_point < 0x800:
        out[position] = 0xC0 | (code_point >> 6)
        out[position + 1] = 0x80 | (code_point & 0x3F)
        return position + 2
    if code_point < 0x10000:
        out[position] = 0xE0 | (code_point >> 12)
        out[position + 1] = 0x80 | ((code_point >> 6) & 0x3F)
        out[position + 2] = 0x80 | (code_point & 0x3F)
        return position + 3
    out[position] = 0xF0 | (code_point >> 18)
    out[position + 1] = 0x80 | ((code_point >> 12) & 0x3F)
    out[position + 2] = 0x80 | ((code_point >> 6) & 0x3F)
    out[position + 3] = 0x80 | (code_point & 0x3F)
    return position + 4


@njit(cache=True, nogil=True)
def fold_into(code_point, tables, out, position):
    """Write the full case folding of a code point as UTF-8; return the position after it."""
    if np.int64(class_of(code_point, tables)) & FOLDS == 0:
        return encode(code_point, out, position)
    row = case_row_of(code_point, tables)
    position = encode(np.int64(tables.folds[row, 0]), out, position)
    if tables.folds[row, 1] != 0:
        position = encode(np.int64(tables.folds[row, 1]), out, position)
        if tables.folds[row, 2] != 0:
            position = encode(np.int64(tables.folds[row, 2]), out, position)
    return position


@njit(cache=True, nogil=True)
def _end_gap(space, start, out, position):
    """Write the space that a run of whitespace becomes, none at the beginning; return the position after it."""
    if space and position > start:
        out[position] = 0x20
        position += 1
    return position


@njit(allocates=True, cache=True, nogil=True)
def _normalise_composed(data, begin, end, tables, composition, out, start):
    """Write the normalised text where it has to be brought into form C first; as `normalise_text`."""
    code_points = np.empty(CODE_POINTS_PER_BYTE * (end - begin), dtype=np.int32)
    count = compose(data, begin, end, composition, code_points, np.empty_like(code_points))
    return _fold_all(code_points, count, tables, out, start)


@njit(cache=True, nogil=True)
def _fold_all(code_points, count, tables, out, start):
    """Write the case folding of code points, runs of whitespace as one space; return the position after it."""
    position = start
    space = False
    for index in range(count):
        code_point = np.int64(code_points[index])
        if np.int64(class_of(code_point, tables)) & SPACE:
            space = True
            continue
        position = _end_gap(space, start, out, position)
        space = False
        position = fold_into(code_point, tables, out, position)
    return position


@njit(cache=True, nogil=True)
def normalise_text(data, begin, end, full, tables, composition, out, start):
    """Write the normalised text of ``data[begin:end]`` to `out` from `start` on.

    Args:
        data: uint8[:], UTF-8.
        begin: First byte.
        end: Byte after the last.
        full: Form C and case folding too, not whitespace only.
        tables: `udfs.unicode.Tables`.
        composition: `udfs.nfc.Composition`.
        out: uint8[:], at least ``MOST_EXPANSION × (end - begin)`` bytes from `start` on.
        start: Where to begin in `out`.

    Returns:
        The position after the last byte written.
    """
    if full and not is_nfc(data, begin, end, composition):
        return _normalise_composed(data, begin, end, tables, composition, out, start)
    position = start
    space = False  # whitespace seen since the last character
    place = begin
    while place < end:
        byte = data[place]
        if byte < 0x80:
            place += 1
            if np.int64(tables.classes[byte]) & SPACE:
                space = True
                continue
            position = _end_gap(space, start, out, position)
            space = False
            if full and 0x41 <= byte <= 0x5A:
                byte |= np.uint8(0x20)
            out[position] = byte
            position += 1
            continue
        code_point, width = decode(data, place, end)
        if np.int64(class_of(code_point, tables)) & SPACE:
            space = True
            place += width
            continue
        position = _end_gap(space, start, out, position)
        space = False
        if full:
            position = fold_into(code_point, tables, out, position)
        else:
            for index in range(place, place + width):
                out[position] = data[index]
                position += 1
        place += width
    return position


@njit(cache=True, nogil=True)
def _normalise_batch(data, offsets, full, tables, composition, out, ends):
    """Normalise every document of a batch one after another."""
    position = 0
    for document in range(len(offsets) - 1):
        position = normalise_text(
            data, offsets[document], offsets[document + 1], full, tables, composition, out, position
        )
        ends[document] = position


def normalised(text: pa.Array, level: Level) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes and offsets (documents + 1) of the normalised texts of a string array; a null is empty.

    Raises:
        TypeError: `text` is not a string array.
        ValueError: an unknown level.
    """
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
    data, offsets = string_buffers(text)
    if level == "none":
        return data, offsets
    tables: Tables = tables_for_kernels()
    composition: Composition = composition_tables()
    expansion = MOST_EXPANSION if level == "full" else 1
    out = np.empty(int(offsets[-1] - offsets[0]) * expansion, dtype=np.uint8)
    ends = np.zeros(len(offsets), dtype=np.int64)
    _normalise_batch(data, offsets, level == "full", tables, composition, out, ends[1:])
    return out, ends


def text_digests(text: pa.Array, level: Level = "full") -> pa.Array:
    """Return the digests of a string array.

    Args:
        text: ``string`` or ``large_string``.
        level: How much is normalised away.

    Returns:
        ``binary`` of 16 bytes each; null where nothing is left of the text.

    Raises:
        TypeError: `text` is not a string array.
        ValueError: an unknown level.
    """
    data, offsets = normalised(text, level)
    view = memoryview(data)  # type: ignore[arg-type]
    bounds = offsets.tolist()
    digests = [
        blake2b(view[begin:end], digest_size=DIGEST_BYTES).digest() if end > begin else None
        for begin, end in pairwise(bounds)
    ]
    return pa.array(digests, pa.binary())
