"""Repeated substrings: anchors that equal windows share, digests of windows, and which tokens are cut.

Tokens are words as they are written (`udfs.tokens`, not normalised), code points or bytes. A *window* is `length`
consecutive tokens of one document that no seam parts. A token is cut if and only if some window that covers it has an
earlier occurrence.

*Anchors* (winnowing: Schleimer, Wilkerson & Aiken 2003). With k = length // 2, a window holds length − k + 1 k-grams;
the rightmost of those with the smallest hash is its anchor. Equal windows have equal anchors at the same offset, so a
window can occur twice only if the hash of its anchor does. The choice must depend on the window alone: the paper's
"robust" variant, which prefers the anchor of the window before, would break that. On text some 2 / (length − k + 2) of
the k-grams are anchors.

*Digests* of windows are 128 bits: two sums Σ hⱼ · Bˡ⁻¹⁻ʲ modulo 2⁶⁴ with odd bases over two independent hashes of each
token, taken from window to window by one multiplication. Neighbouring windows of one digest (a repeated word) are one
row with a count.

*Addresses*: documents are numbered in survivor order; token p of document n has the address n · 2²⁸ + p. What is
earlier has a smaller address.

*Pieces*: a run of cut tokens [start, end) that occurs at `target`, an earlier address: token i stands at
target + (i − start) mod period. A period below the length of the piece says that the text repeats itself.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels import njit
from udfs.shingles import hash_shingles
from udfs.tokens import HASH_START, hash_words, mix, string_buffers, tables_for_kernels
from udfs.unicode import decode

Unit = Literal["words", "characters", "bytes"]
UNITS: tuple[Unit, ...] = ("words", "characters", "bytes")
_WORDS, _CHARACTERS = 0, 1

POSITION_BITS = 28

MOST_TOKENS = 60_000_000
"""Windows of one document that begin beyond these take no part: the others travel as one value of less than 2 GB."""

_FIRST_BASE = np.uint64(0xD1342543DE82EF95)
_SECOND_BASE = np.uint64(0xAF251AF3B0F025B5)
_SECOND_START = np.uint64(0xA0761D6478BD642F)
_SECOND_MULTIPLIER = np.uint64(0xE7037ED1A0B428DB)


class Anchors(NamedTuple):
    """The anchors of a batch, each distinct hash once."""

    hashes: NDArray[np.int64]  # [anchors] ascending; uniform, unlike the minima that they stand for
    times: NDArray[np.int64]  # [anchors] how often each occurs
    tokens: int  # of the batch


class AnchorSets(NamedTuple):
    """The anchors of each document, each once."""

    hashes: NDArray[np.int64]  # [anchors] ascending within a document
    offsets: NDArray[np.int64]  # [documents + 1] anchors of document i are offsets[i] … offsets[i + 1]


class Windows(NamedTuple):
    """Windows of a batch of documents whose anchors a filter lets pass, flat and in text order."""

    first: NDArray[np.int64]  # [rows] first half of the digest
    second: NDArray[np.int64]  # [rows] second half
    positions: NDArray[np.int32]  # [rows] token at which the first of them begins
    runs: NDArray[np.int32]  # [rows] number of windows at consecutive positions with this digest
    offsets: NDArray[np.int64]  # [documents + 1] rows of document i are offsets[i] … offsets[i + 1]


class Pieces(NamedTuple):
    """Cut runs of tokens and where they occur earlier, ascending and disjoint."""

    starts: NDArray[np.int64]  # [pieces] address
    ends: NDArray[np.int64]  # [pieces] address after the last token
    periods: NDArray[np.int64]  # [pieces] tokens after which the text repeats itself; else those of the piece
    targets: NDArray[np.int64]  # [pieces] address of the earlier occurrence
    final: NDArray[np.bool_]  # [pieces] nothing at the target is cut


class Tokens(NamedTuple):
    """The tokens of a batch of documents, flat."""

    starts: NDArray[np.int64]  # [tokens] first byte, counted from the document's first byte
    ends: NDArray[np.int64]  # [tokens] byte after the last one, counted likewise
    offsets: NDArray[np.int64]  # [documents + 1] tokens of document i are offsets[i] … offsets[i + 1]


class Sections(NamedTuple):
    """Parts of texts between seams, in text order: every token lies in one."""

    begins: NDArray[np.int64]  # [sections] byte in the buffer
    ends: NDArray[np.int64]  # [sections] byte after the last one
    offsets: NDArray[np.int64]  # [documents + 1] sections of document i are offsets[i] … offsets[i + 1]


def gram_of(length: int) -> int:
    """Return the number of tokens in a k-gram for windows of this length."""
    return max(1, length // 2)


# ------------------------------------------------------------------------------------------------------------- tokens


@njit(cache=True, nogil=True)
def hash_tokens(data, begin, end, unit, tables, hashes, starts, ends):
    """Hash the tokens of ``data[begin:end]``.

    Args:
        data: uint8[:], UTF-8.
        begin: First byte.
        end: Byte after the last.
        unit: 0 for words, 1 for code points, 2 for bytes.
        tables: `udfs.unicode.Tables`.
        hashes: uint64[:], room for a token a byte (a word for every two bytes and one more); receives the hashes.
        starts: int64[:] likewise; first byte of each token, counted from `begin`.
        ends: int64[:] likewise; byte after each.

    Returns:
        The number of tokens.
    """
    if unit == _WORDS:
        return hash_words(data, begin, end, tables, False, hashes, starts, ends)
    count = 0
    position = begin
    while position < end:
        width = np.int64(1)
        value = np.int64(data[position])
        if unit == _CHARACTERS and value >= 0x80:
            value, width = decode(data, position, end)
        hashes[count] = mix(HASH_START ^ np.uint64(value))
        starts[count] = position - begin
        position += width
        ends[count] = position - begin
        count += 1
    return count


@njit(cache=True, nogil=True)
def second_hash(data, begin, end):
    """Return another hash of a token, independent of the first: of its bytes, eight at a time."""
    state = _SECOND_START ^ np.uint64(end - begin)
    position = begin
    while position < end:
        word = np.uint64(0)
        for index in range(min(8, end - position)):
            word |= np.uint64(data[position + index]) << np.uint64(8 * index)
        state = (((state << np.uint64(29)) | (state >> np.uint64(35))) ^ word) * _SECOND_MULTIPLIER
        position += 8
    return mix(state)


@njit(cache=True, nogil=True)
def _tokens_of_batch(
    data, begins, ends, section_offsets, document_begins, unit, tables, hashes, starts, stops, offsets
):
    """Write the tokens of every document of a batch one after another."""
    total = 0
    offsets[0] = 0
    for document in range(len(section_offsets) - 1):
        for section in range(section_offsets[document], section_offsets[document + 1]):
            count = hash_tokens(
                data, begins[section], ends[section], unit, tables, hashes, starts[total:], stops[total:]
            )
            shift = begins[section] - document_begins[document]
            for token in range(total, total + count):
                starts[token] += shift
                stops[token] += shift
            total += count
        offsets[document + 1] = total


def tokens(text: pa.Array, unit: Unit, seams: pa.Array | None = None) -> Tokens:
    """Return the tokens of every document of a string array; a null has none. `seams` as in `sections`."""
    data, offsets = string_buffers(text)
    parts = sections(text, seams)
    capacity, longest = _room(parts, unit)
    starts, ends = np.empty(capacity, dtype=np.int64), np.empty(capacity, dtype=np.int64)
    token_offsets = np.empty(len(offsets), dtype=np.int64)
    hashes = np.empty(longest, dtype=np.uint64)
    _tokens_of_batch(
        data, *parts, offsets, UNITS.index(unit), tables_for_kernels(), hashes, starts, ends, token_offsets
    )
    count = int(token_offsets[-1])
    return Tokens(starts[:count], ends[:count], token_offsets)


def sections(text: pa.Array, seams: pa.Array | None = None) -> Sections:
    """Return the parts of texts between their seams.

    Args:
        text: ``string`` or ``large_string``.
        seams: For each text a list of code points, ascending, before which something was cut earlier; None: none.

    Raises:
        TypeError: `text` is not a string array.
    """
    data, offsets = string_buffers(text)
    if seams is None or seams.null_count == len(seams):
        return Sections(offsets[:-1], offsets[1:], np.arange(len(offsets), dtype=np.int64))
    begins: list[int] = []
    ends: list[int] = []
    counts = np.zeros(len(offsets), dtype=np.int64)
    for document, places in enumerate(seams.to_pylist()):
        begin, end = int(offsets[document]), int(offsets[document + 1])
        leads = np.flatnonzero((data[begin:end] & 0xC0) != 0x80) if places else np.empty(0, dtype=np.int64)
        inside = [begin + int(leads[place]) for place in sorted(set(places or ())) if 0 < place < len(leads)]
        begins += [begin, *inside]
        ends += [*inside, end]
        counts[document + 1] = len(inside) + 1
    return Sections(np.array(begins, dtype=np.int64), np.array(ends, dtype=np.int64), np.cumsum(counts))


def _room(parts: Sections, unit: Unit) -> tuple[int, int]:
    """Return the most tokens that a batch, and that one section, can have."""
    sizes = parts.ends - parts.begins
    rooms = sizes // 2 + 1 if unit == "words" else sizes
    return int(rooms.sum()), int(rooms.max(initial=0))


# ------------------------------------------------------------------------------------------------------------ anchors


@njit(cache=True, nogil=True)
def winnow(grams, count, span, queue, anchors, windows):
    """Find the anchor of every window.

    Args:
        grams: uint64[:], hashes of the k-grams.
        count: How many of them.
        span: k-grams in a window.
        queue: int64[:], scratch of `count` elements.
        anchors: int64[:], room for `count`; receives the k-gram of each anchor, ascending.
        windows: int64[:] likewise; the first window that has this anchor. Those up to the next one's have it too.

    Returns:
        The number of anchors.
    """
    head = tail = found = 0
    for gram in range(count):
        # An equal hash further right takes the place of the one before: the rightmost minimum.
        while tail > head and grams[queue[tail - 1]] >= grams[gram]:
            tail -= 1
        queue[tail] = gram
        tail += 1
        window = gram - span + 1
        if window < 0:
            continue
        if queue[head] < window:
            head += 1
        if found == 0 or anchors[found - 1] != queue[head]:
            anchors[found] = queue[head]
            windows[found] = window
            found += 1
    return found


@njit(allocates=True, cache=True, nogil=True)
def _anchors_of_batch(data, begins, ends, unit, length, gram, tables, longest, out_hashes, out_times, out_ends):
    """Write the hashes of all anchors, equal neighbours as one row, and the number of rows after each section; return
    the numbers of rows and of tokens.

    Minima of many hashes have few different first bits, so they are mixed once more: a bitmap goes by the first bits.
    """
    hashes, grams = np.empty(longest, dtype=np.uint64), np.empty(longest, dtype=np.uint64)
    starts, stops = np.empty(longest, dtype=np.int64), np.empty(longest, dtype=np.int64)
    queue, anchors = np.empty(longest, dtype=np.int64), np.empty(longest, dtype=np.int64)
    rows = tokens_seen = 0
    for section in range(len(begins)):
        count = hash_tokens(data, begins[section], ends[section], unit, tables, hashes, starts, stops)
        tokens_seen += count
        found, first = 0, rows
        if count >= length:
            shingles = hash_shingles(hashes, count, gram, grams)
            found = winnow(grams, shingles, length - gram + 1, queue, anchors, starts)
        for anchor in range(found):
            value = np.int64(mix(grams[anchors[anchor]]))
            if rows > first and out_hashes[rows - 1] == value:
                out_times[rows - 1] += 1
            else:
                out_hashes[rows] = value
                out_times[rows] = 1
                rows += 1
        out_ends[section] = rows
    return rows, tokens_seen


def anchors(text: pa.Array, length: int, unit: Unit = "words", seams: pa.Array | None = None) -> Anchors:
    """Return the anchors of all windows of a batch of documents.

    Args:
        text: ``string`` or ``large_string``.
        length: Tokens in a window, at least 2.
        unit: What a token is.
        seams: As in `sections`.

    Raises:
        TypeError: `text` is not a string array.
        ValueError: a length below 2 or an unknown unit.
    """
    hashes, times, _, count = _all_anchors(text, length, unit, sections(text, seams))
    distinct, place = np.unique(hashes, return_inverse=True)
    sums = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(sums, place, times)
    return Anchors(distinct, sums, count)


def anchor_sets(text: pa.Array, length: int, unit: Unit = "words", seams: pa.Array | None = None) -> AnchorSets:
    """Return the anchors of the windows of each document; arguments and errors as of `anchors`."""
    parts = sections(text, seams)
    hashes, _, ends, _ = _all_anchors(text, length, unit, parts)
    document = np.repeat(np.arange(len(text)), np.diff(np.append(0, ends)[parts.offsets]))
    order = np.lexsort((hashes, document))
    hashes, document = hashes[order], document[order]
    new = np.append(True, (np.diff(hashes) != 0) | (np.diff(document) != 0))[: len(hashes)]
    return AnchorSets(hashes[new], np.searchsorted(document[new], np.arange(len(text) + 1)))


def _all_anchors(
    text: pa.Array, length: int, unit: Unit, parts: Sections
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]:
    """Return hashes of anchors, how often each occurs where it stands, their number up to each section, and tokens."""
    _check(length, unit)
    data, _ = string_buffers(text)
    capacity, longest = _room(parts, unit)
    hashes, times = np.empty(capacity, dtype=np.int64), np.empty(capacity, dtype=np.int64)
    ends = np.empty(len(parts.begins), dtype=np.int64)
    rows, count = _anchors_of_batch(
        data, parts.begins, parts.ends, UNITS.index(unit), length, gram_of(length), tables_for_kernels(), longest,
        hashes, times, ends,
    )  # fmt: skip
    return hashes[:rows], times[:rows], ends, int(count)


def _check(length: int, unit: str) -> None:
    if length < 2:
        raise ValueError(f"a window has at least two tokens, not {length}")
    if unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(UNITS)}, not {unit!r}")


# ------------------------------------------------------------------------------------------------------------ windows


@njit(allocates=True, cache=True, nogil=True)
def _windows_of_batch(
    data, begins, ends, section_offsets, unit, length, gram, tables, longest, bitmap, bitmap_bits,
    out_first, out_second, out_positions, out_runs, out_offsets,
):  # fmt: skip
    """Write digests and positions of the windows whose anchors are in the bitmap."""
    hashes, seconds, grams = (
        np.empty(longest, dtype=np.uint64),
        np.empty(longest, dtype=np.uint64),
        np.empty(longest, dtype=np.uint64),
    )
    starts, stops = np.empty(longest, dtype=np.int64), np.empty(longest, dtype=np.int64)
    queue, anchors, windows = (
        np.empty(longest, dtype=np.int64),
        np.empty(longest, dtype=np.int64),
        np.empty(longest, dtype=np.int64),
    )
    first_leaving = second_leaving = np.uint64(1)  # the bases to the power of `length`
    for _ in range(length):
        first_leaving *= _FIRST_BASE
        second_leaving *= _SECOND_BASE
    rows = 0
    out_offsets[0] = 0
    for document in range(len(section_offsets) - 1):
        earlier = 0  # tokens in the document's sections before this one
        for section in range(section_offsets[document], section_offsets[document + 1]):
            begin = begins[section]
            count = hash_tokens(data, begin, ends[section], unit, tables, hashes, starts, stops)
            if count >= length:
                found = winnow(
                    grams, hash_shingles(hashes, count, gram, grams), length - gram + 1, queue, anchors, windows
                )
                hashed = 0  # tokens that have their second hash
                rolled = -2  # window that the sums stand for
                first_sum = second_sum = np.uint64(0)
                for anchor in range(found):
                    place = mix(grams[anchors[anchor]]) >> np.uint64(64 - bitmap_bits)
                    if (bitmap[place >> np.uint64(6)] >> (place & np.uint64(63))) & np.uint64(1) == 0:
                        continue
                    stop = windows[anchor + 1] if anchor + 1 < found else count - length + 1
                    for window in range(windows[anchor], stop):
                        if earlier + window >= MOST_TOKENS:
                            break
                        for token in range(max(hashed, window), window + length):
                            seconds[token] = second_hash(data, begin + starts[token], begin + stops[token])
                        hashed = window + length
                        if rolled == window - 1:
                            last = window + length - 1
                            first_sum = first_sum * _FIRST_BASE + hashes[last] - first_leaving * hashes[window - 1]
                            second_sum = (
                                second_sum * _SECOND_BASE + seconds[last] - second_leaving * seconds[window - 1]
                            )
                        else:
                            first_sum = second_sum = np.uint64(0)
                            for token in range(window, window + length):
                                first_sum = first_sum * _FIRST_BASE + hashes[token]
                                second_sum = second_sum * _SECOND_BASE + seconds[token]
                        rolled = window
                        first, second = np.int64(mix(first_sum)), np.int64(mix(second_sum))
                        position = earlier + window
                        if (
                            rows > out_offsets[document]
                            and out_positions[rows - 1] + out_runs[rows - 1] == position
                            and out_first[rows - 1] == first
                            and out_second[rows - 1] == second
                        ):
                            out_runs[rows - 1] += 1
                        else:
                            out_first[rows] = first
                            out_second[rows] = second
                            out_positions[rows] = position
                            out_runs[rows] = 1
                            rows += 1
            earlier += count
        out_offsets[document + 1] = rows


def windows(
    text: pa.Array, length: int, bitmap: NDArray[np.uint64], unit: Unit = "words", seams: pa.Array | None = None
) -> Windows:
    """Return the windows of every document whose anchor is in a bitmap of hashes.

    Args:
        text: ``string`` or ``large_string``.
        length: Tokens in a window, at least 2.
        bitmap: A bit for the first bits of each hash that is in it; a power of two of words.
        unit: What a token is.
        seams: As in `sections`.

    Raises:
        TypeError: `text` is not a string array.
        ValueError: a length below 2 or an unknown unit.
    """
    _check(length, unit)
    data, offsets = string_buffers(text)
    parts = sections(text, seams)
    capacity, longest = _room(parts, unit)
    found = Windows(
        np.empty(capacity, dtype=np.int64),
        np.empty(capacity, dtype=np.int64),
        np.empty(capacity, dtype=np.int32),
        np.empty(capacity, dtype=np.int32),
        np.empty(len(offsets), dtype=np.int64),
    )
    bits = 6 + len(bitmap).bit_length() - 1
    _windows_of_batch(
        data, *parts, UNITS.index(unit), length, gram_of(length), tables_for_kernels(), longest, bitmap, bits, *found
    )  # fmt: skip
    rows = int(found.offsets[-1])
    return Windows._make((*(column[:rows] for column in found[:-1]), found.offsets))


# ------------------------------------------------------------------------------------------------------------- pieces


@njit(cache=True, nogil=True)
def _add_piece(start, end, target, covered, count, starts, ends, targets):
    """Add the tokens of [start, end) from `covered` on to the pieces; return the number of pieces."""
    if covered > start:
        target += covered - start
        start = covered
    if start >= end:
        return count
    if count and ends[count - 1] == start and targets[count - 1] + start - starts[count - 1] == target:
        ends[count - 1] = end
        return count
    starts[count], ends[count], targets[count] = start, end, target
    return count + 1


@njit(cache=True, nogil=True)
def _cut(at, runs, firsts, previous, length, starts, ends, periods, targets):
    """Fill the pieces; return their number and the number of windows whose first occurrence is cut."""
    count = lost = row = 0
    while row < len(at):
        document = at[row] >> POSITION_BITS
        first_row, first_piece = row, count
        covered = np.int64(0)
        while row < len(at) and at[row] >> POSITION_BITS == document:
            start = at[row]
            if firsts[row] < start:
                # A text that repeats itself gives one piece of one period, not a piece for every repeat.
                near = previous[row] >> POSITION_BITS == document and start - previous[row] < length
                target = previous[row] if near else firsts[row]
                count = _add_piece(start, start + length, target, covered, count, starts, ends, targets)
                covered = start + length
            if runs[row] > 1:
                end = start + runs[row] - 1 + length
                count = _add_piece(start + 1, end, start, covered, count, starts, ends, targets)
                covered = end
            row += 1
        for piece in range(first_piece, count):
            periods[piece] = ends[piece] - starts[piece]
            if targets[piece] >> POSITION_BITS == document:
                periods[piece] = min(periods[piece], starts[piece] - targets[piece])
        piece = first_piece
        for place in range(first_row, row):
            if firsts[place] == at[place]:
                while piece < count and ends[piece] <= at[place]:
                    piece += 1
                if piece < count and starts[piece] < at[place] + length:
                    lost += 1
    return count, lost


def cut(
    at: NDArray[np.int64],
    runs: NDArray[np.int64],
    firsts: NDArray[np.int64],
    previous: NDArray[np.int64],
    length: int,
) -> tuple[Pieces, int]:
    """Return what is cut, and the number of windows whose first occurrence is.

    Args:
        at: [rows] addresses of windows that occur more than once, ascending, documents whole.
        runs: [rows] windows at consecutive addresses that are equal.
        firsts: [rows] address of the first occurrence.
        previous: [rows] address of the occurrence before this one; -1 for none.
        length: Tokens in a window.
    """
    # Arrow's columns are read-only, which would be another signature to compile.
    at, runs, firsts, previous = (np.array(column, dtype=np.int64) for column in (at, runs, firsts, previous))
    room = 2 * len(at)
    starts, ends, periods, targets = (np.empty(room, dtype=np.int64) for _ in range(4))
    count, lost = _cut(at, runs, firsts, previous, length, starts, ends, periods, targets)
    final = np.zeros(count, dtype=np.bool_)
    return Pieces(starts[:count], ends[:count], periods[:count], targets[:count], final), int(lost)


# ------------------------------------------------------------------------------------------------------------- chains


@njit(cache=True, nogil=True)
def _emit(out, count, start, end, period, target, final):
    """Write a piece if there is room; return the number of pieces that there would be."""
    if end > start:
        if count < len(out):
            out[count, 0], out[count, 1] = start, end
            out[count, 2], out[count, 3], out[count, 4] = min(period, end - start), target, final
        count += 1
    return count


@njit(cache=True, nogil=True)
def _first_after(cuts, address):
    """Return the first piece that ends after an address."""
    low, high = 0, len(cuts)
    while low < high:
        middle = (low + high) // 2
        if cuts[middle, 1] <= address:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _atoms(cuts, begin, end, atoms):
    """Divide the addresses [begin, end) by what stands there: rows of (begin, end, period, target, final); return their
    number, and write as many as there is room for."""
    low = _first_after(cuts, begin)
    count = 0
    place = begin
    while place < end:
        stop = min(end, cuts[low, 0]) if low < len(cuts) else end
        if place < stop:
            count = _emit(atoms, count, place, stop, stop - place, place, 1)
            place = stop
            continue
        stop = min(end, cuts[low, 1])
        period, target, final = cuts[low, 2], cuts[low, 3], cuts[low, 4]
        phase = (place - cuts[low, 0]) % period
        if phase + stop - place <= period:
            count = _emit(atoms, count, place, stop, stop - place, target + phase, final)
        else:
            if phase:
                head = place + period - phase
                count = _emit(atoms, count, place, head, head - place, target + phase, final)
                place = head
            count = _emit(atoms, count, place, stop, period, target, final)
        place = stop
        low += 1
    return count


@njit(cache=True, nogil=True)
def _follow(cuts, pieces, atoms, out):
    """Move the target of every piece on through `cuts`; return the room that atoms and pieces need."""
    count = most = 0
    for piece in range(len(pieces)):
        start, end, period, target = pieces[piece, 0], pieces[piece, 1], pieces[piece, 2], pieces[piece, 3]
        if period < end - start:
            # Text of one period that points at text of a divisor of it keeps a period, from where that begins anew.
            one = _first_after(cuts, target)
            if (
                one < len(cuts)
                and cuts[one, 0] <= target
                and target + period <= cuts[one, 1]
                and period % cuts[one, 2] == 0
            ):
                phase = (target - cuts[one, 0]) % cuts[one, 2]
                head = min(end, start + cuts[one, 2] - phase) if phase else start
                count = _emit(out, count, start, head, head - start, cuts[one, 3] + phase, cuts[one, 4])
                count = _emit(out, count, head, end, cuts[one, 2], cuts[one, 3], cuts[one, 4])
                continue
        found = _atoms(cuts, target, target + min(period, end - start), atoms)
        most = max(most, found)
        if found > len(atoms):
            continue
        if found == 1 and atoms[0, 2] == atoms[0, 1] - atoms[0, 0]:
            count = _emit(out, count, start, end, period, atoms[0, 3], atoms[0, 4])
            continue
        for base in range(start, end, period):
            for atom in range(found):
                shift = base - target
                stop = min(end, atoms[atom, 1] + shift)
                count = _emit(out, count, atoms[atom, 0] + shift, stop, atoms[atom, 2], atoms[atom, 3], atoms[atom, 4])
    return most, count


def follow(cuts: Pieces, pieces: Pieces) -> Pieces:
    """Return pieces whose targets are moved on to where what was cut there occurs.

    A piece that points at text of which a part is cut is divided. Since targets are earlier than what points at them,
    following often enough ends at text that is not cut; with the pieces themselves as `cuts`, twice as far every time.

    Args:
        cuts: All pieces of the documents that are pointed at, ascending.
        pieces: What points there.
    """
    table = _matrix(cuts)
    asking = _matrix(pieces)
    atoms = np.empty((64, 5), dtype=np.int64)
    out = np.empty((2 * len(asking) + 64, 5), dtype=np.int64)
    while True:
        most, count = _follow(table, asking, atoms, out)
        if most <= len(atoms) and count <= len(out):
            break
        atoms = np.empty((max(most, len(atoms)), 5), dtype=np.int64)
        out = np.empty((max(count, len(out)), 5), dtype=np.int64)
    columns = [np.ascontiguousarray(column) for column in out[:count].T]
    return Pieces._make((*columns[:4], columns[4] != 0))


def _matrix(pieces: Pieces) -> NDArray[np.int64]:
    return np.column_stack([np.asarray(column, dtype=np.int64) for column in pieces])


# --------------------------------------------------------------------------------------------------------------- text


class Source(NamedTuple):
    """A cut run of tokens of one document and where its text stays."""

    start: int  # token
    end: int  # token after the last one
    kept_in: str  # id of the document that has it


class Cut(NamedTuple):
    """A half-open range of code points that is cut, what stood there, and where that is still to be found."""

    start: int
    end: int
    kept_in: str
    text: str


def without(
    text: str,
    token_ranges: tuple[NDArray[np.int64], NDArray[np.int64]],
    word_ranges: tuple[NDArray[np.int64], NDArray[np.int64]],
    sources: list[Source],
    seams: list[int],
) -> tuple[str, list[Cut]]:
    """Return a text without the words whose tokens are all cut, and what was cut.

    Of the whitespace on both sides of a cut the one with more line feeds stays, so that a paragraph ends where it did.
    No cut spans a seam.

    Args:
        text: The text.
        token_ranges: First byte of each token and byte after it, in UTF-8.
        word_ranges: The same of words.
        sources: What is cut, ascending.
        seams: Code points before which something was cut earlier, ascending.
    """
    data = text.encode()
    characters = None if len(data) == len(text) else _characters_before(data)
    seam_bytes = np.array(seams, dtype=np.int64)
    if characters is not None:
        seam_bytes = np.searchsorted(characters, seam_bytes)
    begins = token_ranges[0][[source.start for source in sources]]
    ends = token_ranges[1][[source.end - 1 for source in sources]]
    gone = _gone_words(begins, ends, *word_ranges)
    cuts: list[Cut] = []
    for begin, end in _ranges(data, *word_ranges, gone, seam_bytes):
        first, last = np.searchsorted(ends, begin, side="right"), np.searchsorted(begins, end)
        edges = [begin, *begins[first + 1 : last].tolist(), end]
        if characters is not None:
            edges = characters[edges].tolist()
        for source, a, b in zip(sources[first:last], edges, edges[1:], strict=False):
            if a < b:
                cuts.append(Cut(a, b, source.kept_in, text[a:b]))
    places = [0, *(edge for one in cuts for edge in one[:2]), len(text)]
    return "".join(text[a:b] for a, b in zip(places[::2], places[1::2], strict=True)), cuts


def _characters_before(data: bytes) -> NDArray[np.int64]:
    """Return the number of code points that begin before each byte, and before the end."""
    characters = np.zeros(len(data) + 1, dtype=np.int64)
    np.cumsum((np.frombuffer(data, dtype=np.uint8) & 0xC0) != 0x80, out=characters[1:])
    return characters


def _gone_words(
    begins: NDArray[np.int64], ends: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Say which words lie wholly in cut bytes."""
    parted = np.append(True, begins[1:] > ends[:-1])
    joined_begins = begins[parted]
    joined_ends = ends[np.append(parted[1:], True)]
    place = np.searchsorted(joined_begins, starts, side="right") - 1
    return (place >= 0) & (stops <= joined_ends[place])


def _ranges(
    data: bytes,
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    gone: NDArray[np.bool_],
    seams: NDArray[np.int64],
) -> list[tuple[int, int]]:
    """Return the byte ranges that go with runs of words, each with the whitespace on one side."""
    if gone.all() and not len(seams):
        return [(0, len(data))] if len(gone) else []
    section = np.searchsorted(seams, starts, side="right")
    bounds = [0, *seams.tolist(), len(data)]
    numbers = np.flatnonzero(gone)
    breaks = np.flatnonzero((np.diff(numbers) > 1) | (np.diff(section[numbers]) > 0)) + 1
    found = []
    for run in np.split(numbers, breaks):
        if not len(run):
            continue
        first, last = int(run[0]), int(run[-1])
        low, high = bounds[section[first]], bounds[section[first] + 1]
        before = max(low, int(stops[first - 1])) if first else low
        after = min(high, int(starts[last + 1])) if last + 1 < len(starts) else high
        begin, end = int(starts[first]), int(stops[last])
        is_first, is_last = first == 0, last + 1 == len(starts)
        keep_lead = is_first or (not is_last and _separates(data[before:begin]) >= _separates(data[end:after]))
        keep_trail = is_last or not keep_lead
        found.append((begin if keep_lead else before, end if keep_trail else after))
    return found


def _separates(space: bytes) -> tuple[int, bool]:
    """Return by what whitespace is preferred to other whitespace."""
    return space.count(b"\n"), len(space) > 0


def seams_of(cuts: list[tuple[int, int]]) -> list[int]:
    """Return the places in what is left of a text at which it was cut; ranges of its code points, ascending."""
    seams: list[int] = []
    removed = 0
    for start, end in cuts:
        if not seams or seams[-1] != start - removed:
            seams.append(start - removed)
        removed += end - start
    return seams


def before_cuts(cuts: list[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """Return where a range of what is left of a text stood before the cuts; it spans none of them."""
    moved_start, moved_end, removed = start, end, 0
    for cut_start, cut_end in cuts:
        if cut_start - removed <= start:
            moved_start += cut_end - cut_start
        if cut_start - removed < end:
            moved_end += cut_end - cut_start
        removed += cut_end - cut_start
    return moved_start, moved_end
