"""Mask personal data: e-mail and IP addresses, phone numbers, payment cards, keys (Dolma, arXiv 2402.00159, section 4).

Takes documents; gives them with typed masks in place of what was found, counts per kind as signals and the spans in the
audit, never the values. Shuffles nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyspark.sql import DataFrame

from jobs.core.job import Job, run_job
from jobs.core.recipe_file import Resolved
from jobs.core.rowwise import row_steps

JOB = Job(
    name="redact",
    summary="Mask personal data.",
    example="winnow redact --recipe fineweb --input texts/kept --output masked",
    steps=("redact",),
)


def redact(documents: DataFrame, resolved: Resolved) -> DataFrame:
    """Documents with personal data masked and counted."""
    return row_steps(resolved, ("ingest", "redact")).apply(documents)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    return run_job(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
