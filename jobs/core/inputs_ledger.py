"""Which input files a corpus has consumed, and which are new: by difference, not by a date.

A file is known by its path, size, modification time and fingerprint. Files that arrive late, with whatever date, are
new to the next refresh. A file of a known path is *touched* when only its time differs, and *changed* when its content
does; what happens to changed files is the caller's choice. The list of a refresh is frozen before any work starts, so
that the same run id reads the same files however often it has to begin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from jobs.core.errors import InputContractError
from jobs.core.files import FileInfo, open_for_reading, worker_file_system
from jobs.core.inputs import InputFile

ChangedPolicy = Literal["refuse", "read", "skip"]
CHANGED_POLICIES: tuple[ChangedPolicy, ...] = ("refuse", "read", "skip")
_END_BYTES = 64 << 10
_THREADS = 16
_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("path", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_ms", pa.int64()),
        ("fingerprint", pa.string()),
    ]
)


@dataclass(frozen=True)
class Difference:
    """Inputs against the ledger: ``new`` files with their fingerprints, and paths whose content is another now."""

    new: Sequence[tuple[InputFile, str]]
    changed: Sequence[str]
    known: int


def fingerprint_of(path: str, size_bytes: int) -> str:
    """BLAKE2b-128 of a file's size and of its first and last 64 KB: enough to tell a touched file from a changed one
    without reading archives twice.
    """
    digest = hashlib.blake2b(str(size_bytes).encode(), digest_size=16)
    with open_for_reading(path) as stream:
        digest.update(stream.read(_END_BYTES))
        if size_bytes > 2 * _END_BYTES:
            stream.seek(size_bytes - _END_BYTES)
        digest.update(stream.read(_END_BYTES))
    return digest.hexdigest()


def difference(listed: Sequence[InputFile], consumed: Iterable[dict[str, Any]], policy: ChangedPolicy) -> Difference:
    """The files that a corpus has not consumed yet.

    Raises ``InputContractError`` for changed files when the policy is to refuse them.
    """
    known: dict[str, list[dict[str, Any]]] = {}
    for record in consumed:
        known.setdefault(record["path"], []).append(record)
    in_doubt = [file for file in listed if not _same_stamp(file.info, known.get(file.path, ()))]
    with ThreadPoolExecutor(_THREADS) as pool:
        prints = list(pool.map(lambda file: fingerprint_of(file.path, file.info.size_bytes), in_doubt))
    new, changed = [], []
    for file, fingerprint in zip(in_doubt, prints, strict=True):
        before = known.get(file.path)
        if before is None:
            new.append((file, fingerprint))
        elif all(record["fingerprint"] != fingerprint for record in before):
            changed.append(file.path)
            if policy == "read":
                new.append((file, fingerprint))
    if changed and policy == "refuse":
        shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise InputContractError(
            f"{len(changed)} input files are in the corpus and have changed since: {shown}",
            next_step="--changed-files read takes them in again (documents already there are removed as duplicates), "
            "--changed-files skip leaves them",
        )
    return Difference(new, changed, len(listed) - len(new) - (len(changed) if policy != "read" else 0))


def _same_stamp(info: FileInfo, before: Iterable[dict[str, Any]]) -> bool:
    return any((r["size_bytes"], r["modified_ms"]) == (info.size_bytes, info.modified_ms) for r in before)


def as_table(files: Sequence[tuple[InputFile, str]]) -> pa.Table:
    """The ledger's rows for some files."""
    rows = [
        {
            "source": file.source,
            "path": file.path,
            "size_bytes": file.info.size_bytes,
            "modified_ms": file.info.modified_ms,
            "fingerprint": fingerprint,
        }
        for file, fingerprint in files
    ]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def write_table(table: pa.Table, path: str) -> None:
    """Write one ledger table to one Parquet file."""
    file_system, inner = worker_file_system(path)
    if isinstance(file_system, pafs.LocalFileSystem):
        file_system.create_dir(inner.rpartition("/")[0], recursive=True)
    pq.write_table(table, inner, filesystem=file_system)


def read_tables(paths: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of ledger tables: one per consumed file."""
    rows: list[dict[str, Any]] = []
    for path in paths:
        with open_for_reading(path) as stream:
            rows.extend(pq.read_table(stream).to_pylist())
    return rows


def frozen_text(files: Sequence[tuple[InputFile, str]]) -> str:
    """A list of files as the text that is frozen before work starts."""
    return json.dumps([{"file": asdict(file), "fingerprint": fingerprint} for file, fingerprint in files])


def from_frozen(text: str) -> list[tuple[InputFile, str]]:
    """The files of a frozen list."""
    found = []
    for record in json.loads(text):
        kept = {**record["file"], "info": FileInfo(**record["file"]["info"])}
        kept["columns"] = tuple(tuple(column) for column in kept["columns"])
        found.append((InputFile(**kept), record["fingerprint"]))
    return found


def refuse_moving_files(frozen: Sequence[tuple[InputFile, str]], listed: Iterable[InputFile]) -> None:
    """Raise ``InputContractError`` when a frozen file is gone or is being written to."""
    now = {file.path: file.info for file in listed}
    moved = [file.path for file, _ in frozen if now.get(file.path) != file.info]
    if moved:
        raise InputContractError(
            f"{len(moved)} input files changed or went away since this run listed them: {', '.join(moved[:5])}",
            next_step="start with another --run-id once they are complete",
        )
