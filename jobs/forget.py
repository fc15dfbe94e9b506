"""Take documents out of a corpus by id, URL or domain, and keep them out of every later refresh.

Takes lists (`jobs.core.forgotten`); gives a new version without the documents they name. Reads the ids and URLs of all
documents, rewrites the files that hold a hit, shuffles only the addresses of hits. Older versions hold the documents
until `winnow vacuum --keep-versions 1` has deleted their files; the audit tables under ``runs/`` may name them by id.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jobs.core import command
from jobs.core.console import say

NAME = "forget"
EXAMPLE = "winnow forget --corpus corpus --domains take-downs.txt"


def _parser() -> command.Parser:
    arguments = command.parser(
        NAME,
        "Publish a version without the documents that the lists name, and remember them for later refreshes.\n\n"
        "exit codes: 0 done, 2 usage, 5 another writer was faster",
        EXAMPLE,
    )
    arguments.add_argument("--corpus", metavar="DIR", required=True, help="the corpus")
    for kind, what in (("ids", "document ids"), ("urls", "addresses"), ("domains", "domains, with what is under them")):
        arguments.add_argument(f"--{kind}", metavar="FILE", help=f"text file of {what}, one a line")
    command.add_spark_arguments(arguments)
    command.add_log_arguments(arguments)
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        from jobs.core.corpus import Corpus
        from jobs.core.corpus_edit import list_stranded, operation_id, publish_edit, without_rows
        from jobs.core.files import DriverFiles
        from jobs.core.forgotten import named_rows, read_lists
        from jobs.core.session import spark_session
        from jobs.core.survivors import written

        lists = read_lists(arguments.ids, arguments.urls, arguments.domains)
        settings = command.settings_of(arguments.conf)
        with spark_session(f"winnow {NAME}", master=arguments.master, settings=settings) as spark:
            corpus = Corpus(DriverFiles(spark), arguments.corpus)
            head, name = corpus.existing_head(), operation_id(NAME)
            work = corpus.at("work", name)
            documents = corpus.documents(spark, list(corpus.data_files(head.manifest)))
            gone, _ = written(named_rows(documents, lists, ["file", "row", "id", "key"]), f"{work}/gone")
            edit = without_rows(spark, corpus, head.manifest.snapshots, gone, name)
            stranded = list_stranded(spark, corpus, head, gone, name)
            corpus.write_once(corpus.at("forgotten", f"{name}.json"), lists.as_json())
            version = publish_edit(
                corpus,
                head,
                edit,
                NAME,
                name,
                {"stranded": stranded},
                forgotten=[*head.manifest.forgotten, f"{name}.json"],
            )
            corpus.files.delete(work)
        say(
            f"published version {version} of {arguments.corpus} without {edit.documents:,} documents; later refreshes "
            "leave them out; `winnow vacuum --keep-versions 1` deletes them from disk"
        )
        return 0

    return command.end_well(body, verbose="--verbose" in (argv or ()))


if __name__ == "__main__":
    sys.exit(main())
