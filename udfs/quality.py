"""Quality (Gopher, arXiv 2112.11446, appendix A.1.1): counts of words and of what they hold.

- `word_count`; `mean_word_length` = word characters / words.
- `hash_word_ratio` = ``#`` / words; `ellipsis_word_ratio` = (``...``, not overlapping, plus ``…``) / words.
- `alpha_word_fraction` = words with at least one letter (`str.isalpha`, categories L*) / words.
- `stop_word_count` = distinct stop words of the document's language that occur, a word being lower-cased (full
mapping, final sigma
  included) and stripped of leading and trailing punctuation and symbols (categories P*, S*).

A denominator of 0 gives 0. The hash and ellipsis rules are two; stop words are distinct, not occurrences.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import numpy as np

from udfs.kernels import njit
from udfs.tokens import HASH_START, hash_step, mix
from udfs.unicode import CASE_IGNORABLE, CASED, LOWERS, PUNCTUATION, case_row_of, class_of, decode

_CAPITAL_SIGMA = 0x3A3
_FINAL_SIGMA = 0x3C2


@njit(cache=True, nogil=True)
def count_marks(data, begin, end):
    """Return (``#``, non-overlapping ``...``) in the bytes ``data[begin:end]``."""
    hashes = 0
    ellipses = 0
    dots = 0
    for position in range(begin, end):
        byte = data[position]
        if byte == 0x23:
            hashes += 1
        if byte == 0x2E:
            dots += 1
            if dots == 3:
                ellipses += 1
                dots = 0
        else:
            dots = 0
    return hashes, ellipses


@njit(cache=True, nogil=True)
def sigma_is_final(data, after, end, cased_before, tables):
    """Say whether a capital sigma becomes ς: after a cased letter, before none, in the word (Unicode Final_Sigma)."""
    if not cased_before:
        return False
    while after < end:
        code_point, width = decode(data, after, end)
        bits = class_of(code_point, tables)
        if (bits & CASE_IGNORABLE) == 0:
            return (bits & CASED) == 0
        after += width
    return True


@njit(cache=True, nogil=True)
def ascii_bare_hash(data, begin, end, classes):
    """Return what `bare_hash` does, for a word of ASCII alone; `classes` are the bits of its characters."""
    while begin < end and (classes[data[np.uint64(begin)]] & PUNCTUATION) != 0:
        begin += 1
    while begin < end and (classes[data[np.uint64(end - 1)]] & PUNCTUATION) != 0:
        end -= 1
    state = HASH_START
    for position in range(begin, end):
        byte = data[np.uint64(position)]
        capital = (classes[byte] & LOWERS) != 0
        state = hash_step(state, byte | 0x20 if capital else byte)
    return mix(state), begin < end


@njit(cache=True, nogil=True)
def bare_hash(data, begin, end, tables):
    """Return the hash of a word lower-cased and stripped of punctuation and symbols, and whether anything is left."""
    state = HASH_START
    kept = HASH_START
    cased_before = False
    something = False
    position = begin
    while position < end:
        code_point, width = decode(data, position, end)
        bits = np.int64(class_of(code_point, tables))
        position += width
        if (bits & PUNCTUATION) == 0 or something:
            if code_point == _CAPITAL_SIGMA and sigma_is_final(data, position, end, cased_before, tables):
                state = hash_step(state, _FINAL_SIGMA)
            elif (bits & LOWERS) == 0:
                state = hash_step(state, code_point)
            else:
                row = case_row_of(code_point, tables)
                state = hash_step(state, tables.lowers[row, 0])
                if tables.lowers[row, 1] != 0:
                    state = hash_step(state, tables.lowers[row, 1])
            if (bits & PUNCTUATION) == 0:
                something = True
                kept = state
        if (bits & CASE_IGNORABLE) == 0:
            cased_before = (bits & CASED) != 0
    return mix(kept), something
