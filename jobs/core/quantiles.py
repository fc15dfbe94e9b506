"""Exact quantiles of signals, for bounds such as ``min: p90``.

The quantile p of n values is the ⌈p · n / 100⌉-th smallest (the first for p0). It is found by counting: a range of
values is cut into `BUCKETS` equal parts, counted, and the part that holds the rank is cut again, until it is one value
or few. The result depends on the values alone. Shuffled: at most `BUCKETS` counts a task and round; three or four
rounds are usual, one more for each factor of `BUCKETS` in how unevenly values lie.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.core.errors import ConfigurationError

BUCKETS = 256
FEW = 4096  # distinct values that are looked at one by one


def exact_quantiles(values: DataFrame, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """The value of each (column, quantile such as ``p90``); NULL and NaN are no values.

    Raises ``ConfigurationError`` where a column has no value at all.
    """
    return {(name, quantile): _quantile(values, name, quantile) for name, quantile in wanted}


def rank_of(quantile: str, count: int) -> int:
    """Which of ``count`` values in order a quantile is, from 1."""
    return max(1, math.ceil(Fraction(quantile[1:]) * count / 100))


def _quantile(values: DataFrame, name: str, quantile: str) -> float:
    value = F.col(f"`{name}`").cast("double")
    numbers = values.select(value.alias("value")).where(F.col("value").isNotNull() & ~F.isnan("value"))
    count, low, high = _extent(numbers)
    if count == 0:
        raise ConfigurationError(
            f"the bound {quantile} on {name} cannot be found: no document has that signal",
            next_step="write a number, or turn the rule off",
        )
    rank = rank_of(quantile, count)
    while low < high:
        inside = numbers.where(F.col("value").between(low, high))
        if count <= FEW:
            return _nth(inside, rank)
        counted = (
            inside.groupBy(_bucket(low, high).alias("bucket"))
            .agg(F.count("value").alias("count"), F.min("value").alias("low"), F.max("value").alias("high"))
            .orderBy("bucket")
            .collect()  # at most BUCKETS rows
        )
        for row in counted:
            if rank <= row["count"]:
                count, low, high = row["count"], row["low"], row["high"]
                break
            rank -= row["count"]
    return float(low)


def _extent(numbers: DataFrame) -> tuple[int, float, float]:
    row = numbers.agg(F.count("value"), F.min("value"), F.max("value")).collect()[0]
    return int(row[0]), row[1], row[2]


def _bucket(low: float, high: float) -> Column:
    # Halves, so that the width of the widest range there is does not overflow.
    place = (F.col("value") / 2 - F.lit(low / 2)) / F.lit(high / 2 - low / 2) * BUCKETS
    return F.least(F.floor(place), F.lit(BUCKETS - 1))


def _nth(numbers: DataFrame, rank: int) -> float:
    for row in numbers.groupBy("value").count().orderBy("value").collect():  # at most FEW rows
        rank -= row["count"]
        if rank <= 0:
            return float(row["value"])
    raise AssertionError("the values changed while they were counted")
