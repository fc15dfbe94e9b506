"""Turn raw pages into text: headings, lists, tables and indentation kept (Gopher, arXiv 2112.11446, appendix A.1: text
extraction).

Takes documents with ``content``; gives them with ``text``; a page without text is removed as ``extract_empty``, one
that breaks the parser is quarantined. Shuffles nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyspark.sql import DataFrame

from jobs.core.job import Job, run_job
from jobs.core.recipe_file import Resolved
from jobs.core.rowwise import row_steps

JOB = Job(
    name="extract-text",
    summary="Turn HTML pages into text; documents that have text pass through.",
    example="winnow extract-text --recipe gopher --input crawl/ --output texts",
    steps=("extract_text",),
)


def extract_text(documents: DataFrame, resolved: Resolved) -> DataFrame:
    """Documents with their text, and the outcome of each."""
    return row_steps(resolved, ("ingest", "extract_text")).apply(documents)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    return run_job(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
