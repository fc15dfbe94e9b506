"""The language of a document, by the profiles that the `langdetect` package ships (55 profiles, 54 languages).

Definition. The answer is that of `langdetect` 1.0.9 (Shuyo Nakatani's language-detection, Apache-2.0) with
``DetectorFactory.seed = 0``, step by step:

1. *Text read.* URLs and mail addresses become spaces, Vietnamese letters are composed, and the first `MAX_CHARACTERS`
   characters are read. Latin letters are deleted where other letters are more than twice as many. Characters are
   mapped onto classes; runs of spaces are one.
2. *N-grams.* Of 1 … 3 characters, those that a profile has; none that ends in the second of two capitals.
3. *Trials.* The library draws n-grams with Python's Mersenne Twister until one profile has more than 0.99999 of the
   posterior, looked at every fifth draw, or a thousand draws are done; a draw multiplies a profile's share by w +
   p(n-gram), p held to 24 bits, w = (0.5 + 0.05 · z) / 10 000, z normal. There are `TRIALS` trials, each with its z,
   whose shares are averaged. A seed fixes the generator's words, so that the *same* words serve every document: they
   are computed once (`RANDOM_WORDS` of them) and the draws of a document depend on its own n-grams only. The profile
   with the largest mean share is the answer; zh-cn and zh-tw are two profiles of one language.
4. *Score.* The library's share is near 1 for almost anything, Latin or Klingon. So a second number says whether the
   text is in a language that has a profile at all: a logistic model of the share, of how well the n-grams fit the
   language (the summed log-ratios log((w + p) / w) of up to `FITTED` of them, evenly spread, over what the language's
   own profile expects of as many), of the same for trigrams alone, and of how many there were. Of a text in two
   scripts (the lesser has more than `MIXED_SHARE` of the letters) fit says little, and does not count. The model was
   fitted on labelled sentences and on documents, with one text in ten in a language that has no profile
   (`benchmarks/language.py --calibrate`). ``score`` is its probability times the share of the answer.
5. *Undecidable* is `und`: no known n-gram (digits, emoji, null), or a probability below `ACCEPT`.

`one_script` reads otherwise. The library keeps Latin letters of a text unless others are more than twice as many, so
that a Chinese page with as many letters of English in it becomes Vietnamese or Norwegian; and it knows a long text by
its beginning. With `one_script`, a text of more than `WINDOW_BYTES` × `WINDOWS` bytes of UTF-8 is read in that many
windows, evenly spread, each moved to the next character boundary, joined by a space; and of a text in two scripts one
is read: Latin letters are deleted where they are fewer than twice the other letters (four times, for Kana, Han and
Hangul), and other letters become spaces where Latin letters are more than that, but fewer than `MIXED` times as many.
The Korean profile is read without its n-grams with Han letters, which outnumber the Chinese profiles' and make short
Chinese text Korean.

Scores are rounded to 10⁻⁶. The result is a function of the text: not of order, batch, worker or Python version.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import json
import math
import random
import string
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels import njit
from udfs.tokens import string_buffers, tables_for_kernels
from udfs.unicode import BLOCK_BITS, BLOCK_MASK, decode

UNDECIDED = "und"
DEFINITION_VERSION = 3

MAX_CHARACTERS = 10_000  # the library's max_text_length
TRIALS = 7  # the library's n_trial
DRAWS = 1000  # its ITERATION_LIMIT
SHARE_TO_END = 0.99999  # its CONV_THRESHOLD
ALPHA, ALPHA_WIDTH, BASE_FREQUENCY = 0.5, 0.05, 10_000.0
SEED = 0
RANDOM_WORDS = 1 << 16  # a trial takes two for each draw at most on average, and four for its z
WINDOW_BYTES = 2048
WINDOWS = 8
FITTED = 512

SMOOTHING = ALPHA / BASE_FREQUENCY

# Calibration (see 4 above): weights of 1, share, fit, trigram fit, length, fit · length, trigram fit · length, uncapped
# length, and the logarithms of fit and trigram fit.
CALIBRATION = (30.245, 9.444, -33.079, -6.238, -4.777, 1.455, 4.028, 0.563, 17.3, 0.81)
MIXED_SHARE = 0.05
LEAST_FIT = 0.01
# A text is mixed where Latin letters are fewer than LETTERS_PER_LETTER · MIXED times the letters of other scripts.
LETTERS_PER_LETTER = 2  # Latin letters that count as much as one letter of another script
DENSE_WEIGHT = 2  # letters of another script that a Kana, Bopomofo, Han or Hangul character counts for
MIXED = 8
LONGEST = 7.0  # length is the natural logarithm of the number of n-grams, at most this
ACCEPT = 0.06
# Languages whose script no other language of the web shares: the script is the evidence, not how well the n-grams fit.
# Chinese and Japanese profiles know few of the thousands of n-grams of their text, so that their fit says little.
OWN_SCRIPT = frozenset({"bn", "el", "gu", "ja", "kn", "ko", "ml", "pa", "ta", "te", "th", "zh"})

URL_BYTES = b"-_.?&~;+=/#0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MAIL_BYTES = b"-_.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
URL, MAIL, MAIL_FIRST = 1, 2, 4
URL_MAX, LOCAL_MAX, DOMAIN_MAX = 2076, 64, 255

SPACE = 32
# Classes that become a space once letters are counted: the library counts [ \ ] ^ _ ` among Latin letters, and general
# punctuation among the others.
BRACKET = 91
PUNCTUATION = 0x2000
HAN_FIRST, HAN_LAST = 0x3400, 0x9FFF
OUTSIDE = 0xFFFF  # a character outside the Basic Multilingual Plane: no profile has one
OUTSIDE_UPPER = 0xFFFE  # likewise, upper-case

PHI = np.uint64(0x9E3779B97F4A7C15)
IN_ASCII = 1 << 30
BY_NUMBERS = 1 << 29
RARE = 63  # as a number, and the bits of one
CAPITAL_SHIFT, LETTER_SHIFT, UNNUMBERED_SHIFT, ASCII_SHIFT = 6, 7, 8, 30
SECOND_COUNT, THIRD_COUNT = 21, 42  # three counts in one number, each below 2²¹: a text has fewer positions
CROWDED = 12  # profiles that have an n-gram from which on its probabilities are stored for all
IN_DENSE = 63
AHEAD = 32  # draws that are looked up together


class Detection(NamedTuple):
    """The languages of a batch."""

    language: pa.Array  # string: ISO 639-1 code or `und`, never null
    score: pa.Array  # float64 in [0, 1]: how likely `language` is right; 0 where no n-gram is known
    second: pa.Array  # string: the likeliest language besides `language`; null where no n-gram is known
    variant: pa.Array  # string: the profile: `zh-cn` or `zh-tw` for Chinese, else as `language`


class Model(NamedTuple):
    """The profiles as flat arrays, as kernels take them."""

    keys: NDArray[np.uint64]  # [2^bits] n-gram; 0: free
    values: NDArray[np.int32]  # [2^bits] where its probabilities are: first entry << 8 | entries << 2 | length, or
    # row of `dense` << 8 | IN_DENSE << 2 | length
    traits: NDArray[np.uint32]  # [65536] class → its number among letters of ASCII and the space, else `RARE`; and
    # bits, named by the shifts above: a capital, anything but a blank, without a number, a letter of ASCII
    common: NDArray[np.int32]  # [3, 64³] the same of n-grams of 1 … 3 numbered classes, -1 where no profile has one
    known: NDArray[np.uint64]  # [3, 64²] whether one has it, a bit each
    owners: NDArray[np.uint8]  # [entries] profile
    shares: NDArray[np.float32]  # [entries] probability of the n-gram among those of its length
    dense: NDArray[np.float32]  # [rows, profiles rounded up to fours] the same of n-grams that many profiles have
    dense_ratios: NDArray[np.float32]  # [rows, likewise] their log-ratios
    ratios: NDArray[np.float32]  # [entries] log((w + p) / w)
    random: NDArray[np.uint32]  # [RANDOM_WORDS] what the library's generator gives for its seed
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
    classes[0x2000:0x2070] = PUNCTUATION
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
def _fill_slots(grams, packed, keys, values):
    """Put n-grams (uint64, sorted, never 0) and where their probabilities are into an open-addressing table."""
    mask = np.uint64(len(keys) - 1)
    for i in range(len(grams)):
        slot = _mix(grams[i]) & mask
        while keys[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        keys[slot] = grams[i]
        values[slot] = packed[i]


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


def _dense_rows(
    owners: NDArray[np.uint8],
    shares: NDArray[np.float32],
    first: NDArray[np.int64],
    entries: NDArray[np.int64],
    profiles: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the probabilities of the n-grams that at least `CROWDED` profiles have, [rows, profiles rounded up to
    fours], and the row of each n-gram, or -1."""
    crowded = np.flatnonzero(entries >= CROWDED)
    dense = np.zeros((len(crowded), -(-profiles // 4) * 4), dtype=np.float32)
    for row, gram in enumerate(crowded):
        of_gram = slice(first[gram], first[gram] + entries[gram])
        dense[row, owners[of_gram]] = shares[of_gram]
    places = np.full(len(first), -1)
    places[crowded] = np.arange(len(crowded))
    return dense, places


def _traits(numbers: NDArray[np.uint8], upper: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Return what `_collect` asks of a class, in one look."""
    classes = np.arange(0x10000)
    letter = ~np.isin(classes, (SPACE, BRACKET, PUNCTUATION))
    traits: NDArray[np.uint32] = np.where(letter, numbers, numbers[SPACE]).astype(np.uint32)
    for bit, shift in (
        (upper[:0x10000] & letter, CAPITAL_SHIFT),
        (letter, LETTER_SHIFT),
        (letter & (numbers == RARE), UNNUMBERED_SHIFT),
        (letter & (classes < 128), ASCII_SHIFT),
    ):
        traits |= np.left_shift(bit.astype(np.uint32), np.uint32(shift))
    return traits


def _random_words() -> NDArray[np.uint32]:
    """Return the first words of Python's Mersenne Twister for the seed."""
    generator = random.Random(SEED)
    return np.array([generator.getrandbits(32) for _ in range(RANDOM_WORDS)], dtype=np.uint32)


@cache
def load_model(one_script: bool = False) -> Model:
    """Read the packaged profiles (2.2 MB of JSON) into arrays (about 10 MB): 0.3 s, once per process.

    With `one_script`, n-grams with Han letters weigh nothing in the Korean profile.
    """
    names = profile_names()
    keys, profiles, shares, ratios, expected, latin = [], [], [], [], [], []
    for index, name in enumerate(names):
        stored = json.loads((package_folder() / "profiles" / name).read_bytes())
        counts = {gram: count for gram, count in stored["freq"].items() if 1 <= len(gram) <= 3}
        units = np.frombuffer("".join(gram.ljust(3, "\0") for gram in counts).encode("utf-16-le"), dtype=np.uint16)
        units = units.reshape(-1, 3).astype(np.uint64)
        lengths = np.array([len(gram) for gram in counts])
        probabilities = np.array(list(counts.values())) / np.array([1, *stored["n_words"]])[lengths]
        if one_script and name == "ko":
            probabilities[((units >= HAN_FIRST) & (units <= HAN_LAST)).any(axis=1)] = 0.0
        log_ratios = np.log((SMOOTHING + probabilities) / SMOOTHING)
        latin.append(float(probabilities[np.array([gram.isascii() for gram in counts]) & (lengths == 1)].sum()) > 0.3)
        keys.append(units[:, 0] | units[:, 1] << np.uint64(16) | units[:, 2] << np.uint64(32))
        profiles.append(np.full(len(counts), index, dtype=np.uint8))
        shares.append(probabilities)
        ratios.append(log_ratios)
        expected.append([float((probabilities * log_ratios)[lengths == n].sum()) for n in (1, 2, 3)])
    all_keys, all_profiles = np.concatenate(keys), np.concatenate(profiles)
    order = np.lexsort((all_profiles, all_keys))
    unique, first = np.unique(all_keys[order], return_index=True)
    owners, all_shares = all_profiles[order], np.concatenate(shares)[order].astype(np.float32)
    entries = np.diff(first, append=len(order))
    dense, places = _dense_rows(owners, all_shares, first, entries, len(names))
    lengths = 1 + (unique >= 1 << 16).astype(np.int64) + (unique >= 1 << 32)
    packed = np.where(places < 0, first << 8 | entries << 2, places << 8 | IN_DENSE << 2) | lengths
    slots = np.zeros(1 << (2 * len(unique)).bit_length(), dtype=np.uint64)
    values = np.zeros(len(slots), dtype=np.int32)
    _fill_slots(unique, packed, slots, values)
    numbers = np.full(0x10000, RARE, dtype=np.uint8)
    for number, letter in enumerate(" " + string.ascii_letters):
        numbers[ord(letter)] = number
    common = np.full((3, 1 << 18), -1, dtype=np.int32)
    for n in (1, 2, 3):
        grams = unique[lengths == n]
        codes = [numbers[(grams >> np.uint64(16 * k) & np.uint64(0xFFFF)).astype(np.int64)] for k in range(n)]
        numbered = np.all(np.stack(codes) != RARE, axis=0)
        cells = sum(code[numbered].astype(np.int64) << 6 * (n - 1 - k) for k, code in enumerate(codes))
        common[n - 1, cells] = packed[lengths == n][numbered]

    messages = _messages()
    spoken = [_code(name) for name in names]
    twins = [next((j for j in range(len(names)) if j != i and spoken[j] == spoken[i]), i) for i in range(len(names))]
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
        keys=slots,
        values=values,
        traits=_traits(numbers, upper),
        common=common,
        known=np.packbits(common >= 0, axis=1, bitorder="little").view("<u8").astype(np.uint64),
        owners=owners,
        shares=all_shares,
        dense=dense,
        dense_ratios=np.log((SMOOTHING + dense.astype(np.float64)) / SMOOTHING).astype(np.float32),
        ratios=np.concatenate(ratios)[order].astype(np.float32),
        random=_random_words(),
        expected=np.array(expected),
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
def _clean(data, begin, end, model, out, count, limit):
    """Append the character classes of ``data[begin:end]`` to ``out[count:limit]``, without URLs and mail addresses.

    A mail address may still begin before `limit` when it is reached: up to `LOCAL_MAX` more are written.

    Returns:
        Elements of `out` used, at most `limit`.
    """
    characters, ascii_bits = model.characters, model.ascii
    bases, marks, composed = model.bases, model.marks, model.composed
    first = count
    barrier = begin  # no mail address begins before it
    at = begin
    while at < end and count <= limit + LOCAL_MAX:
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
                    count -= at - local
                    out[count] = SPACE
                    count += 1
                    at = barrier = stop
                    continue
            # Letters up to the next that may begin something else.
            stop = min(end, at + limit + LOCAL_MAX + 1 - count)
            while True:
                out[count] = characters[byte]
                count += 1
                at += 1
                if at >= stop:
                    break
                byte = int(data[at])
                if byte >= 128 or byte == 104 or byte == 64:
                    break
            continue
        code_point, width = decode(data, at, end)
        at += width
        if code_point >= 0x10000:
            out[count] = OUTSIDE_UPPER if code_point < 0x20000 and model.upper[code_point] else OUTSIDE
            count += 1
            continue
        if 0x300 <= code_point <= 0x323 and marks[code_point - 0x300] >= 0 and count > first:
            base = out[count - 1]
            if base < len(bases) and bases[base] >= 0:
                letter = composed[marks[code_point - 0x300], bases[base]]
                out[count - 1] = characters[letter]
                continue
        out[count] = characters[code_point]
        count += 1
    return min(count, limit)


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
def _of_one_script(out, count, one_script):
    """Leave out the letters of the lesser script of a text in two.

    Args:
        out: uint16[:], character classes, edited in place.
        count: Elements of `out` used.
        one_script: Whether one script is chosen in every mixed text, or only Latin letters in a text of another script
            left out.

    Returns:
        (elements of `out` left, share of the lesser script among the letters that are left)
    """
    latin = 0
    other = 0
    for k in range(count):
        value = out[k]
        latin += 65 <= value <= 122
        other += value >= 0x300 and (value < 0x1E00 or value > 0x1EFF)
    if one_script and other > 0:
        for k in range(count):
            other += (DENSE_WEIGHT - 1) * _is_dense(out[k])
    drop_latin = latin < LETTERS_PER_LETTER * other if one_script else 2 * latin < other
    drop_other = one_script and not drop_latin and latin < LETTERS_PER_LETTER * MIXED * other
    lesser = 0.0 if drop_latin or drop_other else min(latin, other) / max(latin + other, 1)
    if not drop_latin and not drop_other:
        return count, lesser
    kept = 0
    for k in range(count):
        value = out[k]
        if drop_latin and 65 <= value <= 122:
            continue
        dropped = drop_other and value >= 0x300 and (value < 0x1E00 or value > 0x1EFF)
        out[kept] = SPACE if dropped else value
        kept += 1
    return kept, lesser


@njit(cache=True, nogil=True)
def _read(data, begin, end, model, one_script, out):
    """Clean one document into `out`; return its positions and the share of its lesser script."""
    size = end - begin
    if not one_script:
        count = _clean(data, begin, end, model, out, 0, MAX_CHARACTERS)
        return _of_one_script(out, count, one_script)
    limit = len(out) - LOCAL_MAX - 2
    if size <= WINDOW_BYTES * WINDOWS:
        count = _clean(data, begin, end, model, out, 0, limit)
        return _of_one_script(out, count, one_script)
    count = 0
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
        count = _clean(data, first, last, model, out, count, limit)
    return _of_one_script(out, count, one_script)


@njit(cache=True, nogil=True)
def _slot_of(key, model):
    """Return the slot of an n-gram (int32), -1 where no profile has it."""
    keys = model.keys
    mask = np.uint64(len(keys) - 1)
    slot = _mix(key) & mask
    while keys[slot] != key:
        if keys[slot] == 0:
            return np.int32(-1)
        slot = (slot + np.uint64(1)) & mask
    return np.int32(slot)


@njit(cache=True, nogil=True)
def _collect(text, size, model, grams, looked):
    """Collect the known n-grams of a cleaned text, in the library's order.

    Most texts are of numbered classes, and most of their n-grams are never looked at again: whether a profile has one
    is a bit, and where its entries are is left to `_value_of_gram`. Words end where no processor foretells it: no
    branch depends on that. A space after a space adds nothing, so that runs of them are left as they are.

    Args:
        text: uint16[:], character classes.
        size: Its positions.
        model: The model.
        grams: int32[:], receives what `_value_of_gram` takes for each known n-gram; has room for three more.
        looked: int64[2, 3], receives how many n-grams of 1 … 3 characters there were, known or not; row 1: of those
            that end in an ASCII letter.

    Returns:
        The number of known n-grams.
    """
    traits, known = model.traits, model.known
    known1, known2, known3 = known[0], known[1], known[2]
    one, six, low = np.uint64(1), np.uint64(6), np.uint64(63)
    counts = counts_in_ascii = np.uint64(0)  # of n-grams of 1 … 3 characters
    found = np.uint64(0)
    first = np.uint64(SPACE)
    middle = np.uint64(SPACE)
    after_letter = np.uint64(0)  # whether `middle` is no space
    before = np.uint64(0)  # whether it is a capital
    place = np.uint64(0)
    rare = np.uint64(0)  # of the last three characters, those without a number, as bits
    for at in range(np.uint64(size)):
        last = np.uint64(text[at])
        trait = np.uint64(traits[last])
        last = last if trait >> np.uint64(LETTER_SHIFT) & one else np.uint64(SPACE)
        place = (place << six | trait & low) & np.uint64(0x3FFFF)
        rare = (rare << one | trait >> np.uint64(UNNUMBERED_SHIFT) & one) & np.uint64(7)
        capital = trait >> np.uint64(CAPITAL_SHIFT) & one
        letter = trait >> np.uint64(LETTER_SHIFT) & one
        taken = (capital & before) ^ one
        take1 = taken & letter
        take2 = taken & (letter | after_letter)
        take3 = taken & after_letter
        taken_now = take1 | take2 << np.uint64(SECOND_COUNT) | take3 << np.uint64(THIRD_COUNT)
        counts += taken_now
        counts_in_ascii += taken_now * (trait >> np.uint64(ASCII_SHIFT))
        flag = np.int32(trait & np.uint64(IN_ASCII))
        if rare == 0:
            flag |= np.int32(BY_NUMBERS)
            number, pair = place & low, place & np.uint64(0xFFF)
            grams[found] = np.int32(number) | np.int32(1 << 18) | flag
            found += take1 & (known1[0] >> number)
            grams[found] = np.int32(pair) | np.int32(2 << 18) | flag
            found += take2 & (known2[pair >> six] >> (pair & low))
            grams[found] = np.int32(place) | np.int32(3 << 18) | flag
            found += take3 & (known3[place >> six] >> (place & low))
        else:
            if take1:
                slot = _slot_of(last, model)
                grams[found] = slot | flag
                found += np.uint64(slot >= 0)
            if take2:
                slot = _slot_of(middle | last << np.uint64(16), model)
                grams[found] = slot | flag
                found += np.uint64(slot >= 0)
            if take3:
                slot = _slot_of(first | middle << np.uint64(16) | last << np.uint64(32), model)
                grams[found] = slot | flag
                found += np.uint64(slot >= 0)
        first = middle
        middle = last
        after_letter = letter
        before = capital
    for n in range(3):
        of_length = np.uint64(SECOND_COUNT * n)
        in_ascii = counts_in_ascii >> of_length & np.uint64((1 << SECOND_COUNT) - 1)
        looked[0, n] = (counts >> of_length & np.uint64((1 << SECOND_COUNT) - 1)) - in_ascii
        looked[1, n] = in_ascii
    return np.int64(found)


@njit(cache=True, nogil=True)
def _value_of_gram(gram, common, values):
    """Return what `Model.values` has for a known n-gram as `_collect` noted it."""
    if gram & BY_NUMBERS:
        return common[np.uint64((gram >> 18) & 3) - np.uint64(1), np.uint64(gram & 0x3FFFF)]
    return values[np.uint64(gram & (BY_NUMBERS - 1))]


@njit(cache=True, nogil=True)
def _uniform(words, at):
    """Return the number in [0, 1) that Python makes of two words of its generator."""
    high = np.float64(words[at] >> np.uint32(5))
    low = np.float64(words[at + 1] >> np.uint32(6))
    return (high * 67108864.0 + low) / 9007199254740992.0


@njit(cache=True, nogil=True)
def _look_ahead(grams, found, words, common, values, shift, at, drawn, ends):
    """Look up the next `AHEAD` draws, so that the memory is asked for all of them at once.

    Args:
        grams, found: The document's n-grams.
        words, common, values: `random`, `common` and `values` of the model.
        shift: Bits that `random.choice` takes off each of the generator's words.
        at: The next of those words.
        drawn: int64[AHEAD], receives what `Model.values` has for the n-grams drawn.
        ends: int64[AHEAD], receives the word after each draw.
    """
    taken = np.uint64(0)
    while taken < AHEAD:
        # random.choice: as many bits as the length has, until they are below it.
        at = 0 if at == RANDOM_WORDS else at
        chosen = np.uint64(words[np.uint64(at)] >> shift)
        at += 1
        drawn[taken] = chosen
        ends[taken] = at
        taken += np.uint64(chosen < found)
    for k in range(AHEAD):
        drawn[k] = _value_of_gram(grams[np.uint64(drawn[k])], common, values)


@njit(cache=True, nogil=True)
def _sum_and_top(values):
    """Return the sum and the largest of non-negative values, four at a time: the same on every machine."""
    sum0 = sum1 = sum2 = sum3 = 0.0
    top0 = top1 = top2 = top3 = 0.0
    for p in range(0, len(values), 4):
        value0, value1, value2, value3 = values[p], values[p + 1], values[p + 2], values[p + 3]
        sum0 += value0
        sum1 += value1
        sum2 += value2
        sum3 += value3
        top0 = max(top0, value0)
        top1 = max(top1, value1)
        top2 = max(top2, value2)
        top3 = max(top3, value3)
    return (sum0 + sum1) + (sum2 + sum3), max(max(top0, top1), max(top2, top3))


@njit(cache=True, nogil=True)
def _multiply(posterior, drawn, done, owners, probabilities, dense, weight):
    """Multiply each profile's posterior by 1 + p · weight for every draw, p what it gives to the n-gram drawn, until
    one is certain or the draws are at an end.

    Args:
        posterior: float64[profiles rounded up to fours], non-negative.
        drawn: int64[AHEAD], the draws, as `_look_ahead` notes them.
        done: Draws made before these.
        owners, probabilities, dense: Of the model.
        weight: 1 / w.

    Returns:
        (draws used, sum of the posterior, or 0 while the trial goes on)
    """
    for draw in range(AHEAD):
        place = np.uint64(drawn[draw] >> 8)
        entries = np.uint64((drawn[draw] >> 2) & 63)
        if entries == IN_DENSE:
            for p in range(len(posterior)):
                posterior[p] *= 1.0 + np.float64(dense[place, p]) * weight
        else:
            for k in range(place, place + entries):
                posterior[owners[np.uint64(k)]] *= 1.0 + np.float64(probabilities[np.uint64(k)]) * weight
        if (done + draw) % 5 == 0:
            total, top = _sum_and_top(posterior)
            if top > SHARE_TO_END * total or done + draw >= DRAWS:
                return draw + 1, total
            if total > 1e100:
                for p in range(len(posterior)):
                    posterior[p] /= total
    return AHEAD, 0.0


@njit(cache=True, nogil=True)
def _draw(grams, found, model, posterior, ahead, shares):
    """Draw n-grams as the library does, and set each profile's mean share of the posterior.

    The posterior is kept up to a factor: a draw multiplies it by 1 + p / w where a profile has the n-gram.

    Args:
        grams, found: The document's n-grams.
        model: The model.
        posterior: float64[profiles rounded up to fours], scratch.
        ahead: int64[2, AHEAD], scratch.
        shares: float64[profiles], receives the shares.
    """
    words, common, values = model.random, model.common, model.values
    owners, probabilities, dense = model.owners, model.shares, model.dense
    draws, ends = ahead[0], ahead[1]
    profiles = len(shares)
    size_bits = 0
    while (found >> size_bits) > 0:
        size_bits += 1
    shift = np.uint32(32 - size_bits)
    shares[:] = 0.0
    at = 0
    spare = 0.0
    for trial in range(TRIALS):
        # random.gauss makes two numbers at a time.
        z = spare
        if trial % 2 == 0:
            at = 0 if at + 4 > RANDOM_WORDS else at
            angle = _uniform(words, at) * (2.0 * math.pi)
            radius = math.sqrt(-2.0 * math.log(1.0 - _uniform(words, at + 2)))
            at += 4
            z = math.cos(angle) * radius
            spare = math.sin(angle) * radius
        weight = BASE_FREQUENCY / (ALPHA + z * ALPHA_WIDTH)
        posterior[:profiles] = 1.0
        posterior[profiles:] = 0.0
        done = 0
        total = 0.0
        while total == 0.0:
            _look_ahead(grams, np.uint64(found), words, common, values, shift, at, draws, ends)
            used, total = _multiply(posterior, draws, done, owners, probabilities, dense, weight)
            at = ends[used - 1]
            done += used
        for p in range(profiles):
            shares[p] += posterior[p] / total / TRIALS


@njit(cache=True, nogil=True)
def _fit(grams, found, looked, profile, model):
    """Return (fit, fit of trigrams, n-grams counted) of a document's n-grams to one profile.

    Fit is the sum of the profile's log-ratios over what its own text would have for as many n-grams of each length:
    about 1 for text of the language. N-grams of Latin letters do not count against a language of another script.
    """
    values, owners, ratios, expectation = model.values, model.owners, model.ratios, model.expected
    common, dense_ratios = model.common, model.dense_ratios
    skip = not model.latin[profile]
    sampled = min(found, FITTED)
    both = 0.0
    three = 0.0
    for sample in range(sampled):
        at = sample
        if found > FITTED:
            at = (sample * found + np.int64(_mix(np.uint64(sample + 1) * PHI) >> np.uint64(33)) % found) // FITTED
        gram = grams[np.uint64(at)]
        if skip and gram >= IN_ASCII:
            continue
        value = _value_of_gram(gram, common, values)
        place = np.uint64(value >> 8)
        entries = np.uint64((value >> 2) & 63)
        ratio = 0.0
        if entries == IN_DENSE:
            ratio = float(dense_ratios[place, profile])
        else:
            for k in range(place, place + entries):
                if owners[np.uint64(k)] == profile:
                    ratio = float(ratios[np.uint64(k)])
        both += ratio
        if value & 3 == 3:
            three += ratio
    both *= found / sampled
    three *= found / sampled
    counted = 0
    expected = 0.0
    for n in range(3):
        count = looked[0, n] if skip else looked[0, n] + looked[1, n]
        counted += count
        expected += count * expectation[profile, n]
    trigrams = looked[0, 2] if skip else looked[0, 2] + looked[1, 2]
    fit = both / expected if expected > 0 else 0.0
    fit3 = three / (trigrams * expectation[profile, 2]) if trigrams > 0 else fit
    return fit, fit3, counted


@njit(allocates=True, cache=True, nogil=True)
def _detect_batch(data, offsets, model, one_script, best, second, numbers):
    """Find the best and second profile of every document (-1: none), and the numbers that the score is made of."""
    capacity = max(MAX_CHARACTERS, (WINDOW_BYTES + 4) * WINDOWS) + WINDOWS + LOCAL_MAX + 2
    text = np.empty(capacity, dtype=np.uint16)
    grams = np.empty(3 * capacity + 3, dtype=np.int32)
    looked = np.zeros((2, 3), dtype=np.int64)
    profiles = len(model.twins)
    posterior = np.zeros(model.dense.shape[1])
    ahead = np.empty((2, AHEAD), dtype=np.int64)
    shares = np.zeros(profiles)
    for i in range(len(offsets) - 1):
        best[i] = -1
        second[i] = -1
        size, lesser = _read(data, offsets[i], offsets[i + 1], model, one_script, text)
        found = _collect(text, size, model, grams, looked)
        if found == 0:
            continue
        _draw(grams, found, model, posterior, ahead, shares)
        top = 0
        for p in range(1, profiles):
            if shares[p] > shares[top]:
                top = p
        runner_up = -1
        runner_share = -1.0
        for p in range(profiles):
            share = shares[p] if model.twins[p] == p else shares[p] + shares[model.twins[p]]
            if p != top and p != model.twins[top] and share > runner_share:
                runner_up = p
                runner_share = share
        fit, fit3, counted = _fit(grams, found, looked, top, model)
        best[i] = top
        second[i] = runner_up
        numbers[i, 0] = shares[top] if model.twins[top] == top else shares[top] + shares[model.twins[top]]
        numbers[i, 1] = fit
        numbers[i, 2] = fit3
        numbers[i, 3] = counted
        numbers[i, 4] = lesser


# ---------------------------------------------------------------------------------------------------------------- Arrow


class Measured(NamedTuple):
    """What the kernel finds in a batch, before calibration."""

    best: NDArray[np.int64]  # [documents] index into `profile_names()`, -1 where no n-gram is known
    second: NDArray[np.int64]  # [documents] likewise, of the next language
    numbers: NDArray[np.float64]  # [documents, 5] share, fit, fit of trigrams, n-grams, share of the lesser script


def measure(text: pa.Array, one_script: bool = False) -> Measured:
    """Find the best profile of every document and the numbers its score is made of; a null text has none."""
    data, offsets = string_buffers(text)
    count = len(offsets) - 1
    measured = Measured(np.empty(count, np.int64), np.empty(count, np.int64), np.zeros((count, 5)))
    _detect_batch(data, offsets, load_model(one_script), one_script, *measured)
    return measured


@cache
def _have_own_script() -> NDArray[np.bool_]:
    """Return whether each profile's language is of `OWN_SCRIPT`; one more, for no profile, is not."""
    return np.array([_code(name) in OWN_SCRIPT for name in profile_names()] + [False])


@cache
def _answers() -> tuple[pa.Array, pa.Array]:
    """Return the languages and the names of the profiles, then `und`, then null."""
    names = profile_names()
    return tuple(pa.array([*some, UNDECIDED, None], pa.string()) for some in (map(_code, names), names))


def calibration_inputs(measured: Measured) -> NDArray[np.float64]:
    """Return the inputs of the logistic model, [documents, 10], in the order of `CALIBRATION`."""
    share, fit, fit3, grams, lesser = measured.numbers.T
    unfit = _have_own_script()[measured.best] | (lesser > MIXED_SHARE)
    fit, fit3 = np.where(unfit, 1.0, fit), np.where(unfit, 1.0, fit3)
    whole = np.log(np.maximum(grams, 1))
    length = np.minimum(whole, LONGEST)
    logs = [np.log(np.maximum(each, LEAST_FIT)) for each in (fit, fit3)]
    return np.stack([np.ones_like(share), share, fit, fit3, length, fit * length, fit3 * length, whole, *logs], axis=1)


def probability_of(measured: Measured) -> NDArray[np.float64]:
    """Return the probability that a text is in a language with a profile, 0 where there is no answer."""
    probability = 1 / (1 + np.exp(-(calibration_inputs(measured) @ np.array(CALIBRATION))))
    return np.where(measured.best >= 0, probability, 0.0)


def detect(text: pa.Array, backend: str = "profiles") -> Detection:
    """Detect the language of every document.

    Args:
        text: String array; a null is undecidable.
        backend: `profiles` (this module's kernel), `one_script` (the same for corpora of pages in two scripts),
            `langdetect` (the library itself, with the
            same seed; a hundred times slower) or `py3langid` (97 languages; needs the extra `languages`).

    Raises:
        TypeError: `text` is not a string array.
        ValueError: There is no such backend.
        RuntimeError: The backend's package is not installed.
    """
    if backend not in KERNELS:
        return _detect_one_by_one(text, backend)
    measured = measure(text, one_script=backend == "one_script")
    probability = probability_of(measured)
    score = np.round(probability * measured.numbers[:, 0], 6)
    codes, names = _answers()
    undecided, nothing = len(codes) - 2, len(codes) - 1
    accepted = (measured.best >= 0) & (probability >= ACCEPT)
    best = np.where(accepted, measured.best, undecided)
    second = np.where(accepted, measured.second, measured.best)
    return Detection(
        codes.take(pa.array(best)),
        pa.array(score),
        codes.take(pa.array(np.where(second >= 0, second, nothing))),
        names.take(pa.array(best)),
    )


def _detect_one_by_one(text: pa.Array, backend: str) -> Detection:
    """Ask a library for one document after another."""
    if backend not in BACKENDS:
        raise ValueError(f"no language backend {backend!r}: choose one of {', '.join([*KERNELS, *BACKENDS])}")
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


KERNELS = ("profiles", "one_script")
Ask = Callable[[str], list[tuple[str, float]]]


def _langdetect() -> Ask:
    """Return `langdetect` itself, seeded as the kernel is."""
    from langdetect import detector_factory
    from langdetect.lang_detect_exception import LangDetectException

    detector_factory.init_factory()
    factory: Any = detector_factory._factory

    def ask(document: str) -> list[tuple[str, float]]:
        detector = factory.create()
        detector.seed = SEED
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
