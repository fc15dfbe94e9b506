"""The row-wise pass: every step that looks at one document at a time, fused so that text crosses into Python once.

Reading gives rows; raw pages become text; one Arrow UDF measures; column expressions decide, step by step, and the
first step with a broken rule is the stage that removes the document. Shuffles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from jobs.core.annotation import ANNOTATED_STEPS, annotation_plan
from jobs.core.documents import KEPT, QUARANTINED, REASONS_TYPE, REMOVED
from jobs.core.errors import ConfigurationError
from jobs.core.external_signals import with_external_signals
from jobs.core.inputs import Fields, Source
from jobs.core.recipe import Recipe
from jobs.core.recipe_file import Resolved
from jobs.core.rules import RuleBook
from jobs.core.shipped_files import plan_on_workers
from jobs.core.worker_garbage import skip_lasting_objects
from udfs import annotate as kernels

ROW_STEPS = ("extract_text", *ANNOTATED_STEPS)
# What extraction says of a page that holds nothing to read: a reason to remove it, where all else is a failure to read
# it.
EMPTY_PAGE = "extract_empty"
_NOTHING_TO_READ = (EMPTY_PAGE, "extract_no_content")


def reader_sources(recipe: Recipe) -> list[Source]:
    """The recipe's sources as the readers know them."""
    return [
        Source(
            name=name,
            paths=source.input,
            format=None if recipe.format_for(name) == "auto" else recipe.format_for(name),
            fields=Fields(**recipe.fields_for(name).model_dump()),
            rank=recipe.rank_of(name),
            date=source.date,
            archives=source.archives or recipe.ingest.archives,
        )
        for name, source in recipe.sources.items()
    ]


def row_steps(resolved: Resolved, steps: Sequence[str]) -> RowSteps:
    """The row-wise steps among ``steps`` (``ingest`` first), ready to be applied."""
    return RowSteps(resolved, tuple(name for name in steps if name == "ingest" or name in ROW_STEPS))


@dataclass(frozen=True)
class RowSteps:
    """The row-wise part of a run: ``names`` in order, ``ingest`` first."""

    resolved: Resolved
    names: tuple[str, ...]
    quantiles: Mapping[tuple[str, str], float] | None = None  # values of the bounds that are quantiles, once measured

    @property
    def recipe(self) -> Recipe:
        """The recipe that the steps come from."""
        return self.resolved.recipe

    @cached_property
    def rules(self) -> RuleBook:
        """The recipe's bounds as column expressions."""
        return RuleBook(self.resolved, self.quantiles)

    # --------------------------------------------------------------------------------------------------------- the pass

    def apply(self, documents: DataFrame) -> DataFrame:
        """Rows as the readers give them → rows with text, signals, and an outcome each."""
        return self.annotated(documents).transform(self._decide).transform(_with_outcome)

    def annotated(self, documents: DataFrame) -> DataFrame:
        """Rows as the readers give them → rows with text and signals, not yet judged."""
        rows = documents.transform(_with_state)
        if "extract_text" in self.names:
            rows = rows.transform(self._extract)
        rows = rows.transform(self._annotate)
        if "filter_quality" in self.names:
            rows = with_external_signals(rows, self.recipe.signals.external.values())
        return rows

    def _extract(self, rows: DataFrame) -> DataFrame:
        """Raw pages to text; what the page says of itself (title, date, language) joins ``metadata``."""
        step = self.recipe.steps.extract_text
        assert step is not None
        page = F.when(F.col("stage").isNull() & F.col("text").isNull(), F.col("content"))
        extracted = _extraction(step.model_dump())(page, F.col("content_type"), F.col("url"), F.col("metadata"))
        reason, failed = F.col("_page.reason"), F.col("_page.reason").isNotNull()
        empty = reason.isin(*_NOTHING_TO_READ)
        origin = F.col("origin")
        return (
            rows.withColumn("_page", extracted)
            .withColumns(
                {
                    "text": F.coalesce("text", "_page.text"),
                    "metadata": F.coalesce("_page.metadata", "metadata"),
                    "date": F.coalesce("date", F.try_to_timestamp("_page.date")),
                    "stage": F.when(failed, F.lit("extract_text")).otherwise(F.col("stage")),
                    "reasons": F.when(empty, _one_reason(EMPTY_PAGE, F.lit(0.0), "> 0 characters")).otherwise(
                        F.col("reasons")
                    ),
                    "origin": F.when(
                        failed & ~empty,
                        origin.withField("outcome", F.lit(QUARANTINED))
                        .withField("reason", reason)
                        .withField("detail", F.col("_page.detail")),
                    ).otherwise(origin),
                }
            )
            .drop("_page")
        )

    def _annotate(self, rows: DataFrame) -> DataFrame:
        alive = F.col("stage").isNull()
        names = [f.name for f in _output_type(self.plan)]  # first: it says which list cannot be read
        needs_key = F.col("key").isNull()
        measured = _annotation(self.plan, plan_on_workers(rows.sparkSession, self.plan))(
            F.col("key"),
            F.col("id"),
            F.col("url"),
            F.when(alive if self.plan.reads_text else alive & needs_key, F.col("text")),
            F.when(needs_key, F.col("content")),
            F.col("language"),
        )
        columns = {name: F.col(f"_measured.{name}") for name in names}
        if "text" in columns:
            columns["text"] = F.when(alive, columns["text"]).otherwise(F.col("text"))
        return rows.withColumn("_measured", measured).withColumns(columns).drop("_measured")

    def _decide(self, rows: DataFrame) -> DataFrame:
        """The first step with a broken rule removes the document; all rules broken in that step are its reasons."""
        deciding = [name for name in self.names if self.rules.has_rules(name)]
        if not deciding:
            return rows
        rows = rows.withColumn("_profile", self.rules.profile(F.col("source"), F.col("language")))
        rows = rows.withColumns({f"_{name}": self.rules.reasons(name, F.col("_profile")) for name in deciding})
        first = F.coalesce(
            *[
                F.when(F.size(f"_{name}") > 0, F.struct(F.lit(name).alias("stage"), F.col(f"_{name}").alias("reasons")))
                for name in deciding
            ]
        )
        alive = F.col("stage").isNull()
        return (
            rows.withColumn("_broken", F.when(alive, first))
            .withColumns(
                {
                    "stage": F.coalesce("stage", "_broken.stage"),
                    "reasons": F.coalesce("reasons", F.col("_broken.reasons").cast(REASONS_TYPE)),
                }
            )
            .drop("_broken", "_profile", *[f"_{name}" for name in deciding])
        )

    # ---------------------------------------------------------------------------------------------------- what it needs

    @cached_property
    def plan(self) -> kernels.Plan:
        """What the annotation measures and edits, as plain values."""
        return annotation_plan(self.resolved, self.names)

    def part(self) -> dict[str, Any]:
        """What the row-wise pass depends on in its recipe: that part of a stage's fingerprint."""
        whole = dict(self.resolved.as_dict)
        steps = {name: whole["steps"].get(name) for name in self.names if name != "ingest"}
        kept = ("sources", "ingest", "languages", "signals", "language_packs")
        return {"steps": steps, **{name: whole.get(name) for name in kept}}

    def with_keys(self, documents: DataFrame) -> DataFrame:
        """Compute the keys that are still NULL, for sampling: Parquet rows get theirs with the signals otherwise."""
        plan = kernels.Plan()
        measured = _annotation(plan, lambda: plan)("key", "id", "url", "text", "content", "language")
        return documents.withColumn("key", measured.getField("key"))

    def with_source_facts(self, documents: DataFrame, recipe: Recipe) -> DataFrame:
        """Add ``source_rank`` and ``dump``, by a map as small as the recipe's list of sources."""
        ranks = {name: recipe.rank_of(name) for name in recipe.sources}
        dumps = {name: source.dump or name for name, source in recipe.sources.items()}
        return documents.withColumns(
            {
                "source_rank": F.coalesce(_looked_up(ranks, F.col("source")), F.lit(100)).cast("int"),
                "dump": F.coalesce(_looked_up(dumps, F.col("source")), F.col("source")),
            }
        )

    def re_decide(self, rows: DataFrame) -> dict[str, int]:
        """Decide a sample again by the plain definitions (``--paranoid``)."""
        from jobs.core.paranoid import re_decide

        return re_decide(self, rows)


def _with_state(documents: DataFrame) -> DataFrame:
    stopped = F.col("origin.outcome").isNotNull()
    return documents.withColumns({"stage": F.when(stopped, F.lit("ingest")), "reasons": F.lit(None).cast(REASONS_TYPE)})


def _with_outcome(rows: DataFrame) -> DataFrame:
    outcome = F.coalesce(
        F.col("origin.outcome"), F.when(F.col("stage").isNotNull(), F.lit(REMOVED)).otherwise(F.lit(KEPT))
    )
    return rows.withColumns({"outcome": outcome, "text_bytes": F.octet_length("text").cast("long")})


def _one_reason(rule: str, value: Column, bound: str) -> Column:
    reason = F.struct(F.lit(rule).alias("rule"), value.cast("double").alias("value"), F.lit(bound).alias("bound"))
    return F.array(reason).cast(REASONS_TYPE)


def _looked_up(values: Mapping[str, Any], by: Column) -> Column:
    pairs: Iterable[Column] = (F.lit(item) for pair in values.items() for item in pair)
    return F.element_at(F.create_map(*pairs), by) if values else F.lit(None)


def _spark_type(kind: pa.DataType) -> DataType:
    from pyspark.sql.pandas.types import from_arrow_type

    return from_arrow_type(kind)


def _annotation(plan: kernels.Plan, on_worker: Callable[[], kernels.Plan]) -> Any:
    """The annotation as a Spark function of (key, id, url, text, content, language)."""
    kind = _spark_type(_output_type(plan))

    def measure(
        key: pa.Array, id_: pa.Array, url: pa.Array, text: pa.Array, content: pa.Array, language: pa.Array
    ) -> pa.Array:
        skip_lasting_objects()
        return kernels.annotate(on_worker(), key, id_, url, text, content, language)

    # Nondeterministic only in name: it keeps the optimiser from evaluating the function once per expression that reads
    # it.
    udf: Any = F.arrow_udf  # its type hints know fewer arguments than it takes
    return udf(measure, kind).asNondeterministic()


def _output_type(plan: kernels.Plan) -> pa.StructType:
    """What the annotation gives. Lists that the recipe names are read here for the first time, on the driver."""
    try:
        return kernels.output_type(plan)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"a list of the recipe cannot be read: {error}") from error


def _extraction(options: Mapping[str, Any]) -> Any:
    """Extraction as a Spark function of (content, content_type, url, metadata)."""
    from udfs.pages import PAGE_TYPE, extract_pages

    def extract(content: pa.Array, content_type: pa.Array, url: pa.Array, metadata: pa.Array) -> pa.Array:
        skip_lasting_objects()
        return extract_pages(content, content_type, url, metadata, options)

    udf: Any = F.arrow_udf
    return udf(extract, _spark_type(PAGE_TYPE)).asNondeterministic()


__all__ = ["EMPTY_PAGE", "ROW_STEPS", "RowSteps", "reader_sources", "row_steps"]
