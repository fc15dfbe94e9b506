"""A finished run as its readers see it: ledger, recipe and published tables, through Arrow and without Spark.

Tables are read as streams of bounded batches over the columns asked for, so that memory does not grow with the run.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from jobs.core.errors import InputContractError, ResourceError
from jobs.core.files import join_path, parent_and_name, worker_file_system
from jobs.core.profiles import Profiles, bounds_for
from jobs.core.published_files import FILES
from jobs.core.recipe_file import Resolved, resolved_from_dict

LEDGER = "ledger.json"
BATCH_ROWS = 65_536
TEXT_BATCH_ROWS = 256  # texts may be long: 256 of them stay within some megabytes


@dataclass(frozen=True)
class FinishedRun:
    """One published output. Make it with ``open_run``."""

    path: str
    ledger: Mapping[str, Any]
    file_system: pafs.FileSystem
    root: str  # the folder as the file system names it

    # ------------------------------------------------------------------------------------------------------- the recipe

    @functools.cached_property
    def resolved(self) -> Resolved:
        """The recipe that the run carried out. Raises ``ConfigurationError`` when this version cannot read it."""
        return resolved_from_dict(self.ledger["recipe"])

    @functools.cached_property
    def profiles(self) -> Profiles:
        """The bounds of every rule, by source and language."""
        return bounds_for(self.resolved.recipe, self.resolved.packs)

    @property
    def stages(self) -> Sequence[Mapping[str, Any]]:
        """The accounts of the stages, in order: read, kept, removed, quarantined, ignored, rules, facts."""
        return list(self.ledger["stages"])

    def stage(self, name: str) -> Mapping[str, Any] | None:
        """The account of one stage, None where the run had no such stage."""
        return next((stage for stage in self.stages if stage["stage"] == name), None)

    # ------------------------------------------------------------------------------------------------------- the tables

    def has(self, table: str) -> bool:
        """Whether the run published a table of this name."""
        if table == "kept" and self.is_refresh:
            return bool(self._kept_in_corpus)
        info = self.file_system.get_file_info(f"{self.root}/{table}")
        return bool(info.type == pafs.FileType.Directory)

    def table(self, name: str) -> ds.Dataset:
        """A published table (``kept``, ``removed``, ``signals``, ``quarantine``, ``clusters``, ``contamination``,
        ``items``, ``testsets``, ``inputs``) as an Arrow data set. Raises ``InputContractError`` where there is none.
        """
        if not self.has(name):
            raise InputContractError(
                f"{self.path} has no table {name}", next_step="run a recipe whose steps write it, or name another run"
            )
        if name == "kept" and self.is_refresh:
            return ds.dataset(self._kept_in_corpus, filesystem=self.file_system, format="parquet")
        return parquet_folder(self.file_system, f"{self.root}/{name}")

    @property
    def is_refresh(self) -> bool:
        """Whether the kept documents have moved on into a corpus (docs/refresh.md)."""
        return bool(self.ledger.get("job") == "refresh")

    def address(self, path: str) -> str:
        """Where a file of the run is, given as ``kept/part-00000.parquet``; not in the corpus until it is published."""
        if self.is_refresh and path.startswith("kept/") and not self.is_file(f"{self.root}/{path}"):
            corpus, _, name = self.root.rpartition("/runs/")
            return f"{corpus}/documents/snapshot={name}/{path.removeprefix('kept/')}"
        return f"{self.root}/{path}"

    @functools.cached_property
    def _kept_in_corpus(self) -> list[str]:
        """The files of kept documents of a refresh that are there still: later versions may have left them behind."""
        listed = [row["path"] for batch in self.batches(FILES, ["path"]) for row in batch.to_pylist()]
        addresses = [self.address(path) for path in sorted(listed) if path.startswith("kept/")]
        infos = self.file_system.get_file_info(addresses) if addresses else []
        return [info.path for info in infos if info.type == pafs.FileType.File]

    def columns(self, table: str) -> tuple[str, ...]:
        """The names of a table's columns; empty where the run has no such table."""
        return tuple(self.table(table).schema.names) if self.has(table) else ()

    @functools.cached_property
    def signal_types(self) -> Mapping[str, pa.DataType]:
        """Every measured signal with its type, in the order of the columns; empty where nothing was measured."""
        if "signals" not in self.columns("signals"):
            return {}
        signals = self.table("signals").schema.field("signals").type
        return {signals.field(place).name: signals.field(place).type for place in range(signals.num_fields)}

    def count(self, table: str, filter_: ds.Expression | None = None) -> int:
        """Rows of a table, 0 where there is none; without a filter only file footers are read."""
        return int(self.table(table).count_rows(filter=filter_)) if self.has(table) else 0

    def batches(
        self,
        table: str,
        columns: Sequence[str] | Mapping[str, ds.Expression] | None = None,
        filter_: ds.Expression | None = None,
        rows: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Stream a table in batches of at most ``rows`` (fewer where a text column is read), always in the same order.

        ``columns`` may be names or expressions by name; a signal is ``ds.field("signals", "word_count")``. Nothing is
        yielded for a table that the run does not have.
        """
        if not self.has(table):
            return
        yield from stream(self.table(table), columns, filter_, rows)

    def bounded(self, table: str, most_rows: int) -> tuple[ds.Dataset, float]:
        """A table, or when it has more rows than that a part of it, and the share of its rows that this is.

        The part is made of whole row groups, drawn by a digest of their place, so that it is the same every time. Rows
        of a row group were written by one task: the part is a sample of those, not of single documents.
        """
        data = self.table(table)
        total = int(data.count_rows())
        if total <= most_rows:
            return data, 1.0
        pieces = [piece for file in data.get_fragments() for piece in file.split_by_row_group()]
        drawn: list[int] = []
        rows = 0
        for place in sorted(range(len(pieces)), key=_place_digest):
            if rows >= most_rows:
                break
            drawn.append(place)
            rows += sum(group.num_rows for group in pieces[place].row_groups)  # count_rows() would count the file's
        chosen = [pieces[place] for place in sorted(drawn)]
        part = ds.FileSystemDataset(chosen, data.schema, ds.ParquetFileFormat(), self.file_system)
        return part, rows / total

    def find(self, table: str, filter_: ds.Expression, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """The rows that a filter picks, as plain values. For filters that pick a few rows: they all are held."""
        found: list[dict[str, Any]] = []
        for batch in self.batches(table, columns, filter_):
            found.extend(batch.to_pylist())
        return found

    def read(self, name: str) -> bytes | None:
        """A small file of the run's folder, None where there is none."""
        return self.read_at(f"{self.root}/{name}")

    def is_file(self, path: str) -> bool:
        """Whether there is a file at a path of the run's file system."""
        return bool(self.file_system.get_file_info(path).type == pafs.FileType.File)

    def read_at(self, path: str) -> bytes | None:
        """A small file of the run's file system, None where there is none."""
        if not self.is_file(path):
            return None
        with self.file_system.open_input_stream(path) as file:
            return bytes(file.read())

    def write(self, name: str, content: bytes) -> None:
        """Put a file into the run's folder, in place of one of that name. Raises ``ResourceError`` when refused."""
        try:
            with self.file_system.open_output_stream(f"{self.root}/{name}") as file:
                file.write(content)
        except OSError as error:
            raise ResourceError(
                f"{self.path}/{name} cannot be written: {error}", next_step="name another place with --output"
            ) from None


def stream(
    data: ds.Dataset,
    columns: Sequence[str] | Mapping[str, ds.Expression] | None = None,
    filter_: ds.Expression | None = None,
    rows: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of a data set in bounded batches; see ``FinishedRun.batches``."""
    names = data.schema.names if columns is None else list(columns)
    limit = rows or (TEXT_BATCH_ROWS if {"text", "content"} & set(names) else BATCH_ROWS)
    chosen = columns if columns is None or isinstance(columns, Mapping) else list(columns)
    # Read-ahead is a trade of memory for time: two batches are enough for a local disk and for a store.
    scanner = data.scanner(
        columns=chosen, filter=filter_, batch_size=limit, batch_readahead=2, fragment_readahead=1, use_threads=True
    )
    yield from (batch for batch in scanner.to_batches() if batch.num_rows)


def _place_digest(place: int) -> bytes:
    return hashlib.blake2b(str(place).encode(), digest_size=8).digest()


def open_run(path: str) -> FinishedRun:
    """Open the output of a finished run.

    Raises ``InputContractError`` when there is no such folder, when it is no run, or when the run is unfinished.
    """
    file_system, root = worker_file_system(path)
    root = root.rstrip("/") or "/"
    if file_system.get_file_info(root).type != pafs.FileType.Directory:
        raise InputContractError(
            f"{path}: no such folder{_unfinished(file_system, root)}", next_step="name a run's output"
        )
    ledger_path = join_path(root, LEDGER)
    if file_system.get_file_info(ledger_path).type != pafs.FileType.File:
        raise InputContractError(
            f"{path} has no {LEDGER}: it is not the output of a finished run{_unfinished(file_system, root)}",
            next_step="name the --output of a finished `winnow run`",
        )
    with file_system.open_input_stream(ledger_path) as stream:
        content = stream.read()
    return FinishedRun(path.rstrip("/"), _ledger(content, path), file_system, root)


def parquet_folder(file_system: pafs.FileSystem, root: str) -> ds.Dataset:
    """A folder of Parquet files as one data set, the files in name order; hidden files are left out."""
    return ds.dataset(root, filesystem=file_system, format="parquet", exclude_invalid_files=False)


def _ledger(content: bytes, path: str) -> Mapping[str, Any]:
    try:
        ledger = json.loads(content)
    except ValueError as error:
        raise InputContractError(f"{path}/{LEDGER} is not JSON: {error}", next_step="restore it or run again") from None
    missing = [name for name in ("run_id", "recipe", "totals", "stages") if name not in ledger]
    if missing:
        raise InputContractError(
            f"{path}/{LEDGER} is no ledger of a run: it lacks {', '.join(missing)}", next_step="name a run's output"
        )
    return dict(ledger)


def _unfinished(file_system: pafs.FileSystem, root: str) -> str:
    parent, name = parent_and_name(root)
    if file_system.get_file_info(join_path(parent or "/", f".{name}.winnow")).type == pafs.FileType.Directory:
        return " (a run on it is under way or was stopped; `--resume` goes on with it)"
    return ""
