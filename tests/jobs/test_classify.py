"""Scores from models and from elsewhere decide about documents: training, judging, joining, quantiles as bounds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from jobs import classify, filter_quality

PILLS = "Buy cheap pills number {} now and win a prize without any prescription, today only."
COUNCIL = "The council met on day {} of the month to discuss the school and its garden with the parents."


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ids(folder: Path) -> set[str]:
    return set(ds.dataset(folder, format="parquet").to_table(columns=["id"])["id"].to_pylist())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    rows = [{"text": PILLS.format(n), "kind": "spam"} for n in range(80)]
    rows += [{"text": COUNCIL.format(n), "kind": "plain"} for n in range(80)]
    with gzip.open(folder / "pages.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    arguments = ["--label", "kind", "--positive", "spam", "--bits", "12", "--output", str(folder / "model")]
    assert classify.main(["train", "--labelled", str(folder / "pages.jsonl.gz"), *arguments]) == 0
    return folder / "model"


def test_training_writes_weights_with_metrics_on_held_out_examples_beside_them(model: Path) -> None:
    assert sorted(path.name for path in model.iterdir()) == ["metrics.json", "model.json", "weights.npy"]
    metrics = json.loads((model / "metrics.json").read_text())
    assert metrics["trained_on"]["examples"] + metrics["held_out"]["examples"] == 160
    assert metrics["held_out"]["examples"] >= 16
    assert metrics["held_out"]["accuracy"] == 1.0
    assert metrics["held_out"]["roc_auc"] == 1.0
    assert sum(one["examples"] for one in metrics["held_out"]["calibration"]) == metrics["held_out"]["examples"]


def test_measures_of_scores_are_those_counted_by_hand() -> None:
    scores, labels = np.array([0.05, 0.4, 0.4, 0.95]), np.array([False, True, False, True])
    found = classify.judged(scores, labels)
    assert found["accuracy"] == 0.75
    assert found["roc_auc"] == 0.875  # three pairs ranked right, one tied
    half = next(bound for bound in found["bounds"] if bound["score"] == 0.5)
    assert half == {"score": 0.5, "precision": 1.0, "recall": 0.5, "false_positive_fraction": 0.0}
    assert found["expected_calibration_error"] == pytest.approx((0.05 + 2 * 0.1 + 0.05) / 4)


@pytest.mark.parametrize(("rows", "message"), [
    ([{"text": "a", "label": "x"}], "are not of both kinds"),
    ([{"text": "a"}], "row 1 has no field label"),
    ([], "are not of both kinds"),
])  # fmt: skip
def test_examples_that_cannot_be_learnt_from_are_named(
    rows: list[dict[str, Any]], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = lines(tmp_path / "pages.jsonl", rows)
    arguments = ["--labelled", str(source), "--positive", "x", "--output", str(tmp_path / "m")]
    assert classify.main(["train", *arguments]) == 3
    assert message in capsys.readouterr().err


def test_documents_are_removed_by_the_score_of_a_model(spark: Any, model: Path, tmp_path: Path) -> None:
    rows = [{"id": f"p{n}", "text": PILLS.format(900 + n)} for n in range(3)]
    rows += [{"id": f"c{n}", "text": COUNCIL.format(900 + n)} for n in range(3)]
    recipe = tmp_path / "judge.yaml"
    recipe.write_text(
        "recipe: judge\nlanguages: {detect: false}\nsteps:\n  classify:\n    models:\n"
        f"      spam: {{path: {model}, score: {{max: 0.5}}}}\n"
    )
    source = lines(tmp_path / "in.jsonl", rows)
    out = tmp_path / "out"
    assert classify.main(["--recipe", str(recipe), "--input", str(source), "--output", str(out)]) == 0
    assert ids(out / "kept") == {"c0", "c1", "c2"}
    removed = ds.dataset(out / "removed", format="parquet").to_table().to_pylist()
    assert {row["stage"] for row in removed} == {"classify"}
    assert {reason["rule"] for row in removed for reason in row["reasons"]} == {"classifier_spam"}


def test_a_model_that_is_not_there_ends_the_run_as_a_mistake_in_the_recipe(
    spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "judge.yaml"
    recipe.write_text(f"recipe: judge\nsteps: {{classify: {{models: {{spam: {{path: {tmp_path / 'none'}}}}}}}}}\n")
    source = lines(tmp_path / "in.jsonl", [{"id": "a", "text": "b"}])
    assert classify.main(["--recipe", str(recipe), "--input", str(source), "--output", str(tmp_path / "out")]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("by", ["id", "url", "key"])
def test_scores_from_elsewhere_decide_with_a_bound_that_is_a_quantile(spark: Any, by: str, tmp_path: Path) -> None:
    rows = [{"id": f"d{n}", "url": f"http://a.example/{n}", "text": COUNCIL.format(n)} for n in range(10)]
    source = lines(tmp_path / "in.jsonl", rows)
    scored = [{"id": row["id"], "url": row["url"], "edu": float(n)} for n, row in enumerate(rows[:9])]
    scored.append({**scored[8], "edu": -1.0})  # a second row of one document: the larger counts
    if by == "key":
        from udfs.document_key import document_key

        for score, row in zip(scored, [*rows[:9], rows[8]], strict=True):
            score["key"] = document_key(*[row[name].encode() for name in ("id", "url", "text")])
    pq.write_table(pa.Table.from_pylist(scored), tmp_path / "scores.parquet")
    recipe = tmp_path / "educational.yaml"
    recipe.write_text(
        "recipe: educational\nlanguages: {detect: false}\n"
        "signals:\n  external:\n"
        f"    edu: {{path: {tmp_path / 'scores.parquet'}, by: {by}, columns: {{edu_score: edu}}}}\n"
        "steps: {filter_quality: {edu_score: {min: p50}}}\n"
    )
    out = tmp_path / "out"
    assert filter_quality.main(["--recipe", str(recipe), "--input", str(source), "--output", str(out)]) == 0
    assert ids(out / "kept") == {"d4", "d5", "d6", "d7", "d8"}  # the fifth of the nine scores is 4
    ledger = json.loads((out / "ledger.json").read_text())
    assert ledger["stages"][0]["facts"]["quantiles"] == {"p50 of edu_score": 4.0}
    removed = {
        row["id"]: row["reasons"][0] for row in ds.dataset(out / "removed", format="parquet").to_table().to_pylist()
    }
    assert removed["d3"] == {"rule": "edu_score", "value": 3.0, "bound": ">= 4"}
    assert removed["d9"] == {"rule": "edu_score", "value": None, "bound": "not null"}


def test_a_table_of_scores_without_the_column_is_named(
    spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = lines(tmp_path / "in.jsonl", [{"id": "a", "text": COUNCIL.format(1)}])
    pq.write_table(pa.table({"id": ["a"], "other": [1.0]}), tmp_path / "scores.parquet")
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "recipe: r\nsignals:\n  external:\n"
        f"    edu: {{path: {tmp_path / 'scores.parquet'}, columns: {{edu_score: edu}}}}\n"
        "steps: {filter_quality: {edu_score: {min: 1}}}\n"
    )
    out = tmp_path / "out"
    assert filter_quality.main(["--recipe", str(recipe), "--input", str(source), "--output", str(out)]) == 2
    assert "has no column edu (it has: id, other)" in capsys.readouterr().err
