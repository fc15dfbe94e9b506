"""The files of a published output, each with what tells it from any other, and one digest for each table.

A Parquet footer holds the schema, the rows and, for every column chunk, its place, size and bounds: a file that was
written anew has another one. So the record of a file is its size, its rows and the digest of its footer, which costs
one small read, where a digest of the whole content would read the corpus once more. Page checksums, which Spark writes,
guard the content itself (``winnow verify --contents``).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FILES = "files"  # the table that lists the files of all others
THREADS = 16  # footers read at a time: waiting for a store, not computing
_TAIL_BYTES = 64 << 10  # holds most footers
_MAGIC = b"PAR1"
_END_BYTES = 8  # the footer's length, little-endian, and the magic

ReadFrom = Callable[[str, int], bytes]
"""(path, offset) -> all bytes of the file from there on."""


class DamagedFileError(ValueError):
    """A file that is no complete Parquet file."""


@dataclass(frozen=True, order=True)
class PublishedFile:
    """One file of a table. ``path`` is relative to the output: ``kept/part-00000.parquet``."""

    path: str
    size_bytes: int
    rows: int
    footer_sha256: str

    @property
    def table(self) -> str:
        """The table that the file belongs to."""
        return self.path.split("/", 1)[0]


FILE_SCHEMA = "path string, size_bytes long, rows long, footer_sha256 string"


def look_at(path: str, address: str, size_bytes: int, read_from: ReadFrom) -> PublishedFile:
    """The record of one file. Raises ``DamagedFileError`` when its end is not that of a Parquet file."""
    footer = _footer(address, size_bytes, read_from)
    try:
        metadata = pq.read_metadata(pa.BufferReader(_MAGIC + footer))
    except (pa.ArrowException, OSError) as error:
        raise DamagedFileError(f"its footer cannot be read: {error}") from None
    return PublishedFile(path, size_bytes, metadata.num_rows, hashlib.sha256(footer).hexdigest())


def _footer(address: str, size_bytes: int, read_from: ReadFrom) -> bytes:
    tail = read_from(address, max(0, size_bytes - _TAIL_BYTES))
    if len(tail) < _END_BYTES or tail[-4:] != _MAGIC:
        raise DamagedFileError("it does not end as a Parquet file does")
    length = int(struct.unpack("<I", tail[-_END_BYTES:-4])[0]) + _END_BYTES
    if length > size_bytes:
        raise DamagedFileError("its footer is longer than the file")
    if length > len(tail):
        tail = read_from(address, size_bytes - length)
    return tail[-length:]


def look_at_all(
    files: Iterable[tuple[str, str, int]], read_from: ReadFrom
) -> tuple[list[PublishedFile], dict[str, str]]:
    """The records of (path, address, size) in path order, and why others have none, by path."""

    def one(file: tuple[str, str, int]) -> PublishedFile | tuple[str, str]:
        try:
            return look_at(*file, read_from)
        except (DamagedFileError, OSError) as error:
            return file[0], str(error)

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(one, files))
    good = sorted(result for result in results if isinstance(result, PublishedFile))
    return good, dict(result for result in results if not isinstance(result, PublishedFile))


def table_records(files: Iterable[PublishedFile]) -> dict[str, dict[str, Any]]:
    """For the ledger: each table's files, rows, bytes, and the digest of its files' records."""
    by_table: dict[str, list[PublishedFile]] = {}
    for file in sorted(files):
        by_table.setdefault(file.table, []).append(file)
    return {
        table: {
            "files": len(listed),
            "rows": sum(file.rows for file in listed),
            "bytes": sum(file.size_bytes for file in listed),
            "sha256": digest(listed),
        }
        for table, listed in by_table.items()
    }


def digest(files: Iterable[PublishedFile]) -> str:
    """One SHA-256 for a table: of a line per file, in path order."""
    lines = "".join(f"{f.path}\t{f.size_bytes}\t{f.rows}\t{f.footer_sha256}\n" for f in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def as_row(file: PublishedFile) -> tuple[Any, ...]:
    """A row of the table ``files``."""
    return tuple(asdict(file).values())


def from_row(row: Mapping[str, Any]) -> PublishedFile:
    """The record that a row of the table ``files`` holds."""
    return PublishedFile(**{name: row[name] for name in PublishedFile.__dataclass_fields__})
