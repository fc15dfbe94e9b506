"""Gates on what deduplication removes: a source that is a copy of another, a cluster that swallows the corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from pyspark.sql import functions as F

from jobs import dedup_exact, dedup_lines, dedup_near
from jobs.core.recipe import Gates
from jobs.core.source_shares import sources_that_lose_too_much

ENGLISH = ("--set", "languages.detect=false", "--set", "languages.default=en")


def words(number: int) -> str:
    return " ".join(f"w{number}x{place}" for place in range(30))


def write(path: Path, texts: list[str]) -> str:
    path.write_text("".join(json.dumps({"id": f"{path.stem}{i}", "text": text}) + "\n" for i, text in enumerate(texts)))
    return str(path)


def recipe(folder: Path, sources: dict[str, list[str]], **steps: Any) -> str:
    named = {
        name: {"input": [write(folder / f"{name}.jsonl", texts)], "rank": place}
        for place, (name, texts) in enumerate(sources.items())
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({"recipe": "r", "sources": named, "steps": steps}))  # JSON is YAML
    return str(path)


def table(folder: Path) -> list[dict[str, Any]]:
    return list(ds.dataset(folder, format="parquet").to_table().to_pylist())


def test_a_source_that_is_a_copy_of_another_trips_a_gate_until_it_is_allowed(
    spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = [words(i) for i in range(20)]
    path = recipe(tmp_path, {"own": [*pages, *map(words, range(100, 130))], "mirror": pages}, dedup_exact={})
    arguments = ["--recipe", path, "--output", str(tmp_path / "out"), *ENGLISH]
    gates = ["--set", "gates.min_share_documents=20"]
    assert dedup_exact.main([*arguments, *gates]) == 4
    said = capsys.readouterr().err
    assert "max_source_duplicate_fraction: source mirror: 20 of 20 documents (duplicates)" in said
    assert "source own" not in said
    assert not (tmp_path / "out").exists()
    assert dedup_exact.main([*arguments, *gates, "--set", "gates.max_source_duplicate_fraction=1", "--resume"]) == 0
    assert {row["source"] for row in table(tmp_path / "out" / "removed")} == {"mirror"}


def test_sources_are_judged_from_so_many_documents_on_by_what_any_step_and_dedup_steps_remove(spark: Any) -> None:
    schema = "source string, documents long, removed long, duplicates long"
    losses = spark.createDataFrame([("a", 100, 90, 50), ("b", 100, 60, 60), ("c", 10, 10, 10)], schema)
    gates = Gates(min_share_documents=11, max_source_removed_fraction=0.7, max_source_duplicate_fraction=0.4)
    assert [line.split(":")[1].split()[-1] for line in sources_that_lose_too_much(losses, gates)] == ["a", "b", "a"]
    assert sources_that_lose_too_much(losses.where(F.col("source") == "c"), gates) == []


def test_a_cluster_that_swallows_the_corpus_trips_a_gate_and_the_tables_tell_which(
    spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wall = [f"{words(0)} visitor {i}" for i in range(25)]
    path = recipe(tmp_path, {"web": [*wall, *map(words, range(1, 6))]}, dedup_near={"ngram": 1})
    arguments = ["--recipe", path, "--output", str(tmp_path / "out"), *ENGLISH]
    gates = ["--set", "gates.min_share_documents=1"]
    assert dedup_near.main([*arguments, *gates, "--set", "gates.max_cluster_fraction=0.8"]) == 4
    assert "largest_cluster of dedup_near: 25 of 30 documents" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert dedup_near.main([*arguments, *gates, "--resume"]) == 0
    removed, kept = table(tmp_path / "out" / "removed"), table(tmp_path / "out" / "kept")
    (cluster,) = table(tmp_path / "out" / "clusters")
    assert cluster["size"] == 25 == max(row["cluster_size"] for row in kept)
    assert {member["id"] for member in cluster["members"]} == {row["id"] for row in removed}
    similarity = {member["id"]: member["similarity"] for member in cluster["members"]}
    for row in removed:
        assert row["duplicate_of"] == cluster["id"]
        assert row["cluster"] == cluster["cluster"]
        assert row["similarity"] == similarity[row["id"]] == row["reasons"][0]["value"] >= 0.8
    stage = json.loads((tmp_path / "out" / "ledger.json").read_text())["stages"][-1]
    told = {
        "documents": 30,
        "band_entries": 30 * 32,
        "verified": 300,
        "rounds": 0,
        "near_unresolved": 0,
        "clusters": 1,
        "largest_cluster": 25,
    }
    assert told.items() <= stage["facts"].items()
    assert stage["facts"]["band_pairs"] >= stage["facts"]["candidate_pairs"] >= 300


def test_lines_that_all_pages_share_are_cut_in_the_output_and_the_cuts_are_told(spark: Any, tmp_path: Path) -> None:
    pages = [f"{words(i)}\nAll rights reserved.\n{words(i + 50)}" for i in range(5)] + ["All rights reserved."]
    path = recipe(tmp_path, {"web": pages}, dedup_lines={"unit": "lines", "keep_first": False})
    assert dedup_lines.main(["--recipe", path, "--output", str(tmp_path / "out"), *ENGLISH]) == 0
    kept = {row["id"]: row for row in table(tmp_path / "out" / "kept")}
    assert {name: row["text"] for name, row in kept.items()} == {
        f"web{i}": f"{words(i)}\n{words(i + 50)}" for i in range(5)
    }
    (cut,) = kept["web0"]["cuts"]
    assert pages[0][cut["begin"] : cut["end"]] == cut["text"] == "All rights reserved."
    (removed,) = table(tmp_path / "out" / "removed")
    assert (removed["id"], removed["stage"], removed["text"]) == ("web5", "dedup_lines", "All rights reserved.")
    assert removed["reasons"] == [{"rule": "removed_word_fraction", "value": 1.0, "bound": "< 1"}]
    stage = json.loads((tmp_path / "out" / "ledger.json").read_text())["stages"][-1]
    assert {"cut_units": 1, "occurrences": 6, "cut_documents": 6, "removed_words": 18}.items() <= stage["facts"].items()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"min_host_share": 0.1}, "it needs scope: host"),
        ({"min_count": None}, "one of min_count and min_host_share"),
    ],
)
def test_settings_of_lines_that_count_nothing_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, Any], said: str
) -> None:
    path = recipe(tmp_path, {"web": ["one"]}, dedup_lines=settings)
    assert dedup_lines.main(["--recipe", path, "--output", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err


def test_documents_without_an_address_trip_a_gate(
    spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recipe(tmp_path, {"own": [words(i) for i in range(5)]}, dedup_exact={})
    gates = ["--set", "gates.min_share_documents=1", "--set", "gates.max_null_fraction=0.5"]
    assert dedup_exact.main(["--recipe", path, "--output", str(tmp_path / "out"), *ENGLISH, *gates]) == 4
    said = capsys.readouterr().err
    assert "max_null_fraction: 5 of 5 documents have no url, a share of 0.5 is allowed" in said
    assert "have no text" not in said
