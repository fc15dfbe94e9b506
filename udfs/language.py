"""The language of a document, by the profiles that the `langdetect` package ships (55 profiles, 54 languages).

Definition. `langdetect` 1.0.9 (Shuyo Nakatani's language-detection, Apache-2.0) removes URLs and mail addresses,
composes Vietnamese letters, deletes Latin letters from text that is mostly in another script, maps characters onto
classes, and takes the n-grams of 1 … 3 characters that one of its profiles knows. A profile is one language's table of
n-gram probabilities, so a text is a bag of n-grams and a language a distribution over them. All of that is done here
exactly as the library does it, with two exceptions: mixed scripts (2), and the Korean profile is read without its
n-grams with Han letters, which outnumber the Chinese profiles' and make short Chinese text Korean. The library then
draws n-grams at random until one language leads by 10⁵ to 1, does so seven times, and averages; its answer depends on
the seed. Here the draws depend on the document alone:

1. *Text read.* Up to `WINDOW_BYTES` × `WINDOWS` bytes of UTF-8: all; beyond: that many windows, evenly spread, each
   moved to the next character boundary, joined by a space. (The library reads the first 10 000 characters.)
2. *Mixed scripts.* The library deletes Latin letters where other letters are more than twice as many, and else keeps
   both, so that a Chinese page with as many letters of English in it becomes Vietnamese or Norwegian. Here Latin
   letters are deleted where they are fewer than twice the other letters (four times, for Kana, Han and Hangul), and
   other letters become spaces where Latin letters are more than that, but fewer than `MIXED` times as many.
3. *Sample.* Positions of the cleaned text, runs of spaces being one: all of them, or `POSITIONS` evenly spread ones,
   ``(k · m + mix(k) mod m) div POSITIONS`` for a text of m positions; at each, the n-grams that end there.
4. *Trials.* Trial t draws n-grams gᵢ from the sample, by ``mix`` of (t, i), and adds up log((w + p(g)) / w) for each
   profile, w = 0.5 / 10 000; every fifth draw, it ends when one language's share of the posterior is above 0.99999,
   or after 1 000 draws. `FEW_TRIALS` trials; unless they all ended for one language, `MANY_TRIALS`.
   zh-cn and zh-tw are two profiles of one language. The best language has the largest mean share.
5. *Score.* The library's share is near 1 for almost anything, Latin or Klingon. ``score`` is the probability that the
   answer is right, by a logistic model of: the mean share, how well the n-grams fit the language (their summed
   log-ratios over what the language's own profile expects of as many), the same for trigrams alone, and the logarithm
   of how many there were. It was fitted on labelled sentences and documents, with one text in ten in a language that
   has no profile (`benchmarks/language.py --calibrate` prints the numbers below).
6. *Undecidable* is `und`: no known n-gram (digits, emoji, null), or a score below `ACCEPT`.

Log-ratios are integers of 2⁻¹⁶, so sums are exact in any order; scores are rounded to 10⁻⁶. The result is a function
of the text: not of order, batch, worker, seed or Python version.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from udfs.tokens import string_buffers, tables_for_kernels
from udfs.unicode import BLOCK_BITS, BLOCK_MASK, decode

UNDECIDED = "und"
DEFINITION_VERSION = 1

WINDOW_BYTES = 2048
WINDOWS = 8
POSITIONS = 512
FEW_TRIALS = 3
MANY_TRIALS = 15
DRAWS = 1000
SHARE_TO_END = 0.99999  # of one trial: the library's CONV_THRESHOLD

UNIT = 65536  # log-ratios are integers of 1 / UNIT
SMOOTHING = 0.5 / 10_000  # the library's ALPHA_DEFAULT / BASE_FREQ
LEAD_TO_END = int(math.log(SHARE_TO_END / (1 - SHARE_TO_END)) * UNIT)

# Calibration (see 5 above): weights of 1, share, fit, trigram fit, length, fit · length, trigram fit · length.
CALIBRATION = (-12.929, 10.099, 18.492, -18.375, -0.267, -4.305, 6.312)
# A text is mixed where Latin letters are fewer than LETTERS_PER_LETTER · MIXED times the letters of other scripts.
LETTERS_PER_LETTER = 2  # Latin letters that count as much as one letter of another script
DENSE_WEIGHT = 2  # letters of another script that a Kana, Bopomofo, Han or Hangul character counts for
MIXED = 8
LONGEST = 7.0  # length is the natural logarithm of the number of n-grams, at most this
ACCEPT = 0.4
# Languages whose script no other language of the web shares: the script is the evidence, not how well the n-grams fit.
# Chinese and Japanese profiles know few of the thousands of n-grams of their text, so that their fit says little.
OWN_SCRIPT = frozenset({"bn", "el", "gu", "ja", "kn", "ko", "ml", "pa", "ta", "te", "th", "zh"})

URL_BYTES = b"-_.?&~;+=/#0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MAIL_BYTES = b"-_.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
URL, MAIL, MAIL_FIRST = 1, 2, 4
URL_MAX, LOCAL_MAX, DOMAIN_MAX = 2076, 64, 255

SPACE = 32
BRACKET = (
    91  # stands for [ \ ] ^ _ ` : a space, unless Latin letters are deleted, for the library counts them among those
)
OUTSIDE = 0xFFFF  # a character outside the Basic Multilingual Plane: no profile has one
OUTSIDE_UPPER = 0xFFFE  # likewise, upper-case

HAN_FIRST, HAN_LAST = "\u3400", "\u9fff"
PHI = np.uint64(0x9E3779B97F4A7C15)


class Detection(NamedTuple):
    """The languages of a batch."""

    language: pa.Array  # string: ISO 639-1 code or `und`, never null
    score: pa.Array  # float64 in [0, 1]: the probability that `language` is right; 0 where no n-gram is known
    second: pa.Array  # string: the likeliest language besides `language`; null where no n-gram is known
    variant: pa.Array  # string: the profile: `zh-cn` or `zh-tw` for Chinese, else as `language`


class Model(NamedTuple):
    """The profiles as flat arrays, as kernels take them."""

    slots: NDArray[np.uint64]  # [2^bits, 2] n-gram key; first entry << 16 | entries << 8 | length. Key 0 is free
    entries: NDArray[np.int32]  # [entries] log-ratio << 6 | profile
    expected: NDArray[np.float64]  # [profiles, 3] log-ratio that text of the language has, an n-gram of 1 … 3
    twins: NDArray[np.int64]  # [profiles] the other profile of the same language, or itself
    latin: NDArray[np.bool_]  # [profiles] written in Latin letters
    characters: NDArray[np.uint16]  # [65536] the class of a character
    upper: NDArray[np.bool_]  # [131072] whether a code point, which a class is, is upper-case
    ascii: NDArray[np.uint8]  # [128] URL, MAIL and MAIL_FIRST bits
    bases: NDArray[np.int8]  # [0x1B1] column of `composed` of a Vietnamese base letter, or -1
    marks: NDArray[np.int8]  # [0x24] row of `composed` of a mark U+0300 + i, or -1
    composed: NDArray[np.int32]  # [5, 24] base and mark as one letter


# ------------------------------------------------------------------------------------------------------------- profiles


def package_folder() -> Path:
    """Return the folder of the installed `langdetect` package, without importing it.

    Raises:
        RuntimeError: It is not installed.
    """
    spec = find_spec("langdetect")
    if spec is None or spec.origin is None:
        raise RuntimeError("language detection needs the profiles of the package langdetect: pip install langdetect")
    return Path(spec.origin).parent


def _messages() -> dict[str, str]:
    """Return the library's character lists (utils/messages.properties)."""
    lines = (package_folder() / "utils" / "messages.properties").read_text(encoding="ascii").splitlines()
    pairs = (line.strip().partition("=") for line in lines)
    return {key: value.encode().decode("unicode_escape") for key, _, value in pairs}


def _character_classes(messages: dict[str, str]) -> NDArray[np.uint16]:
    """Return the class of every character of the Basic Multilingual Plane, as the library's NGram.normalize has it."""
    classes = np.arange(0x10000, dtype=np.uint16)
    classes[:0x80] = SPACE
    for letter in (*range(0x41, 0x5B), *range(0x61, 0x7B)):
        classes[letter] = letter
    classes[0x5B:0x61] = BRACKET
    for character in messages["NGram.LATIN1_EXCLUDE"]:
        classes[ord(character)] = SPACE
    classes[0x0219], classes[0x021B] = 0x015F, 0x0163  # Romanian: comma below as cedilla
    classes[0x2000:0x2070] = SPACE  # General Punctuation
    classes[0x06CC] = 0x064A  # Farsi yeh as Arabic yeh
    classes[0x1EA0:0x1F00] = 0x1EC3  # Latin Extended Additional: the Vietnamese letters
    classes[0x3040:0x30A0] = 0x3042  # Hiragana
    classes[0x30A0:0x3100] = 0x30A2  # Katakana
    classes[0x3100:0x3130] = classes[0x31A0:0x31C0] = 0x3105  # Bopomofo
    classes[0xAC00:0xD7B0] = 0xAC00  # Hangul syllables
    for key, group in messages.items():
        if key.startswith("NGram.KANJI"):
            for character in group:
                classes[ord(character)] = ord(group[0])
    return classes


def _upper_case() -> NDArray[np.bool_]:
    """Return which code points below 0x20000 are upper-case; those that the pinned Unicode version lacks are not."""
    tables = tables_for_kernels()
    upper = np.array([chr(code_point).isupper() for code_point in range(0x20000)])
    blocks = tables.blocks[np.arange(0x20000) >> BLOCK_BITS].astype(np.int64)
    return upper & (tables.classes[(blocks << BLOCK_BITS) + (np.arange(0x20000) & BLOCK_MASK)] != 0)


@njit(cache=True)
def _fill_slots(keys, first, slots):
    """Put n-gram keys (uint64, sorted, never 0) and their ranges of entries into an open-addressing table."""
    mask = np.uint64(len(slots) - 1)
    for i in range(len(keys)):
        slot = _mix(keys[i]) & mask
        while slots[slot, 0] != 0:
            slot = (slot + np.uint64(1)) & mask
        length = 1 + (keys[i] >= np.uint64(1 << 16)) + (keys[i] >= np.uint64(1 << 32))
        slots[slot, 0] = keys[i]
        slots[slot, 1] = (
            np.uint64(first[i]) << np.uint64(16)
            | np.uint64(first[i + 1] - first[i]) << np.uint64(8)
            | np.uint64(length)
        )


@cache
def profile_names() -> tuple[str, ...]:
    """Return the names of the packaged profiles, sorted: 55, with zh-cn and zh-tw."""
    return tuple(sorted(path.name for path in (package_folder() / "profiles").iterdir() if path.name[0] not in "._"))


@cache
def known_languages() -> tuple[str, ...]:
    """Return the ISO 639-1 codes that `detect` can answer, sorted; `und` is not among them."""
    return tuple(sorted({_code(name) for name in profile_names()}))


def _code(profile: str) -> str:
    return profile.partition("-")[0]


@cache
def load_model() -> Model:
    """Read the packaged profiles (2.2 MB of JSON) into arrays (about 5 MB): 0.2 s, once per process."""
    names = profile_names()
    keys, profiles, ratios, expected, latin = [], [], [], [], []
    for index, name in enumerate(names):
        stored = json.loads((package_folder() / "profiles" / name).read_bytes())
        counts = {
            gram: count
            for gram, count in stored["freq"].items()
            if 1 <= len(gram) <= 3 and not (name == "ko" and any(HAN_FIRST <= c <= HAN_LAST for c in gram))
        }
        units = np.frombuffer("".join(gram.ljust(3, "\0") for gram in counts).encode("utf-16-le"), dtype=np.uint16)
        units = units.reshape(-1, 3).astype(np.uint64)
        lengths = np.array([len(gram) for gram in counts])
        # Shares of the whole profile, Han letters in it or not.
        probabilities = np.array(list(counts.values())) / np.array([1, *stored["n_words"]])[lengths]
        log_ratios = np.log((SMOOTHING + probabilities) / SMOOTHING)
        latin.append(float(probabilities[np.array([gram.isascii() for gram in counts]) & (lengths == 1)].sum()) > 0.3)
        keys.append(units[:, 0] | units[:, 1] << np.uint64(16) | units[:, 2] << np.uint64(32))
        profiles.append(np.full(len(counts), index, dtype=np.int32))
        ratios.append(np.rint(log_ratios * UNIT).astype(np.int32))
        expected.append([float((probabilities * log_ratios)[lengths == n].sum()) for n in (1, 2, 3)])
    all_keys, all_profiles, all_ratios = np.concatenate(keys), np.concatenate(profiles), np.concatenate(ratios)
    order = np.lexsort((all_profiles, all_keys))
    unique, first = np.unique(all_keys[order], return_index=True)
    slots = np.zeros((1 << (int(len(unique) * 1.4).bit_length()), 2), dtype=np.uint64)
    _fill_slots(unique, np.append(first, len(order)), slots)

    messages = _messages()
    codes = [_code(name) for name in names]
    twins = [next((j for j in range(len(names)) if j != i and codes[j] == codes[i]), i) for i in range(len(names))]
    upper = _upper_case()
    upper[OUTSIDE], upper[OUTSIDE_UPPER] = False, True
    ascii_bits = np.zeros(128, dtype=np.uint8)
    for bits, characters in ((URL, URL_BYTES), (MAIL, MAIL_BYTES), (MAIL_FIRST, MAIL_BYTES.replace(b".", b""))):
        ascii_bits[list(characters)] |= bits
    bases, marks = np.full(0x1B1, -1, dtype=np.int8), np.full(0x24, -1, dtype=np.int8)
    for column, letter in enumerate(messages["TO_NORMALIZE_VI_CHARS"]):
        bases[ord(letter)] = column
    for row, mark in enumerate(messages["DMARK_CLASS"]):
        marks[ord(mark) - 0x300] = row
    composed = [[ord(c) for c in messages[f"NORMALIZED_VI_CHARS_{ord(m):04X}"]] for m in messages["DMARK_CLASS"]]
    return Model(
        slots=slots,
        entries=all_ratios[order] << 6 | all_profiles[order],
        expected=np.array(expected) * UNIT,
        twins=np.array(twins),
        latin=np.array(latin),
        characters=_character_classes(messages),
        upper=upper,
        ascii=ascii_bits,
        bases=bases,
        marks=marks,
        composed=np.array(composed, dtype=np.int32),
    )


# -------------------------------------------------------------------------------------------------------------- kernels


@njit(cache=True, nogil=True)
def _mix(x):
    """Return the finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection of uint64 that spreads its bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True)
def _url_end(data, begin, end, ascii_bits):
    """Return the byte after ``https?://[-_.?&~;+=/#0-9A-Za-z]{1,2076}`` at `begin`, or `begin` where none begins."""
    if begin + 7 >= end or data[begin + 1] != 116 or data[begin + 2] != 116 or data[begin + 3] != 112:
        return begin
    at = begin + 5 if data[begin + 4] == 115 else begin + 4
    if at + 3 >= end or data[at] != 58 or data[at + 1] != 47 or data[at + 2] != 47:
        return begin
    first = at + 3
    stop = min(end, first + URL_MAX)
    at = first
    while at < stop and data[at] < 128 and ascii_bits[data[at]] & URL:
        at += 1
    return at if at > first else begin


@njit(cache=True, nogil=True)
def _mail_end(data, at_sign, end, ascii_bits):
    """Return the byte after ``@[-_0-9A-Za-z]{1,255}[-_.0-9A-Za-z]{1,255}`` at `at_sign`, or `at_sign` where it fails.

    A URL inside has become a space by then, so that it ends the address.
    """
    first = at_sign + 1
    at = first
    stop = min(end, first + DOMAIN_MAX)
    while at < stop and data[at] < 128 and ascii_bits[data[at]] & MAIL_FIRST:
        if data[at] == 104 and _url_end(data, at, end, ascii_bits) > at:
            end = at
            break
        at += 1
    if at == first:
        return at_sign
    rest = at
    stop = min(end, rest + DOMAIN_MAX)
    while at < stop and data[at] < 128 and ascii_bits[data[at]] & MAIL:
        if data[at] == 104 and _url_end(data, at, end, ascii_bits) > at:
            break
        at += 1
    return at if at > rest or rest - first >= 2 else at_sign


@njit(cache=True, nogil=True)
def _clean(data, begin, end, model, out, count):
    """Append the character classes of ``data[begin:end]`` to ``out[count:]``, without URLs, mail addresses and marks.

    Returns:
        (elements of `out` used, characters from A to z, weighted characters of other scripts)
    """
    characters, ascii_bits = model.characters, model.ascii
    bases, marks, composed = model.bases, model.marks, model.composed
    first = count
    latin = 0
    other = 0
    barrier = begin  # no mail address begins before it
    at = begin
    while at < end:
        byte = int(data[at])
        if byte < 128:
            if byte == 104:  # h
                stop = _url_end(data, at, end, ascii_bits)
                if stop > at:
                    out[count] = SPACE
                    count += 1
                    at = barrier = stop
                    continue
            elif byte == 64 and at > barrier:  # @
                local = at
                lowest = max(barrier, at - LOCAL_MAX)
                while local > lowest and data[local - 1] < 128 and ascii_bits[data[local - 1]] & MAIL:
                    local -= 1
                stop = _mail_end(data, at, end, ascii_bits) if local < at else at
                if stop > at:
                    for k in range(local, at):
                        latin -= int(65 <= data[k] <= 122)
                    count -= at - local
                    out[count] = SPACE
                    count += 1
                    at = barrier = stop
                    continue
            latin += int(65 <= byte <= 122)
            out[count] = characters[byte]
            count += 1
            at += 1
            continue
        code_point, width = decode(data, at, end)
        at += width
        if code_point >= 0x10000:
            other += DENSE_WEIGHT if code_point >= 0x20000 else 1
            out[count] = OUTSIDE_UPPER if code_point < 0x20000 and model.upper[code_point] else OUTSIDE
            count += 1
            continue
        if code_point >= 0x300:
            if code_point <= 0x323 and marks[code_point - 0x300] >= 0 and count > first:
                base = out[count - 1]
                if base < len(bases) and bases[base] >= 0:
                    latin -= base < 128
                    letter = composed[marks[code_point - 0x300], bases[base]]
                    out[count - 1] = characters[letter]
                    continue
            if _is_dense(code_point):
                other += DENSE_WEIGHT
            else:
                other += code_point < 0x1E00 or code_point > 0x1EFF
        out[count] = characters[code_point]
        count += 1
    return count, latin, other


@njit(cache=True, nogil=True)
def _is_dense(code_point):
    """Say whether a character stands for a syllable or a word: Kana, Bopomofo, Han, Hangul."""
    return (
        0x3040 <= code_point <= 0x318F
        or 0x31A0 <= code_point <= 0x31BF
        or 0x3400 <= code_point <= 0x4DBF
        or 0x4E00 <= code_point <= 0x9FFF
        or 0xAC00 <= code_point <= 0xD7AF
        or 0xF900 <= code_point <= 0xFAFF
    )


@njit(cache=True, nogil=True)
def _squeeze(out, count, latin, other):
    """Leave out the letters of the lesser script of a mixed text, and make runs of spaces one.

    Args:
        out: uint16[:], character classes, edited in place.
        count: Elements of `out` used.
        latin: Characters from A to z among them, as the library counts.
        other: Weighted characters of other scripts.

    Returns:
        The elements of `out` left.
    """
    drop_latin = latin < LETTERS_PER_LETTER * other
    drop_other = not drop_latin and latin < LETTERS_PER_LETTER * MIXED * other
    kept = 0
    last = np.uint16(SPACE)
    for k in range(count):
        value = out[k]
        if drop_latin and 65 <= value <= 122:
            continue
        if value == BRACKET or (drop_other and value >= 0x300 and (value < 0x1E00 or value > 0x1EFF)):
            value = np.uint16(SPACE)
        out[kept] = value
        kept += value != SPACE or last != SPACE
        last = value
    return kept


@njit(cache=True, nogil=True)
def _read(data, begin, end, model, out):
    """Clean one document, or its windows, into `out`; return the positions of its cleaned text."""
    size = end - begin
    if size <= WINDOW_BYTES * WINDOWS:
        count, latin, other = _clean(data, begin, end, model, out, 0)
        return _squeeze(out, count, latin, other)
    count = 0
    latin = 0
    other = 0
    for window in range(WINDOWS):
        first = begin + (size - WINDOW_BYTES) * window // (WINDOWS - 1)
        last = first + WINDOW_BYTES
        while first < end and data[first] & 0xC0 == 0x80:
            first += 1
        while last < end and data[last] & 0xC0 == 0x80:
            last += 1
        if window > 0:
            out[count] = SPACE
            count += 1
        count, more_latin, more_other = _clean(data, first, last, model, out, count)
        latin += more_latin
        other += more_other
    return _squeeze(out, count, latin, other)


@njit(cache=True, nogil=True)
def _sample(text, size, model, grams, looked):
    """Collect the known n-grams at the sampled positions of a cleaned text.

    Args:
        text: uint16[:], character classes.
        size: Its positions.
        model: The model.
        grams: uint64[:], receives for each known n-gram the second column of its slot, bit 63 set where it ends in an
            ASCII letter.
        looked: int64[2, 3], receives how many n-grams of 1 … 3 characters there were, known or not; row 1: of those
            that end in an ASCII letter.

    Returns:
        The number of known n-grams.
    """
    slots, upper = model.slots, model.upper
    mask = np.uint64(len(slots) - 1)
    looked[:] = 0
    found = 0
    for k in range(min(size, POSITIONS)):
        at = k
        if size > POSITIONS:
            at = (k * size + np.int64(_mix(np.uint64(k + 1) * PHI) >> np.uint64(33)) % size) // POSITIONS
        last = text[at]
        middle = text[at - 1] if at > 0 else np.uint16(SPACE)
        first = text[at - 2] if at > 1 else np.uint16(SPACE)
        if upper[last] and upper[middle]:
            continue
        in_ascii = np.int64(last < 128 and last != SPACE)
        for length in range(1, 4):
            if length == 1:
                if last == SPACE:
                    continue
                key = np.uint64(last)
            elif length == 2:
                if last == SPACE and middle == SPACE:
                    break
                key = np.uint64(middle) | np.uint64(last) << np.uint64(16)
            else:
                if middle == SPACE:
                    break
                key = np.uint64(first) | np.uint64(middle) << np.uint64(16) | np.uint64(last) << np.uint64(32)
            looked[in_ascii, length - 1] += 1
            slot = _mix(key) & mask
            while slots[slot, 0] != key and slots[slot, 0] != 0:
                slot = (slot + np.uint64(1)) & mask
            if slots[slot, 0] == key:
                grams[found] = slots[slot, 1] | np.uint64(in_ascii) << np.uint64(63)
                found += 1
    return found


@njit(cache=True, nogil=True)
def _trial(grams, found, trial, model, sums, shares):
    """Draw n-grams until one language leads, and add each profile's share of the posterior to `shares`.

    Returns:
        (best profile, whether its language's share is above SHARE_TO_END)
    """
    entries, twins = model.entries, model.twins
    phase = _mix(np.uint64(trial + 1) * PHI)
    profiles = len(sums)
    sums[:] = 0
    draw = 0
    while True:
        random = _mix(phase + np.uint64(draw + 1) * PHI) >> np.uint64(32)
        gram = grams[(random * np.uint64(found)) >> np.uint64(32)]
        first = np.int64((gram & np.uint64(0x7FFFFFFFFFFFFFFF)) >> np.uint64(16))
        for k in range(first, first + np.int64((gram >> np.uint64(8)) & np.uint64(255))):
            sums[entries[k] & 63] += entries[k] >> np.int32(6)
        if draw % 5 == 0:
            top = sums[0]
            for p in range(1, profiles):
                top = max(top, sums[p])
            floor = np.int32(top - LEAD_TO_END)
            near = np.int32(0)
            for p in range(profiles):
                near += np.int32(sums[p] > floor)
            best = 0
            while sums[best] != top:
                best += 1
            if near == 1 or (near == 2 and twins[best] != best) or draw >= DRAWS:
                total = 0.0
                for p in range(profiles):
                    total += math.exp((sums[p] - top) / UNIT)
                lead = 1.0
                if twins[best] != best:
                    lead += math.exp((sums[twins[best]] - top) / UNIT)
                if lead / total > SHARE_TO_END or draw >= DRAWS:
                    break
        draw += 1
    for p in range(profiles):
        shares[p] += math.exp((sums[p] - top) / UNIT) / total
    return best, lead / total > SHARE_TO_END


@njit(cache=True, nogil=True)
def _fit(grams, found, looked, profile, model):
    """Return (fit, fit of trigrams, n-grams counted) of the sample to one profile.

    Fit is the sum of the profile's log-ratios over what its own text would have for as many n-grams of each length:
    about 1 for text of the language. N-grams of Latin letters do not count against a language of another script.
    """
    entries, expectation = model.entries, model.expected
    skip = not model.latin[profile]
    reached = np.zeros(3)
    for k in range(found):
        gram = grams[k]
        if skip and gram >> np.uint64(63):
            continue
        first = np.int64((gram & np.uint64(0x7FFFFFFFFFFFFFFF)) >> np.uint64(16))
        ratio = np.int32(0)
        for e in range(first, first + np.int64((gram >> np.uint64(8)) & np.uint64(255))):
            ratio += (entries[e] >> np.int32(6)) * np.int32(entries[e] & np.int32(63) == profile)
        reached[np.int64(gram & np.uint64(255)) - 1] += ratio
    counted = 0
    expected = 0.0
    for n in range(3):
        count = looked[0, n] if skip else looked[0, n] + looked[1, n]
        counted += count
        expected += count * expectation[profile, n]
    trigrams = looked[0, 2] if skip else looked[0, 2] + looked[1, 2]
    fit = reached.sum() / expected if expected > 0 else 0.0
    fit3 = reached[2] / (trigrams * expectation[profile, 2]) if trigrams > 0 else fit
    return fit, fit3, counted


@njit(cache=True, nogil=True)
def _detect_batch(data, offsets, model, best, second, numbers):
    """Find the best and second profile of every document (-1: none), and the four numbers that the score is made of."""
    longest = 0
    for i in range(len(offsets) - 1):
        longest = max(longest, min(offsets[i + 1] - offsets[i], (WINDOW_BYTES + 4) * WINDOWS))
    text = np.empty(longest + WINDOWS, dtype=np.uint16)
    grams = np.empty(3 * POSITIONS, dtype=np.uint64)
    looked = np.zeros((2, 3), dtype=np.int64)
    profiles = len(model.twins)
    sums = np.zeros(profiles, dtype=np.int32)
    shares = np.zeros(profiles)
    for i in range(len(offsets) - 1):
        best[i] = -1
        second[i] = -1
        size = _read(data, offsets[i], offsets[i + 1], model, text)
        found = _sample(text, size, model, grams, looked)
        if found == 0:
            continue
        shares[:] = 0.0
        trials = FEW_TRIALS
        leader = -1
        agreed = True
        for t in range(FEW_TRIALS):
            winner, ended = _trial(grams, found, t, model, sums, shares)
            agreed = agreed and ended and (t == 0 or winner == leader or winner == model.twins[leader])
            leader = winner
        if not agreed:
            trials = MANY_TRIALS
            for t in range(FEW_TRIALS, MANY_TRIALS):
                _trial(grams, found, t, model, sums, shares)
        top = -1
        top_share = -1.0
        runner_up = -1
        for p in range(profiles):
            share = shares[p] if model.twins[p] == p else shares[p] + shares[model.twins[p]]
            if share > top_share:
                runner_up = top
                top = p
                top_share = share
        runner_share = -1.0
        for p in range(profiles):
            share = shares[p] if model.twins[p] == p else shares[p] + shares[model.twins[p]]
            if p != top and p != model.twins[top] and share > runner_share:
                runner_up = p
                runner_share = share
        if shares[model.twins[top]] > shares[top]:
            top = model.twins[top]
        fit, fit3, counted = _fit(grams, found, looked, top, model)
        best[i] = top
        second[i] = runner_up
        numbers[i, 0] = top_share / trials
        numbers[i, 1] = fit
        numbers[i, 2] = fit3
        numbers[i, 3] = counted


# ---------------------------------------------------------------------------------------------------------------- Arrow


class Measured(NamedTuple):
    """What the kernel finds in a batch, before calibration."""

    best: NDArray[np.int64]  # [documents] index into `profile_names()`, -1 where no n-gram is known
    second: NDArray[np.int64]  # [documents] likewise, of the next language
    numbers: NDArray[np.float64]  # [documents, 4] share, fit, fit of trigrams, n-grams


def measure(text: pa.Array) -> Measured:
    """Find the best profile of every document and the numbers its score is made of; a null text has none."""
    data, offsets = string_buffers(text)
    count = len(offsets) - 1
    measured = Measured(np.empty(count, np.int64), np.empty(count, np.int64), np.zeros((count, 4)))
    _detect_batch(data, offsets, load_model(), *measured)
    return measured


def calibration_inputs(measured: Measured) -> NDArray[np.float64]:
    """Return the inputs of the logistic model, [documents, 7], in the order of `CALIBRATION`."""
    share, fit, fit3, grams = measured.numbers.T
    own = np.array([_code(name) in OWN_SCRIPT for name in profile_names()] + [False])[measured.best]
    fit, fit3 = np.where(own, 1.0, fit), np.where(own, 1.0, fit3)
    length = np.minimum(np.log(np.maximum(grams, 1)), LONGEST)
    return np.stack([np.ones_like(share), share, fit, fit3, length, fit * length, fit3 * length], axis=1)


def score_of(measured: Measured) -> NDArray[np.float64]:
    """Return the calibrated probability of every answer, 0 where there is none."""
    probability = 1 / (1 + np.exp(-(calibration_inputs(measured) @ np.array(CALIBRATION))))
    return np.round(np.where(measured.best >= 0, probability, 0.0), 6).astype(np.float64)


def detect(text: pa.Array, backend: str = "profiles") -> Detection:
    """Detect the language of every document.

    Args:
        text: String array; a null is undecidable.
        backend: `profiles` (this module's kernel), `langdetect` (the library itself, seeded by the text; a hundred
            times slower) or `py3langid` (97 languages; needs the extra `languages`).

    Raises:
        TypeError: `text` is not a string array.
        ValueError: There is no such backend.
        RuntimeError: The backend's package is not installed.
    """
    if backend != "profiles":
        return _detect_one_by_one(text, backend)
    measured = measure(text)
    score = score_of(measured)
    names = np.array([*profile_names(), UNDECIDED], dtype=object)
    codes = np.array([*map(_code, profile_names()), None], dtype=object)
    accepted = (measured.best >= 0) & (score >= ACCEPT)
    return Detection(
        pa.array(np.where(accepted, codes[measured.best], UNDECIDED), pa.string()),
        pa.array(score, pa.float64()),
        pa.array(np.where(accepted, codes[measured.second], codes[measured.best]), pa.string()),
        pa.array(np.where(accepted, names[measured.best], UNDECIDED), pa.string()),
    )


def _detect_one_by_one(text: pa.Array, backend: str) -> Detection:
    """Ask a library for one document after another."""
    if backend not in BACKENDS:
        raise ValueError(f"no language backend {backend!r}: choose one of {', '.join(['profiles', *BACKENDS])}")
    ask = BACKENDS[backend]()
    answers = [ask(document) if document else [] for document in text.to_pylist()]
    best = [answer[0] if answer else (UNDECIDED, 0.0) for answer in answers]
    others = [[_code(name) for name, _ in answer[1:] if _code(name) != _code(answer[0][0])] for answer in answers]
    return Detection(
        pa.array([_code(name) for name, _ in best], pa.string()),
        pa.array([share for _, share in best], pa.float64()),
        pa.array([other[0] if other else None for other in others], pa.string()),
        pa.array([name for name, _ in best], pa.string()),
    )


Ask = Callable[[str], list[tuple[str, float]]]


def _langdetect() -> Ask:
    """Return `langdetect` itself, its random numbers seeded by a digest of the text."""
    from langdetect import detector_factory
    from langdetect.lang_detect_exception import LangDetectException

    detector_factory.init_factory()
    factory: Any = detector_factory._factory

    def ask(document: str) -> list[tuple[str, float]]:
        detector = factory.create()
        detector.seed = int.from_bytes(hashlib.blake2b(document.encode(), digest_size=8).digest(), "little")
        detector.append(document)
        try:
            return [(found.lang, found.prob) for found in detector.get_probabilities()]
        except LangDetectException:
            return []

    return ask


def _py3langid() -> Ask:
    """Return the classifier of `py3langid`."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise RuntimeError("the backend py3langid needs the extra: pip install winnow-corpus[languages]") from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def ask(document: str) -> list[tuple[str, float]]:
        return [(name, float(share)) for name, share in identifier.rank(document)[:2]]

    return ask


BACKENDS: dict[str, Callable[[], Ask]] = {"langdetect": _langdetect, "py3langid": _py3langid}
