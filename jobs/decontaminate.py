"""Keep test sets out of the corpus (Gopher, arXiv 2112.11446, appendix A, step 6; GPT-3, arXiv 2005.14165, appendix C).

Takes documents and test sets; gives documents with what was found in them, and tables that say it the other way round:
which item was found where. The test sets become an index of n-grams (``udfs.ngram_index``), mapped read-only on every
machine; the corpus meets it in one Arrow UDF and is never shuffled.

Shuffled: nothing, as long as the index is within ``max_index_bytes``. Beyond that only the index's filter travels (2
bytes an n-gram) and the n-grams that pass it are joined by hash: about 40 bytes for each, which is 1 % of a clean
document's n-grams (some 300 bytes for a document of 1 000 words); documents in which something is found are joined once
more by key. Counting idioms shuffles 8 bytes for each matched n-gram of the sample. To the driver come: the test sets,
and the idioms, which are n-grams of the test sets.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import SparkFiles
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_type

from jobs.core import command
from jobs.core.console import say
from jobs.core.corpus import Corpus
from jobs.core.corpus_edit import list_stranded, operation_id, publish_edit, without_rows
from jobs.core.documents import REASONS_TYPE
from jobs.core.errors import InputContractError, UsageError
from jobs.core.files import DriverFiles, scheme_of
from jobs.core.gates import check_gate_names, refuse_tripped
from jobs.core.job import Job, run_job
from jobs.core.recipe import Decontaminate, Gates, TestSet
from jobs.core.recipe_file import resolve_recipe
from jobs.core.run import SetResult
from jobs.core.run_folder import StageFolder
from jobs.core.session import spark_session
from jobs.core.testsets import TestSets, read_testsets
from jobs.core.worker_garbage import skip_lasting_objects
from udfs import decontamination as kernel
from udfs import ngram_index
from udfs.decontamination import CONTAMINATION_TYPE, Policy
from udfs.ngram_index import (
    ITEM_SCHEMA,
    Index,
    IndexMismatchError,
    Parameters,
    assemble,
    filter_of,
    load_idioms,
    load_index,
    load_metadata,
    save_idioms,
    save_index,
    windows_of,
)

__all__ = [
    "build_index",
    "build_index_from_paths",
    "contamination_table",
    "dataset_report",
    "decontaminate",
    "find_contamination",
    "idioms",
    "item_report",
    "policy_of",
    "read_testsets",
]

INDEX_FOLDER = "index"
EXAMPLES = 3
_JOIN_FILTER = "join_filter.npy"
_POSTINGS = "postings.parquet"
_ITEMS = "items.parquet"
_METADATA = "index.json"
_ROWS_PER_GROUP = 100_000


# ---------------------------------------------------------------------------------------------------------------- index


def policy_of(step: Decontaminate) -> Policy:
    """The part of a recipe step that decides."""
    return Policy(
        name=step.policy,
        min_coverage=step.min_coverage,
        full_coverage_words=step.full_coverage_words,
        min_question_words=step.min_question_words,
        min_run_words=step.min_run_words,
        shared_weight=step.shared_weight,
        min_jaccard=step.min_jaccard,
        window_chars=step.window_chars,
        min_piece_chars=step.min_piece_chars,
        max_pieces=step.max_pieces,
    )


def parameters_of(step: Decontaminate) -> Parameters:
    """The part of a recipe step that an index is built with."""
    return Parameters(ngram=step.ngram, han_ngram=step.han_ngram, min_words=step.min_words)


def build_index_from_paths(
    testsets: Iterable[str | TestSet], step: Decontaminate, folder: str | Path
) -> dict[str, Any]:
    """Read test sets, and the items of the step's own ``index`` if it names one; write an index; return its metadata.

    Raises ``InputContractError`` as ``read_testsets`` and ``build_index`` do.
    """
    chosen = list(testsets)
    read = read_testsets(chosen) if chosen or step.index is None else TestSets(ITEM_SCHEMA.empty_table(), ())
    if step.index is None:
        return build_index(read, step, folder)
    earlier = opened_index(step.index, step)
    inputs = [*earlier.metadata.get("inputs", ()), *read.inputs]
    merged = TestSets(pa.concat_tables([earlier.items, read.items]), tuple(inputs))
    metadata = build_index(merged, step, folder)
    stored = load_idioms(local_path(step.index))
    if len(stored):
        save_idioms(local_path(folder), stored)
    return metadata


def build_index(items: TestSets | pa.Table, step: Decontaminate, folder: str | Path) -> dict[str, Any]:
    """Write the index of test items into a local folder that does not exist yet; return its metadata.

    With an index larger than ``max_index_bytes`` the tables for the join by hash are written too. Raises
    ``InputContractError`` when no item at all can be tested.
    """
    table, inputs = (items.items, list(items.inputs)) if isinstance(items, TestSets) else (items, [])
    target = local_path(folder)
    if target.exists() and any(target.iterdir()):
        raise UsageError(f"{target} is not empty", next_step="choose another folder for the index")
    try:
        index = ngram_index.build_index(table, parameters_of(step), {"inputs": inputs})
    except ValueError as error:
        named = ", ".join(str(entry["path"]) for entry in inputs)
        raise InputContractError(
            f"nothing to look for: {error}" + (f" ({named})" if named else ""),
            next_step="lower steps.decontaminate.min_words, or give other test sets",
        ) from error
    save_index(index, target)
    metadata = load_metadata(target)
    for dataset, counts in _testable_by_dataset(index).items():
        if counts["testable"] == 0:
            say(
                f"test set {dataset}: none of its {counts['items']} items can be tested, "
                f"all have fewer than {step.min_words} words"
            )
        elif counts["testable"] < counts["items"]:
            say(
                f"test set {dataset}: {counts['items'] - counts['testable']} of {counts['items']} items "
                f"are too short to be tested"
            )
    if index.bytes > step.max_index_bytes:
        say(
            f"the index has {index.bytes:,} bytes, more than max_index_bytes = {step.max_index_bytes:,}: "
            f"documents will be joined with it by hash, which shuffles some n-grams"
        )
        _write_join_tables(index, target, step.max_index_bytes)
    return metadata


def _testable_by_dataset(index: Index) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for dataset, words in zip(index.items["dataset"].to_pylist(), index.postings.gram_words.tolist(), strict=True):
        entry = counts.setdefault(dataset, {"items": 0, "testable": 0})
        entry["items"] += 1
        entry["testable"] += words > 0
    return counts


def opened_index(folder: str | Path, step: Decontaminate) -> Index:
    """Map an index. Raises ``InputContractError`` when it is none, or was built by another definition or with other
    parameters."""
    try:
        index = load_index(local_path(folder))
    except IndexMismatchError as error:
        raise InputContractError(str(error), next_step="build it again: winnow decontaminate index") from error
    if index.parameters != parameters_of(step):
        raise InputContractError(
            f"{folder}: the index was built with {index.parameters}, the recipe asks for {parameters_of(step)}",
            next_step="build it again: winnow decontaminate index",
        )
    return index


def local_path(folder: str | Path) -> Path:
    """A path or ``file:`` URI as a path. Raises ``UsageError`` for other schemes: an index is mapped from a disk."""
    text = str(folder)
    if scheme_of(text) not in ("", "file"):
        raise UsageError(f"{text}: an index must lie on a local or mounted disk", next_step="copy it there first")
    return Path(unquote(urlsplit(text).path)) if text.startswith("file:") else Path(text)


# ---------------------------------------------------------------------------------------------------------- shipping it


def _ship(spark: SparkSession, folder: Path, *names: str) -> Callable[[], Path]:
    """Make a folder (or some of its files) readable on every machine; the function that tells a worker where it is.

    Locally the workers map the folder itself. On a cluster each executor gets one copy, which its workers share; it is
    named by its content, so that two indexes in one application do not meet.
    """
    if str(spark.sparkContext.master).startswith("local"):
        return lambda: folder
    name = f"winnow-index-{_digest_of(folder, names)}"
    # An archive, because Spark sends files of local folders one by one at best; executors unpack it once.
    archive = Path(tempfile.mkdtemp(prefix="winnow-index-")) / f"{name}.tar"
    with tarfile.open(archive, "w") as tar:
        for file in sorted(folder.iterdir()):
            if file.is_file() and file.suffix != ".parquet" and (not names or file.name in names):
                tar.add(file, arcname=file.name)
    spark.sparkContext.addArchive(f"{archive}#{name}")
    return lambda: Path(SparkFiles.get(name))


def _digest_of(folder: Path, names: Sequence[str]) -> str:
    digest = hashlib.sha256(repr(names).encode())
    for file in sorted(folder.glob("*.npy")) + [folder / _METADATA]:
        digest.update(f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


# --------------------------------------------------------------------------------------------------------------- search


def _arrow_function(function: Any, kind: pa.DataType) -> Any:
    """A function of Arrow arrays as one of columns."""
    # Nondeterministic only in name: it keeps the optimiser from evaluating the function once for every field read.
    typed: Any = F.arrow_udf  # its overloads do not know DataType
    return typed(function, from_arrow_type(kind)).asNondeterministic()


def find_contamination(
    documents: DataFrame, step: Decontaminate, index_folder: str | Path, *, text: Column | None = None
) -> DataFrame:
    """Documents with the column ``contamination`` (``udfs.decontamination.CONTAMINATION_TYPE``).

    ``text`` is what is searched, the column ``text`` by default; where it is NULL nothing is looked for and nothing is
    found, at no cost: pass ``when(alive, text)`` to leave out rows that are removed already. Shuffles nothing, unless
    the index is larger than ``max_index_bytes`` (see above): then rows need ``key``, and rows of equal keys equal
    texts.
    """
    index = opened_index(index_folder, step)
    searched = F.col("text") if text is None else text
    if index.bytes > step.max_index_bytes:
        return _find_by_join(documents, step, local_path(index_folder), searched)
    where = _ship(documents.sparkSession, local_path(index_folder))
    policy = policy_of(step)

    def find(texts: pa.Array) -> pa.Array:
        skip_lasting_objects()
        return kernel.contamination(texts, load_index(where()), policy)

    found = _arrow_function(find, CONTAMINATION_TYPE)
    return documents.withColumn("contamination", found(searched))


# ------------------------------------------------------------------------------------------------------- search by join


def _write_join_tables(index: Index, folder: Path, max_bytes: int) -> None:
    """Postings (hash, item) and items with their n-grams, for Spark; and a filter that may be shipped, if need be a
    coarser one."""
    bits = min(16.0, 8.0 * max_bytes / max(1, len(index.lookup.hashes)))
    np.save(folder / _JOIN_FILTER, filter_of(index.lookup.hashes, bits_per_gram=bits), allow_pickle=False)
    postings = index.postings
    counts = np.diff(postings.offsets.astype(np.int64))
    schema = pa.schema([("hash", pa.int64()), ("item", pa.int64())])
    with pq.ParquetWriter(folder / _POSTINGS, schema, compression="zstd") as writer:
        for begin in range(0, len(counts), _ROWS_PER_GROUP):
            end = min(begin + _ROWS_PER_GROUP, len(counts))
            hashes = np.repeat(index.lookup.hashes[begin:end].view(np.int64), counts[begin:end].tolist())
            items = postings.items[postings.offsets[begin] : postings.offsets[end]].astype(np.int64)
            writer.write_table(pa.table([hashes, items], schema=schema))
    schema = _item_payload_schema()
    with pq.ParquetWriter(folder / _ITEMS, schema, compression="zstd") as writer:
        for begin in range(0, len(index.items), _ROWS_PER_GROUP // 100):
            writer.write_table(_item_payload(index, begin, min(begin + _ROWS_PER_GROUP // 100, len(index.items))))


def _item_payload_schema() -> pa.Schema:
    facts = ("item", "words", "question_words", "gram_words", "character_words")
    lists = [("hashes", pa.list_(pa.int64())), ("shares", pa.list_(pa.int16()))]
    return pa.schema([*[(name, pa.int64()) for name in facts], *lists, *ITEM_SCHEMA])


def _item_payload(index: Index, begin: int, end: int) -> pa.Table:
    postings = index.postings
    offsets = postings.item_offsets[begin : end + 1]
    shares = postings.item_shares[offsets[0] : offsets[-1]].astype(np.int16)
    grams = postings.item_grams[offsets[0] : offsets[-1]]
    hashes = np.zeros(len(grams), dtype=np.uint64)
    hashes[shares != 0] = index.lookup.hashes[grams[shares != 0]]
    lists = pa.array((offsets - offsets[0]).astype(np.int32))
    columns = [
        np.arange(begin, end, dtype=np.int64),
        postings.item_words[begin:end].astype(np.int64),
        postings.question_words[begin:end].astype(np.int64),
        postings.gram_words[begin:end].astype(np.int64),
        postings.character_words[begin:end].astype(np.int64),
        pa.ListArray.from_arrays(lists, pa.array(hashes.view(np.int64))),
        pa.ListArray.from_arrays(lists, pa.array(shares)),
        *index.items.slice(begin, end - begin).columns,
    ]
    return pa.table(columns, schema=_item_payload_schema())


def _find_by_join(documents: DataFrame, step: Decontaminate, folder: Path, searched: Column) -> DataFrame:
    """As ``find_contamination``, for an index that is too large to ship.

    N-grams of the documents that pass the filter are joined with the postings; a document gets the items that may be
    in it (what their number of common n-grams allows) and is judged by an index of these alone. Who is judged does not
    change by that: a verdict depends on the item and the document only.
    """
    spark = documents.sparkSession
    if not (folder / _POSTINGS).is_file():
        _write_join_tables(opened_index(folder, step), folder, step.max_index_bytes)
    pairs = (
        _filtered_hashes(documents.where(searched.isNotNull()), searched, folder, "key")
        .join(spark.read.parquet(folder.joinpath(_POSTINGS).as_uri()), on="hash", how="inner")
        .groupBy("key", "item")
        .agg(F.countDistinct("hash").alias("matched"))
    )
    items = spark.read.parquet(folder.joinpath(_ITEMS).as_uri())
    held = pairs.join(items, on="item", how="inner").where(_may_be_found(step))
    candidates = held.groupBy("key").agg(F.collect_list(F.struct(*_item_payload_schema().names)).alias("_candidates"))
    parameters, policy, stored = parameters_of(step), policy_of(step), load_idioms(folder)

    def judge(texts: pa.Array, candidates: pa.Array) -> pa.Array:
        return _judge_candidates(texts, candidates, parameters, policy, stored)

    found = _arrow_function(judge, CONTAMINATION_TYPE)
    joined = documents.join(candidates, on=documents["key"].eqNullSafe(candidates["key"]), how="left").drop(
        candidates["key"]
    )
    return joined.withColumn("contamination", found(searched, F.col("_candidates"))).drop("_candidates")


def _filtered_hashes(documents: DataFrame, searched: Column, folder: Path, *columns: str) -> DataFrame:
    """``columns`` and the ``hash`` of each distinct n-gram of each document that passes the index's filter."""
    windows = load_metadata(folder)["windows"]
    lengths = np.array(windows["lengths"], dtype=np.int64)
    spaced = lengths[np.array(windows["character_words_only"]) == 0]
    where = _ship(documents.sparkSession, folder, _JOIN_FILTER, _METADATA)

    def hashes(texts: pa.Array) -> pa.Array:
        return kernel.filtered_hashes(texts, windows_of(lengths, spaced), _join_filter(where()))

    passed = _arrow_function(hashes, pa.list_(pa.int64()))
    return documents.select(*columns, F.explode(passed(searched)).alias("hash"))


@cache
def _join_filter(folder: Path) -> np.ndarray:
    return np.asarray(np.load(folder / _JOIN_FILTER, mmap_mode="r", allow_pickle=False))


def _may_be_found(step: Decontaminate) -> Column:
    """Whether so many common n-grams can be enough; generous, since verdicts are made later."""
    if step.policy not in ("coverage", "flag"):
        return F.lit(True)
    # Repeated n-grams of an item cover more words than their number says.
    repeated = F.size("hashes") - F.size(F.array_distinct("hashes"))
    most = (F.col("matched") + repeated) * F.col("gram_words")
    question = F.when(F.col("question_words") >= step.min_question_words, F.col("question_words"))
    least = F.least(F.lit(float(step.min_run_words)), F.col("words") * step.min_coverage, question * step.min_coverage)
    return most >= least - 1


def _judge_candidates(
    texts: pa.Array, candidates: pa.Array, parameters: Parameters, policy: Policy, stored: np.ndarray
) -> pa.Array:
    """Judge a batch by an index of the items that any of its documents may hold."""
    payload = pa.Table.from_struct_array(candidates.flatten()).select(_item_payload_schema().names)
    if not len(payload):
        return kernel.nothing_found(len(texts))
    numbers = payload["item"].to_numpy()
    _, first = np.unique(numbers, return_index=True)
    rows = payload.take(pa.array(first)).combine_chunks()
    hashes, shares = rows["hashes"].combine_chunks(), rows["shares"].combine_chunks()
    offsets = np.concatenate([[0], np.cumsum(hashes.value_lengths().to_numpy())]).astype(np.int64)
    index = assemble(
        parameters,
        rows.select(ITEM_SCHEMA.names),
        gram_hashes=hashes.flatten().to_numpy().view(np.uint64),
        item_offsets=offsets,
        item_shares=shares.flatten().to_numpy().astype(np.uint8),
        item_words_=rows["words"].to_numpy().astype(np.uint32),
        question_words=rows["question_words"].to_numpy().astype(np.uint32),
        gram_words=rows["gram_words"].to_numpy().astype(np.uint32),
        character_words=rows["character_words"].to_numpy().astype(np.uint8),
        idiom_hashes=stored,
    )
    return kernel.contamination(texts, index, policy)


# --------------------------------------------------------------------------------------------------------------- idioms


def idioms(
    documents_sample: DataFrame, step: Decontaminate, index_folder: str | Path, *, text: Column | None = None
) -> int:
    """Count which n-grams of the index more than ``max_documents`` documents of a sample hold; store them with the
    index.

    Returns their number. They replace idioms that were stored before. Shuffles 8 bytes for each matched n-gram of each
    document.
    """
    searched = F.col("text") if text is None else text
    index = opened_index(index_folder, step)
    if index.bytes > step.max_index_bytes:
        folder = local_path(index_folder)
        postings = documents_sample.sparkSession.read.parquet(folder.joinpath(_POSTINGS).as_uri())
        passed = _filtered_hashes(documents_sample, searched, folder)
        hashes = passed.join(postings.select("hash").distinct(), on="hash", how="left_semi").select("hash")
        return _store_idioms(hashes, step, index_folder)
    matched = _matched_grams(documents_sample.sparkSession, local_path(index_folder))
    grams = documents_sample.select(F.explode(matched(searched)).alias("gram"))
    return _store_idioms(grams, step, index_folder)


def _matched_grams(spark: SparkSession, folder: Path) -> Any:
    """The numbers of the index's n-grams in a text, as a function of a column."""
    where = _ship(spark, folder)

    def matched(texts: pa.Array) -> pa.Array:
        return kernel.matched_grams(texts, load_index(where()))

    return _arrow_function(matched, pa.list_(pa.int64()))


def _store_idioms(found: DataFrame, step: Decontaminate, index_folder: str | Path) -> int:
    """Keep what occurs in too many documents, of one column of n-gram numbers or of hashes, one a document."""
    name = found.columns[0]
    frequent = found.groupBy(name).count().where(F.col("count") > step.max_documents).select(name)
    values = np.array([row[0] for row in frequent.collect()], dtype=np.int64)  # n-grams of the test sets at most
    hashes = values.view(np.uint64) if name == "hash" else opened_index(index_folder, step).lookup.hashes[values]
    save_idioms(local_path(index_folder), hashes)
    return len(hashes)


# -------------------------------------------------------------------------------------------------------------- reports


def contamination_table(marked: DataFrame) -> DataFrame:
    """One row per document and item found in it: ``document_id``, ``key``, ``removed``, and the fields of a match."""
    matches = marked.where(F.col("contamination.contaminated")).select(
        F.col("id").alias("document_id"),
        "key",
        "contamination.removed",
        F.explode("contamination.matches").alias("_match"),
    )
    return matches.select("document_id", "key", "removed", "_match.*")


def item_report(marked: DataFrame, index_folder: str | Path, step: Decontaminate) -> DataFrame:
    """One row per test item: can it be tested (else why not), was it found, in how many documents, in which (at most
    three), how well.

    ``marked`` has ``id``, ``key`` and ``contamination``. Shuffles the matches: about 100 bytes for each.
    """
    index = opened_index(index_folder, step)
    items = marked.sparkSession.createDataFrame(_item_facts(index, step))
    matches = marked.where(F.col("contamination.contaminated")).select(
        "id", "key", F.explode("contamination.matches").alias("match")
    )
    example = F.struct("key", "id")
    found = matches.groupBy("match.dataset", "match.split", "match.item_id").agg(
        F.count(F.lit(1)).alias("documents"),
        F.min(example).alias("_first"),
        F.max("match.item_coverage").alias("best_coverage"),
        F.max("match.longest_run").alias("longest_run"),
    )
    # Examples by key, so that they do not change with the order of rows.
    ranked = F.slice(F.array_sort(F.collect_set(example)), 1, EXAMPLES)
    few = matches.groupBy("match.dataset", "match.split", "match.item_id").agg(ranked.alias("_examples"))
    on = ["dataset", "split", "item_id"]
    return (
        items.join(found.drop("_first"), on=on, how="left")
        .join(few, on=on, how="left")
        .withColumns(
            {
                "found": F.col("documents").isNotNull(),
                "documents": F.coalesce("documents", F.lit(0)),
                "document_ids": F.coalesce(
                    F.transform("_examples", lambda e: e["id"]), F.array().cast("array<string>")
                ),
            }
        )
        .drop("_examples")
    )


def _item_facts(index: Index, step: Decontaminate) -> pa.Table:
    """What the index knows of each item."""
    postings = index.postings
    words = postings.item_words.astype(np.int64)
    testable = postings.gram_words > 0
    needed = np.where(postings.character_words == 1, step.han_ngram, step.ngram)
    own = _sums(postings.item_shares == 1, postings.item_offsets)
    shared = _sums(postings.item_shares > 1, postings.item_offsets)
    marks = np.zeros(len(postings.item_grams), dtype=bool)
    if len(postings.idioms):
        present = postings.item_shares != 0
        marks[present] = postings.idioms[postings.item_grams[present]] != 0
    reasons = [
        None if ok else f"{count} words, fewer than {step.min_words}" for ok, count in zip(testable, words, strict=True)
    ]
    return pa.table(
        {
            "dataset": index.items["dataset"],
            "split": index.items["split"],
            "item_id": index.items["id"],
            "testable": testable,
            "not_testable_because": pa.array(reasons, pa.string()),
            "words": words,
            "indexed_whole": testable
            & (postings.gram_words < np.minimum(needed, words + 1))
            & (postings.gram_words < needed),
            "own_ngrams": own,
            "shared_ngrams": shared,
            "idiom_ngrams": _sums(marks, postings.item_offsets),
        }
    )


def _sums(flags: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    running = np.concatenate([[0], np.cumsum(flags, dtype=np.int64)])
    return running[offsets[1:]] - running[offsets[:-1]]


def dataset_report(items: DataFrame) -> DataFrame:
    """One row per data set: items, testable, not testable, found, the documents they were found in, and a histogram of
    the best coverage of found items in ten equal bins."""
    bins = [
        F.count_if(F.col("found") & (F.floor(F.least(F.col("best_coverage"), F.lit(0.999)) * 10) == low))
        for low in range(10)
    ]
    return items.groupBy("dataset").agg(
        F.count(F.lit(1)).alias("items"),
        F.count_if("testable").alias("testable"),
        F.count_if(~F.col("testable")).alias("not_testable"),
        F.count_if("found").alias("found"),
        F.sum("documents").alias("findings"),
        F.sum("idiom_ngrams").alias("idiom_ngrams"),
        F.array(*bins).alias("coverage_histogram"),
    )


# -------------------------------------------------------------------------------------------------------- in a run


def decontaminate(documents: DataFrame, step: Decontaminate, folder: StageFolder) -> SetResult:
    """Find test items in the documents that are still kept; decisions, edits, and the tables of findings, items and
    sets.

    The corpus is read once: documents that hold any n-gram of the index are set aside with it, idioms are counted on
    those among them with the smallest keys, and the rest of the work is on what was set aside. (An index that is too
    large to ship takes two more readings.)
    """
    if not step.testsets and step.index is None:
        say("decontaminate: no test sets are named, nothing is looked for")
        return SetResult(documents.select("key", "copy").limit(0), facts={"items": 0})
    spark = documents.sparkSession
    target = _index_folder(folder)
    shutil.rmtree(target, ignore_errors=True)
    metadata = build_index_from_paths(step.testsets, step, target)
    facts: dict[str, Any] = {name: metadata[name] for name in ("items", "grams", "inputs")}
    if step.idiom_sample is not None:
        facts["idioms"] = idioms(_read_sample(spark, step.idiom_sample), step, target)
    counts_own = step.idiom_sample is None and step.index is None and step.idiom_sample_documents > 0
    if opened_index(target, step).bytes > step.max_index_bytes:
        if counts_own:
            sample = documents.where(_place() < step.idiom_sample_documents / max(1, documents.count()))
            facts["idioms"] = idioms(sample, step, target)
        suspects = documents
    else:
        suspects, count = _touched(documents, target, folder.table("touched"))
        if counts_own:
            sample = suspects.where(_place() < step.idiom_sample_documents / max(1, count))
            facts["idioms"] = _store_idioms(sample.select(F.explode("_grams").alias("gram")), step, target)
    marked = find_contamination(suspects, step, target).where("contamination.contaminated")
    marked.select("id", "key", "copy", "contamination").write.parquet(folder.table("found"))
    found = spark.read.parquet(folder.table("found"))
    items = item_report(found, target, step)
    removed = F.col("contamination.removed")
    facts["contaminated"] = found.count()
    return SetResult(
        decisions=found.where(removed).select(
            "key", "copy", F.col("contamination.reasons").cast(REASONS_TYPE).alias("reasons")
        ),
        edits=_edits(found) if step.policy == "gpt3" else None,
        tables={"contamination": contamination_table(found), "items": items, "testsets": dataset_report(items)},
        facts=facts,
    )


def _edits(found: DataFrame) -> DataFrame:
    """New texts and cuts of the documents that a policy cuts and keeps."""
    edited = ~F.col("contamination.removed") & F.col("contamination.edited").isNotNull()
    return found.where(edited).select(
        "key", "copy", F.col("contamination.edited").alias("text"), F.col("contamination.cuts").alias("cuts")
    )


def _touched(documents: DataFrame, index_folder: Path, scratch: str) -> tuple[DataFrame, int]:
    """Documents that hold any n-gram of the index, with these as ``_grams``, and the number of all documents."""
    grams = _matched_grams(documents.sparkSession, index_folder)
    seen = Observation()
    (
        documents.select("id", "key", "copy", "text", grams(F.col("text")).alias("_grams"))
        .observe(seen, F.count(F.lit(1)).alias("documents"))
        .where(F.size("_grams") > 0)
        .write.parquet(scratch)
    )
    return documents.sparkSession.read.parquet(scratch), int(seen.get["documents"])


def _place() -> Column:
    """Where a key lies among all keys, in [0, 1). Keys are digests: the n smallest of m lie below about n / m."""
    head = F.conv(F.hex(F.substring("key", 1, 8)), 16, 10).cast("decimal(20,0)")
    return head.cast("double") / float(1 << 64)


def _index_folder(folder: StageFolder) -> Path:
    """Where the stage's index lies: in the stage, or on a disk of the driver where the stage is on an object store."""
    home = folder.table(INDEX_FOLDER)
    if scheme_of(home) in ("", "file"):
        return local_path(home)
    return Path(tempfile.gettempdir()) / f"winnow-index-{hashlib.sha256(home.encode()).hexdigest()[:16]}"


def _read_sample(spark: SparkSession, path: str) -> DataFrame:
    if path.rstrip("/").endswith((".parquet", ".parq")):
        return spark.read.parquet(path).select("text")
    return spark.read.schema("text string").option("maxStringLen", 2**31 - 1).json(path)


JOB = Job(
    name="decontaminate",
    summary="Remove documents that hold test items; `winnow decontaminate index` writes an index for re-use.",
    example="winnow decontaminate --recipe gopher --input texts/kept --testsets testsets/ --output clean",
    steps=("decontaminate",),
    set_steps={"decontaminate": decontaminate},
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["index"]:
        return _write_index(words[1:])
    return _clean_corpus(words) if "--corpus" in words else run_job(JOB, words)


def _clean_corpus(argv: Sequence[str]) -> int:
    """Hold a published corpus against test sets that came later, and publish a version without what holds their items.

    Reads the text of every document once and writes the files that hold a hit anew.
    """

    def body() -> int:
        arguments = command.parser(
            "decontaminate",
            "Publish a version of a corpus without the documents that hold items of test sets.\n\n"
            "exit codes: 0 done, 2 usage, 4 a gate tripped, 5 another writer was faster",
            "winnow decontaminate --recipe gopher --corpus corpus --testsets testsets/",
        )
        command.add_recipe_arguments(arguments)
        arguments.add_argument("--corpus", metavar="DIR", required=True, help="the corpus")
        arguments.add_argument("--testsets", metavar="PATH", nargs="+", action="extend", default=[], help="test sets")
        arguments.add_argument("--allow", metavar="GATE", action="append", default=[], help="publish although it trips")
        command.add_spark_arguments(arguments)
        command.add_log_arguments(arguments)
        chosen = arguments.parse_args(argv)
        command.start_logging(chosen)
        resolved = resolve_recipe(chosen.recipe, chosen.overrides)
        step = resolved.recipe.steps.decontaminate or Decontaminate()
        given = {
            **step.model_dump(mode="json"),
            "testsets": [*(t.model_dump() for t in step.testsets), *chosen.testsets],
        }
        step = Decontaminate.model_validate(given)
        if not step.testsets and step.index is None:
            raise UsageError("no test sets", next_step="give --testsets PATH…")
        if step.policy == "gpt3":
            raise UsageError("policy gpt3 cuts texts, and a corpus is never edited", next_step="use another policy")
        allowed = check_gate_names(chosen.allow)
        settings = command.settings_of(chosen.conf)
        with spark_session("winnow decontaminate", master=chosen.master, settings=settings) as spark:
            version, removed = clean_corpus(spark, chosen.corpus, step, resolved.recipe.gates, allowed)
        done = f"published version {version}" if version else "nothing to publish"
        say(f"{done}: {removed:,} documents of {chosen.corpus} hold test items")
        return 0

    return command.end_well(body, verbose="--verbose" in argv)


def clean_corpus(
    spark: SparkSession, path: str, step: Decontaminate, gates: Gates, allowed: tuple[str, ...]
) -> tuple[int | None, int]:
    """Publish a version of a corpus without contaminated documents; the version and how many they were.

    Nothing is published where none is found. Raises ``GateError`` when more are than ``max_contaminated_fraction``.
    """
    corpus = Corpus(DriverFiles(spark), path)
    head, name = corpus.existing_head(), operation_id("decontaminate")
    folder = StageFolder(corpus.at("runs", name))
    # A document's address stands for what tells equal rows apart.
    documents = corpus.documents(spark, list(corpus.data_files(head.manifest)))
    documents = documents.withColumn("copy", F.xxhash64("file", "row"))
    result = decontaminate(documents, step, folder)
    for table, frame in result.tables.items():
        frame.write.parquet(folder.table(table))
    result.decisions.write.parquet(folder.table("decisions"))
    decisions = spark.read.parquet(folder.table("decisions"))
    count, share = decisions.count(), result.facts["contaminated"] / max(1, head.manifest.documents)
    limit = gates.max_contaminated_fraction
    if limit is not None and share > limit and head.manifest.documents >= gates.min_share_documents:
        said = f"max_contaminated_fraction: {share:.4f} of the documents hold test items, {limit:g} is allowed"
        refuse_tripped([said], allowed)
    if not count:
        return None, 0
    rows = documents.join(decisions.select("key", "copy"), on=["key", "copy"], how="left_semi")
    rows.select("file", "row", "id", "key").write.parquet(folder.table("gone"))
    gone = spark.read.parquet(folder.table("gone"))
    edit = without_rows(spark, corpus, head.manifest.snapshots, gone, name)
    facts = {"contaminated": result.facts["contaminated"], "stranded": list_stranded(spark, corpus, head, gone, name)}
    done = [*head.manifest.done, name]
    return publish_edit(corpus, head, edit, "decontaminate", name, facts, done=done, allowed_gates=allowed), count


def _write_index(argv: Sequence[str]) -> int:
    def body() -> int:
        arguments = command.parser(
            "decontaminate index",
            "Write an index of test sets for re-use (steps.decontaminate.index). Starts no Spark.",
            "winnow decontaminate index --recipe gopher --testsets testsets/ --output index",
        )
        command.add_recipe_arguments(arguments)
        arguments.add_argument("--testsets", metavar="PATH", nargs="+", action="extend", default=[], help="test sets")
        arguments.add_argument("--output", metavar="DIR", required=True, help="folder to write, not there yet")
        command.add_log_arguments(arguments)
        chosen = arguments.parse_args(argv)
        command.start_logging(chosen)
        step = resolve_recipe(chosen.recipe, chosen.overrides).recipe.steps.decontaminate or Decontaminate()
        paths = [*step.testsets, *chosen.testsets]
        if not paths:
            raise UsageError("no test sets", next_step="give --testsets PATH…")
        metadata = build_index_from_paths(paths, step, chosen.output)
        say(f"index of {metadata['items']:,} items written to {chosen.output}")
        return 0

    return command.end_well(body, verbose="--verbose" in argv)


if __name__ == "__main__":
    sys.exit(main())
