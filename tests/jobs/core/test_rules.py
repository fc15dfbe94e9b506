"""Rules as column expressions: the same decisions as the plain ones, total, without Python per row."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType

from jobs.core.errors import ConfigurationError
from jobs.core.profiles import decide_plain
from jobs.core.recipe import Recipe
from jobs.core.recipe_file import Resolved, resolve_recipe, resolved
from jobs.core.rules import RuleBook

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

INTEGERS = ("word_count", "stop_word_count")
NUMBERS = ("mean_word_length", "hash_word_ratio", "duplicate_line_fraction", "duplicate_10gram_char_fraction")
TEXTS = ("blocked_url", "blocked_url_entry")
SIGNALS = StructType(
    [StructField(name, LongType()) for name in INTEGERS]
    + [StructField(name, DoubleType()) for name in NUMBERS]
    + [StructField(name, StringType()) for name in TEXTS]
)
SCHEMA = StructType(
    [StructField(name, StringType()) for name in ("source", "language")]
    + [StructField("language_score", DoubleType()), StructField("signals", SIGNALS)]
)
RULES = {
    "filter_content": {"language_score": {"min": 0.65}, "url_lists": {"adult": "x"}},
    "filter_quality": {
        "word_count": {"min": 50, "max": 100000},
        "mean_word_length": {"min": 3, "max": 10},
        "hash_word_ratio": {"max": 0.1},
        "stop_word_count": {"min": 2},
    },
    "filter_repetition": {"duplicate_line_fraction": {"max": 0.3}, "duplicate_10gram_char_fraction": {"max": 0.1}},
}
SOURCES = {
    "web": {"input": "w"},
    "books": {"input": "b", "steps": {"filter_quality": {"word_count": {"max": None}}, "filter_content": "off"}},
    "code": {"input": "c", "steps": {"filter_quality": "off", "filter_repetition": {"duplicate_line_fraction": "off"}}},
}


def recipe_of(**more: Any) -> Resolved:
    return resolved(Recipe.model_validate({"recipe": "r", "steps": RULES, **more}))


def signals_of(**values: Any) -> dict[str, Any]:
    fine = {"word_count": 100, "stop_word_count": 5, "mean_word_length": 5.0, "hash_word_ratio": 0.0}
    return {
        **dict.fromkeys(SIGNALS.names),
        **fine,
        "duplicate_line_fraction": 0.0,
        "duplicate_10gram_char_fraction": 0.0,
        **values,
    }


def frame(spark: SparkSession, rows: list[tuple[str | None, str | None, float | None, dict[str, Any]]]) -> DataFrame:
    data = [
        (source, language, score, tuple(signals[name] for name in SIGNALS.names))
        for source, language, score, signals in rows
    ]
    return spark.createDataFrame(data, SCHEMA)


def decided(book: RuleBook, rows: DataFrame, steps: tuple[str, ...]) -> list[dict[str, Any]]:
    with_profile = rows.withColumn("_profile", book.profile(F.col("source"), F.col("language")))
    chosen = with_profile.select(*[book.reasons(step, F.col("_profile")).alias(step) for step in steps])
    return [
        {step: [(r.rule, r.value, r.bound) for r in row[step]] for step in steps if row[step]}
        for row in chosen.collect()
    ]


def test_columns_decide_as_the_plain_definition_does(spark: SparkSession) -> None:
    resolved_recipe = recipe_of(sources=SOURCES, languages={"keep": ["en", "de", "zh", "th"], "default": "en"})
    book = RuleBook(resolved_recipe)
    values = [
        signals_of(),
        signals_of(word_count=49, mean_word_length=10.0, hash_word_ratio=0.1000001),
        signals_of(word_count=50, stop_word_count=1, mean_word_length=12.0),
        signals_of(word_count=100_001, stop_word_count=None, mean_word_length=math.nan),
        signals_of(duplicate_line_fraction=0.31, duplicate_10gram_char_fraction=0.2),
        signals_of(blocked_url="adult", blocked_url_entry="example.com"),
        signals_of(blocked_url="adult"),
        dict.fromkeys(SIGNALS.names),
    ]
    sources, languages = (
        ["web", "books", "code", None, "other"],
        ["en", "de", "zh", "zh-TW", "th", "TH", "deu", "xx", "und", None],
    )
    rows = [
        (source, language, score, signals)
        for (source, language, signals), score in zip(
            itertools.product(sources, languages, values),
            itertools.cycle([0.9, 0.65, 0.3, None, math.nan]),
            strict=False,
        )
    ]
    found = decided(book, frame(spark, rows), tuple(RULES))
    for (source, language, score, signals), reasons in zip(rows, found, strict=True):
        plain = decide_plain(book.profiles, {**signals, "language_score": score}, language=language, source=source)
        expected = {step: [tuple(reason) for reason in listed] for step, listed in plain.items()}
        assert reasons == expected, (source, language, score, signals)


def test_a_chinese_a_thai_and_a_german_page_are_not_judged_by_english_stop_words(spark: SparkSession) -> None:
    book = RuleBook(resolve_recipe("gopher", ["steps.extract_text=off"]))
    assert (
        book.has_rules("filter_quality") and not book.has_rules("filter_content") and not book.has_rules("dedup_near")
    )
    applies = {
        language: set(book.profiles.profile(None, language).limits("filter_quality"))
        for language in ("en", "de", "zh", "th", "xx")
    }
    assert "stop_word_count" in applies["en"] & applies["de"] & applies["zh"]
    assert "stop_word_count" not in applies["th"] | applies["xx"]
    packs = resolve_recipe("gopher").packs
    assert not set(packs["en"].stop_words) & {*packs["zh"].stop_words, *packs["th"].stop_words}


def test_no_rule_gives_an_empty_array_and_no_null(spark: SparkSession) -> None:
    book = RuleBook(resolved(Recipe.model_validate({"recipe": "r", "steps": {"filter_quality": {}}})))
    assert not book.has_rules("filter_quality")
    assert decided(book, frame(spark, [(None, None, None, dict.fromkeys(SIGNALS.names))]), ("filter_quality",)) == [{}]


def test_unsupported_languages_and_steps_that_are_off_are_told(spark: SparkSession) -> None:
    book = RuleBook(recipe_of(sources=SOURCES))
    rows = frame(
        spark, [("web", "en", 1.0, signals_of()), ("code", "xx", 1.0, signals_of()), ("web", None, None, signals_of())]
    )
    told = rows.withColumn("_profile", book.profile(F.col("source"), F.col("language"))).select(
        book.unsupported_language(F.col("language")), book.applies("filter_quality", F.col("_profile"))
    )
    assert [tuple(row) for row in told.collect()] == [(False, True), (True, False), (True, True)]


def test_decisions_run_no_python_and_shuffle_nothing(spark: SparkSession) -> None:
    book = RuleBook(recipe_of(sources=SOURCES))
    rows = frame(spark, [("web", "en", 1.0, signals_of())])
    judged = rows.withColumn("_profile", book.profile(F.col("source"), F.col("language"))).select(
        book.reasons("filter_quality", F.col("_profile"))
    )
    plan = judged._jdf.queryExecution().executedPlan().toString()  # type: ignore[operator]
    assert "Python" not in plan and "Exchange" not in plan


def test_two_hundred_sources_decide_alike(spark: SparkSession) -> None:
    sources = {f"s{i}": {"input": "x", "steps": {"filter_quality": {"word_count": {"min": i % 7}}}} for i in range(200)}
    book = RuleBook(recipe_of(sources=sources))
    rows = [(f"s{i}", language, 1.0, signals_of(word_count=3)) for i in range(200) for language in ("en", "xx")]
    found = decided(book, frame(spark, rows), ("filter_quality",))
    expected = [
        {"filter_quality": [("word_count", 3.0, f">= {i % 7}")]} if i % 7 > 3 else {}
        for i in range(200)
        for _ in range(2)
    ]
    assert found == expected


def test_a_quantile_that_was_not_measured_is_refused(spark: SparkSession) -> None:
    data = {
        "recipe": "r",
        "signals": {"external": {"e": {"path": "p", "columns": {"hash_score": "c"}}}},
        "steps": {"filter_quality": {"hash_score": {"min": "p90"}}},
    }
    recipe = resolved(Recipe.model_validate(data))
    with pytest.raises(ConfigurationError, match="p90 on hash_score is a quantile"):
        RuleBook(recipe).reasons("filter_quality", F.lit(0))
    assert RuleBook(recipe, {("hash_score", "p90"): 0.5}).reasons("filter_quality", F.lit(0)) is not None
