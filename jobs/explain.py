"""Show what a run did with a document, or what a recipe says of a text: every rule's value, bound and verdict.

``winnow explain RUN ID`` tells of a document of a finished run, named by id, address or key: the rules in order, where
it went and why, the kept document that stands for it with what differs, the test item that it holds. ``winnow explain
--text FILE`` judges a file (``-`` reads standard input) by the row-wise steps of a recipe, with the same kernels and
the same decisions as a run. Starts no Spark.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.core import command
from jobs.core.errors import InputContractError, UsageError

if TYPE_CHECKING:
    from jobs.core.explained import Explained

EXAMPLE = """winnow explain cleaned note-072
  winnow explain --text page.txt --recipe gopher"""
WIDTH = 100


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        if arguments.text is not None and arguments.run is None:
            return _explain_text(arguments)
        if arguments.text is not None or arguments.run is None or arguments.document is None:
            raise UsageError(
                "name a run and a document, or give --text FILE; one of them", next_step=f"for example: {EXAMPLE}"
            )
        return _explain_document(arguments)

    return command.end_well(body, verbose="--verbose" in (argv or ()))


def _parser() -> command.Parser:
    arguments = command.parser("explain", "Show what a run did with a document, or a recipe with a text.", EXAMPLE)
    arguments.add_argument("run", metavar="RUN", nargs="?", help="output of a finished run")
    arguments.add_argument("document", metavar="ID", nargs="?", help="id, address or key (32 hexadecimal digits)")
    arguments.add_argument("--show-personal-data", action="store_true", help="do not mask personal data in texts")
    command.add_recipe_arguments(arguments, default="gopher")
    arguments.add_argument("--text", metavar="FILE", help="text file to judge, - for standard input")
    arguments.add_argument("--url", metavar="URL", help="address of the page, for URL rules")
    arguments.add_argument("--language", metavar="CODE", help="language of the text (default: detected)")
    arguments.add_argument("--source", metavar="NAME", help="judge it as a document of this source of the recipe")
    arguments.add_argument("--format", choices=("text", "json"), default="text", help="how the answer looks")
    command.add_log_arguments(arguments)
    return arguments


def _explain_document(arguments: Any) -> int:
    from jobs.core.explained import explain_document
    from jobs.core.finished_run import open_run
    from jobs.core.report_texts import Masker

    masker = Masker(masked=not arguments.show_personal_data)
    found = explain_document(open_run(arguments.run), arguments.document, masker)
    if arguments.format == "json":
        print(json.dumps([each.as_record() for each in found], indent=2, ensure_ascii=False))
        return 0
    if len(found) > 1:
        print(f"{len(found)} rows have this name\n")
    print("\n\n".join("\n".join(document_lines(each)) for each in found))
    return 0


def document_lines(explained: Explained) -> Iterator[str]:
    """What a run did with one row, as lines of text."""
    document = explained.document
    yield f"document   {_line(document['id'])}"
    for name in ("url", "source", "file", "offset", "key"):
        if document.get(name) is not None:
            yield f"{name.ljust(10)} {_line(document[name])}"
    if document.get("language"):
        score = document["language_score"]
        yield f"language   {document['language']}{'' if score is None else f' (score {score:.2f})'}"
    if document.get("cuts"):
        yield "text       cut by a step; signals are those of the text before"
    yield f"outcome    {explained.outcome}{f' by {explained.stage}' if explained.stage else ''}"
    for reason in explained.reasons:
        yield f"           {_reason(reason)}"
    yield from _represented(explained.represented)
    if explained.route:
        yield ""
        yield from (f"{stage['stage'].ljust(20)} {stage['outcome']}" for stage in explained.route)
    if explained.rules:
        yield ""
        yield from _rule_lines(explained.rules)
    if explained.twin:
        yield ""
        yield from _twin_lines(explained.twin)
    for finding in explained.test_items:
        yield ""
        yield from _finding_lines(finding)


def _reason(reason: Mapping[str, Any]) -> str:
    value = "" if reason["value"] is None else f" {reason['value']:.6g}"
    if not reason["bound"]:
        return f"{reason['rule']}{value}"
    asked = " (asked for: {})" if reason["bound"].startswith((">", "<", "in ", "not ")) else ": {}"
    return f"{reason['rule']}{value}{asked.format(_line(reason['bound']))}"


def _represented(represented: Mapping[str, Any]) -> Iterator[str]:
    if not represented:
        return
    one = represented["count"] == 1
    yield f"           stands for {represented['count']} removed document{'' if one else 's'}"
    for other in represented["documents"]:
        similar = "" if other["similarity"] is None else f", similarity {other['similarity']:.3f}"
        via = f", by way of {_line(other['via'])}" if other["via"] else ""
        yield f"           - {_line(other['id'])} ({other['stage']}{similar}{via})"
    if represented["count"] > len(represented["documents"]):
        yield f"           … and {represented['count'] - len(represented['documents'])} more"


def _twin_lines(twin: Mapping[str, Any]) -> Iterator[str]:
    similar = "" if twin["similarity"] is None else f", similarity {twin['similarity']:.3f}"
    yield f"kept in its place: {_line(twin['id'])}{similar}"
    if twin["url"]:
        yield f"  {_line(twin['url'])}"
    for link in twin["chain"]:
        gone = f", removed by {link['stage']}" if link["stage"] else ""
        near = "" if link["similarity"] is None else f" (similarity {link['similarity']:.3f} to the kept one)"
        yield f"  linked by way of {_line(link['id'])}{gone}{near}"
    yield f"  {twin['difference'] or 'no text is stored to compare (audit.text)'}"
    for change in twin["changes"]:
        yield from _wrapped(change)


def _finding_lines(finding: Mapping[str, Any]) -> Iterator[str]:
    item = "/".join(_line(finding[name]) for name in ("dataset", "split", "item_id") if finding[name])
    share = f", {finding['item_coverage']:.0%} of it" if finding["item_coverage"] is not None else ""
    yield f"holds test item {item} ({finding['evidence']}{share}, longest run {finding['longest_run']} words)"
    spans = ", ".join(f"{begin}-{end}" for begin, end in finding["spans"])
    yield f"  at characters {spans}:"
    yield from _wrapped(finding["excerpt"] or "no text is stored (audit.text)")
    if finding["item_text"]:
        yield "  the item:"
        yield from _wrapped(finding["item_text"])


def _wrapped(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield from textwrap.wrap(line, WIDTH, initial_indent="    ", subsequent_indent="    ") if line.strip() else ()


def _line(value: Any) -> str:
    """An id or address on one line, without what would change the terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in str(value))[:300]


def _explain_text(arguments: Any) -> int:
    from jobs.core.profiles import bounds_for, judge_plain
    from jobs.core.recipe_file import resolve_recipe

    resolved = resolve_recipe(arguments.recipe, arguments.overrides)
    facts = annotated(resolved, _read(arguments.text), url=arguments.url, language=arguments.language)
    profiles = bounds_for(resolved.recipe, resolved.packs)
    signals = {**(facts.get("signals") or {}), "language_score": facts["language_score"]}
    judgements = judge_plain(profiles, signals, language=facts["language"], source=arguments.source)
    if arguments.format == "json":
        print(json.dumps(verdict_record(judgements, facts), indent=2, ensure_ascii=False))
    else:
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
    lines = list(_rule_lines(judgements))
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


def verdict_record(judgements: Sequence[Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The judgements as plain data for JSON."""
    broken = [judged for judged in judgements if not judged.passed]
    return {
        "outcome": "removed" if broken else "kept",
        "stage": broken[0].step if broken else None,
        "language": facts["language"],
        "language_score": facts.get("language_score"),
        "rules": [judged._asdict() for judged in judgements],
    }


def _rule_lines(judgements: Sequence[Any]) -> Iterator[str]:
    """One line a rule, in order."""
    shown = [("step", "rule", "value", "bound", "verdict")]
    for judged in judgements:
        value = "none" if judged.value is None else f"{judged.value:.6g}"
        shown.append((judged.step, judged.rule, value, judged.bound, "passes" if judged.passed else "BREAKS"))
    widths = [max(len(row[i]) for row in shown) for i in range(5)]
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


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
