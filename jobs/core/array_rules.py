"""Rules over Arrow batches: the same decisions as ``rules`` makes in Spark and ``decide_plain`` makes for one document.

Serves what re-decides a finished run from its stored signals. A row's profile is looked up from its source and
language, each rule reads its bounds from an array by that number, and all rows of a batch are compared at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.core.annotation import ANNOTATED_STEPS
from jobs.core.errors import ConfigurationError
from jobs.core.profiles import RULE_STEPS, Limits, Profiles, primary_language

Flags = NDArray[np.bool_]
PASSES = -1


@dataclass(frozen=True)
class Verdicts:
    """The verdicts on a batch. ``stage`` is the place among ``steps`` of the step that removes a row, -1 for none.

    ``broken[step, rule]`` says which rows break a rule, whether or not an earlier step has removed them.
    """

    steps: tuple[str, ...]
    stage: NDArray[np.int8]
    broken: Mapping[tuple[str, str], Flags]

    @property
    def passes(self) -> Flags:
        """The rows that no step removes."""
        return self.stage == PASSES

    def reasons(self, step: str, rule: str) -> Flags:
        """The rows that have a rule among their reasons: that break it in the step that removes them."""
        return self.broken[step, rule] & (self.stage == self.steps.index(step))


class ArrayRules:
    """The row-wise rules of a recipe, for batches with ``source``, ``language``, ``language_score`` and the signals.

    ``steps`` are the row-wise steps that were run, in order. Raises ``ConfigurationError`` for a bound that is a
    quantile, whose value is known to the run only.
    """

    def __init__(self, profiles: Profiles, steps: Sequence[str]) -> None:
        for signal, quantile in profiles.quantiles(steps):
            raise ConfigurationError(
                f"the bound {quantile} on {signal} is a quantile: its value is not stored", next_step="write a number"
            )
        self.profiles = profiles
        self.steps = tuple(s for s in profiles.step_order if s in steps and s in RULE_STEPS and s in ANNOTATED_STEPS)
        self._numbers = np.array(profiles.numbers)
        self._bounds = {(step, rule): self._bounds_of(step, rule) for step, rule in self.rules()}

    def rules(self) -> list[tuple[str, str]]:
        """(step, rule) for every rule on a signal, in order."""
        return [(step, rule) for step in self.steps for rule in self.profiles.rules_of(step)]

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals that the rules read, each once; ``language_score`` is a column of its own."""
        return tuple(dict.fromkeys(rule for _, rule in self.rules() if rule != "language_score"))

    def _bounds_of(self, step: str, rule: str) -> tuple[Flags, NDArray[np.float64], NDArray[np.float64]]:
        limits: list[Limits | None] = [each.limits(step).get(rule) for each in self.profiles.profiles]
        lows = [float(each.minimum) if each and each.minimum is not None else -math.inf for each in limits]
        highs = [float(each.maximum) if each and each.maximum is not None else math.inf for each in limits]
        return np.array([each is not None for each in limits]), np.array(lows), np.array(highs)

    # ------------------------------------------------------------------------------------------------------- decisions

    def decide(self, batch: pa.RecordBatch) -> Verdicts:
        """Every row's verdicts. Rows without signals break every rule: whether they were judged is the caller's to
        know.
        """
        language = batch.column("language")
        profile = self._profile(batch.column("source"), language)
        has_language = pc.is_valid(language).to_numpy(zero_copy_only=False)
        broken: dict[tuple[str, str], Flags] = {}
        stage = np.full(batch.num_rows, PASSES, dtype=np.int8)
        for place, step in enumerate(self.steps):
            found = self._content(batch, step)
            for rule in self.profiles.rules_of(step):
                found[step, rule] = self._broken(batch, step, rule, profile, has_language)
            on = np.array([step not in each.off for each in self.profiles.profiles])[profile]
            found = {name: flags & on for name, flags in found.items()}
            for flags in found.values():
                stage[flags & (stage == PASSES)] = place
            broken |= found
        return Verdicts(self.steps, stage, broken)

    def _broken(
        self, batch: pa.RecordBatch, step: str, rule: str, profile: NDArray[np.int64], has_language: Flags
    ) -> Flags:
        has_rule, low, high = self._bounds[step, rule]
        values = batch.column(rule).cast(pa.float64()).fill_null(math.nan).to_numpy(zero_copy_only=False)
        within = (values >= low[profile]) & (values <= high[profile])  # false for NaN, which is no value
        broken = has_rule[profile] & ~within
        if rule == "language_score":  # a language that the source states has no score: nothing to doubt
            broken &= ~(np.isnan(values) & has_language)
        return np.asarray(broken)

    def _content(self, batch: pa.RecordBatch, step: str) -> dict[tuple[str, str], Flags]:
        found: dict[tuple[str, str], Flags] = {}
        if step != "filter_content":
            return found
        if self.profiles.blocks_urls:
            found[step, "blocked_url"] = pc.is_valid(batch.column("blocked_url")).to_numpy(zero_copy_only=False)
        if self.profiles.kept_languages is not None:
            kept = set(self.profiles.kept_languages)
            places, codes = encoded(batch.column("language"))
            wanted = np.array([code is not None and primary_language(code) in kept for code in codes])
            found[step, "language"] = ~wanted[places]
        return found

    def _profile(self, source: pa.Array, language: pa.Array) -> NDArray[np.int64]:
        """Each row's profile: looked up for each distinct source and language, not for each row."""
        profiles = self.profiles
        source_places, sources = encoded(source)
        language_places, languages = encoded(language)
        of_source = np.array([profiles.source_classes.get(name or "", 0) for name in sources])
        of_language = np.array(
            [
                profiles.unknown_language_class
                if code is None
                else profiles.language_classes.get(primary_language(code), 0)
                for code in languages
            ]
        )
        return np.asarray(self._numbers[of_source[source_places], of_language[language_places]])


def encoded(column: pa.Array) -> tuple[NDArray[np.int64], list[str | None]]:
    """A text column as places in the list of its distinct values, None last."""
    dictionary = column.cast(pa.string()).dictionary_encode()
    values = [*dictionary.dictionary.to_pylist(), None]
    places = dictionary.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)
    return places.astype(np.int64), values
