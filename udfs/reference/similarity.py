"""Plain twin of `udfs.similarity`: the textbook table for edits, sets for Jaccard."""

from __future__ import annotations

from collections.abc import Sequence


def edit_distance(left: Sequence[int], right: Sequence[int]) -> int:
    """Return the least number of items inserted, deleted or replaced (Wagner & Fischer 1974)."""
    above = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        row = [i]
        for j, b in enumerate(right, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
        above = row
    return above[-1]


def edit_similarity(left: Sequence[int], right: Sequence[int]) -> float:
    """Return 1 − d/max(m, n)."""
    return 1.0 - edit_distance(left, right) / max(len(left), len(right), 1)


def scale_of(hashes: set[int], least: int) -> int:
    """Return log₂ of the scale that `udfs.similarity.scaled` chooses for a set."""
    if len(hashes) < 8 * least:
        return 0
    return max(scale for scale in range(64) if sum(value < 2 ** (64 - scale) for value in hashes) >= least)


def scaled_jaccard(left: set[int], right: set[int], least: int) -> float:
    """Return the Jaccard similarity of what the coarser of the two scales keeps."""
    limit = 2 ** (64 - max(scale_of(left, least), scale_of(right, least)))
    a, b = {value for value in left if value < limit}, {value for value in right if value < limit}
    return len(a & b) / len(a | b) if a or b else 0.0
