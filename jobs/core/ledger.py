"""The account of a run: what every stage read, kept, removed, quarantined and ignored, by rule; and the check that it
adds up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from typing import Any

from jobs.core.errors import WinnowError


class AccountError(WinnowError):
    """The sums do not add up: documents were lost or counted twice. This is a bug, so nothing is published."""


@dataclass
class StageAccount:
    """Documents through one stage. ``read`` = ``kept`` + ``removed`` + ``quarantined`` + ``ignored``."""

    stage: str
    read: int
    kept: int
    removed: int = 0
    quarantined: int = 0
    ignored: int = 0
    rules: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    bytes: int = 0
    words: int = 0
    shared_pass: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raise ``AccountError`` unless the sum holds."""
        out = self.kept + self.removed + self.quarantined + self.ignored
        if out != self.read:
            raise AccountError(
                f"{self.stage}: read {self.read} but kept {self.kept} + removed {self.removed} "
                f"+ quarantined {self.quarantined} "
                f"+ ignored {self.ignored} = {out}"
            )


def check_accounts(stages: Sequence[StageAccount]) -> None:
    """Every stage adds up, and each reads just what the one before it kept."""
    for stage in stages:
        stage.check()
    for before, after in pairwise(stages):
        if after.read != before.kept:
            raise AccountError(f"{after.stage} read {after.read} documents, but {before.stage} kept {before.kept}")


def totals(stages: Sequence[StageAccount]) -> dict[str, int]:
    """The run as one stage."""
    return {
        "read": stages[0].read if stages else 0,
        "kept": stages[-1].kept if stages else 0,
        "removed": sum(stage.removed for stage in stages),
        "quarantined": sum(stage.quarantined for stage in stages),
        "ignored": sum(stage.ignored for stage in stages),
    }


def code_version() -> str:
    """The installed version of Winnow."""
    try:
        return version("winnow-corpus")
    except PackageNotFoundError:
        return "0+unknown"


def stage_record(stage: StageAccount) -> dict[str, Any]:
    """A stage as it stands in ``ledger.json``."""
    record = asdict(stage)
    return {"name": record["stage"], **record}


def funnel(stages: Sequence[Mapping[str, Any]]) -> str:
    """The stages as a table for the terminal: what came in, what left and why, what went on."""
    header = ("stage", "read", "removed", "quarantined", "ignored", "kept", "most frequent reason")
    rows = [header]
    for stage in stages:
        rules = sorted(stage["rules"].items(), key=lambda item: (-item[1], item[0]))
        reason = f"{rules[0][0]} ({rules[0][1]})" if rules else ""
        numbers = (stage[name] for name in ("read", "removed", "quarantined", "ignored", "kept"))
        rows.append((stage["stage"], *(f"{number:,}" for number in numbers), reason))
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    shown = []
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:6], widths[1:6], strict=True)),
            row[6],
        ]
        shown.append("  ".join(cells).rstrip())
    return "\n".join([shown[0], "-" * max(map(len, shown)), *shown[1:]])
