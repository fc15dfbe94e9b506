"""fastText models: the plain twin, the library's own answers, and files that are damaged."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from udfs import fasttext
from udfs.annotate import Plan, annotate
from udfs.fasttext import HIERARCHICAL, NEGATIVE, ONE_VS_ALL, SOFTMAX
from udfs.reference import fasttext as plain

WORDS = [b"</s>", b"the", b"school", b"pills", "straße".encode(), "学校".encode(), b"a"]
LABELS = [b"__label__plain", b"__label__spam", b"__label__third", b"__label__fourth"]
DIMENSIONS, BUCKET = 6, 97


class Layout(NamedTuple):
    """What a made-up model is."""

    loss: int = SOFTMAX
    word_ngrams: int = 2
    shortest: int = 2
    longest: int = 4
    quantised: bool = False
    pruned: bool = False


LAYOUTS = {
    "softmax": Layout(),
    "hierarchical": Layout(HIERARCHICAL, word_ngrams=3),
    "one against all": Layout(ONE_VS_ALL, shortest=1, longest=2),
    "negative sampling": Layout(NEGATIVE, word_ngrams=1),
    "words alone": Layout(word_ngrams=1, shortest=0, longest=0),
    "quantised": Layout(quantised=True, pruned=True),
    "quantised, hierarchical": Layout(HIERARCHICAL, 2, 2, 3, quantised=True, pruned=True),
}


def quantiser(width: int, part: int, draw: np.random.Generator) -> bytes:
    parts = -(-width // part)
    last = width - (parts - 1) * part
    return struct.pack("<4i", width, parts, part, last) + draw.normal(size=width * 256).astype("<f4").tobytes()


def model_bytes(layout: Layout) -> bytes:
    """Write a model of random numbers as fastText lays it out."""
    draw = np.random.default_rng(5)
    hashed = layout.longest > 0 or layout.word_ngrams > 1
    bucket = BUCKET if hashed else 0
    kept = list(range(0, bucket, 3)) if layout.pruned else []
    rows = len(WORDS) + (len(kept) if layout.pruned else bucket)
    out = struct.pack("<ii", fasttext.MAGIC, 12)
    out += struct.pack(
        "<12id", DIMENSIONS, 5, 5, 1, 5, layout.word_ngrams, layout.loss, 3, bucket, layout.shortest, layout.longest,
        100, 1e-4,
    )  # fmt: skip
    pruned = len(kept) if layout.pruned else -1
    out += struct.pack("<iiiqq", len(WORDS) + len(LABELS), len(WORDS), len(LABELS), 100, pruned)
    for number, entry in enumerate(WORDS + LABELS):
        out += entry + b"\0" + struct.pack("<qb", 50 - 3 * number, number >= len(WORDS))
    for row, ngram in enumerate(kept):
        out += struct.pack("<ii", ngram, row)
    out += struct.pack("<b", layout.quantised)
    if layout.quantised:
        codes = draw.integers(0, 256, rows * 3, dtype=np.uint8).tobytes()
        out += struct.pack("<bqqi", 1, rows, DIMENSIONS, rows * 3) + codes + quantiser(DIMENSIONS, 2, draw)
        out += draw.integers(0, 256, rows, dtype=np.uint8).tobytes() + quantiser(1, 1, draw)
    else:
        out += struct.pack("<qq", rows, DIMENSIONS) + draw.normal(size=rows * DIMENSIONS).astype("<f4").tobytes()
    out += struct.pack("<bqq", 0, len(LABELS), DIMENSIONS)
    return out + draw.normal(size=len(LABELS) * DIMENSIONS).astype("<f4").tobytes()


@pytest.fixture(scope="module", params=LAYOUTS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> fasttext.FastText:
    path = tmp_path_factory.mktemp("model") / "model.bin"
    path.write_bytes(model_bytes(LAYOUTS[request.param]))
    return fasttext.load_fasttext(str(path))


# ------------------------------------------------------------------------------------------------------------- the twin

TEXTS = st.lists(
    st.sampled_from(
        ["the", "school", "pills", "Straße", "straße", "学校", "学", "a", "__label__spam", "__label__x", "<"]
    )
    | st.sampled_from(["</s>", "é", "schools"])
    | st.text(max_size=6)
).flatmap(lambda parts: st.sampled_from([" ", "\n", "\t\r\n", "\0", "\xa0"]).map(lambda gap: gap.join(parts)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.none() | TEXTS, min_size=1, max_size=4))
def test_the_kernel_scores_as_the_plain_twin(model: fasttext.FastText, texts: list[str | None]) -> None:
    for label in model.labels:
        ours = fasttext.score(pa.array(texts, pa.string()), model, label).to_pylist()
        for one, text in zip(ours, texts, strict=True):
            expected = plain.score(text, model, label, WORDS)
            assert (one is None) == (expected is None)
            assert one is None or one == pytest.approx(expected, abs=1e-12)


def test_probabilities_of_all_labels_add_up_to_one(tmp_path: Path) -> None:
    for name in ("softmax", "hierarchical", "quantised, hierarchical"):
        (tmp_path / name).write_bytes(model_bytes(LAYOUTS[name]))
        model = fasttext.load_fasttext(str(tmp_path / name))
        text = pa.array(["the school pills", "", "学校 unknown words"])
        total = sum(fasttext.score(text, model, label).to_numpy() for label in model.labels)
        assert total == pytest.approx(1)


@pytest.mark.parametrize("loss", ["softmax", "hs", "ova"])
def test_scores_are_those_of_the_library(loss: str, tmp_path: Path) -> None:
    library = pytest.importorskip("fasttext", reason="the library fasttext is not installed")
    lines = [f"__label__{'spam' if n % 3 else 'plain'} {'buy pills' if n % 3 else 'the school'} {n}" for n in range(90)]
    lines += [f"__label__third die Straße der Schule {n}" for n in range(20)]
    (tmp_path / "examples.txt").write_text("\n".join(lines) + "\n")
    trained = library.train_supervised(
        str(tmp_path / "examples.txt"), loss=loss, dim=8, wordNgrams=3, minn=2, maxn=4, bucket=2000, epoch=5, thread=1
    )
    trained.save_model(str(tmp_path / "plain.bin"))
    trained.quantize(str(tmp_path / "examples.txt"), cutoff=400, retrain=True, qnorm=True, thread=1)
    trained.save_model(str(tmp_path / "small.ftz"))
    texts = ["buy the pills now", "die alte Schule", "", "Straße 学校 __label__x </s> buy"]
    for name in ("plain.bin", "small.ftz"):
        theirs = library.load_model(str(tmp_path / name))
        ours = fasttext.load_fasttext(str(tmp_path / name))
        assert sorted(ours.labels) == sorted(theirs.get_labels())
        for text in texts:
            expected = dict(zip(*theirs.predict(text, k=-1), strict=True))
            for label in ours.labels:
                score = fasttext.score(pa.array([text]), ours, label)[0].as_py()
                assert score == pytest.approx(expected[label], abs=8e-3 if loss == "ova" else 3e-5)


# ---------------------------------------------------------------------------------------------------------------- files


def test_a_label_is_named_with_or_without_its_prefix_and_an_unknown_one_with_those_there_are(
    model: fasttext.FastText,
) -> None:
    assert fasttext.label_number(model, "spam") == fasttext.label_number(model, "__label__spam") == 1
    with pytest.raises(ValueError, match="no label 'ham': it has __label__plain"):
        fasttext.label_number(model, "ham")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    for name in ("softmax", "quantised"):
        whole = model_bytes(LAYOUTS[name])
        for size in range(0, len(whole), 101):
            (tmp_path / f"{name}{size}").write_bytes(whole[:size])
            with pytest.raises(ValueError, match=r"cut off or damaged|no fastText model"):
                fasttext.load_fasttext(str(tmp_path / f"{name}{size}"))


def test_a_file_with_a_flipped_byte_is_refused_or_scores_within_bounds(tmp_path: Path) -> None:
    draw = np.random.default_rng(8)
    whole = model_bytes(LAYOUTS["quantised, hierarchical"])
    text = pa.array(["the school pills", "学校 x"])
    for trial in range(150):
        damaged = bytearray(whole)
        damaged[int(draw.integers(0, 400))] ^= int(draw.integers(1, 256))
        path = tmp_path / str(trial)
        path.write_bytes(damaged)
        try:
            model = fasttext.load_fasttext(str(path))
        except ValueError:
            continue
        assert len(fasttext.score(text, model, model.labels[0])) == 2


def test_a_model_is_held_to_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(model_bytes(LAYOUTS["softmax"]))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert fasttext.load_fasttext(str(path), digest).labels[1] == "__label__spam"
    with pytest.raises(ValueError, match="not the SHA-256"):
        fasttext.load_fasttext(str(path), "0" * 64)


def test_vectors_without_labels_are_refused(tmp_path: Path) -> None:
    written = bytearray(model_bytes(LAYOUTS["softmax"]))
    struct.pack_into("<i", written, 8 + 4 * 7, 2)
    (tmp_path / "vectors.bin").write_bytes(written)
    with pytest.raises(ValueError, match="no supervised model"):
        fasttext.load_fasttext(str(tmp_path / "vectors.bin"))


def test_a_model_scores_as_a_step_of_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(model_bytes(LAYOUTS["softmax"]))
    model = {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "label": "spam"}
    text, nothing = pa.array(["buy the pills", None]), pa.nulls(2, pa.string())
    plan = Plan(steps=(("classify", {"models": {"spam": model}}),))
    found = annotate(plan, pa.nulls(2, pa.binary()), nothing, nothing, text, None, nothing)
    expected = fasttext.score(text, fasttext.load_fasttext(str(path)), "__label__spam").to_pylist()
    assert [row["signals"]["classifier_spam"] for row in found.to_pylist()] == expected
