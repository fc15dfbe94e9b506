"""Plain twin of `udfs.classifier`: the score of one document."""

from __future__ import annotations

import math

from udfs.classifier import Model
from udfs.reference.tokens import hash_word, words

MODULUS = 1 << 64
MULTIPLIER = 0xD6E8FEB86659FD93


def mix(state: int) -> int:
    """MurmurHash3's finaliser."""
    state ^= state >> 33
    state = state * 0xFF51AFD7ED558CCD % MODULUS
    state ^= state >> 33
    state = state * 0xC4CEB9FE1A85EC53 % MODULUS
    return state ^ (state >> 33)


def buckets(text: str, ngram: int, bits: int) -> list[int]:
    """Return the bucket of every n-gram of a text."""
    hashes = [hash_word(word.text) for word in words(text, normalised=True)]
    found = []
    for first in range(len(hashes)):
        state = 0
        for value in hashes[first : first + ngram]:
            state = mix((state * MULTIPLIER % MODULUS) ^ value)
            found.append(state >> (64 - bits))
    return found


def score(text: str | None, model: Model) -> float | None:
    """Return the score of a document."""
    if text is None:
        return None
    found = buckets(text, model.shape.ngram, model.shape.bits)
    total = sum(float(model.weights[bucket]) for bucket in found)
    return 1 / (1 + math.exp(-(model.bias + total / math.sqrt(max(len(found), 1)))))
