"""Which documents of a batch a corpus has already: history is scanned once, is never shuffled, and outranks it.

1. *Probes*: the batch's own digests (or band hashes) are computed, sorted, and sent to every machine as flat arrays
   with a bitmap in front: 24 bytes a value and two in the bitmap, so 800 MB for a million documents of 32 bands, mapped
   and not loaded. Larger batches take several scans (`MOST_PROBES`).
2. *Scan*: every task reads one column of its state files, 16 bytes a document for digests, 5 a band for near, and
   looks each value up. Nothing but hits comes out: (batch row, file, row), 40 bytes each.
3. *Hits* are joined with the batch and grouped by file. A digest is equal in all its 128 bits or it is no hit; for
   near-duplicates the text of the hit is read from the row groups that hold it, and compared as in `dedup_near`.
   Shuffled: the shingle sets of batch documents that have hits, 8 bytes a word.

Repeated passages are found the same way, by anchors; the documents of the history that share one with the batch are
read and go through `dedup_substring` beside it, where they outrank the batch and stay as they are.

So what is shuffled depends on the batch and its hits, not on the history; what is scanned is one column a step.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.core.arrow_map import ArrowMap, map_in_arrow
from jobs.core.bitmap import in_bitmap
from jobs.core.documents import CUTS_TYPE
from jobs.core.files import DriverFiles, join_path, open_for_reading
from jobs.core.near_pairs import Compared, compared_parts, similarities
from jobs.core.recipe import DedupNear, Recipe
from jobs.core.shipping import ship_folder
from jobs.core.state import (
    Probes,
    Scopes,
    Step,
    column_bytes,
    parts_of,
    rows_of,
    scopes_of,
    state_column,
    state_values,
    value_bytes,
)
from jobs.core.survivors import nullable_fields, written
from udfs.digests import text_digests

MOST_PROBES = 32_000_000
_MOST_BITMAP_BITS = 29
_HIT = "node long, file string, row long, bytes long"
_NAMED = "node long, id string, document_key binary, similarity double, bytes long"
_OLD_COPY = -1  # of documents of the history, which no document of a batch has


@dataclass(frozen=True)
class HistoryFile:
    """One data file of the corpus: full paths of its documents and its state."""

    documents: str
    state: str


@dataclass(frozen=True)
class Known:
    """Batch documents that the corpus has: decisions (key, copy, duplicate_of, duplicate_of_key, similarity), facts."""

    decisions: DataFrame
    facts: dict[str, Any]


def find_known(
    documents: DataFrame,
    name: str,
    recipe: Recipe,
    history: Sequence[HistoryFile],
    workspace: str,
    replaced: DataFrame | None = None,
) -> Known:
    """Find the documents of a batch that the history stands for, by one dedup step of a recipe.

    Args:
        documents: id, key, copy, text, url, source, language.
        name: The step.
        recipe: The recipe of the batch.
        history: The corpus's data files; at least one.
        workspace: Folder for intermediate tables.
        replaced: Rows of the history (file, row) that stand for nothing any more: newer versions take their places.
    """
    spark, step = documents.sparkSession, getattr(recipe.steps, name)
    probes, counts = _probes(documents, name, step, scopes_of(recipe, name), join_path(workspace, "probes"))
    hits, scanned = _hits(spark, name, probes, counts["values"], history, workspace)
    hits = _without_replaced(hits, replaced)
    found, read = _named_hits(documents, hits, step, join_path(workspace, "found"))
    best = found.groupBy("node").agg(
        F.min(F.struct((-F.col("similarity")).alias("distance"), "id", "document_key")).alias("best")
    )
    decisions = best.join(probes.select("node", "key", "copy"), on="node", how="inner").select(
        "key",
        "copy",
        F.col("best.id").alias("duplicate_of"),
        F.col("best.document_key").alias("duplicate_of_key"),
        (F.lit(None).cast("double") if name == "dedup_url" else -F.col("best.distance")).alias("similarity"),
        F.lower(F.hex("best.document_key")).alias("cluster"),
    )
    decisions, removed = written(decisions, join_path(workspace, "decisions"), known=F.count(F.lit(1)))
    return Known(decisions, {"in_history": removed["known"], **scanned, **read})


@dataclass(frozen=True)
class Versions:
    """Batch documents whose address the corpus has: ``known`` as in `Known`, and the rows of the history that newer
    versions replace (file, row, id, key, superseded_by, superseded_by_key).
    """

    known: DataFrame
    replaced: DataFrame
    facts: dict[str, Any]


def find_versions(documents: DataFrame, recipe: Recipe, history: Sequence[HistoryFile], workspace: str) -> Versions:
    """Hold the addresses of a batch against the history, where newer versions of a page replace older ones.

    A document replaces that of the same canonical URL if its text is another and its date is not before the other's; a
    document without a date counts as newer, for it came later. Else the history stands for it.

    Args:
        documents: id, key, copy, text, url, date, source, language; one per URL (and scope).
        recipe, history, workspace: as for `find_known`.
    """
    name, spark, step = "dedup_url", documents.sparkSession, recipe.steps.dedup_url
    assert step is not None
    probes, counts = _probes(documents, name, step, scopes_of(recipe, name), join_path(workspace, "probes"))
    hits, scanned = _hits(spark, name, probes, counts["values"], history, workspace)
    node = F.xxhash64("key", "copy").alias("node")
    mine = documents.select(node, "id", "key", "copy", "text", F.unix_micros("date").alias("time"))
    mine = mine.join(hits.select("node").distinct(), on="node", how="left_semi")
    schema = "node long, digest binary, time long"
    digests = map_in_arrow(mine.select("node", "text", "time"), _digest_texts, schema)
    pairs = hits.join(digests, on="node", how="inner").repartition("file").sortWithinPartitions("file", "row")
    schema = "node long, file string, row long, id string, document_key binary, replaces boolean"
    compared = map_in_arrow(pairs.select("node", "file", "row", "digest", "time"), _compare_versions, schema)
    found, _ = written(compared, join_path(workspace, "found"))
    names = mine.select("node", F.col("id").alias("_id"), F.col("key").alias("_key"), "copy")
    named = found.join(names, on="node", how="inner")
    # A document that several older ones share an address with replaces all of them or none.
    stays = (
        found.where(~F.col("replaces"))
        .groupBy("node")
        .agg(
            F.min(F.struct("id", "document_key")).alias("best"),
        )
    )
    known = stays.join(names, on="node", how="inner").select(
        F.col("_key").alias("key"),
        "copy",
        F.col("best.id").alias("duplicate_of"),
        F.col("best.document_key").alias("duplicate_of_key"),
        F.lower(F.hex("best.document_key")).alias("cluster"),
    )
    replaced = named.join(stays, on="node", how="left_anti").select(
        relative_file(F.col("file")).alias("file"),
        "row",
        "id",
        F.col("document_key").alias("key"),
        F.col("_id").alias("superseded_by"),
        F.col("_key").alias("superseded_by_key"),
    )
    known, removed = written(known, join_path(workspace, "decisions"), known=F.count(F.lit(1)))
    replaced, gone = written(replaced, join_path(workspace, "replaced"), superseded=F.count(F.lit(1)))
    return Versions(known, replaced, {"in_history": removed["known"], **gone, **scanned})


@dataclass(frozen=True)
class Beside:
    """A batch and the documents of the history that may share passages with it, told apart by ``in_history``."""

    documents: DataFrame
    facts: dict[str, Any]


def beside_history(
    documents: DataFrame,
    recipe: Recipe,
    history: Sequence[HistoryFile],
    workspace: str,
    replaced: DataFrame | None = None,
) -> Beside:
    """Put documents of the history beside a batch: those of which a window of `dedup_substring` may occur in it.

    Args:
        documents, recipe, history, workspace, replaced: as for `find_known`.
    """
    name, spark, step = "dedup_substring", documents.sparkSession, recipe.steps.dedup_substring
    assert step is not None
    probes, counts = _probes(documents, name, step, scopes_of(recipe, name), join_path(workspace, "probes"))
    hits, scanned = _hits(spark, name, probes, counts["values"], history, workspace)
    rows = _without_replaced(hits, replaced).select("file", "row").distinct()
    schema = f"id string, key binary, text string, cuts {CUTS_TYPE.simpleString()}, bytes long"
    by_file = rows.repartition("file").sortWithinPartitions("file", "row")
    found, read = written(
        map_in_arrow(by_file, _read_batches, schema),
        join_path(workspace, "documents"),
        history_documents=F.count("key"),
        read_bytes=F.sum("bytes"),
    )
    old = found.where(F.col("key").isNotNull()).select(
        "id", "key", F.lit(_OLD_COPY).cast("long").alias("copy"), "text", "cuts", F.lit(True).alias("in_history")
    )
    batch = documents.withColumn("in_history", F.lit(False))
    if "cuts" in batch.columns and batch.schema["cuts"].dataType != CUTS_TYPE:
        batch = batch.drop("cuts")  # of another step, which are no seams
    return Beside(batch.unionByName(old, allowMissingColumns=True), {**scanned, **read})


def _read_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    cuts = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("kept_in", pa.string())]))
    for batch in batches:
        for file, part in _by_file(batch):
            for table, size in parts_of(file, ["id", "key", "text", "cuts"], np.asarray(part.column("row"))):
                yield _documents_read(table, cuts, size)


def _documents_read(table: pa.Table, cuts: pa.DataType, size: int) -> pa.RecordBatch:
    """Documents, and in a row without one how many bytes were read for them."""
    kinds = {"id": pa.string(), "key": pa.binary(), "text": pa.string(), "cuts": cuts}
    columns = [pa.chunked_array(table.column(name)).cast(kind).combine_chunks() for name, kind in kinds.items()]
    columns = [pa.concat_arrays([column, pa.nulls(1, column.type)]) for column in columns]
    sizes = pa.array([None] * table.num_rows + [size], pa.int64())
    return pa.RecordBatch.from_arrays([*columns, sizes], names=[*kinds, "bytes"])


def _without_replaced(hits: DataFrame, replaced: DataFrame | None) -> DataFrame:
    """Hits but those of documents that newer versions replace."""
    if replaced is None:
        return hits
    gone = F.broadcast(replaced.select(F.col("file").alias("_file"), F.col("row").alias("_row")))
    same = (relative_file(F.col("file")) == F.col("_file")) & (F.col("row") == F.col("_row"))
    return hits.join(gone, on=same, how="left_anti")


def relative_file(path: Column) -> Column:
    """A file of documents as the table names it: its last two parts."""
    return F.array_join(F.slice(F.split(path, "/"), -2, 2), "/")


# --------------------------------------------------------------------------------------------------------------- probes


def _probes(documents: DataFrame, name: str, step: Step, scopes: Scopes, path: str) -> tuple[DataFrame, dict[str, Any]]:
    """Batch documents with the step's state value: node, key, copy, value. ``node`` is unique up to 64-bit chance."""
    narrow = documents.select(
        F.xxhash64("key", "copy").alias("node"), "key", "copy", "text", "url", "source", "language"
    )
    fields = nullable_fields(narrow, ["node", "key", "copy"])
    schema = "node long, key binary, copy long, value binary"

    def values(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            made = state_values(batch, name, step, scopes)
            columns = [*(batch.column(field.name) for field in fields), made]
            whole = pa.RecordBatch.from_arrays(columns, names=["node", "key", "copy", "value"])
            yield whole.filter(made.is_valid())

    number = F.expr(f"sum(octet_length(value)) div {value_bytes(name)}")
    return written(map_in_arrow(narrow, values, schema), path, values=number)


def _save_probes(files: DriverFiles, path: str, name: str, chunk: int, chunks: int) -> Path:
    """Sorted arrays of one chunk of the batch's values in a local folder."""
    high, low, nodes = [], [], []
    for info in files.find(path):
        with open_for_reading(info.path) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(columns=["node", "value"]):
                node = np.asarray(batch.column("node"))
                mine = np.mod(node, chunks) == chunk
                found = Probes(batch.column("value").filter(pa.array(mine)), name)
                high.append(found.high)
                low.append(found.low)
                nodes.append(node[mine][found.rows])
    arrays = {
        "high": np.concatenate([*high, np.empty(0, np.uint64)]),
        "low": np.concatenate([*low, np.empty(0, np.uint64)]),
        "nodes": np.concatenate([*nodes, np.empty(0, np.int64)]),
    }
    if name == "dedup_substring":  # who has an anchor does not matter, and common ones are in many documents
        arrays = {label: array[np.unique(arrays["high"], return_index=True)[1]] for label, array in arrays.items()}
    order = np.lexsort((arrays["low"], arrays["high"]))
    folder = Path(tempfile.mkdtemp(prefix="winnow-probes-"))
    for label, array in arrays.items():
        np.save(folder / f"{label}.npy", array[order])
    np.save(folder / "bitmap.npy", _bitmap(arrays["high"]))
    return folder


def _bitmap(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = min(_MOST_BITMAP_BITS, max(6, math.ceil(math.log2(16 * max(len(hashes), 1)))))
    places = np.unique(hashes >> np.uint64(64 - bits))
    bitmap = np.zeros(1 << (bits - 6), dtype=np.uint64)
    np.bitwise_or.at(bitmap, places >> np.uint64(6), np.uint64(1) << (places & np.uint64(63)))
    return bitmap


# ------------------------------------------------------------------------------------------------------------- the scan


def _hits(
    spark: SparkSession,
    name: str,
    probes: DataFrame,
    count: int,
    history: Sequence[HistoryFile],
    workspace: str,
) -> tuple[DataFrame, dict[str, int]]:
    """Distinct (node, file, row) for every history document with a value of the batch's."""
    chunks = max(1, math.ceil(count / MOST_PROBES))
    parts, facts = [], {"history_hits": 0, "history_bytes": 0}
    # Numbers of files, and the files beside the function: a list that is repartitioned would be shuffled.
    tasks = max(1, min(len(history), 8 * spark.sparkContext.defaultParallelism))
    numbers = spark.range(0, len(history), 1, tasks)
    for chunk in range(chunks):
        folder = _save_probes(DriverFiles(spark), join_path(workspace, "probes"), name, chunk, chunks)
        where = ship_folder(spark, folder, "probes")
        scanned = map_in_arrow(numbers, _scan(name, history, where), _HIT)
        path = join_path(workspace, f"hits-{chunk}")
        hits, seen = written(scanned, path, history_hits=F.count("node"), history_bytes=F.sum("bytes"))
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        parts.append(hits.where(F.col("node").isNotNull()).select("node", "file", "row"))
        facts = {label: facts[label] + int(seen[label]) for label in facts}
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.unionByName(part)
    return whole, facts


def _scan(name: str, history: Sequence[HistoryFile], where: Callable[[], Path]) -> ArrowMap:
    column, paths = state_column(name), [(file.documents, file.state) for file in history]

    def scan(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        folder = where()
        arrays = {
            label: np.load(folder / f"{label}.npy", mmap_mode="r", allow_pickle=False)
            for label in ("bitmap", "high", "low", "nodes")
        }
        for batch in batches:
            for number in batch.column(0).to_pylist():
                documents, state = paths[number]
                yield from _scan_file(documents, state, name, column, arrays)

    return scan


def _scan_file(
    documents: str, state: str, name: str, column: str, arrays: dict[str, NDArray[Any]]
) -> Iterator[pa.RecordBatch]:
    with open_for_reading(state) as stream:
        file = pq.ParquetFile(stream)
        metadata, first = file.metadata, 0
        size = sum(column_bytes(metadata.row_group(g), [column]) for g in range(metadata.num_row_groups))
        yield _hit_batch(documents, np.empty(0, np.int64), np.empty(0, np.int64), size)
        for batch in file.iter_batches(columns=[column]):
            nodes, rows = _look_up(Probes(batch.column(0), name), arrays)
            if len(nodes):
                pairs = np.unique(np.stack([nodes, rows]), axis=1)
                yield _hit_batch(documents, pairs[0], pairs[1] + first, 0)
            first += batch.num_rows


def _look_up(values: Probes, arrays: dict[str, NDArray[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Nodes of the batch and rows of the history with equal values."""
    passed = in_bitmap(values.high.view(np.int64), arrays["bitmap"])
    high, low, rows = values.high[passed], values.low[passed], values.rows[passed]
    begin = np.searchsorted(arrays["high"], high, side="left")
    end = np.searchsorted(arrays["high"], high, side="right")
    counts = end - begin
    places = np.repeat(begin - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
    same = arrays["low"][places] == np.repeat(low, counts)
    return np.asarray(arrays["nodes"][places][same]), np.repeat(rows, counts)[same].astype(np.int64)


def _hit_batch(documents: str, nodes: NDArray[np.int64], rows: NDArray[np.int64], size: int) -> pa.RecordBatch:
    """Hits, and one row without a node that says how many bytes a file's column has."""
    if not len(nodes):
        node, row = pa.nulls(1, pa.int64()), pa.nulls(1, pa.int64())
    else:
        node, row = pa.array(nodes), pa.array(rows)
    sizes = pa.array(np.full(len(node), size, dtype=np.int64))
    return pa.RecordBatch.from_arrays([node, pa.array([documents] * len(node)), row, sizes], names=_names(_HIT))


def _names(schema: str) -> list[str]:
    return [part.split()[0] for part in schema.split(", ")]


# --------------------------------------------------------------------------------------------------------- what was hit


def _named_hits(documents: DataFrame, hits: DataFrame, step: Step, path: str) -> tuple[DataFrame, dict[str, int]]:
    """(node, id, document_key, similarity) of hits that are duplicates, and the bytes of documents read to tell."""
    if not isinstance(step, DedupNear):
        grouped = hits.repartition("file").sortWithinPartitions("file", "row").select("node", "file", "row")
        named = map_in_arrow(grouped, _name_batches, _NAMED)
    else:
        nodes = hits.select("node").distinct()
        texts = documents.select(F.xxhash64("key", "copy").alias("node"), "text").join(nodes, "node", "left_semi")
        sets = map_in_arrow(texts, _set_batches(step), "node long, hashes binary, scale long, words binary")
        grouped = hits.join(sets, on="node", how="inner").repartition("file").sortWithinPartitions("file", "row")
        ordered = grouped.select("node", "file", "row", "hashes", "scale", "words")
        named = map_in_arrow(ordered, _verify_batches(step), _NAMED)
    found, read = written(named, path, verified_bytes=F.sum("bytes"))
    return found.where(F.col("node").isNotNull()).drop("bytes"), {"verified_bytes": int(read["verified_bytes"])}


def _by_file(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Parts of a batch that is sorted by file."""
    files = batch.column("file").to_pylist()
    start = 0
    for place in range(1, len(files) + 1):
        if place == len(files) or files[place] != files[start]:
            yield files[start], batch.slice(start, place - start)
            start = place


def _name_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for file, part in _by_file(batch):
            rows, places = np.unique(np.asarray(part.column("row")), return_inverse=True)
            table, read = rows_of(file, ["id", "key"], rows)
            yield from _named(part.column("node"), table.take(pa.array(places)), np.ones(part.num_rows), read)


def _digest_texts(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        digests = text_digests(batch.column("text"), "none")
        columns = [batch.column("node"), digests, batch.column("time")]
        yield pa.RecordBatch.from_arrays(columns, names=["node", "digest", "time"])


def _compare_versions(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for file, part in _by_file(batch):
            rows, places = np.unique(np.asarray(part.column("row")), return_inverse=True)
            table = rows_of(file, ["id", "key", "text", "date"], rows)[0].take(pa.array(places)).combine_chunks()
            old, mine = text_digests(table.column("text").combine_chunks(), "none"), part.column("digest")
            changed = pc.fill_null(pc.not_equal(old, mine), True)
            time = table.column("date").combine_chunks().cast(pa.timestamp("us", "UTC")).cast(pa.int64())
            older = pc.fill_null(pc.less(part.column("time"), time), False)
            replaces = pc.and_not(changed, older)
            columns = [*(part.column(name) for name in ("node", "file", "row")), *_names_of(table), replaces]
            yield pa.RecordBatch.from_arrays(columns, names=["node", "file", "row", "id", "document_key", "replaces"])


def _named(nodes: pa.Array, table: pa.Table, similarity: NDArray[np.float64], read: int) -> Iterator[pa.RecordBatch]:
    """Duplicates with the documents they are duplicates of, and one row without a node that says what was read."""
    columns = [nodes, *_names_of(table), pa.array(similarity), pa.array(np.zeros(len(nodes), np.int64))]
    yield pa.RecordBatch.from_arrays(columns, names=_names(_NAMED))
    nothing = [pa.nulls(1, column.type) for column in columns[:-1]]
    yield pa.RecordBatch.from_arrays([*nothing, pa.array([read], pa.int64())], names=_names(_NAMED))


def _names_of(table: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Ids and keys of documents."""
    whole = table.select(["id", "key"]).combine_chunks()
    ids = pa.chunked_array(whole.column("id")).cast(pa.string()).combine_chunks()
    return ids, pa.chunked_array(whole.column("key")).cast(pa.binary()).combine_chunks()


def _set_batches(step: DedupNear) -> ArrowMap:
    def sets(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            parts = compared_parts(batch.column("text"), step)
            yield pa.RecordBatch.from_arrays([batch.column("node"), *parts], names=["node", "hashes", "scale", "words"])

    return sets


def _verify_batches(step: DedupNear) -> ArrowMap:
    def verify(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for file, part in _by_file(batch):
                rows, places = np.unique(np.asarray(part.column("row")), return_inverse=True)
                table, read = rows_of(file, ["id", "key", "text"], rows)
                text = table.column("text").combine_chunks()
                kept = Compared(*(values.take(pa.array(places)) for values in compared_parts(text, step)))
                mine = Compared(part.column("hashes"), part.column("scale"), part.column("words"))
                reached, found = similarities(mine, kept, step)
                named = table.select(["id", "key"]).take(pa.array(places)).filter(pa.array(reached))
                yield from _named(part.column("node").filter(pa.array(reached)), named, found[reached], read)

    return verify
