"""The same documents leave the same corpus, whatever the partitions, order, cores, execution plans and hash seeds."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
RECIPE = {"recipe": "near", "languages": {"detect": False, "default": "en"}, "steps": {"dedup_near": {}}}


@pytest.fixture(scope="module")
def planted(shared_data: Path) -> list[str]:
    """Lines of the planted duplicates."""
    with gzip.open(shared_data / "duplicates" / "planted" / "docs.jsonl.gz", "rt", encoding="utf-8") as lines:
        return list(lines)


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """The first answer, which all others must equal."""
    return {}


def dedup_near(folder: Path, source: Path, *, seed: str = "0", master: str = "local[2]", **conf: str) -> Path:
    """Run the command in a process of its own; the output."""
    recipe, out = folder / "recipe.yaml", folder / f"out-{source.name}"
    recipe.write_text(json.dumps(RECIPE))
    settings = [
        part for key, value in conf.items() for part in ("--conf", f"spark.sql.{key.replace('_', '.')}={value}")
    ]
    arguments = ["--recipe", str(recipe), "--input", str(source), "--output", str(out), "--master", master]
    subprocess.run(
        [sys.executable, "-m", "jobs.cli", "dedup-near", *arguments, *settings],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        check=True,
        capture_output=True,
    )
    return out


def table(folder: Path, *columns: str) -> list[tuple[Any, ...]]:
    rows = ds.dataset(folder, format="parquet").to_table(columns=list(columns)).to_pylist()
    return sorted(tuple(row[name] for name in columns) for row in rows)


@pytest.mark.parametrize("seed", ["0", "4321"])
@pytest.mark.parametrize("adaptive", ["true", "false"])
@pytest.mark.parametrize("master", ["local[1]", "local[2]"])
@pytest.mark.parametrize("partitions", [1, 3, 7, 64])
def test_the_kept_set_is_the_same_however_the_work_is_cut(
    tmp_path: Path,
    planted: list[str],
    answers: dict[str, Any],
    partitions: int,
    master: str,
    adaptive: str,
    seed: str,
) -> None:
    lines = random.Random(f"{partitions}{master}{adaptive}{seed}").sample(planted, len(planted))
    source = tmp_path / "in"
    source.mkdir()
    for place in range(partitions):
        (source / f"{place:02}.jsonl").write_text("".join(lines[place::partitions]))
    out = dedup_near(
        tmp_path, source, seed=seed, master=master, adaptive_enabled=adaptive, shuffle_partitions=str(partitions)
    )
    columns = ("id", "key", "duplicate_of", "duplicate_of_key", "similarity", "cluster")
    found = {"kept": table(out / "kept", "id", "key", "cluster_size"), "removed": table(out / "removed", *columns)}
    assert len(found["removed"]) > 400
    assert found == answers.setdefault("first", found)


def test_a_second_run_over_the_output_removes_nothing(tmp_path: Path, planted: list[str]) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "all.jsonl").write_text("".join(planted))
    once = dedup_near(tmp_path, source)
    twice = dedup_near(tmp_path, once / "kept")
    assert table(twice / "removed", "id") == []
    assert table(twice / "kept", "id", "text") == table(once / "kept", "id", "text")
