"""Check a finished run's files against its ledger: nothing missing, nothing added, nothing changed. Starts no Spark.

Takes a run's output. Compares every file with the table ``files`` (size, rows, digest of the Parquet footer), every
table with the ledger (files, rows, bytes, digest), and the ledger with itself (its sums, its recipe's digest). With
``--contents`` every page of every file is read and its checksum verified. Ends with 3 and names what is off.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from jobs.core import command
from jobs.core.errors import InputContractError
from jobs.core.finished_run import LEDGER, FinishedRun, open_run
from jobs.core.published_files import (
    FILES,
    PublishedFile,
    from_row,
    look_at_all,
    table_records,
)

EXAMPLE = "winnow verify cleaned"
SHOWN_PROBLEMS = 50
# Tables whose rows the ledger's totals count.
_COUNTED = {"kept": ("kept",), "removed": ("removed",), "quarantine": ("quarantined",), "signals": ("kept", "removed")}


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is off: where, and what."""

    where: str
    problem: str


def main(argv: Sequence[str] | None = None) -> int:
    """The command line: 0 when all is as recorded, 3 with every finding otherwise."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        run = open_run(arguments.run)
        findings = sorted(verify(run, contents=arguments.contents))
        if arguments.format == "json":
            print(json.dumps(_as_record(run, findings), indent=2, ensure_ascii=False))
        else:
            print("\n".join(_lines(run, findings, arguments.contents)))
        if findings:
            raise InputContractError(
                f"{arguments.run}: {len(findings)} differ from the ledger, first {findings[0].where}: "
                f"{findings[0].problem}",
                next_step="restore the files from a copy, or run again into another output",
            )
        return 0

    return command.end_well(body, verbose="--verbose" in (argv or ()))


def _parser() -> command.Parser:
    arguments = command.parser("verify", "Check a finished run's files against its ledger.", EXAMPLE)
    arguments.add_argument("run", metavar="RUN", help="output of a finished run")
    arguments.add_argument(
        "--contents", action="store_true", help="read every page of every file too, and verify its checksum"
    )
    arguments.add_argument("--format", choices=("text", "json"), default="text", help="how the answer looks")
    command.add_log_arguments(arguments)
    return arguments


def verify(run: FinishedRun, *, contents: bool = False) -> Iterator[Finding]:
    """Everything in a run's output that is not as its ledger says."""
    yield from _ledger_findings(run.ledger)
    there, unreadable = _files_there(run)
    yield from (Finding(path, problem) for path, problem in unreadable.items())
    if "tables" in run.ledger:
        yield from _table_findings(run, there, set(unreadable))
    yield from _count_findings(run, there)
    if contents:
        yield from _content_findings(run, there)


def _ledger_findings(ledger: Mapping[str, Any]) -> Iterator[Finding]:
    from jobs.core.recipe_file import canonical

    stages = ledger["stages"]
    for stage in stages:
        out = stage["kept"] + stage["removed"] + stage["quarantined"] + stage["ignored"]
        if out != stage["read"]:
            yield Finding(LEDGER, f"stage {stage['stage']} read {stage['read']} documents but accounts for {out}")
    for before, after in pairwise(stages):
        if after["read"] != before["kept"]:
            problem = f"{after['stage']} read {after['read']} documents, {before['stage']} kept {before['kept']}"
            yield Finding(LEDGER, problem)
    if hashlib.sha256(canonical(ledger["recipe"])).hexdigest() != ledger.get("recipe_sha256"):
        yield Finding(LEDGER, "the recipe is not the one that recipe_sha256 stands for")


def _files_there(run: FinishedRun) -> tuple[list[PublishedFile], dict[str, str]]:
    """Every file in the output's folders, and those that cannot be read. Hidden files are not data."""
    selector = pafs.FileSelector(run.root, recursive=True)
    found = []
    for info in run.file_system.get_file_info(selector):
        path = info.path.removeprefix(run.root).lstrip("/")
        hidden = any(part[0] in "._" for part in path.split("/"))
        loose = "/" not in path and not path.endswith(".parquet")  # the ledger, a report, a card: no data
        if info.type == pafs.FileType.File and not hidden and not loose:
            found.append((path, info.path, info.size))
    here = {path for path, _, _ in found}  # of a refresh that was not published, the kept documents too
    found += [file for file in _kept_in_corpus(run) if file[0] not in here]
    return look_at_all(found, lambda address, offset: _read_from(run.file_system, address, offset))


def _kept_in_corpus(run: FinishedRun) -> list[tuple[str, str, int]]:
    """Of a refresh, the kept documents that are in its corpus: (path in the run, path, size)."""
    paths = [file.path for file in _listed(run) if file.table == "kept"] if run.is_refresh else []
    infos = run.file_system.get_file_info([run.address(path) for path in paths]) if paths else []
    return [
        (path, info.path, info.size) for path, info in zip(paths, infos, strict=True) if info.type == pafs.FileType.File
    ]


def _read_from(file_system: pafs.FileSystem, address: str, offset: int) -> bytes:
    with file_system.open_input_file(address) as stream:
        stream.seek(offset)
        return bytes(stream.read())


def _table_findings(run: FinishedRun, there: Sequence[PublishedFile], unreadable: set[str]) -> Iterator[Finding]:
    recorded = run.ledger["tables"]
    listing = [file for file in there if file.table == FILES]
    if table_records(listing).get(FILES) != recorded.get(FILES):
        yield Finding(FILES, "the list of files is not the one that the ledger records")
    expected = {file.path: file for file in _listed(run)}
    now = {file.path: file for file in there if file.table != FILES}
    moved_on = {path for path, file in expected.items() if file.table == "kept" and run.is_refresh}
    for path in sorted(expected.keys() - now.keys() - unreadable - moved_on):
        yield Finding(path, "missing")
    for path in sorted(now.keys() - expected.keys()):
        yield Finding(path, "an extra file, which the run did not write")
    for path in sorted(expected.keys() & now.keys()):
        if expected[path] != now[path]:
            yield Finding(path, _difference(expected[path], now[path]))
    for table, record in table_records(expected.values()).items():
        if recorded.get(table) != record:
            yield Finding(table, "the list of files does not agree with the ledger on this table")
    for table in sorted(recorded.keys() - {FILES} - {file.table for file in expected.values()}):
        yield Finding(table, "the list of files has none of this table, the ledger has")


def _listed(run: FinishedRun) -> list[PublishedFile]:
    if not run.has(FILES):
        return []
    try:
        return [from_row(row) for batch in run.batches(FILES) for row in batch.to_pylist()]
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputContractError(
            f"{run.path}/{FILES}: the list of files cannot be read: {error}", next_step="restore it from a copy"
        ) from None


def _difference(expected: PublishedFile, now: PublishedFile) -> str:
    if expected.size_bytes != now.size_bytes:
        return f"has {now.size_bytes} bytes, {expected.size_bytes} were written"
    if expected.rows != now.rows:
        return f"has {now.rows} rows, {expected.rows} were written"
    return "was changed since it was written: another footer"


def _count_findings(run: FinishedRun, there: Sequence[PublishedFile]) -> Iterator[Finding]:
    totals = run.ledger["totals"]
    for table, names in _COUNTED.items():
        if table == "kept" and run.is_refresh:
            continue
        wanted = sum(totals[name] for name in names)
        rows = sum(file.rows for file in there if file.table == table)
        if rows != wanted:
            yield Finding(table, f"holds {rows} rows, the ledger says {wanted}")


def _content_findings(run: FinishedRun, there: Sequence[PublishedFile]) -> Iterator[Finding]:
    def problem(file: PublishedFile) -> str | None:
        try:
            with run.file_system.open_input_file(run.address(file.path)) as stream:
                whole = pq.ParquetFile(stream, page_checksum_verification=True)
                rows = sum(batch.num_rows for batch in whole.iter_batches(batch_size=1024, use_threads=False))
        except (pa.ArrowException, OSError) as error:
            return f"its content is damaged: {str(error).splitlines()[0]}"
        return None if rows == file.rows else f"holds {rows} rows, its footer says {file.rows}"

    with ThreadPoolExecutor() as pool:
        for file, found in zip(there, pool.map(problem, there), strict=True):
            if found:
                yield Finding(file.path, found)


def _lines(run: FinishedRun, findings: Sequence[Finding], contents: bool) -> Iterator[str]:
    tables = run.ledger.get("tables")
    if tables is None:
        yield f"{LEDGER} records no files (the run was made by an earlier version): only sums and rows were checked"
    elif not findings:
        files, rows = (sum(record[name] for record in tables.values()) for name in ("files", "rows"))
        size = sum(record["bytes"] for record in tables.values())
        yield f"run {run.ledger['run_id']}: {len(tables)} tables, {files:,} files, {rows:,} rows, {size:,} bytes"
        checked = "size, rows, footer and every page" if contents else "size, rows and footer"
        yield f"all as the ledger records them ({checked} of each file)"
    for finding in findings[:SHOWN_PROBLEMS]:
        yield f"{finding.where}: {finding.problem}"
    if len(findings) > SHOWN_PROBLEMS:
        yield f"… and {len(findings) - SHOWN_PROBLEMS} more (all with --format json)"


def _as_record(run: FinishedRun, findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "run_id": run.ledger["run_id"],
        "records_files": "tables" in run.ledger,
        "tables": run.ledger.get("tables", {}),
        "findings": [{"where": finding.where, "problem": finding.problem} for finding in findings],
    }


if __name__ == "__main__":
    sys.exit(main())
