"""Repetition (Gopher, arXiv 2112.11446, table A1): lines and paragraphs that come again, word n-grams that cover much
of the text.

- `duplicate_{line,paragraph}_fraction`: repeats / all. The first copy is no repeat: 10 lines of which 4 are equal
  give 3/10.
- `duplicate_{line,paragraph}_char_fraction`: characters in repeats / characters in all.
- `top_{2,3,4}gram_char_fraction`: word characters covered by the most frequent word n-gram / word characters; 0 unless
  it occurs twice; of equally frequent ones the one that covers most. Occurrences may overlap; a character is counted
  once.
- `duplicate_{5…10}gram_char_fraction`: word characters covered by the union of all n-grams that occur at least twice /
  word characters.

An n-gram is known by a number: that of a word is given to its hash, that of a longer one to the pair of numbers of
its two (n−1)-grams, so beyond the word hashes nothing rests on hash equality. A position can hold a repeated
(n+1)-gram only where it and its successor hold repeated n-grams: only those positions are looked at again, in order,
so each length costs at most one pass over the words and next to nothing on clean text.

Tables are open addressing with linear probing, at most half full (three quarters above four million entries). The
first slot depends on a multiplier drawn at random per process: no text can be written to make a table slow, and
results do not depend on it.

Indexes are unsigned, for Numba looks whether others count from the end; whether a word comes again cannot be foretold,
so that no branch depends on it where that can be had.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import numpy as np

from udfs.kernels import njit

SHORTEST_NGRAM = 2
LONGEST_TOP_NGRAM = 4
LONGEST_NGRAM = 10


@njit(cache=True, nogil=True)
def clear_table(table, entries):
    """Empty the front of `table` (int32[:]) for up to `entries` keys; return the shift that maps a hash to a slot."""
    wanted = 2 * entries if entries < 4_194_304 else entries + entries // 3
    bits = 4
    while (1 << bits) < wanted:
        bits += 1
    table[: 1 << bits] = -1
    return np.uint64(64 - bits)


@njit(cache=True, nogil=True)
def number_of(key, keys, count, table, shift, seed):
    """Return the number of `key` (uint64); a new one gets the number `count` and is entered."""
    hashed = key * seed
    hashed ^= hashed >> np.uint64(32)
    hashed *= np.uint64(0x9E3779B97F4A7C15)
    slot = hashed >> shift
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> shift
    number = table[slot]
    # Not `and`, and both tables are written whether it is new or not: nothing is branched on but a second look.
    while (number >= 0) & (keys[np.uint64(max(number, 0))] != key):
        slot = (slot + np.uint64(1)) & mask
        number = table[slot]
    number = count if number < 0 else number
    table[slot] = number
    keys[np.uint64(number)] = key
    return np.int64(number)


@njit(cache=True, nogil=True)
def count_repeats(hashes, chars, count, table, seed):
    """Return (repeats, characters in repeats) among `count` texts given by hash and length; `hashes` is overwritten."""
    if count < 2:
        return np.int64(0), np.int64(0)
    shift = clear_table(table, count)
    distinct = np.int64(0)
    repeated_chars = np.int64(0)
    for item in range(count):
        if number_of(hashes[item], hashes, distinct, table, shift, seed) == distinct:
            distinct += 1
        else:
            repeated_chars += chars[item]
    return count - distinct, repeated_chars


@njit(cache=True, nogil=True)
def cover_ngrams(hashes, ends, words, scratch, seed, covered):
    """Write the word characters covered by the top 2- to 4-gram and by all repeated 5- to 10-grams to
    ``covered[2:11]``.

    Args:
        hashes: uint64[words], the word hashes; overwritten.
        ends: int32[words + 1], word characters before each word, and their sum.
        words: Number of words.
        scratch: `udfs.sweep.Scratch`: positions, numbers, counts, covers, lasts, table.
        seed: Odd uint64, the multiplier of the tables.
        covered: int64[11], zeroed by the caller.
    """
    if words < SHORTEST_NGRAM:
        return
    positions = scratch.positions
    numbers = scratch.numbers
    counts = scratch.counts
    covers = scratch.covers
    lasts = scratch.lasts
    table = scratch.table
    shift = clear_table(table, words)
    distinct = np.int64(0)
    for word in range(words):
        number = number_of(hashes[word], hashes, distinct, table, shift, seed)
        is_new = number == distinct
        counts[np.uint64(number)] = 1 if is_new else counts[np.uint64(number)] + 1
        distinct += is_new
        numbers[word] = number
    alive = np.uint64(0)
    for word in range(words):
        number = numbers[word]
        positions[alive] = word
        numbers[alive] = number
        alive += np.uint64(counts[np.uint64(number)] > 1)
    for n in range(SHORTEST_NGRAM, LONGEST_NGRAM + 1):
        if alive < 2:
            return
        shift = clear_table(table, np.int64(alive))
        distinct = np.int64(0)
        expected = np.int64(0)
        found = np.uint64(0)
        best_count = 1
        best_cover = 0
        for item in range(np.int64(alive) - 1):
            position = np.int64(positions[item])
            if positions[item + 1] != position + 1:
                continue
            key = (np.uint64(numbers[item]) << np.uint64(32)) | np.uint64(numbers[item + 1])
            # Where text comes again its n-grams follow each other as they did the first time: look there first.
            expected += 1
            if expected < distinct and hashes[np.uint64(expected)] == key:
                number = expected
            else:
                number = number_of(key, hashes, distinct, table, shift, seed)
                expected = number
            positions[found] = position
            numbers[found] = number
            found += np.uint64(1)
            at = np.uint64(number)
            behind = np.uint64(position + n)
            if number == distinct:
                distinct += 1
                counts[at] = 1
                if n <= LONGEST_TOP_NGRAM:
                    covers[at] = ends[behind] - ends[np.uint64(position)]
                    lasts[at] = position + n
                continue
            counts[at] += 1
            if n <= LONGEST_TOP_NGRAM:
                covers[at] += ends[behind] - ends[np.uint64(max(position, lasts[at]))]
                lasts[at] = position + n
                if counts[at] > best_count or (counts[at] == best_count and covers[at] > best_cover):
                    best_count = counts[at]
                    best_cover = covers[at]
        alive = np.uint64(0)
        union = np.int64(0)
        last = np.int64(0)
        for item in range(np.int64(found)):
            number = numbers[item]
            position = np.int64(positions[item])
            repeated = counts[np.uint64(number)] > 1
            new_chars = ends[np.uint64(position + n)] - ends[np.uint64(max(position, last))]
            union += new_chars if repeated else 0
            last = position + n if repeated else last
            positions[alive] = position
            numbers[alive] = number
            alive += np.uint64(repeated)
        covered[n] = best_cover if n <= LONGEST_TOP_NGRAM else union
