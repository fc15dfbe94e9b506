"""Rules for sources and languages: what applies to whom, and the plain decision."""

from __future__ import annotations

import math
from typing import Any

import pytest

from jobs.core.errors import ConfigurationError
from jobs.core.profiles import Profiles, Reason, bounds_for, decide_plain, judge_plain
from jobs.core.recipe import LanguagePack, Recipe
from jobs.core.recipe_file import resolve_recipe

GOPHER = resolve_recipe("gopher")


def profiles_of(steps: dict[str, Any], packs: dict[str, dict[str, Any]] | None = None, **more: Any) -> Profiles:
    recipe = Recipe.model_validate({"recipe": "r", "steps": steps, **more})
    loaded = {
        code: LanguagePack.model_validate({"language": code, "name": code, "source": "test", **pack})
        for code, pack in (packs or {}).items()
    }
    return bounds_for(recipe, loaded)


def bounds(
    profiles: Profiles, source: str | None, language: str | None, step: str = "filter_quality"
) -> dict[str, Any]:
    limits = profiles.profile(source, language).limits(step)
    return {rule: (at.minimum, at.maximum) for rule, at in limits.items()}


# --- languages ------------------------------------------------------------------------------------------------------


def test_only_a_language_with_stop_words_is_judged_by_stop_words() -> None:
    gopher = bounds_for(GOPHER.recipe, GOPHER.packs)
    judged = {code for code in [*GOPHER.packs, "xx", "und"] if "stop_word_count" in bounds(gopher, None, code)}
    assert judged == {code for code, pack in GOPHER.packs.items() if pack.stop_words}
    assert "en" in judged and "th" not in judged and "und" not in judged


@pytest.mark.parametrize("language", ["zh", "ja", "th"])
def test_scripts_without_spaces_have_no_rule_on_word_length(language: str) -> None:
    assert "mean_word_length" not in bounds(bounds_for(GOPHER.recipe, GOPHER.packs), None, language)


def test_german_words_may_be_longer() -> None:
    gopher = bounds_for(GOPHER.recipe, GOPHER.packs)
    assert bounds(gopher, None, "de")["mean_word_length"] == (3.0, 15.0)
    assert bounds(gopher, None, "en")["mean_word_length"] == (3.0, 10.0)


def test_a_language_without_a_pack_meets_language_neutral_rules_only() -> None:
    neutral = bounds(bounds_for(GOPHER.recipe, GOPHER.packs), None, "xx")
    assert "word_count" in neutral and not {"stop_word_count", "mean_word_length"} & set(neutral)


def test_an_unknown_language_takes_the_default_pack_if_the_recipe_names_one() -> None:
    steps = {"filter_quality": {"stop_word_count": {"min": 2}, "word_count": {"min": 5}}}
    packs = {"en": {"stop_words": ["the"]}}
    assert set(bounds(profiles_of(steps, packs), None, None)) == {"word_count"}
    assert set(bounds(profiles_of(steps, packs, languages={"default": "en"}), None, None)) == {
        "stop_word_count",
        "word_count",
    }
    assert set(bounds(profiles_of(steps, packs, languages={"default": "en"}), None, "und")) == {"word_count"}


@pytest.mark.parametrize("code", ["zh", "ZH", "zh-TW", "zh_Hant", "zho", "chinese"])
def test_a_language_is_known_by_its_primary_code_and_by_its_aliases(code: str) -> None:
    gopher = bounds_for(GOPHER.recipe, GOPHER.packs)
    assert gopher.number(None, code) == gopher.number(None, "zh") != gopher.number(None, "xx")


def test_a_pack_changes_rules_and_never_adds_one() -> None:
    packs = {"de": {"steps": {"filter_quality": {"mean_word_length": {"max": 15}, "word_count": {"min": 30}}}}}
    assert bounds(profiles_of({"filter_quality": {"word_count": {"max": 99}}}, packs), None, "de") == {
        "word_count": (30.0, 99.0)
    }


def test_the_recipes_word_on_a_language_is_stronger_than_its_pack() -> None:
    packs = {
        "zh": {"stop_words": ["的"], "steps": {"filter_quality": {"mean_word_length": "off", "word_count": {"min": 9}}}}
    }
    steps = {"filter_quality": {"mean_word_length": {"min": 3}, "word_count": {"min": 50}}}
    own = {"overrides": {"zh": {"filter_quality": {"mean_word_length": {"min": 1}, "han_char_fraction": {"min": 0.3}}}}}
    assert bounds(profiles_of(steps, packs, languages=own), None, "zh") == {
        "mean_word_length": (1.0, None),
        "word_count": (9.0, None),
        "han_char_fraction": (0.3, None),
    }


# --- sources --------------------------------------------------------------------------------------------------------

SOURCES = {
    "web": {"input": "w"},
    "books": {
        "input": "b",
        "steps": {"filter_quality": {"word_count": {"max": None}, "mean_word_length": {"max": 12}}},
    },
    "code": {"input": "c", "steps": {"filter_quality": "off", "redact": "off"}},
    "wiki": {"input": "k", "steps": {"filter_quality": {"stop_word_count": "off", "hash_word_ratio": {"max": 0.2}}}},
}
STEPS = {
    "filter_quality": {
        "word_count": {"min": 50, "max": 100},
        "mean_word_length": {"min": 3, "max": 10},
        "stop_word_count": {"min": 2},
    },
    "redact": {},
}
PACKS = {
    "en": {"stop_words": ["the"]},
    "de": {"stop_words": ["der"], "steps": {"filter_quality": {"mean_word_length": {"max": 15}}}},
    "zh": {"stop_words": ["的"], "steps": {"filter_quality": {"mean_word_length": "off"}}},
}


def test_a_source_is_stronger_than_a_language() -> None:
    profiles = profiles_of(STEPS, PACKS, sources=SOURCES)
    assert bounds(profiles, "web", "de")["mean_word_length"] == (3.0, 15.0)
    assert bounds(profiles, "books", "de")["mean_word_length"] == (3.0, 12.0)
    assert bounds(profiles, "books", "en")["word_count"] == (50.0, None)


def test_what_means_nothing_in_a_language_stays_off_whatever_a_source_says() -> None:
    profiles = profiles_of(STEPS, PACKS, sources=SOURCES)
    assert "mean_word_length" not in bounds(profiles, "books", "zh")
    assert "mean_word_length" not in bounds(profiles, "books", "xx")


def test_a_source_turns_steps_and_rules_off_and_adds_rules() -> None:
    profiles = profiles_of(STEPS, PACKS, sources=SOURCES)
    assert bounds(profiles, "code", "en") == {}
    assert profiles.profile("code", "en").off == {"filter_quality", "redact"}
    assert "stop_word_count" not in bounds(profiles, "wiki", "en")
    assert bounds(profiles, "wiki", "en")["hash_word_ratio"] == (None, 0.2)
    assert bounds(profiles, "web", "en") == bounds(profiles, "never named", "en")


def test_equal_profiles_are_stored_once() -> None:
    sources = {f"s{i}": {"input": "x", "steps": {"filter_quality": "off"}} for i in range(200)}
    profiles = profiles_of(STEPS, PACKS, sources=sources)
    assert len(profiles.profiles) == 5  # en, de, zh, others, and off
    assert len(profiles.numbers) == 201


def test_overrides_that_leave_an_empty_range_are_a_configuration_error() -> None:
    sources = {"a": {"input": "x", "steps": {"filter_quality": {"word_count": {"min": 500}}}}}
    with pytest.raises(
        ConfigurationError, match="source a, language any other: word_count keeps nothing: min 500 is above max 100"
    ):
        profiles_of(STEPS, PACKS, sources=sources)


# --- decisions ------------------------------------------------------------------------------------------------------


def test_every_broken_rule_is_a_reason_and_bounds_are_inclusive() -> None:
    profiles = profiles_of(STEPS, PACKS)
    signals = {"word_count": 49, "mean_word_length": 10.5, "stop_word_count": 2}
    assert decide_plain(profiles, signals, language="en") == {
        "filter_quality": [Reason("word_count", 49.0, ">= 50"), Reason("mean_word_length", 10.5, "<= 10")]
    }
    assert decide_plain(profiles, {**signals, "word_count": 50, "mean_word_length": 10}, language="en") == {}


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_a_signal_without_a_value_is_a_reason_of_its_own(nothing: float | None) -> None:
    signals = {"word_count": nothing, "mean_word_length": 5, "stop_word_count": 2}
    found = decide_plain(profiles_of(STEPS, PACKS), signals, language="en")
    assert found == {"filter_quality": [Reason("word_count", None, "not null")]}


def test_content_is_judged_by_lists_language_and_score() -> None:
    steps = {"filter_content": {"language_score": {"min": 0.65}, "url_lists": {"adult": "x"}}}
    profiles = profiles_of(steps, {"en": {}}, languages={"keep": ["en", "zh"]})
    blocked = {"blocked_url": "adult", "blocked_url_entry": "example.com", "language_score": 0.5}
    assert decide_plain(profiles, blocked, language="de")["filter_content"] == [
        Reason("blocked_url", None, "not in adult: example.com"),
        Reason("language", 0.5, "in en, zh"),
        Reason("language_score", 0.5, ">= 0.65"),
    ]
    assert decide_plain(profiles, {"language_score": 0.9}, language="zh-TW") == {}
    assert decide_plain(profiles, {}, language="en") == {}, "a stated language has no score"
    assert [reason.rule for reason in decide_plain(profiles, {}, language=None)["filter_content"]] == [
        "language",
        "language_score",
    ]


def test_judgements_list_passed_rules_too_in_the_order_of_the_recipe() -> None:
    judged = judge_plain(profiles_of(STEPS, PACKS), {"word_count": 70}, language="en")
    assert [(j.rule, j.bound, j.passed) for j in judged] == [
        ("word_count", ">= 50 and <= 100", True),
        ("mean_word_length", "not null", False),
        ("stop_word_count", "not null", False),
    ]


def test_quantiles_are_named_and_replaced_once_measured() -> None:
    more = {"signals": {"external": {"e": {"path": "p", "columns": {"edu": "c"}}}}}
    profiles = profiles_of({"filter_quality": {"edu": {"min": "p90"}}}, **more)
    assert profiles.quantiles(("filter_quality",)) == [("edu", "p90")]
    known = profiles.with_quantiles({("edu", "p90"): 3.5})
    assert known.quantiles(("filter_quality",)) == [] and decide_plain(known, {"edu": 3}) == {
        "filter_quality": [Reason("edu", 3.0, ">= 3.5")]
    }


def test_classifier_scores_are_judged_in_their_step() -> None:
    steps = {"classify": {"models": {"harm": {"path": "m", "score": {"max": 0.5}}, "seen": {"path": "n"}}}}
    assert decide_plain(profiles_of(steps), {"classifier_harm": 0.7, "classifier_seen": 1.0}) == {
        "classify": [Reason("classifier_harm", 0.7, "<= 0.5")]
    }
