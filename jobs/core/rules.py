"""Rules as Spark columns: which profile a row has, and why a step would remove it. No Python runs per row.

A row's profile is looked up once from its source and language; each rule then reads its bounds from an array literal
by that number, so a decision costs the same for one profile and for hundreds. Decisions are total: a signal without a
value is a reason of its own, and every broken rule is a reason, not only the first. `profiles.decide_plain` is the
definition that these expressions must agree with.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable, Mapping, Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from jobs.core.errors import ConfigurationError
from jobs.core.profiles import RULE_STEPS, Limits, Profiles, bounds_for, decide_plain, judge_plain, kept_languages_bound
from jobs.core.recipe_file import Resolved

REASONS_SQL_TYPE = "array<struct<rule: string, value: double, bound: string>>"

# A rule's verdict on a row (boolean, never NULL) and the reason to give where it is broken.
_Verdict = tuple[Column, Column]


class RuleBook:
    """The bounds of a resolved recipe as column expressions.

    Signals are read from the struct column ``signals``, one field a signal; `language_score` from its own column. Pass
    ``quantiles``, values by (signal, quantile), when the recipe bounds a signal by a quantile.
    """

    def __init__(self, resolved: Resolved, quantiles: Mapping[tuple[str, str], float] | None = None) -> None:
        self._resolved = resolved
        self._quantiles = quantiles

    @functools.cached_property
    def profiles(self) -> Profiles:
        """The resolved bounds of every source and language."""
        profiles = bounds_for(self._resolved.recipe, self._resolved.packs)
        return profiles if self._quantiles is None else profiles.with_quantiles(self._quantiles)

    def has_rules(self, step: str) -> bool:
        """Whether a step of the recipe can remove a document by a rule."""
        if step not in self.profiles.step_order or step not in RULE_STEPS:
            return False
        return bool(self.profiles.rules_of(step)) or (step == "filter_content" and self._judges_content)

    @property
    def _judges_content(self) -> bool:
        return self.profiles.blocks_urls or self.profiles.kept_languages is not None

    def profile(self, source: Column, language: Column) -> Column:
        """The number of each row's profile, int, never NULL; compute it once and hand it to ``reasons``."""
        if len(self.profiles.profiles) == 1:
            return F.lit(0)
        width = F.lit(len(self.profiles.numbers[0]))
        flat = _int_array(number for row in self.profiles.numbers for number in row)
        return F.get(flat, _class_of(self.profiles.source_classes, source) * width + self._language_class(language))

    def _language_class(self, language: Column) -> Column:
        known = _class_of(self.profiles.language_classes, _primary_language(language))
        return F.when(language.isNull(), F.lit(self.profiles.unknown_language_class)).otherwise(known)

    def unsupported_language(self, language: Column) -> Column:
        """Whether a row's language has no pack, boolean, never NULL: judged by language-neutral rules, and counted."""
        return self._language_class(language) == F.lit(0)

    def applies(self, step: str, profile: Column) -> Column:
        """Whether a step is on for a row, boolean, never NULL: false where its source or language turns it off."""
        return _flag_by_profile([step not in each.off for each in self.profiles.profiles], profile)

    def reasons(self, step: str, profile: Column) -> Column:
        """Why a step would remove each row: array of (rule, value, bound), empty for a row that passes, never NULL.

        `filter_content` also reads the columns ``language`` and ``language_score``, and, when the recipe has URL lists,
        ``signals.blocked_url`` and ``signals.blocked_url_entry``. Raises ``ConfigurationError`` for a quantile whose
        value was not given.
        """
        _refuse_open_quantiles(self.profiles, step)
        verdicts = self._content_verdicts() if step == "filter_content" else []
        for rule in self.profiles.rules_of(step):
            verdicts.append(_verdict(rule, [each.limits(step).get(rule) for each in self.profiles.profiles], profile))
        if not verdicts:
            return _no_reason()
        # Most rows break no rule: that is found out by plain comparisons, and only the others build reasons.
        any_broken = functools.reduce(operator.or_, [broken for broken, _ in verdicts])
        found = F.array_compact(F.array(*[F.when(broken, reason) for broken, reason in verdicts]))
        return F.when(self.applies(step, profile) & any_broken, found).otherwise(_no_reason())

    def _content_verdicts(self) -> list[_Verdict]:
        verdicts: list[_Verdict] = []
        if self.profiles.blocks_urls:
            category, entry = F.col("signals.blocked_url"), F.col("signals.blocked_url_entry")
            bound = F.concat(F.lit("not in "), category, F.coalesce(F.concat(F.lit(": "), entry), F.lit("")))
            verdicts.append((category.isNotNull(), _reason(F.lit("blocked_url"), F.lit(None), bound)))
        if self.profiles.kept_languages is not None:
            kept = _primary_language(F.col("language")).isin(list(self.profiles.kept_languages))
            bound = F.lit(kept_languages_bound(self.profiles))
            score = F.when(~F.isnan("language_score"), F.col("language_score"))
            verdicts.append((~F.coalesce(kept, F.lit(False)), _reason(F.lit("language"), score, bound)))
        return verdicts


def _verdict(rule: str, limits: Sequence[Limits | None], profile: Column) -> _Verdict:
    lows = [each.minimum if each and each.minimum is not None else -math.inf for each in limits]
    highs = [each.maximum if each and each.maximum is not None else math.inf for each in limits]
    low, high = _number_by_profile(lows, profile), _number_by_profile(highs, profile)
    value = (F.col(rule) if rule == "language_score" else F.col(f"signals.`{rule}`")).cast("double")
    # NULL compares as NULL and NaN as larger than infinity: neither is within any bounds.
    within = F.coalesce((value >= low) & (value <= high), F.lit(False))
    broken = _flag_by_profile([each is not None for each in limits], profile) & ~within
    absent = value.isNull() | F.isnan(value)
    if rule == "language_score":  # a language that the source states has no score: nothing to doubt
        broken = broken & ~(absent & F.col("language").isNotNull())
    texts = [each.texts() if each else ("", "") for each in limits]
    bound = (
        F.when(absent, F.lit("not null"))
        .when(value < low, _text_by_profile([low_text for low_text, _ in texts], profile))
        .otherwise(_text_by_profile([high_text for _, high_text in texts], profile))
    )
    return broken, _reason(F.lit(rule), F.when(~absent, value), bound)


def _reason(rule: Column, value: Column, bound: Column) -> Column:
    return F.struct(rule.alias("rule"), value.cast("double").alias("value"), bound.alias("bound"))


def _no_reason() -> Column:
    return F.array().cast(REASONS_SQL_TYPE)


def _refuse_open_quantiles(profiles: Profiles, step: str) -> None:
    for signal, quantile in profiles.quantiles((step,)):
        raise ConfigurationError(
            f"the bound {quantile} on {signal} is a quantile whose value is not known here",
            next_step="run the whole recipe, which measures quantiles first, or write a number",
        )


# --- literals -------------------------------------------------------------------------------------------------------
# Written as SQL text: one call into the JVM each, where a column a number would cost one call a number. The texts are
# made of numbers, source names and language codes, whose patterns the recipe model checks: nothing needs quoting.


def _number_by_profile(bounds: Sequence[float | str], profile: Column) -> Column:
    if len(set(bounds)) == 1:
        return F.lit(float(bounds[0]))
    return F.get(F.expr(f"array({', '.join(_double(float(bound)) for bound in bounds)})"), profile)


def _double(value: float) -> str:
    return f"{value!r}D" if math.isfinite(value) else f"double('{value}')"


def _text_by_profile(texts: Sequence[str], profile: Column) -> Column:
    if len(set(texts)) == 1:
        return F.lit(texts[0])
    return F.get(F.expr(f"array({', '.join(repr(text) for text in texts)})"), profile)


def _flag_by_profile(flags: Sequence[bool], profile: Column) -> Column:
    if len(set(flags)) == 1:
        return F.lit(flags[0])
    return F.get(F.expr(f"array({', '.join(str(flag).lower() for flag in flags)})"), profile)


def _int_array(numbers: Iterable[int]) -> Column:
    return F.expr(f"array({', '.join(map(str, numbers))})")


def _class_of(classes: Mapping[str, int], value: Column) -> Column:
    if not classes:
        return F.lit(0)
    pairs = ", ".join(f"'{name}', {number}" for name, number in classes.items())
    return F.coalesce(F.element_at(F.expr(f"map({pairs})"), value), F.lit(0))


def _primary_language(language: Column) -> Column:
    return F.lower(F.substring_index(F.translate(language, "_", "-"), "-", 1))


__all__ = ["RuleBook", "bounds_for", "decide_plain", "judge_plain"]
