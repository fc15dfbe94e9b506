"""The recipe models: presets, defaults, numbers from the papers, names that agree with the kernels."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from jobs.core.recipe import Bounds, Classifier, DedupNear, Recipe, Steps
from jobs.core.recipe_file import resolve_recipe
from jobs.core.rule_names import FILTER_QUALITY, FILTER_REPETITION


def test_rule_names_agree_with_the_signals_that_the_kernels_measure() -> None:
    from udfs.signals import SIGNALS

    for step, names in (("filter_quality", FILTER_QUALITY), ("filter_repetition", FILTER_REPETITION)):
        measured = {name: signal for name, signal in SIGNALS.items() if signal.step == step}
        assert {n: (r.unit, r.summary, r.source, r.language_specific) for n, r in names.items()} == {
            n: (s.unit, s.summary, s.source, s.language_specific) for n, s in measured.items()
        }


def test_gopher_has_the_papers_numbers() -> None:
    steps = resolve_recipe("gopher").recipe.steps
    assert steps.filter_quality is not None and steps.filter_repetition is not None
    quality = {rule: bounds.model_dump() for rule, bounds in steps.filter_quality.rules.items() if bounds}
    assert quality == {
        "word_count": {"min": 50, "max": 100000},
        "mean_word_length": {"min": 3, "max": 10},
        "hash_word_ratio": {"max": 0.1},
        "ellipsis_word_ratio": {"max": 0.1},
        "bullet_line_fraction": {"max": 0.9},
        "ellipsis_line_fraction": {"max": 0.3},
        "alpha_word_fraction": {"min": 0.8},
        "stop_word_count": {"min": 2},
    }
    repetition = {rule: bounds.max for rule, bounds in steps.filter_repetition.rules.items() if bounds}
    expected = [0.3, 0.3, 0.2, 0.2, 0.2, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.1]
    assert repetition == dict(zip(FILTER_REPETITION, expected, strict=True))


def test_fineweb_has_the_papers_numbers() -> None:
    steps = resolve_recipe("fineweb").recipe.steps
    assert steps.filter_quality is not None and steps.filter_repetition is not None
    rules = {**steps.filter_quality.rules, **steps.filter_repetition.rules}
    wanted = {
        "terminal_punct_line_fraction": {"min": 0.12},
        "short_line_fraction": {"max": 0.67},
        "newline_word_ratio": {"max": 0.3},
        "duplicate_line_char_fraction": {"max": 0.1},
    }
    assert {rule: rules[rule].model_dump() for rule in wanted} == wanted
    near = steps.dedup_near
    assert near is not None and (near.ngram, near.bands, near.rows, near.scope) == (5, 14, 8, "dump")


def test_gopher_runs_without_lists_or_test_sets_and_says_what_does_nothing() -> None:
    assert set(resolve_recipe("gopher").recipe.idle_steps()) == {"filter_content", "decontaminate"}
    assert "filter_content" not in resolve_recipe("gopher", ["languages.keep=[en]"]).recipe.idle_steps()


def test_a_preset_fills_what_is_not_given() -> None:
    near = DedupNear.model_validate({"preset": "olmo3", "seed": 7, "rows": 10})
    assert (near.bands, near.rows, near.num_perm, near.seed) == (26, 10, 286, 7)


def test_the_default_of_near_duplicates_is_32_bands_of_8() -> None:
    near = DedupNear()
    assert (near.num_perm, near.bands, near.rows, near.threshold, near.ngram) == (256, 32, 8, 0.8, 5)


@pytest.mark.parametrize(("policy", "ngram"), [("coverage", 8), ("gopher", 13), ("gpt3", 13), ("flag", 8)])
def test_the_policy_of_decontamination_sets_its_ngram(policy: str, ngram: int) -> None:
    recipe = Recipe.model_validate({"recipe": "r", "steps": {"decontaminate": {"policy": policy}}})
    assert recipe.steps.decontaminate is not None and recipe.steps.decontaminate.ngram == ngram


def test_test_sets_are_paths_or_mappings() -> None:
    data = {"recipe": "r", "steps": {"decontaminate": {"testsets": ["a.jsonl", {"path": "b", "layout": "gsm8k"}]}}}
    tests = Recipe.model_validate(data).steps.decontaminate
    assert tests is not None and [(t.path, t.layout) for t in tests.testsets] == [("a.jsonl", None), ("b", "gsm8k")]


def test_steps_keep_their_order_through_dump_and_copy() -> None:
    steps = Steps.model_validate({"filter_repetition": {}, "filter_quality": {}, "redact": "off"})
    assert steps.names == ("filter_repetition", "filter_quality")
    assert list(steps.model_dump(mode="json")) == ["filter_repetition", "filter_quality"]
    assert "redact" not in steps and "filter_quality" in steps


def test_source_fields_lie_over_the_common_ones() -> None:
    data = {
        "recipe": "r",
        "ingest": {"fields": {"text": "body", "url": None}},
        "sources": {
            "a": {"input": "x", "fields": {"id": "doc"}, "format": "jsonl", "rank": 1},
            "b": {"input": ["y", "z"]},
        },
    }
    recipe = Recipe.model_validate(data)
    assert recipe.fields_for("a").model_dump() == {
        "id": "doc",
        "url": None,
        "text": "body",
        "content": "content",
        "date": "date",
        "content_type": "content_type",
        "language": None,
    }
    assert recipe.fields_for("b").id == "id" and recipe.format_for("a") == "jsonl" and recipe.format_for("b") == "auto"
    assert recipe.rank_of("a") == 1 and recipe.rank_of("elsewhere") == 100 and recipe.sources["a"].input == ("x",)


def test_external_signals_can_be_bounded_by_number_or_quantile() -> None:
    data = {
        "recipe": "r",
        "signals": {"external": {"edu": {"path": "s.parquet", "by": "url", "columns": {"edu_score": "score"}}}},
        "steps": {"filter_quality": {"edu_score": {"min": "p90"}}},
    }
    step = Recipe.model_validate(data).steps.filter_quality
    assert step is not None and step.rules["edu_score"].min == "p90"
    with pytest.raises(ValidationError, match="does not fit together"):
        Recipe.model_validate({**data, "signals": {}})


@pytest.mark.parametrize("value", ["40", True, [1], "p101", float("inf")])
def test_a_bound_that_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Bounds.model_validate({"min": value})


def test_an_override_of_one_end_leaves_the_other() -> None:
    usual = Bounds(min=3, max=10)
    assert usual.changed_by(Bounds(max=15)).model_dump() == {"min": 3, "max": 15}
    assert usual.changed_by(Bounds(max=None)).model_dump() == {"min": 3, "max": None}


def test_recipes_do_not_change() -> None:
    recipe = resolve_recipe("gopher").recipe
    with pytest.raises(ValidationError):
        recipe.recipe = "other"  # type: ignore[misc]


def test_a_fasttext_model_needs_the_label_that_its_score_is_of() -> None:
    for path in ("models/hq.bin", "models/hq.ftz"):
        with pytest.raises(ValidationError, match="say which label"):
            Classifier(path=path)
        assert Classifier(path=path, label="__label__hq").label == "__label__hq"
    assert Classifier(path="models/harmful").label is None
