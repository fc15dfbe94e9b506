"""Write a finished run's report: one HTML page that opens anywhere, offline and without a script. Starts no Spark.

Takes the output of a run; reads its ledger and, in bounded batches, its tables. Gives ``report.html``, which
``winnow run`` also writes at its end, or with ``--card`` the data set card (README.md) for publishing the corpus.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs.core import command
from jobs.core.console import say
from jobs.core.errors import ResourceError, UsageError

EXAMPLE = "winnow report cleaned --output report.html"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        return _report(arguments)

    return command.end_well(body, verbose="--verbose" in (argv or ()))


def _parser() -> command.Parser:
    arguments = command.parser("report", "Write the report of a finished run, or its data set card.", EXAMPLE)
    arguments.add_argument("run", metavar="RUN", help="output of a finished run")
    arguments.add_argument(
        "--output", metavar="FILE", help="where to write it (default: report.html or README.md in RUN)"
    )
    arguments.add_argument(
        "--card", action="store_true", help="write the data set card of the kept documents (README.md) instead"
    )
    arguments.add_argument("--show-personal-data", action="store_true", help="do not mask personal data in examples")
    command.add_log_arguments(arguments)
    return arguments


def _report(arguments: argparse.Namespace) -> int:
    from jobs.core.dataset_card import dataset_card
    from jobs.core.finished_run import open_run
    from jobs.core.report_page import report_page

    run = open_run(arguments.run)
    if arguments.card:
        name, text = "README.md", dataset_card(run)
    else:
        name, text = "report.html", report_page(run, masked=not arguments.show_personal_data)
    content = text.encode("utf-8")
    if arguments.output:
        target = Path(arguments.output)
        try:
            target.write_bytes(content)
        except OSError as error:
            raise ResourceError(f"{target}: {error.strerror}", next_step="name another --output") from None
        say(f"wrote {target}, {len(content):,} bytes")
        return 0
    if arguments.card and run.read(name) not in (None, content):
        raise UsageError(
            f"{run.path}/{name} is there and says something else", next_step="delete it, or name another --output"
        )
    run.write(name, content)
    say(f"wrote {run.path}/{name}, {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
