"""Plain twin of `udfs.language`: the library's own classes clean the text, take the n-grams and draw.

Needs `langdetect` itself, not only its profiles; slow (it exists to be compared with, not to be used).
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from udfs.language import (
    ACCEPT,
    CALIBRATION,
    DENSE_WEIGHT,
    FITTED,
    LEAST_FIT,
    LETTERS_PER_LETTER,
    LONGEST,
    MIXED,
    MIXED_SHARE,
    OWN_SCRIPT,
    SEED,
    SMOOTHING,
    UNDECIDED,
    WINDOW_BYTES,
    WINDOWS,
)

WORD = (1 << 64) - 1
DENSE = ((0x3040, 0x318F), (0x31A0, 0x31BF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF))


@cache
def factory(one_script: bool = False) -> Any:
    """Return a loaded detector factory of the library; with `one_script`, Han letters weigh nothing in Korean."""
    from langdetect import detector_factory

    loaded = detector_factory.DetectorFactory()
    loaded.load_profile(detector_factory.PROFILES_DIRECTORY)
    korean = loaded.langlist.index("ko")
    for gram, shares in loaded.word_lang_prob_map.items():
        if one_script and any("\u3400" <= character <= "\u9fff" for character in gram):
            shares[korean] = 0.0
    return loaded


@cache
def profiles() -> list[str]:
    """Return the names of the profiles, sorted."""
    return sorted(factory().langlist)


def mix(x: int) -> int:
    """SplitMix64's finaliser."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def scaled(k: int) -> int:
    """Return k times the golden ratio of 2⁶⁴."""
    return k * 0x9E3779B97F4A7C15 & WORD


@cache
def shares_of_profiles(one_script: bool = False) -> dict[str, dict[str, float]]:
    """Return, for each n-gram, its share of each profile that has it."""
    loaded = factory(one_script)
    return {
        gram: {name: share for name, share in zip(loaded.langlist, shares, strict=True) if share > 0}
        for gram, shares in loaded.word_lang_prob_map.items()
        if 1 <= len(gram) <= 3
    }


@cache
def log_ratios(gram: str, one_script: bool) -> dict[str, float]:
    """Return, for each profile that has the n-gram, log((w + p) / w)."""
    shares = shares_of_profiles(one_script).get(gram, {})
    return {name: math.log((SMOOTHING + share) / SMOOTHING) for name, share in shares.items()}


@cache
def expected(profile: str, one_script: bool) -> list[float]:
    """Return the log-ratio that the profile's own text has, an n-gram of 1, 2, 3 characters."""
    sums = [0.0, 0.0, 0.0]
    for gram, shares in shares_of_profiles(one_script).items():
        share = shares.get(profile, 0.0)
        sums[len(gram) - 1] += share * math.log((SMOOTHING + share) / SMOOTHING)
    return sums


@cache
def is_latin(profile: str) -> bool:
    """Say whether ASCII letters are more than 0.3 of the letters of the profile."""
    return sum(shares_of_profiles().get(chr(c), {}).get(profile, 0.0) for c in range(128)) > 0.3


def read(text: str) -> str:
    """Return the text, or its evenly spread windows joined by spaces."""
    data = text.encode()
    if len(data) <= WINDOW_BYTES * WINDOWS:
        return text
    pieces = []
    for window in range(WINDOWS):
        first = (len(data) - WINDOW_BYTES) * window // (WINDOWS - 1)
        last = first + WINDOW_BYTES
        while first < len(data) and data[first] & 0xC0 == 0x80:
            first += 1
        while last < len(data) and data[last] & 0xC0 == 0x80:
            last += 1
        pieces.append(data[first:last].decode())
    return " ".join(pieces)


def weight(character: str) -> int:
    """Return what a character counts for against Latin letters."""
    code_point = ord(character)
    if code_point >= 0x20000 or any(first <= code_point <= last for first, last in DENSE):
        return DENSE_WEIGHT
    return int(code_point >= 0x300 and not 0x1E00 <= code_point <= 0x1EFF)


def clean(text: str, one_script: bool) -> tuple[Any, float]:
    """Return the library's detector with the cleaned text of a document, and the share of the text's lesser script."""
    detector = factory(one_script).create()
    detector.seed = SEED
    if not one_script:
        detector.append(text)
        before = detector.text
        detector.cleaning_text()
        return detector, lesser_share(before) if detector.text == before else 0.0
    detector.set_max_text_length(1 << 60)
    detector.append(read(text))
    latin = sum("A" <= character <= "z" for character in detector.text)
    other = LETTERS_PER_LETTER * sum(weight(character) for character in detector.text)
    if latin < other:
        detector.text = "".join(character for character in detector.text if not "A" <= character <= "z")
    elif latin < MIXED * other:
        detector.text = "".join(" " if in_other_script(character) else character for character in detector.text)
    else:
        return detector, lesser_share(detector.text)
    return detector, 0.0


def lesser_share(text: str) -> float:
    """Return the share of Latin letters or of others, of which there are fewer."""
    latin = sum("A" <= character <= "z" for character in text)
    other = sum(ord(character) >= 0x300 and not 0x1E00 <= ord(character) <= 0x1EFF for character in text)
    return min(latin, other) / max(latin + other, 1)


def in_other_script(character: str) -> bool:
    """Say whether the class of a character is at or above U+0300 and not among Vietnamese letters."""
    from langdetect.utils.ngram import NGram

    return ord(NGram.normalize(character)) >= 0x300 and not 0x1E00 <= ord(NGram.normalize(character)) <= 0x1EFF


def grams_of(text: str) -> list[str]:
    """Return the n-grams of a cleaned text, known or not, runs of spaces being one position."""
    from langdetect.utils.ngram import NGram

    found: list[str] = []
    grams = NGram()
    for character in text:
        before = grams.grams[-1]
        grams.add_char(character)
        if NGram.normalize(character) == " " == before:
            continue
        ending = [grams.grams[-n:] for n in (1, 2, 3) if len(grams.grams) >= n]
        found += [] if grams.capitalword else [gram for gram in ending if gram != " "]
    return found


def sample(known: list[str]) -> list[str]:
    """Return the n-grams that fit is measured on."""
    count = len(known)
    if count <= FITTED:
        return known
    return [known[(k * count + (mix(scaled(k + 1)) >> 33) % count) // FITTED] for k in range(FITTED)]


def language_of(profile: str) -> str:
    """Return the ISO 639-1 code of a profile."""
    return profile.split("-")[0]


def share_of(shares: dict[str, float], profile: str) -> float:
    """Return the share of the profile's language."""
    return sum(share for name, share in shares.items() if language_of(name) == language_of(profile))


def fit(grams: list[str], profile: str, one_script: bool) -> tuple[float, float, int]:
    """Return (fit, fit of trigrams, n-grams counted) to a profile."""

    def counts(gram: str) -> bool:
        return is_latin(profile) or not ("A" <= gram[-1] <= "z")

    known = [gram for gram in grams if gram in shares_of_profiles(one_script)]
    sampled = sample(known)
    reached = [
        sum(log_ratios(gram, one_script).get(profile, 0.0) for gram in sampled if len(gram) == n and counts(gram))
        * (len(known) / len(sampled))
        for n in (1, 2, 3)
    ]
    counted = [sum(len(gram) == n and counts(gram) for gram in grams) for n in (1, 2, 3)]
    whole = sum(count * value for count, value in zip(counted, expected(profile, one_script), strict=True))
    both = sum(reached) / whole if whole else 0.0
    return both, reached[2] / (counted[2] * expected(profile, one_script)[2]) if counted[2] else both, sum(counted)


def detect(text: str | None, one_script: bool = False) -> tuple[str, float, str | None, str]:
    """Return (language, score, second, variant) of one document."""
    detector, lesser = clean(text or "", one_script)
    grams = grams_of(detector.text)
    if not any(gram in shares_of_profiles(one_script) for gram in grams):
        return UNDECIDED, 0.0, None, UNDECIDED
    detector.cleaning_text = lambda: None
    detector._detect_block()
    shares = dict(zip(factory().langlist, detector.langprob, strict=True))
    top = max(profiles(), key=lambda name: shares[name])
    rest = [name for name in profiles() if language_of(name) != language_of(top)]
    second = max(rest, key=lambda name: share_of(shares, name))
    both, trigrams, counted = fit(grams, top, one_script)
    if language_of(top) in OWN_SCRIPT or lesser > MIXED_SHARE:
        both = trigrams = 1.0
    whole = math.log(max(counted, 1))
    length = min(whole, LONGEST)
    share = share_of(shares, top)
    logs = [math.log(max(each, LEAST_FIT)) for each in (both, trigrams)]
    inputs = (1.0, share, both, trigrams, length, both * length, trigrams * length, whole, *logs)
    logit = sum(weight * value for weight, value in zip(CALIBRATION, inputs, strict=True))
    probability = 1 / (1 + math.exp(-logit))
    score = round(probability * share, 6)
    if probability < ACCEPT:
        return UNDECIDED, score, language_of(top), UNDECIDED
    return language_of(top), score, language_of(second), top
