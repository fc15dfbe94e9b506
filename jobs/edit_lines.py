"""Drop lines that are no prose (C4, arXiv 1910.10683, section 2.2; FineWeb, arXiv 2406.17557, section 3.6).

Takes documents; gives them with the lines cut and counted, and removes those that lose too much or break a rule of C4.
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
    name="edit-lines",
    summary="Drop lines that are no prose, and documents that are mostly such lines.",
    example="winnow edit-lines --recipe fineweb --input texts/kept --output edited",
    steps=("edit_lines",),
)


def edit_lines(documents: DataFrame, resolved: Resolved) -> DataFrame:
    """Documents with their lines edited and, where a rule is broken, the reasons."""
    return row_steps(resolved, ("ingest", "edit_lines")).apply(documents)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    return run_job(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
