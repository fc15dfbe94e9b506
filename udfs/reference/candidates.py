"""Plain twin of `udfs.candidates`: the largest run of at most `most` documents, found by counting every run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations

Row = tuple[int, tuple[int, ...], int]  # bucket, window, node


def split(rows: Iterable[Row], most: int) -> tuple[set[tuple[int, int]], set[tuple[int, tuple[int, ...]]]]:
    """Return the pairs (smaller node first) and the (bucket, window) of runs that cannot be split."""
    runs: dict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
    rows = list(rows)
    for bucket, window, node in rows:
        for depth in range(len(window) + 1):
            runs[bucket, window[:depth]].append(node)
    pairs, unsplittable = set(), set()
    for bucket, window, _ in rows:
        parts = [runs[bucket, window[:depth]] for depth in range(len(window) + 1)]
        part = next((part for part in parts if len(part) <= most), None)
        if part is None:
            unsplittable.add((bucket, window))
            continue
        pairs |= {(min(a, b), max(a, b)) for a, b in combinations(part, 2) if a != b}
    return pairs, unsplittable
