"""Check a recipe and show what it comes to: ``winnow validate RECIPE [--set KEY=VALUE]…``.

Takes a recipe; gives its steps in order with every rule as it stands for each language and source, or every mistake
with line and column. Starts no Spark, reads no data.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.core import command
from jobs.core.errors import UsageError
from jobs.core.profiles import NEUTRAL, Limits, Profiles, bounds_for
from jobs.core.recipe import Part, Recipe, Rules
from jobs.core.recipe_file import Resolved, resolve_recipe

EXAMPLE = "winnow validate gopher --set steps.filter_quality.word_count.min=40"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line: 0 when the recipe is sound, 2 with every mistake on stderr when it is not."""
    words = list(sys.argv[1:] if argv is None else argv)
    return command.end_well(lambda: _validate(words), verbose="--verbose" in words)


def _validate(words: Sequence[str]) -> int:
    arguments = command.parser("validate", "Check a recipe and show what it comes to.", EXAMPLE)
    arguments.add_argument("name", metavar="RECIPE", nargs="?", help="recipe: a name (gopher, fineweb) or a path")
    arguments.add_argument("--recipe", metavar="R", help="the same, as other commands take it")
    arguments.add_argument(
        "--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[], help="override one key"
    )
    arguments.add_argument("--json", action="store_true", help="print the resolved recipe as JSON")
    arguments.add_argument("--schema", action="store_true", help="print the JSON Schema of recipes and stop")
    arguments.add_argument("--verbose", action="store_true", help="show tracebacks")
    chosen = arguments.parse_args(list(words))
    if chosen.schema:
        from jobs.core.recipe_schema import schema_text

        sys.stdout.write(schema_text())
        return 0
    name = chosen.name or chosen.recipe
    if name is None:
        raise UsageError("name a recipe to check", next_step=f"for example: {EXAMPLE}")
    resolved = resolve_recipe(name, chosen.overrides)
    if chosen.json:
        print(json.dumps({**resolved.as_dict, "sha256": resolved.sha256}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(summary(resolved)))
    return 0


def summary(resolved: Resolved) -> Iterator[str]:
    """The resolved recipe as lines of text: where documents come from, languages, steps and rules, what to look out
    for.
    """
    recipe = resolved.recipe
    profiles = bounds_for(recipe, resolved.packs)
    yield f"recipe {recipe.recipe}, sha256 {resolved.sha256[:12]}, from {' over '.join(resolved.files)}"
    yield from _sources(recipe)
    yield from _languages(resolved)
    yield "steps:"
    idle = recipe.idle_steps()
    for place, (name, step) in enumerate(recipe.steps.items(), 1):
        settings = "" if name not in idle else f"does nothing: {idle[name]}"
        yield f"  {place:>2} {name:<18} {settings or _settings(step)}".rstrip()
        yield from _off_for(recipe, profiles, name)
        yield from _rules(recipe, profiles, name)
    yield from (f"note: {note}" for note in notes(recipe))
    yield "the recipe is sound"


def _sources(recipe: Recipe) -> Iterator[str]:
    if not recipe.sources:
        yield "sources: none named; give --input"
        return
    yield "sources:"
    for name, source in recipe.sources.items():
        facts = [f"format {recipe.format_for(name)}", f"rank {source.rank}"]
        facts += [f"{key} {getattr(source, key)}" for key in ("date", "dump", "license") if getattr(source, key)]
        yield f"  {name}: {', '.join(source.input)} ({', '.join(facts)})"


def _languages(resolved: Resolved) -> Iterator[str]:
    languages = resolved.recipe.languages
    found = f"detected by {languages.backend}" if languages.detect else "not detected"
    kept = "all kept" if languages.keep is None else f"kept: {', '.join(languages.keep)}"
    packs = ", ".join(resolved.packs) or "none"
    default = f"; {languages.default} where unknown" if languages.default else ""
    yield f"languages: {found}; {kept}; packs: {packs}{default}; others meet language-neutral rules"


def _settings(step: Part) -> str:
    """The settings that differ from the defaults."""
    changed = {
        name: value
        for name, value in step.model_dump(mode="json").items()
        if name in type(step).model_fields
        and getattr(step, name) != type(step).model_fields[name].get_default(call_default_factory=True)
    }
    return ", ".join(f"{name} {_short(value)}" for name, value in changed.items())


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(value) + "}"
    if isinstance(value, list):
        return f"[{', '.join(item if isinstance(item, str) else item.get('path', '…') for item in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _off_for(recipe: Recipe, profiles: Profiles, step: str) -> Iterator[str]:
    sources = [name for name, source in recipe.sources.items() if source.steps.turns_off(step)]
    if sources:
        yield f"     off for source {', '.join(sources)}"


def _rules(recipe: Recipe, profiles: Profiles, step: str) -> Iterator[str]:
    if step == "filter_content" and profiles.blocks_urls:
        yield "     blocked_url                         on no list"
    if step == "filter_content" and profiles.kept_languages is not None:
        yield f"     language                            {', '.join(profiles.kept_languages)}"
    part = getattr(recipe.steps, step)
    own = part.rules if isinstance(part, Rules) else {}
    for rule in profiles.rules_of(step):
        bounds = own.get(rule)
        usual = Limits(bounds.min, bounds.max) if bounds is not None else _first(profiles, step, rule)
        yield f"     {rule:<35} {_range(usual)}{_exceptions(profiles, step, rule, usual)}"


def _first(profiles: Profiles, step: str, rule: str) -> Limits | None:
    return next((each.limits(step)[rule] for each in profiles.profiles if rule in each.limits(step)), None)


def _exceptions(profiles: Profiles, step: str, rule: str, usual: Limits | None) -> str:
    """Where a rule is other than usual: by language, and by source where no language explains it."""
    by_range: dict[str, list[str]] = {}
    sources: dict[int, str] = {place: name for name, place in profiles.source_classes.items()}
    languages = _language_names(profiles)
    for of_source, row in enumerate(profiles.numbers):
        for of_language, number in enumerate(row):
            profile = profiles.profiles[number]
            limits = profile.limits(step).get(rule)
            plain = profiles.profiles[profiles.numbers[0][of_language]]
            if step in profile.off or limits == (usual if of_source == 0 else plain.limits(step).get(rule)):
                continue
            where = languages[of_language] if of_source == 0 else f"{sources[of_source]}/{languages[of_language]}"
            by_range.setdefault(_range(limits), []).append(where)
    return "".join(f"; {', '.join(where)}: {bounds}" for bounds, where in by_range.items())


def _language_names(profiles: Profiles) -> dict[int, str]:
    names: dict[int, str] = {0: "others"}
    for code, place in profiles.language_classes.items():
        names.setdefault(place, code or NEUTRAL)
    return names


def _range(limits: Limits | None) -> str:
    if limits is None:
        return "off"
    return " and ".join(text for text in limits.texts() if text)


def notes(recipe: Recipe) -> list[str]:
    """What a person may want to know that is no mistake: lists without a rule, files that are not here."""
    found = []
    content = recipe.steps.filter_content
    if content is not None:
        rules = {rule for rule, bounds in content.rules.items() if bounds is not None}
        for name in content.lexicons:
            if not rules & {f"lexicon_hits_{name}", f"lexicon_fraction_{name}"}:
                found.append(f"lexicon {name} is measured but no rule bounds it")
        for kind in ("strict", "hard", "soft"):
            if getattr(content.url_words, kind) and f"url_{kind}_hits" not in rules:
                found.append(f"url_words.{kind} are counted but no rule bounds url_{kind}_hits")
    for key, path in _files_named(recipe):
        if "://" not in path and not Path(path).exists():
            found.append(f"{key}: there is no file {path} here")
    return found


def _files_named(recipe: Recipe) -> Iterator[tuple[str, str]]:
    content, tests = recipe.steps.filter_content, recipe.steps.decontaminate
    if content is not None:
        yield from ((f"steps.filter_content.url_lists.{name}", path) for name, path in content.url_lists.items())
        yield from (
            (f"steps.filter_content.lexicons.{n}.path", lexicon.path) for n, lexicon in content.lexicons.items()
        )
    if tests is not None:
        yield from (("steps.decontaminate.testsets", testset.path) for testset in tests.testsets)
    if recipe.steps.classify is not None:
        yield from (
            (f"steps.classify.models.{n}.path", model.path) for n, model in recipe.steps.classify.models.items()
        )
    yield from ((f"signals.external.{name}.path", table.path) for name, table in recipe.signals.external.items())


if __name__ == "__main__":
    sys.exit(main())
