"""Which of several duplicates survives, within what they are compared, and how a decision names the survivor.

The same total order in all kinds of deduplication: the recipe's `keep` list, ties by the smallest id in UTF-8 byte
order, then the key, then the copy. Spark compares strings and bytes as unsigned bytes, so the order is the same in
every engine and locale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from jobs.core.errors import ConfigurationError
from jobs.core.files import SCRATCH_OPTIONS, join_path

LAST = 2**63 - 1  # what documents without a value are ranked by
RANK_PREFIX = "rank_"
IDENTITY = ("id", "key", "copy")
LISTED_MEMBERS = 1000  # of one cluster in the table of clusters


@dataclass(frozen=True)
class Duplicates:
    """What a deduplication step found."""

    decisions: DataFrame  # one row per removed document: DECISION_COLUMNS
    clusters: DataFrame  # one row per cluster: cluster, id, key, copy (of the kept document), size, members
    counts: dict[str, int] = field(default_factory=dict)  # for the ledger


# ------------------------------------------------------------------------------------------------------ order and scope


def rank_columns(documents: DataFrame, keep: Sequence[str]) -> list[Column]:
    """Return one column per criterion of `keep`, never NULL, the smaller the better: ``rank_0`` …

    Raises:
        ConfigurationError: a criterion names a signal that the documents do not carry.
    """
    return [_criterion(documents, name).alias(f"{RANK_PREFIX}{place}") for place, name in enumerate(keep)]


def order_of(keep: Sequence[str], prefix: str = "") -> list[Column]:
    """Return the columns by which survivors are ordered, given `rank_columns`, id, key and copy under a prefix."""
    ranks = [f"{prefix}{RANK_PREFIX}{place}" for place in range(len(keep))]
    return [F.col(name) for name in (*ranks, *(f"{prefix}{name}" for name in IDENTITY))]


def identity_columns() -> list[Column]:
    """Return id (never NULL), key and copy."""
    return [F.coalesce(F.col("id"), F.lit("")).alias("id"), F.col("key"), F.col("copy").cast("long").alias("copy")]


def _criterion(documents: DataFrame, name: str) -> Column:
    if name == "source_rank":
        rank = F.col("source_rank").cast("long") if "source_rank" in documents.columns else F.lit(0).cast("long")
        return F.coalesce(rank, F.lit(LAST))
    if name == "longest":
        return F.coalesce(-F.char_length("text").cast("long"), F.lit(LAST))
    if name in ("newest", "oldest"):
        time = F.unix_micros(F.col("date").cast("timestamp"))
        return F.coalesce(-time if name == "newest" else time, F.lit(LAST))
    value = signal_column(documents, name.removeprefix("highest ")).cast("double")
    # Of 0.0 − x, zero is positive whatever the sign of x was; a NaN says nothing, like a NULL.
    return F.when(value.isNull() | F.isnan(value), F.lit(float("inf"))).otherwise(F.lit(0.0) - value)


def signal_column(documents: DataFrame, name: str) -> Column:
    """Return the column of a signal: one of that name, or a field of ``signals.<step>``.

    Raises:
        ConfigurationError: the documents carry no such signal.
    """
    if name in documents.columns:
        return F.col(f"`{name}`")
    signals = documents.schema["signals"].dataType if "signals" in documents.columns else StructType()
    if isinstance(signals, StructType):
        for step in signals.fields:
            if step.name == name:
                return F.col(f"signals.`{name}`")
            if isinstance(step.dataType, StructType) and name in step.dataType.names:
                return F.col(f"signals.`{step.name}`.`{name}`")
    raise ConfigurationError(
        f"keep: the documents carry no signal '{name}'",
        next_step="name a signal of a step that runs before this one, or of signals.external",
    )


def scope_column(documents: DataFrame, scope: str) -> Column:
    """Return the name of what a document is compared within; documents without one are compared with each other.

    ``dump`` is a column, else what the metadata says.
    """
    if scope == "global":
        value: Column = F.lit("")
    elif scope == "dump" and "dump" not in documents.columns:
        value = F.get_json_object("metadata", "$.dump")
    else:
        value = F.col(scope)
    return F.coalesce(value.cast("string"), F.lit("")).alias("scope")


def cluster_name(scope: Column, key: Column) -> Column:
    """Return the name of a cluster: its survivor's key in hexadecimal, after the scope where there is one."""
    name = F.lower(F.hex(key))
    return F.when(scope == "", name).otherwise(F.concat(scope, F.lit(":"), name))


# --------------------------------------------------------------------------------------------------------- lineage cuts


def written(
    frame: DataFrame, path: str, options: Mapping[str, str] | None = None, **observed: Column
) -> tuple[DataFrame, dict[str, Any]]:
    """Write a frame to Parquet and return it as read back, with what was observed on the way; `options` of the writer.

    This cuts the lineage in a way that survives the loss of every executor, and that a person can look at.
    """
    counts: dict[str, Any] = {}
    observation = Observation() if observed else None
    rows = (
        frame.observe(observation, *[value.alias(name) for name, value in observed.items()]) if observation else frame
    )
    rows.write.mode("overwrite").options(**{**SCRATCH_OPTIONS, **(options or {})}).parquet(path)
    if observation:
        counts = {name: value or 0 for name, value in observation.get.items()}
    return frame.sparkSession.read.schema(frame.schema).parquet(path), counts


def nullable_fields(frame: DataFrame, names: Sequence[str]) -> list[StructField]:
    """Return the fields of some columns as Arrow hands them back: every one of them may be NULL."""
    return [StructField(name, frame.schema[name].dataType) for name in names]


def folder(workspace: str, name: str) -> str:
    """Return the path of a table in a workspace."""
    return join_path(workspace, name)


# ------------------------------------------------------------------------------------------------------------- equality


def find_equal(digested: DataFrame, keep: Sequence[str], workspace: str, similarity: float | None) -> Duplicates:
    """Keep the best of the documents with equal (scope, digest).

    Two steps: every task reduces its own documents first, so that a million copies are one row of each; then the groups
    of more than one meet their documents again.

    Args:
        digested: scope, digest (binary, not NULL), `rank_columns`, `identity_columns`.
        keep: The criteria.
        workspace: Folder for the two tables that are written.
        similarity: What is stated of every removed document.
    """
    digests, seen = written(digested, folder(workspace, "digests"), documents=F.count(F.lit(1)))
    best = F.struct(*order_of(keep))
    groups, found = written(
        digests.groupBy("scope", "digest")
        .agg(F.min(best).alias("best"), F.count(F.lit(1)).alias("size"))
        .where(F.col("size") > 1),
        folder(workspace, "groups"),
        groups=F.count(F.lit(1)),
        largest_cluster=F.max("size"),
        removed=F.sum(F.col("size") - 1),
    )
    is_best = (F.col("key") == F.col("best.key")) & (F.col("copy") == F.col("best.copy"))
    cluster = cluster_name(F.col("scope"), F.col("best.key"))
    decisions = (
        digests.join(groups, on=["scope", "digest"], how="inner")
        .where(~is_best)
        .select(
            "key",
            "copy",
            F.col("best.id").alias("duplicate_of"),
            F.col("best.key").alias("duplicate_of_key"),
            F.lit(similarity).cast("double").alias("similarity"),
            F.lit(None).cast("string").alias("via"),
            cluster.alias("cluster"),
        )
    )
    clusters = groups.select(cluster.alias("cluster"), "best.id", "best.key", "best.copy", "size")
    return Duplicates(decisions, clusters, {**seen, **found})
