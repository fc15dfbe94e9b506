"""Build ``nfc_tables.npz`` from the Unicode data of a Python that carries exactly the pinned version (CPython 3.11).

Run as ``python -m udfs.nfc_build``. It refuses any other version.
"""

from __future__ import annotations

import unicodedata

import numpy as np

from udfs.nfc import (
    DECOMPOSES,
    HANGUL_COUNT,
    HANGUL_FIRST,
    LONGEST_DECOMPOSITION,
    TABLES_PATH,
    TRAILING_COUNT,
    TRAILING_FIRST,
    UNSTABLE,
    VOWEL_COUNT,
    VOWEL_FIRST,
)
from udfs.unicode import BLOCK_BITS, UNICODE_VERSION

CODE_POINTS = 0x110000


def build() -> dict[str, np.ndarray]:
    """Return the arrays of `udfs.nfc.Composition`.

    Raises:
        RuntimeError: this Python carries another Unicode version than the pinned one.
    """
    if unicodedata.unidata_version != UNICODE_VERSION:
        raise RuntimeError(
            f"this Python carries Unicode {unicodedata.unidata_version}; the tables are pinned to {UNICODE_VERSION}: "
            "build them with CPython 3.11"
        )
    composites = _composites()
    seconds = {pair[1] for pair in composites}
    jamo = {*range(VOWEL_FIRST, VOWEL_FIRST + VOWEL_COUNT), *range(TRAILING_FIRST + 1, TRAILING_FIRST + TRAILING_COUNT)}
    marks = np.zeros(CODE_POINTS, dtype=np.uint16)
    rows = np.zeros(CODE_POINTS, dtype=np.uint16)
    decompositions: list[tuple[int, ...]] = [(0,) * LONGEST_DECOMPOSITION]
    for code_point in range(CODE_POINTS):
        character = chr(code_point)
        marks[code_point] = unicodedata.combining(character)
        if unicodedata.normalize("NFC", character) != character or code_point in seconds or code_point in jamo:
            marks[code_point] |= UNSTABLE
        decomposed = unicodedata.normalize("NFD", character)
        if decomposed != character and not HANGUL_FIRST <= code_point < HANGUL_FIRST + HANGUL_COUNT:
            marks[code_point] |= DECOMPOSES
            rows[code_point] = len(decompositions)
            decompositions.append(tuple(map(ord, decomposed)) + (0,) * (LONGEST_DECOMPOSITION - len(decomposed)))
    size = 1 << BLOCK_BITS
    unique: dict[bytes, int] = {}
    blocks = np.zeros(CODE_POINTS // size, dtype=np.uint16)
    mark_blocks, row_blocks = [], []
    for block in range(CODE_POINTS // size):
        part = slice(block * size, (block + 1) * size)
        content = marks[part].tobytes() + rows[part].tobytes()
        if content not in unique:
            unique[content] = len(unique)
            mark_blocks.append(marks[part])
            row_blocks.append(rows[part])
        blocks[block] = unique[content]
    pairs = sorted(composites)
    return {
        "blocks": blocks,
        "marks": np.concatenate(mark_blocks),
        "rows": np.concatenate(row_blocks),
        "decompositions": np.array(decompositions, dtype=np.int32),
        "pairs": np.array([first << 21 | second for first, second in pairs], dtype=np.int64),
        "composites": np.array([composites[pair] for pair in pairs], dtype=np.int32),
        "version": np.array(UNICODE_VERSION),
    }


def _composites() -> dict[tuple[int, int], int]:
    """Pair of code points to primary composite: canonical decompositions into two that form C does not exclude."""
    found = {}
    for code_point in range(CODE_POINTS):
        decomposition = unicodedata.decomposition(chr(code_point)).split()
        canonical = len(decomposition) == 2 and not decomposition[0].startswith("<")
        if canonical and unicodedata.normalize("NFC", chr(code_point)) == chr(code_point):
            first, second = (int(part, 16) for part in decomposition)
            found[first, second] = code_point
    return found


if __name__ == "__main__":
    np.savez_compressed(TABLES_PATH, **build())  # type: ignore[arg-type]
    print(f"{TABLES_PATH.name}: Unicode {UNICODE_VERSION}, {TABLES_PATH.stat().st_size} bytes")
