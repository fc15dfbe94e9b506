"""The command line: help, errors, exit codes, and the commands that need no run."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from jobs import cli, explain, inspect_input, measure
from jobs.core import command
from jobs.core.errors import ConflictError

TEXT = "The quick brown fox jumps over the lazy dog and that is the end of it. "


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for name, (module, _) in cli.COMMANDS.items():
        with pytest.raises(SystemExit) as ended:
            importlib.import_module(module).main(["--help"])
        assert ended.value.code == 0
        assert f"winnow {name}" in capsys.readouterr().out


def test_an_unknown_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["filter-qualty"]) == 2
    assert "did you mean 'filter-quality'" in capsys.readouterr().err


def test_usage_errors_end_with_two_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--recipe", "gopher"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ") and "--output" in last and "winnow run --help" in last


def test_a_run_without_input_says_what_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["ingest", "--recipe", "gopher", "--output", str(tmp_path / "o")]) == 2
    assert "--input" in capsys.readouterr().err


def test_a_recipe_with_mistakes_ends_before_spark_starts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "recipe: r\nextends: gopher\nsteps:\n  filter_quality:\n    word_cuont: {min: 1}\n"
        '    hash_word_ratio: {max: "0.1"}\n    hash_word_ratio: {max: 0.2}\n'
    )
    assert cli.main(["run", "--recipe", str(recipe), "--input", "x", "--output", str(tmp_path / "o")]) == 2
    said = capsys.readouterr().err
    assert "r.yaml:5:5" in said and "did you mean" in said and "word_count" in said
    assert "r.yaml:6:" in said and "r.yaml:7:5" in said


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConflictError("taken"), 5),
        (KeyboardInterrupt(), 130),
        (ValueError("odd"), 1),
        (OSError(28, "No space left on device"), 6),
    ],
)
def test_every_end_has_its_exit_code(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise error

    assert command.end_well(fail) == code
    assert "Traceback" not in capsys.readouterr().err


def test_explain_names_every_rule_and_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.txt"
    path.write_text(TEXT)
    assert explain.main(["--text", str(path), "--recipe", "gopher"]) == 0
    shown = capsys.readouterr().out
    assert "word_count" in shown and "BREAKS" in shown
    assert "verdict: removed by filter_quality" in shown


def test_inspect_guesses_the_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        "".join(json.dumps({"doc_id": i, "link": "http://a.example", "body": TEXT * 5}) + "\n" for i in range(5))
    )
    recipe = tmp_path / "starter.yaml"
    assert inspect_input.main([str(path), "--output", str(recipe)]) == 0
    from jobs.core.recipe_file import resolve_recipe

    fields = resolve_recipe(str(recipe)).recipe.fields_for("main")
    assert (fields.id, fields.url, fields.text) == ("doc_id", "link", "body")
    assert "languages en 5" in capsys.readouterr().out


def test_measure_agrees_with_the_vectors(spark: Any, vectors: Path, tmp_path: Path) -> None:
    out = tmp_path / "signals.jsonl"
    assert measure.main(["--input", str(vectors / "signals.jsonl"), "--output", str(out)]) == 0
    measured = {row["id"]: row["signals"] for row in map(json.loads, out.read_text().splitlines())}
    cases = [json.loads(line) for line in (vectors / "signals.jsonl").read_text().splitlines()]
    assert len(measured) == len(cases) == 84
    for case in cases:
        for name, expected in case["expected"].items():
            assert measured[case["id"]][name] == pytest.approx(expected, abs=1e-9), (case["id"], name)
