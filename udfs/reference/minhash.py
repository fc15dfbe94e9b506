"""Plain twin of `udfs.minhash`: one permutation and one shingle after another, permutations by `datasketch`."""

from __future__ import annotations

from collections.abc import Sequence

from datasketch import MinHash

from udfs.reference.shingles import MODULUS, mix

HASH_START = 0x9E3779B97F4A7C15


def mix32(state: int) -> int:
    """Return the 32-bit finaliser of MurmurHash3."""
    state ^= state >> 16
    state = state * 0x85EBCA6B % (1 << 32)
    state ^= state >> 13
    state = state * 0xC2B2AE35 % (1 << 32)
    return state ^ (state >> 16)


def signature(shingles: Sequence[int], num_perm: int, seed: int) -> list[int]:
    """Return the signature of the shingles of one document."""
    multipliers, increments = MinHash(num_perm=num_perm, seed=seed, scheme="affine32").permutations
    return [
        min((int(a) * mix32(shingle % (1 << 32)) + int(b)) % (1 << 32) for shingle in shingles)
        for a, b in zip(multipliers, increments, strict=True)
    ]


def band_hash(values: Sequence[int], band: int, rows: int, scope: int = 0) -> int:
    """Return the hash of one band of a signature, signed as it is stored."""
    state = mix(HASH_START ^ (scope % MODULUS) ^ ((band + 1) * HASH_START % MODULUS))
    for value in values[band * rows : band * rows + rows]:
        rotated = ((state << 23) | (state >> 41)) % MODULUS
        state = (rotated ^ value) * 0xD6E8FEB86659FD93 % MODULUS
    return signed(mix(state))


def bit_planes(values: Sequence[int]) -> list[int]:
    """Return the two lowest bits of the first 256 values, mixed, as two planes of 64-bit words, signed as stored."""
    used = [mix32(value) for value in values[:256]]
    return [
        signed(sum(((value >> plane) & 1) << place for place, value in enumerate(used[start : start + 64])))
        for plane in range(2)
        for start in range(0, len(used), 64)
    ]


def signed(value: int) -> int:
    """Return a 64-bit pattern as the signed number that has it."""
    return value - MODULUS if value >= MODULUS >> 1 else value
