"""Plain twin of `udfs.shingles`: each shingle's sum from its words, without rolling."""

from __future__ import annotations

from udfs.reference.tokens import hash_word, is_own_word, words

BASE = 0x9FB21C651E98DF25
MODULUS = 1 << 64


def mix(state: int) -> int:
    """Return the 64-bit finaliser of MurmurHash3."""
    state ^= state >> 33
    state = state * 0xFF51AFD7ED558CCD % MODULUS
    state ^= state >> 33
    state = state * 0xC4CEB9FE1A85EC53 % MODULUS
    return state ^ (state >> 33)


def hash_shingle(hashes: list[int]) -> int:
    """Return the hash of one n-gram, given the hashes of its words."""
    return mix(sum(value * BASE ** (len(hashes) - 1 - place) for place, value in enumerate(hashes)) % MODULUS)


def ngram_of(text: str, ngram: int, unspaced_ngram: int | None) -> int:
    """Return the length of the shingles of a text."""
    found = words(text, normalised=True)
    encoded = text.encode()
    letters = sum(is_own_word(encoded[word.start : word.end].decode()[0]) for word in found)
    return unspaced_ngram if unspaced_ngram is not None and 2 * letters > len(found) else ngram


def shingles(text: str, ngram: int, unspaced_ngram: int | None = None) -> list[int]:
    """Return the shingles of a text in order, repeats included."""
    hashes = [hash_word(word.text) for word in words(text, normalised=True)]
    if not hashes:
        return []
    length = min(ngram_of(text, ngram, unspaced_ngram), len(hashes))
    return [hash_shingle(hashes[i : i + length]) for i in range(len(hashes) - length + 1)]


def jaccard(left: set[int], right: set[int]) -> float:
    """Return |A ∩ B| / |A ∪ B|, 0 where both are empty."""
    return len(left & right) / len(left | right) if left or right else 0.0
