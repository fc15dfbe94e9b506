"""Finished runs written by hand, for the tests of what reads them: no Spark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.core.published_files import FILES, PublishedFile, as_row, look_at_all, table_records
from jobs.core.recipe_file import resolve_recipe

REASONS = pa.list_(pa.struct([("rule", pa.string()), ("value", pa.float64()), ("bound", pa.string())]))
SIGNALS = pa.struct([("word_count", pa.int64()), ("hash_word_ratio", pa.float64())])
SCHEMAS = {
    "kept": [("id", pa.string()), ("key", pa.binary()), ("text", pa.string()), ("url", pa.string())]
    + [("source", pa.string()), ("language", pa.string()), ("cluster_size", pa.int32())],
    "removed": [("id", pa.string()), ("key", pa.binary()), ("text", pa.string()), ("url", pa.string())]
    + [("source", pa.string()), ("language", pa.string()), ("stage", pa.string()), ("reasons", REASONS)]
    + [("duplicate_of", pa.string()), ("duplicate_of_key", pa.binary()), ("similarity", pa.float64())]
    + [("via", pa.string())],
    "signals": [("key", pa.binary()), ("id", pa.string()), ("source", pa.string()), ("language", pa.string())]
    + [("text_bytes", pa.int64()), ("language_score", pa.float64()), ("signals", SIGNALS), ("stage", pa.string())],
    "quarantine": [("source", pa.string()), ("source_name", pa.string()), ("offset", pa.int64()), ("id", pa.string())]
    + [("reason", pa.string()), ("detail", pa.string()), ("stage", pa.string())],
}
# Rules on the two signals only, so that rows are short.
RULES = (
    "languages.keep=null",
    "steps.filter_quality={word_count: {min: 50}, hash_word_ratio: {max: 0.1}, mean_word_length: off, "
    "ellipsis_word_ratio: off, bullet_line_fraction: off, ellipsis_line_fraction: off, alpha_word_fraction: off, "
    "stop_word_count: off}",
    "steps.filter_repetition=off",
    "steps.filter_content=off",
)


def key_of(id_: str) -> bytes:
    """A key of 16 bytes that shows whose it is."""
    return id_.encode().ljust(16, b"\0")


def write_run(
    folder: Path,
    documents: Sequence[Mapping[str, Any]],
    *,
    quarantine: Sequence[Mapping[str, Any]] = (),
    overrides: Sequence[str] = (),
    inputs: str = "i1",
    files: int = 1,
) -> Path:
    """Write a run of documents: ``id``, ``words``, ``text``, ``stage`` (None: kept), ``of`` (who stands for it), …"""
    resolved = resolve_recipe("gopher", [*RULES, *overrides])
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}
    tables["quarantine"] += [dict(row) for row in quarantine]
    for document in documents:
        stage, of = document.get("stage"), document.get("of")
        row = {"source": "s", "language": "en", **document, "key": document.get("key", key_of(document["id"]))}
        signals = {"word_count": document.get("words", 100), "hash_word_ratio": document.get("hashes", 0.0)}
        tables["signals"].append({**row, "signals": signals, "text_bytes": len(document.get("text") or "")})
        if stage is None:
            size = 1 + sum(other.get("of") == document["id"] for other in documents)
            tables["kept"].append({**row, "cluster_size": size})
        else:
            tables["removed"].append({**row, "duplicate_of": of, "duplicate_of_key": key_of(of) if of else None})
    for name, fields in SCHEMAS.items():
        (folder / name).mkdir(parents=True)
        for place in range(files):
            part = [{field: row.get(field) for field, _ in fields} for row in tables[name][place::files]]
            path = folder / name / f"part-{place}.parquet"
            pq.write_table(pa.Table.from_pylist(part, pa.schema(fields)), path, write_page_checksum=True)
    ledger = {
        "run_id": folder.name,
        "recipe": dict(resolved.as_dict),
        "recipe_sha256": resolved.sha256,
        "inputs_sha256": inputs,
        "inputs": [{"source": "s", "files": 1, "bytes": 9, "sha256": inputs, "formats": ["jsonl"]}],
        "totals": {
            "read": len(documents) + len(quarantine),
            **{name: len(tables[name]) for name in ("kept", "removed")},
            "quarantined": len(quarantine),
            "ignored": 0,
        },
        "stages": _stages(documents, len(quarantine)),
        "tables": _record(folder),
    }
    (folder / "ledger.json").write_text(json.dumps(ledger))
    return folder


def _stages(documents: Sequence[Mapping[str, Any]], quarantined: int) -> list[dict[str, Any]]:
    read = len(documents) + quarantined
    stages = []
    for name in ("ingest", "filter_quality", "dedup_near"):
        out = quarantined if name == "ingest" else 0
        removed = sum(document.get("stage") == name for document in documents)
        account = {"stage": name, "read": read, "kept": read - removed - out, "removed": removed, "quarantined": out}
        stages.append({**account, "ignored": 0, "rules": {}})
        read -= removed + out
    return stages


def _record(folder: Path) -> dict[str, Any]:
    def files(tables: Sequence[str]) -> list[PublishedFile]:
        paths = [path for table in tables for path in sorted((folder / table).glob("*.parquet"))]
        found = [(str(path.relative_to(folder)), str(path), path.stat().st_size) for path in paths]
        records, damaged = look_at_all(found, lambda path, offset: Path(path).read_bytes()[offset:])
        assert not damaged
        return records

    listed = files(list(SCHEMAS))
    names = list(PublishedFile.__dataclass_fields__)
    (folder / FILES).mkdir()
    rows = [dict(zip(names, as_row(file), strict=True)) for file in listed]
    pq.write_table(pa.Table.from_pylist(rows), folder / FILES / "part-0.parquet")
    return table_records([*listed, *files([FILES])])
