"""Which windows occur more than once and where they occur first, by their digests.

A corpus is looked through in *chunks* of whole documents. Each chunk asks about every digest once, with the smallest
address at which it has it; what gathers the questions about a digest answers each chunk with the smallest address of
all, if there is more than one occurrence; the chunk then knows of every window whether it occurs before. So a digest
that occurs a million times is one question and one answer for each chunk, whoever answers holds no more than that, and
nobody sorts windows.

Tables of 64-bit integers, a row for each:

    windows   [rows, 4]: both halves of the digest, address, number of windows at consecutive addresses that are equal
    questions [rows, 3]: both halves, smallest address; its complement where the digest occurs more than once already
    answers   [rows, 3]: both halves, smallest address of all

Digests and addresses are those of `udfs.substrings`.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from udfs.substrings import POSITION_BITS

Rows = NDArray[np.int64]


class Repeats(NamedTuple):
    """Windows that occur more than once, in the order of the table they come from."""

    at: NDArray[np.int64]  # [windows] address
    runs: NDArray[np.int64]  # [windows] equal ones at consecutive addresses
    firsts: NDArray[np.int64]  # [windows] address of the first occurrence
    previous: NDArray[np.int64]  # [windows] of the last one before in the same document; -1 for none


@njit(cache=True, nogil=True)
def _slots(count):
    """Return an empty hash table for so many digests, at most half full."""
    size = 16
    while size < 2 * count:
        size *= 2
    return np.full(size, -1, dtype=np.int64)


@njit(cache=True, nogil=True)
def _slot_of(slots, known, first, second):
    """Return the slot that holds the row of `known` with this digest, or the empty one where it belongs."""
    slot = first & (len(slots) - 1)  # halves of digests are mixed: any bits will do
    while slots[slot] >= 0 and (known[slots[slot], 0] != first or known[slots[slot], 1] != second):
        slot = (slot + 1) & (len(slots) - 1)
    return slot


@njit(cache=True, nogil=True)
def _ask(windows, questions):
    """Fill the questions; return their number."""
    slots = _slots(len(windows))
    count = 0
    for row in range(len(windows)):
        slot = _slot_of(slots, questions, windows[row, 0], windows[row, 1])
        place = slots[slot]
        if place < 0:
            slots[slot] = count
            questions[count, 0], questions[count, 1] = windows[row, 0], windows[row, 1]
            questions[count, 2] = ~windows[row, 2] if windows[row, 3] > 1 else windows[row, 2]
            count += 1
        else:
            before = questions[place, 2]
            questions[place, 2] = ~min(windows[row, 2], ~before if before < 0 else before)
    return count


def ask(windows: Rows) -> Rows:
    """Return the questions of a chunk, each digest once, in the order in which they occur."""
    windows = np.array(windows, dtype=np.int64)  # tables that were read are read-only: another signature to compile
    questions = np.empty((len(windows), 3), dtype=np.int64)
    return questions[: _ask(windows, questions)]


@njit(cache=True, nogil=True)
def _earliest(questions, found):
    """Fill in the smallest address at which each digest occurs; -1 where there is no other occurrence."""
    slots = _slots(len(questions))
    group = np.empty(len(questions), dtype=np.int64)  # the first row with the same digest
    told = questions[:, 2].copy()  # there, all that has been told of it
    for row in range(len(questions)):
        slot = _slot_of(slots, questions, questions[row, 0], questions[row, 1])
        if slots[slot] < 0:
            slots[slot] = row
        else:
            before, now = told[slots[slot]], told[row]
            told[slots[slot]] = ~min(~now if now < 0 else now, ~before if before < 0 else before)
        group[row] = slots[slot]
    for row in range(len(questions)):
        found[row] = ~told[group[row]] if told[group[row]] < 0 else -1


def earliest(questions: Rows) -> NDArray[np.int64]:
    """Return for every question the smallest address in all questions about its digest.

    -1 where the digest occurs once only. All questions about a digest must be there.
    """
    questions = np.array(questions, dtype=np.int64)
    found = np.empty(len(questions), dtype=np.int64)
    _earliest(questions, found)
    return found


@njit(cache=True, nogil=True)
def _repeats(windows, answers, at, runs, firsts, previous):
    """Fill in the windows that are answered; return their number."""
    slots = _slots(len(answers))
    for row in range(len(answers)):
        slots[_slot_of(slots, answers, answers[row, 0], answers[row, 1])] = row
    last = np.full(len(answers), -1, dtype=np.int64)  # address of each digest's last occurrence
    count = 0
    for row in range(len(windows)):
        place = slots[_slot_of(slots, answers, windows[row, 0], windows[row, 1])]
        if place < 0:
            continue
        at[count], runs[count], firsts[count] = windows[row, 2], windows[row, 3], answers[place, 2]
        same_document = last[place] >= 0 and last[place] >> POSITION_BITS == at[count] >> POSITION_BITS
        previous[count] = last[place] if same_document else -1
        last[place] = at[count] + runs[count] - 1
        count += 1
    return count


def repeats(windows: Rows, answers: Rows) -> Repeats:
    """Return the windows of a chunk that occur more than once, by the answers that it got.

    Args:
        windows: The chunk's windows, those of a document one after another by address.
        answers: One for each of their digests that occurs more than once.
    """
    windows, answers = np.array(windows, dtype=np.int64), np.array(answers, dtype=np.int64)
    columns = tuple(np.empty(len(windows), dtype=np.int64) for _ in range(4))
    count = _repeats(windows, answers, *columns)
    return Repeats._make(column[:count] for column in columns)
