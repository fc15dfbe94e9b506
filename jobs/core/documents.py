"""The one table shape that all jobs read and write (docs/architecture.md), and the shapes of what lies beside it."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

DOCUMENT_COLUMNS = ("id", "key", "text", "url", "date", "source", "language", "metadata")
RAW_COLUMNS = ("content", "content_type")

KEPT, REMOVED, QUARANTINED, IGNORED = "kept", "removed", "quarantined", "ignored"
OUTCOMES = (KEPT, REMOVED, QUARANTINED, IGNORED)

DOCUMENT_SCHEMA = StructType(
    [
        StructField("id", StringType()),
        StructField("key", BinaryType()),
        StructField("text", StringType()),
        StructField("url", StringType()),
        StructField("date", TimestampType()),
        StructField("source", StringType()),
        StructField("language", StringType()),
        StructField("metadata", StringType()),
        StructField("content", BinaryType()),
        StructField("content_type", StringType()),
    ]
)

REASONS_TYPE = ArrayType(
    StructType(
        [StructField("rule", StringType()), StructField("value", DoubleType()), StructField("bound", StringType())]
    )
)

# What dedup_substring has cut from a text: code points of the text as it was before, and the id of the document in
# which the same words stand. Windows of a later run do not span these places.
CUTS_TYPE = ArrayType(
    StructType([StructField("start", LongType()), StructField("end", LongType()), StructField("kept_in", StringType())])
)

# What a reader says of a row that is no document: where it stood in which file, and why. `outcome` is NULL for
# documents.
ORIGIN_SCHEMA = StructType(
    [
        StructField("outcome", StringType()),
        StructField("file", StringType()),
        StructField("offset", LongType()),
        StructField("reason", StringType()),
        StructField("detail", StringType()),
        StructField("repaired", LongType()),
    ]
)

READ_SCHEMA = StructType([*DOCUMENT_SCHEMA.fields, StructField("origin", ORIGIN_SCHEMA)])

_ORIGIN_ARROW = pa.struct(
    [
        ("outcome", pa.string()),
        ("file", pa.string()),
        ("offset", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("repaired", pa.int64()),
    ]
)

READ_ARROW = pa.schema(
    [
        ("id", pa.string()),
        ("key", pa.binary()),
        ("text", pa.string()),
        ("url", pa.string()),
        ("date", pa.timestamp("us", tz="UTC")),
        ("source", pa.string()),
        ("language", pa.string()),
        ("metadata", pa.string()),
        ("content", pa.binary()),
        ("content_type", pa.string()),
        ("origin", _ORIGIN_ARROW),
    ]
)

QUARANTINE_COLUMNS = ("source", "file", "offset", "id", "reason", "detail")


def user_columns(documents: DataFrame, *, besides: tuple[str, ...] = ()) -> list[str]:
    """Columns that the user added: they ride along untouched."""
    known = {*DOCUMENT_COLUMNS, *RAW_COLUMNS, *besides}
    return [name for name in documents.columns if name not in known]


def with_copy(committed: DataFrame) -> DataFrame:
    """Add ``copy``: the address of a row among rows with equal keys, from its place in a committed file.

    (key, copy) names one row of an immutable, committed data set. The address never decides between documents that
    differ: it is the last tie-break, after every content column.
    """
    return committed.withColumn("copy", F.xxhash64(F.col("_metadata.file_name"), F.col("_metadata.row_index")))
