"""Write the demo sample: a small web archive, notes and a library with every fault that a step is there to find.

It holds ``crawl`` (WARC and WET), ``notes`` (JSON Lines), ``library`` (Parquet), ``lists``, ``testsets``, the recipe
``demo.yaml`` and, in ``expected.json``, what a run must do with every document. Texts are taken from this Python
installation and from articles written for the sample; nothing is downloaded; two runs write the same bytes. Needs no
Spark.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.core import command
from jobs.core.errors import ConflictError

if TYPE_CHECKING:
    from jobs.sample.texts import Text

ROOM = 0.2  # a clean text stays this far inside every bound, so that a page's headings and tables do not tip it over
EXAMPLE = "winnow make-sample demo/sample && winnow run --recipe demo/sample/demo.yaml --output demo/cleaned"


def passes_gopher(candidates: list[Text]) -> list[bool]:
    """Whether each text lies well inside the bounds of the recipe ``gopher``."""
    import pyarrow as pa

    from jobs.core.recipe_file import resolve_recipe
    from udfs.signals import StopWords, measure

    resolved = resolve_recipe("gopher")
    steps = ("filter_quality", "filter_repetition")
    stop_words = StopWords.from_lists({"en": resolved.packs["en"].stop_words}, default="en")
    signals = measure(pa.array([text.body for text in candidates], pa.string()), steps=steps, stop_words=stop_words)
    verdicts = [True] * len(candidates)
    for step in steps:
        for name, bounds in getattr(resolved.recipe.steps, step).rules.items():
            low = float(bounds.min or 0) * (1 + ROOM)
            high = float("inf") if bounds.max is None else float(bounds.max) * (1 - ROOM)
            values = signals[name].to_pylist()
            verdicts = [verdict and low <= value <= high for verdict, value in zip(verdicts, values, strict=True)]
    return verdicts


def make_sample(folder: Path) -> dict[str, int]:
    """Write the sample into a new folder; returns the number of documents per outcome that a run must give."""
    from jobs.sample.compose import compose, recipe

    if folder.exists():
        raise ConflictError(f"{folder} exists already", next_step="remove it or choose another folder")
    sample = compose(passes_gopher)
    expected = sample.expected()
    files = {
        **sample.files,
        "demo.yaml": recipe(str(folder)).encode(),
        "expected.json": (json.dumps(expected, indent=1, ensure_ascii=False) + "\n").encode(),
    }
    # Written beside its place and moved there whole, so that an interrupted run leaves nothing that looks complete.
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        for name, data in files.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return {outcome: expected[outcome] for outcome in ("read", "kept", "removed")}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        parser = command.parser("make-sample", "Write the demo sample and its recipe.", EXAMPLE)
        parser.add_argument("output", metavar="OUT", help="folder to write; must not exist yet")
        arguments = parser.parse_args(argv)
        counts = make_sample(Path(arguments.output))
        print(
            f"wrote {counts['read']} records to {arguments.output}; "
            f"a run with {arguments.output}/demo.yaml keeps {counts['kept']} and removes {counts['removed']} of them",
            file=sys.stderr,
        )
        return 0

    return command.end_well(body)


if __name__ == "__main__":
    sys.exit(main())
