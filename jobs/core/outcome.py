"""Outcomes: from rows of one committed pass and the decisions of the dedup steps to ``kept``, ``removed``,
``quarantine`` and ``signals``.

Every row of the row-wise pass has an outcome already; a dedup step adds *decisions*, one row per removed document. Here
both become the published tables. What is shuffled: decisions (about 100 bytes for each removed document), and the text
of documents that are cut. All other text stays where it is as long as the decisions, and (key, copy) of what is cut,
fit a broadcast, and is shuffled once by (key, copy) beyond that.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DoubleType,
    LongType,
    NumericType,
    StringType,
    StructField,
    StructType,
)

from jobs.core.documents import (
    DOCUMENT_COLUMNS,
    KEPT,
    QUARANTINED,
    RAW_COLUMNS,
    REASONS_TYPE,
    REMOVED,
    user_columns,
    with_copy,
)
from jobs.core.recipe import Audit

# Columns that the row-wise pass adds to documents for its own use.
WORK_COLUMNS = (
    "origin",
    "outcome",
    "stage",
    "reasons",
    "signals",
    "contamination",
    "cuts",
    "text_bytes",
    "language_score",
    "second_language",
    "source_rank",
    "copy",
)

DECISION_SCHEMA = StructType(
    [
        StructField("key", BinaryType()),
        StructField("copy", LongType()),
        StructField("duplicate_of", StringType()),
        StructField("duplicate_of_key", BinaryType()),
        StructField("similarity", DoubleType()),
        StructField("via", StringType()),
        StructField("cluster", StringType()),
        StructField("reasons", REASONS_TYPE),
    ]
)
EDIT_COLUMNS = ("key", "copy", "text", "cuts")
BROADCAST_EDITS = 1_000_000  # up to so many (key, copy) travel to every task, some 50 MB; with more, all texts move
_SAID_OF_REMOVED = ("duplicate_of", "duplicate_of_key", "similarity", "via", "cluster")


@dataclass(frozen=True)
class Edits:
    """The texts that a step has cut, a table of (key, copy, text, cuts), and how many they are."""

    table: DataFrame
    count: int


def own_columns(rows: DataFrame) -> list[str]:
    """The user's own columns of a table of rows."""
    return user_columns(rows, besides=WORK_COLUMNS)


def decisions_of(decisions: DataFrame, stage: str) -> DataFrame:
    """A dedup step's decisions in their one shape, with the step's name."""
    present = set(decisions.columns)
    fields = [
        (F.col(f.name) if f.name in present else F.lit(None)).cast(f.dataType).alias(f.name)
        for f in DECISION_SCHEMA.fields
    ]
    return decisions.select(*fields, F.lit(stage).alias("stage"))


def resolve_representatives(stages: Sequence[DataFrame]) -> DataFrame | None:
    """All decisions, each naming a document that is kept in the end.

    A document may represent others in one step and be removed by a later one; its own representative then stands in for
    it, ``via`` says through whom, and ``similarity`` is NULL because the two were never compared.
    """
    if not stages:
        return None
    resolved = []
    for place, decisions in enumerate(stages):
        for later in stages[place + 1 :]:
            decisions = _chase(decisions, later)
        resolved.append(decisions)
    return functools.reduce(lambda a, b: a.unionByName(b), resolved)


def _chase(decisions: DataFrame, later: DataFrame) -> DataFrame:
    # Equal rows have equal keys and only one of them is left for a later step: one row per key decides.
    onward = later.groupBy(F.col("key").alias("_from")).agg(
        F.min(F.struct("duplicate_of_key", "duplicate_of")).alias("_to")
    )
    joined = decisions.join(onward, decisions["duplicate_of_key"] == onward["_from"], how="left")
    moved = F.col("_from").isNotNull()
    return joined.select(
        "key",
        "copy",
        F.when(moved, F.col("_to.duplicate_of")).otherwise(F.col("duplicate_of")).alias("duplicate_of"),
        F.when(moved, F.col("_to.duplicate_of_key")).otherwise(F.col("duplicate_of_key")).alias("duplicate_of_key"),
        F.when(~moved, F.col("similarity")).alias("similarity"),
        F.when(moved, F.coalesce(F.col("via"), F.col("duplicate_of"))).otherwise(F.col("via")).alias("via"),
        "cluster",
        "reasons",
        "stage",
    )


def with_edits(rows: DataFrame, edits: Sequence[Edits]) -> DataFrame:
    """Rows with the texts that steps have cut, later steps last."""
    for edited in edits:
        rows = _rows_with(rows, edited)
    return rows


def _rows_with(rows: DataFrame, edits: Edits) -> DataFrame:
    changed, identity = edits.table, ["key", "copy"]
    if "cuts" not in rows.columns:
        rows = rows.withColumn("cuts", F.lit(None).cast(changed.schema["cuts"].dataType))
    elif rows.schema["cuts"].dataType != changed.schema["cuts"].dataType:
        rows = rows.withColumn("cuts", _places(rows, "cuts"))
        changed = changed.withColumn("cuts", _places(changed, "cuts"))
    if edits.count > BROADCAST_EDITS:
        new = changed.select(*identity, F.col("text").alias("_text"), F.col("cuts").alias("_cuts"))
        joined = rows.join(new, on=identity, how="left")
        both = {name: F.coalesce(f"_{name}", name) for name in ("text", "cuts")}
        return joined.withColumns(both).select(*_quoted(rows.columns))
    # Which rows are edited travels to the texts, and the old text of those is not read: no text moves but new ones.
    same = rows.join(F.broadcast(changed.select(*identity)), on=identity, how="left_anti")
    moved = rows.drop("text", "cuts").join(changed, on=identity, how="inner")
    return same.unionByName(moved.select(*_quoted(rows.columns)))


def _places(frame: DataFrame, name: str) -> Column:
    """Cuts of any step in the shape that all share: where, and the document that has the words where that is known."""
    kind = frame.schema[name].dataType
    fields = kind.elementType.names if isinstance(kind, ArrayType) and isinstance(kind.elementType, StructType) else []
    start = "start" if "start" in fields else "begin"

    def place(cut: Column) -> Column:
        kept_in = cut["kept_in"] if "kept_in" in fields else F.lit(None).cast("string")
        return F.struct(cut[start].alias("start"), cut["end"].alias("end"), kept_in.alias("kept_in"))

    return F.transform(name, place)


def without_removed(rows: DataFrame, decisions: DataFrame | None) -> DataFrame:
    """Rows that no decision removes."""
    if decisions is None:
        return rows
    return rows.join(decisions.select("key", "copy"), on=["key", "copy"], how="left_anti")


def kept_documents(
    rows: DataFrame,
    decisions: DataFrame | None,
    edits: Sequence[Edits] = (),
    *,
    keep_signals: bool,
    keep_content: bool,
) -> DataFrame:
    """The cleaned corpus: documents, the user's columns, ``cluster_size``, and signals or raw content if asked for."""
    kept = without_removed(with_copy(rows.where(F.col("outcome") == KEPT)), decisions)
    kept = with_edits(kept, edits)
    sizes: Column = F.lit(1)
    if decisions is not None:
        counted = decisions.groupBy(F.col("duplicate_of_key").alias("key")).agg(F.count(F.lit(1)).alias("_others"))
        kept = kept.join(counted, on="key", how="left")
        sizes = F.coalesce(F.col("_others"), F.lit(0)) + 1
    columns = [*DOCUMENT_COLUMNS, *(RAW_COLUMNS if keep_content else ()), *own_columns(rows)]
    extra = [name for name in ("cuts",) if name in kept.columns] + (["signals"] if keep_signals else [])
    return kept.select(*_quoted(columns), sizes.cast("int").alias("cluster_size"), *_quoted(extra))


def removed_documents(rows: DataFrame, decisions: DataFrame | None, audit: Audit, *, keep_content: bool) -> DataFrame:
    """All that was removed, with the stage, every reason in that stage, its signals, and the kept document that stands
    for it.
    """
    columns = [*DOCUMENT_COLUMNS, *(RAW_COLUMNS if keep_content else ()), *own_columns(rows)]
    carried = [name for name in ("signals",) if name in rows.columns]
    blank = [F.lit(None).cast(DECISION_SCHEMA[name].dataType).alias(name) for name in _SAID_OF_REMOVED]
    by_rule = rows.where(F.col("outcome") == REMOVED).select(
        *_quoted(columns), "stage", "reasons", *blank, *_quoted(carried)
    )
    if decisions is None:
        return _audited(by_rule, audit)
    duplicates = (
        with_copy(rows.where(F.col("outcome") == KEPT))
        .drop("stage", "reasons")
        .join(decisions, on=["key", "copy"], how="inner")
        .select(
            *_quoted(columns),
            "stage",
            F.coalesce("reasons", _duplicate_reason()).alias("reasons"),
            *_SAID_OF_REMOVED,
            *_quoted(carried),
        )
    )
    return _audited(by_rule.unionByName(duplicates), audit)


def _duplicate_reason() -> Column:
    rule = F.regexp_replace(F.col("stage"), "^dedup_", "duplicate_")
    bound = F.lit("represented by a kept document")
    reason = F.struct(rule.alias("rule"), F.col("similarity").alias("value"), bound.alias("bound"))
    return F.array(reason).cast(REASONS_TYPE)


def _audited(removed: DataFrame, audit: Audit) -> DataFrame:
    if audit.text == "all":
        return removed
    stored = F.lit(False) if audit.text == "none" else in_sample(F.col("key"), audit.sample_fraction)
    names = [name for name in ("text", "content") if name in removed.columns]
    return removed.withColumns({name: F.when(stored, F.col(name)) for name in names})


def in_sample(key: Column, fraction: float) -> Column:
    """Whether a document belongs to the sample of this share: by its key alone, so that samples are nested and
    repeatable.
    """
    return F.pmod(F.xxhash64(key), F.lit(1_000_000)) < round(fraction * 1_000_000)


def quarantined_rows(rows: DataFrame) -> DataFrame:
    """What could not be read: where it stood and why. ``source`` is the file; text is never shown here."""
    return rows.where(F.col("outcome") == QUARANTINED).select(
        F.col("origin.file").alias("source"),
        F.col("source").alias("source_name"),
        F.col("origin.offset").alias("offset"),
        "id",
        F.col("origin.reason").alias("reason"),
        F.col("origin.detail").alias("detail"),
        "stage",
    )


def signal_rows(rows: DataFrame, decisions: DataFrame | None) -> DataFrame:
    """Every document's signals, by key, with where it went: what ``tune`` and the report read. No text."""
    judged = with_copy(rows.where(F.col("outcome").isin(KEPT, REMOVED)))
    optional = [name for name in ("language_score", "second_language", "signals") if name in rows.columns]
    narrow = judged.select("key", "copy", "id", "source", "language", "text_bytes", *optional, "stage")
    if decisions is None:
        return narrow.drop("copy")
    removed_by = decisions.select("key", "copy", F.col("stage").alias("_removed_by"))
    joined = narrow.join(removed_by, on=["key", "copy"], how="left")
    return joined.withColumn("stage", F.coalesce("stage", "_removed_by")).drop("_removed_by", "copy")


def without_dictionaries(table: DataFrame) -> dict[str, str]:
    """Options of a Parquet writer: no dictionaries of texts and of signals that are numbers, which hardly ever repeat.

    A quarter of the writing goes into such dictionaries, to be given up for plain values at the end.
    """
    columns: list[str] = [name for name in ("text", "content") if name in table.columns]
    signals = table.schema["signals"].dataType if "signals" in table.columns else StructType()
    assert isinstance(signals, StructType)
    columns += [f"signals.{field.name}" for field in signals.fields if isinstance(field.dataType, NumericType)]
    return {f"parquet.enable.dictionary#{column}": "false" for column in columns}


def _quoted(names: Sequence[str]) -> list[Column]:
    return [F.col(f"`{name}`") for name in names]
