"""The job edit-lines: lines are cut, pages that lose too much of their words are removed, signals stay if asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from jobs import edit_lines, filter_quality

PROSE = [
    "The ferry leaves the island at seven in the morning and comes back at noon.",
    "In winter it stays in the harbour when the wind comes from the north.",
    "The captain has made this crossing more than ten thousand times.",
    "He says that no two of them were the same.",
    "A second boat will be built by the same yard in the spring.",
]
MENU = "Home About Contact"
RECIPE = """\
recipe: lines
languages: {detect: false, default: en}
steps:
  edit_lines:
    min_words: 5
    removed_word_fraction: {max: 0.05}
  filter_quality:
    word_count: {min: 10}
"""


@pytest.fixture
def pages(tmp_path: Path) -> tuple[Path, Path]:
    """A recipe with RefinedWeb's guard, and three pages: all prose, prose with one menu line, half menu."""
    texts = {"prose": PROSE, "one line": [*PROSE, MENU], "half": [*PROSE, *[f"{MENU} {n}" for n in range(15)]]}
    rows = [{"id": name, "text": "\n".join(lines)} for name, lines in texts.items()]
    (tmp_path / "pages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path / "recipe.yaml", tmp_path / "pages.jsonl"


def run(job: Any, pages: tuple[Path, Path], output: Path, *more: str) -> dict[str, dict[str, dict[str, Any]]]:
    recipe, source = pages
    arguments = ["--recipe", str(recipe), "--input", str(source), "--output", str(output), *more]
    assert job.main(arguments) == 0
    tables = {name: ds.dataset(output / name, format="parquet").to_table().to_pylist() for name in ("kept", "removed")}
    return {name: {row["id"]: row for row in rows} for name, rows in tables.items()}


def test_a_page_that_loses_more_than_a_twentieth_of_its_words_is_removed_and_the_others_are_cut(
    spark: Any, pages: tuple[Path, Path], tmp_path: Path
) -> None:
    found = run(edit_lines, pages, tmp_path / "out")
    assert found["kept"].keys() == {"prose", "one line"}
    assert {row["text"] for row in found["kept"].values()} == {"\n".join(PROSE)}
    words = sum(len(line.split()) for line in PROSE)
    [reason] = found["removed"]["half"]["reasons"]
    assert (reason["rule"], reason["bound"]) == ("removed_word_fraction", "<= 0.05")
    assert reason["value"] == pytest.approx(60 / (60 + words))


def test_signals_stand_beside_kept_documents_only_if_the_recipe_asks_for_them(
    spark: Any, pages: tuple[Path, Path], tmp_path: Path
) -> None:
    bare = run(filter_quality, pages, tmp_path / "bare")
    full = run(filter_quality, pages, tmp_path / "full", "--set", "keep_signals=true")
    assert bare["kept"].keys() == full["kept"].keys() == {"prose", "one line", "half"}
    assert all("signals" not in row for row in bare["kept"].values())
    words = {name: row["signals"]["word_count"] for name, row in full["kept"].items()}
    assert words == {name: len(row["text"].split()) for name, row in full["kept"].items()}
