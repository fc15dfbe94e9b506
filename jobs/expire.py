"""Take whole snapshots out of a corpus: what some refreshes brought, or all but the last ones.

Gives a new version without their documents and state. No file is rewritten. The input files that they came from count
as consumed still, so that the next refresh does not bring them back.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jobs.core import command
from jobs.core.console import say
from jobs.core.errors import UsageError

NAME = "expire"
EXAMPLE = "winnow expire --corpus corpus --keep-snapshots 52"


def _parser() -> command.Parser:
    arguments = command.parser(
        NAME,
        "Publish a version without the documents that some refreshes brought.\n\n"
        "exit codes: 0 done, 2 usage, 5 another writer was faster",
        EXAMPLE,
    )
    arguments.add_argument("--corpus", metavar="DIR", required=True, help="the corpus")
    which = arguments.add_mutually_exclusive_group(required=True)
    which.add_argument("--snapshots", metavar="ID", nargs="+", default=[], help="run ids of the refreshes")
    which.add_argument("--keep-snapshots", metavar="N", type=command.positive, help="all but the N newest")
    command.add_spark_arguments(arguments)
    command.add_log_arguments(arguments)
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        from jobs.core.corpus import Corpus
        from jobs.core.corpus_edit import Edit, list_stranded, operation_id, publish_edit
        from jobs.core.files import DriverFiles
        from jobs.core.session import spark_session

        settings = command.settings_of(arguments.conf)
        with spark_session(f"winnow {NAME}", master=arguments.master, settings=settings) as spark:
            corpus = Corpus(DriverFiles(spark), arguments.corpus)
            head, name = corpus.existing_head(), operation_id(NAME)
            snapshots = list(head.manifest.snapshots)
            known = [snapshot.id for snapshot in snapshots]
            unknown = [wanted for wanted in arguments.snapshots if wanted not in known]
            if unknown:
                raise UsageError(
                    f"{arguments.corpus} has no snapshot {unknown[0]}", next_step=f"snapshots: {', '.join(known)}"
                )
            going = set(arguments.snapshots or known[: -arguments.keep_snapshots])
            if not going:
                say(f"nothing to expire: {arguments.corpus} has {len(known)} snapshots")
                return 0
            removed = [file for snapshot in snapshots if snapshot.id in going for file in corpus.files_of(snapshot)]
            documents = sum(file.rows for file in removed)
            stranded = list_stranded(spark, corpus, head, corpus.documents(spark, removed), name)
            edit = Edit([one for one in snapshots if one.id not in going], [], removed, documents)
            version = publish_edit(corpus, head, edit, NAME, name, {"expired": sorted(going), "stranded": stranded})
        say(
            f"published version {version} of {arguments.corpus} without {len(going)} snapshots, {documents:,} documents"
        )
        return 0

    return command.end_well(body, verbose="--verbose" in (argv or ()))


if __name__ == "__main__":
    sys.exit(main())
