"""Other bounds on stored signals: exact where it says so, bounded where it says so, and refused where it must be."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from jobs import cli, pipeline
from jobs.core.finished_run import open_run
from jobs.core.recipe_file import resolve_recipe
from jobs.core.tunable import differences, recipe_differences, with_overrides
from jobs.make_sample import make_sample
from jobs.tune import tune
from tests.jobs.finished_runs import write_run

ROOT = Path(__file__).resolve().parents[2]
OTHER_BOUNDS = (
    "steps.filter_quality.word_count.min=150",
    "steps.filter_quality.bullet_line_fraction=off",
    "steps.filter_repetition=off",
    "sources.notes.steps.filter_quality.word_count.min=20",
    "languages.keep=[en, zh, fr]",
)
# Groups: a stands for b and c, d for e; f and g stand alone, h is too short.
DOCUMENTS = [
    {"id": "a", "words": 100},
    {"id": "b", "words": 60, "stage": "dedup_near", "of": "a"},
    {"id": "c", "words": 100, "stage": "dedup_near", "of": "a"},
    {"id": "d", "words": 100},
    {"id": "e", "words": 70, "stage": "dedup_near", "of": "d"},
    {"id": "f", "words": 60},
    {"id": "g", "words": 90, "language": "de"},
    {"id": "h", "words": 45, "stage": "filter_quality"},
    {"id": "i", "words": 45, "hashes": 0.5, "stage": "filter_quality"},
]


def tuned(run: Path, capsys: pytest.CaptureFixture[str], *overrides: str) -> dict[str, Any]:
    capsys.readouterr()
    arguments = [word for override in overrides for word in ("--set", override)]
    assert cli.main(["tune", str(run), "--format", "json", *arguments]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", DOCUMENTS, files=2)


# ------------------------------------------------------------------------------------------------ against a real re-run


def demo_run(recipe: Path, output: Path, *overrides: str) -> dict[str, Any]:
    """The demo's row-wise steps and exact duplicates: what needs seconds."""
    off = ("steps.decontaminate=off", "steps.dedup_near=off")
    arguments = [word for override in (*off, *overrides) for word in ("--set", override)]
    assert pipeline.main(["--recipe", str(recipe), "--output", str(output), *arguments]) == 0
    ledger: dict[str, Any] = json.loads((output / "ledger.json").read_text())
    return ledger


def keys(folder: Path, stage: str | None = None) -> set[bytes]:
    table = ds.dataset(folder, format="parquet").to_table(
        columns=["key"], filter=None if stage is None else ds.field("stage") == stage
    )
    return set(table.column("key").to_pylist())


def test_row_wise_counts_are_those_of_a_real_re_run(
    spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_sample(tmp_path / "sample")
    recipe = tmp_path / "sample" / "demo.yaml"
    demo_run(recipe, tmp_path / "before")
    again = demo_run(recipe, tmp_path / "after", *OTHER_BOUNDS)
    answer = tuned(tmp_path / "before", capsys, *OTHER_BOUNDS)
    rows = answer["row_wise"]
    stages = {stage["stage"]: stage for stage in again["stages"]}
    rules = {(r["step"], r["rule"]): r["after"] for r in rows["removed_by_rule"] if r["after"]}
    assert rules == {
        (step, rule): count for step in rows["steps"] if step in stages for rule, count in stages[step]["rules"].items()
    }
    assert rows["passing"]["after"] == stages["dedup_exact"]["read"]
    assert rows["text_bytes"]["after"] == stages["dedup_exact"]["bytes"]
    assert rows["words"]["after"] == stages["filter_quality"]["words"]
    for step, pair in rows["removed_by_step"].items():
        assert pair["after"] == (stages[step]["removed"] if step in stages else 0)
    passed = [keys(tmp_path / name / "kept") | keys(tmp_path / name / "removed", "dedup_exact") for name in _SIDES]
    assert rows["newly_removed"] == len(passed[0] - passed[1]) > 10
    assert rows["newly_kept"] == len(passed[1] - passed[0]) > 3
    assert answer["kept"]["before"] == len(keys(tmp_path / "before" / "kept"))
    assert answer["kept"]["at_least"] <= again["totals"]["kept"] <= answer["kept"]["at_most"]
    assert answer["kept"]["at_most"] - answer["kept"]["at_least"] <= rows["newly_kept"] + 20

    _compared(tmp_path, rows, capsys)


_SIDES = ("before", "after")


def _compared(runs: Path, rows: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """`winnow compare` says of the two runs what their tables say."""
    assert cli.main(["compare", str(runs / "before"), str(runs / "after"), "--format", "json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert compared["warnings"] == []
    assert {change["key"] for change in compared["recipe"]} == {
        "steps.filter_quality.word_count.min",
        "steps.filter_quality.bullet_line_fraction",
        "steps.filter_repetition",
        "sources.notes.steps.filter_quality",
        "languages.keep",
    }
    stages = [_stages(runs / name / "signals") for name in _SIDES]
    moved = {key: (stages[0][key], stages[1][key]) for key in stages[0] if stages[0][key] != stages[1][key]}
    assert compared["changed"] == len(moved) > rows["newly_removed"]
    for move in compared["moves"]:
        of_move = [key for key, ends in moved.items() if ends == (move["before"], move["after"])]
        assert move["documents"] == len(of_move) == sum(move["languages"].values())
        assert [row["key"] for row in move["samples"]] == sorted(key.hex() for key in of_move)[:10]
    gone = next(move for move in compared["moves"] if (move["before"], move["after"]) == ("kept", "filter_quality"))
    assert "word_count" in {reason["rule"] for row in gone["samples"] for reason in row["after"]}


def _stages(folder: Path) -> dict[bytes, str]:
    table = ds.dataset(folder, format="parquet").to_table(columns=["key", "stage"])
    return {row["key"]: row["stage"] or "kept" for row in table.to_pylist()}


# --------------------------------------------------------------------------------------------------------- what is said


def test_documents_that_change_sides_are_named_with_values_and_bounds(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bounds = "steps.filter_quality.word_count={min: 65, max: 95}"
    answer = tuned(run, capsys, bounds, "languages.overrides.de.filter_quality=off")
    rows = answer["row_wise"]
    assert (rows["passing"], rows["newly_removed"], rows["newly_kept"]) == ({"before": 7, "after": 2}, 5, 0)
    samples = {sample["id"]: sample for sample in answer["samples"]["newly_removed"]}
    assert samples["b"]["reasons"] == [{"rule": "word_count", "value": 60.0, "bound": ">= 65"}]
    assert samples["a"]["reasons"] == [{"rule": "word_count", "value": 100.0, "bound": "<= 95"}]
    (rule,) = [record for record in rows["removed_by_rule"] if record["rule"] == "word_count"]
    assert rule["languages"] == {"en": {"before": 2, "after": 7}}
    answer = tuned(run, capsys, "steps.filter_quality.word_count.min=40")
    assert [sample["id"] for sample in answer["samples"]["newly_kept"]] == ["h"]
    assert answer["samples"]["newly_kept"][0]["reasons"] == [{"rule": "word_count", "value": 45.0, "bound": ">= 50"}]


@pytest.mark.parametrize(
    ("overrides", "at_least", "at_most", "exact"),
    [
        (["steps.filter_quality.hash_word_ratio.max=0.2"], 4, 4, True),  # nobody changes sides
        (["steps.filter_quality.word_count.min=40"], 4, 5, False),  # h comes in, a duplicate or not
        (["steps.filter_quality.word_count.min=61"], 3, 4, False),  # b and f go; c may have hung on b
        (["steps.filter_quality.word_count.max=95"], 4, 4, False),  # a, c, d go: b and e take their places
        (["steps.filter_quality.word_count={min: 1, max: 50}"], 0, 1, False),  # all go but h, which comes in
    ],
)
def test_what_deduplication_leaves_is_bounded(
    run: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], at_least: int, at_most: int, exact: bool
) -> None:
    kept = tuned(run, capsys, *overrides)["kept"]
    assert (kept["before"], kept["at_least"], kept["at_most"], kept["exact"]) == (4, at_least, at_most, exact)
    assert kept["steps"] == ["dedup_near"]


def test_a_document_of_an_earlier_version_is_not_counted_among_the_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = [
        {"id": "a"},
        {"id": "b", "words": 60, "stage": "dedup_near", "of": "earlier"},
        {"id": "c", "stage": "dedup_near", "of": "earlier"},
    ]
    kept = tuned(write_run(tmp_path / "run", documents), capsys, "steps.filter_quality.word_count.min=61")["kept"]
    assert (kept["before"], kept["at_least"], kept["at_most"]) == (1, 1, 2)


def test_the_answer_does_not_depend_on_files_or_batches(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    override = "steps.filter_quality.word_count.min=95"
    first = tuned(run, capsys, override)
    monkeypatch.setattr("jobs.core.finished_run.BATCH_ROWS", 2)
    other = tuned(write_run(tmp_path / "other", list(reversed(DOCUMENTS)), files=3), capsys, override)
    assert {**first, "run_id": ""} == {**other, "run_id": ""}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("steps.dedup_near.threshold=0.7", "steps.dedup_near.threshold"),
        ("steps.dedup_near=off", "steps.dedup_near"),
        ("steps.edit_lines={}", "needs the texts"),
        ("languages.min_score=0.5", "languages.min_score"),
        ("languages.packs=[en]", "languages.packs"),
        ("ingest.fields.text=body", "ingest.fields.text"),
        ("steps.filter_quality.short_line_fraction.max=0.5", "not measured by this run"),
        ("steps.filter_quality.word_cuont.min=5", "did you mean word_count"),
    ],
)
def test_what_stored_signals_cannot_tell_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str], override: str, said: str
) -> None:
    assert cli.main(["tune", str(run), "--set", override]) == 2
    assert said in capsys.readouterr().err


def test_stored_decisions_that_the_recipe_does_not_make_are_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "signals" / "part-0.parquet"
    table = pq.read_table(path)
    stage = pa.nulls(table.num_rows, pa.string())
    pq.write_table(table.set_column(table.schema.get_field_index("stage"), "stage", stage), path)
    assert cli.main(["tune", str(run), "--set", "steps.filter_quality.word_count.min=60"]) == 3
    assert "are not what the run's recipe says" in capsys.readouterr().err


def test_nothing_to_try_is_a_usage_error(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tune", str(run)]) == 2
    assert cli.main(["tune", str(run), "--set", "gates.min_documents=1", "--extends", "gopher"]) == 2
    assert "--write" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------------- the saved recipe


def test_the_saved_recipe_is_the_tuned_one(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "tuned.yaml"
    arguments = ["tune", str(run), "--set", "steps.filter_quality.word_count.min=40", "--write", str(target)]
    assert cli.main(arguments) == 0
    assert "extends gopher" in capsys.readouterr().err
    assert target.read_text().startswith("extends: gopher\n")
    saved = resolve_recipe(str(target))
    wanted = with_overrides(open_run(str(run)).resolved, ["steps.filter_quality.word_count.min=40"])
    left = [path for path, old, new in recipe_differences(saved.as_dict, wanted.as_dict) if old or new]
    assert left == []
    assert saved.recipe.steps.names == wanted.recipe.steps.names
    assert tune(open_run(str(run)), saved)["row_wise"]["passing"]["after"] == 8
    assert cli.main(arguments) == 2
    assert "already exists" in capsys.readouterr().err


def test_the_saved_recipe_extends_a_file_or_stands_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", DOCUMENTS, overrides=["recipe=my-own", "steps.filter_quality.word_count.min=50"])
    override = ["--set", "steps.filter_quality.word_count.max=99"]
    assert cli.main(["tune", str(run), *override, "--write", str(tmp_path / "whole.yaml")]) == 0
    assert "the whole recipe" in capsys.readouterr().err
    (tmp_path / "base.yaml").write_text("recipe: base\nextends: gopher\n")
    (tmp_path / "deep").mkdir()
    short = tmp_path / "deep" / "short.yaml"
    assert cli.main(["tune", str(run), *override, "--write", str(short), "--extends", str(tmp_path / "base.yaml")]) == 0
    assert short.read_text().startswith("extends: ../base.yaml\n")
    answers = [tune(open_run(str(run)), resolve_recipe(str(path))) for path in (tmp_path / "whole.yaml", short)]
    assert answers[0]["row_wise"] == answers[1]["row_wise"]
    assert answers[0]["row_wise"]["passing"] == {"before": 7, "after": 4}


def test_differences_are_named_by_their_path() -> None:
    old = {"a": {"b": 1, "c": [1, 2]}, "d": None}
    new = {"a": {"b": 2, "c": [1, 2]}, "e": {"f": 1}}
    assert list(differences(old, new)) == [("a.b", 1, 2), ("d", None, None), ("e", None, {"f": 1})]


# ------------------------------------------------------------------------------------------------------------- how fast


@pytest.mark.slow
def test_a_million_documents_are_tuned_within_twenty_seconds(tmp_path: Path) -> None:
    """Start-up included, in a process of its own; the made-up run's decisions are those of its recipe, or it ends."""
    made_up = runpy.run_path(str(ROOT / "benchmarks" / "tune.py"))
    made_up["write_run"](tmp_path / "run", 1_000_000)
    command = [sys.executable, "-m", "jobs.cli", "tune", str(tmp_path / "run"), "--format", "json"]
    for override in made_up["OVERRIDES"]:
        command += ["--set", override]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    answer = json.loads(done.stdout)
    assert answer["documents"] == 1_000_000
    assert answer["row_wise"]["newly_removed"] > 10_000
    assert answer["row_wise"]["newly_kept"] > 1_000
    assert seconds < 20
