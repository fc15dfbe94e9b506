"""Plain twin of `udfs.window_digests`: dictionaries of Python integers."""

from __future__ import annotations

from collections.abc import Sequence

Row = tuple[int, ...]


def ask(digests: Sequence[Row], at: Sequence[int], runs: Sequence[int]) -> tuple[list[Row], list[int]]:
    """Return each digest once, with its smallest address, or the complement of that where it occurs more than once; and
    the number of each window's question."""
    addresses: dict[Row, list[int]] = {}
    for digest, address, run in zip(digests, at, runs, strict=True):
        addresses.setdefault(digest, []).extend([address, address + 1] if run > 1 else [address])
    numbers = {digest: number for number, digest in enumerate(addresses)}
    questions = [(*digest, ~min(of) if len(of) > 1 else of[0]) for digest, of in addresses.items()]
    return questions, [numbers[digest] for digest in digests]


def earliest(questions: Sequence[Row]) -> list[int]:
    """Return for each question the smallest address of its digest, -1 where that occurs once."""
    addresses: dict[Row, list[int]] = {}
    for first, second, told in questions:
        addresses.setdefault((first, second), []).extend([~told, ~told + 1] if told < 0 else [told])
    return [min(at) if len(at := addresses[first, second]) > 1 else -1 for first, second, _ in questions]


def repeats(
    at: Sequence[int], runs: Sequence[int], numbers: Sequence[int], first_of: Sequence[int], position_bits: int
) -> list[Row]:
    """Return (address, run, first address, address of the last occurrence before in the same document or -1)."""
    found: list[Row] = []
    for place, number in enumerate(numbers):
        if first_of[number] >= 0:
            before = [
                at[other] + runs[other] - 1
                for other in range(place)
                if numbers[other] == number and at[other] >> position_bits == at[place] >> position_bits
            ]
            found.append((at[place], runs[place], first_of[number], before[-1] if before else -1))
    return found
