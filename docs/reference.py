"""Write the reference part of docs/recipes.md from the recipe's JSON Schema: ``python docs/reference.py --write``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "recipes.md"
BEGIN, END = "<!-- reference: written by docs/reference.py -->\n", "<!-- end of reference -->\n"
# Models behind the tables, in the order of a recipe file.
PARTS = (
    ("Top level", None),
    ("sources.NAME", "Source"),
    ("ingest", "Ingest"),
    ("ingest.fields", "Fields"),
    ("languages", "Languages"),
    ("steps.extract_text", "ExtractText"),
    ("steps.repair_unicode", "RepairUnicode"),
    ("steps.filter_content", "FilterContent"),
    ("steps.edit_lines", "EditLines"),
    ("steps.filter_quality", "FilterQuality"),
    ("steps.filter_repetition", "FilterRepetition"),
    ("steps.classify.models.NAME", "Classifier"),
    ("steps.decontaminate", "Decontaminate"),
    ("steps.dedup_url", "DedupUrl"),
    ("steps.dedup_exact", "DedupExact"),
    ("steps.dedup_lines", "DedupLines"),
    ("steps.dedup_near", "DedupNear"),
    ("steps.dedup_substring", "DedupSubstring"),
    ("steps.redact", "Redact"),
    ("signals.external.NAME", "ExternalSignals"),
    ("audit", "Audit"),
    ("gates", "Gates"),
)


def reference(schema: dict[str, Any]) -> str:
    """The tables of all keys."""
    return "\n".join(line for title, name in PARTS for line in _table(title, name, schema))


def _table(title: str, name: str | None, schema: dict[str, Any]) -> Iterator[str]:
    part = schema if name is None else schema["$defs"][name]
    yield f"### {title}\n"
    if name is not None and part.get("description"):
        yield _one_line(part["description"]) + "\n"
    yield "| key | value | default | |"
    yield "|---|---|---|---|"
    for key, field in part["properties"].items():
        if key != "off":
            said = field.get("description") or _described(field, schema)
            yield f"| `{key}` | {_kind(field)} | {_default(field)} | {_one_line(said)} |"
    yield ""


def _described(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """What the part behind a reference says of itself."""
    name = next((c["$ref"] for c in field.get("anyOf", [field]) if "$ref" in c), "").rpartition("/")[2]
    return str(schema["$defs"].get(name, {}).get("description", ""))


def _kind(field: dict[str, Any]) -> str:
    choices = [c for c in field.get("anyOf", [field]) if c != {"type": "null"} and c != {"enum": ["off", False]}]
    return " or ".join(dict.fromkeys(filter(None, map(_one_kind, choices))))


def _one_kind(choice: dict[str, Any]) -> str:
    if "$ref" in choice:
        name = choice["$ref"].rpartition("/")[2]
        return "`{min, max}`" if name == "Bounds" else "its own keys, below"
    if "enum" in choice:
        return ", ".join(f"`{value}`" for value in choice["enum"])
    if "const" in choice:
        return f"`{choice['const']}`"
    kind = choice.get("type", "")
    return {"array": "list", "object": "mapping", "number": "number", "integer": "whole number"}.get(kind, kind)


def _default(field: dict[str, Any]) -> str:
    if "default" not in field or field["default"] in (None, {}, [], ""):
        return ""
    if isinstance(field["default"], dict):  # the keys of the part have their own
        return ""
    return f"`{json.dumps(field['default'], ensure_ascii=False)}`"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def page(written: str) -> str:
    """The page with its reference part renewed."""
    from jobs.core.recipe_schema import recipe_schema

    head, _, rest = written.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{reference(recipe_schema())}\n{END}{tail}"


def main() -> int:
    """Print the page, or write it."""
    sys.path.insert(0, str(ROOT))
    renewed = page(PAGE.read_text(encoding="utf-8"))
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(renewed, encoding="utf-8")
    else:
        sys.stdout.write(renewed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
