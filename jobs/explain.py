"""Show what a recipe says of one text: every rule with its value, its bound and the verdict. Starts no Spark.

``winnow explain --text FILE`` judges a file (``-`` reads standard input) by the row-wise steps of a recipe, in their
order, with the same kernels and the same decisions as a run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.core import command
from jobs.core.errors import InputContractError

EXAMPLE = "winnow explain --text page.txt --recipe gopher"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        return _explain_text(arguments)

    return command.end_well(body, verbose="--verbose" in (argv or ()))


def _parser() -> command.Parser:
    arguments = command.parser("explain", "Show every rule's verdict on one text.", EXAMPLE)
    command.add_recipe_arguments(arguments, default="gopher")
    arguments.add_argument("--text", metavar="FILE", required=True, help="text file to judge, - for standard input")
    arguments.add_argument("--url", metavar="URL", help="address of the page, for URL rules")
    arguments.add_argument("--language", metavar="CODE", help="language of the text (default: detected)")
    arguments.add_argument("--source", metavar="NAME", help="judge it as a document of this source of the recipe")
    command.add_log_arguments(arguments)
    return arguments


def _explain_text(arguments: Any) -> int:
    from jobs.core.profiles import bounds_for, judge_plain
    from jobs.core.recipe_file import resolve_recipe

    resolved = resolve_recipe(arguments.recipe, arguments.overrides)
    facts = annotated(resolved, _read(arguments.text), url=arguments.url, language=arguments.language)
    profiles = bounds_for(resolved.recipe, resolved.packs)
    signals = {**(facts.get("signals") or {}), "language_score": facts["language_score"]}
    judgements = judge_plain(profiles, signals, language=facts["language"], source=arguments.source)
    print(verdict_table(judgements, facts))
    return 0


def annotated(resolved: Any, text: str, *, url: str | None = None, language: str | None = None) -> dict[str, Any]:
    """One text through the annotation kernel: its language, its signals, and the text if a step edits it."""
    import pyarrow as pa

    from jobs.core.annotation import annotation_plan
    from udfs.annotate import annotate

    def one(value: str | None) -> pa.Array:
        return pa.array([value], pa.string())

    plan = annotation_plan(resolved, resolved.recipe.steps.names)
    key = pa.array([None], pa.binary())
    return dict(annotate(plan, key, one(None), one(url), one(text), None, one(language))[0].as_py())


def verdict_table(judgements: Sequence[Any], facts: Mapping[str, Any]) -> str:
    """The judgements as text: one line a rule, and the verdict at the end."""
    shown = [("step", "rule", "value", "bound", "verdict")]
    for judged in judgements:
        value = "none" if judged.value is None else f"{judged.value:.6g}"
        shown.append((judged.step, judged.rule, value, judged.bound, "passes" if judged.passed else "BREAKS"))
    widths = [max(len(row[i]) for row in shown) for i in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]
    broken = [judged for judged in judgements if not judged.passed]
    score = f" (score {facts['language_score']:.2f})" if facts.get("language_score") is not None else ""
    lines.append(f"\nlanguage: {facts['language'] or 'unknown'}{score}")
    if broken:
        stage = broken[0].step
        rules = ", ".join(judged.rule for judged in broken if judged.step == stage)
        lines.append(f"verdict: removed by {stage} ({rules})")
    else:
        lines.append("verdict: kept by every row-wise rule")
    return "\n".join(lines)


def _read(path: str) -> str:
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise InputContractError(
            f"{path}: {error.strerror}", next_step="name a text file, or - for standard input"
        ) from None
    return data.decode("utf-8", "replace")


if __name__ == "__main__":
    sys.exit(main())
