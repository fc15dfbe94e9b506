"""Delete the files of a corpus that no version needs any more: orphans of killed runs, and versions no longer kept.

A file stays when one of the last versions names it, or when it is younger than the run that may still be writing it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobs.core import command
from jobs.core.console import say

if TYPE_CHECKING:
    from jobs.core.corpus import Corpus
    from jobs.core.files import FileInfo

NAME = "vacuum"
EXAMPLE = "winnow vacuum --corpus corpus --keep-versions 10"
_FILES_IN = ("documents", "state", "manifests")
_FOLDERS_IN = ("runs", "work")


def _parser() -> command.Parser:
    arguments = command.parser(
        NAME,
        "Delete files that none of the last versions needs, orphans of killed runs among them.\n\n"
        "exit codes: 0 done, 2 usage",
        EXAMPLE,
    )
    arguments.add_argument("--corpus", metavar="DIR", required=True, help="the corpus")
    arguments.add_argument(
        "--keep-versions", metavar="N", type=command.positive, default=10, help="versions to keep readable (default 10)"
    )
    arguments.add_argument(
        "--older-than-hours",
        metavar="H",
        type=float,
        default=24.0,
        help="spare younger files: a run may be writing them (default 24; longer than any refresh)",
    )
    arguments.add_argument("--dry-run", action="store_true", help="count only")
    command.add_spark_arguments(arguments)
    command.add_log_arguments(arguments)
    return arguments


def needed_files(corpus: Corpus, versions: int) -> tuple[set[str], set[str]]:
    """Full paths of all files that the last versions name, and the ids of all refreshes that they consist of."""
    needed: set[str] = set()
    runs: set[str] = set()
    for entry in corpus.history()[:versions]:
        manifest = corpus.read_manifest(entry["manifest"], entry["manifest_sha256"])
        needed.add(corpus.at("manifests", entry["manifest"]))
        needed.update(corpus.at("state", name) for name in manifest.inputs)
        runs.update(manifest.done)
        for snapshot in manifest.snapshots:
            needed.add(corpus.at("state", snapshot.files))
            for file in corpus.files_of(snapshot):
                needed.add(corpus.at("documents", file.path))
                needed.add(corpus.at("state", file.state))
    return needed, runs


def orphans(corpus: Corpus, versions: int, before_ms: int) -> list[FileInfo]:
    """Files and folders that no version needs and that last changed before a time in milliseconds since 1970.

    What a refresh leaves under ``runs/`` and ``work/`` goes as a whole or not at all: a folder that lost some of its
    files could neither be gone on with nor be started over.
    """
    corpus.existing_head()
    needed, runs = needed_files(corpus, versions)
    files = [
        info
        for name in _FILES_IN
        if corpus.files.exists(corpus.at(name))
        for info in corpus.files.find(corpus.at(name))
    ]
    folders = [
        corpus.files.whole_folder(corpus.at(name, child))
        for name in _FOLDERS_IN
        for child in corpus.files.children(corpus.at(name))
        if name != "runs" or child not in runs
    ]
    return [info for info in (*files, *folders) if info.path not in needed and info.modified_ms < before_ms]


def delete_orphans(corpus: Corpus, found: Sequence[FileInfo]) -> None:
    """Delete what `orphans` found, and the folders that are empty then."""
    for info in found:
        corpus.files.delete(info.path)
    for folder in {info.path.rpartition("/")[0] for info in found}:
        if corpus.files.exists(folder) and not corpus.files.children(folder):
            corpus.files.delete(folder)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        from jobs.core.corpus import Corpus
        from jobs.core.files import DriverFiles, total_bytes
        from jobs.core.session import spark_session

        settings = command.settings_of(arguments.conf)
        with spark_session(f"winnow {NAME}", master=arguments.master, settings=settings) as spark:
            corpus = Corpus(DriverFiles(spark), arguments.corpus)
            before_ms = int((time.time() - 3600 * arguments.older_than_hours) * 1000)
            found = orphans(corpus, arguments.keep_versions, before_ms)
            if not arguments.dry_run:
                delete_orphans(corpus, found)
        done = "would be deleted" if arguments.dry_run else "deleted"
        say(f"{len(found)} files and folders, {total_bytes(found):,} bytes {done} from {arguments.corpus}")
        return 0

    return command.end_well(body, verbose="--verbose" in (argv or ()))


if __name__ == "__main__":
    sys.exit(main())
