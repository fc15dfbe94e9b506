"""Shingles: the Jaccard vectors, the twin, and short, empty and odd documents."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.reference import shingles as reference
from udfs.shingles import distinct_shingles, shingles
from udfs.similarity import jaccard, packed

texts = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="aAbB ,.", max_size=60),
    st.text(alphabet="a b中文字กข้x漢。", max_size=30),
)


def shingles_of(text: str, ngram: int, unspaced_ngram: int | None = None) -> list[int]:
    return [int(h) for h in shingles(pa.array([text]), ngram, unspaced_ngram).hashes]


def jaccard_of(a: str, b: str, ngram: int) -> float:
    hashes, offsets = distinct_shingles(pa.array([a, b]), ngram)
    sets = packed(hashes, offsets[:-1], offsets[1:])
    return float(jaccard(sets[:1], sets[1:])[0])


def test_the_jaccard_vectors_hold(vectors: Path) -> None:
    for line in (vectors / "jaccard.jsonl").read_text().splitlines():
        case = json.loads(line)
        assert jaccard_of(case["a"], case["b"], case["n"]) == case["jaccard"], case["id"]


def test_exactly_the_threshold_counts_as_reached() -> None:
    words = [f"w{i}" for i in range(130 + 12)]
    other = [*words[:64], "other", *words[65:]]
    assert jaccard_of(" ".join(words), " ".join(other), 13) == 117 / 143
    assert 104 / 130 >= 0.8


@given(batch=st.lists(st.one_of(st.none(), texts), max_size=5), ngram=st.integers(1, 6), unspaced=st.integers(1, 8))
def test_the_kernel_equals_its_twin(batch: list[str | None], ngram: int, unspaced: int) -> None:
    expected = [reference.shingles(text or "", ngram, unspaced) for text in batch]
    array = pa.array(batch, pa.string())
    found = shingles(array, ngram, unspaced)
    assert [found.hashes[b:e].tolist() for b, e in pairwise(found.offsets)] == expected
    sets = distinct_shingles(array, ngram, unspaced)
    assert [sets.hashes[b:e].tolist() for b, e in pairwise(sets.offsets)] == [
        sorted(set(hashes)) for hashes in expected
    ]


def test_a_text_shorter_than_the_shingle_is_one_shingle() -> None:
    assert len(shingles_of("just three words", 5)) == 1
    assert (
        shingles_of("Just three, words!", 5) == shingles_of("just three words", 5) != shingles_of("just four words", 5)
    )


@pytest.mark.parametrize("text", ["", " \n", "...", "– — !"])
def test_a_text_without_words_has_no_shingle(text: str) -> None:
    assert shingles_of(text, 5) == []


def test_case_and_punctuation_make_no_difference_but_digits_do() -> None:
    assert shingles_of("Hello, World 1", 2) == shingles_of("hello world 1", 2) != shingles_of("hello world 2", 2)


def test_letters_of_scripts_without_spaces_are_words_with_a_length_of_their_own() -> None:
    assert len(shingles_of("今天天气很好", 5)) == 2
    assert len(shingles_of("今天天气很好", 5, unspaced_ngram=3)) == 4
    assert shingles_of("today is fine", 2, unspaced_ngram=3) == shingles_of("today is fine", 2)


def test_what_is_hashed_never_changes() -> None:
    # Stored state depends on it.
    assert shingles_of("the cat sat on the mat", 5) == [0x190536B666F97AA3, 0xFAA87BDCE291021E]


def test_a_length_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one word"):
        shingles(pa.array(["a"]), 0)


def test_slices_and_large_strings_are_read_right() -> None:
    batch = ["zero a b c", None, "one two three four", "", "five"]
    for kind in (pa.string(), pa.large_string()):
        found = shingles(pa.array(batch, kind)[1:], 2)
        assert np.diff(found.offsets).tolist() == [0, 3, 0, 1]
        assert found.hashes.tolist() == [h for text in batch[1:] for h in reference.shingles(text or "", 2)]
