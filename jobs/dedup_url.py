"""Keep one document an address: the newest by default.

Takes documents with (key, copy) and url; gives one decision for each document that another one of the same address
stands for. Addresses are compared in their canonical form (`udfs.canonical_url`): WHATWG URL standard, without fragment
and tracking parameters. Documents without an address take no part. What the texts say is not compared, so a decision
states no similarity.

Shuffled, in bytes a document before compression: about 90 and the length of the id for the groups (digest 16, ranks 8
each, key 16, copy 8, row headers), then 60 to meet the groups of more than one, nothing where these fit a broadcast.
Text is read for its length only where `keep` asks for it, and never shuffled. A task is bounded by its partition:
groups are reduced in every task before they meet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StructField, StructType

from jobs.core.arrow_map import ArrowMap, map_in_arrow
from jobs.core.job import Job, run_job
from jobs.core.recipe import DedupUrl
from jobs.core.run import SetResult
from jobs.core.run_folder import StageFolder
from jobs.core.survivors import (
    Duplicates,
    find_equal,
    identity_columns,
    nullable_fields,
    rank_columns,
    scope_column,
)
from udfs.canonical_url import canonical_urls
from udfs.digests import text_digests


def find_url(documents: DataFrame, step: DedupUrl, workspace: str) -> Duplicates:
    """Find the documents that another one of the same address stands for.

    Args:
        documents: id, key, copy, url, and what `keep` and `scope` read.
        step: The step's part of the recipe.
        workspace: Folder for intermediate tables.
    """
    narrow = documents.where(F.col("url").isNotNull()).select(
        *identity_columns(), *rank_columns(documents, step.keep), scope_column(documents, step.scope), "url"
    )
    rest = [name for name in narrow.columns if name != "url"]
    schema = StructType([*nullable_fields(narrow, rest), StructField("digest", BinaryType())])
    digested = map_in_arrow(narrow.select(*rest, "url"), _digest_batches(step), schema)
    return find_equal(digested.where(F.col("digest").isNotNull()), step.keep, workspace, similarity=None)


def _digest_batches(step: DedupUrl) -> ArrowMap:
    ignored, tracking = step.ignore_parameters, step.tracking_parameters

    def digest(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            addresses = canonical_urls(batch.column("url"), ignored, tracking)
            columns = [*batch.columns[:-1], text_digests(addresses, "none")]
            yield pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names[:-1], "digest"])

    return digest


def dedup_url(documents: DataFrame, step: DedupUrl, folder: StageFolder) -> SetResult:
    """Run the step within a recipe."""
    found = find_url(documents, step, folder.table("work"))
    return SetResult(found.decisions, facts=found.counts)


JOB = Job(
    name="dedup-url",
    summary="Keep one document a URL, addresses compared in their canonical form.",
    example="winnow dedup-url --recipe gopher --set steps.dedup_url={} --input texts/kept --output clean",
    steps=("dedup_url",),
    set_steps={"dedup_url": dedup_url},
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    return run_job(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
