"""Fixtures of the jobs' tests: documents as a committed table, decisions as plain values, the demo's finished run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from udfs.document_key import document_key

Rows = list[dict[str, Any]]

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("key", pa.binary()),
        ("copy", pa.int64()),
        ("text", pa.string()),
        ("url", pa.string()),
        ("date", pa.timestamp("us", tz="UTC")),
        ("source", pa.string()),
        ("language", pa.string()),
        ("metadata", pa.string()),
        ("source_rank", pa.int32()),
        ("cuts", pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("kept_in", pa.string())]))),
        ("signals", pa.struct([("filter_quality", pa.struct([("word_count", pa.float64())]))])),
    ]
)


def complete(row: Mapping[str, Any], copy: int) -> dict[str, Any]:
    """Fill in what a test does not care for; the key as everywhere."""
    filled: dict[str, Any] = {"metadata": "{}", "source": "s", "source_rank": 100, "copy": copy, **row}
    if isinstance(filled.get("date"), str):
        filled["date"] = datetime.fromisoformat(filled["date"]).replace(tzinfo=UTC)
    if "words" in filled:
        filled["signals"] = {"filter_quality": {"word_count": filled.pop("words")}}
    fields = [filled.get(name) for name in ("id", "url", "text")]
    filled.setdefault("key", document_key(*[None if field is None else field.encode() for field in fields]))
    return filled


@pytest.fixture
def make_documents(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """(rows, files) -> documents read from so many Parquet files; copy is the place in the list unless given."""

    def make(rows: Iterable[Mapping[str, Any]], files: int = 1) -> Any:
        table = [complete(row, copy) for copy, row in enumerate(rows)]
        folder = tmp_path_factory.mktemp("documents")
        for place in range(files):
            part = pa.Table.from_pylist(table[place::files], schema=_SCHEMA)
            pq.write_table(part, folder / f"part-{place:03}.parquet")
        return spark.read.parquet(str(folder))

    return make


@pytest.fixture
def workspace(tmp_path: Any) -> str:
    """A folder for intermediate tables."""
    return str(tmp_path / "work")


@pytest.fixture(scope="session")
def demo(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The output of the demo's run and what the sample expects of it."""
    from jobs import pipeline
    from jobs.make_sample import make_sample

    home = tmp_path_factory.mktemp("demo")
    make_sample(home / "sample")
    arguments = ["--recipe", str(home / "sample" / "demo.yaml"), "--output", str(home / "cleaned"), "--paranoid"]
    assert pipeline.main(arguments) == 0
    return home / "cleaned", json.loads((home / "sample" / "expected.json").read_text())
