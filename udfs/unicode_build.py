"""Build ``unicode_tables.npz`` from the Unicode data of a Python that carries exactly Unicode 14.0.0 (CPython 3.11).

Run as ``python -m udfs.unicode_build``. It refuses any other version: the tables are pinned, so that word boundaries,
categories and case folding do not change with the Python that runs. Moving to another Unicode version is a change of
every signal's definition.
"""

from __future__ import annotations

import unicodedata

import numpy as np

from udfs.unicode import (
    ALPHA,
    BLOCK_BITS,
    CASE_IGNORABLE,
    CASED,
    DIGIT,
    FOLDS,
    HAN,
    HAN_RANGES,
    LOWERS,
    MARK,
    NUMERIC,
    OWN_WORD,
    OWN_WORD_RANGES,
    PUNCTUATION,
    SPACE,
    TABLES_PATH,
    UNICODE_VERSION,
)

CODE_POINTS = 0x110000


def classes_of(code_point: int) -> int:
    """Return the class bits of one code point (see the constants in `udfs.unicode`)."""
    character = chr(code_point)
    category = unicodedata.category(character)
    bits = 0
    if character.isspace():
        bits |= SPACE
    if category[0] in "PS":
        bits |= PUNCTUATION
    if category[0] == "L":
        bits |= ALPHA
    if category[0] == "M":
        bits |= MARK
    if category == "Nd":
        bits |= DIGIT
    if character.isnumeric() or character.isdigit():
        bits |= NUMERIC
    if category[0] == "L" and any(first <= code_point <= last for first, last in OWN_WORD_RANGES):
        bits |= OWN_WORD
    if category[0] == "L" and any(first <= code_point <= last for first, last in HAN_RANGES):
        bits |= HAN
    if character.casefold() != character:
        bits |= FOLDS
    if character.lower() != character:
        bits |= LOWERS
    # unicodedata has neither Cased nor Case_Ignorable; str.lower() shows both by what it does to a sigma that follows.
    if ("A" + character + "Σ").lower().endswith("ς"):
        bits |= CASED if (character + "Σ").lower().endswith("ς") else CASE_IGNORABLE
    return bits


def build() -> dict[str, np.ndarray]:
    """Return the arrays of `udfs.unicode.Tables`.

    Raises:
        RuntimeError: this Python carries another Unicode version than the pinned one.
    """
    if unicodedata.unidata_version != UNICODE_VERSION:
        raise RuntimeError(
            f"this Python carries Unicode {unicodedata.unidata_version}; the tables are pinned to {UNICODE_VERSION}: "
            "build them with CPython 3.11"
        )
    classes = np.zeros(CODE_POINTS, dtype=np.uint16)
    rows = np.zeros(CODE_POINTS, dtype=np.uint16)
    folds: list[tuple[int, ...]] = [(0, 0, 0)]
    lowers: list[tuple[int, ...]] = [(0, 0)]
    for code_point in range(CODE_POINTS):
        classes[code_point] = classes_of(code_point)
        character = chr(code_point)
        folded, lowered = character.casefold(), character.lower()
        if folded != character or lowered != character:
            rows[code_point] = len(folds)
            folds.append(tuple(map(ord, folded)) + (0,) * (3 - len(folded)))
            lowers.append(tuple(map(ord, lowered)) + (0,) * (2 - len(lowered)))
    size = 1 << BLOCK_BITS
    unique: dict[bytes, int] = {}
    blocks = np.zeros(CODE_POINTS // size, dtype=np.uint16)
    class_blocks, row_blocks = [], []
    for block in range(CODE_POINTS // size):
        part = slice(block * size, (block + 1) * size)
        content = classes[part].tobytes() + rows[part].tobytes()
        if content not in unique:
            unique[content] = len(unique)
            class_blocks.append(classes[part])
            row_blocks.append(rows[part])
        blocks[block] = unique[content]
    return {
        "blocks": blocks,
        "classes": np.concatenate(class_blocks),
        "case_rows": np.concatenate(row_blocks),
        "folds": np.array(folds, dtype=np.int32),
        "lowers": np.array(lowers, dtype=np.int32),
        "version": np.array(UNICODE_VERSION),
    }


if __name__ == "__main__":
    np.savez_compressed(TABLES_PATH, **build())  # type: ignore[arg-type]
    print(f"{TABLES_PATH.name}: Unicode {UNICODE_VERSION}, {TABLES_PATH.stat().st_size} bytes")
