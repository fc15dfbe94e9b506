"""The JSON Schema of recipes: current, complete, and in agreement with the models."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from jobs.core.recipe_file import conf_path, parse_document, resolve_recipe, shipped_recipes
from jobs.core.recipe_schema import recipe_schema, schema_text, undescribed_fields

ROOT = Path(__file__).resolve().parents[3]

jsonschema = pytest.importorskip("jsonschema")


def validator() -> object:
    schema = json.loads(conf_path("recipe.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_schema_in_the_repository_is_current() -> None:
    stored = conf_path("recipe.schema.json").read_text(encoding="utf-8")
    assert stored == schema_text(), "run `python -m jobs.core.recipe_schema --write`"


def test_every_key_is_described() -> None:
    assert undescribed_fields() == []


def test_the_reference_of_recipes_is_current() -> None:
    written = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "docs" / "reference.py"))["page"](written) == written, (
        "run docs/reference.py --write"
    )


def test_the_example_of_the_guide_is_a_recipe(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    example = guide.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "ours.yaml").write_text(example, encoding="utf-8")
    assert resolve_recipe(str(tmp_path / "ours.yaml"), []).recipe.steps.dedup_near.threshold == 0.85


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_satisfy_the_schema(name: str) -> None:
    text = conf_path("recipes", f"{name}.yaml").read_text(encoding="utf-8")
    assert [error.message for error in validator().iter_errors(parse_document(text, name).data)] == []


@pytest.mark.parametrize(
    ("valid", "text"),
    [
        (
            True,
            "extends: gopher\nsteps: {redact: off, filter_quality: {word_count: {min: 3}, stop_word_count: off}}",
        ),
        (
            True,
            "steps: {filter_quality: {word_count: null}, redact: {off: true}, decontaminate: {testsets: [a, path: b]}}",
        ),
        (True, "sources: {a: {input: x, steps: {filter_quality: off}}, b: {input: [x, y]}}\nlanguages: {packs: all}"),
        (True, "steps: {filter_content: {lexicons: {bad: {path: x}}, lexicon_fraction_bad: {max: 0.1}}}"),
        (False, "steps: {filter_quality: {word_count: {min: '3'}}}"),
        (False, "steps: {filter_repetition: {word_count: {min: 3}}}"),
        (False, "steps: {dedup_exct: {}}"),
        (False, "steps: {redact: null}"),
        (False, "languages: {keeep: [en]}"),
        (False, "steps: {dedup_near: {policy: both}}"),
    ],
)
def test_the_schema_judges_as_the_models_do(valid: bool, text: str) -> None:
    errors = list(validator().iter_errors(parse_document(text, "r.yaml").data))
    assert (errors == []) is valid


def test_rules_carry_meaning_unit_and_source() -> None:
    rule = recipe_schema()["$defs"]["FilterQuality"]["properties"]["word_count"]
    assert rule["description"] == "Number of words (words; Gopher, arXiv 2112.11446, A.1.1)."
