"""Candidate pairs of buckets: all pairs of small ones, large ones split by further rows until their parts fit.

A *bucket* holds the documents that are equal in one band. Rows arrive sorted by (bucket, window), where the *window* of
a document is a run of further rows of its signature. Documents of a bucket with equal first d rows of the window form a
*run* of depth d; the bucket is the run of depth 0. The *part* of a document is the largest run that holds it and at
most `most` documents: all pairs of a part are candidates. Where even the run of the whole window is larger, it cannot
be split: it is reported, and its documents are paired with its best one elsewhere (`jobs.dedup_near`).

Without windows a bucket that is too large is thus reported, and nothing else. In either case the work is linear in the
rows and the pairs, and never more than ``most + 1`` rows are held: one bucket may be larger than memory.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels import njit

_HELD, _DEPTH, _MODE, _BUCKET = range(4)  # places in the state
_NONE, _OPEN, _UNSPLITTABLE = range(3)  # modes: no bucket yet, a part is being held, a run that cannot be split


class Found(NamedTuple):
    """What a batch of rows brought to an end."""

    left: NDArray[np.int64]  # [pairs] the smaller node
    right: NDArray[np.int64]  # [pairs] the larger node
    unsplittable: NDArray[np.int64]  # [runs] buckets of runs that are too large and equal in the whole window
    windows: NDArray[np.uint32]  # [runs, rows of the window] their windows


@njit(cache=True, nogil=True)
def _pair_up(nodes, begin, end, left, right, count):
    """Write all pairs of ``nodes[begin:end]``; return how many pairs there are now."""
    for i in range(begin, end):
        for j in range(i + 1, end):
            if nodes[i] != nodes[j]:
                left[count] = min(nodes[i], nodes[j])
                right[count] = max(nodes[i], nodes[j])
                count += 1
    return count


@njit(cache=True, nogil=True)
def _copy_row(source, row, target, place):
    """Copy a row of one matrix to a place in another."""
    for column in range(source.shape[1]):
        target[place, column] = source[row, column]


@njit(cache=True, nogil=True)
def _split(buckets, windows, nodes, most, state, held_nodes, held_windows, left, right, unsplittable, run_windows):
    """Take in sorted rows; write the pairs of the parts that they close; return the numbers of pairs and of runs."""
    pairs, runs = 0, 0
    rows = windows.shape[1]
    held, depth, mode, bucket = state[_HELD], state[_DEPTH], state[_MODE], state[_BUCKET]
    for row in range(len(buckets)):
        fresh = mode == _NONE or buckets[row] != bucket
        common = 0
        if not fresh:
            while common < rows and windows[row, common] == held_windows[held - 1, common]:
                common += 1
        if fresh or common < depth:
            # The part held is complete. Every run above it was too large, so this row begins a part of its own.
            if mode == _OPEN:
                pairs = _pair_up(held_nodes, 0, held, left, right, pairs)
            bucket = buckets[row]
            depth = 0 if fresh else common + 1
            mode = _OPEN
            held = 0
        elif mode == _UNSPLITTABLE:
            continue
        held_nodes[held] = nodes[row]
        _copy_row(windows, row, held_windows, held)
        held += 1
        while held > most:
            if depth == rows:
                unsplittable[runs] = bucket
                _copy_row(held_windows, 0, run_windows, runs)
                runs += 1
                mode = _UNSPLITTABLE
                held = 1
                break
            # One document too many: the runs one row deeper are looked at in its place. All but the last are complete.
            depth += 1
            begin = 0
            for place in range(1, held):
                if held_windows[place, depth - 1] != held_windows[begin, depth - 1]:
                    pairs = _pair_up(held_nodes, begin, place, left, right, pairs)
                    begin = place
            for place in range(begin, held):
                held_nodes[place - begin] = held_nodes[place]
                _copy_row(held_windows, place, held_windows, place - begin)
            held -= begin
    state[_HELD], state[_DEPTH], state[_MODE], state[_BUCKET] = held, depth, mode, bucket
    return pairs, runs


class Splitter:
    """Pairs of a sorted stream of rows: `take` batch after batch, then `finish`."""

    def __init__(self, most: int, window_rows: int) -> None:
        """Prepare for parts of at most `most` documents and windows of `window_rows` rows (0: nothing is split)."""
        if most < 1:
            raise ValueError(f"a part holds at least one document, not {most}")
        self._most = most
        self._state = np.zeros(4, dtype=np.int64)
        self._nodes = np.empty(most + 1, dtype=np.int64)
        self._windows = np.empty((most + 1, window_rows), dtype=np.uint32)

    def take(self, buckets: NDArray[np.int64], windows: NDArray[np.uint32], nodes: NDArray[np.int64]) -> Found:
        """Return the pairs of all parts that this batch completes.

        Args:
            buckets: [rows] ascending within and across batches.
            windows: [rows, window_rows] in an order that keeps common beginnings together within a bucket.
            nodes: [rows] 64-bit names of documents.
        """
        room = (len(buckets) + self._most + 1) * self._most // 2 + 1
        runs_room = len(buckets) // (self._most + 1) + 2
        found = Found(
            np.empty(room, dtype=np.int64),
            np.empty(room, dtype=np.int64),
            np.empty(runs_room, dtype=np.int64),
            np.empty((runs_room, self._windows.shape[1]), dtype=np.uint32),
        )
        pairs, runs = _split(buckets, windows, nodes, self._most, self._state, self._nodes, self._windows, *found)
        return Found(found.left[:pairs], found.right[:pairs], found.unsplittable[:runs], found.windows[:runs])

    def finish(self) -> Found:
        """Return the pairs of the last part."""
        held = int(self._state[_HELD]) if self._state[_MODE] == _OPEN else 0
        left = np.empty(held * held // 2 + 1, dtype=np.int64)
        right = np.empty_like(left)
        pairs = _pair_up(self._nodes, 0, held, left, right, 0)
        self._state[_MODE] = _NONE
        return Found(left[:pairs], right[:pairs], np.empty(0, dtype=np.int64), self._windows[:0])
