"""Gates: what must hold before results are published. A gate that trips names its key in the recipe."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType, StructType

from jobs.core.console import say
from jobs.core.drift import SignalMeans, drift, pooled
from jobs.core.errors import GateError, UsageError
from jobs.core.recipe import Gates

GATE_NAMES = tuple(name for name in Gates.model_fields if name != "min_share_documents")


def refuse_tripped(tripped: Sequence[str], allowed: Collection[str]) -> None:
    """Raise ``GateError`` for the sentences of gates that tripped and are not allowed to; say which were."""
    refused = [said for said in tripped if _gate_of(said) not in allowed]
    for said in tripped:
        if said not in refused:
            say(f"gate allowed: {said}", gate=_gate_of(said))
    if refused:
        raise GateError(
            "nothing is published, a gate tripped: " + "; ".join(refused),
            next_step="look at the funnel above; change the recipe's gates and run again with --resume",
        )


def _gate_of(said: str) -> str:
    return said.partition(":")[0].partition(".")[0]


def check_gate_names(names: Collection[str]) -> tuple[str, ...]:
    """The names, for ``--allow``. Raises ``UsageError`` for one that is no gate."""
    for name in names:
        if name not in GATE_NAMES:
            raise UsageError(f"--allow {name}: no such gate", next_step=f"gates: {', '.join(GATE_NAMES)}")
    return tuple(sorted(set(names)))


def signal_means(signals: DataFrame) -> dict[str, list[float]]:
    """Mean, standard deviation and number of every signal over the kept documents of a run, from its table."""
    kind = signals.schema["signals"].dataType if "signals" in signals.columns else StructType()
    fields = kind.fields if isinstance(kind, StructType) else []
    names = [field.name for field in fields if isinstance(field.dataType, NumericType)]
    if not names:
        return {}
    wanted = []
    for name in names:
        value = F.col(f"signals.`{name}`").cast("double")
        wanted += [F.avg(value).alias(f"{name} mean"), F.stddev_pop(value).alias(f"{name} sd")]
        wanted.append(F.count(value).alias(f"{name} count"))
    row = signals.where(F.col("stage").isNull()).agg(*wanted).first()
    if row is None:
        return {}
    return {
        name: [row[f"{name} mean"], row[f"{name} sd"], row[f"{name} count"]] for name in names if row[f"{name} count"]
    }


def signals_that_drifted(now: SignalMeans, before: Sequence[SignalMeans], gates: Gates) -> list[str]:
    """A sentence for each signal whose mean is further from that of the last versions than the gate allows, in standard
    deviations of those versions' documents.
    """
    if gates.max_signal_drift is None:
        return []
    said = []
    for name, (mean, _, count) in sorted(now.items()):
        old = pooled(means[name] for means in before if name in means)
        if old is None or count < gates.min_share_documents:
            continue
        distance = drift(mean, old)
        if distance > gates.max_signal_drift:
            said.append(
                f"max_signal_drift: {name} is {mean:.4g} on average, {old.mean:.4g} in the last versions: "
                f"{distance:.2f} standard deviations, {gates.max_signal_drift:g} are allowed"
            )
    return said
