"""Two runs beside each other: every move is told with reasons, and runs that cannot be compared say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs import cli
from tests.jobs.finished_runs import REASONS, key_of, write_run

SHORT = [{"rule": "word_count", "value": 45.0, "bound": ">= 50"}]
BEFORE = [
    {"id": "a"},
    {"id": "b", "stage": "dedup_near", "of": "a"},
    {"id": "c", "words": 45, "stage": "filter_quality", "reasons": SHORT},
    {"id": "d", "language": "de"},
    {"id": "e"},
]
AFTER = [
    {"id": "a", "stage": "dedup_near", "of": "c"},
    {"id": "b", "stage": "dedup_near", "of": "c"},
    {"id": "c", "words": 45},
    {"id": "d", "language": "de", "stage": "dedup_near", "of": "c"},
    {"id": "e"},
]


def compared(before: Path, after: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(["compare", str(before), str(after), "--format", "json", *more]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


@pytest.mark.parametrize("part_rows", [100, 2])
def test_moves_are_counted_and_named_with_their_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, part_rows: int
) -> None:
    monkeypatch.setattr("jobs.compare.PART_ROWS", part_rows)
    before = write_run(tmp_path / "a", BEFORE)
    after = write_run(tmp_path / "b", AFTER, overrides=["steps.filter_quality.word_count.min=40"], files=2)
    answer = compared(before, after, capsys)
    assert answer["warnings"] == []
    assert answer["recipe"] == [{"key": "steps.filter_quality.word_count.min", "old": 50, "new": 40}]
    assert answer["documents"] == {"common": 5, "only_before": 0, "only_after": 0}
    assert answer["changed"] == 3
    moves = {(move["before"], move["after"]): move for move in answer["moves"]}
    assert moves.keys() == {("kept", "dedup_near"), ("filter_quality", "kept")}
    gone, come = moves["kept", "dedup_near"], moves["filter_quality", "kept"]
    assert (gone["documents"], gone["languages"]) == (2, {"de": 1, "en": 1})
    assert [row["id"] for row in gone["samples"]] == ["a", "d"]
    assert come["samples"][0]["before"] == SHORT and come["samples"][0]["after"] == []
    assert [move["documents"] for move in answer["moves"]] == [2, 1]
    fewer = compared(before, after, capsys, "--samples", "1")
    assert [len(move["samples"]) for move in fewer["moves"]] == [1, 1]
    assert cli.main(["compare", str(before), str(after)]) == 0
    shown = capsys.readouterr().out
    assert "3 of 5 common documents end elsewhere" in shown
    assert "c (en): A: word_count 45, >= 50" in shown
    assert "steps.filter_quality.word_count.min: 50 → 40" in shown


def test_a_run_and_itself_are_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "a", BEFORE)
    answer = compared(run, run, capsys)
    assert (answer["changed"], answer["moves"], answer["recipe"], answer["rules"]) == (0, [], [], [])


def test_rows_with_one_key_are_matched_one_to_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = [{"id": "a", "key": key_of("a")}, {"id": "a", "key": key_of("a"), "stage": "dedup_near", "of": "a"}]
    before = write_run(tmp_path / "a", twice)
    after = write_run(tmp_path / "b", [{**row, "stage": None, "of": None} for row in twice])
    answer = compared(before, after, capsys)
    assert answer["documents"]["common"] == 2
    assert [(move["before"], move["after"], move["documents"]) for move in answer["moves"]] == [
        ("dedup_near", "kept", 1)
    ]


def test_other_inputs_are_warned_of_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = write_run(tmp_path / "a", BEFORE)
    after = write_run(tmp_path / "b", AFTER[:3], inputs="i2")
    answer = compared(before, after, capsys)
    (warning,) = answer["warnings"]
    assert "the inputs differ" in warning and "s: 1 files with 9 bytes" in warning and "3 documents" in warning
    assert answer["documents"] == {"common": 3, "only_before": 2, "only_after": 0}
    assert cli.main(["compare", str(before), str(after)]) == 0
    assert "warning: the inputs differ" in capsys.readouterr().err


def test_runs_without_a_common_document_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = write_run(tmp_path / "a", BEFORE)
    after = write_run(tmp_path / "b", [{"id": "other"}], inputs="i2")
    assert cli.main(["compare", str(before), str(after)]) == 3
    assert "no document in common: s: 1 files" in capsys.readouterr().err
    assert cli.main(["compare", str(before), str(tmp_path / "none")]) == 3


def test_the_reasons_have_the_shape_that_runs_write() -> None:
    assert [field.name for field in REASONS.value_type] == list(SHORT[0])
