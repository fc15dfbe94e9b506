"""The linear classifier: its plain twin, what is stored, and what damage does to it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs import classifier
from udfs.reference import classifier as plain

HARMFUL = [f"buy cheap pills number {n} now and win a prize without a prescription" for n in range(30)]
PLAIN = [f"the council met on day {n} of the month to discuss the school and its garden" for n in range(30)]
TEXTS = pa.array(HARMFUL + PLAIN)
LABELS = np.array([True] * 30 + [False] * 30)
SHAPE = classifier.Shape(ngram=2, bits=12)


@pytest.fixture(scope="module")
def model() -> classifier.Model:
    return classifier.train(TEXTS, LABELS, SHAPE)


@given(st.lists(st.text(max_size=60) | st.sampled_from(HARMFUL + PLAIN) | st.none(), min_size=1, max_size=5))
def test_the_kernel_scores_as_the_plain_twin(model: classifier.Model, texts: list[str | None]) -> None:
    ours = classifier.score(pa.array(texts, pa.string()), model).to_pylist()
    for one, text in zip(ours, texts, strict=True):
        expected = plain.score(text, model)
        assert (one is None) == (expected is None)
        assert one is None or one == pytest.approx(expected, abs=1e-9)


def test_a_model_tells_its_examples_apart_and_knows_new_ones(model: classifier.Model) -> None:
    scores = classifier.score(pa.array(["win cheap pills now", "the school garden of the council"]), model).to_pylist()
    assert scores[0] > 0.9
    assert scores[1] < 0.1


def test_examples_in_any_order_give_the_same_weights(model: classifier.Model) -> None:
    order = np.random.default_rng(3).permutation(len(LABELS))
    again = classifier.train(TEXTS.take(pa.array(order)), LABELS[order], SHAPE)
    assert again.bias == model.bias
    assert np.array_equal(again.weights, model.weights)


def test_examples_of_one_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="both kinds"):
        classifier.train(TEXTS, np.ones(60, dtype=bool), SHAPE)


def test_a_stored_model_is_the_same_and_holds_no_pickle(model: classifier.Model, tmp_path: Path) -> None:
    digest = classifier.save_model(model, tmp_path / "m", {})
    read = classifier.load_model(str(tmp_path / "m"), digest)
    assert read.bias == model.bias
    assert np.array_equal(read.weights, model.weights)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["model.json", "weights.npy"]
    assert json.loads((tmp_path / "m" / "model.json").read_text())["shape"] == {"ngram": 2, "bits": 12}


def test_changed_weights_and_another_models_digest_are_refused(model: classifier.Model, tmp_path: Path) -> None:
    classifier.save_model(model, tmp_path, {})
    with pytest.raises(ValueError, match="not the SHA-256 that is asked for"):
        classifier.load_model(str(tmp_path), "0" * 64)
    stored = bytearray((tmp_path / "weights.npy").read_bytes())
    stored[-1] ^= 1
    (tmp_path / "weights.npy").write_bytes(bytes(stored))
    with pytest.raises(ValueError, match="damaged"):
        classifier.load_model(str(tmp_path))
