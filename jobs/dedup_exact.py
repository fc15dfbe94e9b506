"""Keep one of the documents whose texts are the same, after normalisation.

Takes documents with (key, copy); gives one decision for each document that another one stands for, and the groups.
Texts are compared by 128-bit digests (`udfs.digests`): form C, case-folded, whitespace runs to one space by default.
Documents of which nothing is left after normalisation take no part. The survivor is the first by the recipe's `keep`
list; Gopher's document deduplication (arXiv 2112.11446, appendix A.1.3) removes exact duplicates first.

Shuffled, in bytes a document before compression: about 90 and the length of the id for the groups (digest 16, ranks 8
each, key 16, copy 8, row headers; less where a task holds several copies), then 60 to meet the groups of more than one,
nothing where these fit a broadcast. Text is read once and never shuffled. A task is bounded by its partition: groups
are reduced in every task before they meet, so a page that occurs a million times is one row of each.
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
from jobs.core.recipe import DedupExact
from jobs.core.run import SetResult
from jobs.core.run_folder import StageFolder
from jobs.core.survivors import Duplicates, find_equal, identity_columns, nullable_fields, rank_columns, scope_column
from udfs.digests import Level, text_digests


def find_exact(documents: DataFrame, step: DedupExact, workspace: str) -> Duplicates:
    """Find the documents that an equal one stands for.

    Args:
        documents: id, key, copy, text, and what `keep` and `scope` read.
        step: The step's part of the recipe.
        workspace: Folder for intermediate tables.
    """
    narrow = documents.select(
        *identity_columns(), *rank_columns(documents, step.keep), scope_column(documents, step.scope), "text"
    )
    return find_equal(with_digest(narrow, step.normalise), step.keep, workspace, similarity=1.0)


def with_digest(documents: DataFrame, level: Level) -> DataFrame:
    """Return the documents with ``digest`` in place of ``text``, without those that have none."""
    rest = [name for name in documents.columns if name != "text"]
    schema = StructType([*nullable_fields(documents, rest), StructField("digest", BinaryType())])
    ordered = documents.select(*rest, "text")
    return map_in_arrow(ordered, _digest_batches(level), schema).where(F.col("digest").isNotNull())


def _digest_batches(level: Level) -> ArrowMap:
    def digest(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = [*batch.columns[:-1], text_digests(batch.column(batch.num_columns - 1), level)]
            yield pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names[:-1], "digest"])

    return digest


def dedup_exact(documents: DataFrame, step: DedupExact, folder: StageFolder) -> SetResult:
    """Run the step within a recipe."""
    found = find_exact(documents, step, folder.table("work"))
    return SetResult(found.decisions, facts=found.counts)


JOB = Job(
    name="dedup-exact",
    summary="Keep one of the documents whose texts are the same.",
    example="winnow dedup-exact --recipe gopher --input texts/kept --output clean",
    steps=("dedup_exact",),
    set_steps={"dedup_exact": dedup_exact},
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    return run_job(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
