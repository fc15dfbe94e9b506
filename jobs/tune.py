"""Try other bounds on a finished run, from its stored signals: what would be kept, and which documents change sides.

Takes a run's output and ``--set`` overrides; reads ``signals`` and, for the bound on what deduplication makes of it,
three columns of ``removed``: no text, no Spark. What is said of row-wise steps is exact, for their signals are measured
on every document, also on one that an earlier step removes. Deduplication and decontamination are not run again: their
outcome is bounded (``_after_set_steps``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from jobs.core import command
from jobs.core.annotation import ANNOTATED_STEPS
from jobs.core.array_rules import ArrayRules, Verdicts, encoded
from jobs.core.errors import ConfigurationError, InputContractError, UsageError
from jobs.core.finished_run import FinishedRun, open_run
from jobs.core.plain_table import plain_table
from jobs.core.profiles import Profiles, bounds_for, decide_plain
from jobs.core.recipe_file import Resolved
from jobs.core.tunable import recipe_differences, value_text, with_overrides, write_recipe

EXAMPLE = "winnow tune cleaned --set steps.filter_quality.word_count.min=40 --write tuned.yaml"
SAMPLES = 10
SHOWN_LANGUAGES = 12
SHOWN_REASONS = 2
_BEFORE_RULES = ("ingest", "extract_text")  # what they remove has no signals and is never judged

OUT, IN = "newly removed", "newly kept"


@dataclass
class Tally:
    """Counts of a recipe's decisions: documents and bytes that pass the row-wise steps, and removals by rule."""

    documents: dict[str, int] = field(default_factory=dict)  # by language
    text_bytes: int = 0
    words: int = 0
    rules: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)  # by (step, rule), by language
    stages: dict[str, int] = field(default_factory=dict)

    @property
    def passing(self) -> int:
        """Documents that every row-wise step lets pass."""
        return sum(self.documents.values())


@dataclass
class Tuning:
    """What a pass over the signals found."""

    old: Tally = field(default_factory=Tally)
    new: Tally = field(default_factory=Tally)
    judged: int = 0
    not_judged: int = 0
    kept_before: int = 0
    disagree: int = 0
    flips: dict[str, int] = field(default_factory=lambda: {OUT: 0, IN: 0})
    kept_flips: int = 0  # documents kept in the end that are newly removed
    moved: int = 0  # removed before and after, by another step
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {OUT: [], IN: []})
    out_keys: list[pa.Array] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        if not arguments.overrides:
            raise UsageError("nothing to try: give --set KEY=VALUE", next_step=f"for example: {EXAMPLE}")
        if arguments.extends and not arguments.write:
            raise UsageError("--extends says what the recipe of --write extends", next_step="give --write FILE")
        run = open_run(arguments.run)
        new = with_overrides(run.resolved, arguments.overrides)
        result = tune(run, new, arguments.samples)
        if arguments.format == "json":
            print(json.dumps(result, indent=2, ensure_ascii=False))
        else:
            print("\n".join(_lines(result)))
        if arguments.write:
            base = write_recipe(new, arguments.write, arguments.extends)
            print(f"{arguments.write}: {f'extends {base}' if base else 'the whole recipe'}", file=sys.stderr)
        return 0

    return command.end_well(body, verbose="--verbose" in (argv or ()))


def _parser() -> command.Parser:
    arguments = command.parser("tune", "Try other bounds on a finished run, from its stored signals.", EXAMPLE)
    arguments.add_argument("run", metavar="RUN", help="output of a finished run")
    arguments.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="another bound, e.g. steps.filter_quality.word_count.min=40; a rule or filter is switched off by =off "
        "(may be repeated)",
    )
    arguments.add_argument("--write", metavar="FILE", help="save the recipe with these bounds")
    arguments.add_argument("--extends", metavar="R", help="with --write: the recipe that the saved one extends")
    arguments.add_argument(
        "--samples", metavar="N", type=command.positive, default=SAMPLES, help="documents shown of those that change"
    )
    arguments.add_argument("--format", choices=("text", "json"), default="text", help="how the answer looks")
    command.add_log_arguments(arguments)
    return arguments


def tune(run: FinishedRun, new: Resolved, samples: int = SAMPLES) -> dict[str, Any]:
    """Decide a run's documents by another recipe; the answer as plain data.

    Raises ``ConfigurationError`` when the recipe bounds a signal that is not stored, ``InputContractError`` when the
    stored decisions are not those of the run's own recipe.
    """
    ran = [stage["stage"] for stage in run.stages if stage["stage"] in ANNOTATED_STEPS]
    rules = [ArrayRules(bounds_for(each.recipe, each.packs), ran) for each in (run.resolved, new)]
    signals = list(dict.fromkeys([*rules[0].signals, *rules[1].signals]))
    _refuse_missing(run, signals)
    found = Tuning()
    for batch in run.batches("signals", _columns(run, signals)):
        _add(found, batch, rules[0], rules[1], samples)
    if found.disagree:
        raise InputContractError(
            f"{found.disagree} of {found.judged} stored decisions are not what the run's recipe says of the stored "
            "signals: the run was made by a version that decides otherwise, or its tables were changed",
            next_step="check it with `winnow verify`, or run the recipe again",
        )
    return _answer(run, new, found, rules)


def _refuse_missing(run: FinishedRun, signals: Sequence[str]) -> None:
    missing = [name for name in signals if name not in run.signal_types]
    if missing:
        raise ConfigurationError(
            f"{', '.join(missing)}: not measured by this run, so there is nothing to decide on",
            next_step=f"measured were: {', '.join(run.signal_types)}",
        )


def _columns(run: FinishedRun, signals: Sequence[str]) -> dict[str, ds.Expression]:
    names = ["key", "id", "source", "language", "text_bytes", "language_score", "stage"]
    columns = {name: ds.field(name) for name in names if name in run.columns("signals")}
    wanted = [*signals, "word_count", "blocked_url", "blocked_url_entry"]
    return columns | {name: ds.field("signals", name) for name in wanted if name in run.signal_types}


def _add(found: Tuning, batch: pa.RecordBatch, old: ArrayRules, new: ArrayRules, samples: int) -> None:
    """Count a batch. Rows that no rule ever judged (pages without text) are left out."""
    judged = pc.invert(pc.fill_null(pc.is_in(batch.column("stage"), pa.array(_BEFORE_RULES)), False))
    found.not_judged += batch.num_rows - int(pc.sum(judged).as_py() or 0)
    batch = batch.filter(judged)
    found.judged += batch.num_rows
    before, after = old.decide(batch), new.decide(batch)
    stage = batch.column("stage")
    kept = pc.is_null(stage).to_numpy(zero_copy_only=False)
    found.kept_before += int(kept.sum())
    found.disagree += int((_stored_places(stage, old.steps) != before.stage).sum())
    _count(found.old, batch, before)
    _count(found.new, batch, after)
    out, in_ = before.passes & ~after.passes, ~before.passes & after.passes
    found.moved += int((~before.passes & ~after.passes & ~_same_step(before, after)).sum())
    found.kept_flips += int((out & kept).sum())
    for name, flipped in ((OUT, out), (IN, in_)):
        found.flips[name] += int(flipped.sum())
        _sample(found.samples[name], batch, flipped, (old.profiles, new.profiles), (old.steps, new.steps), samples)
    if out.any():
        found.out_keys.append(batch.column("key").filter(pa.array(out)))


def _stored_places(stage: pa.Array, steps: Sequence[str]) -> NDArray[np.int8]:
    places = pc.index_in(stage, pa.array(steps, pa.string())).fill_null(-1)
    return places.to_numpy(zero_copy_only=False).astype(np.int8)


def _same_step(before: Verdicts, after: Verdicts) -> NDArray[np.bool_]:
    names = [np.array([*each.steps, ""])[each.stage] for each in (before, after)]  # -1 is the last, no step
    return np.asarray(names[0] == names[1])


def _count(tally: Tally, batch: pa.RecordBatch, verdicts: Verdicts) -> None:
    places, codes = encoded(batch.column("language"))

    def by_language(chosen: NDArray[np.bool_], into: dict[str, int]) -> None:
        counts = np.bincount(places[chosen], minlength=len(codes))
        for place in np.flatnonzero(counts).tolist():
            name = codes[place] or "unknown"
            into[name] = into.get(name, 0) + int(counts[place])

    by_language(verdicts.passes, tally.documents)
    passing = pa.array(verdicts.passes)
    tally.text_bytes += int(pc.sum(batch.column("text_bytes").filter(passing)).as_py() or 0)
    if "word_count" in batch.schema.names:
        tally.words += int(pc.sum(batch.column("word_count").filter(passing)).as_py() or 0)
    for step, rule in verdicts.broken:
        by_language(verdicts.reasons(step, rule), tally.rules.setdefault((step, rule), {}))
    for place, step in enumerate(verdicts.steps):
        tally.stages[step] = tally.stages.get(step, 0) + int((verdicts.stage == place).sum())


def _sample(
    held: list[dict[str, Any]],
    batch: pa.RecordBatch,
    flipped: NDArray[np.bool_],
    profiles: tuple[Profiles, Profiles],
    steps: tuple[Sequence[str], Sequence[str]],
    most: int,
) -> None:
    """Keep the flipped documents with the smallest keys: the same ones however the table is cut into files."""
    if not flipped.any():
        return
    rows = batch.filter(pa.array(flipped))
    order = pc.sort_indices(rows.column("key").cast(pa.binary()))[:most]
    for row in rows.take(order).to_pylist():
        reasons = [
            decide_plain(each, row, language=row["language"], source=row["source"], steps=own)
            for each, own in zip(profiles, steps, strict=True)
        ]
        held.append({**row, "reasons": reasons})
    held.sort(key=lambda row: row["key"])
    del held[most:]


# ------------------------------------------------------------------------------------------------------- the set steps


def _after_set_steps(run: FinishedRun, found: Tuning) -> dict[str, Any]:
    """The least and the most documents that are kept once the set steps have run on what then passes.

    A document removed as a duplicate stands in a group with the kept document that represents it. Groups in which no
    document is newly removed keep the one they have. Of any other group, at least one document is kept if one still
    passes, and at most all. A newly kept document may be a duplicate or not: none to all of them. Documents removed for
    what they hold (test items) stay removed. Not counted: newly kept documents that join groups which stood apart, or
    take the place of documents that held others: each such case can move the outcome beyond these bounds.
    """
    set_steps = [stage["stage"] for stage in run.stages if stage["stage"] not in (*_BEFORE_RULES, *ANNOTATED_STEPS)]
    if not set_steps:
        return {"steps": [], "at_least": found.new.passing, "at_most": found.new.passing, "exact": True}
    unchanged = not any(found.flips.values())
    gone = pa.concat_arrays(found.out_keys).cast(pa.binary()) if found.out_keys else pa.array([], pa.binary())
    touched, members = _touched_groups(run, gone)
    here = _kept_here(run, list(touched))  # a refresh also removes what an earlier version of the corpus holds
    passing = {key: members[key] + (key in here and still) for key, still in touched.items()}
    untouched = found.kept_before - found.kept_flips - sum(key in here and still for key, still in touched.items())
    at_least = untouched + sum(1 for key, count in passing.items() if count and key in here)
    at_most = untouched + sum(passing.values()) + found.flips[IN]
    return {"steps": set_steps, "at_least": at_least, "at_most": at_most, "exact": unchanged}


def _kept_here(run: FinishedRun, keys: Sequence[bytes]) -> set[bytes]:
    """Which keys are those of documents that this run kept."""
    if not keys:
        return set()
    chosen = ds.field("stage").is_null() & ds.field("key").isin(list(keys))
    return {key for batch in run.batches("signals", ["key"], chosen) for key in batch.column("key").to_pylist()}


def _touched_groups(run: FinishedRun, gone: pa.Array) -> tuple[dict[bytes, bool], dict[bytes, int]]:
    """Groups with a newly removed document, by the key of their kept one: whether that one still passes, and how many
    of the others do.
    """
    columns = {"key", "duplicate_of_key"}
    if not len(gone) or not columns <= set(run.columns("removed")):
        return {}, {}
    is_duplicate = ds.field("duplicate_of_key").is_valid()
    touched: dict[bytes, bool] = {}
    for batch in run.batches("removed", sorted(columns), is_duplicate):
        keys, kept = (batch.column(name).cast(pa.binary()) for name in ("key", "duplicate_of_key"))
        kept_gone = pc.is_in(kept, value_set=gone)
        for key, is_gone in zip(
            *(column.filter(pc.or_(kept_gone, pc.is_in(keys, value_set=gone))) for column in (kept, kept_gone)),
            strict=True,
        ):
            touched[key.as_py()] = not is_gone.as_py()
    members = dict.fromkeys(touched, 0)
    chosen = pa.array(list(touched), pa.binary())
    for batch in run.batches("removed", sorted(columns), is_duplicate):
        keys, kept = (batch.column(name).cast(pa.binary()) for name in ("key", "duplicate_of_key"))
        still = pc.and_(pc.is_in(kept, value_set=chosen), pc.invert(pc.is_in(keys, value_set=gone)))
        for group in pc.value_counts(kept.filter(still)):
            members[group["values"].as_py()] += group["counts"].as_py()
    return touched, members


# --------------------------------------------------------------------------------------------------------- the answer


def _answer(run: FinishedRun, new: Resolved, found: Tuning, rules: Sequence[ArrayRules]) -> dict[str, Any]:
    removed_before = {step: found.old.stages.get(step, 0) for step in rules[0].steps}
    named = dict.fromkeys([*found.old.rules, *found.new.rules])
    return {
        "run_id": run.ledger["run_id"],
        "recipe": new.recipe.recipe,
        "changes": [
            {"key": key, "old": old, "new": value}
            for key, old, value in recipe_differences(run.resolved.as_dict, new.as_dict)
        ],
        "documents": found.judged,
        "not_judged": found.not_judged,
        "row_wise": {
            "exact": True,
            "steps": list(rules[0].steps),
            "passing": _pair(found.old.passing, found.new.passing),
            "text_bytes": _pair(found.old.text_bytes, found.new.text_bytes),
            "words": _pair(found.old.words, found.new.words),
            "newly_removed": found.flips[OUT],
            "newly_kept": found.flips[IN],
            "moved_to_another_step": found.moved,
            "removed_by_step": {
                step: _pair(removed_before.get(step, 0), found.new.stages.get(step, 0)) for step in rules[0].steps
            },
            "removed_by_rule": [_rule_record(found, step, rule) for step, rule in named],
            "passing_by_language": _by_language(found.old.documents, found.new.documents),
        },
        "kept": {"before": found.kept_before, **_after_set_steps(run, found)},
        "samples": {
            "newly_removed": [_shown(row, 1) for row in found.samples[OUT]],
            "newly_kept": [_shown(row, 0) for row in found.samples[IN]],
        },
    }


def _rule_record(found: Tuning, step: str, rule: str) -> dict[str, Any]:
    old, new = (tally.rules.get((step, rule), {}) for tally in (found.old, found.new))
    total = _pair(sum(old.values()), sum(new.values()))
    return {"step": step, "rule": rule, **total, "languages": _by_language(old, new)}


def _by_language(old: Mapping[str, int], new: Mapping[str, int]) -> dict[str, dict[str, int]]:
    most = {name: max(old.get(name, 0), new.get(name, 0)) for name in {*old, *new}}
    names = sorted(most, key=lambda name: (-most[name], name))
    return {name: _pair(old.get(name, 0), new.get(name, 0)) for name in names}


def _pair(before: int, after: int) -> dict[str, int]:
    return {"before": before, "after": after}


def _shown(row: Mapping[str, Any], side: int) -> dict[str, Any]:
    """A document that changes sides, and the reasons that it gains or loses: of the step that removes it."""
    reasons = row["reasons"][side]
    stage = next(iter(reasons), None)
    return {
        "id": row["id"],
        "key": row["key"].hex(),
        "source": row["source"],
        "language": row["language"],
        "step": stage,
        "reasons": [reason._asdict() for reason in reasons.get(stage, ())] if stage else [],
    }


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    rows, kept = answer["row_wise"], answer["kept"]
    for change in answer["changes"]:
        yield f"{change['key']}: {value_text(change['old'])} → {value_text(change['new'])}"
    yield ""
    yield f"row-wise steps, exact, over {answer['documents']:,} documents ({answer['not_judged']:,} had no text):"
    names = (("passing", "documents that pass"), ("text_bytes", "their bytes"), ("words", "their words"))
    yield plain_table([("", "before", "after", "change"), *[_row(title, rows[name]) for name, title in names]])
    yield ""
    changed = [record for record in rows["removed_by_rule"] if record["before"] != record["after"]]
    if changed:
        by_rule = [_row(f"{record['step']}.{record['rule']}", record) for record in changed]
        yield plain_table([("removed by rule", "before", "after", "change"), *by_rule])
        yield ""
    languages = [(name, pair) for name, pair in rows["passing_by_language"].items() if pair["before"] != pair["after"]]
    if languages:
        shown = [_row(name, pair) for name, pair in languages[:SHOWN_LANGUAGES]]
        yield plain_table([("pass by language", "before", "after", "change"), *shown])
        if len(languages) > SHOWN_LANGUAGES:
            yield f"… and {len(languages) - SHOWN_LANGUAGES} languages more (all with --format json)"
        yield ""
    for name, title in (("newly_removed", "newly removed"), ("newly_kept", "newly kept")):
        if rows[name]:
            yield f"{rows[name]:,} documents {title}, for example:"
            yield from (f"  {_sample_line(sample)}" for sample in answer["samples"][name])
    if not rows["newly_removed"] and not rows["newly_kept"]:
        yield "no document changes sides"
    yield ""
    yield from _kept_lines(kept)


def _kept_lines(kept: Mapping[str, Any]) -> Iterator[str]:
    before = f"kept in the end: {kept['before']:,} before"
    if kept["exact"]:
        yield f"{before}, {kept['at_least']:,} after (exact)"
        return
    yield f"{before}, between {kept['at_least']:,} and {kept['at_most']:,} after {', '.join(kept['steps'])}"
    yield "(these steps are not run again; newly kept documents that join groups of duplicates which stood apart can"
    yield "move the outcome beyond these bounds: docs/inspecting.md)"


def _sample_line(sample: Mapping[str, Any]) -> str:
    texts = [f"{reason['rule']} {_number(reason['value'])}, not {reason['bound']}" for reason in sample["reasons"]]
    more = len(texts) - SHOWN_REASONS
    reasons = "; ".join(texts[:SHOWN_REASONS]) + (f"; and {more} more" if more > 0 else "")
    language = sample["language"] or "unknown"
    return f"{sample['id']} ({sample['source']}, {language}): {sample['step']}: {reasons}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def _row(title: str, pair: Mapping[str, int]) -> tuple[str, ...]:
    change = pair["after"] - pair["before"]
    return title, f"{pair['before']:,}", f"{pair['after']:,}", f"{change:+,}" if change else "0"


if __name__ == "__main__":
    sys.exit(main())
