"""What pydantic found wrong with a recipe, said so that the person who wrote it can mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

from jobs.core.recipe import Bounds, Part, Rules
from jobs.core.rule_names import RULES

KeyPath: TypeAlias = tuple[str | int, ...]

MAX_LISTED_KEYS = 16


def closest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)`` for the known word nearest to a misspelt one, or an empty text."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {matches[0]}?)" if matches else ""


def known_keys(model: type[Part], path: KeyPath, external_signals: Iterable[str] = ()) -> list[str]:
    """The keys that can stand under a key path; empty where any name can."""
    part = _part_type(_annotation_at(model, path))
    if part is None:
        return []
    keys = list(part.model_fields)
    if issubclass(part, Rules):
        keys += [*RULES[part.step_name], *(external_signals if part.step_name == "filter_quality" else ())]
    return keys


def _annotation_at(model: type[Part], path: KeyPath) -> Any:
    current: Any = model
    for key in path:
        part = _part_type(current)
        if part is not None:
            current = _annotation_of_key(part, str(key))
            continue
        inner = _unwrapped(current)
        arguments = get_args(inner)
        current = arguments[1] if get_origin(inner) is dict else arguments[0] if get_origin(inner) is tuple else None
    return current


def _annotation_of_key(part: type[Part], key: str) -> Any:
    if key in part.model_fields:
        return part.model_fields[key].annotation
    if issubclass(part, Rules):
        return Bounds
    return None


def _unwrapped(annotation: Any) -> Any:
    """An annotation without ``Annotated`` and without ``| None``."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
            continue
        choices = [choice for choice in get_args(annotation) if choice is not type(None)]
        if len(choices) != 1:
            return None
        annotation = choices[0]
    return annotation


def _part_type(annotation: Any) -> type[Part] | None:
    inner = _unwrapped(annotation)
    return inner if isinstance(inner, type) and issubclass(inner, Part) else None


def explain_problem(
    model: type[Part], error: Mapping[str, Any], external_signals: Iterable[str] = ()
) -> Iterator[tuple[KeyPath, str, bool]]:
    """Key path, message, and whether the key rather than the value is at fault, for one pydantic error."""
    path: KeyPath = tuple(key for key in error["loc"] if key != "[key]")
    kind = error["type"]
    context = error.get("ctx", {})
    if kind == "too_short" and error.get("input"):
        return  # its items were refused, each with a message of its own
    if kind == "contradictions":
        for inner, message in context["problems"]:
            yield inner, message, True
    elif kind in ("extra_forbidden", "unknown_key"):
        yield path, _unknown_key(model, path, external_signals), True
    elif error["loc"] and error["loc"][-1] == "[key]":
        yield path, f"is no valid name here: it must match {context.get('pattern', 'the schema')}", True
    elif kind == "missing":
        yield path, "is missing", True
    else:
        yield path, _wrong_value(kind, error, context), False


def _unknown_key(model: type[Part], path: KeyPath, external_signals: Iterable[str]) -> str:
    home = next((step for step, rules in RULES.items() if path[-1] in rules), None)
    if home is not None and home not in path:
        return f"unknown key here: it is a rule of {home}"
    known = known_keys(model, path[:-1], external_signals)
    hint = closest(str(path[-1]), known)
    if not hint and 0 < len(known) <= MAX_LISTED_KEYS:
        hint = f" (known here: {', '.join(known)})"
    return f"unknown key{hint}"


_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "finite_number": "a finite number",
}
_LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def _wrong_value(kind: str, error: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    value = error.get("input")
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}, not {_shown(value)}{_quoting_hint(kind, value)}"
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        return f"must be {words} {context[limit]}, not {_shown(value)}"
    if kind == "literal_error":
        choices = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return f"must be one of {', '.join(choices)}, not {_shown(value)}{closest(str(value), choices)}"
    if kind == "string_pattern_mismatch":
        return f"must match {context['pattern']}, not {_shown(value)}"
    if kind == "too_short":
        return "must not be empty"
    return str(error["msg"])


def _shown(value: Any) -> str:
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text '{value[:60]}'" if len(value) <= 60 else f"the text '{value[:60]}…'"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"{value}"


def _quoting_hint(kind: str, value: Any) -> str:
    if kind in ("int_type", "float_type") and isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return ""
        return " (write it without quotes)"
    if kind == "string_type" and isinstance(value, (int, float)):
        return " (write it in quotes)"
    return ""
