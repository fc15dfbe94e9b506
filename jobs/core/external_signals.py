"""Scores made elsewhere (a GPU classifier, an education score, a cluster number) joined to documents as signals.

A table is Parquet or JSON Lines with a column to join on and columns of numbers. A document without a row, or with NULL
there, has no value: a rule on it removes the document. Of several rows for one document the largest counts, compared by
the columns in the order of the recipe. Shuffled: the table's rows (what is joined on, 8 bytes a column); a table larger
than Spark's broadcast threshold moves the documents too, their text with them.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StringType, StructField, StructType

from jobs.core.errors import ConfigurationError
from jobs.core.recipe import ExternalSignals

_JSON_SUFFIXES = (".jsonl", ".json", ".ndjson", ".jsonl.gz", ".json.gz", ".jsonl.zst")


def with_external_signals(rows: DataFrame, tables: Iterable[ExternalSignals]) -> DataFrame:
    """Rows with the columns of all tables in their struct ``signals``.

    Raises ``ConfigurationError`` for a table that is not there or lacks a column.
    """
    for table in tables:
        rows = _joined(rows, table)
    return rows


def _joined(rows: DataFrame, table: ExternalSignals) -> DataFrame:
    found = F.struct(*[F.col(column).cast("double").alias(name) for name, column in table.columns.items()])
    scores = (
        _read(rows, table)
        .select(F.col(table.by).alias("_by"), found.alias("_found"))
        .where(F.col("_by").isNotNull())
        .groupBy("_by")
        .agg(F.max("_found").alias("_found"))
    )
    joined = rows.join(scores, on=rows[table.by] == scores["_by"], how="left")
    values = {name: F.col(f"_found.{name}") for name in table.columns}
    if "signals" in rows.columns:
        signals = F.col("signals")
        for name, value in values.items():
            signals = signals.withField(name, value)
    else:
        signals = F.struct(*[value.alias(name) for name, value in values.items()])
    return joined.withColumn("signals", signals).drop("_by", "_found")


def _read(rows: DataFrame, table: ExternalSignals) -> DataFrame:
    """The table with the column it is joined on as documents have it: keys are binary, or text in hexadecimal."""
    reader = rows.sparkSession.read
    wanted = [table.by, *table.columns.values()]
    try:
        if table.path.lower().endswith(_JSON_SUFFIXES):
            numbers = [StructField(column, DoubleType()) for column in table.columns.values()]
            stored = reader.schema(StructType([StructField(table.by, StringType()), *numbers])).json(table.path)
        else:
            stored = reader.parquet(table.path)
    except Exception as error:  # Spark names a missing path by classes that its connectors make up
        raise ConfigurationError(
            f"the table of scores {table.path} cannot be read: {str(error).splitlines()[0]}",
            next_step="give Parquet, or JSON Lines in a file that ends in .jsonl or .jsonl.gz",
        ) from error
    missing = [column for column in wanted if column not in stored.columns]
    if missing:
        raise ConfigurationError(
            f"the table of scores {table.path} has no column {missing[0]} (it has: {', '.join(stored.columns)})",
            next_step="name its columns in signals.external",
        )
    if table.by == "key" and stored.schema["key"].dataType == StringType():
        stored = stored.withColumn("key", F.unhex("key"))
    return stored.select(*dict.fromkeys(wanted))
