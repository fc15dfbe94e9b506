"""Who stays: resolution of verified pairs that fit into one task.

Documents are nodes (64-bit names), a pair is an edge from its better-ranked document to the other. Ranks are a total
order, so the edges have no cycle, and only their directions matter:

- *representatives*: the greedy independent set by rank (the lexicographically first maximal one): a document is kept if
  and only if none of its better neighbours is kept. Worked through in topological order (Kahn 1962), O(V + E).
- *components*: connected components, by union-find with the smallest node as label (Galler & Fischer 1964).
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from udfs.kernels import njit


def _indexed(
    left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct nodes, ascending, and both ends of each edge as places among them."""
    nodes, places = np.unique(np.concatenate((left, right)), return_inverse=True)
    return nodes, places[: len(left)], places[len(left) :]


@njit(allocates=True, cache=True, nogil=True)
def _remove(better, worse, removed):
    """Mark the nodes (0 … n − 1) that a kept better neighbour removes; return how many nodes were decided."""
    count = len(removed)
    waiting = np.zeros(count, dtype=np.int64)  # better neighbours not yet decided
    first = np.zeros(count + 1, dtype=np.int64)
    for edge in range(len(better)):
        waiting[worse[edge]] += 1
        first[better[edge] + 1] += 1
    for node in range(count):
        first[node + 1] += first[node]
    place = first[:-1].copy()
    outward = np.empty(len(better), dtype=np.int64)
    for edge in range(len(better)):
        outward[place[better[edge]]] = worse[edge]
        place[better[edge]] += 1
    queue = np.empty(count, dtype=np.int64)
    queued = 0
    for node in range(count):
        if waiting[node] == 0:
            queue[queued] = node
            queued += 1
    done = 0
    while done < queued:
        node = queue[done]
        done += 1
        for index in range(first[node], first[node + 1]):
            other = outward[index]
            if not removed[node]:
                removed[other] = True
            waiting[other] -= 1
            if waiting[other] == 0:
                queue[queued] = other
                queued += 1
    return done


def removed_nodes(better: NDArray[np.int64], worse: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the nodes outside the greedy independent set, ascending.

    Args:
        better: [edges] the better-ranked node of each pair.
        worse: [edges] the other one.

    Raises:
        ValueError: the directions have a cycle, so they come from no order.
    """
    nodes, better_places, worse_places = _indexed(better, worse)
    removed = np.zeros(len(nodes), dtype=np.bool_)
    if _remove(better_places, worse_places, removed) != len(nodes):
        raise ValueError("the pairs are not ordered by rank: their directions have a cycle")
    return nodes[removed]


@njit(cache=True, nogil=True)
def _unite(left, right, parents):
    """Point every node (0 … n − 1) at the smallest of its component."""
    for edge in range(len(left)):
        a, b = left[edge], right[edge]
        while parents[a] != a:
            parents[a] = parents[parents[a]]
            a = parents[a]
        while parents[b] != b:
            parents[b] = parents[parents[b]]
            b = parents[b]
        if a < b:
            parents[b] = a
        else:
            parents[a] = b
    for node in range(len(parents)):
        parents[node] = parents[parents[node]]  # parents are smaller, so theirs are final already


def components(left: NDArray[np.int64], right: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the nodes, ascending, and for each the smallest node of its component."""
    nodes, left_places, right_places = _indexed(left, right)
    parents = np.arange(len(nodes), dtype=np.int64)
    _unite(left_places, right_places, parents)
    return nodes, nodes[parents]
