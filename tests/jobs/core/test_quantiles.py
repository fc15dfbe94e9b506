"""Exact quantiles: the value at a rank, whatever values there are and however they lie."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.core import quantiles
from jobs.core.errors import ConfigurationError


@pytest.mark.parametrize(("quantile", "count", "rank"), [
    ("p0", 10, 1), ("p50", 10, 5), ("p90", 10, 9), ("p90", 11, 10), ("p100", 7, 7), ("p99.9", 1000, 999),
    ("p7", 100, 7),
])  # fmt: skip
def test_the_rank_of_a_quantile_is_exact(quantile: str, count: int, rank: int) -> None:
    assert quantiles.rank_of(quantile, count) == rank


def test_quantiles_are_the_sorted_values_at_their_ranks(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantiles, "FEW", 3)
    draw = random.Random(5)
    columns = {
        "even": [draw.random() for _ in range(2000)],
        "skewed": [10.0 ** draw.uniform(-12, 12) * draw.choice((-1, 1)) for _ in range(2000)],
        "tied": [float(draw.choice((0, 0, 0, 1, 7))) for _ in range(2000)],
        "gaps": [draw.choice((None, math.nan, 0.25, 1e308, -1e308)) for _ in range(2000)],
    }
    pq.write_table(pa.table(columns), tmp_path / "values.parquet")
    frame = spark.read.parquet(str(tmp_path)).repartition(3)
    wanted = [(name, at) for name in columns for at in ("p10", "p99.9")]
    found = quantiles.exact_quantiles(frame, wanted)
    for name, at in wanted:
        values = sorted(v for v in columns[name] if v is not None and not math.isnan(v))
        assert found[name, at] == values[math.ceil(float(at[1:]) * len(values) / 100 - 1e-9) - 1], (name, at)


def test_a_signal_without_values_has_no_quantile(spark: Any) -> None:
    with pytest.raises(ConfigurationError, match="the bound p90 on score cannot be found: no document has that signal"):
        quantiles.exact_quantiles(spark.sql("select cast(null as double) as score"), [("score", "p90")])
