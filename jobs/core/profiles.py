"""Which bounds apply to which document: a recipe's rules for every source and language, and decided in plain Python.

Resolution goes from the general to the particular: the recipe's step, the language's pack, the recipe's own word on
that language (`languages.overrides`), the source. Three things hold besides:

- a pack changes rules that the recipe has and never adds one;
- what a language switches off because it means nothing there stays off, whatever bounds a source states for it;
- a language without a pack meets language-neutral rules only, and stop words are counted only where a pack has them.

`decide_plain` is the definition that the Spark expressions of ``rules`` must agree with; it serves `winnow explain` and
`--paranoid`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jobs.core.errors import ConfigurationError
from jobs.core.recipe import Bounds, LanguagePack, Recipe, Rules, StepOverrides, as_number
from jobs.core.rule_names import RULES

RULE_STEPS: tuple[str, ...] = ("filter_content", "edit_lines", "filter_quality", "filter_repetition", "classify")
"""The steps that decide by bounds on signals."""

NEUTRAL = ""
"""The language class of documents whose language has no pack."""


class Reason(NamedTuple):
    """Why a document is removed: the rule, the signal's value (None where it has none) and the bound that it breaks."""

    rule: str
    value: float | None
    bound: str


class Judgement(NamedTuple):
    """One rule applied to one document, passed or not."""

    step: str
    rule: str
    value: float | None
    bound: str
    passed: bool


@dataclass(frozen=True)
class Limits:
    """The resolved bounds of one rule; at least one is given. A text is a quantile that is still to be looked up."""

    minimum: float | str | None
    maximum: float | str | None

    @property
    def quantiles(self) -> tuple[str, ...]:
        """The quantiles among the bounds."""
        return tuple(bound for bound in (self.minimum, self.maximum) if isinstance(bound, str))

    def texts(self) -> tuple[str, str]:
        """The bounds as reasons name them: ``>= 50`` and ``<= 100000``; empty where there is none."""
        low = "" if self.minimum is None else f">= {_number_text(self.minimum)}"
        high = "" if self.maximum is None else f"<= {_number_text(self.maximum)}"
        return low, high


def _number_text(value: float | str) -> str:
    return value if isinstance(value, str) else str(as_number(value))


@dataclass(frozen=True)
class Profile:
    """The rules for one class of documents: step to rule to limits, in the order of the recipe."""

    steps: tuple[tuple[str, tuple[tuple[str, Limits], ...]], ...]
    off: frozenset[str]

    def limits(self, step: str) -> Mapping[str, Limits]:
        """The rules of one step; empty where the step is off."""
        return dict(dict(self.steps).get(step, ()))


@dataclass(frozen=True)
class Profiles:
    """Every distinct profile of a recipe, and which one a source and a language have.

    ``numbers[source class][language class]`` is an index into ``profiles``. Source class 0 and language class 0 stand
    for every source without overrides and every language without a pack.
    """

    profiles: tuple[Profile, ...]
    numbers: tuple[tuple[int, ...], ...]
    source_classes: Mapping[str, int]
    language_classes: Mapping[str, int]
    unknown_language_class: int
    kept_languages: tuple[str, ...] | None
    blocks_urls: bool
    step_order: tuple[str, ...]
    rule_order: Mapping[str, tuple[str, ...]]

    def number(self, source: str | None, language: str | None) -> int:
        """The index of the profile of a document."""
        of_source = self.source_classes.get(source or "", 0)
        if language is None:
            return self.numbers[of_source][self.unknown_language_class]
        return self.numbers[of_source][self.language_classes.get(primary_language(language), 0)]

    def profile(self, source: str | None, language: str | None) -> Profile:
        """The profile of a document."""
        return self.profiles[self.number(source, language)]

    def rules_of(self, step: str) -> tuple[str, ...]:
        """Every rule of a step that some profile has, in the order in which reasons are listed."""
        return self.rule_order.get(step, ())

    def quantiles(self, steps: Collection[str]) -> list[tuple[str, str]]:
        """(signal, quantile) for every bound of the steps that is a quantile: to be measured before documents are
        judged.
        """
        wanted = {
            (rule, quantile)
            for profile in self.profiles
            for step, rules in profile.steps
            if step in steps
            for rule, limits in rules
            for quantile in limits.quantiles
        }
        return sorted(wanted)

    def with_quantiles(self, values: Mapping[tuple[str, str], float]) -> Profiles:
        """The same with quantiles replaced by the values measured for (signal, quantile), where they were."""

        def number(rule: str, bound: float | str | None) -> float | str | None:
            return values.get((rule, bound), bound) if isinstance(bound, str) else bound

        replaced = tuple(
            Profile(
                tuple(
                    (step, tuple((r, Limits(number(r, at.minimum), number(r, at.maximum))) for r, at in rules))
                    for step, rules in profile.steps
                ),
                profile.off,
            )
            for profile in self.profiles
        )
        return Profiles(**{**self.__dict__, "profiles": replaced})


def primary_language(code: str) -> str:
    """The language of a code: ``zh`` of ``zh-TW``, ``zh_Hant`` or ``ZH``."""
    return code.replace("_", "-").split("-", 1)[0].lower()


# --- resolution -----------------------------------------------------------------------------------------------------


def bounds_for(recipe: Recipe, packs: Mapping[str, LanguagePack]) -> Profiles:
    """Resolve a recipe's rules for every source and language.

    ``packs`` are the packs in use by code (``recipe_file.language_packs``). Raises ``ConfigurationError`` where bounds
    that are sound by themselves leave nothing when put together.
    """
    defaults = _default_rules(recipe)
    languages = [NEUTRAL, *sorted({*packs, *recipe.languages.overrides})]
    sources = [None, *(name for name, source in recipe.sources.items() if source.steps.model_fields_set)]
    distinct: dict[Profile, int] = {}
    numbers = []
    for source in sources:
        row = []
        for language in languages:
            profile = _profile(recipe, packs, defaults, source, language)
            row.append(distinct.setdefault(profile, len(distinct)))
        numbers.append(tuple(row))
    classes = {code: place for place, code in enumerate(languages) if code != NEUTRAL}
    for code, pack in packs.items():
        for alias in pack.aliases:
            classes.setdefault(alias, classes[code])
    content = recipe.steps.filter_content
    return Profiles(
        profiles=tuple(distinct),
        numbers=tuple(numbers),
        source_classes={name: place for place, name in enumerate(sources) if name is not None},
        language_classes=classes,
        unknown_language_class=classes.get(recipe.languages.default or NEUTRAL, 0),
        kept_languages=recipe.languages.keep,
        blocks_urls=bool(content and content.url_lists),
        step_order=recipe.steps.names,
        rule_order={step: _rule_order(step, rules, distinct) for step, rules in defaults.items()},
    )


def _rule_order(step: str, defaults: Iterable[str], profiles: Iterable[Profile]) -> tuple[str, ...]:
    """The recipe's rules in its order, then those that languages and sources add; unused ones are left out."""
    stated = [list(profile.limits(step)) for profile in profiles]
    used = {rule for rules in stated for rule in rules}
    return tuple(rule for rule in dict.fromkeys([*defaults, *(r for rules in stated for r in rules)]) if rule in used)


def _default_rules(recipe: Recipe) -> dict[str, dict[str, Bounds]]:
    rules: dict[str, dict[str, Bounds]] = {}
    for name, step in recipe.steps.items():
        if isinstance(step, Rules):
            rules[name] = {rule: bounds for rule, bounds in step.rules.items() if bounds is not None}
    if recipe.steps.classify is not None:
        models = recipe.steps.classify.models.items()
        rules["classify"] = {f"classifier_{name}": model.score for name, model in models if model.score is not None}
    return rules


def _profile(
    recipe: Recipe,
    packs: Mapping[str, LanguagePack],
    defaults: Mapping[str, Mapping[str, Bounds]],
    source: str | None,
    language: str,
) -> Profile:
    pack = packs.get(language)
    own = recipe.languages.overrides.get(language)
    of_source = recipe.sources[source].steps if source is not None else None
    layers = [layer for layer in (pack.steps if pack else None, own, of_source) if layer is not None]
    off = frozenset(name for name in recipe.steps.names if any(layer.turns_off(name) for layer in layers))
    steps = []
    for step, rules in defaults.items():
        if step in off:
            continue
        resolved = dict(rules)
        if pack is not None:
            _change(resolved, pack.steps, step, may_add=False)
        if own is not None:
            _change(resolved, own, step, may_add=True)
        meaningless = _meaningless(step, pack, own)
        if of_source is not None:
            _change(resolved, of_source, step, may_add=True)
        where = f"steps.{step} for source {source or 'any'}, language {language or 'any other'}"
        kept = [(rule, _limits(bounds, where, rule)) for rule, bounds in resolved.items() if rule not in meaningless]
        steps.append((step, tuple((rule, limits) for rule, limits in kept if limits is not None)))
    return Profile(tuple(steps), off)


def _change(rules: dict[str, Bounds], layer: StepOverrides, step: str, *, may_add: bool) -> None:
    for rule, bounds in layer.rules(step).items():
        if bounds is None:
            rules.pop(rule, None)
        elif rule in rules:
            rules[rule] = rules[rule].changed_by(bounds)
        elif may_add:
            rules[rule] = bounds


def _meaningless(step: str, pack: LanguagePack | None, own: StepOverrides | None) -> set[str]:
    """The rules that a language does without, whatever a source says."""
    stated = own.rules(step) if own is not None else {}
    wanted = {rule for rule, bounds in stated.items() if bounds is not None}
    off = {rule for rule, bounds in stated.items() if bounds is None}
    if pack is not None:
        off |= {rule for rule, bounds in pack.steps.rules(step).items() if bounds is None}
    else:
        off |= {rule for rule, name in RULES.get(step, {}).items() if name.language_specific}
    off -= wanted
    if pack is None or not pack.stop_words:
        off.add("stop_word_count")
    return off


def _limits(bounds: Bounds, where: str, rule: str) -> Limits | None:
    low, high = bounds.min, bounds.max
    if low is None and high is None:
        return None
    if isinstance(low, float) and isinstance(high, float) and low > high:
        raise ConfigurationError(
            f"{where}: {rule} keeps nothing: min {as_number(low)} is above max {as_number(high)}",
            next_step="state both bounds where one is overridden",
        )
    return Limits(low, high)


# --- decision in plain Python ---------------------------------------------------------------------------------------


def judge_plain(
    profiles: Profiles,
    signals: Mapping[str, Any],
    *,
    language: str | None = None,
    source: str | None = None,
    steps: Iterable[str] | None = None,
) -> list[Judgement]:
    """Every rule that applies to one document, in the order of the recipe, with its value and verdict.

    ``signals`` are the document's signals by name; a missing one has no value. ``blocked_url`` is the category that
    names the URL and ``blocked_url_entry`` the entry, both None when no list does.
    """
    profile = profiles.profile(source, language)
    chosen = RULE_STEPS if steps is None else tuple(steps)
    judgements: list[Judgement] = []
    for step in (
        name for name in profiles.step_order if name in chosen and name in RULE_STEPS and name not in profile.off
    ):
        if step == "filter_content":
            judgements += _judge_content(profiles, signals, language)
        for rule, limits in profile.limits(step).items():
            if rule == "language_score" and _value(signals.get(rule)) is None and language is not None:
                continue  # the source states the language: nothing was detected
            judgements.append(_judge(step, rule, limits, signals.get(rule)))
    return judgements


def decide_plain(
    profiles: Profiles,
    signals: Mapping[str, Any],
    *,
    language: str | None = None,
    source: str | None = None,
    steps: Iterable[str] | None = None,
) -> dict[str, list[Reason]]:
    """The reasons against one document by step, all of them; steps without a reason are absent. See ``judge_plain``."""
    reasons: dict[str, list[Reason]] = {}
    for judgement in judge_plain(profiles, signals, language=language, source=source, steps=steps):
        if not judgement.passed:
            reasons.setdefault(judgement.step, []).append(Reason(judgement.rule, judgement.value, judgement.bound))
    return reasons


def _value(measured: Any) -> float | None:
    """A signal as a number; NaN, which compares with nothing, counts as no value."""
    return None if measured is None or measured != measured else float(measured)


def _judge(step: str, rule: str, limits: Limits, measured: Any) -> Judgement:
    low, high = limits.texts()
    value = _value(measured)
    if value is None:
        return Judgement(step, rule, None, "not null", False)
    if isinstance(limits.minimum, float) and value < limits.minimum:
        return Judgement(step, rule, value, low, False)
    if isinstance(limits.maximum, float) and value > limits.maximum:
        return Judgement(step, rule, value, high, False)
    return Judgement(step, rule, value, " and ".join(text for text in (low, high) if text), True)


def _judge_content(profiles: Profiles, signals: Mapping[str, Any], language: str | None) -> Iterator[Judgement]:
    if profiles.blocks_urls:
        category = signals.get("blocked_url")
        named = "on no list" if category is None else blocked_url_bound(category, signals.get("blocked_url_entry"))
        yield Judgement("filter_content", "blocked_url", None, named, category is None)
    if profiles.kept_languages is not None:
        kept = language is not None and primary_language(language) in profiles.kept_languages
        score = _value(signals.get("language_score"))
        yield Judgement("filter_content", "language", score, kept_languages_bound(profiles), kept)


def blocked_url_bound(category: str, entry: str | None) -> str:
    """What a reason says of a blocked URL: the list and the entry that name it."""
    return f"not in {category}" if entry is None else f"not in {category}: {entry}"


def kept_languages_bound(profiles: Profiles) -> str:
    """What a reason says of a language that is not kept."""
    return f"in {', '.join(profiles.kept_languages or ())}"
