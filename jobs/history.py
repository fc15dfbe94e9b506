"""Show the versions of a corpus: when, what, how many documents, by which recipe. Starts no Spark."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jobs.core import command
from jobs.core.errors import UsageError

NAME = "history"
EXAMPLE = "winnow history --corpus corpus"
_COLUMNS = ("version", "when", "operation", "run_id", "documents", "read", "kept", "removed", "recipe", "allowed_gates")


def _parser() -> command.Parser:
    arguments = command.parser(
        NAME, "Show the versions of a corpus, the newest first.\n\nexit codes: 0 done, 2 usage", EXAMPLE
    )
    arguments.add_argument("--corpus", metavar="DIR", required=True, help="the corpus")
    arguments.add_argument("--json", action="store_true", help="one JSON object a version")
    command.add_log_arguments(arguments)
    return arguments


def version_record(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One version as plain values, from its entry in the log."""
    ledger = json.loads(entry["ledger"])
    when = datetime.fromtimestamp(entry["timestamp"] / 1000, UTC).isoformat(timespec="seconds")
    return {
        "version": entry["version"],
        "when": when,
        "operation": entry["winnow_operation"],
        "run_id": entry["run_id"],
        "documents": int(entry["documents"]),
        **{name: ledger.get(name) for name in ("read", "kept", "removed")},
        "recipe": f"{entry['recipe']} {entry['recipe_sha256'][:8]}",
        "allowed_gates": entry["allowed_gates"],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        from jobs.core.corpus import published_versions

        records = [version_record(entry) for entry in published_versions(arguments.corpus)]
        if not records:
            raise UsageError(f"{arguments.corpus} is no corpus", next_step="make one with `winnow refresh --corpus`")
        if arguments.json:
            for record in records:
                print(json.dumps(record))
            return 0
        rows = [[_shown(record[name]) for name in _COLUMNS] for record in records]
        widths = [max(len(row[i]) for row in [list(_COLUMNS), *rows]) for i in range(len(_COLUMNS))]
        for row in [list(_COLUMNS), *rows]:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return 0

    return command.end_well(body, verbose="--verbose" in (argv or ()))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    sys.exit(main())
