"""MinHash signatures and bands (Broder 1997), bit for bit those of `datasketch` 2.x under its scheme ``affine32``.

For permutations k = 1 … num_perm with odd multiplier aₖ and increment bₖ, drawn by NumPy's legacy generator from
`seed`, and f the 32-bit finaliser of MurmurHash3:

    signature[k] = min over the shingles h of  aₖ · f(h mod 2³²) + bₖ   (mod 2³²)

so that ``MinHash(num_perm=…, seed=…, scheme="affine32", hashvalues=signature)`` reads it. Of the 64 bits of a shingle
(`udfs.shingles`) the low 32 go in; two shingles of one document share them with odds of n²/2³³, 10⁻⁴ for 1 000 words,
which moves an estimate by 10⁻³: verification uses all 64.

*Bands* (Indyk & Motwani 1998): rows·b … rows·b + rows − 1 of the signature, hashed with the band's number and the
document's scope into 64 bits. Documents equal in one band are *candidates*:

    P(candidate | Jaccard s) = 1 − (1 − s^rows)^bands

A band hash is a filter, never an identity: what shares one by accident is compared and let go.

*Bit planes* (b-bit minwise hashing, Li & König 2010): the two lowest bits of f(v) for the first 256 values v, 64 to a
word. Two documents agree in both bits of a value with probability s + (1 − s)/4, counted by three instructions a word;
64 bytes a document say nearly as well as the whole signature that a pair is hopeless. (The lowest bits of v itself
would not do: modulo 4 all permutations with odd multipliers tell the same shingles apart.)

Speed: the loop takes eight shingles to each read of a multiplier, so that permutations run in vector registers.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels import njit
from udfs.shingles import hash_shingles, ngram_of_document
from udfs.tokens import HASH_START, hash_step, hash_words, mix, string_buffers, tables_for_kernels

PLANE_PERMUTATIONS = 256  # values of the signature that go into the bit planes
PLANES = 2
_BAND_STEP = np.uint64(0x9E3779B97F4A7C15)
_SEQUENCE_MULTIPLIER = np.uint64(0xA0761D6478BD642F)  # odd, wyhash's first secret
_EMPTY = np.uint32(0xFFFFFFFF)


@dataclass(frozen=True)
class SketchParameters:
    """What a sketch depends on besides the text; sketches of different parameters cannot be compared."""

    ngram: int = 5
    unspaced_ngram: int | None = None
    num_perm: int = 256
    seed: int = 1
    bands: int = 32
    rows: int = 8

    def __post_init__(self) -> None:
        least = min(self.ngram, self.unspaced_ngram or 1, self.num_perm, self.bands, self.rows)
        if least < 1:
            raise ValueError(f"every length and number of a sketch is at least 1: {self}")
        if self.bands * self.rows > self.num_perm:
            raise ValueError(f"{self.bands} bands of {self.rows} rows need more than {self.num_perm} permutations")

    @property
    def plane_words(self) -> int:
        """64-bit words in the bit planes of one document."""
        return PLANES * -(-min(self.num_perm, PLANE_PERMUTATIONS) // 64)


class Sketches(NamedTuple):
    """The sketches of a batch of documents; rows of documents without shingles hold no meaning."""

    shingle_counts: NDArray[np.int64]  # [documents] shingles, repeats included; 0: takes no part
    signatures: NDArray[np.uint32]  # [documents, num_perm]
    bands: NDArray[np.int64]  # [documents, bands]
    planes: NDArray[np.int64]  # [documents, plane_words]
    sequences: NDArray[np.int64]  # [documents, 2] digest of the sequence of words


@cache
def permutations(num_perm: int, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return the multipliers and increments of `datasketch` 2.x, scheme ``affine32`` (`MinHash._init_permutations`)."""
    generator = np.random.RandomState(seed)
    multipliers = generator.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    increments = generator.randint(0, 1 << 32, num_perm, dtype=np.uint32)
    return multipliers, increments


@njit(cache=True, nogil=True)
def mix32(state):
    """Return the MurmurHash3 finaliser of a uint32: a bijection in which every bit depends on every bit."""
    state ^= state >> np.uint32(16)
    state = np.uint32(state * np.uint32(0x85EBCA6B))
    state ^= state >> np.uint32(13)
    state = np.uint32(state * np.uint32(0xC2B2AE35))
    state ^= state >> np.uint32(16)
    return np.uint32(state)


@njit(cache=True, nogil=True)
def premix(shingle):
    """Return the low half of a 64-bit shingle, mixed."""
    return mix32(np.uint32(shingle & np.uint64(0xFFFFFFFF)))


@njit(cache=True, nogil=True)
def fill_signature(shingles, count, multipliers, increments, signature):
    """Write the signature of `count` > 0 shingles.

    Args:
        shingles: uint64[:].
        count: How many of them.
        multipliers: uint32[:].
        increments: uint32[:] as long.
        signature: uint32[:] as long; receives the minima.
    """
    for k in range(len(signature)):
        signature[k] = _EMPTY
    index = 0
    while index + 8 <= count:
        h0 = premix(shingles[index])
        h1 = premix(shingles[index + 1])
        h2 = premix(shingles[index + 2])
        h3 = premix(shingles[index + 3])
        h4 = premix(shingles[index + 4])
        h5 = premix(shingles[index + 5])
        h6 = premix(shingles[index + 6])
        h7 = premix(shingles[index + 7])
        for k in range(len(signature)):
            a = multipliers[k]
            b = increments[k]
            v0 = np.uint32(a * h0 + b)
            v1 = np.uint32(a * h1 + b)
            v2 = np.uint32(a * h2 + b)
            v3 = np.uint32(a * h3 + b)
            v4 = np.uint32(a * h4 + b)
            v5 = np.uint32(a * h5 + b)
            v6 = np.uint32(a * h6 + b)
            v7 = np.uint32(a * h7 + b)
            least = min(min(min(v0, v1), min(v2, v3)), min(min(v4, v5), min(v6, v7)))
            signature[k] = min(signature[k], least)
        index += 8
    while index < count:
        h0 = premix(shingles[index])
        for k in range(len(signature)):
            signature[k] = min(signature[k], np.uint32(multipliers[k] * h0 + increments[k]))
        index += 1


@njit(cache=True, nogil=True)
def hash_band(signature, band, rows, scope):
    """Return the 64-bit hash of one band of a signature within a scope (uint64)."""
    state = mix(HASH_START ^ scope ^ (np.uint64(band + 1) * _BAND_STEP))
    for row in range(band * rows, band * rows + rows):
        state = hash_step(state, signature[row])
    return mix(state)


@njit(cache=True, nogil=True)
def fill_planes(signature, planes):
    """Write the bit planes of a signature: the lowest bit of each mixed value, 64 to a word; then the second lowest."""
    words = len(planes) // PLANES
    for word in range(words):
        low = np.int64(0)
        high = np.int64(0)
        for bit in range(min(64, len(signature) - 64 * word)):
            value = np.int64(mix32(signature[64 * word + bit]))
            low |= (value & 1) << bit
            high |= ((value >> 1) & 1) << bit
        planes[word] = low
        planes[words + word] = high


@njit(cache=True, nogil=True)
def fill_sequence(words, count, sequence):
    """Write a 128-bit digest of a sequence of word hashes: two chains, each step a bijection of its state."""
    first = HASH_START
    second = _SEQUENCE_MULTIPLIER
    for index in range(count):
        first = hash_step(first, words[index])
        second = (((second << np.uint64(31)) | (second >> np.uint64(33))) ^ words[index]) * _SEQUENCE_MULTIPLIER
    sequence[0] = np.int64(mix(first))
    sequence[1] = np.int64(mix(second))


@njit(cache=True, nogil=True)
def _sketch_batch(
    data,
    offsets,
    scopes,
    tables,
    ngram,
    unspaced_ngram,
    rows,
    multipliers,
    increments,
    words,
    starts,
    ends,
    shingles,
    shingle_counts,
    signatures,
    bands,
    planes,
    sequences,
):
    """Sketch every document of a batch: words, shingles, signature, bands, planes, one document in cache at a time."""
    for document in range(len(offsets) - 1):
        begin = offsets[document]
        count = hash_words(data, begin, offsets[document + 1], tables, True, words, starts, ends)
        length = ngram_of_document(data, begin, starts, count, ngram, unspaced_ngram, tables)
        shingle_count = hash_shingles(words, count, length, shingles)
        shingle_counts[document] = shingle_count
        if shingle_count == 0:
            continue
        fill_signature(shingles, shingle_count, multipliers, increments, signatures[document])
        for band in range(bands.shape[1]):
            bands[document, band] = np.int64(hash_band(signatures[document], band, rows, np.uint64(scopes[document])))
        fill_planes(signatures[document], planes[document])
        fill_sequence(words, count, sequences[document])


def sketch(text: pa.Array, parameters: SketchParameters, scopes: NDArray[np.int64] | None = None) -> Sketches:
    """Sketch every document of a string array.

    Args:
        text: ``string`` or ``large_string``; a null has no shingles.
        parameters: What is computed.
        scopes: [documents] A 64-bit hash of the scope in which each document is compared; None: all in one.

    Raises:
        TypeError: `text` is not a string array.
    """
    data, offsets = string_buffers(text)
    documents = len(offsets) - 1
    multipliers, increments = permutations(parameters.num_perm, parameters.seed)
    longest = int(np.diff(offsets).max(initial=0)) // 2 + 1
    sketches = Sketches(
        np.zeros(documents, dtype=np.int64),
        np.zeros((documents, parameters.num_perm), dtype=np.uint32),
        np.zeros((documents, parameters.bands), dtype=np.int64),
        np.zeros((documents, parameters.plane_words), dtype=np.int64),
        np.zeros((documents, 2), dtype=np.int64),
    )
    _sketch_batch(
        data,
        offsets,
        np.zeros(documents, dtype=np.int64) if scopes is None else np.ascontiguousarray(scopes, dtype=np.int64),
        tables_for_kernels(),
        parameters.ngram,
        parameters.unspaced_ngram or parameters.ngram,
        parameters.rows,
        multipliers,
        increments,
        np.empty(longest, dtype=np.uint64),
        np.empty(longest, dtype=np.int64),
        np.empty(longest, dtype=np.int64),
        np.empty(longest, dtype=np.uint64),
        *sketches,
    )
    return sketches


def candidate_probability(similarity: float, bands: int, rows: int) -> float:
    """Return P(candidate | Jaccard = similarity) = 1 − (1 − similarity^rows)^bands."""
    return 1.0 - (1.0 - similarity**rows) ** bands


def choose_bands(num_perm: int, threshold: float, least_recall: float = 0.99) -> tuple[int, int]:
    """Return the (bands, rows) with the fewest candidates at Jaccard 0.5 that find `least_recall` at `threshold`.

    Raises:
        ValueError: no division of `num_perm` finds that many.
    """
    found = [
        (candidate_probability(0.5, num_perm // rows, rows), num_perm // rows, rows)
        for rows in range(1, num_perm + 1)
        if candidate_probability(threshold, num_perm // rows, rows) >= least_recall
    ]
    if not found:
        raise ValueError(
            f"{num_perm} permutations cannot find {least_recall:.0%} of the pairs at Jaccard {threshold}: use more"
        )
    _, bands, rows = min(found)
    return bands, rows
