"""A linear model over hashed word n-grams: a probability that a document is of the kind that examples were of.

Definition. A text is its normalised words (`udfs.tokens`). Its n-grams of 1 … `ngram` words are hashed, the hash of an
n-gram from those of its words, and the first `bits` bits of a hash are its bucket. With n n-grams in the text

    score = 1 / (1 + exp(−(bias + Σ weight[bucket] / √n)))

summed over the n-grams, each as often as it occurs; the bias alone for a text without words. As GPT-3 (arXiv
2005.14165, appendix A), LLaMA (2302.13971) and DCLM (2406.11794) chose pages: there by a linear model of hashed
features of one reference corpus against plain pages.

Training is logistic regression by AdaGrad (Duchi, Hazan, Singer 2011), in one fixed order, so that the same examples
give the same weights on every machine of one kind. Stored are ``weights.npy`` (float32), ``model.json`` (all else, and
the SHA-256 of the weights) and ``metrics.json``: numbers and text only, nothing that could run.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels import njit
from udfs.tokens import HASH_MULTIPLIER, hash_words, mix, string_buffers, tables_for_kernels

DEFINITION = 1
MAX_NGRAM = 5
EPOCHS = 8
LEARNING_RATE = 0.5
L2 = 1e-6
MODEL_FILE, WEIGHTS_FILE, METRICS_FILE = "model.json", "weights.npy", "metrics.json"


@dataclass(frozen=True)
class Shape:
    """What the features of a model are: n-grams of 1 … ``ngram`` words in 2^``bits`` buckets."""

    ngram: int = 2
    bits: int = 18

    def __post_init__(self) -> None:
        if not (1 <= self.ngram <= MAX_NGRAM and 8 <= self.bits <= 26):
            raise ValueError(f"n-grams of 1 to {MAX_NGRAM} words and 8 to 26 bits are possible")


@dataclass(frozen=True)
class Model:
    """A trained model."""

    shape: Shape
    bias: float
    weights: NDArray[np.float32]  # [2^bits]


# -------------------------------------------------------------------------------------------------------------- kernels


@njit(cache=True, nogil=True)
def _buckets(hashes, words, ngram, bits, out):
    """Write the bucket of every n-gram of a text's words; return how many there are."""
    shift = np.uint64(64 - bits)
    count = 0
    for first in range(words):
        state = np.uint64(0)
        for k in range(first, min(first + ngram, words)):
            state = mix((state * HASH_MULTIPLIER) ^ hashes[k])
            out[count] = np.int32(state >> shift)
            count += 1
    return count


@njit(cache=True, nogil=True)
def _longest(offsets):
    longest = 0
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    return longest // 2 + 2


@njit(cache=True, nogil=True)
def _logit(buckets, count, weights, bias):
    """Return the logarithm of the odds of a text, given its buckets."""
    total = 0.0
    for k in range(count):
        total += weights[buckets[k]]
    return bias + total / math.sqrt(max(count, 1))


@njit(allocates=True, cache=True, nogil=True)
def _score_batch(data, offsets, tables, ngram, bits, weights, bias, scores):
    words = _longest(offsets)
    hashes = np.empty(words, dtype=np.uint64)
    starts = np.empty(words, dtype=np.int64)
    ends = np.empty(words, dtype=np.int64)
    buckets = np.empty(words * ngram, dtype=np.int32)
    for i in range(len(offsets) - 1):
        found = hash_words(data, offsets[i], offsets[i + 1], tables, True, hashes, starts, ends)
        count = _buckets(hashes, found, ngram, bits, buckets)
        scores[i] = 1.0 / (1.0 + math.exp(-_logit(buckets, count, weights, bias)))


@njit(allocates=True, cache=True, nogil=True)
def _train(data, offsets, tables, ngram, bits, labels, sample_weights, epochs, weights):
    """Fit the weights in place, documents in the order given; return the bias."""
    words = _longest(offsets)
    hashes = np.empty(words, dtype=np.uint64)
    starts = np.empty(words, dtype=np.int64)
    ends = np.empty(words, dtype=np.int64)
    buckets = np.empty(words * ngram, dtype=np.int32)
    squares = np.full(len(weights), 1e-8)
    bias = 0.0
    bias_squares = 1e-8
    for _ in range(epochs):
        for i in range(len(offsets) - 1):
            found = hash_words(data, offsets[i], offsets[i + 1], tables, True, hashes, starts, ends)
            count = _buckets(hashes, found, ngram, bits, buckets)
            probability = 1.0 / (1.0 + math.exp(-_logit(buckets, count, weights, bias)))
            error = (probability - labels[i]) * sample_weights[i]
            bias_squares += error * error
            bias -= LEARNING_RATE * error / math.sqrt(bias_squares)
            slope = error / math.sqrt(max(count, 1))
            for k in range(count):
                bucket = buckets[k]
                gradient = slope + L2 * weights[bucket]
                squares[bucket] += gradient * gradient
                weights[bucket] -= LEARNING_RATE * gradient / math.sqrt(squares[bucket])
    return bias


# ---------------------------------------------------------------------------------------------------------------- Arrow


def score(text: pa.Array, model: Model) -> pa.Array:
    """Return the score of every document, float64; null where the text is null."""
    data, offsets = string_buffers(text)
    scores = np.empty(len(offsets) - 1, dtype=np.float64)
    shape = model.shape
    _score_batch(data, offsets, tables_for_kernels(), shape.ngram, shape.bits, model.weights, model.bias, scores)
    return pa.array(scores, mask=np.asarray(text.is_null()))


def train(text: pa.Array, labels: NDArray[np.bool_], shape: Shape, *, epochs: int = EPOCHS) -> Model:
    """Fit a model; both kinds of examples weigh the same in all. Examples are taken in the order of their digests.

    Raises:
        ValueError: An example is missing of one of the kinds.
    """
    positive = int(labels.sum())
    if positive == 0 or positive == len(labels):
        raise ValueError("a model needs examples of both kinds")
    digests = [hashlib.blake2b(each.encode(), digest_size=16).digest() for each in text.to_pylist()]
    order = sorted(range(len(digests)), key=lambda place: (digests[place], bool(labels[place])))
    ordered = text.take(pa.array(order))
    chosen = labels[order].astype(np.float64)
    each = np.where(chosen > 0, len(labels) / 2 / positive, len(labels) / 2 / (len(labels) - positive))
    data, offsets = string_buffers(ordered)
    weights = np.zeros(1 << shape.bits, dtype=np.float32)
    bias = _train(data, offsets, tables_for_kernels(), shape.ngram, shape.bits, chosen, each, epochs, weights)
    return Model(shape, float(bias), weights)


# ---------------------------------------------------------------------------------------------------------------- files


def save_model(model: Model, folder: Path, facts: dict[str, object]) -> str:
    """Write a model into a folder; return the SHA-256 of its ``model.json``, which names that of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    np.save(stream, model.weights, allow_pickle=False)
    (folder / WEIGHTS_FILE).write_bytes(stream.getvalue())
    described = {
        "definition": DEFINITION,
        "shape": asdict(model.shape),
        "bias": model.bias,
        "weights_sha256": hashlib.sha256(stream.getvalue()).hexdigest(),
        **facts,
    }
    written = json.dumps(described, indent=2, ensure_ascii=False).encode() + b"\n"
    (folder / MODEL_FILE).write_bytes(written)
    return hashlib.sha256(written).hexdigest()


@lru_cache(maxsize=8)
def load_model(folder: str, sha256: str | None = None) -> Model:
    """Read a model, once per process.

    Raises:
        OSError: A file is not there.
        ValueError: A file is damaged, of another definition, or not the one that `sha256` (of ``model.json``) names.
    """
    written = (Path(folder) / MODEL_FILE).read_bytes()
    if sha256 is not None and hashlib.sha256(written).hexdigest() != sha256:
        raise ValueError(f"{folder}/{MODEL_FILE} has not the SHA-256 that is asked for")
    try:
        described = json.loads(written)
        shape, bias, expected = Shape(**described["shape"]), float(described["bias"]), described["weights_sha256"]
        definition = described["definition"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder}/{MODEL_FILE} is no model: {error}") from error
    if definition != DEFINITION:
        raise ValueError(f"{folder} has definition {definition}, this version reads {DEFINITION}: train it again")
    stored = (Path(folder) / WEIGHTS_FILE).read_bytes()
    if hashlib.sha256(stored).hexdigest() != expected:
        raise ValueError(f"{folder}/{WEIGHTS_FILE} is damaged: it has not the SHA-256 that {MODEL_FILE} names")
    weights = np.load(io.BytesIO(stored), allow_pickle=False)
    if weights.dtype != np.float32 or weights.shape != (1 << shape.bits,):
        raise ValueError(f"{folder}/{WEIGHTS_FILE} has not the shape that {MODEL_FILE} names")
    return Model(shape, bias, weights)
