"""Which windows occur more than once and where they occur first, by their digests.

A corpus is looked through in *chunks* of whole documents. Each chunk asks about every digest once, with the smallest
address at which it has it; what gathers the questions about a digest answers each chunk with the smallest address of
all, if there is more than one occurrence; the chunk then knows of every window whether it occurs before. So a digest
that occurs a million times is one question and one answer for each chunk, whoever answers holds no more than that, and
nobody sorts windows.

A chunk numbers its questions, and a window is (address, run, number of the question): so digests travel once. Questions
are a table of 64-bit integers, [questions, 3]: both halves of the digest, and the smallest address, or its complement
where the digest occurs more than once already. Digests and addresses are those of `udfs.substrings`; a run is a number
of equal windows at consecutive addresses.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels import njit
from udfs.substrings import POSITION_BITS

Rows = NDArray[np.int64]


class Repeats(NamedTuple):
    """Windows that occur more than once, in the order of the table they come from."""

    at: NDArray[np.int64]  # [windows] address
    runs: NDArray[np.int64]  # [windows] equal ones at consecutive addresses
    firsts: NDArray[np.int64]  # [windows] address of the first occurrence
    previous: NDArray[np.int64]  # [windows] of the last one before in the same document; -1 for none


@njit(allocates=True, cache=True, nogil=True)
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
def _ask(digests, at, runs, questions, numbers):
    """Fill the questions, and the number of each window's; return how many there are."""
    slots = _slots(len(digests))
    count = 0
    for row in range(len(digests)):
        slot = _slot_of(slots, questions, digests[row, 0], digests[row, 1])
        place = slots[slot]
        if place < 0:
            place = slots[slot] = count
            questions[count, 0], questions[count, 1] = digests[row, 0], digests[row, 1]
            questions[count, 2] = ~at[row] if runs[row] > 1 else at[row]
            count += 1
        else:
            before = questions[place, 2]
            questions[place, 2] = ~min(at[row], ~before if before < 0 else before)
        numbers[row] = place
    return count


def ask(digests: Rows, at: Rows, runs: Rows) -> tuple[Rows, NDArray[np.int64]]:
    """Return the questions of a chunk, each digest once, and for every window the number of its question.

    Args:
        digests: [windows, 2] both halves.
        at: [windows] address.
        runs: [windows] equal ones at consecutive addresses.
    """
    digests = np.ascontiguousarray(digests)
    questions, numbers = np.empty((len(digests), 3), dtype=np.int64), np.empty(len(digests), dtype=np.int64)
    return questions[: _ask(digests, at, runs, questions, numbers)], numbers


@njit(allocates=True, cache=True, nogil=True)
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


@njit(allocates=True, cache=True, nogil=True)
def _repeats(at, runs, numbers, first_of, rows, previous):
    """Fill in which windows occur more than once, and the last occurrence before; return their number."""
    last = np.full(len(first_of), -1, dtype=np.int64)  # address of each question's last occurrence
    count = 0
    for row in range(len(at)):
        number = numbers[row]
        if first_of[number] < 0:
            continue
        same_document = last[number] >= 0 and last[number] >> POSITION_BITS == at[row] >> POSITION_BITS
        rows[count], previous[count] = row, last[number] if same_document else -1
        last[number] = at[row] + runs[row] - 1
        count += 1
    return count


def repeats(at: Rows, runs: Rows, numbers: Rows, first_of: Rows) -> Repeats:
    """Return the windows of a chunk that occur more than once, by the answers to its questions.

    Args:
        at: [windows] address; those of a document one after another, ascending.
        runs: [windows] equal ones at consecutive addresses.
        numbers: [windows] of the questions.
        first_of: [questions] what `earliest` says.
    """
    rows, previous = np.empty(len(at), dtype=np.int64), np.empty(len(at), dtype=np.int64)
    count = _repeats(at, runs, numbers, first_of, rows, previous)
    rows = rows[:count]
    return Repeats(at[rows], runs[rows], first_of[numbers[rows]], previous[:count])
