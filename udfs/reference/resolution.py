"""Plain twin of `udfs.resolution`, and what both policies mean: greedy by rank, and union of neighbours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping


def representatives(ranked: Iterable[int], pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return for each removed node the node that is kept in its place.

    Args:
        ranked: All nodes, best first.
        pairs: Verified pairs, in any direction.
    """
    neighbours = defaultdict(set)
    for a, b in pairs:
        neighbours[a].add(b)
        neighbours[b].add(a)
    kept_in_place: dict[int, int] = {}
    for node in ranked:
        if node in kept_in_place:
            continue
        for other in neighbours[node]:
            kept_in_place.setdefault(other, node)
    return kept_in_place


def components(nodes: Iterable[int], pairs: Iterable[tuple[int, int]]) -> Mapping[int, int]:
    """Return for each node the smallest node that can be reached from it."""
    label = {node: node for node in nodes}
    pairs = list(pairs)
    changed = True
    while changed:
        changed = False
        for a, b in pairs:
            least = min(label[a], label[b])
            changed |= label[a] != least or label[b] != least
            label[a] = label[b] = least
    return label
