"""Go back to an earlier version of a corpus, by publishing it again as a new one.

Documents, state and consumed inputs are those of the earlier version: refreshes that came after it count as never done
and may run again, under the same run id too. Take-downs stay in force: what was to be forgotten does not come back.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jobs.core import command
from jobs.core.console import say
from jobs.core.errors import InputContractError

NAME = "rollback"
EXAMPLE = "winnow rollback --corpus corpus --to 12"


def _parser() -> command.Parser:
    arguments = command.parser(
        NAME,
        "Publish an earlier version again; later refreshes count as never done.\n\n"
        "exit codes: 0 done, 2 usage, 3 no such version or its files are gone, 5 another writer was faster",
        EXAMPLE,
    )
    arguments.add_argument("--corpus", metavar="DIR", required=True, help="the corpus")
    arguments.add_argument(
        "--to", metavar="VERSION", type=command.positive, required=True, help="the version, see `winnow history`"
    )
    command.add_spark_arguments(arguments)
    command.add_log_arguments(arguments)
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        from jobs.core.corpus import Corpus, DataFile
        from jobs.core.corpus_edit import Edit, operation_id, without_rows
        from jobs.core.files import DriverFiles
        from jobs.core.forgotten import forgotten_of, named_rows
        from jobs.core.session import spark_session

        settings = command.settings_of(arguments.conf)
        with spark_session(f"winnow {NAME}", master=arguments.master, settings=settings) as spark:
            corpus = Corpus(DriverFiles(spark), arguments.corpus)
            newest, name = corpus.last_published(), operation_id(NAME)
            target = corpus.head(arguments.to)
            if target is None:
                raise InputContractError(f"version {arguments.to} holds nothing yet", next_step="see `winnow history`")
            now = set(corpus.current_paths())
            files = list(corpus.data_files(target.manifest))
            lost = [file.path for file in files if not corpus.files.exists(corpus.at("documents", file.path))]
            if lost:
                raise InputContractError(f"version {arguments.to} was vacuumed: {len(lost)} of its files are gone")
            coming = [file for file in files if file.path not in now]
            edit = Edit(target.manifest.snapshots, coming, [], 0)
            forgotten = forgotten_of(corpus, newest.manifest.forgotten)
            if forgotten and coming:
                hits = named_rows(corpus.documents(spark, coming), forgotten, ["file", "row"])
                edit = without_rows(spark, corpus, target.manifest.snapshots, hits, name)
            snapshots = [snapshot for snapshot in edit.snapshots if snapshot.documents]
            manifest = target.manifest.following(
                NAME,
                name,
                newest.version,
                snapshots=snapshots,
                forgotten=newest.manifest.forgotten,
                ledger={"rolled_back_to": arguments.to},
            )
            wanted = {file.path: file for snapshot in snapshots for file in corpus.files_of(snapshot)}
            added = [file for path, file in wanted.items() if path not in now]
            removed = [DataFile(path, "", 1, 0) for path in sorted(now - set(wanted))]
            version = corpus.publish(newest, manifest, added, removed)
        documents = f"{manifest.documents:,} documents"
        say(f"published version {version} of {arguments.corpus}: version {arguments.to} again, {documents}")
        return 0

    return command.end_well(body, verbose="--verbose" in (argv or ()))


if __name__ == "__main__":
    sys.exit(main())
