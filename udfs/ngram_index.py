"""The n-gram index of test items: words, grams and their hashes; build, write, map, look up.

Definitions. *Words* are normalised ones (`udfs.tokens`: case-folded, no punctuation, no symbols) of the text after HTML
character references (``&lt;``, ``&#39;``) are read as what they stand for, so that an escaped copy is a copy.
An *item* is a question and, if there is one, an answer; its words are those of the question, then those of the answer,
W in all. Its gram length L is

    ngram      (8)   for items in scripts with spaces,
    han_ngram  (16)  for items of which half the words or more are single letters of scripts without spaces,
    W                when W is below that and W >= min_words (8): *indexed whole*.

An item with fewer words than min_words is *not testable*. Grams of an item in a script without spaces that hold no such
letter (formulas, Latin names) are not indexed. The hash of a gram of words with hashes w₁ … w_L, modulo 2⁶⁴:

    mix(w₁·B^(L-1) + w₂·B^(L-2) + … + w_L + L·S)     B, S = `GRAM_BASE`, `LENGTH_SALT`; mix as in `udfs.tokens`

With 10⁷ grams in the index and 5·10¹² in a corpus of 10¹⁰ documents, about three grams match by chance; one gram alone
decides nothing unless it is an item indexed whole.

A gram is *shared* when another item of the same data set with other words has it too, or the context of any item of
the data set (the public passage that a question is asked about; else contexts take no part), and *own* otherwise; an
*idiom* when more documents of a corpus sample hold it than the recipe allows.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from udfs.digests import encode
from udfs.kernels import njit
from udfs.tokens import hash_words, mix, string_buffers, tables_for_kernels
from udfs.unicode import OWN_WORD, UNICODE_VERSION, class_of, decode

DEFINITION_VERSION = 1
"""Bumped when an index of the same items would hold other grams: an index of another version is refused."""

GRAM_BASE = np.uint64(0x9FB21C651E98DF25)
LENGTH_SALT = np.uint64(0xA0761D6478BD642F)
NO_GRAM = np.uint32(0xFFFFFFFF)
FILTER_BITS_PER_GRAM = 16
GRAMS_PER_BUCKET = 2
REFERENCE_PASSES = 3


class IndexMismatchError(ValueError):
    """An index was built by another definition or with other parameters than the ones asked for."""


@dataclass(frozen=True)
class Parameters:
    """What an index is built with."""

    ngram: int = 8
    han_ngram: int = 16
    min_words: int = 8


class Windows(NamedTuple):
    """The gram lengths of an index."""

    lengths: NDArray[np.int64]  # [lengths]
    powers: NDArray[np.uint64]  # [lengths] GRAM_BASE ** length
    character_words_only: NDArray[np.uint8]  # [lengths] 1: only grams with a character word are in the index


class Lookup(NamedTuple):
    """Where a hash is looked up: a filter that most grams do not pass, then sorted hashes by their first bits."""

    filter: NDArray[np.uint64]  # blocked Bloom filter: 3 bits of one 64-bit word a gram
    buckets: NDArray[np.uint32]  # [2 ** (64 - shift) + 1] first hash of each bucket
    shift: int
    hashes: NDArray[np.uint64]  # [grams] sorted


class Postings(NamedTuple):
    """Which item has which gram. "Gram" below is the position of its hash in `Lookup.hashes`."""

    offsets: NDArray[np.uint32]  # [grams + 1]
    items: NDArray[np.uint32]  # [postings] ascending for each gram
    item_offsets: NDArray[np.int64]  # [items + 1] range of each item in `item_grams`
    item_grams: NDArray[np.uint32]  # gram at each word position of each item; NO_GRAM where it has none
    item_shares: NDArray[np.uint8]  # items of the data set that have the gram, at most 255; 1 = own, else shared
    item_distinct: NDArray[np.uint32]  # [items] distinct grams
    item_words: NDArray[np.uint32]  # [items] W
    question_words: NDArray[np.uint32]  # [items]
    gram_words: NDArray[np.uint32]  # [items] L; 0 = not testable
    character_words: NDArray[np.uint8]  # [items] 1 = in a script without spaces
    idioms: NDArray[np.uint8]  # [grams] 1 = idiom; [0] when idioms were not counted


# ------------------------------------------------------------------------------------------------------------- words


def _packed(name: str) -> int:
    return int.from_bytes(name.encode(), "big")


NAMED_REFERENCES: Mapping[str, int] = {
    "amp": 0x26,
    "lt": 0x3C,
    "gt": 0x3E,
    "quot": 0x22,
    "apos": 0x27,
    "nbsp": 0xA0,
    "ndash": 0x2013,
    "mdash": 0x2014,
    "lsquo": 0x2018,
    "rsquo": 0x2019,
    "ldquo": 0x201C,
    "rdquo": 0x201D,
    "hellip": 0x2026,
}
"""The named character references that escaping functions and editors write (HTML standard, section 13.5)."""

_NAMES = np.array([_packed(name) for name in NAMED_REFERENCES], dtype=np.int64)
_CODES = np.array(list(NAMED_REFERENCES.values()), dtype=np.int64)


@njit(cache=True, nogil=True)
def _reference(data, position, end):
    """Return (code point, bytes) of the character reference at an ampersand, or (-1, 1)."""
    at = position + 1
    code = np.int64(0)
    digits = 0
    if at < end and data[at] == 35:  # number sign
        at += 1
        base = 10
        if at < end and (data[at] | 32) == 120:  # x
            base = 16
            at += 1
        while at < end and digits < 8:
            byte = np.int64(data[at])
            if 48 <= byte <= 57:
                code = code * base + byte - 48
            elif base == 16 and 97 <= (byte | 32) <= 102:
                code = code * base + (byte | 32) - 87
            else:
                break
            digits += 1
            at += 1
        if digits and at < end and data[at] == 59 and 0 < code < 0x110000 and not 0xD800 <= code < 0xE000:
            return code, at + 1 - position
        return np.int64(-1), np.int64(1)
    while at < end and digits < 6 and 97 <= data[at] <= 122:
        code = (code << 8) | np.int64(data[at])
        digits += 1
        at += 1
    if digits and at < end and data[at] == 59:
        for row in range(len(_NAMES)):
            if _NAMES[row] == code:
                return _CODES[row], at + 1 - position
    return np.int64(-1), np.int64(1)


@njit(cache=True, nogil=True)
def _without_references(data, begin, end, out, places):
    """Copy a text with its character references resolved, doubly escaped ones too.

    ``places[i]`` becomes the byte of the original (from `begin`) that byte i of the copy stands for; one more than the
    length is written. A reference is never shorter than its character, so the copy can be rewritten in place.
    """
    length = end - begin
    for i in range(length):
        out[i] = data[begin + i]
        places[i] = i
    places[length] = length
    for _ in range(REFERENCE_PASSES):
        read = np.int64(0)
        written = np.int64(0)
        while read < length:
            code = np.int64(-1)
            width = np.int64(1)
            if out[read] == 38:
                code, width = _reference(out, read, length)
            place = places[read]
            if code >= 0:
                after = encode(code, out, written)
                for i in range(written, after):
                    places[i] = place
                written = after
            else:
                out[written] = out[read]
                places[written] = place
                written += 1
            read += width
        places[written] = places[length]
        if written == length:
            break
        length = written
    return length


@njit(allocates=True, cache=True, nogil=True)
def document_words(data, begin, end, tables, hashes, starts, ends, own):
    """Hash the normalised words of one text, character references resolved.

    As `udfs.tokens.hash_words`, with offsets into the original text; also fills `own` (int64[:], one element more than
    words): own[i] = character words among the first i. Returns the number of words.
    """
    ampersands = 0
    highest = np.uint8(0)
    for i in range(begin, end):
        byte = data[i]
        ampersands += byte == 38
        highest = max(highest, byte)
    if ampersands == 0:
        count = hash_words(data, begin, end, tables, True, hashes, starts, ends)
        _count_character_words(data, begin, end, tables, starts, count, highest, own)
        return count
    text = np.empty(end - begin + 1, dtype=np.uint8)
    places = np.empty(end - begin + 1, dtype=np.int64)
    length = _without_references(data, begin, end, text, places)
    count = hash_words(text, 0, length, tables, True, hashes, starts, ends)
    _count_character_words(text, 0, length, tables, starts, count, np.uint8(255), own)
    for word in range(count):
        starts[word] = places[starts[word]]
        ends[word] = places[ends[word]]
    return count


@njit(cache=True, nogil=True)
def _count_character_words(data, begin, end, tables, starts, count, highest, own):
    """Fill the running count of words that are one letter of a script without spaces."""
    own[0] = 0
    if highest < 0xE0:  # all such scripts lie above U+0800
        own[1 : count + 1] = 0
        return
    for word in range(count):
        at = begin + starts[word]
        is_own = 0
        if data[at] >= 0xE0:
            code_point, _ = decode(data, at, end)
            is_own = (np.int64(class_of(code_point, tables)) & OWN_WORD) != 0
        own[word + 1] = own[word] + is_own


@njit(cache=True, nogil=True)
def running_hashes(hashes, count, running):
    """Fill the polynomial of the first i words for each i; `gram_hash` subtracts two of them."""
    running[0] = np.uint64(0)
    for i in range(count):
        running[i + 1] = running[i] * GRAM_BASE + hashes[i]


@njit(cache=True, nogil=True)
def gram_hash(running, position, length, power):
    """Return the hash of the gram of `length` words at a word position; `power` is GRAM_BASE ** length."""
    return mix(running[position + length] - running[position] * power + np.uint64(length) * LENGTH_SALT)


@njit(cache=True, nogil=True)
def longest_text(offsets):
    """Return the longest range of an offsets array."""
    longest = np.int64(0)
    for document in range(len(offsets) - 1):
        longest = max(longest, offsets[document + 1] - offsets[document])
    return longest


@njit(allocates=True, cache=True, nogil=True)
def _batch_words(data, offsets, tables, hashes, starts, ends, own, word_offsets):
    """Words of every text of a batch, one after another."""
    count = np.int64(0)
    running_own = np.empty(longest_text(offsets) // 2 + 2, dtype=np.int64)
    word_offsets[0] = 0
    for document in range(len(offsets) - 1):
        words = document_words(
            data,
            offsets[document],
            offsets[document + 1],
            tables,
            hashes[count:],
            starts[count:],
            ends[count:],
            running_own,
        )
        for word in range(words):
            own[count + word] = running_own[word + 1] - running_own[word]
        count += words
        word_offsets[document + 1] = count


class ItemWords(NamedTuple):
    """The words of a batch of texts, flat."""

    hashes: NDArray[np.uint64]  # [words]
    starts: NDArray[np.int64]  # [words] byte in the original text
    ends: NDArray[np.int64]  # [words]
    own: NDArray[np.uint8]  # [words] 1 = a letter of a script without spaces
    offsets: NDArray[np.int64]  # [texts + 1]


def item_words(text: pa.Array) -> ItemWords:
    """Return the words of every text of a string array as the index and the scan see them."""
    data, offsets = string_buffers(text)
    capacity = int(offsets[-1] - offsets[0]) // 2 + len(offsets) + 1
    hashes = np.empty(capacity, dtype=np.uint64)
    starts = np.empty(capacity, dtype=np.int64)
    ends = np.empty(capacity, dtype=np.int64)
    own = np.empty(capacity, dtype=np.uint8)
    word_offsets = np.empty(len(offsets), dtype=np.int64)
    _batch_words(data, offsets, tables_for_kernels(), hashes, starts, ends, own, word_offsets)
    count = int(word_offsets[-1])
    return ItemWords(hashes[:count], starts[:count], ends[:count], own[:count], word_offsets)


# ------------------------------------------------------------------------------------------------------------ look-up


@njit(cache=True, nogil=True)
def _filter_bits(gram):
    one = np.uint64(1)
    low = np.uint64(63)
    return (one << (gram & low)) | (one << ((gram >> np.uint64(6)) & low)) | (one << ((gram >> np.uint64(12)) & low))


@njit(cache=True, nogil=True)
def _filter_word(gram, size):
    return ((gram >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32)


@njit(cache=True, nogil=True)
def _fill_filter(hashes, bits):
    for gram in hashes:
        bits[_filter_word(gram, len(bits))] |= _filter_bits(gram)


@njit(cache=True, nogil=True)
def find_gram(gram, lookup):
    """Return the position of a hash in `lookup.hashes`, -1 when it is not there; 0 for all that pass the filter when
    the look-up has no hashes."""
    wanted = _filter_bits(gram)
    if lookup.filter[_filter_word(gram, len(lookup.filter))] & wanted != wanted:
        return np.int64(-1)
    if len(lookup.hashes) == 0:
        return np.int64(0)
    bucket = np.int64(gram >> np.uint64(lookup.shift))
    for at in range(np.int64(lookup.buckets[bucket]), np.int64(lookup.buckets[bucket + 1])):
        if lookup.hashes[at] == gram:
            return np.int64(at)
    return np.int64(-1)


# -------------------------------------------------------------------------------------------------------------- index

ITEM_SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("split", pa.string()),
        ("id", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("context", pa.string()),
    ]
)
"""The items an index is built from; `answer` and `context` may be null or empty."""

_ITEM_FILE = "items.arrow"
_METADATA_FILE = "index.json"
_IDIOM_FILE = "idioms.npy"
_MARK_FILE = "idiom_marks.npy"
_ARRAYS = (
    "filter",
    "buckets",
    "hashes",
    "offsets",
    "items",
    "item_offsets",
    "item_grams",
    "item_shares",
    "item_distinct",
    "item_words",
    "question_words",
    "gram_words",
    "character_words",
)


@dataclass(frozen=True)
class Index:
    """An index in memory or mapped from disk.

    `items` has the columns of `ITEM_SCHEMA` in the order that item numbers refer to, and may lie on disk as well.
    """

    parameters: Parameters
    windows: Windows
    lookup: Lookup
    postings: Postings
    items: pa.Table
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Bytes of all arrays: what one machine holds in memory while it scans (texts of items are read when found)."""
        arrays = [*self.lookup, *self.postings]
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def item_text(question: str, answer: str | None) -> str:
    """The text whose words are the item's words."""
    return f"{question}\n{answer}" if answer else question


def windows_of(lengths: NDArray[Any], spaced_lengths: NDArray[Any]) -> Windows:
    """Windows of these gram lengths; only grams with a character word are looked up outside `spaced_lengths`."""
    distinct = np.unique(lengths).astype(np.int64)
    powers = np.array([pow(int(GRAM_BASE), int(length), 1 << 64) for length in distinct], dtype=np.uint64)
    return Windows(distinct, powers, (~np.isin(distinct, spaced_lengths)).astype(np.uint8))


def filter_of(hashes: NDArray[np.uint64], *, bits_per_gram: float = FILTER_BITS_PER_GRAM) -> NDArray[np.uint64]:
    """The filter that these hashes pass, and by chance about one in a hundred others."""
    bits = np.zeros(max(1, int(len(hashes) * bits_per_gram) // 64), dtype=np.uint64)
    _fill_filter(hashes, bits)
    return bits


def _lookup_of(hashes: NDArray[np.uint64]) -> Lookup:
    bucket_bits = max(1, min(31, int(len(hashes) // GRAMS_PER_BUCKET).bit_length()))
    shift = 64 - bucket_bits
    firsts = np.arange(1 << bucket_bits, dtype=np.uint64) << np.uint64(shift)
    buckets = np.append(np.searchsorted(hashes, firsts), len(hashes)).astype(np.uint32)
    return Lookup(filter_of(hashes), buckets, shift, hashes)


def assemble(
    parameters: Parameters,
    items: pa.Table,
    *,
    gram_hashes: NDArray[np.uint64],
    item_offsets: NDArray[np.int64],
    item_shares: NDArray[np.uint8],
    item_words_: NDArray[np.uint32],
    question_words: NDArray[np.uint32],
    gram_words: NDArray[np.uint32],
    character_words: NDArray[np.uint8],
    idiom_hashes: NDArray[np.uint64] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Index:
    """Make an index from the hash of each word position of each item; share 0 says that a position has no gram."""
    present = item_shares != 0
    hashes = np.unique(gram_hashes[present])
    if len(hashes) >= NO_GRAM or len(gram_hashes) >= 1 << 32:
        raise ValueError("an index holds at most 2**32 - 1 n-grams: build several from parts of the test sets")
    item_grams = np.full(len(gram_hashes), NO_GRAM, dtype=np.uint32)
    item_grams[present] = np.searchsorted(hashes, gram_hashes[present]).astype(np.uint32)
    item_of = np.repeat(np.arange(len(items), dtype=np.uint64), np.diff(item_offsets))
    pairs = np.unique((item_grams[present].astype(np.uint64) << np.uint64(32)) | item_of[present])
    grams_of_pairs = (pairs >> np.uint64(32)).astype(np.int64)
    items_of_pairs = (pairs & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(grams_of_pairs, minlength=len(hashes)))]).astype(np.uint32)
    testable = gram_words > 0
    windows = windows_of(
        gram_words[testable], np.unique(gram_words[testable & (character_words == 0)]).astype(np.int64)
    )
    postings = Postings(
        offsets,
        items_of_pairs,
        item_offsets.astype(np.int64),
        item_grams,
        item_shares,
        np.bincount(items_of_pairs, minlength=len(items)).astype(np.uint32),
        item_words_.astype(np.uint32),
        question_words.astype(np.uint32),
        gram_words.astype(np.uint32),
        character_words.astype(np.uint8),
        np.empty(0, dtype=np.uint8),
    )
    index = Index(parameters, windows, _lookup_of(hashes), postings, items, dict(metadata or {}))
    return with_idioms(index, idiom_hashes) if idiom_hashes is not None and len(idiom_hashes) else index


def with_idioms(index: Index, idiom_hashes: NDArray[np.uint64]) -> Index:
    """The index with these n-grams marked as idioms; hashes that are not in it are passed over."""
    marks = np.isin(index.lookup.hashes, idiom_hashes).astype(np.uint8)
    return replace(index, postings=index.postings._replace(idioms=marks))


@njit(allocates=True, cache=True, nogil=True)
def _hash_items(hashes, own, word_offsets, gram_words, character_words, item_offsets, gram_hashes, has_gram):
    """Hash the gram at every position of every item."""
    longest = longest_text(word_offsets)
    running = np.empty(longest + 1, dtype=np.uint64)
    for item in range(len(gram_words)):
        length = np.int64(gram_words[item])
        if length == 0:
            continue
        begin = word_offsets[item]
        count = word_offsets[item + 1] - begin
        running_hashes(hashes[begin : begin + count], count, running)
        power = np.uint64(1)
        for _ in range(length):
            power *= GRAM_BASE
        for position in range(count - length + 1):
            at = item_offsets[item] + position
            gram_hashes[at] = gram_hash(running, position, length, power)
            characters = 0
            for word in range(position, position + length):
                characters += own[begin + word]
            # Latin-only stretches of an item in Han text are formulas and names: no evidence of that item.
            has_gram[at] = 1 if character_words[item] == 0 or characters > 0 else 0


@njit(cache=True, nogil=True)
def _whole_hashes(hashes, word_offsets, out):
    """Hash all words of each item: equal for items of the same words."""
    for item in range(len(word_offsets) - 1):
        state = np.uint64(word_offsets[item + 1] - word_offsets[item]) * LENGTH_SALT
        for word in range(word_offsets[item], word_offsets[item + 1]):
            state = mix(state * GRAM_BASE + hashes[word])
        out[item] = state


def build_index(items: pa.Table, parameters: Parameters, metadata: Mapping[str, Any] | None = None) -> Index:
    """Build an index in memory.

    Args:
        items: Columns of `ITEM_SCHEMA`. Sorted by them here, so that the order of the input changes nothing; rows equal
            in all of them are kept once.
        parameters: Gram lengths and the fewest words.
        metadata: Kept with the index (digests of the inputs, layouts).

    Raises:
        ValueError: No item can be tested; the message says how long the longest one is.
    """
    items = items.select(ITEM_SCHEMA.names).cast(ITEM_SCHEMA).combine_chunks()
    for optional in ("answer", "context"):
        filled = pc.fill_null(items[optional], "")
        items = items.set_column(ITEM_SCHEMA.get_field_index(optional), optional, filled)
    items = items.group_by(ITEM_SCHEMA.names, use_threads=False).aggregate([])
    items = items.sort_by([(name, "ascending") for name in ITEM_SCHEMA.names]).combine_chunks()
    whole = pa.array(
        [item_text(q, a) for q, a in zip(items["question"].to_pylist(), items["answer"].to_pylist(), strict=True)],
        pa.large_string(),
    )
    found = item_words(whole)
    words = np.diff(found.offsets)
    questions = np.diff(item_words(items["question"].combine_chunks().cast(pa.large_string())).offsets)
    running_own = np.concatenate([[0], np.cumsum(found.own, dtype=np.int64)])
    characters = running_own[found.offsets[1:]] - running_own[found.offsets[:-1]]
    character_words = ((2 * characters >= words) & (words > 0)).astype(np.uint8)
    full = np.where(character_words == 1, parameters.han_ngram, parameters.ngram)
    gram_words = np.where(words >= full, full, np.where(words >= parameters.min_words, words, 0)).astype(np.uint32)
    if not gram_words.any():
        longest = int(words.max()) if len(words) else 0
        raise ValueError(
            f"none of the {len(items)} test items can be tested: the longest has {longest} words, "
            f"at least {min(parameters.min_words, parameters.ngram)} are needed"
        )
    positions = np.where(gram_words > 0, words - gram_words + 1, 0)
    item_offsets = np.concatenate([[0], np.cumsum(positions)]).astype(np.int64)
    gram_hashes = np.zeros(int(item_offsets[-1]), dtype=np.uint64)
    has_gram = np.zeros(len(gram_hashes), dtype=np.uint8)
    _hash_items(
        found.hashes, found.own, found.offsets, gram_words, character_words, item_offsets, gram_hashes, has_gram
    )
    texts = np.empty(len(items), dtype=np.uint64)
    _whole_hashes(found.hashes, found.offsets, texts)
    shares = _shares(gram_hashes, has_gram, item_offsets, texts, items["dataset"])
    _share_with_contexts(shares, gram_hashes, item_offsets, items, parameters)
    return assemble(
        parameters,
        items,
        gram_hashes=gram_hashes,
        item_offsets=item_offsets,
        item_shares=shares,
        item_words_=words.astype(np.uint32),
        question_words=questions.astype(np.uint32),
        gram_words=gram_words,
        character_words=character_words,
        metadata=metadata,
    )


def _shares(
    gram_hashes: NDArray[np.uint64],
    has_gram: NDArray[np.uint8],
    item_offsets: NDArray[np.int64],
    texts: NDArray[np.uint64],
    datasets: pa.ChunkedArray,
) -> NDArray[np.uint8]:
    """For each position, how many items of distinct words (at most 255) of its data set have its gram; 0: no gram."""
    shares = np.zeros(len(gram_hashes), dtype=np.uint8)
    codes = np.asarray(datasets.combine_chunks().dictionary_encode().indices)
    sizes = np.diff(item_offsets)
    for code in np.unique(codes):
        mine = np.flatnonzero(np.repeat(codes == code, sizes) & (has_gram == 1))
        if not len(mine):
            continue
        text_of = np.repeat(texts, sizes)[mine]
        hashes = gram_hashes[mine]
        order = np.lexsort((text_of, hashes))
        hashes, text_of = hashes[order], text_of[order]
        new_gram = np.ones(len(hashes), dtype=bool)
        new_gram[1:] = hashes[1:] != hashes[:-1]
        new_pair = new_gram.copy()
        new_pair[1:] |= text_of[1:] != text_of[:-1]
        gram_number = np.cumsum(new_gram) - 1
        counts = np.bincount(gram_number[new_pair])
        shares[mine[order]] = np.minimum(counts[gram_number], 255)
    return shares


@njit(allocates=True, cache=True, nogil=True)
def _all_grams(hashes, word_offsets, length):
    """Return the hashes of all grams of one length of a batch of texts."""
    total = 0
    for text in range(len(word_offsets) - 1):
        total += max(0, word_offsets[text + 1] - word_offsets[text] - length + 1)
    grams = np.empty(total, dtype=np.uint64)
    running = np.empty(longest_text(word_offsets) + 1, dtype=np.uint64)
    power = np.uint64(1)
    for _ in range(length):
        power *= GRAM_BASE
    at = 0
    for text in range(len(word_offsets) - 1):
        begin = word_offsets[text]
        count = word_offsets[text + 1] - begin
        running_hashes(hashes[begin : begin + count], count, running)
        for position in range(count - length + 1):
            grams[at] = gram_hash(running, position, length, power)
            at += 1
    return grams


def _share_with_contexts(
    shares: NDArray[np.uint8],
    gram_hashes: NDArray[np.uint64],
    item_offsets: NDArray[np.int64],
    items: pa.Table,
    parameters: Parameters,
) -> None:
    """Mark as shared, in place, the grams that a context of the same data set holds."""
    having = items.filter(pc.not_equal(items["context"], ""))
    for dataset in pc.unique(having["dataset"]).to_pylist():
        contexts = pc.unique(having.filter(pc.equal(having["dataset"], dataset))["context"]).cast(pa.large_string())
        found = item_words(contexts)
        lengths = (parameters.ngram, parameters.han_ngram)
        grams = np.unique(np.concatenate([_all_grams(found.hashes, found.offsets, length) for length in lengths]))
        of_dataset = np.asarray(pc.equal(items["dataset"], dataset).combine_chunks().cast(pa.uint8())) == 1
        mine = np.flatnonzero(np.repeat(of_dataset, np.diff(item_offsets)) & (shares == 1))
        shares[mine[np.isin(gram_hashes[mine], grams)]] = 2


def save_index(index: Index, folder: Path) -> None:
    """Write an index as ``.npy`` files, the items as an Arrow file, and the metadata last.

    The folder must be empty or absent. A folder without ``index.json`` is an unfinished index.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {**index.lookup._asdict(), **index.postings._asdict()}
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", np.ascontiguousarray(arrays[name]), allow_pickle=False)
    with pa.OSFile(str(folder / _ITEM_FILE), "wb") as sink, pa.ipc.new_file(sink, index.items.schema) as writer:
        writer.write_table(index.items)
    if len(index.postings.idioms):
        save_idioms(folder, index.lookup.hashes[index.postings.idioms != 0])
    described = {
        **index.metadata,
        "definition_version": DEFINITION_VERSION,
        "unicode_version": UNICODE_VERSION,
        "parameters": asdict(index.parameters),
        "windows": {
            "lengths": index.windows.lengths.tolist(),
            "character_words_only": index.windows.character_words_only.tolist(),
        },
        "shift": int(index.lookup.shift),
        "items": len(index.items),
        "grams": len(index.lookup.hashes),
        "bytes": index.bytes,
    }
    (folder / _METADATA_FILE).write_text(json.dumps(described, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def save_idioms(folder: Path, idiom_hashes: NDArray[np.uint64]) -> None:
    """Write the idioms of an index beside it, as hashes and as a mark for each gram; they replace the ones before."""
    idioms = np.unique(idiom_hashes.astype(np.uint64))
    marks = np.isin(np.load(folder / "hashes.npy", mmap_mode="r", allow_pickle=False), idioms).astype(np.uint8)
    # Replaced, not written over: a process may have the earlier marks mapped.
    for name, array in ((_MARK_FILE, marks), (_IDIOM_FILE, idioms)):
        np.save(folder / f"new-{name}", array, allow_pickle=False)
        (folder / f"new-{name}").replace(folder / name)


def load_metadata(folder: Path) -> dict[str, Any]:
    """Read and check what an index says of itself.

    Raises:
        IndexMismatchError: There is no finished index, or another definition built it.
    """
    path = folder / _METADATA_FILE
    if not path.is_file():
        raise IndexMismatchError(f"{folder}: no decontamination index here (no {_METADATA_FILE})")
    metadata = json.loads(path.read_text())
    for name, wanted in (("definition_version", DEFINITION_VERSION), ("unicode_version", UNICODE_VERSION)):
        if metadata.get(name) != wanted:
            raise IndexMismatchError(
                f"{folder}: built with {name} {metadata.get(name)}, this release needs {wanted}: build the index again"
            )
    return metadata


def load_idioms(folder: Path) -> NDArray[np.uint64]:
    """The hashes of the idioms stored with an index, sorted; empty when none were counted."""
    path = folder / _IDIOM_FILE
    return np.load(path, allow_pickle=False) if path.is_file() else np.empty(0, dtype=np.uint64)


def load_index(folder: Path) -> Index:
    """Map an index read-only: the processes of one machine share its pages.

    What was mapped is kept for the next call, until the index or its idioms are written anew.

    Raises:
        IndexMismatchError: There is no finished index, or another definition built it.
    """
    files = (folder / _METADATA_FILE, folder / _MARK_FILE)
    stamps = tuple((file.stat().st_mtime_ns, file.stat().st_size) if file.is_file() else (0, 0) for file in files)
    return _mapped(folder, stamps)


@lru_cache(maxsize=4)
def _mapped(folder: Path, stamps: tuple[tuple[int, int], ...]) -> Index:
    metadata = load_metadata(folder)
    arrays = {name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)) for name in _ARRAYS}
    stored = metadata["windows"]
    lengths = np.array(stored["lengths"], dtype=np.int64)
    windows = windows_of(lengths, lengths[np.array(stored["character_words_only"]) == 0])
    lookup = Lookup(arrays["filter"], arrays["buckets"], int(metadata["shift"]), arrays["hashes"])
    marks = folder / _MARK_FILE
    idioms = np.asarray(np.load(marks, mmap_mode="r")) if marks.is_file() else np.empty(0, dtype=np.uint8)
    mapped = {name: arrays[name] for name in Postings._fields if name != "idioms"}
    items = pa.ipc.open_file(pa.memory_map(str(folder / _ITEM_FILE))).read_all()
    return Index(
        Parameters(**metadata["parameters"]), windows, lookup, Postings(**mapped, idioms=idioms), items, metadata
    )
