"""The whole recipe in one run: ``winnow run``.

Takes raw archives and documents; gives ``kept``, ``removed``, ``quarantine``, ``signals`` and the ledger. Row-wise
steps share one pass over the text and shuffle nothing; each dedup step shuffles what its own docstring states.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jobs import decontaminate, dedup_exact, dedup_lines, dedup_near, dedup_substring, dedup_url
from jobs.core.job import Job, run_job

JOB = Job(
    name="run",
    summary="Run all steps of a recipe and publish the cleaned corpus.",
    example="winnow run --recipe gopher --input crawl/ more.jsonl.gz --output corpus",
    steps=None,
    set_steps={
        "decontaminate": decontaminate.decontaminate,
        "dedup_url": dedup_url.dedup_url,
        "dedup_exact": dedup_exact.dedup_exact,
        "dedup_lines": dedup_lines.dedup_lines,
        "dedup_near": dedup_near.dedup_near,
        "dedup_substring": dedup_substring.dedup_substring,
    },
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of the whole pipeline."""
    return run_job(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
