"""A recipe's row-wise steps as a plan for the annotation kernel: plain values for the workers. Needs no Spark."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.core.packaged_lists import path_of
from jobs.core.recipe_file import Resolved
from udfs.annotate import Plan, with_paths

ANNOTATED_STEPS = (
    "repair_unicode",
    "filter_content",
    "edit_lines",
    "filter_quality",
    "filter_repetition",
    "classify",
    "redact",
)


def annotation_plan(resolved: Resolved, steps: Sequence[str]) -> Plan:
    """What the annotation measures and edits for these steps, in their order."""
    recipe = resolved.recipe
    named = [name for name in steps if name in ANNOTATED_STEPS and name in recipe.steps]
    languages = recipe.languages
    plan = Plan(
        steps=tuple((name, getattr(recipe.steps, name).model_dump()) for name in named),
        detect_language=languages.detect and bool(named),
        language_backend=languages.backend,
        min_language_score=languages.min_score,
        stop_words={code: tuple(pack.stop_words) for code, pack in resolved.packs.items() if pack.stop_words},
        default_language=languages.default,
    )
    return with_paths(plan, path_of)
