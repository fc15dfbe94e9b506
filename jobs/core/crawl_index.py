"""Records named by a crawl index: rows of archive, offset and length, as Common Crawl publishes them.

Both of its layouts are read: the columnar one (Parquet: ``warc_filename``, ``warc_record_offset``,
``warc_record_length``) and the CDX one (JSON Lines: ``filename``, ``offset``, ``length``, numbers or strings); CSV with
a header of either names too. Rows are brought together by archive, so that each is opened once a task and read in order
of offset. Shuffled: one row of the index each, about 100 bytes; never a page.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.core.arrow_map import map_in_arrow
from jobs.core.documents import QUARANTINED, READ_SCHEMA
from jobs.core.files import open_for_reading
from jobs.core.inputs import CRAWL_INDEX_COLUMNS, InputFile, Source
from jobs.core.read_rows import ReadLimits, Row, archive_row, as_date, in_batches
from udfs.warc import read_records

_RECORDS_A_TASK = 20_000
_BAD_ROW = "bad_index_row"


def read_crawl_index(spark: SparkSession, files: Sequence[InputFile], source: Source, limits: ReadLimits) -> DataFrame:
    """The records that index files name, as rows of ``READ_SCHEMA``.

    An index row without archive, offset or length, and a record whose archive is not there, are quarantined.
    """
    entries = _entries(spark, files, source)
    default_date = as_date(source.date)
    name = source.name

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        entries_of_task = (entry for batch in batches for entry in batch.to_pylist())
        for path, group in itertools.groupby(entries_of_task, key=lambda entry: entry["path"]):
            yield from in_batches(_records(path, group, limits), path, name, default_date)

    tasks = max(1, spark.sparkContext.defaultParallelism)
    size = sum(file.info.size_bytes for file in files)
    tasks = max(tasks, size // (20 * _RECORDS_A_TASK))  # an index row takes 20 bytes or more
    together = entries.repartition(tasks, "path", (F.col("offset") / F.lit(64 << 20)).cast("long"))
    return map_in_arrow(together.sortWithinPartitions("path", "offset", "length"), read, READ_SCHEMA)


def _records(path: str, entries: Iterator[dict[str, Any]], limits: ReadLimits) -> Iterator[Row]:
    stream = None
    try:
        for entry in entries:
            offset, length = entry["offset"], entry["length"]
            if offset is None or length is None or offset < 0 or length <= 0:
                yield Row(outcome=QUARANTINED, offset=offset, reason=_BAD_ROW, detail=entry["said"])
                continue
            try:
                stream = stream or open_for_reading(path)
            except FileNotFoundError:
                yield Row(outcome=QUARANTINED, offset=offset, reason="missing_file", detail="named by a crawl index")
                continue
            for event in read_records(stream, [(offset, length)], limits=limits.of_archives):
                yield archive_row(event)
    finally:
        if stream is not None:
            stream.close()


def _entries(spark: SparkSession, files: Sequence[InputFile], source: Source) -> DataFrame:
    """All index rows as (path, offset, length, said); ``said`` shows what a row without a place did say."""
    frames = []
    for kind in sorted({_layout(file) for file in files}):
        paths = [file.path for file in files if _layout(file) == kind]
        if kind == "parquet":
            frames.append(_named(spark.read.parquet(*paths), source))
        elif kind == "csv":
            frames.append(_named(spark.read.option("header", True).csv(paths), source))
        else:
            schema = ", ".join(f"`{name}` string" for names in CRAWL_INDEX_COLUMNS for name in names)
            frames.append(_named(spark.read.schema(f"{schema}, `_corrupt_record` string").json(paths), source))
    entries = frames[0]
    for frame in frames[1:]:
        entries = entries.unionByName(frame)
    return entries


def _layout(file: InputFile) -> str:
    name = file.path.lower().removesuffix(file.compression or "")
    return next((kind for kind in ("parquet", "csv") if name.endswith(kind)), "json")


def _named(rows: DataFrame, source: Source) -> DataFrame:
    def first(names: Sequence[str]) -> Column:
        return F.coalesce(*[F.col(f"`{name}`").cast("string") for name in names if name in rows.columns], F.lit(None))

    archive, offset, length = (first(names) for names in CRAWL_INDEX_COLUMNS)
    unread = [F.col("_corrupt_record")] if "_corrupt_record" in rows.columns else []
    said = F.concat_ws(" ", archive, offset, length, *unread)
    index_file = F.col("_metadata.file_path")
    folder = F.lit(source.archives.rstrip("/")) if source.archives else F.regexp_replace(index_file, "/[^/]*$", "")
    whole = archive.startswith("/") | archive.rlike("^[a-z0-9]{2,8}://")
    path = F.when(archive.isNull(), index_file).when(whole, archive).otherwise(F.concat(folder, F.lit("/"), archive))
    return rows.select(
        path.alias("path"),
        F.when(archive.isNotNull(), offset.try_cast("long")).alias("offset"),
        F.when(archive.isNotNull(), length.try_cast("long")).alias("length"),
        F.substring(said, 1, 200).alias("said"),
    )
