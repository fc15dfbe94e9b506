"""fastText classifiers (Joulin and others, arXiv 1607.01759), read from their own files and scored by a kernel.

Definition. The score of a text is the probability that fastText 0.9.2 gives one label of a supervised model, for the
text with its line ends read as spaces:

1. *Tokens* are separated by the ASCII whitespace (and NUL); `</s>` ends the text, and follows its last token otherwise.
   Labels of the model, and other tokens that begin with `__label__`, are left out.
2. *Rows* of the input matrix: of every token in the dictionary its own; of every token but `</s>` those of the n-grams
   of `minn` … `maxn` characters of ``<token>``, hashed by FNV-1a with signed bytes; of every run of 2 … `wordNgrams`
   tokens the one of its hash. Hashes count modulo `bucket`; of a pruned model only the n-grams that were kept.
3. *Probability*: the mean of the rows, times the output matrix, by the softmax, the hierarchical softmax (its Huffman
   tree rebuilt from the counts of the labels), or a logistic function a label. A text without rows has the mean 0.

The library rounds logistic functions of single labels by a table and adds 10⁻⁵ to probabilities; this does not. Sums
are taken in double precision, in order, so that a text has one score everywhere.

Files are format 12, and 11; plain (``.bin``, mapped into memory, so that the processes of a machine share it) or
quantised (``.ftz``, unpacked when read). They hold numbers and strings, and nothing that could run.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels import njit
from udfs.tokens import HASH_START, hash_step, mix, string_buffers

MAGIC, VERSIONS = 793712314, (11, 12)
SUPERVISED = 3
HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4
LABEL_PREFIX = np.frombuffer(b"__label__", dtype=np.uint8)
END = np.frombuffer(b"</s>", dtype=np.uint8)
FNV_START, FNV_PRIME = np.uint32(2166136261), np.uint32(16777619)
NGRAM_MULTIPLIER = np.uint64(116049371)
UNKNOWN, IS_LABEL = -1, -2
LONGEST_NGRAM = 64
LARGEST_COUNT = 10**12
CENTROIDS = 256  # of a part of a quantised row
LESS_THAN, GREATER_THAN = 60, 62


class Network(NamedTuple):
    """A model as kernels take it."""

    slots: NDArray[np.uint64]  # [2^k] hash of a dictionary entry (0: free)
    numbers: NDArray[np.int32]  # [2^k] its row, or IS_LABEL
    kept: NDArray[np.int32]  # [bucket, or 0 where all are kept] row of a hashed n-gram after the words, or -1
    rows: NDArray[np.float32]  # [words + n-grams, dimensions] the input matrix
    output: NDArray[np.float32]  # [labels, dimensions]
    words: int
    bucket: int
    pruned: bool
    shortest: int  # characters of an n-gram, 0 for none
    longest: int
    word_ngrams: int
    end_hash: int  # uint32


@dataclass(frozen=True)
class FastText:
    """A model and its labels."""

    network: Network
    labels: tuple[str, ...]  # as the file has them, most frequent first
    counts: tuple[int, ...]  # of the labels
    loss: int


# -------------------------------------------------------------------------------------------------------------- kernels


@njit(cache=True, nogil=True)
def _fnv_step(state, byte):
    signed = np.int64(byte) - 256 if byte >= 128 else np.int64(byte)
    return (state ^ np.uint32(signed & 0xFFFFFFFF)) * FNV_PRIME


@njit(cache=True, nogil=True)
def _fnv(data, begin, end):
    """Return fastText's hash (uint32) of ``data[begin:end]``."""
    state = FNV_START
    for position in range(begin, end):
        state = np.uint32(_fnv_step(state, data[position]))
    return state


@njit(cache=True, nogil=True)
def _key(data, begin, end):
    """Return the hash that the dictionary is looked up by, never 0."""
    state = HASH_START
    for position in range(begin, end):
        state = hash_step(state, data[position])
    return mix(state) | np.uint64(1)


@njit(cache=True, nogil=True)
def _number_of(data, begin, end, network):
    """Return the row of a token, UNKNOWN or IS_LABEL."""
    key = _key(data, begin, end)
    mask = np.uint64(len(network.slots) - 1)
    slot = key >> np.uint64(1) & mask
    while network.slots[slot] != 0:
        if network.slots[slot] == key:
            return np.int64(network.numbers[slot])
        slot = (slot + np.uint64(1)) & mask
    return np.int64(UNKNOWN)


@njit(cache=True)
def _fill(data, offsets, words, slots, numbers):
    """Put the entries of the dictionary into its table."""
    mask = np.uint64(len(slots) - 1)
    for i in range(len(offsets) - 1):
        key = _key(data, offsets[i], offsets[i + 1])
        slot = key >> np.uint64(1) & mask
        while slots[slot] != 0 and slots[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = key
        numbers[slot] = i if i < words else IS_LABEL


@njit(cache=True, nogil=True)
def _is(data, begin, end, literal):
    """Say whether ``data[begin:end]`` begins with the bytes of `literal`."""
    if end - begin < len(literal):
        return False
    for k in range(len(literal)):  # noqa: SIM110 (Numba has no all)
        if data[begin + k] != literal[k]:
            return False
    return True


@njit(cache=True, nogil=True)
def _add(network, row, total):
    for k in range(len(total)):
        total[k] += network.rows[row, k]


@njit(cache=True, nogil=True)
def _add_hashed(network, bucket, total):
    """Add the row of a hashed n-gram; return 1, or 0 where the model has not kept it."""
    if network.pruned:
        if len(network.kept) == 0 or network.kept[bucket] < 0:
            return 0
        bucket = np.int64(network.kept[bucket])
    _add(network, network.words + bucket, total)
    return 1


@njit(cache=True, nogil=True)
def _byte_at(data, begin, size, k):
    """Return byte `k` of ``<token>``, the token being the `size` bytes from `begin` on."""
    if k == 0:
        return np.uint8(LESS_THAN)
    return data[begin + k - 1] if k <= size else np.uint8(GREATER_THAN)


@njit(cache=True, nogil=True)
def _add_characters(data, begin, end, network, total):
    """Add the rows of the character n-grams of a token; return how many."""
    size = end - begin
    count = 0
    for i in range(size + 2):
        if _byte_at(data, begin, size, i) & 0xC0 == 0x80:
            continue
        state = FNV_START
        j = i
        n = 1
        while j < size + 2 and n <= network.longest:
            state = np.uint32(_fnv_step(state, _byte_at(data, begin, size, j)))
            j += 1
            while j < size + 2 and _byte_at(data, begin, size, j) & 0xC0 == 0x80:
                state = np.uint32(_fnv_step(state, _byte_at(data, begin, size, j)))
                j += 1
            if n >= network.shortest and not (n == 1 and (i == 0 or j == size + 2)):
                count += _add_hashed(network, np.int64(state) % network.bucket, total)
            n += 1
    return count


@njit(cache=True, nogil=True)
def _is_space(byte):
    return byte == 32 or 9 <= byte <= 13 or byte == 0


@njit(cache=True, nogil=True)
def _mean(data, begin, end, network, hashes, total):
    """Write the mean of the rows of a text into `total`, given scratch for a hash (int64) a token and one more."""
    total[:] = 0.0
    rows = 0
    tokens = 0
    position = begin
    while True:
        while position < end and _is_space(data[position]):
            position += 1
        first = position
        while position < end and not _is_space(data[position]):
            position += 1
        if first == position or (position - first == len(END) and _is(data, first, position, END)):
            break
        number = _number_of(data, first, position, network)
        if number == IS_LABEL or (number == UNKNOWN and _is(data, first, position, LABEL_PREFIX)):
            continue
        if number >= 0:
            _add(network, number, total)
            rows += 1
        if network.longest > 0:
            rows += _add_characters(data, first, position, network, total)
        hashes[tokens] = np.int64(np.int32(_fnv(data, first, position)))
        tokens += 1
    number = _number_of(END, 0, len(END), network)
    if number >= 0:
        _add(network, number, total)
        rows += 1
    hashes[tokens] = np.int64(np.int32(network.end_hash))
    tokens += 1
    for i in range(tokens):
        state = np.uint64(hashes[i])
        for j in range(i + 1, min(tokens, i + network.word_ngrams)):
            state = state * NGRAM_MULTIPLIER + np.uint64(hashes[j])
            rows += _add_hashed(network, np.int64(state % np.uint64(network.bucket)), total)
    if rows > 0:
        total /= rows


@njit(cache=True, nogil=True)
def _dot(network, row, mean):
    found = 0.0
    for k in range(len(mean)):
        found += network.output[row, k] * mean[k]
    return found


@njit(allocates=True, cache=True, nogil=True)
def _score_batch(data, offsets, network, path, turns, softmax, scores):
    """Score every document.

    Args:
        data, offsets: The texts.
        network: The model.
        path: int64[:], rows of the output matrix that the label's probability is made of.
        turns: float64[:], -1 or 1 for each: the sign of its logit.
        softmax: Whether `path` is the label's row, of which the softmax over all rows is taken.
        scores: float64[documents], receives the probabilities.
    """
    longest = 0
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    hashes = np.empty(longest // 2 + 2, dtype=np.int64)
    mean = np.empty(network.rows.shape[1], dtype=np.float64)
    for i in range(len(offsets) - 1):
        _mean(data, offsets[i], offsets[i + 1], network, hashes, mean)
        if softmax:
            own = _dot(network, path[0], mean)
            others = 0.0
            for row in range(len(network.output)):
                others += math.exp(_dot(network, row, mean) - own)
            scores[i] = 1.0 / others
            continue
        probability = 1.0
        for step in range(len(path)):
            probability *= 1.0 / (1.0 + math.exp(-turns[step] * _dot(network, path[step], mean)))
        scores[i] = probability


# ---------------------------------------------------------------------------------------------------------------- Arrow


def score(text: pa.Array, model: FastText, label: str) -> pa.Array:
    """Return the probability of a label for every document, float64; null where the text is null.

    Raises:
        ValueError: The model has no such label.
    """
    number = label_number(model, label)
    path, turns = _path_to(model, number)
    data, offsets = string_buffers(text)
    scores = np.empty(len(offsets) - 1, dtype=np.float64)
    _score_batch(data, offsets, model.network, path, turns, model.loss == SOFTMAX, scores)
    return pa.array(scores, mask=np.asarray(text.is_null()).astype(bool))


def label_number(model: FastText, label: str) -> int:
    """Return the row of a label, with or without ``__label__`` before it.

    Raises:
        ValueError: The model has no such label.
    """
    for number, name in enumerate(model.labels):
        if label in (name, name.removeprefix("__label__")):
            return number
    raise ValueError(f"the model has no label {label!r}: it has {', '.join(model.labels[:20])}")


def _path_to(model: FastText, label: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the output rows that a label's probability is made of, and their signs."""
    if model.loss != HIERARCHICAL:
        return np.array([label], dtype=np.int64), np.ones(1)
    parents, turns = huffman_tree(model.counts)
    rows, signs = [], []
    node = label
    while parents[node] >= 0:
        rows.append(parents[node] - len(model.counts))
        signs.append(turns[node])
        node = parents[node]
    return np.array(rows, dtype=np.int64), np.array(signs, dtype=np.float64)


def huffman_tree(counts: Sequence[int]) -> tuple[list[int], list[float]]:
    """Return each node's parent (-1: the root) and side (-1 or 1), labels first, as fastText builds the tree.

    Counts are in descending order. Of equal counts the label comes first only where it is smaller than the next node.
    """
    labels = len(counts)
    weights = [*counts, *[10**15] * (labels - 1)]
    parents, turns = [-1] * len(weights), [-1.0] * len(weights)
    leaf, node = labels - 1, labels
    for made in range(labels, 2 * labels - 1):
        chosen = []
        for _ in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                chosen.append(leaf)
                leaf -= 1
            else:
                chosen.append(node)
                node += 1
        weights[made] = weights[chosen[0]] + weights[chosen[1]]
        parents[chosen[0]] = parents[chosen[1]] = made
        turns[chosen[1]] = 1.0
    return parents, turns


# ---------------------------------------------------------------------------------------------------------------- files


def smallest_model() -> FastText:
    """Return a model of one word, one label and one dimension, of the types that a file gives."""
    entries = [b"a", b"__label__a"]
    rows = np.zeros((2, 1), dtype=np.float32)
    return _assembled(entries, 1, (1,), SOFTMAX, None, rows, np.zeros((1, 1), dtype=np.float32), (1, 0, 0, 1))


@lru_cache(maxsize=4)
def load_fasttext(path: str, sha256: str | None = None) -> FastText:
    """Read a model, once per process.

    Raises:
        OSError: There is no such file.
        ValueError: It is no supervised model of a known format, is cut off, or has not the SHA-256 asked for.
    """
    with Path(path).open("rb") as file:
        if sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise ValueError(f"{path} has not the SHA-256 that is asked for")
        file.seek(0)
        try:
            return _read_model(file, Path(path))
        except (struct.error, UnicodeDecodeError, IndexError) as error:
            raise ValueError(f"{path} is cut off or damaged: {error}") from error


def _numbers(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(f"<{layout}", file.read(struct.calcsize(f"<{layout}")))


def _array(file: BinaryIO, dtype: str, count: int) -> NDArray[np.generic]:
    size = np.dtype(dtype).itemsize * count
    written = file.read(size) if 0 <= size <= _left(file) else b""
    if len(written) != size:
        raise struct.error(f"{size} bytes expected")
    return np.frombuffer(written, dtype=dtype)


def _left(file: BinaryIO) -> int:
    here = file.tell()
    end = file.seek(0, 2)
    file.seek(here)
    return end - here


def _read_model(file: BinaryIO, path: Path) -> FastText:
    magic, version = _numbers(file, "ii")
    if magic != MAGIC or version not in VERSIONS:
        raise ValueError(f"{path} is no fastText model of format 11 or 12")
    _, _, _, _, _, word_ngrams, loss, kind, bucket, shortest, longest, _ = _numbers(file, "12i")
    _numbers(file, "d")
    if kind != SUPERVISED or loss not in (HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL):
        raise ValueError(f"{path} is no supervised model: it has no labels to score")
    longest = 0 if version == 11 else longest
    if max(shortest, longest, word_ngrams) > LONGEST_NGRAM or bucket < 0:
        raise ValueError(f"{path} is damaged, or has n-grams of more than {LONGEST_NGRAM}")
    entries, counts, words, kept = _read_dictionary(file, bucket)
    rows = _read_input(file, path)
    quantised_output = file.read(1) != b"\x00"
    output = _read_quantised(file) if quantised_output and kept is not None else _read_dense(file)
    if len(rows) < words or len(output) != len(counts) or rows.shape[1] != output.shape[1]:
        raise ValueError(f"{path} is damaged: its matrices do not fit its dictionary")
    if kept is None and len(rows) != words + (bucket if longest > 0 or word_ngrams > 1 else len(rows) - words):
        raise ValueError(f"{path} is damaged: its input matrix has {len(rows)} rows")
    if kept is not None and len(kept) and words + int(kept.max()) >= len(rows):
        raise ValueError(f"{path} is damaged: an n-gram has no row")
    return _assembled(entries, words, counts, loss, kept, rows, output, (bucket, shortest, longest, word_ngrams))


def _assembled(
    entries: list[bytes],
    words: int,
    counts: tuple[int, ...],
    loss: int,
    kept: NDArray[np.int32] | None,
    rows: NDArray[np.float32],
    output: NDArray[np.float32],
    ngrams: tuple[int, int, int, int],
) -> FastText:
    bucket, shortest, longest, word_ngrams = ngrams
    offsets = np.concatenate([[0], np.cumsum([len(entry) for entry in entries])]).astype(np.int64)
    slots = np.zeros(1 << max(4, (2 * len(entries)).bit_length()), dtype=np.uint64)
    numbers = np.zeros(len(slots), dtype=np.int32)
    _fill(np.frombuffer(b"".join(entries), dtype=np.uint8), offsets, words, slots, numbers)
    rows.flags.writeable = False
    rows.flags.aligned = False  # a mapped matrix begins anywhere: one type, so that kernels compile once
    network = Network(
        slots,
        numbers,
        np.empty(0, dtype=np.int32) if kept is None else kept,
        rows,
        output,
        words,
        max(bucket, 1),
        kept is not None or bucket == 0,
        shortest,
        longest,
        word_ngrams,
        int(_fnv(END, 0, len(END))),
    )
    labels = tuple(entry.decode("utf-8") for entry in entries[words:])
    return FastText(network, labels, counts, loss)


def _read_dictionary(file: BinaryIO, bucket: int) -> tuple[list[bytes], tuple[int, ...], int, NDArray[np.int32] | None]:
    """Return (entries, words first; counts of the labels; words; rows of the n-grams that a pruned model keeps)."""
    size, words, labels, _, pruned = _numbers(file, "iiiqq")
    if size != words + labels or words < 0 or labels < 1:
        raise struct.error("the dictionary does not add up")
    entries, counts = [], []
    start = file.tell()
    block = file.read(min(_left(file), 1 << 30))
    at = 0
    for number in range(size):
        stop = block.index(b"\0", at) if b"\0" in block[at : at + 65536] else -1
        if stop < 0:
            raise struct.error("an entry of the dictionary has no end")
        count, kind = struct.unpack_from("<qb", block, stop + 1)
        if (kind == 1) != (number >= words):
            raise struct.error("labels stand among the words")
        if not 0 <= count <= LARGEST_COUNT:
            raise struct.error(f"an entry that occurs {count} times")
        entries.append(block[at:stop])
        counts.append(count)
        at = stop + 10
    file.seek(start + at)
    if pruned < 0:
        return entries, tuple(counts[words:]), words, None
    kept = np.full(max(bucket, 1), -1, dtype=np.int32)
    pairs = _array(file, "<i4", 2 * pruned).reshape(-1, 2)
    if pruned and (pairs.min() < 0 or pairs[:, 0].max() >= len(kept)):
        raise struct.error("a kept n-gram is out of range")
    kept[pairs[:, 0]] = pairs[:, 1]
    return entries, tuple(counts[words:]), words, kept


def _read_input(file: BinaryIO, path: Path) -> NDArray[np.float32]:
    if file.read(1) != b"\x00":
        return _read_quantised(file)
    rows, dimensions = _numbers(file, "qq")
    if not (rows >= 0 and 0 < dimensions <= 65536 and rows * dimensions * 4 <= _left(file)):
        raise struct.error(f"a matrix of {rows} by {dimensions} is not in the file")
    mapped = np.memmap(path, dtype=np.uint8, mode="r", offset=file.tell(), shape=(rows * dimensions * 4,))
    file.seek(rows * dimensions * 4, 1)
    return np.asarray(mapped).view("<f4").reshape(rows, dimensions)


def _read_dense(file: BinaryIO) -> NDArray[np.float32]:
    rows, dimensions = _numbers(file, "qq")
    return _array(file, "<f4", rows * dimensions).astype(np.float32).reshape(rows, dimensions)


def _read_quantised(file: BinaryIO) -> NDArray[np.float32]:
    """Return the rows of a product-quantised matrix (Jégou and others 2011), unpacked."""
    has_norms = file.read(1) != b"\x00"
    rows, dimensions, size = _numbers(file, "qqi")
    codes = _array(file, "u1", size)
    parts, centroids = _read_quantiser(file)
    if rows <= 0 or size != rows * len(parts) or parts[-1][1] != dimensions:
        raise struct.error("a quantised matrix does not add up")
    codes = codes.reshape(rows, len(parts))
    out = np.empty((rows, dimensions), dtype=np.float32)
    for number, (begin, end) in enumerate(parts):
        table = centroids[begin * CENTROIDS : end * CENTROIDS].reshape(CENTROIDS, end - begin)
        out[:, begin:end] = table[codes[:, number]]
    if has_norms:
        norm_codes = _array(file, "u1", rows)
        _, norms = _read_quantiser(file)
        out *= norms[norm_codes][:, None]
    return out


def _read_quantiser(file: BinaryIO) -> tuple[list[tuple[int, int]], NDArray[np.float32]]:
    """Return (dimensions of each part, from and to; the centroids of all parts)."""
    dimensions, count, width, last = _numbers(file, "iiii")
    if not (0 < count <= dimensions and width > 0 and last > 0 and (count - 1) * width + last == dimensions):
        raise struct.error("a quantiser does not add up")
    centroids = _array(file, "<f4", dimensions * CENTROIDS).astype(np.float32)
    parts = [(part * width, min((part + 1) * width, dimensions)) for part in range(count - 1)]
    return [*parts, ((count - 1) * width, dimensions)], centroids
