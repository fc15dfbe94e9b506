"""Cut every run of at least `length` tokens that has an earlier occurrence (ExactSubstr without a suffix array).

Takes documents with (key, copy); gives their texts without repeated runs, what was cut from where and which document
still has it, and decisions on pages of which the recipe says that too little is left. After Lee et al. (arXiv
2107.06499, section 4.1), whose tool holds a suffix array of the corpus in the memory of one machine and removes all
copies; kernels: `udfs.substrings`. A token is cut if and only if some window of `length` tokens that covers it has an
earlier occurrence, in the order of `keep`, then in the text. The answer is that of brute force.

Shuffled, in bytes before compression:

1. *Anchors*: one k-gram of some 13 (length 50), chosen so that equal windows share theirs. 8 for each, reduced in
   every task: 0.6 a word. Anchors that occur once are dropped; the rest become a bitmap of at most 64 MB that travels
   with tasks, 64 bits each up to 8 million, beyond which more and more windows pass that occur once.
2. *Windows* at surviving anchors, about as many as words in repeated text, are written beside their documents. What
   orders these (`keep`, id, key) is shuffled once for each document with windows. Then chunks of documents ask about
   each of their digests once: 24 for a question, 8 for an answer, and 16 for every window to meet the answers
   (`udfs.window_digests`). Neighbours of one digest (a menu of one word, ``=====``) are one window.
3. *Pieces*: runs of cut tokens with the place they occur earlier, 60 for each and round. A piece that points at text
   which is cut itself is moved on: in one task up to a million pieces, else in rounds, twice as far every time, so that
   their number is logarithmic in the longest chain.
4. Texts that are cut meet their pieces by (key, copy): nothing where the pieces fit a broadcast, else the text once.

A task is bounded by its share of the questions, which are as many whatever one digest's occurrences (a span that occurs
a million times is one question of each chunk), and by a chunk: some 65 536 windows, or those of one document.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, LongType, StructField, StructType

from jobs.core.arrow_map import ArrowMap, map_in_arrow
from jobs.core.bitmap import bitmap_of
from jobs.core.documents import CUTS_TYPE, REASONS_TYPE
from jobs.core.job import Job, run_job
from jobs.core.recipe import DedupSubstring
from jobs.core.run import SetResult
from jobs.core.run_folder import StageFolder
from jobs.core.survivors import (
    IDENTITY,
    RANK_PREFIX,
    folder,
    identity_columns,
    nullable_fields,
    order_of,
    rank_columns,
    written,
)
from udfs import substrings as kernel
from udfs import window_digests
from udfs.substrings import POSITION_BITS, Pieces, Source, Unit
from udfs.tokens import words

PIECE = "start long, end long, period long, target long, final boolean"
_PIECE_NAMES = ("start", "end", "period", "target", "final")
BATCH_ANCHORS = 1 << 20  # that a task gathers before it hands them on: 8 MB
WINDOW_WIDTH, QUESTION_WIDTH = 3, 3  # columns of tables of 64-bit integers that travel as one value
CHUNK_WINDOWS = 1 << 16  # of a chunk: 2.6 MB, unless one document has more
TASK_WINDOWS = 1 << 19  # of which a task answers questions, on average: 12 MB of them
TASK_ROWS = 1_000_000  # up to so many documents are sorted, or pieces followed, in one task; with more, in many
BROADCAST_PIECES = 200_000  # up to so many travel to every task, in some 20 MB; with more, texts are shuffled
# Tables of digests do not compress, and are written and read in parts that fit in memory. A row has up to some
# megabytes, and unless it is told to look after each, Parquet asks after a hundred rows how much it holds. For
# statistics it would copy the smallest and the largest value of every page.
PLAIN = {
    "compression": "uncompressed",
    "parquet.enable.dictionary": "false",
    "parquet.block.size": str(16 << 20),
    "parquet.page.size.row.check.min": "1",
    "parquet.column.statistics.enabled": "false",
}
RANK_OF_AGE = f"{RANK_PREFIX}of_age"  # what the history has comes before all else
_MAP, _ASKING = 0, 1  # rows of one document: its own pieces, then pieces that point at it
_MORE = np.uint64(1)  # the bit of an anchor's hash that says that it occurs more than once
_QUESTION_BITS = 32
_CUT_ARROW = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("kept_in", pa.string()), ("text", pa.string())])


@dataclass(frozen=True)
class _Run:
    """One run of the step: its parameters, and where it writes."""

    step: DedupSubstring
    workspace: str

    def path(self, name: str) -> str:
        return folder(self.workspace, name)


def find_substrings(documents: DataFrame, step: DedupSubstring, workspace: str) -> SetResult:
    """Find what is cut from which document, and cut it.

    Args:
        documents: id, key, copy, text, what `keep` reads, and ``cuts`` of an earlier run if there are any; scanned
            three times. Those with ``in_history``, if there is such a column, are of a corpus that a refresh adds to:
            they outrank all others and are left as they are.
        step: The step's part of the recipe.
        workspace: Folder for intermediate tables.
    """
    run = _Run(step, workspace)
    documents = _with_seams(documents)
    bitmap, facts = _surviving_anchors(documents, run)
    touched, found = _windows(documents, bitmap, run)
    facts |= found
    places = _places(touched, facts["touched_documents"], run)
    chunks, tasks = _chunks(touched, places, found, run)
    pieces, found = _pieces(chunks, tasks, run)
    facts |= found
    final, found = _followed(pieces, facts["pieces"], run)
    facts |= found
    edits, found = _edited(documents, _sources(final, places, run), facts["pieces"], run)
    facts |= found
    left = edits.where(~F.col("gone"))
    span = F.explode("spans").alias("span")
    return SetResult(
        decisions=edits.where("gone").select("key", "copy", "reasons"),
        edits=left.select("key", "copy", "text", "cuts"),
        edits_in=run.path("edited"),
        tables={"removed_spans": left.select("id", "key", span).select("id", "key", "span.*")},
        facts=facts,
    )


def dedup_substring(documents: DataFrame, step: DedupSubstring, folder: StageFolder) -> SetResult:
    """Run the step within a recipe."""
    return find_substrings(documents, step, folder.table("work"))


def _with_seams(documents: DataFrame) -> DataFrame:
    """Documents with ``cuts`` only where an earlier run of this step made them: those of other steps are no seams."""
    if "cuts" not in documents.columns:
        return documents
    if documents.schema["cuts"].dataType != CUTS_TYPE:
        return documents.drop("cuts")
    own = F.filter("cuts", lambda cut: cut["kept_in"].isNotNull())
    return documents.withColumn("cuts", F.when(F.size(own) > 0, own))


def _of_batch(documents: DataFrame) -> Column:
    """Whether a document may be cut: all but those that a refresh has beside its batch."""
    return ~F.col("in_history") if "in_history" in documents.columns else F.lit(True)


def _scanned(documents: DataFrame) -> list[str]:
    """Names of the columns that hold a document's text and its seams."""
    return ["text", "cuts"] if "cuts" in documents.columns else ["text"]


def _seams(batch: pa.RecordBatch) -> pa.Array | None:
    """Where each text of a batch was cut by an earlier run."""
    if "cuts" not in batch.schema.names or batch.column("cuts").null_count == batch.num_rows:
        return None
    return pa.array([kernel.seams_of(_ranges_of(cuts)) for cuts in _cuts_of(batch)], pa.list_(pa.int64()))


def _cuts_of(batch: pa.RecordBatch) -> list[list[dict[str, Any]]]:
    if "cuts" not in batch.schema.names:
        return [[]] * batch.num_rows
    return [cuts or [] for cuts in batch.column("cuts").to_pylist()]


def _ranges_of(cuts: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(cut["start"], cut["end"]) for cut in cuts]


# ------------------------------------------------------------------------------------------------------------- anchors


def _surviving_anchors(documents: DataFrame, run: _Run) -> tuple[NDArray[np.uint64], dict[str, Any]]:
    """A bitmap of the anchors that occur more than once in the corpus."""
    tasks = int(documents.sparkSession.conf.get("spark.sql.shuffle.partitions") or 1)
    seen = map_in_arrow(
        documents.select(*_scanned(documents)),
        _anchor_batches(run.step, tasks, BATCH_ANCHORS),
        "task int, hashes binary, tokens long",
    )
    by_hash = seen.repartitionById(tasks, "task").select("hashes", "tokens")
    observed, counts = written(
        map_in_arrow(by_hash, _repeated_batches, "hash long, tokens long, shuffled long"),
        run.path("anchors"),
        tokens=F.sum("tokens"),
        anchors=F.sum("shuffled"),
        repeated_anchors=F.count("hash"),
    )
    survivors = observed.where(F.col("hash").isNotNull()).select("hash")
    return bitmap_of(survivors, counts["repeated_anchors"], 64), counts


def _anchor_batches(step: DedupSubstring, tasks: int, batch_anchors: int) -> ArrowMap:
    """Hashes by the task that counts them: one bit of each says whether it occurred more than once already."""
    length, unit = step.length, step.unit

    def rows(parts: list[kernel.Anchors]) -> pa.RecordBatch:
        hashes = np.concatenate([part.hashes for part in parts]).view(np.uint64) & ~_MORE
        hashes[np.concatenate([part.times for part in parts]) > 1] |= _MORE
        hashes = _distinct(np.sort(hashes))
        offsets = np.searchsorted(_task_of(hashes, tasks), np.arange(tasks + 1))
        tokens = [None] * (tasks - 1) + [sum(part.tokens for part in parts)]
        return pa.RecordBatch.from_arrays(
            [
                pa.array(np.arange(tasks, dtype=np.int32)),
                _tables(hashes.view(np.int64).reshape(-1, 1), offsets),
                pa.array(tokens, pa.int64()),
            ],
            names=["task", "hashes", "tokens"],
        )

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held: list[kernel.Anchors] = []
        for batch in batches:
            held.append(kernel.anchors(batch.column("text"), length, unit, _seams(batch)))
            if sum(len(part.hashes) for part in held) >= batch_anchors:
                yield rows(held)
                held = []
        if held:
            yield rows(held)

    return find


def _task_of(hashes: NDArray[np.uint64], tasks: int) -> NDArray[np.int64]:
    """The task that looks at a hash, by its first bits: ascending with it."""
    return (((hashes >> np.uint64(40)) * np.uint64(tasks)) >> np.uint64(24)).astype(np.int64)


def _distinct(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sorted hashes, each once, with the bit that says whether it occurred more than once."""
    if not len(hashes):
        return hashes
    ends = np.append(np.flatnonzero((hashes[1:] | _MORE) != (hashes[:-1] | _MORE)), len(hashes) - 1)
    # The bit is the last one, so of equal hashes one that has it comes last.
    return hashes[ends] | (np.diff(ends, prepend=-1) > 1)


def _repeated_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """All occurrences of a hash are in one partition."""
    tokens, parts = 0, [np.empty(0, dtype=np.uint64)]
    for batch in batches:
        tokens += sum(value for value in batch.column("tokens").to_pylist() if value is not None)
        parts += [np.frombuffer(value.as_buffer(), dtype=np.uint64) for value in batch.column("hashes")]
    shuffled = np.sort(np.concatenate(parts))
    hashes = _distinct(shuffled)
    repeated = pa.array(hashes[hashes & _MORE != 0].view(np.int64))
    none = pa.nulls(len(repeated), pa.int64())
    # One row more, without a hash, for the counts.
    columns = [pa.concat_arrays([repeated, pa.nulls(1, pa.int64())])]
    columns += [pa.concat_arrays([none, pa.array([count], pa.int64())]) for count in (tokens, len(shuffled))]
    yield pa.RecordBatch.from_arrays(columns, names=["hash", "tokens", "shuffled"])


# ------------------------------------------------------------------------------------------------------------- windows


def _windows(documents: DataFrame, bitmap: NDArray[np.uint64], run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    """Documents that hold windows at surviving anchors, each with a number; `windows` is a table of
    (first, second, run · 2²⁸ + position)."""
    ranks = [_of_batch(documents).alias(RANK_OF_AGE), *rank_columns(documents, run.step.keep)]
    narrow = documents.select(*identity_columns(), *ranks, *_scanned(documents))
    carried = [name for name in narrow.columns if name not in ("text", "cuts")]
    schema = StructType(
        [*nullable_fields(narrow, carried), StructField("number", LongType()), StructField("windows", BinaryType())]
    )
    return written(
        map_in_arrow(narrow, _window_batches(run.step, carried, bitmap), schema),
        run.path("windows"),
        PLAIN,
        touched_documents=F.count(F.lit(1)),
        window_rows=F.expr(f"sum(octet_length(windows)) div {8 * WINDOW_WIDTH}"),
    )


def _window_batches(step: DedupSubstring, carried: list[str], bitmap: NDArray[np.uint64]) -> ArrowMap:
    length, unit = step.length, step.unit

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        number = _number_of_task() << 40  # no other row of the stage has it, and it says nothing of any order
        for batch in batches:
            found = kernel.windows(batch.column("text"), length, bitmap, unit, _seams(batch))
            used = np.flatnonzero(np.diff(found.offsets) > 0)
            places = (found.runs.astype(np.int64) << POSITION_BITS) | found.positions
            columns = [
                *batch.select(carried).take(pa.array(used)).columns,
                pa.array(np.arange(number, number + len(used), dtype=np.int64)),
                _tables(np.column_stack((found.first, found.second, places)), found.offsets[[*used, -1]]),
            ]
            number += len(used)
            yield pa.RecordBatch.from_arrays(columns, names=[*carried, "number", "windows"])

    return find


def _number_of_task() -> int:
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.partitionId() if context else 0


def _tables(rows: NDArray[np.int64], offsets: NDArray[np.int64]) -> pa.Array:
    """Parts of a table of 64-bit integers, one value each: rows offsets[i] … offsets[i + 1]."""
    width = rows.shape[1] * rows.itemsize
    buffers = [None, pa.py_buffer(offsets.astype(np.int64) * width), pa.py_buffer(np.ascontiguousarray(rows))]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def _table(value: pa.Scalar, width: int) -> NDArray[np.int64]:
    return np.frombuffer(value.as_buffer(), dtype=np.int64).reshape(-1, width)


# -------------------------------------------------------------------------------------------------------------- places


def _places(touched: DataFrame, count: int, run: _Run) -> DataFrame:
    """(place, number, id, key, copy): documents with windows, numbered in survivor order."""
    ranks = [name for name in touched.columns if name.startswith(RANK_PREFIX)]
    narrow = touched.select("number", *IDENTITY, *ranks)
    order = [F.col(RANK_OF_AGE), *order_of(run.step.keep)]
    if count > TASK_ROWS:
        return _numbered(written(narrow.sort(*order).select("number", *IDENTITY), run.path("ordered"))[0])
    ordered = narrow.coalesce(1).sortWithinPartitions(*order).select("number", *IDENTITY)
    schema = StructType([StructField("place", LongType()), *nullable_fields(ordered, ordered.columns)])
    return written(map_in_arrow(ordered, _number_rows, schema), run.path("ordered"))[0]


def _number_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    place = 0
    for batch in batches:
        places = np.arange(place, place + batch.num_rows, dtype=np.int64)
        place += batch.num_rows
        yield pa.RecordBatch.from_arrays([pa.array(places), *batch.columns], names=["place", *batch.schema.names])


def _numbered(ordered: DataFrame) -> DataFrame:
    """Rows of a sorted, committed table with their numbers: files are in order, and rows are in their files."""
    located = ordered.select(
        "*", F.col("_metadata.file_name").alias("_file"), F.col("_metadata.row_index").alias("_row")
    )
    counts = sorted((row["_file"], row["count"]) for row in located.groupBy("_file").count().collect())  # a row a file
    firsts = np.cumsum([0, *(count for _, count in counts)]).tolist()
    table = [(name, first) for (name, _), first in zip(counts, firsts, strict=False)]
    bases = ordered.sparkSession.createDataFrame(table, "_file string, _first long")
    numbered = located.join(F.broadcast(bases), on="_file", how="inner")
    return numbered.withColumn("place", F.col("_first") + F.col("_row")).drop("_file", "_row", "_first")


# -------------------------------------------------------------------------------------------------------------- pieces


def _chunks(touched: DataFrame, places: DataFrame, counts: dict[str, Any], run: _Run) -> tuple[DataFrame, int]:
    """Windows of some documents and what they ask, and the number of tasks that answer.

    (chunk, questions, sizes: how many of them for each task, windows: tables of (address, run · 2³² + question)).
    """
    tasks = 1 + int(counts["window_rows"]) // TASK_WINDOWS
    order = places.select("number", "place")
    placed = touched.select("number", "windows").join(
        F.broadcast(order) if counts["touched_documents"] <= TASK_ROWS else order, on="number", how="inner"
    )
    chunks = map_in_arrow(
        placed.select("place", "windows"),
        _chunk_batches(tasks, CHUNK_WINDOWS),
        "chunk long, questions binary, sizes array<long>, windows binary",
    )
    return written(chunks, run.path("chunks"), PLAIN)[0], tasks


def _chunk_batches(tasks: int, chunk_windows: int) -> ArrowMap:
    def join(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        chunk = _number_of_task() << 40
        for batch in batches:
            if not batch.num_rows:
                continue
            parts = [_table(value, WINDOW_WIDTH) for value in batch.column("windows")]
            ends = np.cumsum([len(part) for part in parts])
            rows = np.concatenate(parts)
            at = np.repeat(np.asarray(batch.column("place")) << POSITION_BITS, np.diff(ends, prepend=0))
            at += rows[:, 2] & ((1 << POSITION_BITS) - 1)
            last = np.append(np.diff((ends - 1) // chunk_windows) > 0, True)  # documents after which a chunk ends
            begin = 0
            for end in ends[last].tolist():
                yield _chunk(chunk, rows[begin:end, :2], at[begin:end], rows[begin:end, 2] >> POSITION_BITS, tasks)
                begin = end
                chunk += 1

    return join


def _chunk(
    chunk: int, digests: NDArray[np.int64], at: NDArray[np.int64], runs: NDArray[np.int64], tasks: int
) -> pa.RecordBatch:
    questions, numbers = window_digests.ask(digests, at, runs)
    task = _task_of(questions[:, 0].view(np.uint64), tasks)
    order = np.argsort(task, kind="stable")
    moved = np.empty_like(order)
    moved[order] = np.arange(len(order))
    windows = np.column_stack((at, (runs << _QUESTION_BITS) | moved[numbers]))
    sizes = np.bincount(task, minlength=tasks)
    return pa.RecordBatch.from_arrays(
        [
            pa.array([chunk], pa.int64()),
            _tables(questions[order], np.array([0, len(questions)])),
            pa.array([sizes], pa.list_(pa.int64())),
            _tables(windows, np.array([0, len(windows)])),
        ],
        names=["chunk", "questions", "sizes", "windows"],
    )


def _pieces(chunks: DataFrame, tasks: int, run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    """What is cut, and where each piece of it occurs earlier."""
    questions = map_in_arrow(
        chunks.select("chunk", "questions", "sizes"), _question_batches, "task int, chunk long, rows binary"
    )
    answers = map_in_arrow(
        questions.repartitionById(tasks, "task"), _answer_batches, "chunk long, part int, rows binary"
    )
    windows = chunks.select("chunk", F.lit(tasks).alias("part"), F.col("windows").alias("rows"))
    by_chunk = answers.unionByName(windows).repartition(tasks, "chunk").sortWithinPartitions("chunk", "part")
    pieces, counts = written(
        map_in_arrow(
            by_chunk.select("part", "rows"),
            _piece_batches(tasks, run.step.length),
            f"{PIECE}, lost long, repeated long",
        ),
        run.path("pieces-0"),
        repeated_windows=F.sum("repeated"),
        windows_lost=F.sum("lost"),
        pieces=F.count("start"),
        cut_tokens=F.sum(F.col("end") - F.col("start")),
    )
    return pieces.where(F.col("start").isNotNull()).select(*_PIECE_NAMES), counts


def _question_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Questions of a chunk, a row for each task: equal digests meet, since the task goes by the digest."""
    for batch in batches:
        for chunk, questions, sizes in zip(*(batch.column(name) for name in batch.schema.names), strict=True):
            offsets = np.cumsum([0, *sizes.as_py()])
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(np.arange(len(offsets) - 1, dtype=np.int32)),
                    pa.array(np.full(len(offsets) - 1, chunk.as_py(), dtype=np.int64)),
                    _tables(_table(questions, QUESTION_WIDTH), offsets),
                ],
                names=["task", "chunk", "rows"],
            )


def _answer_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """All questions about a digest are in one partition, one for each chunk that has it; it answers all of them."""
    asked = [
        (batch.column("chunk"), batch.column("task"), [_table(value, QUESTION_WIDTH) for value in batch.column("rows")])
        for batch in batches
    ]
    if not asked:
        return
    earliest = window_digests.earliest(np.concatenate([table for *_, tables in asked for table in tables]))
    begin = 0
    for chunk, task, tables in asked:
        offsets = begin + np.cumsum([0, *(len(table) for table in tables)])
        begin = int(offsets[-1])
        answers = _tables(earliest[offsets[0] : begin].reshape(-1, 1), offsets - offsets[0])
        yield pa.RecordBatch.from_arrays([chunk, task, answers], names=["chunk", "part", "rows"])


def _piece_batches(tasks: int, length: int) -> ArrowMap:
    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        answers: list[NDArray[np.int64]] = []
        for batch in batches:
            for part, value in zip(batch.column("part").to_pylist(), batch.column("rows"), strict=True):
                if part < tasks:
                    answers.append(_table(value, 1))
                    continue
                yield _pieces_of_chunk(_table(value, 2), np.concatenate(answers)[:, 0], length)
                answers = []

    return find


def _pieces_of_chunk(windows: NDArray[np.int64], first_of: NDArray[np.int64], length: int) -> pa.RecordBatch:
    at, runs, numbers = (
        windows[:, 0].copy(),
        windows[:, 1] >> _QUESTION_BITS,
        windows[:, 1] & ((1 << _QUESTION_BITS) - 1),
    )
    repeated = window_digests.repeats(at, runs, numbers, first_of)
    found, lost = kernel.cut(*repeated, length)
    facts = {"lost": lost, "repeated": int(repeated.runs.sum())}
    # One row more, without a piece, for the counts.
    columns = [pa.concat_arrays([pa.array(column), pa.nulls(1, pa.array(column).type)]) for column in found]
    columns += [pa.array([None] * len(found.starts) + [value], pa.int64()) for value in facts.values()]
    return pa.RecordBatch.from_arrays(columns, names=[*_PIECE_NAMES, *facts])


# -------------------------------------------------------------------------------------------------------------- chains


def _followed(pieces: DataFrame, count: int, run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    """Pieces whose targets are text that is not cut: in one task where there are few, else in rounds."""
    if count <= TASK_ROWS:
        moved = map_in_arrow(pieces.coalesce(1).sortWithinPartitions("start"), _follow_to_the_end, PIECE)
        final, counts = written(moved, run.path("pieces-final"), pieces=F.count(F.lit(1)))
        return final, {**counts, "rounds": 0}
    rounds = 0
    while True:
        rounds += 1
        asking = pieces.where(~F.col("final"))
        rows = _of_document(pieces, "start", _MAP).unionByName(_of_document(asking, "target", _ASKING))
        sorted_rows = rows.repartition("place").sortWithinPartitions("place", "kind", "start")
        moved = map_in_arrow(sorted_rows, _follow_batches, PIECE)
        pieces, counts = written(
            pieces.where("final").unionByName(moved),
            run.path(f"pieces-{rounds}"),
            pieces=F.count(F.lit(1)),
            open=F.count_if(~F.col("final")),
        )
        if not counts["open"]:
            return pieces, {"pieces": counts["pieces"], "rounds": rounds}


def _follow_to_the_end(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    parts = [_no_pieces(), *(_pieces_in(batch) for batch in batches)]
    pieces = Pieces._make(np.concatenate(columns) for columns in zip(*parts, strict=True))
    while not pieces.final.all():
        pieces = kernel.follow(pieces, pieces)
    yield _batch_of(pieces)


def _of_document(pieces: DataFrame, address: str, kind: int) -> DataFrame:
    place = F.shiftright(address, POSITION_BITS).alias("place")
    return pieces.select(place, F.lit(kind).alias("kind"), *_PIECE_NAMES)


def _follow_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Pieces that point at a document come after its own pieces, which are all that is held of them."""
    held = _no_pieces()
    for batch in batches:
        kind = np.asarray(batch.column("kind"))
        cuts = _with_more(held, _pieces_in(batch.filter(pa.array(kind == _MAP))))
        yield _batch_of(kernel.follow(cuts, _pieces_in(batch.filter(pa.array(kind == _ASKING)))))
        if batch.num_rows:
            last = batch.column("place")[-1].as_py() << POSITION_BITS
            first = int(np.searchsorted(cuts.starts, last))
            held = Pieces._make(column[first:] for column in cuts)


def _no_pieces() -> Pieces:
    return Pieces._make((*np.empty((4, 0), dtype=np.int64), np.empty(0, dtype=np.bool_)))


def _with_more(pieces: Pieces, more: Pieces) -> Pieces:
    return Pieces._make(np.append(old, new) for old, new in zip(pieces, more, strict=True))


def _pieces_in(batch: pa.RecordBatch) -> Pieces:
    longs = [np.asarray(batch.column(name)) for name in _PIECE_NAMES[:4]]
    return Pieces._make((*longs, batch.column("final").to_numpy(zero_copy_only=False).astype(np.bool_)))


def _batch_of(pieces: Pieces) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(column) for column in pieces], names=list(_PIECE_NAMES))


def _sources(final: DataFrame, places: DataFrame, run: _Run) -> DataFrame:
    """(key, copy, sources): what is cut from each document, ascending, and the document that has it."""
    mask = (1 << POSITION_BITS) - 1
    source = F.struct(
        F.col("start").bitwiseAND(F.lit(mask)).alias("start"),
        (F.col("end") - F.shiftleft("place", POSITION_BITS)).alias("end"),
        "period",
        "target",
        "kept_in",
    )
    kept_in = places.select(F.col("place").alias("_target_place"), F.col("id").alias("kept_in"))
    sources = (
        final.withColumn("_target_place", F.shiftright("target", POSITION_BITS))
        .join(kept_in, on="_target_place", how="inner")
        .withColumn("place", F.shiftright("start", POSITION_BITS))
        .groupBy("place")
        .agg(F.sort_array(F.collect_list(source)).alias("sources"))  # of one document, no more than it has words
        .join(places.select("place", "key", "copy"), on="place", how="inner")
        .select("key", "copy", "sources")
    )
    return written(sources, run.path("sources"))[0]


# ---------------------------------------------------------------------------------------------------------------- cuts


def _edited(documents: DataFrame, sources: DataFrame, pieces: int, run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    """(id, key, copy, text, spans, cuts, words, removed_words, reasons, gone) of the documents that are cut."""
    whole = documents.where(_of_batch(documents)).select(*identity_columns(), *_scanned(documents))
    # Where the pieces travel to the texts, these stay where they are.
    few = F.broadcast(sources) if pieces <= BROADCAST_PIECES else sources
    joined = whole.join(few, on=["key", "copy"], how="inner").select(*whole.columns, "sources")
    span = "struct<start: long, end: long, kept_in: string, text: string>"
    schema = (
        f"id string, key binary, copy long, text string, spans array<{span}>, cuts {CUTS_TYPE.simpleString()}, "
        "words long, removed_words long"
    )
    edited = map_in_arrow(joined, _edit_batches(run.step), schema).where(F.size("spans") > 0)
    return written(
        edited.withColumn("reasons", _reasons(run.step)).withColumn("gone", F.size("reasons") > 0),
        run.path("edited"),
        cut_documents=F.count(F.lit(1)),
        removed_words=F.sum("removed_words"),
        removed=F.count_if("gone"),
    )


def _edit_batches(step: DedupSubstring) -> ArrowMap:
    unit: Unit = step.unit

    def edit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield _edit_batch(batch, unit)

    return edit


def _edit_batch(batch: pa.RecordBatch, unit: Unit) -> pa.RecordBatch:
    seams = _seams(batch)
    all_tokens = kernel.tokens(batch.column("text"), unit, seams)
    all_words = all_tokens if unit == "words" else kernel.tokens(batch.column("text"), "words", seams)
    texts, spans, cuts = [], [], []
    for row, (text, found, before) in enumerate(
        zip(batch.column("text").to_pylist(), batch.column("sources").to_pylist(), _cuts_of(batch), strict=True)
    ):
        ranges = _ranges_of(before)
        left, cut = kernel.without(
            text, _part(all_tokens, row), _part(all_words, row), _joined_sources(found), kernel.seams_of(ranges)
        )
        moved = [_moved(ranges, one) for one in cut]
        texts.append(left)
        spans.append([one._asdict() for one in moved])
        cuts.append(sorted([*before, *(_place(one) for one in moved)], key=lambda one: one["start"]))
    edited = pa.array(texts, pa.string())
    before_words = np.diff(all_words.offsets)
    after_words = np.diff(words(edited, normalised=False).offsets)
    return pa.RecordBatch.from_arrays(
        [
            *batch.select(["id", "key", "copy"]).columns,
            edited,
            pa.array(spans, pa.list_(_CUT_ARROW)),
            pa.array(cuts, pa.list_(pa.struct(list(_CUT_ARROW)[:3]))),
            pa.array(before_words),
            pa.array(before_words - after_words),
        ],
        names=["id", "key", "copy", "text", "spans", "cuts", "words", "removed_words"],
    )


def _part(tokens: kernel.Tokens, row: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    own = slice(tokens.offsets[row], tokens.offsets[row + 1])
    return tokens.starts[own], tokens.ends[own]


def _joined_sources(found: list[dict[str, Any]]) -> list[Source]:
    """Pieces of a document, neighbours that stand side by side where they stay as one."""
    joined: list[Source] = []
    beside = -1  # address after what the last one points at
    for piece in found:
        start, end = piece["start"], piece["end"]
        if joined and joined[-1].end == start and piece["target"] == beside:
            joined[-1] = joined[-1]._replace(end=end)
        else:
            joined.append(Source(start, end, piece["kept_in"]))
        beside = piece["target"] + end - start if piece["period"] == end - start else -1
    return joined


def _moved(before: list[tuple[int, int]], cut: kernel.Cut) -> kernel.Cut:
    start, end = kernel.before_cuts(before, cut.start, cut.end)
    return cut._replace(start=start, end=end)


def _place(cut: kernel.Cut) -> dict[str, Any]:
    return {"start": cut.start, "end": cut.end, "kept_in": cut.kept_in}


def _reasons(step: DedupSubstring) -> Column:
    """Why a page is removed; empty where it stays."""
    share = F.col("removed_words") / F.col("words")
    left = F.col("words") - F.col("removed_words")
    reasons = [(left < step.min_words_left, "words_left", left, f">= {step.min_words_left}")]
    if step.max_removed_share is not None:
        limit = step.max_removed_share
        reasons.append((share > limit, "removed_word_fraction", share, f"<= {limit:g}"))
    broken = [
        F.when(
            condition,
            F.struct(F.lit(rule).alias("rule"), value.cast("double").alias("value"), F.lit(bound).alias("bound")),
        )
        for condition, rule, value, bound in reasons
    ]
    return F.array_compact(F.array(*broken)).cast(REASONS_TYPE)


JOB = Job(
    name="dedup-substring",
    summary="Cut every run of words that has an earlier occurrence; one copy stays.",
    example="winnow dedup-substring --recipe gopher --set steps.dedup_substring={} --input texts/kept --output clean",
    steps=("dedup_substring",),
    set_steps={"dedup_substring": dedup_substring},
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    return run_job(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
