"""The history of a corpus, as a person and a program read it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, write_deltalake

from jobs import history


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    """A table with two versions of Winnow's and, between them, one of another tool."""
    for version, run in ((0, "w1"), (1, None), (2, "w2")):
        facts = {
            "corpus_version": str(version),
            "winnow_operation": "refresh",
            "run_id": run or "",
            "manifest": f"{run}.json",
            "documents": str(1000 * (version + 1)),
            "recipe": "gopher",
            "recipe_sha256": "0123456789abcdef",
            "allowed_gates": "min_documents" if run == "w2" else "",
            "ledger": json.dumps({"read": 1500, "kept": 1000, "removed": 500}),
        }
        write_deltalake(
            str(tmp_path / "documents"),
            pa.table({"id": [f"{version}"]}),
            mode="append",
            commit_properties=CommitProperties(custom_metadata=facts if run else {}),
        )
    return str(tmp_path)


def test_versions_are_told_the_newest_first(corpus: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert history.main(["--corpus", corpus, "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(record["version"], record["run_id"], record["documents"]) for record in records] == [
        (2, "w2", 3000),
        (0, "w1", 1000),
    ]
    assert records[0]["allowed_gates"] == "min_documents"
    assert {record["kept"] for record in records} == {1000}


def test_a_table_for_people_has_a_line_a_version(corpus: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert history.main(["--corpus", corpus]) == 0
    header, newest, oldest = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["version", "when", "operation"]
    assert newest.split()[0] == "2" and "3,000" in newest and "gopher 01234567" in newest
    assert oldest.split()[0] == "0"


def test_what_is_no_corpus_is_said_to_be_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history.main(["--corpus", str(tmp_path)]) == 2
    assert "is no corpus" in capsys.readouterr().err
