"""The report as one HTML page: facts in, a text out. The same run gives the same bytes.

Nothing in the page comes from elsewhere and nothing in it runs: no script, and a content security policy that allows
one style sheet, by its digest. All that comes from documents is escaped by the template; addresses are text, not links.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup, escape

from jobs.core import charts
from jobs.core import scaling_laws as laws
from jobs.core.budget_figures import answer, corpus_record, percent, sentences, short
from jobs.core.drift import Drift, Refreshed, Refreshes, drifts
from jobs.core.finished_run import FinishedRun
from jobs.core.report_facts import Facts, Shown, SignalFacts, collect
from jobs.core.report_texts import Masker
from jobs.core.report_warnings import warnings_of

MOST_RECIPE_CHARS = 60_000
DRIFT_CHARTS = 9  # of signals, shown open: those that have drifted furthest
STEP_TITLES = {
    "ingest": "Reading",
    "extract_text": "Text extraction",
    "repair_unicode": "Unicode repair",
    "filter_content": "Content",
    "edit_lines": "Line edits",
    "filter_quality": "Quality",
    "filter_repetition": "Repetition",
    "classify": "Classifiers",
    "decontaminate": "Test sets",
    "dedup_url": "Duplicates by address",
    "dedup_exact": "Equal documents",
    "dedup_lines": "Repeated lines",
    "dedup_near": "Near duplicates",
    "dedup_substring": "Shared passages",
    "redact": "Personal data",
}


def report_page(run: FinishedRun, *, masked: bool = True) -> str:
    """The page of a finished run. ``masked=False`` shows personal data in the examples."""
    from jinja2 import Environment, StrictUndefined

    facts = collect(run)
    folder = files("jobs.core")
    style = folder.joinpath("report.css").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        count=count_text, size=size_text, share=share_text, seconds=seconds_text, short=short, name=name_text
    )
    template = environment.from_string(folder.joinpath("report.html.j2").read_text(encoding="utf-8"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = template.render(style=style, style_digest=digest, **_context(facts, Masker(masked=masked)))
    return page.lstrip()


def _context(facts: Facts, masker: Masker) -> dict[str, Any]:
    ledger = facts.run.ledger
    return {
        "ledger": ledger,
        "recipe": ledger["recipe"],
        "totals": ledger["totals"],
        "masked": masker.masked,
        "warnings": warnings_of(facts),
        "headline": _headline(facts),
        "outcome": _outcome(ledger["totals"]),
        "funnel": list(_funnel(facts)),
        "signals": _signals(facts),
        "drift": _drift(facts, masker),
        "examples": list(_examples(facts, masker)),
        "clusters": _clusters(facts, masker),
        "contamination": _contamination(facts, masker),
        "where": _where(facts, masker),
        "quarantine": _quarantine(facts, masker),
        "budget": _budget(facts),
        "timing": _timing(ledger),
        "recipe_text": json.dumps(_own_recipe(ledger["recipe"]), indent=2, ensure_ascii=False)[:MOST_RECIPE_CHARS],
        "packs": sorted(ledger["recipe"].get("language_packs", {})),
    }


# -------------------------------------------------------------------------------------------------------------- numbers


def count_text(value: float | None) -> str:
    """A count with thousands apart."""
    return "–" if value is None else f"{round(value):,}"


def size_text(value: float | None) -> str:
    """Bytes in a unit that fits."""
    if value is None:
        return "–"
    for limit, unit in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.0f} B"


def share_text(part: float, whole: float | None = 1.0) -> str:
    """A share in per cent, with a digit where it is small."""
    if not whole:
        return "–"
    share = part / whole
    if share == 0 or share == 1:
        return f"{share:.0%}"
    if share < 0.0001:
        return "<0.01%"
    if share > 0.9999:
        return ">99.99%"
    return f"{share:.2%}" if share < 0.01 else f"{share:.1%}"


def name_text(name: str) -> Markup:
    """A name of words with underscores, which may be broken after each of them."""
    return Markup(str(escape(name)).replace("_", "_<wbr>"))


def seconds_text(value: float) -> str:
    """A duration as people say it."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


# ----------------------------------------------------------------------------------------------------- top and funnel


def _headline(facts: Facts) -> list[tuple[str, str, str]]:
    """(what, figure, remark) of the cards at the top."""
    ledger, totals = facts.run.ledger, facts.run.ledger["totals"]
    stages = facts.run.stages
    documents = totals["read"] - totals["ignored"]
    kept_bytes = stages[-1]["facts"].get("kept_text_bytes") if stages else None
    cards = [
        ("documents kept", count_text(totals["kept"]), f"{share_text(totals['kept'], documents)} of {documents:,}"),
        ("text kept", size_text(kept_bytes), _text_remark(stages)),
    ]
    if facts.tokens is not None:
        cards.append(("tokens kept", f"≈ {short(facts.tokens.kept.tokens)}", "from characters, by script"))
    input_bytes = sum(source["bytes"] for source in ledger.get("inputs", []))
    rate = f"{size_text(input_bytes / ledger['seconds'])}/s of input" if ledger.get("seconds") else ""
    cores = ledger.get("spark", {}).get("parallelism")
    cards.append(("time", seconds_text(ledger.get("seconds", 0.0)), f"{rate}{f', {cores} cores' if cores else ''}"))
    return cards


def _text_remark(stages: Sequence[Mapping[str, Any]]) -> str:
    first = next((stage["bytes"] for stage in stages if stage["bytes"]), 0)
    last = stages[-1]["facts"].get("kept_text_bytes", 0) if stages else 0
    return f"{share_text(last, first)} of {size_text(first)}" if first else ""


def _outcome(totals: Mapping[str, int]) -> dict[str, Any]:
    parts = [(name, totals.get(name, 0)) for name in ("kept", "removed", "quarantined", "ignored")]
    label = ", ".join(f"{name} {value:,}" for name, value in parts)
    return {"bar": charts.bar([(value, name) for name, value in parts], totals["read"], label), "parts": parts}


def _funnel(facts: Facts) -> Iterator[dict[str, Any]]:
    stages = facts.run.stages
    whole = max((stage["read"] for stage in stages), default=0)
    tokens = _tokens_after(facts)
    for stage in stages:
        name = stage["stage"]
        aside = [(kind, stage[kind]) for kind in ("quarantined", "ignored") if stage[kind]]
        rules = sorted(stage["rules"].items(), key=lambda item: (-item[1], item[0]))
        rows = [_rule_row(facts, name, rule, count, rules[0][1]) for rule, count in rules]
        most = max((count for _, count in aside), default=0)
        rows += [
            {
                "rule": kind,
                "count": count,
                "alone": None,
                "bar": charts.bar([(count, kind)], most),
                "anchor": "quarantine",
            }
            for kind, count in aside
        ]
        yield {
            "title": STEP_TITLES.get(name, name),
            "read": stage["read"],
            "removed": stage["removed"],
            "share": share_text(stage["removed"], stage["read"]),
            "bytes": stage["facts"].get("kept_text_bytes"),
            "words": stage.get("words"),
            "tokens": tokens.get(name),
            "bar": charts.bar([(stage["kept"], "kept"), (stage["removed"], "removed"), *_swapped(aside)], whole),
            "rules": rows,
        }


def _swapped(parts: Sequence[tuple[str, int]]) -> list[tuple[float, str]]:
    return [(value, name) for name, value in parts]


def _rule_row(facts: Facts, stage: str, rule: str, count: int, most: int) -> dict[str, Any]:
    seen = facts.rules.get((stage, rule))
    return {
        "rule": rule,
        "count": count,
        "alone": share_text(seen["alone"], seen["documents"]) if seen else None,
        "bar": charts.bar([(count, "removed")], most),
        "anchor": f"rule-{stage}-{rule}" if (stage, rule) in facts.removed else None,
    }


def _tokens_after(facts: Facts) -> dict[str, float]:
    """Tokens left after each stage: those kept in the end and those that later stages removed."""
    if facts.tokens is None:
        return {}
    removed = facts.tokens.by("step")
    left = facts.tokens.kept.tokens
    found = {}
    for stage in reversed(facts.run.stages):
        found[stage["stage"]] = left
        left += removed[stage["stage"]].tokens if stage["stage"] in removed else 0.0
    return found


# -------------------------------------------------------------------------------------------------------------- signals


def _signals(facts: Facts) -> dict[str, Any]:
    order = {rule: place for place, rule in enumerate(_rule_order(facts))}
    bounded = sorted(
        (each for each in facts.signals.values() if each.bounded and each.measured),
        key=lambda each: (order.get(each.name, len(order)), each.name),
    )
    steps: dict[str, list[dict[str, Any]]] = {}
    for each in bounded:
        steps.setdefault(each.step, []).append(_signal_card(each))
    free = [each for each in facts.signals.values() if not each.bounded and each.measured]
    share = facts.shares.get("signals")
    return {
        "steps": [(step, STEP_TITLES.get(step, step), cards) for step, cards in steps.items()],
        "free": [_signal_card(each) for each in free],
        "share": share,
    }


def _rule_order(facts: Facts) -> list[str]:
    profiles = facts.run.profiles
    return [rule for step in profiles.step_order for rule in profiles.rules_of(step)]


def _signal_card(signal: SignalFacts) -> dict[str, Any]:
    whole = signal.unit in ("words", "occurrences", "sentences") or signal.name.endswith(("_count", "_hits"))
    chart = charts.histogram(
        signal.edges,
        signal.counts,
        lowest=signal.lowest,
        highest=signal.highest,
        minimum=signal.minimum,
        maximum=signal.maximum,
        whole=whole,
        label=f"histogram of {signal.name} over {signal.measured:,} documents",
    )
    sides = []
    if signal.bounded and signal.judged:
        inside = signal.judged - signal.below - signal.above - signal.without_value
        if signal.minimum is not None or signal.below:
            sides.append(("below", share_text(signal.below, signal.judged), signal.below))
        sides.append(("within", share_text(inside, signal.judged), inside))
        if signal.maximum is not None or signal.above:
            sides.append(("above", share_text(signal.above, signal.judged), signal.above))
        if signal.without_value:
            sides.append(("no value", share_text(signal.without_value, signal.judged), signal.without_value))
    return {
        "name": signal.name,
        "summary": signal.summary,
        "unit": signal.unit,
        "chart": chart,
        "sides": sides,
        "varies": signal.varies,
        "not_judged": signal.not_judged if signal.bounded else 0,
        "range": f"{charts.number_text(signal.lowest)} … {charts.number_text(signal.highest)}",
    }


# ---------------------------------------------------------------------------------------------------------------- drift


def _drift(facts: Facts, masker: Masker) -> dict[str, Any] | None:
    refreshes = facts.refreshes
    if refreshes is None:
        return None
    every = [*refreshes.before, refreshes.now]
    every_drift = drifts(refreshes)
    still = [each.name for each in every_drift if not each.distance and not each.before.deviation]
    cards = [_drift_card(facts, refreshes, each) for each in every_drift if each.name not in still]
    stages = [stage for stage in facts.run.stages if any(each.removed_share(stage["stage"]) for each in every)]
    shares = [("all stages", None), *((stage["stage"], stage["stage"]) for stage in stages)]
    return {
        "known": refreshes.known,
        "before": len(refreshes.before),
        "limit": refreshes.limit,
        "table": [_refresh_row(number, each, masker) for number, each in enumerate(every, 1)],
        "shares": [_share_card(name, stage, every) for name, stage in shares] if refreshes.before else [],
        "cards": cards[:DRIFT_CHARTS],
        "more": cards[DRIFT_CHARTS:],
        "still": sorted(still),
    }


def _refresh_row(number: int, each: Refreshed, masker: Masker) -> dict[str, Any]:
    share = each.removed_share()
    return {
        "number": number,
        "run_id": masker.line(each.run_id),
        "day": each.started[:10],
        "read": each.read,
        "kept": each.kept,
        "removed": "–" if share is None else share_text(share),
        "bar": charts.bar([(each.kept, "kept"), (each.removed, "removed")], each.read or 0),
    }


def _share_card(name: str, stage: str | None, every: Sequence[Refreshed]) -> dict[str, Any]:
    percents = [None if share is None else 100 * share for share in (each.removed_share(stage) for each in every)]
    values = [(each.run_id, value) for each, value in zip(every, percents, strict=True)]
    title = STEP_TITLES.get(name, name).capitalize() if stage else "All stages"
    now = percents[-1]
    return {
        "title": title,
        "chart": charts.trend(
            values, f"share of documents removed by {name}, in per cent, refresh by refresh", shown=[0.0]
        ),
        "now": "–" if now is None else share_text(now / 100),
    }


def _drift_card(facts: Facts, refreshes: Refreshes, each: Drift) -> dict[str, Any]:
    of_refresh = [(one.run_id, one.means[each.name][0] if each.name in one.means else None) for one in refreshes.before]
    reach = (refreshes.limit or 1.0) * each.before.deviation
    known = facts.signals.get(each.name)
    return {
        "name": each.name,
        "summary": known.summary if known else "",
        "chart": charts.trend(
            [*of_refresh, (refreshes.now.run_id, each.mean)],
            f"mean of {each.name} over the kept documents, refresh by refresh",
            (each.before.mean - reach, each.before.mean + reach),
        ),
        "now": charts.number_text(each.mean),
        "before": charts.number_text(each.before.mean),
        "distance": "∞" if math.isinf(each.distance) else f"{each.distance:.2f}",
        "beyond": refreshes.limit is not None and each.distance > refreshes.limit,
    }


# ------------------------------------------------------------------------------------------------------------- examples


def _examples(facts: Facts, masker: Masker) -> Iterator[dict[str, Any]]:
    """The rules by step, in the order of the run, with examples of what they removed and nearly removed."""
    stages = [stage["stage"] for stage in facts.run.stages]
    known = {rule: step for step in facts.run.profiles.step_order for rule in facts.run.profiles.rules_of(step)}
    for stage in stages:
        rules = [rule for at, rule in facts.removed if at == stage]
        rules += [
            rule for rule, shown in facts.nearly.items() if shown and known.get(rule) == stage and rule not in rules
        ]
        found = []
        for rule in sorted(rules, key=lambda rule: (-_documents(facts, stage, rule), rule)):
            removed = _shown(facts, masker, rule, facts.removed.get((stage, rule), []))
            nearly = _shown(facts, masker, rule, facts.nearly.get(rule, []))
            if removed or nearly:
                found.append(
                    {
                        "rule": rule,
                        "anchor": f"rule-{stage}-{rule}",
                        "documents": _documents(facts, stage, rule),
                        "removed": removed,
                        "nearly": nearly,
                    }
                )
        if found:
            yield {"stage": stage, "title": STEP_TITLES.get(stage, stage), "rules": found}


def _documents(facts: Facts, stage: str, rule: str) -> int:
    account = facts.run.stage(stage)
    return int((account or {"rules": {}})["rules"].get(rule, 0))


def _shown(facts: Facts, masker: Masker, rule: str, examples: Sequence[Shown]) -> list[dict[str, Any]]:
    """The examples whose documents were found: of a large run, not every kept document is looked up."""
    rows = [(shown, facts.texts.get((shown.key, shown.stage))) for shown in examples]
    return [_example(facts, masker, rule, shown, row) for shown, row in rows if row is not None]


def _example(facts: Facts, masker: Masker, rule: str, shown: Shown, row: Mapping[str, Any]) -> dict[str, Any]:
    spans = _contaminated_spans(facts, shown.key) if shown.stage == "decontaminate" else None
    pieces = masker.excerpt(row["text"], spans) if spans is not None else masker.of_rule(rule, row["text"])
    return {
        **_document(masker, row),
        "value": None if shown.value is None else f"{shown.value:.4g}",
        "bound": masker.line(shown.bound),
        "pieces": pieces,
        "twin": masker.line(row.get("duplicate_of")) if row.get("duplicate_of") else None,
    }


def _document(masker: Masker, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": masker.line(row.get("id")),
        "url": masker.line(row.get("url")),
        "source": masker.line(row.get("source")),
        "language": masker.line(row.get("language")),
        "chars": None if row.get("text") is None else len(row["text"]),
    }


def _contaminated_spans(facts: Facts, key: bytes) -> list[tuple[int, int]]:
    spans = [(span["begin"], span["end"]) for found in facts.findings if found["key"] == key for span in found["spans"]]
    return sorted(spans)


# ------------------------------------------------------------------------------------------- clusters, contamination


def _clusters(facts: Facts, masker: Masker) -> dict[str, Any]:
    shown = []
    for cluster in facts.clusters:
        kept = facts.texts.get((cluster["key"], None))
        member = cluster["members"][0]
        other = facts.texts.get((member["key"], "dedup_near"))
        if kept is None or other is None:
            continue
        left, right = masker.difference(kept["text"], other["text"])
        shown.append(
            {
                "size": cluster["size"],
                "similarity": member["similarity"],
                "kept": _document(masker, kept),
                "removed": _document(masker, other),
                "left": left,
                "right": right,
            }
        )
    sizes = facts.cluster_sizes
    return {
        "count": sum(sizes.values()),
        "documents": sum(size * number for size, number in sizes.items()),
        "largest": max(sizes, default=0),
        "chart": charts.columns(_size_classes(sizes), "clusters of duplicates by size") if sizes else None,
        "shown": sorted(shown, key=lambda each: (-each["size"], each["similarity"] or 0.0, each["kept"]["id"])),
    }


def _size_classes(sizes: Mapping[int, int]) -> list[tuple[str, int]]:
    limits = (2, 3, 4, 5, 10, 30, 100, 1_000, 10_000, 100_000)
    classes = []
    for low, high in zip(limits, (*limits[1:], math.inf), strict=True):
        count = sum(number for size, number in sizes.items() if low <= size < high)
        name = f"{low}" if high == low + 1 else f"{charts.short_count(low)}+"
        classes.append((name, count))
    while len(classes) > 4 and not classes[-1][1]:
        classes.pop()
    return classes


def _contamination(facts: Facts, masker: Masker) -> dict[str, Any]:
    sets = []
    for row in facts.testsets:
        classes = [(f"{10 * place}", count) for place, count in enumerate(row["coverage_histogram"])]
        sets.append(
            {
                **row,
                "share": share_text(row["found"], row["testable"]),
                "bar": charts.bar(
                    [(row["found"], "removed"), (row["testable"] - row["found"], "kept")], row["testable"]
                ),
                "chart": charts.columns(classes, f"items of {row['dataset']} by best coverage, in per cent")
                if row["found"]
                else None,
            }
        )
    shown = [
        {
            **{name: found[name] for name in ("dataset", "split", "item_id", "removed", "longest_run")},
            "coverage": share_text(found["item_coverage"]) if found["item_coverage"] is not None else "–",
            "document": masker.line(found["document_id"]),
            "item": masker.excerpt(found["item_text"]),
            "pieces": masker.excerpt(
                (facts.texts.get((found["key"], "decontaminate" if found["removed"] else None)) or {"text": None})[
                    "text"
                ],
                [(span["begin"], span["end"]) for span in found["spans"]],
            ),
        }
        for found in facts.findings
    ]
    stage = facts.run.stage("decontaminate")
    return {"ran": stage is not None, "sets": sets, "shown": shown, "items": facts.items}


def _text_of_finding(facts: Facts, found: Mapping[str, Any]) -> str | None:
    row = facts.texts.get((found["key"], "decontaminate" if found["removed"] else None))
    return row["text"] if row else None


# ------------------------------------------------------------------------------------------------------------ by group


def _where(facts: Facts, masker: Masker) -> dict[str, Any]:
    tokens = {part: facts.tokens.by(part) if facts.tokens else {} for part in ("source", "language")}

    def rows(table: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
        whole = max((counts["kept"] + counts["removed"] for counts in table.values()), default=0)
        found = []
        for name, counts in sorted(table.items(), key=lambda item: (-item[1]["kept"] - item[1]["removed"], item[0])):
            documents = counts["kept"] + counts["removed"]
            stages = [(stage[6:], number) for stage, number in counts.items() if stage.startswith("stage ")]
            worst = max(stages, key=lambda each: (each[1], each[0]), default=None)
            found.append(
                {
                    "name": masker.line(name),
                    "documents": documents,
                    "kept": counts["kept"],
                    "removed": share_text(counts["removed"], documents),
                    "bytes": counts["kept_bytes"],
                    "tokens": tokens[part][name].tokens if name in tokens[part] else 0.0,
                    "worst": f"{STEP_TITLES.get(worst[0], worst[0])} ({worst[1]:,})" if worst else "",
                    "bar": charts.bar([(counts["kept"], "kept"), (counts["removed"], "removed")], whole),
                }
            )
        return found

    whole = max((kept + removed for _, kept, removed in facts.domains), default=0)
    domains = [
        {
            "name": masker.line(name),
            "documents": kept + removed,
            "kept": kept,
            "removed": share_text(removed, kept + removed),
            "bar": charts.bar([(kept, "kept"), (removed, "removed")], whole),
        }
        for name, kept, removed in facts.domains
    ]
    return {
        "sources": rows(facts.sources, "source"),
        "languages": rows(facts.languages, "language")[:40],
        "more_languages": max(0, len(facts.languages) - 40),
        "domains": domains,
    }


def _quarantine(facts: Facts, masker: Masker) -> dict[str, Any]:
    most = max(facts.quarantine_reasons.values(), default=0)
    ignored: dict[str, int] = facts.run.stages[0]["facts"].get("ignored", {}) if facts.run.stages else {}
    return {
        "reasons": [
            {"stage": stage, "reason": reason, "count": number, "bar": charts.bar([(number, "quarantined")], most)}
            for (stage, reason), number in sorted(
                facts.quarantine_reasons.items(), key=lambda item: (-item[1], item[0])
            )
        ],
        "files": [
            {"file": masker.line(_short_path(file)), "reason": reason, "count": number, "detail": masker.line(detail)}
            for file, reason, number, detail in facts.quarantine_files
        ],
        "ignored": sorted(ignored.items(), key=lambda item: (-item[1], item[0])),
    }


def _short_path(path: str) -> str:
    parts = path.rstrip("/").split("/")
    return path if len(parts) <= 4 else "…/" + "/".join(parts[-3:])


# --------------------------------------------------------------------------------------------------- budget and timing


def _budget(facts: Facts) -> dict[str, Any] | None:
    if facts.tokens is None or facts.tokens.kept.tokens < 1:
        return None
    unique = facts.tokens.kept.tokens
    record = corpus_record(facts.tokens)
    answers = [answer(fit, unique) for fit in laws.FITS.values()]
    sizes = [each[part]["parameters"] for each in answers for part in ("one_epoch", "up_to_4_epochs")]
    least, most = (10.0 ** math.floor(math.log10(min(sizes))), 10.0 ** math.ceil(math.log10(max(sizes)) + 1e-9))
    chosen = next(each for each in answers if each["fit"] == laws.DEFAULT_FIT)
    duplicates = record["duplicates"]
    return {
        "sentences": sentences(chosen, unique, duplicates),
        "source": chosen["source"],
        "fits": [
            {
                "name": each["fit"],
                "source": each["source"],
                "once": each["one_epoch"],
                "more": each["up_to_4_epochs"],
                "chart": charts.log_range(
                    each["one_epoch"]["parameters"], each["up_to_4_epochs"]["parameters"], least, most
                ),
            }
            for each in answers
        ],
        "least": short(least),
        "most": short(most),
        "margin": record["margin"],
        "duplicates": duplicates,
        "duplicates_bar": charts.bar(
            [(unique, "kept"), (duplicates["tokens"], "removed")], unique + duplicates["tokens"]
        ),
        "duplicates_share": percent(duplicates["tokens"] / (unique + duplicates["tokens"])),
    }


def _timing(ledger: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Passes with their time: stages that share one pass over the text share its time."""
    passes: list[dict[str, Any]] = []
    input_bytes = sum(source["bytes"] for source in ledger.get("inputs", []))
    for stage in ledger["stages"]:
        shared = tuple(stage.get("shared_pass") or (stage["stage"],))
        if passes and passes[-1]["stages"] == shared:
            continue
        size = input_bytes if not passes else stage["bytes"]
        passes.append({"stages": shared, "seconds": stage["seconds"], "bytes": size, "read": stage["read"]})
    known = sum(each["seconds"] for each in passes)
    rest = max(0.0, ledger.get("seconds", known) - known)
    longest = max([*(each["seconds"] for each in passes), rest], default=0.0)
    rows = [
        {
            "name": " + ".join(STEP_TITLES.get(stage, stage) for stage in each["stages"]),
            "seconds": each["seconds"],
            "rate": f"{size_text(each['bytes'] / each['seconds'])}/s" if each["seconds"] and each["bytes"] else "–",
            "documents": f"{each['read'] / each['seconds']:,.0f}" if each["seconds"] else "–",
            "bar": charts.bar([(each["seconds"], "time")], longest),
        }
        for each in passes
    ]
    rows.append(
        {
            "name": "Starting, publishing, checking",
            "seconds": rest,
            "rate": "",
            "documents": "",
            "bar": charts.bar([(rest, "time")], longest),
        }
    )
    return rows


def _own_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in recipe.items() if name != "language_packs"}
