"""A bitmap of 64-bit hashes: a filter small enough to travel with a task.

What is in the set always passes; what is not passes now and then, and is dropped by the join that follows. So texts are
looked through where they lie, and only what passed is shuffled.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

MOST_BITS = 29  # log₂ of the largest bitmap: 64 MB


def bitmap_of(hashes: DataFrame, count: int, bits_per_hash: int = 16) -> NDArray[np.uint64]:
    """Return a bitmap with a bit set for the first bits of every hash.

    One in `bits_per_hash` others passes it, at most, while 64 MB allow that: with 16, up to 33 million hashes.

    Args:
        hashes: One column of 64-bit hashes; repeats do no harm.
        count: About how many.
        bits_per_hash: Bits for each of them.
    """
    (name,) = hashes.columns
    bits = min(MOST_BITS, max(6, math.ceil(math.log2(bits_per_hash * max(count, 1)))))
    filled = (
        hashes.select(F.shiftrightunsigned(name, 64 - bits).alias("place"))
        .groupBy(F.shiftrightunsigned("place", 6).alias("word"))
        .agg(F.expr("bit_or(shiftleft(1L, cast(place & 63 as int)))").alias("bits"))
        .toArrow()
    )
    bitmap = np.zeros(1 << (bits - 6), dtype=np.uint64)
    bitmap[np.asarray(filled.column("word"))] = np.asarray(filled.column("bits")).view(np.uint64)
    return bitmap


def in_bitmap(hashes: NDArray[np.int64], bitmap: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Say which hashes have their bit set."""
    bits = 6 + len(bitmap).bit_length() - 1
    places = np.ascontiguousarray(hashes).view(np.uint64) >> np.uint64(64 - bits)
    return (bitmap[places >> np.uint64(6)] >> (places & np.uint64(63))) & np.uint64(1) == 1
