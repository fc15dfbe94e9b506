"""Remove harmful pages and unwanted languages (Gopher, arXiv 2112.11446, appendix A.1: content filtering).

Takes documents; gives them with their language, content signals and reasons. Lists are shipped once per machine.
Shuffles nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyspark.sql import DataFrame

from jobs.core.job import Job, run_job
from jobs.core.recipe_file import Resolved
from jobs.core.rowwise import row_steps

JOB = Job(
    name="filter-content",
    summary="Remove pages by URL lists and lexicons, and languages that the recipe does not keep.",
    example="winnow filter-content --recipe gopher --input texts/kept --output clean --set languages.keep=[en,de]",
    steps=("filter_content",),
)


def filter_content(documents: DataFrame, resolved: Resolved) -> DataFrame:
    """Documents with content signals and, where a rule is broken, the reasons."""
    return row_steps(resolved, ("ingest", "filter_content")).apply(documents)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    return run_job(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
