"""Signatures, bands and bit planes: `datasketch` as oracle, the twin, the S-curve vectors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from udfs.minhash import Sketches, SketchParameters, candidate_probability, choose_bands, permutations, sketch
from udfs.reference import minhash as reference
from udfs.reference.shingles import shingles

texts = st.one_of(
    st.text(max_size=80), st.text(alphabet="ab c", max_size=200), st.text(alphabet="中文 字ab", max_size=40)
)
WORDS = " ".join(f"word{i % 57}" for i in range(400))


def sketch_of(text: str, **changes: int) -> Sketches:
    return sketch(pa.array([text]), SketchParameters(**changes))


def datasketch_values(text: str, ngram: int, num_perm: int, seed: int) -> list[int]:
    oracle = MinHash(num_perm=num_perm, seed=seed, scheme="affine32", hashfunc=lambda value: value)
    oracle.update_batch([value % (1 << 32) for value in shingles(text, ngram)])
    return [int(v) for v in oracle.hashvalues]


@given(texts, st.integers(1, 6), st.sampled_from([1, 7, 64, 256, 286]), st.integers(0, 2**32 - 1))
def test_signatures_are_bit_equal_to_datasketch(text: str, ngram: int, num_perm: int, seed: int) -> None:
    found = sketch_of(text, ngram=ngram, num_perm=num_perm, seed=seed, bands=1, rows=1)
    if found.shingle_counts[0]:
        assert found.signatures[0].tolist() == datasketch_values(text, ngram, num_perm, seed)
    else:
        assert shingles(text, ngram) == []


@pytest.mark.parametrize(("num_perm", "bands", "rows"), [(256, 32, 8), (112, 14, 8), (9000, 450, 20), (286, 26, 11)])
def test_signatures_of_every_preset_are_bit_equal_to_datasketch(num_perm: int, bands: int, rows: int) -> None:
    found = sketch_of(WORDS, num_perm=num_perm, bands=bands, rows=rows)
    assert found.signatures[0].tolist() == datasketch_values(WORDS, 5, num_perm, 1)


def test_datasketch_reads_our_signatures() -> None:
    ours = MinHash(num_perm=256, seed=1, scheme="affine32", hashvalues=sketch_of(WORDS).signatures[0])
    theirs = MinHash(num_perm=256, seed=1, scheme="affine32", hashfunc=lambda value: value)
    theirs.update_batch([value % (1 << 32) for value in shingles(WORDS, 5)])
    assert ours.jaccard(theirs) == 1.0


def test_permutations_are_those_of_datasketch() -> None:
    for num_perm, seed in ((128, 1), (256, 42)):
        theirs = MinHash(num_perm=num_perm, seed=seed, scheme="affine32").permutations
        assert np.array_equal(np.array(permutations(num_perm, seed)), theirs)


@given(texts.filter(lambda text: bool(shingles(text, 3))), st.integers(-(2**63), 2**63 - 1))
def test_signature_bands_and_planes_equal_the_twin(text: str, scope: int) -> None:
    parameters = SketchParameters(ngram=3, num_perm=70, bands=10, rows=7, seed=3)
    found = sketch(pa.array([text]), parameters, np.array([scope]))
    expected = reference.signature(shingles(text, 3), 70, 3)
    assert found.shingle_counts[0] == len(shingles(text, 3))
    assert found.signatures[0].tolist() == expected
    assert found.bands[0].tolist() == [reference.band_hash(expected, band, 7, scope) for band in range(10)]
    assert found.planes[0].tolist() == reference.bit_planes(expected)


def test_documents_without_words_take_no_part() -> None:
    found = sketch(pa.array(["", None, "...", "one"]), SketchParameters())
    assert found.shingle_counts.tolist() == [0, 0, 0, 1]


def test_each_document_of_a_batch_is_sketched_as_if_alone() -> None:
    batch = [WORDS, "short", "", WORDS + " more", None, WORDS]
    together = sketch(pa.array(batch), SketchParameters())
    for place, text in enumerate(batch):
        if text:
            alone = sketch(pa.array([text]), SketchParameters())
            for whole, part in zip(together, alone, strict=True):
                assert np.array_equal(whole[place], part[0])


def test_scopes_and_bands_keep_equal_rows_apart() -> None:
    one = sketch(pa.array(["a b c"]), SketchParameters(), np.array([1])).bands[0]
    two = sketch(pa.array(["a b c"]), SketchParameters(), np.array([2])).bands[0]
    assert len({*one.tolist(), *two.tolist()}) == 64


def test_equal_sequences_of_words_have_one_digest_and_others_do_not() -> None:
    found = sketch(pa.array(["a b c", "A, b c!", "a c b", "a b"]), SketchParameters()).sequences
    assert found[0].tolist() == found[1].tolist()
    assert len({tuple(row) for row in found.tolist()}) == 3


def test_the_s_curve_vectors_hold(vectors: Path) -> None:
    for line in (vectors / "s_curve.jsonl").read_text().splitlines():
        case = json.loads(line)
        found = candidate_probability(case["similarity"], case["bands"], case["rows"])
        assert round(found, 4) == case["probability"], case["id"]


def test_the_default_bands_are_the_best_that_find_99_in_100_pairs_at_the_threshold() -> None:
    assert choose_bands(256, 0.8) == (32, 8) == (SketchParameters().bands, SketchParameters().rows)


def test_too_few_permutations_for_a_threshold_are_refused() -> None:
    with pytest.raises(ValueError, match="use more"):
        choose_bands(2, 0.5)


def test_impossible_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="need more than"):
        SketchParameters(num_perm=100, bands=32, rows=8)
    with pytest.raises(ValueError, match="at least 1"):
        SketchParameters(ngram=0)
