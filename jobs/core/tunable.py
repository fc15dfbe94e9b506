"""What of a recipe can be decided anew from stored signals: the bounds, and nothing that changes a text or a signal.

Bounds on measured signals, per recipe, language and source; rules and whole filter steps switched off; the languages
that are kept. Everything else needs the texts: it is refused by name.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.core.errors import ConfigurationError, ResourceError, UsageError
from jobs.core.recipe import Recipe, Rules
from jobs.core.recipe_file import (
    Document,
    Resolved,
    apply_override,
    check,
    resolve_recipe,
    resolved,
    shipped_recipes,
)

_FILTERS = ("filter_content", "filter_quality", "filter_repetition")  # they only decide, so they can be switched off
_NAMES = ("recipe", "description", "extends")
_NO_DECISION = (*_NAMES, "gates", "audit", "keep_signals", "keep_content")
_ABSENT = object()
MOST_VALUE_CHARS = 60


def with_overrides(old: Resolved, overrides: Sequence[str]) -> Resolved:
    """The recipe of a run with ``--set`` overrides. Raises ``RecipeError`` for mistakes in them, ``ConfigurationError``
    when one asks for more than another decision over the same signals.
    """
    document = Document("the run's recipe", copy.deepcopy(_own(old)))
    for override in overrides:
        apply_override(document, override)
    # The packs are those of the run, whatever this version ships: a change of `languages.packs` is refused here.
    new = resolved(check(Recipe, document), old.packs)
    off = [name for name in _FILTERS if name not in new.recipe.steps.names]
    changed = [path for path, _, _ in differences(_frozen(old, off), _frozen(new, off))]
    if changed:
        raise ConfigurationError(
            f"{', '.join(changed)}: cannot be tried on stored signals, this needs the texts",
            next_step="run the recipe again, with --sample for a quick answer; what can be tuned are bounds, "
            "languages.keep, and switching filters off",
        )
    return new


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key path, old value, new value) wherever two recipes differ; a value that is not there is None.

    Lists are single values; a mapping that is on one side only is one difference.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            below = f"{path}.{key}" if path else str(key)
            yield from differences(old.get(key, _ABSENT), new.get(key, _ABSENT), below)
    elif old != new:
        yield path, None if old is _ABSENT else old, None if new is _ABSENT else new


def recipe_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Where two recipes, as ledgers hold them, differ in what they ask for; another order of the steps counts as one
    difference.
    """
    found = [each for each in differences(old, new) if each[0] not in _NAMES]
    orders = [list(each["steps"]) for each in (old, new)]
    common = set(orders[0]) & set(orders[1])
    if [step for step in orders[0] if step in common] != [step for step in orders[1] if step in common]:
        found.append(("the order of the steps", orders[0], orders[1]))
    return found


def value_text(value: Any) -> str:
    """A value of a recipe on one line."""
    if value is None:
        return "none"
    text = json.dumps(value, ensure_ascii=False)
    return f"{len(value)} keys" if isinstance(value, Mapping) and len(text) > MOST_VALUE_CHARS else text


def _own(of: Resolved) -> dict[str, Any]:
    return {key: value for key, value in of.as_dict.items() if key != "language_packs"}


def _frozen(of: Resolved, off: Collection[str]) -> dict[str, Any]:
    """A recipe without all that can be tuned, and without the filters that are ``off``."""
    data = {key: value for key, value in of.as_dict.items() if key not in _NO_DECISION}
    languages, sources = data["languages"], data["sources"]
    data["steps"] = {
        name: {key: value for key, value in data["steps"][name].items() if key not in _rules(part)}
        for name, part in of.recipe.steps.items()
        if name not in off
    }
    data["languages"] = {
        **{key: value for key, value in languages.items() if key != "keep"},
        "overrides": _layers(languages["overrides"]),
    }
    data["sources"] = {name: {**source, "steps": None} for name, source in sources.items()}
    data["source overrides"] = _layers({name: source["steps"] for name, source in sources.items()})
    return data


def _rules(part: Any) -> Collection[str]:
    return part.rules if isinstance(part, Rules) else ()


def _layers(layers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What languages or sources do differently besides bounds: the edits of texts that they leave out."""
    edits = {
        code: {name: value for name, value in layer.items() if name not in _FILTERS and value == "off"}
        for code, layer in layers.items()
    }
    return {code: layer for code, layer in edits.items() if layer}


# --- writing --------------------------------------------------------------------------------------------------------


def write_recipe(new: Resolved, target: str, extends: str | None) -> str | None:
    """Write a tuned recipe, as changes to the recipe that it extends where there is one; the name of that one.

    Without ``extends`` that is the shipped recipe of the same name; None when the whole recipe was written. Raises
    ``UsageError`` when the file exists, ``ConfigurationError`` when ``extends`` cannot be made into this recipe.
    """
    path = Path(target)
    if path.exists():
        raise UsageError(f"{target} already exists", next_step="name another file for --write")
    base = extends or (new.recipe.recipe if new.recipe.recipe in shipped_recipes() else None)
    written = False
    try:
        if base is not None:
            change = _change(_own(resolve_recipe(base)), _own(new))
            _write(path, {"extends": _seen_from(path, base), **change})
            written = _decides_alike(path, new)
            if extends is not None and not written:
                path.unlink()
                raise ConfigurationError(
                    f"{extends} cannot be changed into the tuned recipe by bounds and values alone"
                )
        if not written:
            _write(path, _own(new))
    except OSError as error:
        raise ResourceError(f"{target} cannot be written: {error.strerror}") from None
    return base if written else None


def _change(base: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The keys by which one recipe differs from another, nested as in a recipe file; steps and rules that it does not
    have are off.
    """
    change: dict[str, Any] = {}
    for key, value in new.items():
        if key == "extends" or (key in base and base[key] == value):
            continue
        below = base.get(key)
        change[key] = _change(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    change.update({key: "off" for key, value in base.items() if key not in new and value is not None})
    return change


def _seen_from(path: Path, base: str) -> str:
    """``extends`` as the file must say it: a relative path is relative to the file."""
    if "://" in base or Path(base).suffix not in (".yaml", ".yml"):
        return base
    return os.path.relpath(base, path.parent or ".")


def _decides_alike(path: Path, new: Resolved) -> bool:
    def said(of: Resolved) -> dict[str, Any]:
        steps = {name: _without_null(part.model_dump(mode="json")) for name, part in of.recipe.steps.items()}
        return {**{key: value for key, value in _own(of).items() if key not in _NAMES}, "steps": steps}

    try:
        return said(resolve_recipe(str(path))) == said(new)
    except ConfigurationError:
        return False


def _without_null(step: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in step.items() if value is not None}


def _write(path: Path, data: Mapping[str, Any]) -> None:
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(dict(data), file)
