"""Keep one of nearly equal documents: MinHash bands propose pairs, verification decides, ranks resolve.

Takes documents with (key, copy); gives one decision for each document that another one stands for, clusters, and
counts. After Broder (1997), Gopher (arXiv 2112.11446, appendix A.1.3) and Lee et al. (arXiv 2107.06499, appendix A);
kernels: `udfs.shingles`, `udfs.minhash`, `udfs.candidates`, `udfs.similarity`, `udfs.resolution`.

1. *Sketches*: one scan of the text gives each document's signature, band hashes and bit planes; documents without words
   take no part. Written: 4 bytes a permutation (the first 256), 8 a band, about 200 more. Shuffled: nothing.
2. *Buckets*: (scope, band, rows) as one 64-bit hash with the document's 64-bit name. Shuffled: 16 bytes a band as
   values, about 19 with row headers, compressed: 600 a document with 32 bands. Buckets of at most `max_bucket`
   documents give all their pairs. A task is bounded by its largest bucket, which it reads as a stream.
3. *Large buckets*, if any: their documents are paired with the bucket's best one, and the bucket is split by 16 further
   rows of the signature into parts that fit, whose pairs are all candidates; a part that cannot be split is paired with
   its own best. Shuffled: of each of their documents the stored signature and the bands, 1 300 bytes; 24 bytes for each
   run of equal windows and task; and 80 bytes for each (document, large bucket) outside the parts that cannot be split,
   highly compressible, for rows of one bucket are nearly equal.
4. *Distinct pairs* over all bands: 24 bytes a pair and band before compression. End of what is counted as before
   verification: at most 700 bytes a document with the defaults.
5. *Pre-test* by bit planes: 100 bytes for each candidate document and pair. Rejects only what is four standard errors
   below the threshold.
6. *Verification*: the text of candidates is scanned again where it lies (a semi-join by broadcast, or by a bitmap of at
   most 64 MB); shuffled are their shingle sets, 8 bytes a word, once for each document and once for each pair; the sets
   of the best ones of large buckets by broadcast where they fit. `scaled`: 512 to 4 096 bytes for a set.
7. *Resolution*: 24 bytes a verified pair and round; all pairs in one task where there are at most `max_task_pairs`.
   Pairs are fixed before and every round is written, so a lost executor costs a round and no answer.

64-bit hashes are filters here: decisions rest on compared shingles and name documents by their 128-bit keys.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Observation, Window
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    LongType,
    StructField,
    StructType,
)

from jobs.core.arrow_map import ArrowMap, map_in_arrow
from jobs.core.bitmap import bitmap_of, in_bitmap
from jobs.core.console import say
from jobs.core.job import Job, run_job
from jobs.core.near_pairs import Compared, compared_parts, similarities
from jobs.core.recipe import DedupNear
from jobs.core.run import SetResult
from jobs.core.run_folder import StageFolder
from jobs.core.survivors import (
    IDENTITY,
    LISTED_MEMBERS,
    RANK_PREFIX,
    Duplicates,
    cluster_name,
    folder,
    identity_columns,
    nullable_fields,
    order_of,
    rank_columns,
    scope_column,
    written,
)
from udfs.candidates import Splitter
from udfs.minhash import PLANE_PERMUTATIONS, SketchParameters, sketch
from udfs.resolution import components, removed_nodes

SIGNATURE_VALUES = 256  # of each signature are stored, for splitting large buckets
WINDOW_ROWS = 16  # further rows by which a large bucket is split
SKETCH_BYTES = 32 << 20  # signatures computed at a time
BROADCAST_ROWS = 2_000_000  # of 64-bit names, some 100 MB in a hash table: what is broadcast whatever Spark estimates
PAIR = "left long, right long"


@dataclass(frozen=True)
class _Run:
    """One run of the step: its parameters and where it writes."""

    step: DedupNear
    workspace: str

    def path(self, name: str) -> str:
        return folder(self.workspace, name)

    @property
    def parameters(self) -> SketchParameters:
        step = self.step
        return SketchParameters(step.ngram, step.unspaced_ngram, step.num_perm, step.seed, step.bands, step.rows)


def find_near(documents: DataFrame, step: DedupNear, workspace: str) -> Duplicates:
    """Find the documents that a nearly equal one stands for.

    Args:
        documents: id, key, copy, text, and what `keep` and `scope` read; scanned twice, so best committed to files.
        step: The step's part of the recipe.
        workspace: Folder for intermediate tables.
    """
    run = _Run(step, workspace)
    sketches, counts = _sketch(documents, run)
    counts["band_entries"] = counts["documents"] * step.bands
    pairs, found = _candidate_pairs(sketches, run)
    counts |= found
    candidates, found = _pretested(pairs, sketches, run)
    counts |= found
    verified, found = _verified(candidates, documents, counts, run)
    counts |= found
    edges, found = _ranked_edges(verified, sketches, run)
    counts |= found
    resolve = _representatives if step.policy == "representative" else _components
    members, found = resolve(edges, counts["verified"], run)
    counts |= found
    clusters, found = _clusters(members, run)
    return Duplicates(_decisions(members), clusters, counts | found)


def dedup_near(documents: DataFrame, step: DedupNear, folder: StageFolder) -> SetResult:
    """Run the step within a recipe."""
    found = find_near(documents, step, folder.table("work"))
    return SetResult(found.decisions, tables={"clusters": found.clusters}, facts=found.counts)


# ------------------------------------------------------------------------------------------------------------- sketches


def node_column() -> Column:
    """Return the 64-bit name of a document, made of its key and copy. Of 10¹⁰ documents, some three pairs share one.

    Two documents of one name have their pairs in common until these are verified and told apart by key; at worst one of
    them stays that could have gone.
    """
    return F.xxhash64("key", "copy").alias("node")


def _sketch(documents: DataFrame, run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    step = run.step
    narrow = documents.select(
        node_column(),
        *identity_columns(),
        *rank_columns(documents, step.keep),
        scope_column(documents, step.scope),
        "text",
    ).withColumn("scope_hash", F.when(F.col("scope") == "", F.lit(0)).otherwise(F.xxhash64("scope")).cast("long"))
    carried = [name for name in narrow.columns if name not in ("text", "scope_hash")]
    longs = [*_plane_names(run.parameters), "sequence_1", "sequence_2"]
    schema = StructType(
        [
            *nullable_fields(narrow, carried),
            StructField("signature", BinaryType()),
            StructField("bands", ArrayType(LongType())),
            *(StructField(name, LongType()) for name in longs),
        ]
    )
    frame = map_in_arrow(narrow.select(*carried, "scope_hash", "text"), _sketch_batches(run.parameters), schema)
    return written(frame, run.path("sketches"), documents=F.count(F.lit(1)))


def _plane_names(parameters: SketchParameters) -> list[str]:
    return [f"plane_{place}" for place in range(parameters.plane_words)]


def _sketch_batches(parameters: SketchParameters) -> ArrowMap:
    rows_at_a_time = max(1, SKETCH_BYTES // (4 * parameters.num_perm))

    def sketches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for whole in batches:
            for start in range(0, max(1, whole.num_rows), rows_at_a_time):
                yield _sketch_batch(whole.slice(start, rows_at_a_time), parameters)

    return sketches


def _sketch_batch(batch: pa.RecordBatch, parameters: SketchParameters) -> pa.RecordBatch:
    found = sketch(batch.column("text"), parameters, np.asarray(batch.column("scope_hash")))
    taking_part = found.shingle_counts > 0
    carried = batch.drop_columns(["scope_hash", "text"]).filter(pa.array(taking_part))
    signatures = found.signatures[taking_part, :SIGNATURE_VALUES]
    bands = found.bands[taking_part]
    places = np.arange(len(bands) + 1, dtype=np.int32)
    columns = [
        *carried.columns,
        _fixed_binary(signatures),
        pa.ListArray.from_arrays(pa.array(places * bands.shape[1]), pa.array(bands.ravel())),
        *(pa.array(np.ascontiguousarray(plane)) for plane in found.planes[taking_part].T),
        *(pa.array(np.ascontiguousarray(half)) for half in found.sequences[taking_part].T),
    ]
    names = [*carried.schema.names, "signature", "bands", *_plane_names(parameters), "sequence_1", "sequence_2"]
    return pa.RecordBatch.from_arrays(columns, names=names)


def _fixed_binary(rows: NDArray[Any]) -> pa.Array:
    """Return the rows of a matrix as ``binary`` values."""
    data = np.ascontiguousarray(rows)
    width = data.shape[1] * data.itemsize
    offsets = np.arange(len(data) + 1, dtype=np.int32) * width
    return pa.Array.from_buffers(pa.binary(), len(data), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


# ----------------------------------------------------------------------------------------------------------- candidates


def _candidate_pairs(sketches: DataFrame, run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    """Pairs (left, right, hub), not yet distinct; hub: 1 or 2 where left or right stands for a large bucket, else 0."""
    rows = sketches.select(F.explode("bands").alias("bucket"), "node")
    # By the bucket alone, one long, Spark sorts without comparing.
    sorted_rows = rows.repartition("bucket").sortWithinPartitions("bucket")
    links, counts = written(
        map_in_arrow(sorted_rows, _split_batches(run.step.max_bucket, 0), f"{PAIR}, bucket long, window binary"),
        run.path("links"),
        band_pairs=F.count("left"),
        large_buckets=F.count("bucket"),
    )
    pairs = links.where(F.col("bucket").isNull()).select("left", "right", F.lit(0).alias("hub"))
    if not counts["large_buckets"]:
        return pairs, counts
    large = links.where(F.col("bucket").isNotNull()).select("bucket")
    if counts["large_buckets"] <= BROADCAST_ROWS:
        large = F.broadcast(large)
    more, found = _pairs_of_large_buckets(sketches, large, run)
    return pairs.unionByName(more), counts | found


def _split_batches(most: int, window_rows: int) -> ArrowMap:
    """Candidate pairs of a stream of (bucket, node) or (bucket, node, window), sorted by (bucket, window)."""

    def split(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        splitter = Splitter(most, window_rows)
        for batch in batches:
            nodes = np.asarray(batch.column("node"))
            windows = np.empty((len(nodes), 0), dtype=np.uint32)
            if window_rows and len(nodes):
                windows = _matrix(batch.column("window"), window_rows)
            yield _found_batch(*splitter.take(np.asarray(batch.column("bucket")), windows, nodes))
        yield _found_batch(*splitter.finish())

    return split


def _matrix(values: pa.Array, width: int) -> NDArray[np.uint32]:
    """Return ``binary`` values of `width` 32-bit numbers each as a matrix."""
    _, offsets, data = values.buffers()
    first = np.frombuffer(offsets, dtype=np.int32)[values.offset]
    return np.frombuffer(data, dtype=np.uint32, count=len(values) * width, offset=int(first)).reshape(-1, width)


def _found_batch(
    left: NDArray[np.int64], right: NDArray[np.int64], buckets: NDArray[np.int64], windows: NDArray[np.uint32]
) -> pa.RecordBatch:
    pairs, runs = len(left), len(buckets)
    return pa.RecordBatch.from_arrays(
        [
            pa.concat_arrays([pa.array(left), pa.nulls(runs, pa.int64())]),
            pa.concat_arrays([pa.array(right), pa.nulls(runs, pa.int64())]),
            pa.concat_arrays([pa.nulls(pairs, pa.int64()), pa.array(buckets)]),
            pa.concat_arrays([pa.nulls(pairs, pa.binary()), _fixed_binary(windows)]),
        ],
        names=["left", "right", "bucket", "window"],
    )


def _pairs_of_large_buckets(sketches: DataFrame, large: DataFrame, run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    """Stars around the best documents of large buckets and parts, and all pairs of the parts that fit."""
    step = run.step
    stored = min(step.num_perm, SIGNATURE_VALUES)
    window_rows = min(WINDOW_ROWS, max(0, stored - step.rows))
    # The window of band b begins after its rows and goes round the end of what is stored.
    begin = (F.col("band") + 1) * step.rows % stored
    around = F.concat("signature", F.substring("signature", 1, 4 * window_rows))
    in_large = sketches.select("node", F.explode("bands").alias("bucket")).join(large, on="bucket", how="left_semi")
    of_interest = sketches.join(in_large.select("node").distinct(), on="node", how="left_semi")
    ordinals = _with_ordinal(of_interest, order_of(step.keep), run.path("ordinals"))
    # Pages of one kind often lie together: spread before each becomes a row a band.
    spread = sketches.join(ordinals, on="node", how="inner").select("node", "ordinal", "signature", "bands")
    members, _ = written(
        spread.repartition("node")
        .select("node", "ordinal", "signature", F.posexplode("bands").alias("band", "bucket"))
        .join(large, on="bucket", how="left_semi")
        .select("bucket", "node", "ordinal", around.substr(4 * begin + 1, F.lit(4 * window_rows)).alias("window"))
        .withColumn("run", F.xxhash64("window")),
        run.path("members"),
    )
    # What no row of the window can split is reduced within the tasks: a cookie wall must not travel once a band.
    unsplittable, counts = written(
        members.groupBy("bucket", "run")
        .agg(F.count(F.lit(1)).alias("size"), F.min_by("node", "ordinal").alias("best"))
        .where(F.col("size") > step.max_bucket)
        .select("bucket", "run", "best"),
        run.path("unsplittable"),
        unsplittable_parts=F.count(F.lit(1)),
    )
    parts, found = written(
        map_in_arrow(
            _to_be_split(members, unsplittable, step.max_bucket)
            .repartition("bucket")
            .sortWithinPartitions("bucket", "window"),
            _split_batches(step.max_bucket, window_rows),
            f"{PAIR}, bucket long, window binary",
        ),
        run.path("parts"),
        part_pairs=F.count("left"),
    )
    pairs = parts.where(F.col("bucket").isNull()).select("left", "right", F.lit(0).alias("hub"))
    best_of_buckets = members.groupBy("bucket").agg(F.min_by("node", "ordinal").alias("best"))
    return pairs.unionByName(_stars(members, best_of_buckets, unsplittable)), counts | found


def _to_be_split(members: DataFrame, unsplittable: DataFrame, max_bucket: int) -> DataFrame:
    """(bucket, node, window) of all members outside the unsplittable parts, and of each such part as many rows as tell
    the splitter that it does not fit: it makes no pairs of them, so their nodes may be anything.
    """
    rest = members.join(unsplittable, on=["bucket", "run"], how="left_anti").select("bucket", "node", "window")
    best = unsplittable.select("bucket", "run", F.col("best").alias("node"))
    stand_ins = F.explode(F.sequence(F.lit(0).cast("long"), F.lit(max_bucket).cast("long"))).alias("node")
    windows = members.join(best, on=["bucket", "run", "node"], how="left_semi").select("bucket", "window").distinct()
    return rest.unionByName(windows.select("bucket", stand_ins, "window"))


def _with_ordinal(documents: DataFrame, order: list[Column], path: str) -> DataFrame:
    """Return (node, ordinal): numbers, with gaps, that ascend with the order.

    They are written, so that every reader sees the same. Only how two of them compare is ever used, and that depends on
    the documents alone.
    """
    numbered = map_in_arrow(documents.orderBy(*order).select("node"), _number_rows, "node long, ordinal long")
    ordinals, counts = written(numbered, path, rows=F.count(F.lit(1)))
    return F.broadcast(ordinals) if counts["rows"] <= BROADCAST_ROWS else ordinals


def _number_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    from pyspark import TaskContext

    context = TaskContext.get()
    place = (context.partitionId() if context else 0) << 40
    for batch in batches:
        ordinals = pa.array(np.arange(place, place + batch.num_rows, dtype=np.int64))
        place += batch.num_rows
        yield pa.RecordBatch.from_arrays([batch.column("node"), ordinals], names=["node", "ordinal"])


def _stars(members: DataFrame, best_of_buckets: DataFrame, unsplittable: DataFrame) -> DataFrame:
    """Pairs of every member with its bucket's best one, and with that of its part where the part cannot be split."""
    best_of_parts = unsplittable.withColumnRenamed("best", "best_of_part")
    joined = members.join(best_of_buckets, on="bucket", how="inner").join(
        best_of_parts, on=["bucket", "run"], how="left"
    )
    best = F.array_compact(F.array("best", F.nullif("best_of_part", "best")))
    ends = joined.select("node", F.explode(best).alias("best")).where(F.col("node") != F.col("best"))
    return ends.select(
        F.least("node", "best").alias("left"),
        F.greatest("node", "best").alias("right"),
        F.when(F.col("best") < F.col("node"), F.lit(1)).otherwise(F.lit(2)).alias("hub"),
    )


# ------------------------------------------------------------------------------------------------------------- pre-test


def _pretested(pairs: DataFrame, sketches: DataFrame, run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    """Distinct pairs (left, right, hub, same) whose sketches do not rule them out; same: equal word for word."""
    distinct = pairs.groupBy("left", "right").agg(F.max("hub").alias("hub"))
    planes = _plane_names(run.parameters)
    kept = ["scope", *planes, "sequence_1", "sequence_2"]
    sides = [
        sketches.select(F.col("node").alias(side), *[F.col(name).alias(f"{side}_{name}") for name in kept])
        for side in ("left", "right")
    ]
    joined = distinct.join(sides[0], on="left", how="inner").join(sides[1], on="right", how="inner")
    half = len(planes) // 2
    mismatches = sum(
        (
            F.bit_count(
                F.col(f"left_{low}")
                .bitwiseXOR(F.col(f"right_{low}"))
                .bitwiseOR(F.col(f"left_{high}").bitwiseXOR(F.col(f"right_{high}")))
            )
            for low, high in zip(planes[:half], planes[half:], strict=True)
        ),
        start=F.lit(0),
    )
    possible = (F.col("left_scope") == F.col("right_scope")) & (mismatches <= most_mismatches(run.step))
    same = (F.col("left_sequence_1") == F.col("right_sequence_1")) & (
        F.col("left_sequence_2") == F.col("right_sequence_2")
    )
    tested = joined.select("left", "right", "hub", same.alias("same"), possible.alias("possible"))
    observation = Observation()
    candidates, counts = written(
        tested.observe(observation, F.count(F.lit(1)).alias("candidate_pairs")).where("possible").drop("possible"),
        run.path("candidates"),
        compared_pairs=F.count_if(~F.col("same")),
        equal_pairs=F.count_if("same"),
        hub_pairs=F.count_if((F.col("hub") > 0) & ~F.col("same")),
    )
    return candidates, {**observation.get, **counts}


def most_mismatches(step: DedupNear) -> int:
    """Return in how many values of the bit planes a pair at the threshold may differ, `pretest_sigmas` included."""
    values = min(step.num_perm, PLANE_PERMUTATIONS)
    agreeing = step.threshold + (1.0 - step.threshold) / 4
    sigma = math.sqrt(agreeing * (1.0 - agreeing) / values)
    return math.floor(values * (1.0 - agreeing + step.pretest_sigmas * sigma))


# --------------------------------------------------------------------------------------------------------- verification


def _verified(
    candidates: DataFrame, documents: DataFrame, counts: dict[str, Any], run: _Run
) -> tuple[DataFrame, dict[str, Any]]:
    """Pairs (left, right, similarity) that reach the threshold."""
    equal = candidates.where("same").select("left", "right", F.lit(1.0).alias("similarity"))
    if not counts["compared_pairs"]:
        return equal, {"compared_documents": 0}
    pairs = candidates.where(~F.col("same"))
    nodes, found = written(_nodes_of(pairs), run.path("nodes"), compared_documents=F.count(F.lit(1)))
    sets = _shingle_sets(documents, nodes, found["compared_documents"], run)
    verified = equal.unionByName(_compared(pairs.where(F.col("hub") == 0), sets, sets, run))
    if not counts["hub_pairs"]:
        return verified, found
    hubs = F.when(F.col("hub") == 1, F.col("left")).otherwise(F.col("right"))
    others = F.when(F.col("hub") == 1, F.col("right")).otherwise(F.col("left"))
    around = pairs.where(F.col("hub") > 0).select(hubs.alias("left"), others.alias("right"))
    sets_of_hubs = sets.join(around.select(F.col("left").alias("node")).distinct(), on="node", how="left_semi")
    return verified.unionByName(_compared(around, sets_of_hubs, sets, run)), found


def _nodes_of(pairs: DataFrame) -> DataFrame:
    return pairs.select(F.explode(F.array("left", "right")).alias("node")).distinct()


def _shingle_sets(documents: DataFrame, nodes: DataFrame, count: int, run: _Run) -> DataFrame:
    """Shingle sets of the documents that are named; their text is read where it lies."""
    texts = documents.select(node_column(), "text")
    if count <= BROADCAST_ROWS:
        texts = texts.join(F.broadcast(nodes), on="node", how="left_semi")
        bitmap = None
    else:
        bitmap = bitmap_of(nodes, count)
    schema = "node long, hashes binary, scale long, words binary"
    return written(map_in_arrow(texts, _set_batches(run.step, bitmap), schema), run.path("sets"))[0]


def _set_batches(step: DedupNear, bitmap: NDArray[np.uint64] | None) -> ArrowMap:
    def sets(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if bitmap is not None:
                batch = batch.filter(pa.array(in_bitmap(np.asarray(batch.column("node")), bitmap)))
            yield _set_batch(batch.column("node"), batch.column("text"), step)

    return sets


def _set_batch(nodes: pa.Array, text: pa.Array, step: DedupNear) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([nodes, *compared_parts(text, step)], names=["node", "hashes", "scale", "words"])


def _compared(pairs: DataFrame, left_sets: DataFrame, right_sets: DataFrame, run: _Run) -> DataFrame:
    names = ["hashes", "scale"] + (["words"] if run.step.edit_similarity is not None else [])
    sides = [
        sets.select(F.col("node").alias(side), *[F.col(name).alias(f"{side}_{name}") for name in names])
        for side, sets in (("left", left_sets), ("right", right_sets))
    ]
    # The right side, which a hub is never on, is joined first, so that no key is met by most of the pairs.
    joined = (
        pairs.select("left", "right").join(sides[1], on="right", how="inner").join(sides[0], on="left", how="inner")
    )
    return map_in_arrow(joined, _comparison(run.step), f"{PAIR}, similarity double")


def _comparison(step: DedupNear) -> ArrowMap:
    def side(batch: pa.RecordBatch, name: str) -> Compared:
        sequences = batch.column(f"{name}_words") if step.edit_similarity is not None else None
        return Compared(batch.column(f"{name}_hashes"), batch.column(f"{name}_scale"), sequences)

    def compare(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            reached, found = similarities(side(batch, "left"), side(batch, "right"), step)
            kept = batch.filter(pa.array(reached))
            columns = [kept.column("left"), kept.column("right"), pa.array(found[reached])]
            yield pa.RecordBatch.from_arrays(columns, names=["left", "right", "similarity"])

    return compare


# ----------------------------------------------------------------------------------------------------------- resolution


def _ranked_edges(verified: DataFrame, sketches: DataFrame, run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    """Edges (better, worse, similarity) with the order columns of both ends."""
    keep = run.step.keep
    narrow = sketches.select("node", "scope", *order_of(keep))
    sides = [
        narrow.select(*[F.col(name).alias(f"{side}_{name}") for name in narrow.columns]) for side in ("left", "right")
    ]
    joined = (
        verified.join(sides[0], F.col("left") == F.col("left_node"), how="inner")
        .join(sides[1], F.col("right") == F.col("right_node"), how="inner")
        .where(F.col("left_scope") == F.col("right_scope"))
    )
    ends = {
        side: F.struct(*[F.col(f"{side}_{name}").alias(name) for name in (*_order_names(keep), "node")])
        for side in ("left", "right")
    }
    edges = joined.select(
        F.col("left_scope").alias("scope"),
        F.least(ends["left"], ends["right"]).alias("better"),
        F.greatest(ends["left"], ends["right"]).alias("worse"),
        "similarity",
    )
    return written(edges, run.path("edges"), verified=F.count(F.lit(1)))


def _order_names(keep: tuple[str, ...]) -> list[str]:
    return [*(f"{RANK_PREFIX}{place}" for place in range(len(keep))), *IDENTITY]


def _representatives(edges: DataFrame, count: int, run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    """Removed documents, each with its best kept neighbour."""
    pairs = edges.select(F.col("better.node").alias("better"), F.col("worse.node").alias("worse"))
    removed, counts = _removed(pairs, count, run)
    kept_ends = (
        edges.join(removed, F.col("worse.node") == removed["node"], how="left_semi")
        .join(removed, F.col("better.node") == removed["node"], how="left_anti")
        .groupBy("scope", "worse")
        .agg(F.min(F.struct("better", "similarity")).alias("kept"))
    )
    members = kept_ends.select(
        "scope",
        _identity("worse").alias("member"),
        _identity("kept.better").alias("survivor"),
        F.col("kept.similarity").alias("similarity"),
        F.lit(None).cast("string").alias("via"),
    )
    members, found = written(members, run.path("removed"), removed=F.count(F.lit(1)))
    return members, counts | found


def _identity(column: str) -> Column:
    return F.struct(*[F.col(f"{column}.{name}").alias(name) for name in IDENTITY])


def _removed(pairs: DataFrame, count: int, run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    """Nodes outside the greedy independent set by rank.

    In a round, every document without an undecided better neighbour stays and its neighbours go; both are decided for
    good, so the answer is that of one task over all pairs.
    """
    step, rounds = run.step, 0
    parts = []
    while count > step.max_task_pairs and rounds < step.max_rounds:
        rounds += 1
        staying = pairs.select("better").distinct().join(_named(pairs, "worse", "better"), on="better", how="left_anti")
        gone, _ = written(
            pairs.join(staying, on="better", how="left_semi").select(F.col("worse").alias("node")).distinct(),
            run.path(f"round-{rounds}-removed"),
        )
        pairs, left = written(
            pairs.join(_named(gone, "node", "worse"), on="worse", how="left_anti").join(
                _named(gone, "node", "better"), on="better", how="left_anti"
            ),
            run.path(f"round-{rounds}-undecided"),
            pairs=F.count(F.lit(1)),
        )
        count = left["pairs"]
        parts.append(gone)
        say(f"dedup_near: round {rounds}, {count:,} pairs undecided", round=rounds, undecided_pairs=count)
    unresolved = 0
    if count > step.max_task_pairs:
        unresolved = pairs.select(F.explode(F.array("better", "worse")).alias("node")).distinct().count()
    else:
        parts.append(written(map_in_arrow(pairs.repartition(1), _remove_in_one_task, "node long"), run.path("last"))[0])
    return functools.reduce(DataFrame.unionByName, parts), {"rounds": rounds, "near_unresolved": unresolved}


def _named(frame: DataFrame, old: str, new: str) -> DataFrame:
    return frame.select(F.col(old).alias(new))


def _ends(batches: Iterator[pa.RecordBatch]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return both columns of all batches of a partition."""
    held = list(batches)
    ends = [np.concatenate([np.asarray(batch.column(i)) for batch in held]) if held else np.empty(0) for i in (0, 1)]
    return ends[0].astype(np.int64), ends[1].astype(np.int64)


def _remove_in_one_task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_arrays([pa.array(removed_nodes(*_ends(batches)))], names=["node"])


def _components(edges: DataFrame, count: int, run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    """Removed documents, each with the best document of its component."""
    pairs = edges.select(
        F.least("better.node", "worse.node").alias("left"), F.greatest("better.node", "worse.node").alias("right")
    )
    labels, counts = _labels(pairs, count, run)
    both_ways = edges.select("scope", "better", "worse", "similarity").unionByName(
        edges.select("scope", F.col("worse").alias("better"), F.col("better").alias("worse"), "similarity")
    )
    incident = both_ways.select(
        "scope", F.col("better").alias("member"), F.col("worse").alias("neighbour"), "similarity"
    ).join(labels, F.col("member.node") == labels["node"], how="inner")
    best = incident.groupBy("label").agg(F.min("member").alias("survivor"))
    told = (
        incident.join(best, on="label", how="inner")
        .where(F.col("member") != F.col("survivor"))
        .groupBy("scope", "member", "survivor")
        .agg(
            F.max(F.when(F.col("neighbour") == F.col("survivor"), F.col("similarity"))).alias("similarity"),
            F.min(F.struct((-F.col("similarity")).alias("distance"), "neighbour")).alias("nearest"),
        )
    )
    members = told.select(
        "scope",
        _identity("member").alias("member"),
        _identity("survivor").alias("survivor"),
        "similarity",
        F.when(F.col("similarity").isNull(), F.col("nearest.neighbour.id")).alias("via"),
    )
    members, found = written(members, run.path("removed"), removed=F.count(F.lit(1)))
    return members, counts | found


def _labels(pairs: DataFrame, count: int, run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    """Each node with the smallest node of its component: in one task, or by alternating large and small stars.

    Kiveris et al. 2014 ("Connected components in MapReduce and beyond"). The stars end as one star per component; their
    number and a checksum that no longer change say so. Stopped early, a component falls into several, each with a
    survivor of its own: too much is kept, nothing is lost.
    """
    step, rounds = run.step, 0
    if count <= step.max_task_pairs:
        labels = map_in_arrow(pairs.repartition(1), _label_in_one_task, "node long, label long")
        return written(labels, run.path("labels"))[0], {"rounds": 0, "near_unresolved": 0}
    before, changed = None, True
    while changed and rounds < step.max_rounds:
        rounds += 1
        pairs, now = written(
            _small_stars(_large_stars(pairs)),
            run.path(f"round-{rounds}-stars"),
            pairs=F.count(F.lit(1)),
            checksum=F.bit_xor(F.xxhash64("left", "right")),
        )
        changed, before = now != before, now
        say(f"dedup_near: round {rounds}, {now['pairs']:,} pairs", round=rounds, pairs=now["pairs"])
    children = pairs.groupBy(F.col("right").alias("node")).agg(F.min("left").alias("label"))
    roots = pairs.select(F.col("left").alias("node")).distinct().join(children, on="node", how="left_anti")
    labels = children.unionByName(roots.select("node", F.col("node").alias("label")))
    unresolved = pairs.join(roots, F.col("left") == F.col("node"), how="left_anti").count() if changed else 0
    return written(labels, run.path("labels"))[0], {"rounds": rounds, "near_unresolved": unresolved}


def _large_stars(pairs: DataFrame) -> DataFrame:
    """Every node's larger neighbours, tied to the smallest of the node and its neighbours."""
    both_ways = pairs.unionByName(pairs.select(F.col("right").alias("left"), F.col("left").alias("right")))
    least = both_ways.groupBy("left").agg(F.least(F.col("left"), F.min("right")).alias("least"))
    tied = pairs.join(least, on="left", how="inner").select(F.col("least").alias("left"), "right")
    return tied.distinct()


def _small_stars(pairs: DataFrame) -> DataFrame:
    """Every node and its smaller neighbours, tied to the smallest of these."""
    least = pairs.groupBy("right").agg(F.min("left").alias("least"))
    neighbours = pairs.join(least, on="right", how="inner").select(F.col("least"), F.col("left").alias("right"))
    tied = neighbours.unionByName(least.select("least", "right")).where(F.col("least") != F.col("right"))
    return tied.select(F.col("least").alias("left"), "right").distinct()


def _label_in_one_task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    nodes, labels = components(*_ends(batches))
    yield pa.RecordBatch.from_arrays([pa.array(nodes), pa.array(labels)], names=["node", "label"])


# -------------------------------------------------------------------------------------------------------------- results


def _decisions(members: DataFrame) -> DataFrame:
    return members.select(
        "member.key",
        "member.copy",
        F.col("survivor.id").alias("duplicate_of"),
        F.col("survivor.key").alias("duplicate_of_key"),
        "similarity",
        "via",
        cluster_name(F.col("scope"), F.col("survivor.key")).alias("cluster"),
    )


def _clusters(members: DataFrame, run: _Run) -> tuple[DataFrame, dict[str, Any]]:
    """One row per cluster: its kept document, its size, and its most similar members, at most `LISTED_MEMBERS`."""
    nearest = Window.partitionBy("scope", "survivor").orderBy(F.col("similarity").desc_nulls_last(), "member")
    placed = members.withColumn("place", F.row_number().over(nearest))
    shown = F.when(F.col("place") <= LISTED_MEMBERS, F.struct("place", "member.id", "member.key", "similarity"))
    grouped = placed.groupBy("scope", "survivor").agg(
        (F.count(F.lit(1)) + 1).alias("size"), F.array_sort(F.collect_list(shown)).alias("shown")
    )
    clusters = grouped.select(
        cluster_name(F.col("scope"), F.col("survivor.key")).alias("cluster"),
        "survivor.id",
        "survivor.key",
        "survivor.copy",
        "size",
        F.transform("shown", _member).alias("members"),
    )
    return written(clusters, run.path("clusters"), clusters=F.count(F.lit(1)), largest_cluster=F.max("size"))


def _member(shown: Column) -> Column:
    return F.struct(*[shown[name].alias(name) for name in ("id", "key", "similarity")])


JOB = Job(
    name="dedup-near",
    summary="Keep one of nearly equal documents.",
    example="winnow dedup-near --recipe gopher --input texts/kept --output clean",
    steps=("dedup_near",),
    set_steps={"dedup_near": dedup_near},
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    return run_job(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
