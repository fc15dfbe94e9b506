"""Resolution in one task: both policies against their twins, and graphs of every shape."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.reference import resolution as reference
from udfs.resolution import components, removed_nodes

Pairs = list[tuple[int, int]]
graphs = st.lists(
    st.tuples(st.integers(0, 14), st.integers(0, 14)).filter(lambda pair: pair[0] != pair[1]), max_size=40
)


def arrays(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    return np.array([a for a, _ in pairs], dtype=np.int64), np.array([b for _, b in pairs], dtype=np.int64)


def removed(pairs: Pairs, rank: dict[int, int]) -> list[int]:
    return removed_nodes(*arrays([(a, b) if rank[a] < rank[b] else (b, a) for a, b in pairs])).tolist()


@given(graphs, st.permutations(range(15)))
def test_representatives_equal_the_greedy_set_by_rank(pairs: Pairs, ranked: list[int]) -> None:
    rank = {node: place for place, node in enumerate(ranked)}
    assert removed(pairs, rank) == sorted(reference.representatives(ranked, pairs))


@given(graphs)
def test_components_equal_the_closure(pairs: Pairs) -> None:
    nodes, labels = components(*arrays(pairs))
    expected = reference.components({node for pair in pairs for node in pair}, pairs)
    assert dict(zip(nodes.tolist(), labels.tolist(), strict=True)) == expected


def test_of_a_path_ranked_along_it_every_other_one_stays() -> None:
    path = [(i, i + 1) for i in range(100_000)]
    assert removed(path, {i: i for i in range(100_001)}) == list(range(1, 100_001, 2))


def test_of_a_star_only_the_centre_stays_when_it_is_best_and_only_the_centre_goes_when_it_is_not() -> None:
    star = [(0, i) for i in range(1, 1000)]
    assert removed(star, {i: i for i in range(1000)}) == list(range(1, 1000))
    assert removed(star, {i: -i for i in range(1000)}) == [0]


def test_of_a_clique_the_best_stays() -> None:
    clique = [(i, j) for i in range(60) for j in range(i)]
    assert removed(clique, {i: (i * 7) % 60 for i in range(60)}) == list(range(1, 60))


def test_a_power_law_is_resolved_as_greedily() -> None:
    draw = random.Random(7)
    pairs = [(int(draw.paretovariate(0.8)) % 3000, draw.randrange(3000)) for _ in range(9000)]
    pairs = [(a, b) for a, b in pairs if a != b]
    ranked = draw.sample(range(3000), 3000)
    assert removed(pairs, {node: place for place, node in enumerate(ranked)}) == sorted(
        reference.representatives(ranked, pairs)
    )


def test_directions_that_come_from_no_order_are_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        removed_nodes(np.array([1, 2, 3]), np.array([2, 3, 1]))


def test_no_pairs_remove_nothing() -> None:
    assert removed([], {}) == []
    assert [len(part) for part in components(*arrays([]))] == [0, 0]
