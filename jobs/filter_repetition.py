"""Remove documents that repeat themselves (Gopher, arXiv 2112.11446, table A1).

Takes documents; gives them with repetition signals and every rule that they break. Shuffles nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyspark.sql import DataFrame

from jobs.core.job import Job, run_job
from jobs.core.recipe_file import Resolved
from jobs.core.rowwise import row_steps

JOB = Job(
    name="filter-repetition",
    summary="Remove documents that repeat themselves.",
    example="winnow filter-repetition --recipe gopher --input texts/kept --output clean",
    steps=("filter_repetition",),
)


def filter_repetition(documents: DataFrame, resolved: Resolved) -> DataFrame:
    """Documents with repetition signals and, where a rule is broken, the reasons."""
    return row_steps(resolved, ("ingest", "filter_repetition")).apply(documents)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    return run_job(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
