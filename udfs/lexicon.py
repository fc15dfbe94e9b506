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

There are two ways through a text, with the same answer. Where `udfs.sweep` reads it anyway, `match_words` goes by the
word hashes that the sweep leaves; otherwise `measure` reads the text itself. Either way almost every word is passed
over by one bit.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels import njit
from udfs.tokens import HASH_MULTIPLIER, HASH_START, hash_step, mix, string_buffers, tables_for_kernels, words
from udfs.unicode import (
    FOLDS,
    MARK,
    OWN_WORD,
    PUNCTUATION,
    SPACE,
    case_row_of,
    class_of,
    decode,
)

MAX_WORDS = 5
MAX_LETTERS = 32  # words of a phrase, letters of scripts without spaces counted as words
PREFIX = 8  # letters and digits that a word of ASCII is sifted by, and how many it has, up to MOST_LETTERS
MOST_LETTERS = 63
SHORT_PREFIX, SHORT_MASK = 3, np.uint64(0xFFFFFF)
SIEVE_BITS = 16  # of a sieve, a key, at least: at most 2 % of other words pass, and 5 000 phrases take 32 to 64 KB
# A word to be looked at, as the sweep notes it: first byte, letters and digits (at most MOST_LETTERS), and two flags.
DIFFERS = 1  # something of it folds or is punctuation
ASCII = 2  # all of it
LETTERS_SHIFT, START_SHIFT = 2, 8
# What the table of first words says: most words of a phrase that begins so, and the members of that word as a phrase.
LONGEST, MEMBERS_SHIFT = np.uint64(0xFF), np.uint64(16)
ONES, HIGH_BITS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
MEMO_SLOTS = 4096
BEGINS_NONE, IS_EMPTY, BEGINS_SOME, VERDICTS = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(3)
OTHER_BYTE, SPACE_BYTE, MARK_BYTE = 0, 1, 2
EVERY = -1  # language of a phrase that counts in every document
UNASKED = -2  # language of a document in which every phrase counts
OTHER = -3  # language of a document that no phrase is for

LANGUAGE_FILE = re.compile(r"([a-z]{2}|fil|kab|tlh)(-[A-Za-z0-9-]+)?")
SAME_LANGUAGE = {"fil": "tl", "nb": "no", "nn": "no"}  # as `udfs.language` names them
NO_LIST_FILES = frozenset({"license", "readme", "users", "contributing", "changelog"})


def _byte_kinds() -> NDArray[np.uint8]:
    """Return what every byte is: letters and digits of ASCII in lower case, spaces, marks, and all other bytes."""
    kinds = np.full(256, OTHER_BYTE, dtype=np.uint8)
    kinds[[*range(0x09, 0x0E), *range(0x1C, 0x21)]] = SPACE_BYTE
    for byte in range(0x21, 0x7F):
        kinds[byte] = ord(chr(byte).lower()) if chr(byte).isalnum() else MARK_BYTE
    return kinds


_BYTE_KINDS = _byte_kinds()


class Phrase(NamedTuple):
    """A listed word or phrase."""

    text: str
    language: str | None  # ISO 639-1 code; None: it counts in every language


class PhraseTables(NamedTuple):
    """Phrases as kernels take them."""

    prefixes: NDArray[np.uint64]  # [2^a] bits of the first words of phrases, by prefix and letters
    hashes: NDArray[np.uint64]  # [2^b] bits of the first words of phrases, by hash, and of the first 2, 3 … words
    first: NDArray[np.uint64]  # [2^c, 2] hash of a phrase's first word (0: free); as _fill packs it
    phrases: NDArray[np.uint64]  # [2^c, 2] hash of a phrase (0: free); first member << 16 | members
    members: NDArray[np.int32]  # [members, 2] lexicon, language


class MatchScratch(NamedTuple):
    """Working memory of a batch."""

    free: NDArray[np.int64]  # [lexicons] the first word that is in no occurrence yet
    ahead: NDArray[np.uint64]  # [MAX_LETTERS] hashes of the phrases that begin at a word
    memo: NDArray[np.uint64]  # [MEMO_SLOTS] what is known of a word as written: its hash, the last two bits a verdict
    normalised: NDArray[np.uint64]  # [MEMO_SLOTS] hash of it as it is normalised, where it begins a phrase
    noted: NDArray[np.int64]  # [words] words to be looked at: number << 32 | bytes
    places: NDArray[np.int64]  # [words] where they are, and what they hold


class Matches(NamedTuple):
    """What is found in a batch."""

    hits: NDArray[np.int64]  # [documents, lexicons] occurrences
    covered: NDArray[np.int64]  # [documents, lexicons] words in occurrences
    totals: NDArray[np.int64]  # [documents] normalised words


@dataclass(frozen=True)
class Lexicons:
    """Lexicons, ready to be looked for in one pass."""

    names: tuple[str, ...]
    languages: tuple[str, ...]
    tables: PhraseTables
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
def _hash_beginnings(hashes, offsets, states):
    """Hash the first 1, 2 … words of every phrase, given the hashes of its words."""
    for i in range(len(offsets) - 1):
        state = np.uint64(0)
        for k in range(offsets[i], offsets[i + 1]):
            state = _join(state, hashes[k])
            states[k] = state


@njit(cache=True)
def _fill(hashes, offsets, keys, values, first, phrases):
    """Fill the tables of first words (longest, and above `MEMBERS_SHIFT` what `phrases` says of it) and of phrases."""
    for i in range(len(keys)):
        _put(first, hashes[offsets[i]], np.uint64(offsets[i + 1] - offsets[i]))
        _put(phrases, keys[i], values[i])
    for i in range(len(keys)):
        if offsets[i + 1] - offsets[i] == 1:
            word = hashes[offsets[i]]
            _put(first, word, _get(first, word) | values[i] << MEMBERS_SHIFT)


@njit(cache=True, nogil=True)
def _sift(data, position, end, sieve):
    """Pass over the words of ``data[position:end]`` up to one that has to be read in full.

    A word of ASCII is passed over if no phrase begins with a word of as many letters and digits and the same first
    `PREFIX` of them, marks left out; that costs a fraction of hashing it.

    Args:
        data, position, end: The text; `position` is not inside a word.
        sieve: uint64[2^k], bits of the prefixes of phrases.

    Returns:
        (first byte of that word or `end`, normalised words passed over)
    """
    passed = 0
    while position < end:
        kind = _BYTE_KINDS[data[position]]
        if kind == SPACE_BYTE:
            position += 1
            continue
        start = position
        prefix = np.uint64(0)
        letters = 0
        while kind > SPACE_BYTE:
            if kind > MARK_BYTE:
                if letters < PREFIX:
                    prefix |= np.uint64(kind) << np.uint64(8 * letters)
                letters += 1
            position += 1
            if position == end:
                break
            kind = _BYTE_KINDS[data[position]]
        if position < end and kind == OTHER_BYTE:
            return start, passed
        if letters == 0:  # punctuation alone is no word
            continue
        if _is_in(_prefix_key(prefix, letters), sieve):
            return start, passed
        passed += 1
    return end, passed


@njit(cache=True, nogil=True)
def _prefix_key(prefix, letters):
    """Return what the sieve of prefixes is asked by: the first letters of a word, a byte each, and how many it has."""
    key = (prefix ^ np.uint64(min(letters, MOST_LETTERS)) << np.uint64(57)) * HASH_MULTIPLIER
    return key ^ key >> np.uint64(32)


@njit(cache=True, nogil=True)
def _eight_bytes(data, position):
    """Return ``data[position:position + 8]`` as a number, the first byte lowest: one load, once compiled."""
    at = np.uint64(position)
    return (
        np.uint64(data[at])
        | np.uint64(data[at + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[at + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[at + np.uint64(3)]) << np.uint64(24)
        | np.uint64(data[at + np.uint64(4)]) << np.uint64(32)
        | np.uint64(data[at + np.uint64(5)]) << np.uint64(40)
        | np.uint64(data[at + np.uint64(6)]) << np.uint64(48)
        | np.uint64(data[at + np.uint64(7)]) << np.uint64(56)
    )


@njit(cache=True, nogil=True)
def _at_least(eight, least):
    """Set the high bit of each of eight bytes below 128 that is at least so much, and say nothing of the other bits."""
    return (eight | HIGH_BITS) - ONES * np.uint64(least)


@njit(cache=True, nogil=True)
def _prefix_at(data, position, letters):
    """Return the first letters and digits of a word of ASCII in lower case, a byte each, as the sieve knows them.

    These are the first `PREFIX` of its `letters`, or all; or, where a mark stands among those, as many as stand before
    it, `SHORT_PREFIX` at most. Eight bytes are read.
    """
    written = _eight_bytes(data, position)
    mask = ~np.uint64(0) >> np.uint64(8 * (PREFIX - min(max(letters, 1), PREFIX)))
    lower = written | ONES * np.uint64(0x20)
    after_9, from_0 = _at_least(written, 0x3A), _at_least(written, 0x30)
    after_z, from_a = _at_least(lower, 0x7B), _at_least(lower, 0x61)
    others = ~((from_0 & ~after_9 | from_a & ~after_z) & ~written) & HIGH_BITS & mask
    before = ((others - np.uint64(1)) & ~others) >> np.uint64(7) & SHORT_MASK
    return lower & (mask if others == 0 else before)


@njit(cache=True, nogil=True, inline="always")
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


@njit(cache=True, nogil=True, inline="always")
def _count_from(data, position, end, word, entry, number, tables, language, lexicon, scratch, hits, covered):
    """Count the occurrences that begin at one word.

    Args:
        data, position, end: The text; `position` is behind the word.
        word: Hash of the word.
        entry: What the table of first words says of it.
        number: Its place among the normalised words of the document.
        tables: The Unicode tables.
        language: Index of the document's language, UNASKED or OTHER.
        lexicon: `PhraseTables`.
        scratch: `MatchScratch`.
        hits, covered: int64[lexicons], added to.
    """
    ahead, free, members = scratch.ahead, scratch.free, lexicon.members
    longest = np.int64(entry & LONGEST)
    ahead[0] = _join(np.uint64(0), word)
    length = 1
    while length < longest:
        position, word, found = _word_at(data, position, end, tables)
        if not found:
            break
        ahead[length] = _join(ahead[length - 1], word)
        if _is_in(ahead[length], lexicon.hashes) == 0:
            break
        length += 1
    while length > 0:
        range_ = _get(lexicon.phrases, ahead[length - 1]) if length > 1 else entry >> MEMBERS_SHIFT
        if range_ != 0:
            member = np.int64(range_ >> np.uint64(16))
            for m in range(member, member + np.int64(range_ & np.uint64(0xFFFF))):
                owner = members[m, 0]
                spoken = members[m, 1]
                counts = language == UNASKED or spoken in (EVERY, language)
                if counts and number >= free[owner]:
                    hits[owner] += 1
                    covered[owner] += length
                    free[owner] = number + length
        length -= 1


@njit(cache=True, nogil=True, inline="always")
def note_word(number, word_hash, differs, ascii_only, letters, begin, end, sieve, scratch, count):
    """Note a word if it has to be looked at; return how many are noted.

    Args:
        number: Of the word.
        word_hash: Of the word as it is written.
        differs: Whether something of it folds or is punctuation.
        ascii_only: Whether it has nothing but ASCII.
        letters: Its letters and digits.
        begin, end: Its bytes.
        sieve: `PhraseTables.hashes`.
        scratch: `MatchScratch`; receives the word after `count` others.
    """
    scratch.noted[count] = number << 32 | (end - begin)
    place = begin << START_SHIFT | min(letters, MOST_LETTERS) << LETTERS_SHIFT
    scratch.places[count] = place | np.int64(ascii_only) << 1 | np.int64(differs)
    return count + (np.int64(_is_in(word_hash, sieve)) | np.int64(differs))


@njit(cache=True, nogil=True)
def match_words(data, end, words, hashes, count, tables, language, lexicon, scratch, hits, covered):
    """Count the occurrences in one document by the hashes of its words as they are written.

    Such a hash is that of the normalised word where nothing folds and there is no punctuation. Most other words of
    ASCII are sifted by their first letters. What is left is normalised once: the memo tells of the same word, the next
    time, what was found.

    Args:
        data, end: The text.
        words: How many words it has.
        hashes: uint64[words], of the words as they are written.
        count: How many of them `note_word` has noted.
        tables: The Unicode tables.
        language, lexicon, scratch, hits, covered: As `_count_from` takes them.

    Returns:
        The number of normalised words.
    """
    sieve, memo, noted, places = lexicon.hashes, scratch.memo, scratch.noted, scratch.places
    scratch.free[:] = 0
    empty = 0
    for c in range(count):
        place = places[c]
        w = noted[c] >> 32
        word = hashes[w]
        start = place >> START_SHIFT
        after = start + (noted[c] & 0xFFFFFFFF)
        if place & DIFFERS:
            letters = place >> LETTERS_SHIFT & MOST_LETTERS
            if place & ASCII:
                at = start
                while at < after and _BYTE_KINDS[data[at]] == MARK_BYTE:
                    at += 1
                if at == after:
                    empty += 1
                    continue
                if letters > 0 and at + PREFIX <= len(data):
                    prefix = _prefix_at(data, at, letters)
                    if prefix != 0 and _is_in(_prefix_key(prefix, letters), lexicon.prefixes) == 0:
                        continue
            slot = np.int64(word & np.uint64(MEMO_SLOTS - 1))
            if (memo[slot] ^ word) > VERDICTS or memo[slot] & VERDICTS == 0:
                written = word & ~VERDICTS
                _, word, found = _word_at(data, start, after, tables)
                begins = found and _is_in(word, sieve) != 0 and _get(lexicon.first, word) != 0
                memo[slot] = written | (BEGINS_SOME if begins else BEGINS_NONE if found else IS_EMPTY)
                scratch.normalised[slot] = word
            verdict = memo[slot] & VERDICTS
            empty += verdict == IS_EMPTY
            if verdict != BEGINS_SOME:
                continue
            word = scratch.normalised[slot]
        entry = _get(lexicon.first, word)
        if entry == 0:
            continue
        if entry >> MEMBERS_SHIFT == 0:
            if w + 1 == words:
                continue
            next_differs = c + 1 < count and noted[c + 1] >> 32 == w + 1 and places[c + 1] & DIFFERS != 0
            if not next_differs and _is_in(_join(_join(np.uint64(0), word), hashes[w + 1]), sieve) == 0:
                continue
        _count_from(data, after, end, word, entry, w - empty, tables, language, lexicon, scratch, hits, covered)
    return words - empty


@njit(cache=True, nogil=True)
def _is_in(word, sieve):
    """Return 1 if both bits of a key are set in the sieve (a Bloom filter of two bits in one word of it), else 0."""
    bits = sieve[word >> np.uint64(12) & np.uint64(len(sieve) - 1)]
    return bits >> (word & np.uint64(63)) & bits >> (word >> np.uint64(6) & np.uint64(63)) & np.uint64(1)


@njit(cache=True, nogil=True)
def _count_in_document(data, begin, end, tables, language, lexicon, scratch, hits, covered):
    """Count the occurrences in one document; return its normalised words.

    Args:
        data, begin, end: The text.
        tables: The Unicode tables.
        language, lexicon, scratch, hits, covered: As `_count_from` takes them.
    """
    scratch.free[:] = 0
    total = 0
    position = begin
    while True:
        position, passed = _sift(data, position, end, lexicon.prefixes)
        total += passed
        position, word, found = _word_at(data, position, end, tables)
        if not found:
            return total
        entry = _get(lexicon.first, word)
        if entry != 0:
            _count_from(data, position, end, word, entry, total, tables, language, lexicon, scratch, hits, covered)
        total += 1


@njit(cache=True, nogil=True)
def _count_batch(data, offsets, tables, languages, lexicon, scratch, matches):
    """Count the occurrences of each lexicon's phrases, and words, in every document."""
    for i in range(len(offsets) - 1):
        matches.totals[i] = _count_in_document(
            data,
            offsets[i],
            offsets[i + 1],
            tables,
            languages[i],
            lexicon,
            scratch,
            matches.hits[i],
            matches.covered[i],
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
    states = np.empty(len(found.hashes), dtype=np.uint64)
    _hash_beginnings(found.hashes, found.offsets, states)
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
        key = int(states[found.offsets[row + 1] - 1])
        members.setdefault(key, set()).add((lexicon, index[phrase.language]))
        example.setdefault(key, row)
    chosen = np.array(list(example.values()), dtype=np.int64)
    hashes = [found.hashes[found.offsets[row] : found.offsets[row + 1]] for row in chosen]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in hashes])]).astype(np.int64)
    sorted_members = [sorted(pairs) for pairs in members.values()]
    begins = np.concatenate([[0], np.cumsum([len(pairs) for pairs in sorted_members])]).astype(np.uint64)
    values = begins[:-1] << np.uint64(16) | np.diff(begins)
    first, slots = _slots(len({int(part[0]) for part in hashes})), _slots(len(chosen))
    flat = np.concatenate(hashes) if hashes else np.empty(0, dtype=np.uint64)
    _fill(flat, offsets, np.array(list(example), dtype=np.uint64), values, first, slots)
    ranges = [(int(found.offsets[row]), int(found.offsets[row + 1])) for row in chosen]
    by_hash = _sieve({int(part[0]) for part in hashes} | {int(states[k]) for a, b in ranges for k in range(a + 1, b)})
    by_prefix: set[int] = set()
    for row, (word, _) in zip(chosen, ranges, strict=True):
        written = rows[row][1].text.encode()[found.starts[word] : found.ends[word]]
        letters, prefixes = _prefixes(written.decode())
        by_prefix |= {int(_prefix_key(np.uint64(int.from_bytes(p.encode(), "little")), letters)) for p in prefixes}
    pairs = np.array([pair for pairs in sorted_members for pair in pairs], dtype=np.int32).reshape(-1, 2)
    sizes = tuple(sum(lexicon in {own for own, _ in each} for each in sorted_members) for lexicon in range(len(lists)))
    tables = PhraseTables(_sieve(by_prefix), by_hash, first, slots, pairs)
    return Lexicons(tuple(lists), languages, tables, tuple(skipped[:100]), sizes)


def _slots(keys: int) -> NDArray[np.uint64]:
    return np.zeros((1 << max(4, (2 * keys).bit_length()), 2), dtype=np.uint64)


def _sieve(keys: set[int]) -> NDArray[np.uint64]:
    """Return a table of bits in which those of the keys are set, as `_is_in` looks for them."""
    sieve = np.zeros(1 << max(4, (len(keys) * SIEVE_BITS // 64).bit_length()), dtype=np.uint64)
    for key in keys:
        sieve[key >> 12 & len(sieve) - 1] |= np.uint64(1 << (key & 63) | 1 << (key >> 6 & 63))
    return sieve


def _prefixes(word: str) -> tuple[int, list[str]]:
    """Return how many letters and digits a word has when it is normalised, and what kernels may read of its first ones.

    What else a letter folds to is never sifted: ASCII is all that has to be right here.
    """
    tables = tables_for_kernels()
    folded = "".join(c.casefold() for c in word if not class_of(ord(c), tables) & PUNCTUATION)
    letters = sum(character.isalnum() for character in folded)
    read = min(letters, PREFIX)
    known = [folded[:size] for size in {*range(1, min(SHORT_PREFIX, read) + 1), read}]
    return letters, [prefix for prefix in known if prefix.isascii() and prefix.isalnum()]


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
    matches = no_matches(len(text), lexicons)
    _count_batch(
        data,
        offsets,
        tables_for_kernels(),
        languages_of(language, len(text), lexicons),
        lexicons.tables,
        make_match_scratch(lexicons, longest_words=0),
        matches,
    )
    return signals_of(matches, lexicons, np.asarray(text.is_null()).astype(bool))


def no_matches(documents: int, lexicons: Lexicons | None) -> Matches:
    """Reserve what kernels fill, for no lexicon where there is none."""
    names = len(lexicons.names) if lexicons else 0
    hits, covered = np.zeros((2, documents, names), dtype=np.int64)
    return Matches(hits, covered, np.zeros(documents, dtype=np.int64))


def make_match_scratch(lexicons: Lexicons | None, longest_words: int) -> MatchScratch:
    """Reserve working memory for documents of up to `longest_words` words, which only `match_words` needs to know."""
    return MatchScratch(
        free=np.empty(len(lexicons.names) if lexicons else 0, dtype=np.int64),
        ahead=np.empty(MAX_LETTERS, dtype=np.uint64),
        memo=np.zeros(MEMO_SLOTS if longest_words else 0, dtype=np.uint64),
        normalised=np.empty(MEMO_SLOTS if longest_words else 0, dtype=np.uint64),
        noted=np.empty(longest_words, dtype=np.int64),
        places=np.empty(longest_words, dtype=np.int64),
    )


def languages_of(language: pa.Array | None, documents: int, lexicons: Lexicons | None) -> NDArray[np.int64]:
    """Return the index of each document's language among those of the phrases, UNASKED or OTHER."""
    if language is None or lexicons is None or documents == 0:
        return np.full(documents, UNASKED, dtype=np.int64)
    index = {code: number for number, code in enumerate(lexicons.languages)} | {None: UNASKED}
    coded = language.dictionary_encode(null_encoding="encode")
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    codes = np.array([index.get(code, OTHER) for code in coded.dictionary.to_pylist()], dtype=np.int64)
    spoken: NDArray[np.int64] = codes[coded.indices.to_numpy()]
    return spoken


def signals_of(matches: Matches, lexicons: Lexicons, absent: NDArray[np.bool_]) -> dict[str, pa.Array]:
    """Return the signals, as `measure` does; `absent` says which documents have no text."""
    measured = {}
    for number, name in enumerate(lexicons.names):
        fraction = matches.covered[:, number] / np.maximum(matches.totals, 1)
        measured[f"lexicon_hits_{name}"] = pa.array(matches.hits[:, number], pa.int64(), mask=absent)
        measured[f"lexicon_fraction_{name}"] = pa.array(fraction, pa.float64(), mask=absent)
    return measured
