"""Read archives, JSON Lines and Parquet into documents (docs/architecture.md, "documents").

Takes files of any mixture; gives documents with their raw pages, and what is none, with file and offset. Shuffles
nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyspark.sql import DataFrame

from jobs.core.job import Job, run_job
from jobs.core.recipe_file import Resolved
from jobs.core.rowwise import row_steps

JOB = Job(
    name="ingest",
    summary="Read archives, JSON Lines and Parquet into documents; raw pages stay as they are.",
    example="winnow ingest --recipe gopher --input crawl/ --output documents",
    steps=(),
)


def ingest(documents: DataFrame, resolved: Resolved) -> DataFrame:
    """Rows as the readers give them, with the outcome of each: a document, quarantined or ignored."""
    return row_steps(resolved, ("ingest",)).apply(documents)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    return run_job(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
