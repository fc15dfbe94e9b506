"""What each source loses: counts for the gates on sources.

Shuffled: one row a source and task; the decisions, about 40 bytes each, where they do not fit a broadcast, and then the
addresses of all documents with their sources (60 bytes each). No text is read.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.core.documents import KEPT, REMOVED, with_copy
from jobs.core.recipe import Gates

SHOWN_SOURCES = 10  # of those that lose too much are named


def losses_by_source(rows: DataFrame, decisions: Sequence[DataFrame]) -> DataFrame:
    """Return (source, documents, removed, duplicates): how many documents each source has, how many any step removes,
    and how many a dedup step does.

    Args:
        rows: The committed rows of the row-wise pass.
        decisions: Those of the set steps; no document is removed twice.
    """
    judged = with_copy(rows.where(F.col("outcome").isin(KEPT, REMOVED))).select("key", "copy", "source", "outcome")
    removed_by: Column = F.lit(None).cast("string")
    if decisions:
        all_decisions = functools.reduce(lambda a, b: a.unionByName(b), decisions)
        judged = judged.join(
            all_decisions.select("key", "copy", F.col("stage").alias("removed_by")), on=["key", "copy"], how="left"
        )
        removed_by = F.col("removed_by")
    return judged.groupBy("source").agg(
        F.count(F.lit(1)).alias("documents"),
        F.count_if((F.col("outcome") == REMOVED) | removed_by.isNotNull()).alias("removed"),
        F.count_if(F.coalesce(removed_by.startswith("dedup_"), F.lit(False))).alias("duplicates"),
    )


def sources_that_lose_too_much(losses: DataFrame, gates: Gates) -> list[str]:
    """Return a sentence for each gate and source that trips it, the worst ones first; small sources are not judged."""
    said = []
    for gate, counted in (("max_source_removed_fraction", "removed"), ("max_source_duplicate_fraction", "duplicates")):
        limit = getattr(gates, gate)
        if limit is None:
            continue
        share = F.col(counted) / F.col("documents")
        large = F.col("documents") >= max(1, gates.min_share_documents)
        worst = losses.where(large & (share > limit)).orderBy(share.desc(), "source").limit(SHOWN_SOURCES)
        for row in worst.collect():  # at most SHOWN_SOURCES
            said.append(
                f"{gate}: source {row['source']}: {row[counted]} of {row['documents']} documents "
                f"({counted}), a share of {limit:g} is allowed"
            )
    return said
