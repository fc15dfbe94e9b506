"""How alike two documents are, exactly: Jaccard of shingle sets, the same of scaled sets, and edit similarity.

- *Jaccard* of sets A and B: |A ∩ B| / |A ∪ B|, both ascending, by one merge.
- *Scaled* (FracMinHash, Irber et al. 2022): only hashes below 2⁶⁴/s are kept, s a power of two chosen per document, so
  large that at least `least` remain (64 by default), and 1 for documents of fewer than 8·`least` shingles. A pair is
  compared at the larger s of the two. With m hashes in the union the standard error is √(J(1 − J)/m), 0.05 for J = 0.8
  at m = 64.
- *Edit similarity* of word sequences of lengths m and n (Lee et al., arXiv 2107.06499, appendix A): 1 − d/max(m, n), d
  the least number of words inserted, deleted or replaced. Computed along diagonals (Ukkonen 1985): O((m + n) + d²)
  steps for similar texts, and given up as soon as d exceeds what the threshold allows.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels import njit

SMALL_SETS = 8  # a document of fewer than this times `least` shingles is kept whole


@njit(cache=True, nogil=True)
def shared_hashes(left, left_begin, left_end, right, right_begin, right_end):
    """Return |A ∩ B| of two ascending ranges without repeats."""
    i, j, shared = left_begin, right_begin, 0
    while i < left_end and j < right_end:
        a, b = left[i], right[j]
        shared += a == b
        i += a <= b
        j += b <= a
    return shared


@njit(cache=True, nogil=True)
def first_not_below(values, begin, end, limit):
    """Return the first index of an ascending range whose value is at least `limit`, or `end`."""
    while begin < end:
        middle = (begin + end) >> 1
        if values[middle] < limit:
            begin = middle + 1
        else:
            end = middle
    return begin


@njit(cache=True, nogil=True)
def _jaccard_of_pairs(left, left_offsets, left_scales, right, right_offsets, right_scales, similarities):
    """Write the Jaccard similarity of each pair of sets, at the coarser of their scales; 0 where both are empty."""
    for pair in range(len(similarities)):
        a, a_end = left_offsets[pair], left_offsets[pair + 1]
        b, b_end = right_offsets[pair], right_offsets[pair + 1]
        scale = max(left_scales[pair], right_scales[pair])
        if scale > 0:
            limit = np.uint64(1) << np.uint64(64 - scale)
            a_end = first_not_below(left, a, a_end, limit)
            b_end = first_not_below(right, b, b_end, limit)
        shared = shared_hashes(left, a, a_end, right, b, b_end)
        union = (a_end - a) + (b_end - b) - shared
        similarities[pair] = shared / union if union > 0 else 0.0


def jaccard(
    left: pa.Array, right: pa.Array, left_scales: pa.Array | None = None, right_scales: pa.Array | None = None
) -> NDArray[np.float64]:
    """Return the Jaccard similarity of each pair of shingle sets.

    Args:
        left: ``binary``: ascending little-endian uint64 without repeats (`packed`), no nulls.
        right: Likewise, as many.
        left_scales: log₂ of the scale of each set; None: all are whole.
        right_scales: Likewise.
    """
    similarities = np.empty(len(left), dtype=np.float64)
    whole = np.zeros(len(left), dtype=np.int64)
    _jaccard_of_pairs(
        *unpacked(left),
        whole if left_scales is None else np.asarray(left_scales, dtype=np.int64),
        *unpacked(right),
        whole if right_scales is None else np.asarray(right_scales, dtype=np.int64),
        similarities,
    )
    return similarities


@njit(cache=True, nogil=True)
def _scale_sets(hashes, offsets, least, scales, ends):
    """Choose each document's scale; write log₂ of it and where its kept hashes end."""
    for document in range(len(scales)):
        begin, end = offsets[document], offsets[document + 1]
        scales[document] = 0
        ends[document] = end
        if end - begin < SMALL_SETS * least:
            continue
        for scale in range(1, 64):
            kept = first_not_below(hashes, begin, end, np.uint64(1) << np.uint64(64 - scale))
            if kept - begin < least:
                break
            scales[document] = scale
            ends[document] = kept


def scaled(
    hashes: NDArray[np.uint64], offsets: NDArray[np.int64], least: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return log₂ of each document's scale and where its kept hashes end, for ascending sets (`distinct_shingles`)."""
    scales = np.empty(len(offsets) - 1, dtype=np.int64)
    ends = np.empty(len(offsets) - 1, dtype=np.int64)
    _scale_sets(hashes, offsets, least, scales, ends)
    return scales, ends


def packed(hashes: NDArray[np.uint64], begins: NDArray[np.int64], ends: NDArray[np.int64]) -> pa.Array:
    """Return ranges of hashes as ``large_binary`` values of 8 bytes a hash, ascending ranges in one buffer."""
    lengths = (ends - begins) * 8
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    if np.array_equal(begins[1:], ends[:-1]):
        data = hashes[begins[0] : ends[-1]] if len(begins) else hashes[:0]
    else:
        data = np.concatenate([hashes[b:e] for b, e in zip(begins.tolist(), ends.tolist(), strict=True)])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.large_binary(), len(lengths), buffers)


def unpacked(sets: pa.Array) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hashes and the offsets (values + 1) of `packed` values; bytes are copied only where not aligned."""
    width = np.int64 if pa.types.is_large_binary(sets.type) else np.int32
    if len(sets) == 0:
        return np.empty(0, dtype=np.uint64), np.zeros(1, dtype=np.int64)
    _, offset_buffer, data_buffer = sets.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=width)[sets.offset : sets.offset + len(sets) + 1].astype(np.int64)
    data = np.frombuffer(data_buffer or b"", dtype=np.uint8)[offsets[0] : offsets[-1]]
    if data.ctypes.data % 8:
        data = data.copy()
    return data.view(np.uint64), (offsets - offsets[0]) // 8


@njit(allocates=True, cache=True, nogil=True)
def edit_distance(left, left_begin, left_end, right, right_begin, right_end, most):
    """Return the least number of words inserted, deleted or replaced between two sequences, or ``most + 1`` if more.

    reach[k] is how far into `left` the diagonal k = i − j has been followed with the edits so far; every further edit
    moves each diagonal on by one step from itself or a neighbour, and then along what is equal.
    """
    m, n = left_end - left_begin, right_end - right_begin
    if abs(m - n) > most:
        return most + 1
    middle = most + 1
    reach = np.full(2 * most + 3, -2, dtype=np.int64)
    fresh = np.full(2 * most + 3, -2, dtype=np.int64)
    for edits in range(most + 1):
        for k in range(-edits, edits + 1):
            if edits == 0:
                i = 0
            else:
                # A word of `left` deleted comes from diagonal k − 1, one inserted from k + 1, one replaced from k.
                i = max(reach[middle + k] + 1, max(reach[middle + k - 1] + 1, reach[middle + k + 1]))
            i = min(i, min(m, n + k))
            if i < 0 or i - k < 0:
                fresh[middle + k] = -2
                continue
            while i < m and i - k < n and left[left_begin + i] == right[right_begin + i - k]:
                i += 1
            fresh[middle + k] = i
            if i == m and i - k == n:
                return edits
        reach, fresh = fresh, reach
    return most + 1


@njit(cache=True, nogil=True)
def _edit_similarity_of_pairs(left, left_offsets, right, right_offsets, least, similarities):
    """Write the edit similarity of each pair of sequences, −1 where it is below `least`."""
    for pair in range(len(similarities)):
        a, a_end = left_offsets[pair], left_offsets[pair + 1]
        b, b_end = right_offsets[pair], right_offsets[pair + 1]
        longest = max(a_end - a, b_end - b, 1)
        # The largest d with 1 − d/longest ≥ least; one is added and taken away again where rounding says so.
        most = np.int64((1.0 - least) * longest) + 1
        while most > 0 and 1.0 - most / longest < least:
            most -= 1
        edits = edit_distance(left, a, a_end, right, b, b_end, most)
        similarities[pair] = -1.0 if edits > most else 1.0 - edits / longest


def edit_similarity(left: pa.Array, right: pa.Array, least: float) -> NDArray[np.float64]:
    """Return the edit similarity of each pair of `packed` word sequences, −1 where it is below `least`."""
    similarities = np.empty(len(left), dtype=np.float64)
    _edit_similarity_of_pairs(*unpacked(left), *unpacked(right), least, similarities)
    return similarities
