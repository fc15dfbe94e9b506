"""Cut lines, paragraphs or spans of sentences that many pages share.

Takes documents with (key, copy); gives the texts that are cut with what was cut from them, and decisions on pages of
which too little is left. One job for CCNet's paragraphs (arXiv 1911.00359, section 3.1: lines in the words used here),
C4's spans of three sentences (arXiv 1910.10683, section 2.2) and the boilerplate of a site. Units are compared by
128-bit digests of their normalised text (`udfs.line_units`), counted over the corpus or over each host; those at or
above `min_count` occurrences, or on at least `min_host_share` of a host's pages and two of them, are cut, but for the
first copy where `keep_first` says so: that of the best document by `keep`, and there the first in the text. A sentence
is cut where a span that covers it is cut.

A page is removed where nothing is left of it, or where the recipe bounds the share of words lost. It may have held the
first copy of something that was cut elsewhere, which is then gone: `max_removed_share` is off by default.

Shuffled, in bytes before compression: 40 for each distinct unit of a document (scope 8, digest 16, count 8, row
header), less where a task holds several copies; then, for occurrences of what is cut only, 100 and the length of the id
each, found on a second scan by a bitmap of at most 64 MB. The texts of pages that are cut are shuffled by (key, copy)
where the cuts do not fit a broadcast. A task is bounded by its partition: counts are reduced in every task before they
meet, and the first copy of a unit is found in the same way.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from jobs.core.arrow_map import ArrowMap, map_in_arrow
from jobs.core.bitmap import bitmap_of, in_bitmap
from jobs.core.job import Job, run_job
from jobs.core.recipe import DedupLines
from jobs.core.run import SetResult
from jobs.core.run_folder import StageFolder
from jobs.core.survivors import folder, identity_columns, nullable_fields, order_of, rank_columns, written
from udfs.line_units import SPAN_SENTENCES, Units, units, without
from udfs.tokens import words
from udfs.urls import hosts

UNIT = ("scope", "digest_1", "digest_2")
COUNTS = "scope long, digest_1 long, digest_2 long, times long"
CUTS_TYPE = "array<struct<begin: long, end: long, text: string>>"
RULE = "removed_word_fraction"


def find_lines(documents: DataFrame, step: DedupLines, workspace: str) -> SetResult:
    """Find what is cut from which document.

    Args:
        documents: id, key, copy, text, url (for hosts), and what `keep` reads; scanned three times.
        step: The step's part of the recipe.
        workspace: Folder for intermediate tables.
    """
    frequent, counts = _frequent(documents, step, workspace)
    if not counts["cut_units"]:
        documents = documents.limit(0)
    numbers, found = _units_to_cut(documents, frequent, counts["cut_units"], step, workspace)
    edited = _edited(documents, numbers, step).withColumn("gone", _is_gone(step))
    edits, told = written(
        edited,
        folder(workspace, "edited"),
        cut_documents=F.count(F.lit(1)),
        removed=F.count_if("gone"),
        removed_words=F.sum("removed_words"),
    )
    return SetResult(
        edits.where("gone").select("key", "copy", _reasons(step).alias("reasons")),
        edits=edits.where(~F.col("gone")).select("key", "copy", "text", "cuts"),
        edits_in=folder(workspace, "edited"),
        facts={**counts, **found, **told},
    )


def dedup_lines(documents: DataFrame, step: DedupLines, folder: StageFolder) -> SetResult:
    """Run the step within a recipe."""
    return find_lines(documents, step, folder.table("work"))


# ---------------------------------------------------------------------------------------------------- what is cut


def _frequent(documents: DataFrame, step: DedupLines, workspace: str) -> tuple[DataFrame, dict[str, Any]]:
    """Units (scope, digest) that are to be cut."""
    compared = documents.select("text", *(["url"] if step.scope == "host" else []))
    counted = (
        map_in_arrow(compared, _count_batches(step), COUNTS)
        .groupBy(*UNIT)
        .agg(F.sum("times").alias("occurrences"), F.count(F.lit(1)).alias("pages"))
    )
    enough: Column = F.lit(False)
    if step.min_count is not None:
        enough = enough | (F.col("occurrences") >= step.min_count)
    if step.min_host_share is not None and step.scope == "host":
        pages = map_in_arrow(compared, _page_batches, "scope long").groupBy("scope").agg(F.count(F.lit(1)).alias("of"))
        counted = counted.join(pages, on="scope", how="inner")
        share = F.col("pages") / F.col("of") >= step.min_host_share
        enough = enough | (share & (F.col("pages") >= 2))
    return written(
        counted.where(enough).select(*UNIT),
        folder(workspace, "frequent"),
        cut_units=F.count(F.lit(1)),
    )


def _scopes(batch: pa.RecordBatch) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return a hash of each page's host, 0 where hosts make no difference; and which pages are compared at all."""
    if "url" not in batch.schema.names:
        return np.zeros(batch.num_rows, dtype=np.int64), np.ones(batch.num_rows, dtype=np.bool_)
    names = hosts(batch.column("url"))
    hashed = words(names.fill_null(""), normalised=False)  # a host is one word
    known = np.diff(hashed.offsets) > 0
    scopes = np.zeros(batch.num_rows, dtype=np.int64)
    scopes[known] = hashed.hashes[hashed.offsets[:-1][known]].view(np.int64)
    return scopes, known


def _page_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        scopes, known = _scopes(batch)
        yield pa.RecordBatch.from_arrays([pa.array(scopes[known])], names=["scope"])


def _count_batches(step: DedupLines) -> ArrowMap:
    kind, min_chars = step.unit, step.min_chars

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            scopes, known = _scopes(batch)
            found = units(batch.column("text"), kind, min_chars)
            documents = _documents_of(found)
            used = found.counted & known[documents]
            rows, times = _counted(documents[used], *found.digests[used].T)
            columns = [scopes[rows[0]], rows[1], rows[2], times]
            yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], names=[*UNIT, "times"])

    return count


def _counted(*columns: NDArray[np.int64]) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Return the distinct rows of some columns, and how often each is there."""
    order = np.lexsort(columns[::-1])
    ordered = [column[order] for column in columns]
    begins = np.ones(len(order), dtype=np.bool_)
    begins[1:] = np.any([column[1:] != column[:-1] for column in ordered], axis=0)
    places = np.flatnonzero(begins)
    return [column[places] for column in ordered], np.diff(np.append(places, len(order)))


def _documents_of(found: Units) -> NDArray[np.int64]:
    """Return the number of each unit's document within its batch."""
    return np.repeat(np.arange(len(found.offsets) - 1), np.diff(found.offsets))


def _units_to_cut(
    documents: DataFrame, frequent: DataFrame, count: int, step: DedupLines, workspace: str
) -> tuple[DataFrame, dict[str, Any]]:
    """(key, copy, numbers): which units of each document are cut."""
    ordered = documents.select(
        *identity_columns(),
        *rank_columns(documents, step.keep),
        *(["url"] if step.scope == "host" else []),
        "text",
    )
    carried = [name for name in ordered.columns if name not in ("url", "text")]
    added = [*UNIT, "number"]
    schema = StructType([*nullable_fields(ordered, carried), *(StructField(name, LongType()) for name in added)])
    filter_bits = bitmap_of(frequent.select("digest_1"), count)
    hits, counts = written(
        map_in_arrow(ordered, _hit_batches(step, carried, filter_bits), schema).join(
            frequent, on=list(UNIT), how="left_semi"
        ),
        folder(workspace, "hits"),
        occurrences=F.count(F.lit(1)),
    )
    place = F.struct(*order_of(step.keep), "number")
    if step.keep_first:
        first = hits.groupBy(*UNIT).agg(F.min(place).alias("first"))
        hits = hits.join(first, on=list(UNIT), how="inner").where(place != F.col("first"))
    return hits.groupBy("key", "copy").agg(F.collect_list("number").alias("numbers")), counts


def _hit_batches(step: DedupLines, carried: list[str], filter_bits: NDArray[np.uint64]) -> ArrowMap:
    kind, min_chars = step.unit, step.min_chars

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            scopes, known = _scopes(batch)
            found = units(batch.column("text"), kind, min_chars)
            documents = _documents_of(found)
            used = found.counted & known[documents] & in_bitmap(found.digests[:, 0], filter_bits)
            rows = documents[used]
            numbers = np.flatnonzero(used) - found.offsets[rows]
            columns = [
                *batch.select(carried).take(pa.array(rows)).columns,
                pa.array(scopes[rows]),
                *(pa.array(np.ascontiguousarray(half)) for half in found.digests[used].T),
                pa.array(numbers),
            ]
            yield pa.RecordBatch.from_arrays(columns, names=[*carried, *UNIT, "number"])

    return find


# ------------------------------------------------------------------------------------------------------- the cuts


def _edited(documents: DataFrame, numbers: DataFrame, step: DedupLines) -> DataFrame:
    """(key, copy, text, cuts, words, removed_words) of the documents that are cut."""
    of_interest = documents.select("key", F.col("copy").cast("long").alias("copy"), "text")
    joined = of_interest.join(numbers, on=["key", "copy"], how="inner").select("key", "copy", "text", "numbers")
    schema = f"key binary, copy long, text string, cuts {CUTS_TYPE}, words long, removed_words long"
    return map_in_arrow(joined, _edit_batches(step), schema)


def _edit_batches(step: DedupLines) -> ArrowMap:
    kind = step.unit
    span = SPAN_SENTENCES if kind == "sentence_spans" else 1

    def edit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = units(batch.column("text"), kind)
            texts, cuts = [], []
            for row, (text, begun) in enumerate(
                zip(batch.column("text").to_pylist(), batch.column("numbers").to_pylist(), strict=True)
            ):
                part = slice(found.offsets[row], found.offsets[row + 1])
                starts, ends = found.starts[part].tolist(), found.ends[part].tolist()
                covered = {number for first in begun for number in range(first, min(first + span, len(starts)))}
                left, cut = without(text, starts, ends, covered)
                texts.append(left)
                cuts.append([one._asdict() for one in cut])
            edited = pa.array(texts, pa.string())
            before = np.diff(words(batch.column("text"), normalised=False).offsets)
            after = np.diff(words(edited, normalised=False).offsets)
            yield pa.RecordBatch.from_arrays(
                [
                    batch.column("key"),
                    batch.column("copy"),
                    edited,
                    pa.array(cuts, _CUTS_ARROW),
                    pa.array(before),
                    pa.array(before - after),
                ],
                names=["key", "copy", "text", "cuts", "words", "removed_words"],
            )

    return edit


_CUTS_ARROW = pa.list_(pa.struct([("begin", pa.int64()), ("end", pa.int64()), ("text", pa.string())]))


def _lost() -> Column:
    """Return the share of its words that a document loses; there is at least one."""
    return F.col("removed_words") / F.col("words")


def _is_gone(step: DedupLines) -> Column:
    nothing_left = F.col("removed_words") >= F.col("words")
    return nothing_left if step.max_removed_share is None else nothing_left | (_lost() > step.max_removed_share)


def _reasons(step: DedupLines) -> Column:
    bound = "< 1" if step.max_removed_share is None else f"<= {step.max_removed_share:g}"
    return F.array(F.struct(F.lit(RULE).alias("rule"), _lost().alias("value"), F.lit(bound).alias("bound")))


JOB = Job(
    name="dedup-lines",
    summary="Cut lines, paragraphs or spans of sentences that many pages share.",
    example="winnow dedup-lines --recipe gopher --set steps.dedup_lines.preset=c4 --input texts --output clean",
    steps=("dedup_lines",),
    set_steps={"dedup_lines": dedup_lines},
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    return run_job(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
