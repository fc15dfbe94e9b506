"""The demo, whole: every document of the sample ends where the sample says it must."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from jobs import report


def rows(folder: Path) -> list[dict[str, Any]]:
    return ds.dataset(folder, format="parquet").to_table().to_pylist()


def test_clean_documents_are_kept_and_planted_ones_removed_by_their_step(demo: tuple[Path, dict[str, Any]]) -> None:
    out, expected = demo
    kept = {row["id"] for row in rows(out / "kept")}
    removed = {row["id"]: row for row in rows(out / "removed")}
    assert [id_ for id_ in expected["clean"] if id_ not in kept] == []
    wrong = {id_: plan for id_, plan in expected["planted"].items() if id_ not in removed}
    assert wrong == {}
    for id_, plan in expected["planted"].items():
        assert removed[id_]["stage"] in plan["stages"], (id_, plan, removed[id_]["stage"], removed[id_]["reasons"])


def test_every_step_removes_something_and_the_account_adds_up(demo: tuple[Path, dict[str, Any]]) -> None:
    out, expected = demo
    ledger = json.loads((out / "ledger.json").read_text())
    sums = ledger["totals"]
    assert (sums["read"], sums["kept"], sums["removed"]) == (expected["read"], expected["kept"], expected["removed"])
    assert sums["read"] == sums["kept"] + sums["removed"] + sums["quarantined"] + sums["ignored"]
    removing = {stage["stage"] for stage in ledger["stages"] if stage["removed"]}
    steps = {"extract_text", "filter_content", "filter_quality", "filter_repetition", "decontaminate"}
    assert steps | {"dedup_exact", "dedup_near"} <= removing
    assert Counter(row["reason"] for row in rows(out / "quarantine")) == expected["quarantined"]


def test_every_duplicate_names_a_kept_document(demo: tuple[Path, dict[str, Any]]) -> None:
    out, _ = demo
    kept = {row["key"]: row for row in rows(out / "kept")}
    duplicates = [row for row in rows(out / "removed") if row["stage"].startswith("dedup_")]
    assert all(row["duplicate_of_key"] in kept for row in duplicates)
    assert all(kept[row["duplicate_of_key"]]["id"] == row["duplicate_of"] for row in duplicates)
    assert sum(row["cluster_size"] - 1 for row in kept.values()) == len(duplicates)
    assert {"text", "url", "language", "source", "metadata"} <= set(next(iter(kept.values())))


def test_a_contaminated_document_names_the_test_item(demo: tuple[Path, dict[str, Any]]) -> None:
    out, _ = demo
    found = rows(out / "contamination")
    removed = {row["id"] for row in rows(out / "removed") if row["stage"] == "decontaminate"}
    assert removed == {row["document_id"] for row in found if row["removed"]}
    assert all(row["item_id"] for row in found)


def test_the_plain_definitions_agree_with_every_decision(demo: tuple[Path, dict[str, Any]]) -> None:
    out, _ = demo
    checked = json.loads((out / "ledger.json").read_text())["paranoid"]
    assert checked["checked"] > 150
    assert checked["agree"] == checked["checked"]


def test_the_report_shows_every_step_and_is_written_again_to_the_byte(
    demo: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, expected = demo
    page = (out / "report.html").read_text(encoding="utf-8")
    assert len(page) < 5_000_000
    assert f"{expected['kept']} of {expected['read']} records kept" in page
    for rule in ("word_count", "duplicate_exact", "duplicate_near", "item_coverage", "blocked_url"):
        assert re.search(f'id="rule-[a-z_]+-{rule}"', page), rule
    assert page.count('<svg class="chart"') > 20
    assert report.main([str(out), "--output", str(tmp_path / "again.html")]) == 0
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_the_cleaned_corpus_opens_in_other_readers(demo: tuple[Path, dict[str, Any]]) -> None:
    import duckdb
    import polars

    out, expected = demo
    files = f"{out / 'kept'}/*.parquet"
    assert duckdb.sql(f"SELECT count(*) FROM '{files}'").fetchall() == [(expected["kept"],)]
    assert polars.read_parquet(files).height == expected["kept"]
