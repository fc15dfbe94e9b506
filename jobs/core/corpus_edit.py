"""Taking documents out of a corpus: the files that hold them are written anew without them, the others stay.

Take-downs, test sets that came later, and expired snapshots all end here. State goes with its documents, row by row.
Documents that were removed earlier as duplicates of what is taken out now do not come back; they are listed as
*stranded*, so that a later clean run can take them from their sources.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.core.arrow_map import ArrowMap, map_in_arrow
from jobs.core.console import say
from jobs.core.corpus import SNAPSHOT, Corpus, DataFile, Head, Snapshot, snapshot_of
from jobs.core.files import join_path, open_for_reading
from jobs.core.state import file_bytes, new_parquet

_READ_ROWS = 2048


@dataclass(frozen=True)
class Edit:
    """A version's snapshots after an edit, the files that come and go, and how many documents went."""

    snapshots: Sequence[Snapshot]
    added: Sequence[DataFile]
    removed: Sequence[DataFile]
    documents: int


def operation_id(operation: str) -> str:
    """A name for an operation that no schedule named."""
    return f"{operation}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"


def without_rows(
    spark: SparkSession, corpus: Corpus, snapshots: Sequence[Snapshot], rows: DataFrame, name: str
) -> Edit:
    """Write the files that hold some rows (file, row) anew without them, under names made from the operation's."""
    files = {file.path: file for snapshot in snapshots for file in corpus.files_of(snapshot)}
    grouped = rows.select("file", "row").distinct().repartition("file").sortWithinPartitions("file", "row")
    schema = "file string, documents string, state string, rows long, bytes long"
    rewriting = _rewrite(corpus.at("documents"), corpus.at("state"), {p: f.state for p, f in files.items()}, name)
    written = {row["file"]: row for row in map_in_arrow(grouped, rewriting, schema).collect()}  # a row a file
    added = [DataFile(row["documents"], row["state"], row["rows"], row["bytes"]) for row in written.values()]
    removed = [files[path] for path in written]
    changed = {snapshot_of(path) for path in written}
    by_old = dict(zip(written, added, strict=True))
    after = []
    for snapshot in snapshots:
        if snapshot.id not in changed:
            after.append(snapshot)
            continue
        left = [by_old.get(file.path, file) for file in corpus.files_of(snapshot)]
        left = [file for file in left if file.rows]
        listing = f"{snapshot.id}/files-{name}.json"
        corpus.write_list(listing, left)
        documents, size = sum(file.rows for file in left), sum(file.bytes for file in left)
        after.append(replace(snapshot, files=listing, documents=documents, bytes=size))
    gone = sum(file.rows for file in removed) - sum(file.rows for file in added)
    return Edit(after, added, removed, gone)


def _rewrite(documents: str, state: str, states: dict[str, str], name: str) -> ArrowMap:
    def rewrite(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for file, rows in _rows_by_file(batches):
            digest = hashlib.blake2b(f"{name}\0{file}".encode(), digest_size=8).hexdigest()
            snapshot = snapshot_of(file)
            fresh, fresh_state = f"{SNAPSHOT}={snapshot}/part-{digest}.parquet", f"{snapshot}/part-{digest}.parquet"
            left = _filtered(join_path(documents, file), join_path(documents, fresh), rows)
            _filtered(join_path(state, states[file]), join_path(state, fresh_state), rows)
            size = file_bytes(join_path(documents, fresh))
            yield pa.RecordBatch.from_pydict(
                {"file": [file], "documents": [fresh], "state": [fresh_state], "rows": [left], "bytes": [size]}
            )

    return rewrite


def _rows_by_file(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Rows of each file, from batches that are sorted by file."""
    name: str | None = None
    held: list[int] = []
    for batch in batches:
        for file, row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if file != name and name is not None:
                yield name, np.array(held, dtype=np.int64)
                held = []
            name = file
            held.append(row)
    if name is not None:
        yield name, np.array(held, dtype=np.int64)


def _filtered(source: str, target: str, rows: NDArray[np.int64]) -> int:
    """Copy a Parquet file without some of its rows; how many are left."""
    first, left = 0, 0
    with open_for_reading(source) as stream:
        file = pq.ParquetFile(stream)
        with new_parquet(target, file.schema_arrow) as writer:
            for batch in file.iter_batches(_READ_ROWS):
                stays = np.ones(batch.num_rows, dtype=bool)
                stays[rows[(rows >= first) & (rows < first + batch.num_rows)] - first] = False
                writer.write_batch(batch.filter(pa.array(stays)))
                first, left = first + batch.num_rows, left + int(stays.sum())
    return left


def list_stranded(spark: SparkSession, corpus: Corpus, head: Head, gone: DataFrame, name: str) -> int:
    """Write ``stranded/NAME``: documents that were removed as duplicates of what goes now (``id``, ``key``); how many.

    Passages that were cut from other documents since these held them are listed in ``stranded/NAME-passages``.
    """
    columns = ["id", "key", "source", "stage", "duplicate_of", "duplicate_of_key"]
    removed = _of_all_runs(spark, corpus, head, "removed")
    count = 0
    if removed is not None:
        keys = gone.select(F.col("key").alias("duplicate_of_key")).distinct()
        stranded = removed.select(*columns).join(keys, on="duplicate_of_key", how="left_semi").select(*columns)
        count = _list(stranded, corpus.at("stranded", name), "documents were removed earlier as duplicates of these")
    spans = _of_all_runs(spark, corpus, head, "removed_spans")
    if spans is not None:
        ids = gone.select(F.col("id").alias("kept_in")).distinct()
        cut = spans.join(ids, on="kept_in", how="left_semi").select("id", "key", "start", "end", "kept_in", "text")
        _list(cut, corpus.at("stranded", f"{name}-passages"), "passages were cut earlier that these documents hold")
    return count


def _of_all_runs(spark: SparkSession, corpus: Corpus, head: Head, table: str) -> DataFrame | None:
    """A table of all refreshes that a version is made of; None where there is none."""
    paths = [corpus.at("runs", run, table) for run in head.manifest.done]
    paths = [path for path in paths if corpus.files.exists(path)]
    return spark.read.option("mergeSchema", "true").parquet(*paths) if paths else None


def _list(stranded: DataFrame, folder: str, what: str) -> int:
    """Write a list and tell of it; its rows."""
    stranded.coalesce(1).write.mode("overwrite").parquet(folder)  # an earlier attempt may have been killed here
    count = stranded.sparkSession.read.schema(stranded.schema).parquet(folder).count()
    if count:
        say(f"{count:,} {what}; they are listed in {folder}")
    return count


def publish_edit(
    corpus: Corpus, head: Head, edit: Edit, operation: str, name: str, ledger: dict[str, Any], **changes: Any
) -> int:
    """Publish an edit as a new version; its number."""
    kept = [snapshot for snapshot in edit.snapshots if snapshot.documents]
    manifest = head.manifest.following(
        operation, name, head.version, snapshots=kept, ledger={"removed": edit.documents, **ledger}, **changes
    )
    return corpus.publish(head, manifest, edit.added, edit.removed)
