"""Words of a text and their 64-bit hashes: the one tokenisation that signals, shingles and decontamination share.

A *word* is a maximal run of non-whitespace. Inside a run, every Han, Hiragana, Katakana, Thai, Lao, Khmer or Myanmar
letter (`udfs.unicode.OWN_WORD`) is a word of its own that ends the word before it; marks (category M*) stay with such
a letter, and whatever else follows it begins another word. *Normalised*: the word's full case folding (pinned
Unicode) without punctuation and symbols (categories P*, S*), digits kept; words left empty are dropped.

Hash of a word, over its code points c₁ … cₙ (folded ones where normalised), in arithmetic modulo 2⁶⁴:

    h₀ = 0x9E3779B97F4A7C15
    hᵢ = (rotate_left(hᵢ₋₁, 23) xor cᵢ) · 0xD6E8FEB86659FD93
    hash = mix(hₙ),  mix = the 64-bit finaliser of MurmurHash3 (Appleby, public domain)

Each step and the finaliser are bijections of the state, so words that differ in one code point never collide; for
others the odds are 2⁻⁶⁴ a pair: 3·10⁻¹⁴ for a document of 1 000 distinct words, one collision in 4·10¹³ such
documents. The hash is no secret: a writer can construct two words that collide and so make them count as one word in
their own document, and nothing more. Stored signatures and indexes depend on it: it must never change.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from udfs.kernels import njit
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
    load_tables,
)

HASH_START = np.uint64(0x9E3779B97F4A7C15)
HASH_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)


class Words(NamedTuple):
    """The words of a batch of documents, flat."""

    hashes: NDArray[np.uint64]  # [words]
    starts: NDArray[np.int64]  # [words] first byte, counted from the document's first byte
    ends: NDArray[np.int64]  # [words] byte after the last one, counted likewise
    offsets: NDArray[np.int64]  # [documents + 1] words of document i are offsets[i] … offsets[i + 1]


@njit(cache=True, nogil=True)
def hash_step(state, code_point):
    """Return the hash state after one more code point (uint64, integer → uint64)."""
    return (((state << np.uint64(23)) | (state >> np.uint64(41))) ^ np.uint64(code_point)) * HASH_MULTIPLIER


@njit(cache=True, nogil=True)
def mix(state):
    """Return the MurmurHash3 finaliser of a uint64: a bijection in which every bit depends on every bit."""
    state ^= state >> np.uint64(33)
    state *= np.uint64(0xFF51AFD7ED558CCD)
    state ^= state >> np.uint64(33)
    state *= np.uint64(0xC4CEB9FE1A85EC53)
    state ^= state >> np.uint64(33)
    return state


# What `hash_words` needs of an ASCII character, in one look: its code point and these bits.
_ASCII_SPACE = np.uint64(1 << 8)
_ASCII_DROPPED = np.uint64(1 << 9)


def _ascii_table() -> NDArray[np.uint16]:
    """Return [2, 128]: row 0 as the characters are; row 1 normalised, folded and with what is dropped marked."""
    classes = load_tables().classes[:128]
    exact = np.arange(128, dtype=np.uint16) | np.where(classes & SPACE, np.uint16(_ASCII_SPACE), np.uint16(0))
    normalised = exact + np.where(classes & FOLDS, np.uint16(32), np.uint16(0))  # 'A' to 'a'
    normalised |= np.where(classes & PUNCTUATION, np.uint16(_ASCII_DROPPED), np.uint16(0))
    return np.stack([exact, normalised])


_ASCII = _ascii_table()
_ZERO = np.uint64(0)
_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def hash_words(data, begin, end, tables, normalised, hashes, starts, ends):
    """Hash the words of the UTF-8 text ``data[begin:end]``.

    Args:
        data: uint8[:], the buffer.
        begin: First byte of the text.
        end: Byte after its last.
        tables: `udfs.unicode.Tables`.
        normalised: Case-fold, remove punctuation and symbols, drop words left empty.
        hashes: uint64[:], scratch of at least ``(end - begin) // 2 + 1`` elements; receives the hashes. What lies
            behind them is overwritten.
        starts: int64[:] likewise; first byte of each word, counted from `begin`, in the original text.
        ends: int64[:] likewise; byte after each word.

    Returns:
        The number of words.

    Where a word ends cannot be foretold, and a processor that guesses wrong at each loses more time than the hash
    takes. So ASCII, most of most texts, is read without a branch: every character writes the word so far at
    ``hashes[count]``, and only a space moves `count` on. Indexes are unsigned: Numba looks whether others count from
    the end.
    """
    text = data[begin:end]
    size = np.uint64(len(text))
    ascii_table = _ASCII[1] if normalised else _ASCII[0]
    dropped = np.int64(PUNCTUATION if normalised else 0)
    count = _ZERO
    position = _ZERO
    own = False  # the current word is an own-word letter: only marks may still join it
    blank = _ONE  # 1 while nothing of the current word is left after normalisation, or there is no word
    state = HASH_START
    start = _ZERO
    while position < size:
        if own and text[position] < 0x80:
            hashes[count] = state
            starts[count] = start
            ends[count] = position
            count += _ONE
            own = False
            blank = _ONE
            state = HASH_START
            start = position
        while position < size:
            byte = text[position]
            if byte >= 0x80:
                break
            bits = np.uint64(ascii_table[np.uint64(byte)])
            space = (bits >> np.uint64(8)) & _ONE
            hashes[count] = state
            starts[count] = start
            ends[count] = position
            count += space & ~blank
            position += _ONE
            grown = hash_step(state, bits & np.uint64(0xFF))
            emptied = HASH_START if space else state
            state = emptied if bits >= _ASCII_SPACE else grown
            start = position if space else start
            blank = space | (blank & (bits >> np.uint64(9)))
        if position == size:
            break
        # Two bytes, as most other letters of alphabets are, here: `decode` is a call.
        if 0xC2 <= byte < 0xE0 and position + _ONE < size and (text[position + _ONE] & 0xC0) == 0x80:
            width = np.int64(2)
            code_point = ((np.int64(byte) & 0x1F) << 6) | np.int64(text[position + _ONE] & 0x3F)
        else:
            code_point, width = decode(text, np.int64(position), np.int64(size))
        bits_beyond = np.int64(class_of(code_point, tables))
        if (bits_beyond & (SPACE | OWN_WORD)) != 0 or (own and (bits_beyond & MARK) == 0):
            if blank == _ZERO:
                hashes[count] = state
                starts[count] = start
                ends[count] = position
                count += _ONE
            own = (bits_beyond & OWN_WORD) != 0
            blank = _ONE
            state = HASH_START
            start = position
        position += np.uint64(width)
        if (bits_beyond & SPACE) != 0:
            start = position
        elif (bits_beyond & dropped) == 0:
            blank = _ZERO
            if normalised and (bits_beyond & FOLDS) != 0:
                row = np.uint64(case_row_of(code_point, tables))
                state = hash_step(state, tables.folds[row, 0])
                if tables.folds[row, 1] != 0:
                    state = hash_step(state, tables.folds[row, 1])
                    if tables.folds[row, 2] != 0:
                        state = hash_step(state, tables.folds[row, 2])
            else:
                state = hash_step(state, code_point)
    if blank == _ZERO:
        hashes[count] = state
        starts[count] = start
        ends[count] = size
        count += _ONE
    for index in range(count):
        hashes[np.uint64(index)] = mix(hashes[np.uint64(index)])
    return np.int64(count)


@njit(cache=True, nogil=True)
def _words_of_batch(data, offsets, tables, normalised, hashes, starts, ends, word_offsets):
    """Hash the words of every document of a batch one after another."""
    count = 0
    word_offsets[0] = 0
    for document in range(len(offsets) - 1):
        count += hash_words(
            data,
            offsets[document],
            offsets[document + 1],
            tables,
            normalised,
            hashes[count:],
            starts[count:],
            ends[count:],
        )
        word_offsets[document + 1] = count


def words(text: pa.Array, normalised: bool) -> Words:
    """Return the words of every document of a string array; a null has none.

    The arrays are views of the memory reserved for the worst case (a word for every two bytes), of which only the
    used part is touched.

    Raises:
        TypeError: `text` is not a string array.
    """
    data, offsets = string_buffers(text)
    capacity = int(offsets[-1] - offsets[0]) // 2 + len(offsets)
    hashes = np.empty(capacity, dtype=np.uint64)
    starts = np.empty(capacity, dtype=np.int64)
    ends = np.empty(capacity, dtype=np.int64)
    word_offsets = np.empty(len(offsets), dtype=np.int64)
    _words_of_batch(data, offsets, tables_for_kernels(), normalised, hashes, starts, ends, word_offsets)
    count = int(word_offsets[-1])
    return Words(hashes[:count], starts[:count], ends[:count], word_offsets)


def tables_for_kernels() -> Tables:
    """Return the pinned Unicode tables that every kernel takes as `tables`."""
    return load_tables()


def string_buffers(text: pa.Array | pa.ChunkedArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes and the int64 offsets (documents + 1) of a string array; document i is
    ``data[offsets[i]:offsets[i + 1]]``.

    The bytes are the array's own, read-only; only the offsets are copied. Slices start where they start in the
    buffer. Nulls become empty ranges, which copies the bytes only when a null hides some.

    Raises:
        TypeError: `text` is not a string array.
    """
    if isinstance(text, pa.ChunkedArray):
        text = text.combine_chunks()
    if pa.types.is_string_view(text.type) or pa.types.is_dictionary(text.type):
        text = text.cast(pa.large_string())
    if pa.types.is_string(text.type):
        width: type = np.int32
    elif pa.types.is_large_string(text.type):
        width = np.int64
    elif pa.types.is_null(text.type):
        return np.empty(0, dtype=np.uint8), np.zeros(len(text) + 1, dtype=np.int64)
    else:
        raise TypeError(f"a string array is needed, not {text.type}")
    if len(text) == 0:
        return np.empty(0, dtype=np.uint8), np.zeros(1, dtype=np.int64)
    _, offset_buffer, data_buffer = text.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=width)[text.offset : text.offset + len(text) + 1].astype(np.int64)
    if text.null_count and np.any(np.diff(offsets)[np.asarray(text.is_null())]):
        return string_buffers(pc.fill_null(text, ""))
    data = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer is not None else np.empty(0, dtype=np.uint8)
    data.flags.writeable = False
    return data, offsets
