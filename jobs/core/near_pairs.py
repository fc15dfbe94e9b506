"""Comparing two documents as near-deduplication asks: Jaccard of shingle sets, and edit similarity if wanted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.core.recipe import DedupNear
from udfs.shingles import distinct_shingles
from udfs.similarity import edit_similarity, jaccard, packed, scaled
from udfs.tokens import words


class Compared(NamedTuple):
    """What of documents is compared: three arrays, one value a document."""

    hashes: pa.Array  # binary: the shingle set, ascending uint64
    scales: pa.Array  # int64: log₂ of the set's scale
    words: pa.Array  # binary: word hashes in order; null unless edit similarity is asked for


def compared_parts(text: pa.Array, step: DedupNear) -> Compared:
    """Return what is compared of each text."""
    hashes, offsets = distinct_shingles(text, step.ngram, step.unspaced_ngram)
    scales, ends = np.zeros(len(text), dtype=np.int64), offsets[1:]
    if step.verify == "scaled":
        scales, ends = scaled(hashes, offsets, step.min_scaled_hashes)
    sequences = pa.nulls(len(text), pa.binary())
    if step.edit_similarity is not None:
        found = words(text, normalised=True)
        sequences = packed(found.hashes, found.offsets[:-1], found.offsets[1:]).cast(pa.binary())
    sets = packed(hashes, offsets[:-1], ends).cast(pa.binary())
    return Compared(sets, pa.array(scales), sequences)


def similarities(left: Compared, right: Compared, step: DedupNear) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which pairs are near-duplicates, and the Jaccard similarity of every pair."""
    found = jaccard(left.hashes, right.hashes, left.scales, right.scales)
    reached = found >= step.threshold
    if step.edit_similarity is not None and reached.any():
        places = pa.array(np.flatnonzero(reached))
        edits = edit_similarity(left.words.take(places), right.words.take(places), step.edit_similarity)
        reached[reached] = edits >= 0
    return reached, found
