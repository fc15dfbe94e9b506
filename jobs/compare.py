"""Compare two finished runs: whose decisions changed, by which rules, and what the recipes ask differently.

Takes two outputs; reads ``signals`` of both (key, id, language, stage) and the reasons in ``removed``: no text, no
Spark. Documents are matched by key; the keys are divided into parts by their own bits, so that one part of both runs is
in memory at a time. Runs over different inputs are compared on the documents that both have, with a warning that says
which inputs differ; runs without a common document are refused.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from jobs.core import command
from jobs.core.console import say
from jobs.core.errors import ConfigurationError, InputContractError
from jobs.core.finished_run import FinishedRun, open_run
from jobs.core.plain_table import plain_table
from jobs.core.tunable import recipe_differences, value_text

EXAMPLE = "winnow compare cleaned tuned"
KEPT = "kept"
SAMPLES = 10
PART_ROWS = 8_000_000  # of the larger run, in memory at a time: some 100 bytes a row
SHOWN_LINES = 40


@dataclass
class Comparison:
    """What the documents of two runs tell."""

    common: int = 0
    only: list[int] = field(default_factory=lambda: [0, 0])
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    languages: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    samples: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        runs = open_run(arguments.run_a), open_run(arguments.run_b)
        result = compare(*runs, samples=arguments.samples)
        for warning in result["warnings"]:
            say(f"warning: {warning}")
        if arguments.format == "json":
            print(json.dumps(result, indent=2, ensure_ascii=False))
        else:
            print("\n".join(_lines(result)))
        return 0

    return command.end_well(body, verbose="--verbose" in (argv or ()))


def _parser() -> command.Parser:
    arguments = command.parser("compare", "Compare the decisions and recipes of two finished runs.", EXAMPLE)
    arguments.add_argument("run_a", metavar="RUN_A", help="output of a finished run: before")
    arguments.add_argument("run_b", metavar="RUN_B", help="output of another: after")
    arguments.add_argument(
        "--samples", metavar="N", type=command.positive, default=SAMPLES, help="documents shown of each move"
    )
    arguments.add_argument("--format", choices=("text", "json"), default="text", help="how the answer looks")
    command.add_log_arguments(arguments)
    return arguments


def compare(before: FinishedRun, after: FinishedRun, samples: int = SAMPLES) -> dict[str, Any]:
    """The comparison as plain data. Raises ``InputContractError`` for runs without a common document."""
    rows = [run.count("signals") for run in (before, after)]
    parts = max(1, -(-max(rows) // PART_ROWS))
    found = Comparison()
    for part in range(parts):
        tables = [_outcomes(run, part, parts) for run in (before, after)]
        _add(found, tables[0], tables[1], samples)
    if any(rows) and not found.common:
        raise InputContractError(
            f"{before.path} and {after.path} have no document in common: {_input_differences(before, after)}",
            next_step="compare runs over the same inputs",
        )
    _name_reasons(before, after, found)
    return {
        "before": _run_record(before),
        "after": _run_record(after),
        "warnings": list(_warnings(before, after, found)),
        "recipe": [{"key": key, "old": old, "new": new} for key, old, new in _recipe(before, after)],
        "documents": {"common": found.common, "only_before": found.only[0], "only_after": found.only[1]},
        "changed": sum(found.moves.values()),
        "moves": [_move_record(found, move) for move in sorted(found.moves, key=lambda m: (-found.moves[m], m))],
        "rules": [
            {"stage": stage, "rule": rule, "before": old, "after": new}
            for (stage, rule), (old, new) in _rules(before, after).items()
            if old != new
        ],
        "totals": {name: [run.ledger["totals"].get(name, 0) for run in (before, after)] for name in _TOTALS},
    }


_TOTALS = ("read", "kept", "removed", "quarantined", "ignored")


# -------------------------------------------------------------------------------------------------------- the documents


def _outcomes(run: FinishedRun, part: int, parts: int) -> pa.Table:
    """(key, copy, id, language, stage) of one part of a run's documents, ``stage`` being ``kept`` for what is kept.

    Rows with equal keys are numbered in the order of their stages: equal documents, of which it does not matter which
    is called the first.
    """
    columns = {name: ds.field(name) for name in ("key", "id", "language", "stage")}
    batches = [_part_of(batch, part, parts) for batch in run.batches("signals", columns)]
    schema = pa.schema([("key", pa.binary()), ("id", pa.string()), ("language", pa.string()), ("stage", pa.string())])
    table = pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)
    table = table.set_column(3, "stage", pc.fill_null(table.column("stage"), KEPT))
    table = table.sort_by([("key", "ascending"), ("stage", "ascending")]).combine_chunks()
    return table.append_column("copy", _numbered(table.column("key")))


def _part_of(batch: pa.RecordBatch, part: int, parts: int) -> pa.RecordBatch:
    if parts == 1:
        return batch
    last = pc.binary_slice(batch.column("key"), 12, 16).cast(pa.binary(4))
    numbers = np.frombuffer(b"".join(last.to_pylist()), dtype="<u4")
    return batch.filter(pa.array(numbers % parts == part))


def _numbered(keys: pa.ChunkedArray) -> pa.Array:
    """The place of each row among those of its key; keys are sorted."""
    count = len(keys)
    if not count:
        return pa.array([], pa.int64())
    whole = keys.combine_chunks()
    new = np.ones(count, dtype=bool)
    new[1:] = pc.not_equal(whole[1:], whole[:-1]).to_numpy(zero_copy_only=False)
    places = np.arange(count)
    return pa.array(places - np.maximum.accumulate(np.where(new, places, 0)))


def _add(found: Comparison, before: pa.Table, after: pa.Table, samples: int) -> None:
    joined = before.join(
        after.select(["key", "copy", "stage"]), ["key", "copy"], right_suffix="_after", join_type="inner"
    )
    found.common += joined.num_rows
    found.only[0] += before.num_rows - joined.num_rows
    found.only[1] += after.num_rows - joined.num_rows
    changed = joined.filter(pc.not_equal(joined.column("stage"), joined.column("stage_after")))
    counts = changed.group_by(["stage", "stage_after", "language"]).aggregate([([], "count_all")])
    for row in counts.to_pylist():
        move = (row["stage"], row["stage_after"])
        found.moves[move] += row["count_all"]
        found.languages[(*move, row["language"] or "unknown")] += row["count_all"]
    for move in {(row["stage"], row["stage_after"]) for row in counts.to_pylist()}:
        own = changed.filter(
            pc.and_(pc.equal(changed.column("stage"), move[0]), pc.equal(changed.column("stage_after"), move[1]))
        )
        smallest = own.sort_by([("key", "ascending"), ("copy", "ascending")]).slice(0, samples)
        held = found.samples.setdefault(move, [])
        held += smallest.select(["key", "id", "language"]).to_pylist()
        held.sort(key=lambda row: row["key"])
        del held[samples:]


def _name_reasons(before: FinishedRun, after: FinishedRun, found: Comparison) -> None:
    """Say of every sample why the run that removed it did: reasons, and the document that stands for it."""
    keys = list({row["key"] for held in found.samples.values() for row in held})
    reasons = [_reasons(run, keys) for run in (before, after)]
    for move, held in found.samples.items():
        for row in held:
            key = row.pop("key")
            row["key"] = key.hex()
            for side, name in enumerate(("before", "after")):
                row[name] = reasons[side].get((key, move[side]), [])


def _reasons(run: FinishedRun, keys: Sequence[bytes]) -> dict[tuple[bytes, str], list[dict[str, Any]]]:
    if not keys or not run.has("removed"):
        return {}
    rows = run.find("removed", ds.field("key").isin(list(keys)), ["key", "stage", "reasons"])
    return {(row["key"], row["stage"]): row["reasons"] or [] for row in rows}


# ------------------------------------------------------------------------------------------------ the runs as a whole


def _run_record(run: FinishedRun) -> dict[str, Any]:
    ledger = run.ledger
    return {
        "path": run.path,
        "run_id": ledger["run_id"],
        "recipe": ledger["recipe"]["recipe"],
        "code_version": ledger.get("code_version"),
        "inputs_sha256": ledger.get("inputs_sha256"),
    }


def _warnings(before: FinishedRun, after: FinishedRun, found: Comparison) -> Iterator[str]:
    if before.ledger.get("inputs_sha256") != after.ledger.get("inputs_sha256"):
        yield (
            f"the inputs differ ({_input_differences(before, after)}): compared are the {found.common:,} documents "
            "that both runs have, though deduplication has seen the others too"
        )
    elif any(found.only):
        yield (
            f"the inputs are the same, but {found.only[0]:,} documents are in the first run only and {found.only[1]:,} "
            "in the second: another reading or another sample"
        )
    for name in ("sample", "limit", "code_version"):
        old, new = (run.ledger.get(name) for run in (before, after))
        if old != new:
            yield f"{name} differs: {old} and {new}"
    versions = [run.ledger.get("definition_versions") or {} for run in (before, after)]
    for step in sorted(versions[0].keys() & versions[1].keys()):
        if versions[0][step] != versions[1][step]:
            yield f"the definition of {step} differs: version {versions[0][step]} and {versions[1][step]}"


def _input_differences(before: FinishedRun, after: FinishedRun) -> str:
    """Which inputs differ, in words: sources, and the files of those that both have."""
    sources = [{one["source"]: one for one in run.ledger.get("inputs", ())} for run in (before, after)]
    parts = []
    for side, name in enumerate(("first", "second")):
        alone = sorted(sources[side].keys() - sources[1 - side].keys())
        if alone:
            parts.append(f"only the {name} reads {', '.join(alone)}")
    for source in sorted(sources[0].keys() & sources[1].keys()):
        old, new = sources[0][source], sources[1][source]
        if old["sha256"] != new["sha256"]:
            parts.append(
                f"{source}: {old['files']} files with {old['bytes']:,} bytes, {new['files']} with {new['bytes']:,}"
            )
    return "; ".join(parts) or "their ledgers name other files"


def _recipe(before: FinishedRun, after: FinishedRun) -> list[tuple[str, Any, Any]]:
    """What the recipes ask differently. Recipes that this version cannot read are compared as they are written."""
    try:
        return recipe_differences(before.resolved.as_dict, after.resolved.as_dict)
    except ConfigurationError:
        return recipe_differences(before.ledger["recipe"], after.ledger["recipe"])


def _rules(before: FinishedRun, after: FinishedRun) -> dict[tuple[str, str], tuple[int, int]]:
    """How many documents each rule removed, by stage and rule, in the order of the stages."""
    counts = [
        {(stage["stage"], rule): count for stage in run.stages for rule, count in stage.get("rules", {}).items()}
        for run in (before, after)
    ]
    names = dict.fromkeys([*counts[0], *counts[1]])
    return {name: (counts[0].get(name, 0), counts[1].get(name, 0)) for name in names}


def _move_record(found: Comparison, move: tuple[str, str]) -> dict[str, Any]:
    languages = {
        language: count
        for (old, new, language), count in sorted(found.languages.items(), key=lambda item: (-item[1], item[0]))
        if (old, new) == move
    }
    return {
        "before": move[0],
        "after": move[1],
        "documents": found.moves[move],
        "languages": languages,
        "samples": found.samples[move],
    }


# ------------------------------------------------------------------------------------------------------------- the text


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    runs = result["before"], result["after"]
    yield from (
        f"{name}: {run['path']} (run {run['run_id']}, recipe {run['recipe']})"
        for name, run in zip("AB", runs, strict=True)
    )
    yield ""
    if not result["recipe"]:
        yield "the recipes ask for the same"
    for change in result["recipe"][:SHOWN_LINES]:
        yield f"{change['key']}: {value_text(change['old'])} → {value_text(change['new'])}"
    if len(result["recipe"]) > SHOWN_LINES:
        yield f"… and {len(result['recipe']) - SHOWN_LINES} differences more (all with --format json)"
    yield ""
    totals = [_row(name, *pair) for name, pair in result["totals"].items()]
    yield plain_table([("", "A", "B", "change"), *totals])
    if result["rules"]:
        yield ""
        rules = [_row(f"{rule['stage']}.{rule['rule']}", rule["before"], rule["after"]) for rule in result["rules"]]
        yield plain_table([("removed by rule", "A", "B", "change"), *rules])
    yield ""
    yield f"{result['changed']:,} of {result['documents']['common']:,} common documents end elsewhere"
    for move in result["moves"]:
        yield ""
        yield f"{move['before']} → {move['after']}: {move['documents']:,} documents"
        yield from (f"  {_sample_line(row)}" for row in move["samples"])


def _sample_line(row: Mapping[str, Any]) -> str:
    reasons = [
        f"{side} {reason['rule']} {_number(reason['value'])}, {reason['bound']}"
        for side, name in (("A:", "before"), ("B:", "after"))
        for reason in row[name][:1]
    ]
    more = sum(max(0, len(row[name]) - 1) for name in ("before", "after"))
    said = "; ".join(reasons) + (f" and {more} rules more" if more else "")
    return f"{row['id']} ({row['language'] or 'unknown'}){': ' if said else ''}{said}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def _row(title: str, before: int, after: int) -> tuple[str, ...]:
    change = after - before
    return title, f"{before:,}", f"{after:,}", f"{change:+,}" if change else "0"


if __name__ == "__main__":
    sys.exit(main())
