"""``winnow``: one command for every job. ``winnow NAME …`` takes the arguments of ``spark-submit jobs/NAME.py …``."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

# Command → (module, what it does). Modules are imported when asked for: validate and explain must not wait for Spark.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("jobs.pipeline", "run a whole recipe"),
    "ingest": ("jobs.ingest", "read archives, JSON Lines and Parquet into documents"),
    "extract-text": ("jobs.extract_text", "turn HTML pages into text"),
    "filter-content": ("jobs.filter_content", "remove harmful pages and unwanted languages"),
    "edit-lines": ("jobs.edit_lines", "drop lines that are no prose"),
    "filter-quality": ("jobs.filter_quality", "remove documents that break quality rules"),
    "filter-repetition": ("jobs.filter_repetition", "remove documents that repeat themselves"),
    "classify": ("jobs.classify", "train small models and remove documents by their scores"),
    "redact": ("jobs.redact", "mask personal data"),
    "decontaminate": ("jobs.decontaminate", "remove documents that hold test items"),
    "dedup-url": ("jobs.dedup_url", "keep one document a URL"),
    "dedup-exact": ("jobs.dedup_exact", "keep one of equal documents"),
    "dedup-lines": ("jobs.dedup_lines", "cut lines and paragraphs that many pages share"),
    "dedup-near": ("jobs.dedup_near", "keep one of nearly equal documents"),
    "dedup-substring": ("jobs.dedup_substring", "cut runs of words that occur elsewhere"),
    "refresh": ("jobs.refresh", "clean new inputs and publish a new version of a corpus"),
    "history": ("jobs.history", "show the versions of a corpus"),
    "rollback": ("jobs.rollback", "publish an earlier version again"),
    "forget": ("jobs.forget", "take documents out of a corpus for good"),
    "expire": ("jobs.expire", "take old snapshots out of a corpus"),
    "vacuum": ("jobs.vacuum", "delete files that no version needs"),
    "measure": ("jobs.measure", "write each document's signals"),
    "tune": ("jobs.tune", "try other bounds on a finished run"),
    "compare": ("jobs.compare", "compare the decisions of two runs"),
    "verify": ("jobs.verify", "check a run's files against its ledger"),
    "explain": ("jobs.explain", "show what a run did with a document, or a recipe with a text"),
    "report": ("jobs.report", "write a run's report as one HTML page"),
    "budget": ("jobs.budget", "say how large a model a corpus can train"),
    "inspect": ("jobs.inspect_input", "look at an input and write a starter recipe"),
    "validate": ("jobs.validate", "check a recipe"),
    "make-sample": ("jobs.make_sample", "write the demo sample"),
}


def usage() -> str:
    """The list of commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {what}" for name, (_, what) in COMMANDS.items()]
    return (
        "usage: winnow COMMAND …\n\n"
        + "\n".join(lines)
        + "\n\nwinnow COMMAND --help shows a command's arguments and an example."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    if words[0] in ("-V", "--version", "version"):
        from jobs.core.ledger import code_version

        print(f"winnow {code_version()}")
        return 0
    name = words[0]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        print(f"error: no command '{name}'{hint}; next: see `winnow --help`", file=sys.stderr)
        return 2
    return int(importlib.import_module(COMMANDS[name][0]).main(words[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main())
