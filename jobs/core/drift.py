"""How a refresh differs from those before it: means of signals and shares removed, refresh by refresh.

Nothing here starts Spark or opens the Delta log: a refresh's ledger names the manifest of the version it was held
against, which lists the snapshots with their means; what was removed then is in the ledgers under ``runs/``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jobs.core.files import join_path, parent_and_name
from jobs.core.finished_run import LEDGER, FinishedRun

SignalMeans = Mapping[str, Sequence[float]]
"""Signal name to mean, standard deviation and number of documents."""

DRIFT_SNAPSHOTS = 5  # whose signal means a batch is compared with
MOST_REFRESHES = 30  # shown in a report
_MOST_PARENTS = 4  # between a run's folder, or the one where it is being written, and the corpus


class Pooled(NamedTuple):
    """Mean, standard deviation and number of the documents of several snapshots together."""

    mean: float
    deviation: float
    documents: float


def pooled(parts: Iterable[Sequence[float]]) -> Pooled | None:
    """Several (mean, standard deviation, number) as one; None of none."""
    known = [part for part in parts if part[2]]
    documents = sum(part[2] for part in known)
    if not documents:
        return None
    mean = sum(part[0] * part[2] for part in known) / documents
    square = sum((part[1] ** 2 + (part[0] - mean) ** 2) * part[2] for part in known) / documents
    return Pooled(mean, math.sqrt(square), documents)


def drift(mean: float, before: Pooled) -> float:
    """The distance of a mean from that of earlier documents, in their standard deviations."""
    if before.deviation:
        return abs(mean - before.mean) / before.deviation
    return math.inf if mean != before.mean else 0.0


@dataclass(frozen=True)
class Refreshed:
    """What one refresh read, removed and kept; ``read`` is None where its ledger is gone."""

    run_id: str
    started: str
    means: SignalMeans
    read: int | None = None  # documents: what could not be read or is no page is not counted
    kept: int = 0
    removed: int = 0
    removed_by_stage: Mapping[str, int] | None = None
    read_by_stage: Mapping[str, int] | None = None

    def removed_share(self, stage: str | None = None) -> float | None:
        """Share of the documents that the refresh removed, or a stage of those that it read; None if unknown."""
        if stage is None:
            return self.removed / self.read if self.read else None
        read = (self.read_by_stage or {}).get(stage)
        return (self.removed_by_stage or {}).get(stage, 0) / read if read else None


@dataclass(frozen=True)
class Refreshes:
    """A refresh and those before it, the oldest first. ``known`` is False where the earlier version is gone."""

    before: Sequence[Refreshed]
    now: Refreshed
    snapshots: Sequence[SignalMeans]  # what the gate compares the means with
    limit: float | None  # the gate, in standard deviations
    known: bool = True


class Drift(NamedTuple):
    """A signal's mean beside that of the last snapshots, and their distance in standard deviations of documents."""

    name: str
    mean: float
    before: Pooled
    distance: float


def drifts(refreshes: Refreshes) -> list[Drift]:
    """Every signal with a mean now and before, the one that has drifted furthest first."""
    found = []
    for name, (mean, *_) in refreshes.now.means.items():
        before = pooled(means[name] for means in refreshes.snapshots if name in means)
        if before is not None:
            found.append(Drift(name, mean, before, drift(mean, before)))
    return sorted(found, key=lambda each: (-each.distance, each.name))


def refreshes_of(run: FinishedRun) -> Refreshes | None:
    """A refresh and the earlier ones of its corpus; None for a run that is no refresh."""
    history = run.ledger.get("history")
    if history is None:
        return None
    limit = run.resolved.recipe.gates.max_signal_drift
    now = _refreshed(str(run.ledger["run_id"]), run.ledger, run.ledger.get("signal_means", {}))
    if history == "none":
        return Refreshes([], now, [], limit)
    corpus = _corpus_of(run, str(history))
    if corpus is None:
        return Refreshes([], now, [], limit, known=False)
    manifest = _json_at(run, join_path(corpus, f"manifests/{history}")) or {}
    snapshots = manifest.get("snapshots", [])
    of_snapshot = {snapshot["id"]: snapshot for snapshot in snapshots}
    before = []
    for run_id in manifest.get("done", [])[-MOST_REFRESHES:]:
        means = of_snapshot.get(run_id, {}).get("signal_means", {})
        ledger = _json_at(run, join_path(corpus, f"runs/{run_id}/{LEDGER}"))
        before.append(_refreshed(run_id, ledger or {}, means, of_snapshot.get(run_id)))
    return Refreshes(before, now, [each["signal_means"] for each in snapshots[-DRIFT_SNAPSHOTS:]], limit)


def _refreshed(
    run_id: str, ledger: Mapping[str, Any], means: SignalMeans, snapshot: Mapping[str, Any] | None = None
) -> Refreshed:
    if not ledger:
        known = snapshot or {}
        return Refreshed(run_id, str(known.get("created", "")), means, None, int(known.get("documents", 0)))
    totals = ledger["totals"]
    return Refreshed(
        run_id,
        str(ledger.get("started", "")),
        means,
        totals["read"] - totals["quarantined"] - totals["ignored"],
        totals["kept"],
        totals["removed"],
        {stage["stage"]: stage["removed"] for stage in ledger["stages"]},
        {stage["stage"]: stage["read"] for stage in ledger["stages"]},
    )


def _corpus_of(run: FinishedRun, manifest: str) -> str | None:
    """The corpus above a run's folder: where the manifest is that the run names."""
    folder: str | None = run.root
    for _ in range(_MOST_PARENTS):
        folder = parent_and_name(folder)[0] if folder else None
        if folder and run.is_file(join_path(folder, f"manifests/{manifest}")):
            return folder
    return None


def _json_at(run: FinishedRun, path: str) -> dict[str, Any] | None:
    content = run.read_at(path)
    return None if content is None else dict(json.loads(content))
