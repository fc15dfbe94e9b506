"""Listed words and phrases in texts.

Definition. A *phrase* is one to `MAX_WORDS` words (`udfs.tokens`, normalised: case folded, punctuation and symbols
taken out). It *occurs* where the normalised words of a text are its words in order, whatever stands between them.
Letters of scripts without spaces are words of their own, so that a phrase of them, of any length up to `MAX_LETTERS`,
is found anywhere in the running text. Occurrences of one lexicon do not overlap: from left to right, at each word the
longest phrase that begins there.

    lexicon_hits_NAME      occurrences
    lexicon_fraction_NAME  words in occurrences / normalised words; 0 where there are none

A phrase may be for one language: it counts in documents of that language only. Where the language of a document was
not asked for (null) every phrase counts; where it could not be told (`und`) only those for every language.

Read as they are: plain lists (a phrase a line, ``#`` begins a comment line), LDNOOBW (a file a language, named by its
code) and dsojevic's JSON (``match`` with ``|`` between spellings; ``*``, which marks where letters may be doubled or
hidden, is taken out; ``exceptions`` concern parts of words, which are never matched here).
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from udfs.tokens import HASH_MULTIPLIER, HASH_START, hash_step, mix, string_buffers, tables_for_kernels, words
from udfs.unicode import (
    FOLDS,
    MARK,
    OWN_WORD,
    PUNCTUATION,
    SPACE,
    Tables,
    case_row_of,
    class_of,
    decode,
)

MAX_WORDS = 5
MAX_LETTERS = 32  # words of a phrase, letters of scripts without spaces counted as words
PREFIX = 8  # characters that a word of ASCII is sifted by
SIEVE_BITS = 64  # of the sieve, a phrase
OTHER_BYTE, SPACE_BYTE, MARK_BYTE = 0, 1, 2
EVERY = -1  # language of a phrase that counts in every document
UNASKED = -2  # language of a document in which every phrase counts
OTHER = -3  # language of a document that no phrase is for

LANGUAGE_FILE = re.compile(r"([a-z]{2}|fil|kab|tlh)(-[A-Za-z0-9-]+)?")
SAME_LANGUAGE = {"fil": "tl", "nb": "no", "nn": "no"}  # as `udfs.language` names them
NO_LIST_FILES = frozenset({"license", "readme", "users", "contributing", "changelog"})


class Phrase(NamedTuple):
    """A listed word or phrase."""

    text: str
    language: str | None  # ISO 639-1 code; None: it counts in every language


@dataclass(frozen=True)
class Lexicons:
    """Lexicons, ready to be looked for in one pass."""

    names: tuple[str, ...]
    languages: tuple[str, ...]
    sieve: NDArray[np.uint64]  # [2^a] bits of the first `PREFIX` characters of phrases
    first: NDArray[np.uint64]  # [2^b, 2] hash of a phrase's first word (0: free); most words of a phrase that begins so
    phrases: NDArray[np.uint64]  # [2^c, 2] hash of a phrase (0: free); first member << 16 | members
    members: NDArray[np.int32]  # [members, 2] lexicon, language
    skipped: tuple[str, ...]  # phrases of no words or too many, at most 100 of them
    sizes: tuple[int, ...]  # phrases of each lexicon


# -------------------------------------------------------------------------------------------------------------- kernels


@njit(cache=True, nogil=True)
def _join(state, word):
    """Return the hash of a phrase that goes on with one more word (its hash)."""
    return mix((state * HASH_MULTIPLIER) ^ word)


@njit(cache=True, nogil=True)
def _put(slots, key, value):
    mask = np.uint64(len(slots) - 1)
    slot = key & mask
    while slots[slot, 0] != 0 and slots[slot, 0] != key:
        slot = (slot + np.uint64(1)) & mask
    slots[slot, 0] = key
    slots[slot, 1] = max(slots[slot, 1], value)


@njit(cache=True, nogil=True)
def _get(slots, key):
    mask = np.uint64(len(slots) - 1)
    slot = key & mask
    while slots[slot, 0] != 0:
        if slots[slot, 0] == key:
            return slots[slot, 1]
        slot = (slot + np.uint64(1)) & mask
    return np.uint64(0)


@njit(cache=True)
def _hash_phrases(hashes, offsets, keys):
    """Hash every phrase, given the hashes of its words."""
    for i in range(len(keys)):
        state = np.uint64(0)
        for k in range(offsets[i], offsets[i + 1]):
            state = _join(state, hashes[k])
        keys[i] = state


@njit(cache=True)
def _fill(hashes, offsets, keys, values, first, phrases):
    """Fill the tables of first words and of phrases."""
    for i in range(len(keys)):
        _put(first, hashes[offsets[i]], np.uint64(offsets[i + 1] - offsets[i]))
        _put(phrases, keys[i], values[i])


@njit(cache=True, nogil=True)
def _sift(data, position, end, kinds, sieve):
    """Pass over the words of ``data[position:end]`` up to one that has to be read in full.

    A word of ASCII is passed over if no phrase begins with its first `PREFIX` letters and digits, marks left out; that
    costs a fraction of hashing it.

    Args:
        data, position, end: The text; `position` is not inside a word.
        kinds: uint8[256], what a byte is: OTHER_BYTE, SPACE_BYTE, MARK_BYTE, else a letter or digit in lower case.
        sieve: uint64[2^k], bits of the prefixes of phrases.

    Returns:
        (first byte of that word or `end`, normalised words passed over)
    """
    passed = 0
    while position < end:
        kind = kinds[data[position]]
        if kind == SPACE_BYTE:
            position += 1
            continue
        start = position
        prefix = np.uint64(0)
        letters = 0
        while kind > SPACE_BYTE:
            if kind > MARK_BYTE:
                prefix = prefix << np.uint64(8) | np.uint64(kind)
                letters += 1
            position += 1
            if position == end or letters == PREFIX:
                break
            kind = kinds[data[position]]
        while position < end and kinds[data[position]] >= MARK_BYTE:
            position += 1
        if position < end and kinds[data[position]] == OTHER_BYTE:
            return start, passed
        if letters == 0:  # punctuation alone is no word
            continue
        bit = _bit(prefix, sieve)
        if (sieve[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & np.uint64(1) != 0:
            return start, passed
        passed += 1
    return end, passed


@njit(cache=True, nogil=True)
def _bit(prefix, sieve):
    """Return the bit of the sieve for the first characters of a word, one byte each."""
    return (prefix * HASH_MULTIPLIER) >> np.uint64(40) & np.uint64(len(sieve) * 64 - 1)


@njit(cache=True, nogil=True)
def _word_at(data, position, end, tables):
    """Return (byte after the first normalised word of ``data[position:end]``, its hash, whether there is one)."""
    state = HASH_START
    empty = True
    own = np.int64(0)
    in_word = False
    while position < end:
        code_point, width = decode(data, position, end) if data[position] >= 0x80 else (np.int64(data[position]), 1)
        bits = np.int64(class_of(code_point, tables))
        if in_word and ((bits & (SPACE | OWN_WORD)) != 0 or (own != 0 and (bits & MARK) == 0)):
            if not empty:
                return position, mix(state), True
            in_word = False
        if not bits & SPACE:
            if not in_word:
                in_word = True
                own = bits & OWN_WORD
                state = HASH_START
            if not bits & PUNCTUATION:
                empty = False
                if not bits & FOLDS:
                    state = hash_step(state, code_point)
                else:
                    row = case_row_of(code_point, tables)
                    for k in range(3):
                        if tables.folds[row, k] != 0:
                            state = hash_step(state, tables.folds[row, k])
        position += width
    return position, mix(state), not empty


@njit(cache=True, nogil=True)
def _count_in_document(
    data, begin, end, tables, language, kinds, sieve, first, phrases, members, free, ahead, hits, covered
):
    """Count occurrences of each lexicon's phrases in one document; return its normalised words.

    Args:
        data, begin, end: The text.
        language: Index of the document's language, UNASKED or OTHER.
        kinds: As `_sift` takes them.
        sieve, first, phrases, members: Of `Lexicons`.
        free: int64[lexicons], scratch: the first word that is in no occurrence yet.
        ahead: uint64[MAX_LETTERS], scratch: hashes of the phrases that begin at a word.
        hits: int64[lexicons], receives occurrences.
        covered: int64[lexicons], receives words in occurrences.
    """
    free[:] = 0
    total = 0
    position = begin
    while True:
        position, passed = _sift(data, position, end, kinds, sieve)
        total += passed
        position, word, found = _word_at(data, position, end, tables)
        if not found:
            return total
        total += 1
        longest = np.int64(_get(first, word))
        if longest == 0:
            continue
        ahead[0] = _join(np.uint64(0), word)
        length = 1
        following = position
        while length < longest:
            following, word, found = _word_at(data, following, end, tables)
            if not found:
                break
            ahead[length] = _join(ahead[length - 1], word)
            length += 1
        while length > 0:
            range_ = _get(phrases, ahead[length - 1])
            if range_ != 0:
                member = np.int64(range_ >> np.uint64(16))
                for m in range(member, member + np.int64(range_ & np.uint64(0xFFFF))):
                    lexicon = members[m, 0]
                    spoken = members[m, 1]
                    counts = language == UNASKED or spoken in (EVERY, language)
                    if counts and total > free[lexicon]:
                        hits[lexicon] += 1
                        covered[lexicon] += length
                        free[lexicon] = total - 1 + length
            length -= 1


@njit(cache=True, nogil=True)
def _count_batch(data, offsets, tables, languages, kinds, sieve, first, phrases, members, hits, covered, totals):
    """Count occurrences of each lexicon's phrases, and words, in every document."""
    free = np.empty(hits.shape[1], dtype=np.int64)
    ahead = np.empty(MAX_LETTERS, dtype=np.uint64)
    for i in range(len(offsets) - 1):
        totals[i] = _count_in_document(
            data,
            offsets[i],
            offsets[i + 1],
            tables,
            languages[i],
            kinds,
            sieve,
            first,
            phrases,
            members,
            free,
            ahead,
            hits[i],
            covered[i],
        )


# ---------------------------------------------------------------------------------------------------------------- lists


def read_phrases(path: Path, language: str | None = None) -> list[Phrase]:
    """Read a list, or all lists of a folder.

    Args:
        path: A file, or a folder of files; hidden, licence and read-me files are left out.
        language: What the phrases are for; None takes it from file names that are language codes.

    Raises:
        FileNotFoundError: There is no such file or folder, or no list in it.
        ValueError: A JSON file is not in dsojevic's layout.
    """
    if path.is_dir():
        files = sorted(
            p for p in path.iterdir() if p.is_file() and p.name[0] != "." and p.stem.lower() not in NO_LIST_FILES
        )
    else:
        files = [path] if path.is_file() else []
    if not files:
        raise FileNotFoundError(f"no word list at {path}: give a file, or a folder of files")
    return [phrase for file in files for phrase in _read_file(file, language or _language_of(file))]


def _language_of(file: Path) -> str | None:
    named = LANGUAGE_FILE.fullmatch(file.stem)
    return SAME_LANGUAGE.get(named.group(1), named.group(1)) if named else None


def _read_file(file: Path, language: str | None) -> list[Phrase]:
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    if file.suffix == ".json":
        try:
            spellings = [s for entry in json.loads(text) for s in entry["match"].split("|")]
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f'{file}: a JSON list has the form [{{"match": "one spelling|another"}}, …]') from error
        return [Phrase(spelling.replace("*", ""), language) for spelling in spellings]
    lines = (line.strip() for line in text.splitlines())
    return [Phrase(line, language) for line in lines if line and not line.startswith("#")]


def build_lexicons(lists: Mapping[str, Iterable[Phrase]]) -> Lexicons:
    """Prepare lexicons by name; phrases of no words, of more than `MAX_WORDS`, and repeated ones are left out."""
    rows = [(number, phrase) for number, phrases in enumerate(lists.values()) for phrase in phrases]
    found = words(pa.array([phrase.text for _, phrase in rows], pa.large_string()), normalised=True)
    keys = np.empty(len(rows), dtype=np.uint64)
    _hash_phrases(found.hashes, found.offsets, keys)
    languages = tuple(sorted({phrase.language for _, phrase in rows if phrase.language is not None}))
    index = {code: number for number, code in enumerate(languages)} | {None: EVERY}

    members: dict[int, set[tuple[int, int]]] = {}
    example: dict[int, int] = {}
    skipped = []
    for row, (lexicon, phrase) in enumerate(rows):
        count = int(found.offsets[row + 1] - found.offsets[row])
        written = len(phrase.text.split())
        if count == 0 or written > MAX_WORDS or count > MAX_LETTERS:
            skipped.append(phrase.text)
            continue
        members.setdefault(int(keys[row]), set()).add((lexicon, index[phrase.language]))
        example.setdefault(int(keys[row]), row)
    chosen = np.array(list(example.values()), dtype=np.int64)
    hashes = [found.hashes[found.offsets[row] : found.offsets[row + 1]] for row in chosen]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in hashes])]).astype(np.int64)
    sorted_members = [sorted(pairs) for pairs in members.values()]
    begins = np.concatenate([[0], np.cumsum([len(pairs) for pairs in sorted_members])]).astype(np.uint64)
    values = begins[:-1] << np.uint64(16) | np.diff(begins)
    size = 1 << max(4, int(len(chosen) * 4).bit_length())
    first, slots = np.zeros((size, 2), dtype=np.uint64), np.zeros((size, 2), dtype=np.uint64)
    flat = np.concatenate(hashes) if hashes else np.empty(0, dtype=np.uint64)
    _fill(flat, offsets, keys[chosen], values, first, slots)
    sieve = np.zeros(1 << max(10, (len(chosen) * SIEVE_BITS // 64).bit_length()), dtype=np.uint64)
    for row in chosen:
        prefix = 0
        for character in _folded(rows[row][1].text)[:PREFIX].encode("ascii", "replace"):
            prefix = prefix << 8 | character
        bit = int(_bit(np.uint64(prefix), sieve))
        sieve[bit >> 6] |= np.uint64(1 << (bit & 63))
    pairs = np.array([pair for pairs in sorted_members for pair in pairs], dtype=np.int32).reshape(-1, 2)
    sizes = tuple(sum(lexicon in {own for own, _ in each} for each in sorted_members) for lexicon in range(len(lists)))
    return Lexicons(tuple(lists), languages, sieve, first, slots, pairs, tuple(skipped[:100]), sizes)


@cache
def _byte_kinds() -> NDArray[np.uint8]:
    """Return what every byte is: letters and digits of ASCII in lower case, spaces, marks, and all other bytes."""
    kinds = np.full(256, OTHER_BYTE, dtype=np.uint8)
    kinds[[*range(0x09, 0x0E), *range(0x1C, 0x21)]] = SPACE_BYTE
    for byte in range(0x21, 0x7F):
        kinds[byte] = ord(chr(byte).lower()) if chr(byte).isalnum() else MARK_BYTE
    return kinds


def _folded(text: str) -> str:
    """Return the first normalised word of a text as far as ASCII goes: what else a letter folds to is never sifted."""
    tables = tables_for_kernels()
    kept = ""
    for character in text:
        bits = class_of(ord(character), tables)
        if bits & SPACE and kept:
            break
        kept += "" if bits & (SPACE | PUNCTUATION) else character.casefold()
    return kept


@lru_cache(maxsize=8)
def lexicons_of(lists: tuple[tuple[str, str, str | None], ...]) -> Lexicons:
    """Return the lexicons by (name, local path, language or None), read once per process (10 ms for 5 000 phrases).

    Raises:
        FileNotFoundError: A list is not there.
        ValueError: A list cannot be read.
    """
    return build_lexicons({name: read_phrases(Path(path), language) for name, path, language in lists})


# ---------------------------------------------------------------------------------------------------------------- Arrow


def measure(text: pa.Array, lexicons: Lexicons, language: pa.Array | None = None) -> dict[str, pa.Array]:
    """Count the phrases of every lexicon in every document.

    Args:
        text: String array; a null has null signals.
        lexicons: What is looked for.
        language: String array of the documents' languages, or None where they were not asked for.

    Returns:
        ``lexicon_hits_NAME`` (int64, occurrences) and ``lexicon_fraction_NAME`` (float64, share of words) by name.
    """
    data, offsets = string_buffers(text)
    count = len(offsets) - 1
    spoken = np.full(count, UNASKED, dtype=np.int64)
    if language is not None:
        index = {code: number for number, code in enumerate(lexicons.languages)} | {None: UNASKED}
        coded = language.dictionary_encode(null_encoding="encode")
        if isinstance(coded, pa.ChunkedArray):
            coded = coded.combine_chunks()
        codes = np.array([index.get(code, OTHER) for code in coded.dictionary.to_pylist()], dtype=np.int64)
        spoken = codes[coded.indices.to_numpy()] if count else spoken
    hits, covered = np.zeros((2, count, len(lexicons.names)), dtype=np.int64)
    totals = np.zeros(count, dtype=np.int64)
    tables: Tables = tables_for_kernels()
    _count_batch(
        data,
        offsets,
        tables,
        spoken,
        _byte_kinds(),
        lexicons.sieve,
        lexicons.first,
        lexicons.phrases,
        lexicons.members,
        hits,
        covered,
        totals,
    )
    null = np.asarray(text.is_null())
    measured = {}
    for number, name in enumerate(lexicons.names):
        fraction = covered[:, number] / np.maximum(totals, 1)
        measured[f"lexicon_hits_{name}"] = pa.array(hits[:, number], pa.int64(), mask=null)
        measured[f"lexicon_fraction_{name}"] = pa.array(fraction, pa.float64(), mask=null)
    return measured
