"""Input files to rows: documents, and what is none (quarantined or ignored), each with its file and offset.

Archives and JSON Lines are read in Python, a task per group of files or byte ranges; a crawl index names its records
(``jobs.core.crawl_index``); Parquet is read by Spark itself,
so that its text crosses into Python once only, with the signals. Nothing is shuffled here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.core.arrow_map import map_in_arrow
from jobs.core.crawl_index import read_crawl_index
from jobs.core.documents import CUTS_TYPE, QUARANTINED, READ_SCHEMA
from jobs.core.files import open_for_reading
from jobs.core.inputs import ARCHIVE, CRAWL_INDEX, JSON_LINES, PARQUET, Fields, InputFile, Source, lookup
from jobs.core.json_lines import (
    BadLine,
    DamagedFileError,
    Line,
    inflated_blocks,
    inflates_to_its_end,
    lines,
    lines_of_range,
    parse_line,
)
from jobs.core.read_rows import ReadLimits, Row, archive_row, as_bytes, as_date, as_json, in_batches
from udfs.document_key import document_key
from udfs.warc import read_archive

# Columns that Winnow itself writes beside documents: they are made anew, never taken from an input.
OWN_COLUMNS = frozenset(
    {
        "cluster_size",
        "signals",
        "stage",
        "reasons",
        "duplicate_of",
        "duplicate_of_key",
        "similarity",
        "via",
        "cluster",
        "cuts",
        "contamination",
        "copy",
        "source_rank",
        "origin",
        "outcome",
    }
)


@dataclass(frozen=True)
class Chunk:
    """A byte range [begin, end) of one file; ``end`` = -1 reads to the end."""

    path: str
    format: str
    compression: str | None
    source: str
    begin: int
    end: int
    size_bytes: int


def read_documents(
    spark: SparkSession, inputs: Sequence[InputFile], sources: Sequence[Source], limits: ReadLimits
) -> DataFrame:
    """All inputs as one frame of ``READ_SCHEMA`` plus the user's own Parquet columns. Keys are NULL where Parquet
    brings none.
    """
    by_name = {source.name: source for source in sources}
    frames = []
    in_place = [file for file in inputs if file.damage or file.format not in (PARQUET, CRAWL_INDEX)]
    chunks = plan_chunks(in_place, _cores(spark))
    if chunks:
        frames.append(_read_chunks(spark, chunks, by_name, limits, {f.path: f.damage for f in inputs if f.damage}))
    parquet = [file for file in inputs if file.format == PARQUET and not file.damage]
    for (source, columns), files in _grouped(parquet).items():
        frames.append(_read_parquet(spark, [file.path for file in files], dict(columns), by_name[source], limits))
    indexes = [file for file in inputs if file.format == CRAWL_INDEX and not file.damage]
    for name in sorted({file.source for file in indexes}):
        of_source = [file for file in indexes if file.source == name]
        frames.append(read_crawl_index(spark, of_source, by_name[name], limits))
    return functools.reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), frames)


def _cores(spark: SparkSession) -> int:
    return max(1, spark.sparkContext.defaultParallelism)


def _grouped(
    files: Iterable[InputFile],
) -> dict[tuple[str, tuple[tuple[str, str], ...]], list[InputFile]]:
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[InputFile]] = {}
    for file in files:
        groups.setdefault((file.source, tuple(sorted(file.columns))), []).append(file)
    return groups


# ---------------------------------------------------------------------------------------------- archives and JSON Lines


def plan_chunks(inputs: Sequence[InputFile], cores: int) -> list[list[Chunk]]:
    """Byte ranges of files in tasks of similar size: large files are split where they can be, small ones share."""
    total = sum(file.info.size_bytes for file in inputs)
    target = min(128 << 20, max(4 << 20, total // (cores * 3)))
    tasks: list[list[Chunk]] = []
    filled = target + 1
    for file in inputs:
        size = file.info.size_bytes
        splittable = _splittable(file)
        step = target if splittable and size > 2 * target else max(size, 1)
        for begin in range(0, max(size, 1), step):
            end = -1 if begin + step >= size else begin + step
            length = min(step, size - begin)
            if filled + length > target or len(tasks[-1]) >= 256:
                tasks.append([])
                filled = 0
            tasks[-1].append(Chunk(file.path, file.format, file.compression, file.source, begin, end, size))
            filled += max(length, 1)
    return tasks


def _splittable(file: InputFile) -> bool:
    if file.damage:
        return False
    if file.format == ARCHIVE:  # records are found from any offset of a gzip or plain archive, not of an LZ4 one
        return file.compression in (None, ".gz")
    return file.format == JSON_LINES and file.compression is None


def _read_chunks(
    spark: SparkSession,
    tasks: list[list[Chunk]],
    sources: dict[str, Source],
    limits: ReadLimits,
    damage: dict[str, str],
) -> DataFrame:
    fields = {name: source.fields for name, source in sources.items()}
    dates = {name: as_date(source.date) for name, source in sources.items()}

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for task in batch.column("task").to_pylist():
                chunks = [Chunk(**chunk) for chunk in orjson.loads(task)]
                for chunk in chunks:
                    rows = read_chunk(chunk, fields[chunk.source], limits, damage.get(chunk.path))
                    yield from in_batches(rows, chunk.path, chunk.source, dates[chunk.source])

    planned = [(orjson.dumps(task).decode(),) for task in tasks]
    frame = spark.createDataFrame(spark.sparkContext.parallelize(planned, len(planned)), "task string")
    return map_in_arrow(frame, read, READ_SCHEMA)


def read_chunk(chunk: Chunk, fields: Fields, limits: ReadLimits, damage: str | None = None) -> Iterator[Row]:
    """The rows of one byte range; a file known to be damaged gives one quarantined row."""
    if damage:
        reason, _, detail = damage.partition(": ")
        yield Row(outcome=QUARANTINED, offset=0, reason=reason, detail=detail)
        return
    reader: Callable[..., Iterator[Row]] = _archive_rows if chunk.format == ARCHIVE else _json_rows
    yield from reader(chunk, fields, limits)


def _archive_rows(chunk: Chunk, fields: Fields, limits: ReadLimits) -> Iterator[Row]:
    end = chunk.end if chunk.end >= 0 else None
    with open_for_reading(chunk.path) as stream:
        size, of_archives = chunk.size_bytes, limits.of_archives
        for item in read_archive(stream, size=size, limits=of_archives, begin=chunk.begin, end=end):
            yield archive_row(item)


def _json_rows(chunk: Chunk, fields: Fields, limits: ReadLimits) -> Iterator[Row]:
    max_bytes = limits.max_document_chars * 6 + (1 << 20)  # a character is at most six bytes of JSON escape
    if chunk.compression is not None:
        try:
            with open_for_reading(chunk.path) as stream:
                inflates_to_its_end(stream, chunk.compression)
        except DamagedFileError as damaged:
            yield Row(outcome=QUARANTINED, offset=damaged.offset, reason="damaged_file", detail=damaged.detail)
            return
    with open_for_reading(chunk.path) as stream:
        if chunk.compression is not None or (chunk.begin == 0 and chunk.end < 0):
            found = lines(inflated_blocks(stream, chunk.compression), max_bytes=max_bytes)
        else:
            end = chunk.end if chunk.end >= 0 else chunk.size_bytes
            found = lines_of_range(stream, chunk.begin, end, max_bytes=max_bytes)
        for line in found:
            if line.data.strip():
                yield _json_row(line, fields, limits)


def _json_row(line: Line, fields: Fields, limits: ReadLimits) -> Row:
    where = f"line {line.number}: " if line.number else ""
    if line.too_long:
        return Row(
            outcome=QUARANTINED, offset=line.offset, reason="too_large", detail=f"{where}one line over the limit"
        )
    parsed = parse_line(line.data)
    if isinstance(parsed, BadLine):
        return Row(outcome=QUARANTINED, offset=line.offset, reason=parsed.reason, detail=where + parsed.detail)
    record, repaired = parsed
    values = {role: _take(record, name) for role, name in vars(fields).items()}
    id_ = _text_id(values["id"])
    for role in ("text", "url", "content"):
        if not isinstance(values[role], str | None):
            detail = f"{where}field '{getattr(fields, role)}' is a {_json_type(values[role])}, not a string"
            return Row(id=id_, outcome=QUARANTINED, offset=line.offset, reason="wrong_type", detail=detail)
    text, url = values["text"], values["url"]
    content = values["content"].encode("utf-8") if values["content"] is not None else None
    if len(text or "") > limits.max_document_chars:
        detail = f"{where}{len(text)} characters"
        return Row(id=id_, outcome=QUARANTINED, offset=line.offset, reason="too_large", detail=detail)
    raw = content if content is not None else as_bytes(text)
    taken = {name for name in vars(fields).values() if name}
    rest = {name: value for name, value in record.items() if name not in taken}
    date = as_date(values["date"])
    if date is None and values["date"] is not None:
        rest["date"] = values["date"]
    return Row(
        id=id_,
        key=document_key(as_bytes(id_), as_bytes(url), raw),
        text=text,
        url=url,
        date=date,
        language=values["language"] if isinstance(values["language"], str) else None,
        metadata=as_json(rest),
        content=content if text is None else None,
        content_type=values["content_type"] if isinstance(values["content_type"], str) else None,
        offset=line.offset,
        repaired=int(repaired),
    )


def _take(record: dict[str, Any], name: str | None) -> Any:
    return None if name is None else lookup(record, name)


def _text_id(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _json_type(value: Any) -> str:
    return {bool: "boolean", int: "number", float: "number", list: "list", dict: "object"}.get(type(value), "value")


# -------------------------------------------------------------------------------------------------------------- Parquet


def _read_parquet(
    spark: SparkSession, paths: list[str], columns: dict[str, str], source: Source, limits: ReadLimits
) -> DataFrame:
    """Parquet files of one schema. Text is made valid UTF-8 here, in the JVM, once (docs/faults.md, F6)."""
    frame = spark.read.parquet(*paths)
    fields = source.fields

    def taken(name: str | None, kind: str) -> Column:
        return F.col(f"`{name}`").cast(kind) if name and name in columns else F.lit(None).cast(kind)

    raw_text = taken(fields.text, "string")
    text = F.make_valid_utf8(raw_text)
    # A text has at most as many characters as bytes: only a long one is counted.
    long = F.octet_length(text) > limits.max_document_chars
    too_large = F.coalesce(long & (F.char_length(text) > limits.max_document_chars), F.lit(False))
    is_ours = columns.get("key") in ("binary", "fixed_size_binary[16]")  # a table that Winnow wrote
    language = fields.language or ("language" if is_ours else None)
    used = {getattr(fields, role) for role in vars(fields)} | {language, "metadata"}
    used |= {"key", "source"} if is_ours else set()
    own = [name for name in columns if name not in used and name not in OWN_COLUMNS]
    date = taken(fields.date, "string") if _is_textual(columns.get(fields.date or "")) else None
    content = taken(fields.content, "binary")
    return frame.select(
        F.make_valid_utf8(taken(fields.id, "string")).alias("id"),
        (F.col("key").cast("binary") if is_ours else F.lit(None).cast("binary")).alias("key"),
        F.when(~too_large, text).alias("text"),
        F.make_valid_utf8(taken(fields.url, "string")).alias("url"),
        F.coalesce(
            F.try_to_timestamp(date) if date is not None else _timestamp(fields.date, columns),
            F.lit(as_date(source.date)).cast("timestamp"),
        ).alias("date"),
        F.coalesce(taken("source" if is_ours else None, "string"), F.lit(source.name)).alias("source"),
        taken(language, "string").alias("language"),
        F.coalesce(
            taken("metadata", "string") if _is_textual(columns.get("metadata")) else F.lit(None), F.lit("{}")
        ).alias("metadata"),
        F.when(text.isNull(), content).alias("content"),
        taken(fields.content_type, "string").alias("content_type"),
        F.struct(
            F.when(too_large, F.lit(QUARANTINED)).alias("outcome"),
            F.col("_metadata.file_path").alias("file"),
            F.col("_metadata.row_index").alias("offset"),
            F.when(too_large, F.lit("too_large")).alias("reason"),
            F.when(too_large, F.concat(F.char_length(text).cast("string"), F.lit(" characters"))).alias("detail"),
            F.coalesce((~F.is_valid_utf8(raw_text)).cast("long"), F.lit(0).cast("long")).alias("repaired"),
        ).alias("origin"),
        # Where an earlier run has cut: windows of dedup_substring do not span these places.
        *([F.col("cuts").cast(CUTS_TYPE).alias("cuts")] if is_ours and "kept_in" in columns.get("cuts", "") else []),
        # A column of the user's that has the name of one of ours but another meaning keeps riding along, under a longer
        # name.
        *[F.col(f"`{name}`").alias(f"original_{name}" if name in READ_SCHEMA.names else name) for name in own],
    )


def _is_textual(kind: str | None) -> bool:
    return kind is not None and ("string" in kind or "binary" in kind)


def _timestamp(name: str | None, columns: dict[str, str]) -> Column:
    kind = columns.get(name or "", "")
    column = F.col(f"`{name}`")
    if kind.startswith(("timestamp", "date")):
        return column.cast("timestamp")
    if kind.startswith(("int", "double", "float", "uint")):
        seconds = column.cast("double")
        return F.timestamp_seconds(F.when(F.abs(seconds) > 1e11, seconds / 1000).otherwise(seconds))
    return F.lit(None).cast("timestamp")
