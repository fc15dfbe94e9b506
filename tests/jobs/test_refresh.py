"""Refreshing a corpus: older wins, nothing is lost, and what readers see is what the ledger says."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs import refresh as job
from udfs.reference.shingles import jaccard, shingles

RECIPE = """
recipe: batches
ingest: {max_bad_fraction: 1}
gates: {min_share_documents: 100000}
languages: {detect: false, default: en}
steps:
  dedup_url: {}
  dedup_exact: {}
  dedup_near: {ngram: 2, threshold: 0.7, num_perm: 64, bands: 32, rows: 2}
"""
WORDS = [
    f"{a}{b}" for a in ("ba", "ke", "li", "mo", "nu", "ra", "so", "ti") for b in ("ba", "den", "fil", "gor", "mus")
]

Row = dict[str, Any]


def sentence(random_: random.Random, words: int = 40) -> str:
    return " ".join(random_.choice(WORDS) + str(random_.randrange(50)) for _ in range(words))


def pages(count: int, seed: int) -> list[Row]:
    """Pages of which many are copies, near copies or other versions of one another, whatever batch they fall into."""
    random_ = random.Random(seed)
    made: list[Row] = []
    for number in range(count):
        kind = random_.random()
        text, url = sentence(random_), f"https://site{number % 7}.example/{number}"
        if made and kind < 0.15:
            text = random_.choice(made)["text"].upper()
        elif made and kind < 0.35:
            words = random_.choice(made)["text"].split()
            words[random_.randrange(len(words))] = "changed"
            text = " ".join(words)
        elif made and kind < 0.45:
            url = random_.choice(made)["url"] + "?utm_source=feed"
        made.append({"id": f"d{number:04}", "url": url, "text": text})
    return made


def write(folder: Path, name: str, rows: Sequence[Row]) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return str(path)


def refresh(recipe: str, corpus: Path, source: Path, run_id: str, *more: str) -> int:
    arguments = ["--recipe", recipe, "--corpus", str(corpus), "--input", str(source), "--run-id", run_id, *more]
    return job.main(arguments)


def published(corpus: Path, version: int | None = None) -> list[Row]:
    """All documents of a version, by a reader that knows nothing of Winnow."""
    return sorted(pl.read_delta(str(corpus / "documents"), version=version).to_dicts(), key=lambda row: row["id"])


def ids(corpus: Path) -> set[str]:
    return {row["id"] for row in published(corpus)}


def canonical(row: Mapping[str, Any]) -> str:
    return str(row["url"]).partition("?")[0]


def near(left: Row, right: Row) -> bool:
    return jaccard(set(shingles(left["text"], 2)), set(shingles(right["text"], 2))) >= 0.7


def newest_first(rows: Sequence[Row], same: Any) -> list[Row]:
    """Greedy: the best-ranked row that no kept one stands for is kept; longest, then the smallest id."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: (-len(row["text"]), row["id"])):
        if not any(same(row, other) for other in kept):
            kept.append(row)
    return kept


def brute_force(batches: Sequence[Sequence[Row]]) -> set[str]:
    """What a corpus holds after these batches under "older wins": step by step, every pair compared."""
    history: list[Row] = []
    kinds = (
        lambda a, b: canonical(a) == canonical(b),
        lambda a, b: a["text"].casefold() == b["text"].casefold(),
        near,
    )
    for batch in batches:
        left = list(batch)
        for place, same in enumerate(kinds):
            left = [row for row in left if not any(same(row, old) for old in history)]
            # Of one URL no date tells versions apart, so the smallest id stays.
            left = newest_first([{**row, "text": row["text"]} for row in left], same) if place else one_a_url(left)
        history += left
    return {row["id"] for row in history}


def one_a_url(rows: Sequence[Row]) -> list[Row]:
    best: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        best.setdefault(canonical(row), row)
    return list(best.values())


def test_a_refresh_keeps_what_brute_force_finds_new(spark: Any, tmp_path: Path, recipe: str) -> None:
    rows = pages(160, 1)
    cuts = [rows[:70], rows[70:120], rows[120:]]
    source, corpus = tmp_path / "in", tmp_path / "corpus"
    for place, batch in enumerate(cuts):
        write(source, f"batch{place}", batch)
        assert refresh(recipe, corpus, source, f"r{place}") == 0
        assert ids(corpus) == brute_force(cuts[: place + 1])
    removed = pl.read_parquet(str(corpus / "runs" / "r2" / "removed" / "*.parquet")).to_dicts()
    kept = ids(corpus)
    assert removed and all(row["duplicate_of"] in kept for row in removed)
    assert {row["stage"] for row in removed} == {"dedup_url", "dedup_exact", "dedup_near"}
