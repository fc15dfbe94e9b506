"""Similarity of pairs: Jaccard, scaled Jaccard and edit similarity against their twins."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.reference import similarity as reference
from udfs.reference.shingles import jaccard as plain_jaccard
from udfs.similarity import edit_similarity, jaccard, packed, scaled, unpacked

sets = st.sets(st.one_of(st.integers(0, 12), st.integers(0, 2**64 - 1)), max_size=12)
sequences = st.lists(st.integers(0, 3), max_size=14)


def pack(values: list[list[int]]) -> pa.Array:
    lengths = np.cumsum([0] + [len(v) for v in values])
    return packed(np.array([h for v in values for h in v], dtype=np.uint64), lengths[:-1], lengths[1:])


@given(st.lists(st.tuples(sets, sets), min_size=1, max_size=4))
def test_jaccard_equals_its_twin(pairs: list[tuple[set[int], set[int]]]) -> None:
    left, right = pack([sorted(a) for a, _ in pairs]), pack([sorted(b) for _, b in pairs])
    assert jaccard(left, right).tolist() == [plain_jaccard(a, b) for a, b in pairs]


@given(st.lists(sequences, max_size=5), st.integers(0, 4))
def test_packed_values_are_read_back_from_any_slice_and_width(values: list[list[int]], start: int) -> None:
    for array in (pack(values), pack(values).cast(pa.binary())):
        hashes, offsets = unpacked(array[start:])
        assert [hashes[b:e].tolist() for b, e in pairwise(offsets)] == values[start:]


@pytest.mark.parametrize("least", [4, 16])
@given(seed=st.integers(0, 10**6), sizes=st.tuples(st.integers(0, 400), st.integers(0, 400), st.integers(0, 400)))
def test_scaled_sets_and_their_similarity_equal_the_twin(least: int, seed: int, sizes: tuple[int, int, int]) -> None:
    draw = random.Random(seed)
    shared, only_a, only_b = ({draw.getrandbits(64) for _ in range(size)} for size in sizes)
    a, b = shared | only_a, shared | only_b
    hashes = np.array(sorted(a) + sorted(b), dtype=np.uint64)
    offsets = np.array([0, len(a), len(a) + len(b)])
    scales, ends = scaled(hashes, offsets, least)
    assert scales.tolist() == [reference.scale_of(a, least), reference.scale_of(b, least)]
    kept = packed(hashes, offsets[:-1], ends)
    found = jaccard(kept[:1], kept[1:], pa.array(scales[:1]), pa.array(scales[1:]))
    assert found[0] == reference.scaled_jaccard(a, b, least)


def test_a_small_set_is_kept_whole_and_a_large_one_keeps_at_least_the_asked_for_hashes() -> None:
    draw = random.Random(1)
    for size in (511, 512, 5000):
        hashes = np.array(sorted(draw.getrandbits(64) for _ in range(size)), dtype=np.uint64)
        scales, ends = scaled(hashes, np.array([0, size]), 64)
        assert (scales[0] == 0) == (size < 512)
        assert ends[0] >= 64


@given(sequences, sequences, st.floats(0, 1))
def test_edit_similarity_equals_its_twin_and_stops_below_the_threshold(
    left: list[int], right: list[int], least: float
) -> None:
    expected = reference.edit_similarity(left, right)
    found = edit_similarity(pack([left]), pack([right]), least)[0]
    assert found == (expected if expected >= least else -1.0)


@pytest.mark.parametrize("edits", [0, 1, 19, 20, 21])
def test_edit_similarity_at_the_threshold_of_a_long_text(edits: int) -> None:
    words = list(range(100))
    changed = [1000 + w if w % 5 == 0 and w // 5 < edits else w for w in words] if edits <= 20 else [*words[21:]]
    found = edit_similarity(pack([words]), pack([changed]), 0.8)[0]
    assert found == (1.0 - edits / 100 if edits <= 20 else -1.0)
