"""Plain twin of `udfs.window_digests`: dictionaries of Python integers."""

from __future__ import annotations

from collections.abc import Sequence

Row = tuple[int, ...]


def ask(windows: Sequence[Row]) -> list[Row]:
    """Return each digest once, with its smallest address, or the complement of that where it occurs more than once."""
    addresses: dict[Row, list[int]] = {}
    for first, second, at, run in windows:
        addresses.setdefault((first, second), []).extend([at, at + 1] if run > 1 else [at])
    return [(*digest, ~min(at) if len(at) > 1 else at[0]) for digest, at in addresses.items()]


def earliest(questions: Sequence[Row]) -> list[int]:
    """Return for each question the smallest address of its digest, -1 where that occurs once."""
    addresses: dict[Row, list[int]] = {}
    for first, second, told in questions:
        addresses.setdefault((first, second), []).extend([~told, ~told + 1] if told < 0 else [told])
    return [min(at) if len(at := addresses[first, second]) > 1 else -1 for first, second, _ in questions]


def repeats(windows: Sequence[Row], answers: Sequence[Row], position_bits: int) -> list[Row]:
    """Return (address, run, first address, address of the last occurrence before in the same document or -1)."""
    firsts = {(first, second): at for first, second, at in answers}
    found: list[Row] = []
    for place, (first, second, at, run) in enumerate(windows):
        if (first, second) in firsts:
            before = [
                other[2] + other[3] - 1
                for other in windows[:place]
                if other[:2] == (first, second) and other[2] >> position_bits == at >> position_bits
            ]
            found.append((at, run, firsts[first, second], before[-1] if before else -1))
    return found
