"""One document of a finished run: its rules, its way, its twin with the difference, its test item."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from jobs import cli
from tests.jobs.finished_runs import key_of, write_run

QUARANTINED = {
    "source": "f.jsonl",
    "source_name": "s",
    "offset": 7,
    "id": "q",
    "reason": "invalid_json",
    "stage": "ingest",
}
DOCUMENTS = [
    {"id": "kept", "text": "the bees leave the hive in May", "url": "http://a.example/1"},
    {"id": "near", "text": "the bees left the hive in May", "stage": "dedup_near", "of": "kept", "similarity": 0.9},
    {"id": "far", "text": "the bees left a hive in May", "stage": "dedup_near", "of": "kept", "via": "middle"},
    {"id": "middle", "text": "x", "stage": "dedup_near", "of": "kept", "via": "near", "similarity": 0.8},
    {"id": "short", "words": 45, "hashes": 0.5, "stage": "filter_quality", "url": "http://a.example/1"}
    | {"reasons": [{"rule": "word_count", "value": 45.0, "bound": ">= 50"}]},
    {"id": "twice", "key": key_of("t1"), "text": "one"},
    {"id": "twice", "key": key_of("t2"), "stage": "dedup_near", "of": "kept", "text": None},
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", DOCUMENTS, quarantine=[QUARANTINED])


def explained(run: Path, name: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert cli.main(["explain", str(run), name, "--format", "json"]) == 0
    answer: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return answer


def test_every_rule_is_shown_in_order_also_of_steps_not_reached(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = explained(run, "short", capsys)
    assert (found["outcome"], found["stage"]) == ("removed", "filter_quality")
    assert found["reasons"] == [{"rule": "word_count", "value": 45.0, "bound": ">= 50"}]
    assert [(rule["rule"], rule["value"], rule["bound"], rule["passed"]) for rule in found["rules"]] == [
        ("word_count", 45.0, ">= 50", False),
        ("hash_word_ratio", 0.5, "<= 0.1", False),
    ]
    assert [stage["outcome"] for stage in found["route"]] == ["passed", "removed", "not reached"]


def test_a_near_duplicate_names_its_twin_and_shows_the_difference(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = explained(run, "near", capsys)
    twin = found["twin"]
    assert (twin["id"], twin["similarity"], twin["chain"]) == ("kept", 0.9, [])
    assert twin["changes"] == ["the bees [-left-] {+leave+} the hive in May"]
    assert cli.main(["explain", str(run), "near"]) == 0
    shown = capsys.readouterr().out
    assert "kept in its place: kept, similarity 0.900" in shown
    assert "the bees [-left-] {+leave+} the hive" in shown


def test_a_document_removed_through_others_shows_the_chain(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = explained(run, "far", capsys)
    assert [(link["id"], link["stage"], link["similarity"]) for link in found["twin"]["chain"]] == [
        ("middle", "dedup_near", 0.8),
        ("near", "dedup_near", 0.9),
    ]
    assert cli.main(["explain", str(run), "far"]) == 0
    assert (
        "linked by way of middle, removed by dedup_near (similarity 0.800 to the kept one)" in capsys.readouterr().out
    )


def test_a_kept_document_names_those_that_it_stands_for(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = explained(run, key_of("kept").hex(), capsys)
    assert found["represented"]["count"] == 4
    assert [other["id"] for other in found["represented"]["documents"]] == ["far", "middle", "near", "twice"]
    assert {stage["outcome"] for stage in found["route"]} == {"passed", "passed (2 rules)"}


def test_every_row_of_an_id_or_an_address_is_told_of(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [found["outcome"] for found in explained(run, "twice", capsys)] == ["kept", "removed"]
    assert [found["document"]["id"] for found in explained(run, "http://a.example/1", capsys)] == ["kept", "short"]
    assert explained(run, "twice", capsys)[1]["twin"]["difference"] is None
    assert cli.main(["explain", str(run), "twice"]) == 0
    shown = capsys.readouterr().out
    assert "2 rows have this name" in shown and "no text is stored to compare" in shown


def test_a_quarantined_row_names_file_place_and_reason(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = explained(run, "q", capsys)
    assert (found["outcome"], found["document"]["file"], found["document"]["offset"]) == ("quarantined", "f.jsonl", 7)
    assert found["reasons"][0]["rule"] == "invalid_json"


def test_who_is_not_there_and_odd_calls_end_with_two(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", str(run), "nobody"]) == 2
    assert "no document with the id, address or key 'nobody'" in capsys.readouterr().err
    assert cli.main(["explain", str(run)]) == 2
    assert cli.main(["explain"]) == 2
    assert cli.main(["explain", str(run), "near", "--text", "x"]) == 2
    assert cli.main(["explain", str(run.parent / "none"), "near"]) == 3


def test_ids_and_texts_cannot_change_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = "\x1b[2Jodd\u202e"
    run = write_run(
        tmp_path / "odd",
        [{"id": "k", "text": "a \x1b[31m b"}, {"id": odd, "text": "a c", "stage": "dedup_near", "of": "k"}],
    )
    assert cli.main(["explain", str(run), odd]) == 0
    shown = capsys.readouterr().out
    assert "odd" in shown and "\x1b" not in shown and "\u202e" not in shown


def test_personal_data_is_masked_unless_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ("write to anna.smith@mail.example today", "write to anna.smith@mail.example now")
    run = write_run(
        tmp_path / "p", [{"id": "k", "text": texts[0]}, {"id": "r", "text": texts[1], "stage": "dedup_near", "of": "k"}]
    )
    assert cli.main(["explain", str(run), "r"]) == 0
    assert "anna.smith" not in capsys.readouterr().out
    assert cli.main(["explain", str(run), "r", "--show-personal-data"]) == 0
    assert "anna.smith@mail.example" in capsys.readouterr().out


def test_a_text_is_judged_as_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.txt").write_text("too short")
    assert cli.main(["explain", "--text", str(tmp_path / "t.txt"), "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["outcome"], answer["stage"]) == ("removed", "filter_quality")


def test_the_demo_is_explained_without_starting_spark(
    demo: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(demo[0])
    calls = [["explain", out, "note-083"], ["compare", out, out], ["verify", out]]
    calls.append(["tune", out, "--set", "steps.filter_quality.word_count.min=60"])
    script = (
        f"import sys; from jobs import cli\nassert not any(cli.main(call) for call in {calls!r})\n"
        "assert 'pyspark' not in sys.modules, 'pyspark was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_near_duplicate_and_test_item_of_the_demo_is_shown(
    demo: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = demo
    rows = ds.dataset(out / "removed", format="parquet").to_table().to_pylist()
    findings = {row["key"]: row for row in ds.dataset(out / "contamination", format="parquet").to_table().to_pylist()}
    near = [row for row in rows if row["stage"] == "dedup_near"]
    assert len(near) >= 5
    for row in near[:3]:
        (found,) = explained(out, row["key"].hex(), capsys)
        assert found["twin"]["id"] == row["duplicate_of"]
        assert found["twin"]["similarity"] == row["similarity"] >= 0.8
        assert found["twin"]["changes"] and all("[-" in line or "{+" in line for line in found["twin"]["changes"])
    for row in [row for row in rows if row["stage"] == "decontaminate"][:3]:
        (found,) = explained(out, row["id"], capsys)
        (item,) = found["test_items"]
        finding = findings[row["key"]]
        assert (item["item_id"], item["item_text"][:20]) == (finding["item_id"], finding["item_text"][:20])
        marked = "".join(item["excerpt"].split("«")[1].split("»")[0].split())
        assert marked.startswith("".join(finding["matched_text"].split())[:40])
