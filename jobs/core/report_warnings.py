"""What a person should look at first in a report: each finding with its figure, its weight and where it is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from jobs.core.drift import drifts
from jobs.core.report_facts import Facts

MUCH_REMOVED = 0.5  # of what a stage reads
MOST_OF_A_GROUP = 0.9  # of a source or language
ENOUGH_DOCUMENTS = 20  # below, a share says little
NOTABLE_QUARANTINE = 0.01
NOTABLE_UNSUPPORTED = 0.01
LARGE_CLUSTER = 0.05
NOTABLE_DRIFT = 0.5  # standard deviations of documents, where no gate says what is too much
MORE_REMOVED = 0.1  # than in the refresh before, as a share of the documents


class Warned(NamedTuple):
    """A finding: ``level`` is ``serious`` (a decision may be wrong), ``notice`` (know it) or ``fine``."""

    level: str
    text: str
    section: str


def warnings_of(facts: Facts) -> list[Warned]:
    """All findings, the serious ones first; never empty."""
    found = [
        *_of_run(facts.run.ledger, facts),
        *_of_stages(facts),
        *_of_groups(facts),
        *_of_rules(facts),
        *_of_refreshes(facts),
    ]
    if not any(each.level == "serious" for each in found):
        found.append(Warned("fine", "The account adds up: read = kept + removed + quarantined + ignored.", "funnel"))
    order = {"serious": 0, "notice": 1, "fine": 2}
    return sorted(found, key=lambda each: order[each.level])


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _of_run(ledger: Mapping[str, Any], facts: Facts) -> Iterator[Warned]:
    totals = ledger["totals"]
    documents = totals["read"] - totals.get("ignored", 0)
    if ledger.get("sample") or ledger.get("limit"):
        what = f"a sample of {ledger['sample']:.3g}" if ledger.get("sample") else f"{ledger['limit']:,} documents"
        yield Warned("notice", f"This run read {what}, not the whole input.", "run")
    paranoid = ledger.get("paranoid")
    if paranoid and paranoid["agree"] < paranoid["checked"]:
        differ = paranoid["checked"] - paranoid["agree"]
        yield Warned(
            "serious", f"The plain definitions decide {differ:,} of {paranoid['checked']:,} documents otherwise.", "run"
        )
    bad = totals.get("quarantined", 0)
    if documents and bad / documents > NOTABLE_QUARANTINE:
        yield Warned(
            "serious" if bad / documents > 5 * NOTABLE_QUARANTINE else "notice",
            f"{_counted(bad, 'record')} ({bad / documents:.1%}) could not be read: see the quarantine.",
            "quarantine",
        )
    if facts.shares:
        parts = ", ".join(f"{table} {share:.1%}" for table, share in sorted(facts.shares.items()))
        yield Warned(
            "notice", f"Large tables: histograms and examples come from a part of the rows: {parts}.", "signals"
        )
    if not totals.get("kept"):
        yield Warned("serious", "Nothing was kept.", "funnel")


def _of_stages(facts: Facts) -> Iterator[Warned]:
    for stage in facts.run.stages:
        read, name = stage["read"], stage["stage"]
        if read >= ENOUGH_DOCUMENTS and stage["removed"] / read > MUCH_REMOVED:
            rule = max(stage["rules"].items(), key=lambda item: (item[1], item[0]), default=("", 0))[0]
            because = f", most by {rule}" if rule else ""
            yield Warned("serious", f"{name} removed {stage['removed'] / read:.0%} of what it read{because}.", "funnel")
        said = stage["facts"]
        unsupported = said.get("unsupported_language", 0)
        if read and unsupported / read > NOTABLE_UNSUPPORTED:
            yield Warned(
                "notice",
                f"{_counted(unsupported, 'document')} ({unsupported / read:.1%}) in languages without a pack: "
                "judged by language-neutral rules alone.",
                "where",
            )
        if said.get("near_unresolved"):
            yield Warned(
                "serious",
                f"{name} left {said['near_unresolved']:,} near-duplicates unresolved after its last round.",
                "clusters",
            )
        largest = said.get("largest_cluster", 0)
        if isinstance(largest, int) and read >= ENOUGH_DOCUMENTS and largest / read > LARGE_CLUSTER:
            yield Warned(
                "serious", f"The largest cluster of {name} holds {largest / read:.0%} of its documents.", "clusters"
            )
        if said.get("contaminated"):
            action = "removed" if stage["removed"] else "left in the corpus"
            yield Warned(
                "notice",
                f"{_counted(said['contaminated'], 'document')} with test items {action}.",
                "contamination",
            )


def _of_groups(facts: Facts) -> Iterator[Warned]:
    for kind, table in (("source", facts.sources), ("language", facts.languages)):
        for name, counts in sorted(table.items()):
            documents = counts["kept"] + counts["removed"]
            share = counts["removed"] / documents if documents else 0.0
            if documents >= ENOUGH_DOCUMENTS and share > MOST_OF_A_GROUP:
                wanted = facts.run.profiles.kept_languages
                dropped = kind == "language" and wanted is not None and name not in wanted
                yield Warned(
                    "notice" if dropped else "serious",
                    f"{share:.0%} of {kind} {name} was removed ({counts['removed']:,} of {documents:,} documents)"
                    + (", which the recipe does not keep." if dropped else "."),
                    "where",
                )


def _of_rules(facts: Facts) -> Iterator[Warned]:
    for name, signal in sorted(facts.signals.items()):
        if signal.judged >= ENOUGH_DOCUMENTS and signal.without_value / signal.judged > MUCH_REMOVED:
            yield Warned(
                "serious",
                f"{name} has no value for {signal.without_value / signal.judged:.0%} of the documents.",
                "signals",
            )
    idle = sorted(
        name
        for name, signal in facts.signals.items()
        if signal.bounded and signal.judged and not signal.below + signal.above + signal.without_value
    )
    if idle:
        yield Warned(
            "notice", f"{len(idle)} of the recipe's rules found nothing to object to: {', '.join(idle)}.", "signals"
        )


def _of_refreshes(facts: Facts) -> Iterator[Warned]:
    refreshes = facts.refreshes
    if refreshes is None or not refreshes.before:
        return
    limit = NOTABLE_DRIFT if refreshes.limit is None else refreshes.limit
    enough = [each for each in drifts(refreshes) if refreshes.now.means[each.name][2] >= ENOUGH_DOCUMENTS]
    moved = [f"{each.name} by {each.distance:.2f}" for each in enough if each.distance > limit]
    if moved:
        yield Warned(
            "notice" if refreshes.limit is None else "serious",
            f"Kept documents differ from those of the last refreshes, in standard deviations: {', '.join(moved)}.",
            "drift",
        )
    before, now = refreshes.before[-1].removed_share(), refreshes.now.removed_share()
    if before is not None and now is not None and abs(now - before) > MORE_REMOVED:
        yield Warned("notice", f"{now:.0%} of the documents were removed; {before:.0%} in the refresh before.", "drift")
