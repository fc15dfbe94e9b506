"""Files against the ledger: what is as it was passes, and whatever was changed, lost or added is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs import cli
from tests.jobs.finished_runs import write_run

DOCUMENTS = [
    {"id": f"d{n}", "text": f"text number {n} " * 20, "stage": "dedup_near" if n == 3 else None} for n in range(9)
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", DOCUMENTS, files=2)


def verified(run: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[tuple[str, str]]]:
    code = cli.main(["verify", str(run), "--format", "json", *arguments])
    answer = json.loads(capsys.readouterr().out)
    return code, [(finding["where"], finding["problem"]) for finding in answer["findings"]]


def test_an_untouched_run_is_as_its_ledger_says(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verified(run, capsys) == (0, [])
    assert verified(run, capsys, "--contents") == (0, [])
    (run / "report.html").write_text("<html>")  # written later, beside the tables
    (run / "kept" / "_SUCCESS").touch()
    assert verified(run, capsys) == (0, [])
    assert cli.main(["verify", str(run)]) == 0
    assert "all as the ledger records them" in capsys.readouterr().out


def _drop(run: Path) -> None:
    (run / "kept" / "part-1.parquet").unlink()


def _add(run: Path) -> None:
    shutil.copy(run / "kept" / "part-1.parquet", run / "kept" / "part-9.parquet")


def _rewrite(run: Path) -> None:
    path = run / "removed" / "part-1.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 0), path)


def _change_a_value(run: Path) -> None:
    path = run / "kept" / "part-0.parquet"
    table = pq.read_table(path)
    language = table.column("language").to_pylist()
    place = table.schema.get_field_index("language")
    pq.write_table(table.set_column(place, "language", [["fr", *language[1:]]]), path, write_page_checksum=True)


def _cut(run: Path) -> None:
    path = run / "signals" / "part-0.parquet"
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("change", "where", "problem"),
    [
        (_drop, "kept/part-1.parquet", "missing"),
        (_add, "kept/part-9.parquet", "extra"),
        (_rewrite, "removed/part-1.parquet", "were written"),
        (_change_a_value, "kept/part-0.parquet", "written"),
        (_cut, "signals/part-0.parquet", "does not end as a Parquet file"),
    ],
)
def test_a_file_that_was_touched_is_named(
    run: Path, change: Callable[[Path], None], where: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(run)
    code, findings = verified(run, capsys)
    assert code == 3
    assert any(at == where and problem in said for at, said in findings), findings
    assert {at.split("/")[0] for at, _ in findings} == {where.split("/")[0]}
    assert cli.main(["verify", str(run)]) == 3
    assert where.split("/")[0] in capsys.readouterr().err


def test_a_damaged_page_is_found_by_its_checksum(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "kept" / "part-0.parquet"
    column = pq.read_metadata(path).row_group(0).column(2)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset - 3] ^= 0x10  # the end of the page of distinct values, which holds the texts
    path.write_bytes(bytes(content))
    assert verified(run, capsys) == (0, [])
    code, findings = verified(run, capsys, "--contents")
    assert code == 3
    assert [at for at, _ in findings] == ["kept/part-0.parquet"]


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("totals", "kept"), 7, "the ledger says 7"),
        (("stages", 1, "removed"), 2, "accounts for"),
        (("recipe", "steps", "filter_quality", "word_count", "min"), 49, "recipe_sha256"),
        (("tables", "kept", "sha256"), "0" * 64, "does not agree with the ledger"),
        (("tables", "files", "sha256"), "0" * 64, "not the one that the ledger records"),
    ],
)
def test_a_changed_ledger_contradicts_itself_or_the_files(
    run: Path, path: tuple[Any, ...], value: Any, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = json.loads((run / "ledger.json").read_text())
    at = ledger
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    (run / "ledger.json").write_text(json.dumps(ledger))
    code, findings = verified(run, capsys)
    assert code == 3
    assert any(problem in said for _, said in findings), findings


def test_a_run_of_an_earlier_version_is_checked_by_its_counts(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = json.loads((run / "ledger.json").read_text())
    del ledger["tables"]
    (run / "ledger.json").write_text(json.dumps(ledger))
    assert cli.main(["verify", str(run)]) == 0
    assert "records no files" in capsys.readouterr().out
    _drop(run)
    code, findings = verified(run, capsys)
    assert code == 3 and findings == [("kept", "holds 4 rows, the ledger says 8")]


def test_a_run_of_spark_is_as_its_ledger_says(
    demo: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = demo
    assert verified(out, capsys, "--contents") == (0, [])
    tables = json.loads((out / "ledger.json").read_text())["tables"]
    on_disk = {path.name for path in out.iterdir() if path.is_dir()}
    assert tables.keys() == on_disk
    assert sum(record["bytes"] for record in tables.values()) == sum(
        path.stat().st_size for table in tables for path in (out / table).rglob("*.parquet") if path.name[0] not in "._"
    )
    copied = tmp_path / "copied"
    shutil.copytree(out, copied)
    assert verified(copied, capsys) == (0, [])  # a run can be moved
    next((copied / "clusters").glob("*.parquet")).unlink()
    code, findings = verified(copied, capsys)
    assert code == 3 and [said for _, said in findings] == ["missing"]
