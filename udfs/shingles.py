"""Shingles: word n-grams as 64-bit hashes, the sets whose Jaccard similarity says how alike two documents are.

Words are the normalised ones of `udfs.tokens` (case-folded, without punctuation and symbols, digits kept). With their
hashes w₁ … wₘ, in arithmetic modulo 2⁶⁴, B = 0x9FB21C651E98DF25:

    shingle i = mix(Σⱼ wᵢ₊ⱼ · Bⁿ⁻¹⁻ʲ, j = 0 … n − 1),   i = 1 … m − n + 1

so that one multiplication takes a word out of the sum and the next one in (Karp & Rabin 1987). A text of fewer than n
words is one shingle, made of all its words in the same way; a text without words has none and takes part in nothing.

Scripts without spaces: every Han, Kana, Thai … letter is a word, so 5-grams are five letters and say little. A second
length may be given for documents most of whose words are such letters. Documents of two lengths share no shingle.

Two different n-grams get one hash with odds of 2⁻⁶⁴: among the shingles of two documents of 1 000 words each, 5·10⁻¹⁴.
As B is odd, two sums that differ in one word never collide.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels import njit
from udfs.tokens import hash_words, mix, string_buffers, tables_for_kernels
from udfs.unicode import OWN_WORD, class_of, decode

BASE = np.uint64(0x9FB21C651E98DF25)


class Shingles(NamedTuple):
    """The shingles of a batch of documents, flat."""

    hashes: NDArray[np.uint64]  # [shingles]
    offsets: NDArray[np.int64]  # [documents + 1] shingles of document i are offsets[i] … offsets[i + 1]


@njit(cache=True, nogil=True)
def hash_shingles(words, count, ngram, shingles):
    """Hash the shingles of one document.

    Args:
        words: uint64[:], hashes of its words.
        count: How many of them.
        ngram: Words in a shingle, at least 1.
        shingles: uint64[:], at least `count` elements; receives the hashes in text order, repeats included.

    Returns:
        The number of shingles: ``count - ngram + 1``, or 1 for a shorter text, or 0 for none.
    """
    if count == 0:
        return 0
    length = min(ngram, count)
    state = np.uint64(0)
    leaving = np.uint64(1)  # B to the power of `length`
    for index in range(length):
        state = state * BASE + words[index]
        leaving *= BASE
    shingles[0] = mix(state)
    for index in range(length, count):
        state = state * BASE + words[index] - leaving * words[index - length]
        shingles[index - length + 1] = mix(state)
    return count - length + 1


@njit(cache=True, nogil=True)
def ngram_of_document(data, begin, starts, count, ngram, unspaced_ngram, tables):
    """Return the length of a document's shingles: `unspaced_ngram` where most words are letters of such scripts."""
    if ngram == unspaced_ngram:
        return ngram
    letters = 0
    for index in range(count):
        first = data[begin + starts[index]]
        if first >= 0xE0:
            code_point, _ = decode(data, begin + starts[index], len(data))
            if np.int64(class_of(code_point, tables)) & OWN_WORD:
                letters += 1
    return unspaced_ngram if 2 * letters > count else ngram


@njit(cache=True, nogil=True)
def _shingles_of_batch(data, offsets, tables, ngram, unspaced_ngram, words, starts, ends, shingles, shingle_offsets):
    """Hash the shingles of every document of a batch one after another."""
    total = 0
    shingle_offsets[0] = 0
    for document in range(len(offsets) - 1):
        begin = offsets[document]
        count = hash_words(data, begin, offsets[document + 1], tables, True, words, starts, ends)
        length = ngram_of_document(data, begin, starts, count, ngram, unspaced_ngram, tables)
        total += hash_shingles(words, count, length, shingles[total:])
        shingle_offsets[document + 1] = total


def shingles(text: pa.Array, ngram: int, unspaced_ngram: int | None = None) -> Shingles:
    """Return the shingles of every document of a string array, in text order, repeats included; a null has none.

    Args:
        text: ``string`` or ``large_string``.
        ngram: Words in a shingle, at least 1.
        unspaced_ngram: The same for documents in scripts without spaces; None: no difference is made.

    Raises:
        TypeError: `text` is not a string array.
        ValueError: a length below 1.
    """
    unspaced_ngram = ngram if unspaced_ngram is None else unspaced_ngram
    if min(ngram, unspaced_ngram) < 1:
        raise ValueError(f"a shingle has at least one word, not {min(ngram, unspaced_ngram)}")
    data, offsets = string_buffers(text)
    longest = int(np.diff(offsets).max(initial=0)) // 2 + 1
    found = np.empty(int(offsets[-1] - offsets[0]) // 2 + len(offsets), dtype=np.uint64)
    shingle_offsets = np.empty(len(offsets), dtype=np.int64)
    _shingles_of_batch(
        data,
        offsets,
        tables_for_kernels(),
        ngram,
        unspaced_ngram,
        np.empty(longest, dtype=np.uint64),
        np.empty(longest, dtype=np.int64),
        np.empty(longest, dtype=np.int64),
        found,
        shingle_offsets,
    )
    return Shingles(found[: shingle_offsets[-1]], shingle_offsets)


@njit(cache=True, nogil=True)
def _drop_repeats(hashes, offsets, kept_offsets):
    """Move the distinct values of each sorted range to the front of `hashes`; write where each document's begin."""
    total = 0
    kept_offsets[0] = 0
    for document in range(len(offsets) - 1):
        for index in range(offsets[document], offsets[document + 1]):
            if index == offsets[document] or hashes[index] != hashes[index - 1]:
                # What is overwritten lies before `index`, where only the value just read is still looked at.
                value = hashes[index]
                hashes[total] = value
                total += 1
        kept_offsets[document + 1] = total


def distinct_shingles(text: pa.Array, ngram: int, unspaced_ngram: int | None = None) -> Shingles:
    """Return each document's set of shingles, ascending; otherwise as `shingles`."""
    hashes, offsets = shingles(text, ngram, unspaced_ngram)
    bounds = offsets.tolist()
    for document in range(len(bounds) - 1):
        hashes[bounds[document] : bounds[document + 1]].sort()
    kept = np.empty_like(offsets)
    _drop_repeats(hashes, offsets, kept)
    return Shingles(hashes[: kept[-1]], kept)
