"""Lists reach workers that cannot read the driver's disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from jobs import filter_content
from jobs.core import shipped_files
from udfs.annotate import Plan, paths_of, with_paths

CONTENT = {
    "url_lists": {"adult": "/a/domains", "spam": "/b/domains"},
    "allow_urls": "/a/allowed.txt",
    "url_words": {"strict": "/w/strict.txt", "hard": None},
    "lexicons": {"slurs": {"path": "/l/en.json", "language": "en"}},
}
PLAN = Plan(steps=(("filter_content", CONTENT), ("classify", {"models": {"edu": {"path": "/m/edu", "sha256": None}}})))


def test_every_path_of_a_plan_is_known_and_can_be_replaced() -> None:
    paths = ("/a/domains", "/b/domains", "/w/strict.txt", "/a/allowed.txt", "/l/en.json", "/m/edu")
    assert paths_of(PLAN) == paths
    assert paths_of(with_paths(PLAN, lambda path: f"/unpacked{path}")) == tuple(f"/unpacked{path}" for path in paths)
    assert paths_of(Plan(steps=(("filter_quality", {}),))) == ()


def test_workers_read_their_own_copies_of_the_lists(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = tmp_path / "lists"
    for name, entry in (("adult", "bad.example"), ("spam", "worse.example")):
        (lists / name).mkdir(parents=True)
        (lists / name / "domains").write_text(f"{entry}\n")
    packed = shipped_files._packed

    def pack_and_take_away(*arguments: Any) -> Any:
        plan = packed(*arguments)
        shutil.rmtree(lists)
        return plan

    monkeypatch.setattr(shipped_files, "reads_the_drivers_disk", lambda spark: False)
    monkeypatch.setattr(shipped_files, "_packed", pack_and_take_away)
    hosts = ("bad.example", "worse.example", "good.example")
    rows = [{"id": host, "url": f"http://www.{host}/", "text": "A page."} for host in hosts]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "recipe: lists\nlanguages: {detect: false}\nsteps:\n  filter_content:\n"
        f"    url_lists: {{adult: {lists / 'adult'}, spam: {lists / 'spam'}}}\n"
    )
    arguments = ["--recipe", str(recipe), "--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out")]
    assert filter_content.main(arguments) == 0
    removed = ds.dataset(tmp_path / "out" / "removed", format="parquet").to_table().to_pylist()
    assert {row["id"]: row["reasons"][0]["bound"] for row in removed} == {
        "bad.example": "not in adult: bad.example",
        "worse.example": "not in spam: worse.example",
    }
