"""Remove documents that break quality rules (Gopher, arXiv 2112.11446, appendix A.1.1; FineWeb, arXiv 2406.17557).

Takes documents; gives them with quality signals and every rule that they break. Shuffles nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyspark.sql import DataFrame

from jobs.core.job import Job, run_job
from jobs.core.recipe_file import Resolved
from jobs.core.rowwise import row_steps

JOB = Job(
    name="filter-quality",
    summary="Remove documents that break quality rules.",
    example="winnow filter-quality --recipe gopher --input texts/kept --output clean",
    steps=("filter_quality",),
)


def filter_quality(documents: DataFrame, resolved: Resolved) -> DataFrame:
    """Documents with quality signals and, where a rule is broken, the reasons."""
    return row_steps(resolved, ("ingest", "filter_quality")).apply(documents)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    return run_job(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
