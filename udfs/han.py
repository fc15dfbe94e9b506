"""Which Han letters exist in one written form only: traditional or simplified Chinese.

- `han_char_fraction` = Han letters / word characters.
- `traditional_char_fraction` = letters of the traditional form only / letters of one form only: near 1 for
  traditional text, near 0 for
  simplified text, 0 where there is no such letter. Most Han letters have one form and say nothing.

The letters are OpenCC's (``han_variants.txt`` says how they were chosen, and their licence).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FIRST_CODE_POINT = 0x3400
TRADITIONAL = 1
SIMPLIFIED = 2
_PATH = Path(__file__).with_name("han_variants.txt")


@cache
def read_variants() -> tuple[frozenset[str], frozenset[str]]:
    """Return the letters of the traditional form only, and those of the simplified form only."""
    lines = [line.split() for line in _PATH.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    letters = dict(lines)
    return frozenset(letters["traditional"]), frozenset(letters["simplified"])


@cache
def load_variants() -> NDArray[np.uint8]:
    """Return TRADITIONAL, SIMPLIFIED or 0 (both, neither) for each code point from U+3400; read once per process."""
    variants = np.zeros(0x40000 - FIRST_CODE_POINT, dtype=np.uint8)
    for form, letters in zip((TRADITIONAL, SIMPLIFIED), read_variants(), strict=True):
        variants[[ord(letter) - FIRST_CODE_POINT for letter in letters]] = form
    return variants
