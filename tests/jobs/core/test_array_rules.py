"""Rules over batches decide as the plain definition does, whatever sources, languages and missing values there are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.array_rules import ArrayRules
from jobs.core.errors import ConfigurationError
from jobs.core.profiles import bounds_for, decide_plain
from jobs.core.recipe_file import resolve_recipe

RECIPE = resolve_recipe(
    "gopher",
    [
        "sources={a: {input: x}, b: {input: y, steps: {filter_quality: off}}, "
        "c: {input: z, steps: {filter_quality: {word_count: {min: 5}, mean_word_length: off}}}}",
        "languages.keep=[en, de, zh]",
        "languages.overrides.de={filter_repetition: off, filter_quality: {word_count: {max: 60}}}",
        "steps.filter_content.language_score={min: 0.5}",
        "steps.filter_content.url_lists={bad: lists/bad}",
    ],
)
STEPS = ("filter_content", "filter_quality", "filter_repetition")
PROFILES = bounds_for(RECIPE.recipe, RECIPE.packs)
RULES = ArrayRules(PROFILES, STEPS)

values = st.one_of(st.none(), st.just(math.nan), st.sampled_from([0.0, 0.1, 0.2, 2.0, 3.0, 50.0, 60.5, 1e6]))
documents = st.fixed_dictionaries(
    {
        "source": st.sampled_from([None, "a", "b", "c", "other"]),
        "language": st.sampled_from([None, "en", "de", "de-AT", "zh_Hant", "xx", "und", "EN"]),
        "language_score": values,
        "blocked_url": st.sampled_from([None, "bad"]),
        "good": st.booleans(),
        "changes": st.dictionaries(st.sampled_from(RULES.signals), values, max_size=4),
    }
)


def row_of(document: dict[str, Any]) -> dict[str, Any]:
    """A document whose signals all pass, or are all absent, but for a few."""
    passing = {
        name: 20.0 if "count" in name or name == "mean_word_length" else 0.9 if name.startswith("alpha") else 0.0
        for name in RULES.signals
    }
    passing |= {"word_count": 55.0, "mean_word_length": 5.0}
    signals = passing if document["good"] else dict.fromkeys(RULES.signals)
    named = {name: document[name] for name in ("source", "language", "language_score", "blocked_url")}
    return {**named, **signals, **document["changes"]}


@given(st.lists(documents, max_size=12))
def test_a_batch_is_decided_as_document_by_document(documents: list[dict[str, Any]]) -> None:
    rows = [row_of(document) for document in documents]
    texts = ("source", "language", "blocked_url")
    types = [(name, pa.string() if name in texts else pa.float64()) for name in (*texts, "language_score")]
    schema = pa.schema([*types, *((name, pa.float64()) for name in RULES.signals)])
    verdicts = RULES.decide(pa.RecordBatch.from_pylist(rows, schema))
    for place, row in enumerate(rows):
        expected = decide_plain(PROFILES, row, language=row["language"], source=row["source"], steps=STEPS)
        broken = {(step, rule) for (step, rule), flags in verdicts.broken.items() if flags[place]}
        assert broken == {(step, reason.rule) for step, reasons in expected.items() for reason in reasons}
        stage = next(iter(expected), None)
        assert [*verdicts.steps, None][verdicts.stage[place]] == stage
        removing = {(step, rule) for step, rule in verdicts.broken if verdicts.reasons(step, rule)[place]}
        assert removing == {(stage, reason.rule) for reason in expected.get(stage, ())} if stage else not removing


def test_whole_numbers_and_sliced_batches_are_read_as_they_are() -> None:
    resolved = resolve_recipe("gopher", ["languages.keep=null"])
    rules = ArrayRules(bounds_for(resolved.recipe, resolved.packs), ["filter_quality"])
    columns: dict[str, pa.Array] = {name: pa.array([None] * 4, pa.float64()) for name in rules.signals}
    columns |= {"source": pa.array(["s"] * 4), "language": pa.array(["en"] * 4)}
    columns["word_count"] = pa.array([49, 50, 100_000, 100_001])
    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns)).slice(1)
    assert rules.decide(batch).broken["filter_quality", "word_count"].tolist() == [False, False, True]
    assert rules.decide(batch.slice(0, 0)).stage.dtype == np.int8


def test_a_bound_that_is_a_quantile_is_refused() -> None:
    resolved = resolve_recipe("gopher", ["steps.filter_quality.word_count={min: p10}"])
    with pytest.raises(ConfigurationError, match="quantile"):
        ArrayRules(bounds_for(resolved.recipe, resolved.packs), ["filter_quality"])
