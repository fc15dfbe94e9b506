"""Pairs of buckets: the twin, any cut of the stream into batches, and buckets that cannot be split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.candidates import Found, Splitter
from udfs.reference.candidates import Row, split

rows_of_windows = st.integers(0, 4).flatmap(
    lambda width: st.tuples(
        st.just(width),
        st.lists(
            st.tuples(st.integers(0, 2), st.tuples(*[st.integers(0, 2)] * width), st.integers(-(2**63), 2**63 - 1)),
            max_size=60,
        ),
    )
)


def run(
    rows: list[Row], most: int, width: int, batch: int
) -> tuple[list[tuple[int, int]], list[tuple[int, tuple[int, ...]]]]:
    rows = sorted(rows)
    splitter = Splitter(most, width)
    found: list[Found] = []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        windows = np.array([window for _, window, _ in part], dtype=np.uint32).reshape(len(part), width)
        found.append(splitter.take(np.array([b for b, _, _ in part]), windows, np.array([n for _, _, n in part])))
    found.append(splitter.finish())
    pairs = [pair for f in found for pair in zip(f.left.tolist(), f.right.tolist(), strict=True)]
    runs = [(b, tuple(w)) for f in found for b, w in zip(f.unsplittable.tolist(), f.windows.tolist(), strict=True)]
    return pairs, runs


@given(rows_of_windows, st.integers(1, 6), st.integers(1, 70))
def test_the_kernel_equals_its_twin_however_the_stream_is_cut(
    case: tuple[int, list[Row]], most: int, batch: int
) -> None:
    width, rows = case
    rows = list({node: (bucket, window, node) for bucket, window, node in rows}.values())
    pairs, runs = run(rows, most, width, batch)
    expected_pairs, expected_runs = split(rows, most)
    assert sorted(pairs) == sorted(expected_pairs)  # each once: nodes are distinct
    assert sorted(runs) == sorted(expected_runs)


def test_a_bucket_that_fits_gives_all_its_pairs() -> None:
    assert run([(7, (), node) for node in range(64)], 64, 0, 10) == (
        [(i, j) for i in range(64) for j in range(i + 1, 64)],
        [],
    )


def test_a_larger_bucket_without_windows_is_reported_and_gives_none() -> None:
    assert run([(7, (), node) for node in range(65)], 64, 0, 10) == ([], [(7, ())])


def test_a_million_equal_pages_are_one_report() -> None:
    splitter = Splitter(64, 2)
    reports = 0
    for start in range(0, 1_000_000, 10_000):
        found = splitter.take(
            np.zeros(10_000, dtype=np.int64), np.ones((10_000, 2), dtype=np.uint32), np.arange(start, start + 10_000)
        )
        assert len(found.left) == 0
        reports += len(found.unsplittable)
    assert reports == 1
    assert len(splitter.finish().left) == 0


def test_two_rows_of_one_name_make_no_pair() -> None:
    assert run([(1, (), 5), (1, (), 5), (1, (), 6)], 64, 0, 3)[0] == [(5, 6), (5, 6)]


def test_a_part_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one document"):
        Splitter(0, 0)
