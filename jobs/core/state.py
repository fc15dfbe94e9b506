"""What a corpus remembers of its documents, so that a new batch can be held against it without reading their text.

For every data file of documents there is one state file with the same rows in the same order:

- ``key`` (16 bytes) and ``id``;
- ``exact``: the digest of `dedup_exact`, 16 bytes; ``url``: that of `dedup_url`, 16 bytes;
- ``bands``: the band hashes of `dedup_near`, 5 bytes each: of 64 bits the lowest 40. They only propose pairs, which
  are then verified, and a million documents in a batch meet one of another band hash with odds of 10⁻⁶ a band;
- ``anchors``: those of the windows of `dedup_substring`, each once, 5 bytes likewise: one of some 13 words.

A digest covers the scope in which documents are compared. State is made with parameters that stand in the manifest; a
recipe with others is refused, for digests made differently never meet. The row's place is the document's address: what
a hit needs of the document itself is read from the row groups that hold it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from jobs.core.arrow_map import ArrowMap, map_in_arrow
from jobs.core.definitions import DEFINITION_VERSIONS
from jobs.core.errors import ConfigurationError, InputContractError
from jobs.core.files import open_for_reading, worker_file_system
from jobs.core.recipe import DedupExact, DedupNear, DedupSubstring, DedupUrl, Recipe
from udfs.canonical_url import canonical_urls
from udfs.digests import text_digests
from udfs.minhash import SketchParameters, sketch
from udfs.substrings import anchor_sets

STATE_STEPS = ("dedup_url", "dedup_exact", "dedup_near", "dedup_substring")
DIGEST_BYTES = 16
HASH_BYTES = 5  # that are kept of a band hash and of an anchor
_STATE_COLUMN = {"dedup_url": "url", "dedup_exact": "exact", "dedup_near": "bands", "dedup_substring": "anchors"}
_HASHED_STEPS = ("dedup_near", "dedup_substring")
_MADE_BY = {
    "dedup_url": ("scope", "tracking_parameters", "ignore_parameters"),
    "dedup_exact": ("scope", "normalise"),
    "dedup_near": ("scope", "ngram", "unspaced_ngram", "num_perm", "seed", "bands", "rows"),
    "dedup_substring": ("length", "unit"),
}
_ROW_GROUP_ROWS = 65_536
_READ_ROWS = 2048
_SKETCH_BYTES = 32 << 20

STATE_SCHEMA = pa.schema(
    [
        ("key", pa.binary()),
        ("id", pa.string()),
        ("url", pa.binary()),
        ("exact", pa.binary()),
        ("bands", pa.binary()),
        ("anchors", pa.binary()),
    ]
)

Step = DedupUrl | DedupExact | DedupNear | DedupSubstring


def state_column(step: str) -> str:
    """The column of the state that a step compares."""
    return _STATE_COLUMN[step]


def value_bytes(step: str) -> int:
    """Bytes of each value that a step compares, of which bands and anchors are many to a document."""
    return HASH_BYTES if step in _HASHED_STEPS else DIGEST_BYTES


# ----------------------------------------------------------------------------------------------------------- parameters


def state_parameters(recipe: Recipe) -> dict[str, Any]:
    """What the recipe's state depends on, per dedup step: plain values for the manifest.

    Raises ``ConfigurationError`` for lines counted in the whole corpus: in how many documents a line stands, and so
    what a document published before has lost, would change with every batch.
    """
    if "dedup_lines" in recipe.steps:
        raise ConfigurationError(
            "a refresh cannot run dedup_lines: what it cuts depends on the whole corpus",
            next_step="turn it off with --set steps.dedup_lines=off, or clean everything anew with `winnow run`",
        )
    parameters: dict[str, Any] = {}
    for name in STATE_STEPS:
        if name in recipe.steps:
            values = getattr(recipe.steps, name).model_dump(mode="json")
            parameters[name] = {key: values[key] for key in _MADE_BY[name]}
            parameters[name]["definition"] = DEFINITION_VERSIONS[name]
    return parameters


def refuse_other_parameters(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ``InputContractError`` naming every parameter in which a recipe differs from the corpus's state."""
    differences = []
    for name in STATE_STEPS:
        old, new = before.get(name), now.get(name)
        if old is None and new is None:
            continue
        if old is None or new is None:
            differences.append(f"{name} is {'off' if new is None else 'on'} now")
            continue
        differences += [
            f"{name}.{key} is {json.dumps(new.get(key))}, the state has {json.dumps(old.get(key))}"
            for key in sorted({*old, *new})
            if old.get(key) != new.get(key)
        ]
    if differences:
        raise InputContractError(
            "the corpus remembers its documents by other parameters: " + "; ".join(differences),
            next_step="keep the parameters, or refresh all inputs into a new --corpus",
        )


@dataclass(frozen=True)
class Scopes:
    """Within what a step compares documents: the value of each document, from its own columns."""

    scope: str
    dumps: Mapping[str, str]

    def of(self, batch: pa.RecordBatch) -> list[str] | None:
        """The scope of each row; None where all are compared with each other."""
        if self.scope == "global":
            return None
        if self.scope == "dump":
            return [self.dumps.get(source or "", source or "") for source in batch.column("source").to_pylist()]
        return [value or "" for value in batch.column(self.scope).to_pylist()]


def scopes_of(recipe: Recipe, step: str) -> Scopes:
    """The scopes of one step of a recipe."""
    dumps = {name: source.dump or name for name, source in recipe.sources.items()}
    return Scopes(getattr(getattr(recipe.steps, step), "scope", "global"), dumps)


# ------------------------------------------------------------------------------------------------ what state is made of


def state_values(batch: pa.RecordBatch, name: str, step: Step, scopes: Scopes) -> pa.Array:
    """Return a step's column of the state for documents with text, url, source and language; null: takes no part."""
    if isinstance(step, DedupNear):
        return _bands(batch, step, scopes.of(batch))
    if isinstance(step, DedupUrl):
        addresses = canonical_urls(batch.column("url"), step.ignore_parameters, step.tracking_parameters)
        return _scoped(text_digests(addresses, "none"), scopes.of(batch))
    if isinstance(step, DedupSubstring):
        return _anchors(batch.column("text"), step)
    return _scoped(text_digests(batch.column("text"), step.normalise), scopes.of(batch))


def _scoped(digests: pa.Array, scopes: list[str] | None) -> pa.Array:
    if scopes is None:
        return digests
    made = [
        None if digest is None else blake2b(digest + scope.encode(), digest_size=16).digest()
        for digest, scope in zip(digests.to_pylist(), scopes, strict=True)
    ]
    return pa.array(made, pa.binary())


def _bands(batch: pa.RecordBatch, step: DedupNear, scopes: list[str] | None) -> pa.Array:
    parameters = SketchParameters(step.ngram, step.unspaced_ngram, step.num_perm, step.seed, step.bands, step.rows)
    hashed = None
    if scopes is not None:
        numbers = [int.from_bytes(blake2b(s.encode(), digest_size=8).digest(), "little", signed=True) for s in scopes]
        hashed = np.array(numbers, dtype=np.int64)
    at_a_time = max(1, _SKETCH_BYTES // (4 * step.num_perm))
    parts: list[pa.Array] = []
    for start in range(0, batch.num_rows, at_a_time):
        text = batch.column("text").slice(start, at_a_time)
        found = sketch(text, parameters, None if hashed is None else hashed[start : start + at_a_time])
        parts.append(_packed_bands(found.bands, found.shingle_counts > 0))
    return pa.concat_arrays(parts) if parts else pa.array([], pa.binary())


def _packed_bands(bands: NDArray[np.int64], taking_part: NDArray[np.bool_]) -> pa.Array:
    rows = _short(bands)
    width = bands.shape[1] * HASH_BYTES
    values = pa.Array.from_buffers(pa.binary(width), len(bands), [None, pa.py_buffer(np.ascontiguousarray(rows))])
    return pa.array(values.cast(pa.binary()).to_pylist(), pa.binary(), mask=~taking_part)


def _anchors(text: pa.Array, step: DedupSubstring) -> pa.Array:
    """Anchors as if nothing had been cut from the texts: windows across seams add some, and take none away."""
    found = anchor_sets(text, step.length, step.unit)
    offsets = pa.py_buffer(found.offsets.astype(np.int64) * HASH_BYTES)
    hashes = pa.py_buffer(np.ascontiguousarray(_short(found.hashes)))
    return pa.Array.from_buffers(pa.large_binary(), len(text), [None, offsets, hashes]).cast(pa.binary())


def _short(hashes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The bytes of hashes that are kept: [..., HASH_BYTES], the lowest first."""
    return np.ascontiguousarray(hashes).view(np.uint8).reshape(*hashes.shape, 8)[..., :HASH_BYTES]


class Probes:
    """The values of a column of state as pairs of 64-bit numbers, with the row that each belongs to."""

    def __init__(self, values: pa.Array, step: str) -> None:
        present = values.is_valid()
        rows = np.flatnonzero(np.asarray(present))
        matrix = np.frombuffer(b"".join(values.drop_null().to_pylist()), dtype=np.uint8).reshape(-1, value_bytes(step))
        if step in _HASHED_STEPS:
            sizes = np.asarray(pc.binary_length(values.drop_null())) // HASH_BYTES
            # The hash in front, where the filter looks, and the number of the band behind it.
            wide = np.zeros((len(matrix), 8), dtype=np.uint8)
            wide[:, 8 - HASH_BYTES :] = matrix
            self.high = wide.view(np.uint64)[:, 0]
            if step == "dedup_near" and len(rows):
                self.high |= np.tile(np.arange(sizes[0], dtype=np.uint64), len(rows))
            self.low = np.zeros_like(self.high)
            self.rows = np.repeat(rows, sizes)
        else:
            halves = matrix.view(np.uint64)
            self.high, self.low, self.rows = halves[:, 0].copy(), halves[:, 1].copy(), rows


# -------------------------------------------------------------------------------------------------------------- writing


def write_state(spark: SparkSession, pairs: Sequence[tuple[str, str]], recipe: Recipe) -> dict[str, int]:
    """Write the state file of each (documents file, state file); bytes of each state file by its path.

    One task a file, nothing is shuffled; a task that runs twice writes the same file twice.
    """
    steps = [
        (name, getattr(recipe.steps, name), scopes_of(recipe, name)) for name in STATE_STEPS if name in recipe.steps
    ]
    files = spark.createDataFrame(list(pairs), "documents string, state string").repartition(_tasks(spark, len(pairs)))
    written = map_in_arrow(files, _state_writer(steps), "state string, bytes long")
    return {row["state"]: row["bytes"] for row in written.collect()}  # a row a data file


def _tasks(spark: SparkSession, files: int) -> int:
    return max(1, min(files, 8 * spark.sparkContext.defaultParallelism))


def _state_writer(steps: Sequence[tuple[str, Step, Scopes]]) -> ArrowMap:
    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for documents, state in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                size = _write_one(documents, state, steps)
                yield pa.RecordBatch.from_pydict({"state": [state], "bytes": pa.array([size], pa.int64())})

    return write


def _write_one(documents: str, state: str, steps: Sequence[tuple[str, Step, Scopes]]) -> int:
    columns = ["key", "id", "text", "url", "source", "language"]
    with open_for_reading(documents) as stream, new_parquet(state, STATE_SCHEMA) as writer:
        for batch in pq.ParquetFile(stream).iter_batches(_READ_ROWS, columns=columns):
            found = {name: state_values(batch, name, step, scopes) for name, step, scopes in steps}
            made = [batch.column("key").cast(pa.binary()), batch.column("id").cast(pa.string())]
            for name in STATE_STEPS:
                made.append(found.get(name, pa.nulls(batch.num_rows, pa.binary())))
            writer.write_batch(pa.RecordBatch.from_arrays(made, schema=STATE_SCHEMA))
    return file_bytes(state)


def new_parquet(path: str, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of one Parquet file at any path; its folder is made where file systems have folders."""
    file_system, inner = worker_file_system(path)
    if isinstance(file_system, pafs.LocalFileSystem):
        file_system.create_dir(inner.rpartition("/")[0], recursive=True)
    return pq.ParquetWriter(inner, schema, filesystem=file_system, compression="zstd", use_dictionary=False)


def file_bytes(path: str) -> int:
    """Size of a file in bytes."""
    file_system, inner = worker_file_system(path)
    return int(file_system.get_file_info(inner).size)


def rows_of(path: str, columns: Sequence[str], rows: NDArray[np.int64]) -> tuple[pa.Table, int]:
    """Read some rows (ascending) of a Parquet file, and how many bytes that took: whole columns of their row groups."""
    parts, sizes = zip(*parts_of(path, columns, rows), strict=True)
    return pa.concat_tables(parts), sum(sizes)


def parts_of(path: str, columns: Sequence[str], rows: NDArray[np.int64]) -> Iterator[tuple[pa.Table, int]]:
    """Read likewise, but a row group at a time."""
    with open_for_reading(path) as stream:
        file = pq.ParquetFile(stream)
        metadata, first = file.metadata, 0
        for group in range(metadata.num_row_groups):
            part = metadata.row_group(group)
            begin, end = np.searchsorted(rows, [first, first + part.num_rows])
            if end > begin:
                table = file.read_row_group(group, columns=list(columns)).take(pa.array(rows[begin:end] - first))
                yield table, column_bytes(part, columns)
            first += part.num_rows


def column_bytes(group: pq.RowGroupMetaData, columns: Sequence[str]) -> int:
    """Stored bytes of some columns of a row group."""
    chunks = (group.column(place) for place in range(group.num_columns))
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns)
