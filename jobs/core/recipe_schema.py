"""The JSON Schema of recipes, for editors and other tools: ``python -m jobs.core.recipe_schema --write`` renews it.

It says what a file may hold before ``extends`` is resolved. Names that a recipe gives itself (lexicons, external
signals) are checked by ``winnow validate`` only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs.core.recipe import Part, Recipe, Rules, Steps
from jobs.core.rule_names import RULES

DIALECT = "https://json-schema.org/draft/2020-12/schema"
RULE_SCHEMA = {"anyOf": [{"$ref": "#/$defs/Bounds"}, {"type": "null"}, {"enum": ["off", False]}]}
OFF_SCHEMA = {"type": "boolean", "description": "true leaves this out."}


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe file."""
    schema = Recipe.model_json_schema(mode="validation")
    parts = schema["$defs"]
    for model in _rule_parts(Rules):
        if model.__name__ in parts:
            _name_rules(parts[model.__name__], model.step_name)
    for name, step in parts["Steps"]["properties"].items():
        step["anyOf"] = [choice for choice in step["anyOf"] if choice != {"type": "null"}]
        step.pop("default", None)
        _part_of(parts, step)["properties"]["off"] = OFF_SCHEMA
        assert name in Steps.model_fields
    for name in ("filter_content", "edit_lines", "filter_quality", "filter_repetition"):
        _part_of(parts, parts["StepOverrides"]["properties"][name])["properties"]["off"] = OFF_SCHEMA
    parts["Bounds"]["properties"]["off"] = OFF_SCHEMA
    schema.pop("required", None)  # a recipe without a name takes its file's
    return {"$schema": DIALECT, "title": "Winnow recipe", **{k: v for k, v in schema.items() if k != "title"}}


def _rule_parts(model: type[Rules]) -> list[type[Rules]]:
    return [part for child in model.__subclasses__() for part in (child, *_rule_parts(child))]


def _part_of(parts: dict[str, Any], field: dict[str, Any]) -> dict[str, Any]:
    reference = next(choice["$ref"] for choice in field["anyOf"] if "$ref" in choice)
    part: dict[str, Any] = parts[reference.rpartition("/")[2]]
    return part


def _name_rules(part: dict[str, Any], step: str) -> None:
    rules = {
        name: {
            **RULE_SCHEMA,
            "description": f"{rule.summary[0].upper()}{rule.summary[1:]} ({rule.unit}; {rule.source}).",
        }
        for name, rule in RULES[step].items()
    }
    part["properties"] = {**part.get("properties", {}), **rules}
    # filter_quality also bounds external signals, whose names the recipe gives.
    part["additionalProperties"] = RULE_SCHEMA if step == "filter_quality" else False
    if step == "filter_content":
        part["patternProperties"] = {"^lexicon_(hits|fraction)_[a-z][a-z0-9_]*$": RULE_SCHEMA}


def schema_text() -> str:
    """The schema as it stands in ``conf/recipe.schema.json``."""
    return json.dumps(recipe_schema(), indent=2, ensure_ascii=False) + "\n"


def undescribed_fields() -> list[str]:
    """Fields of the recipe models without a description: there must be none."""

    def parts(model: type[Part]) -> list[type[Part]]:
        return [part for child in model.__subclasses__() for part in (child, *parts(child))]

    return [
        f"{part.__name__}.{name}"
        for part in parts(Part)
        for name, field in part.model_fields.items()
        if not field.description and part is not Steps and part.__module__ == Part.__module__
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the schema, or write it to ``conf/recipe.schema.json`` of the checkout."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--write"]:
        (Path(__file__).resolve().parents[2] / "conf" / "recipe.schema.json").write_text(
            schema_text(), encoding="utf-8"
        )
        return 0
    sys.stdout.write(schema_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
