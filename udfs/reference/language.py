"""Plain twin of `udfs.language`: the library's own classes clean the text and take the n-grams, step by step.

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
    DRAWS,
    FEW_TRIALS,
    LETTERS_PER_LETTER,
    LONGEST,
    MANY_TRIALS,
    MIXED,
    OWN_SCRIPT,
    POSITIONS,
    SHARE_TO_END,
    SMOOTHING,
    UNDECIDED,
    UNIT,
    WINDOW_BYTES,
    WINDOWS,
)

WORD = (1 << 64) - 1
DENSE = ((0x3040, 0x318F), (0x31A0, 0x31BF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF))


@cache
def factory() -> Any:
    """Return the library's loaded detector factory."""
    from langdetect import detector_factory

    detector_factory.init_factory()
    return detector_factory._factory


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
def shares_of_profiles() -> dict[str, dict[str, float]]:
    """Return, for each n-gram, its share of each profile that has it; the Korean profile has no Han letters."""
    return {
        gram: {
            name: share
            for name, share in zip(factory().langlist, shares, strict=True)
            if share > 0 and not (name == "ko" and any("\u3400" <= character <= "\u9fff" for character in gram))
        }
        for gram, shares in factory().word_lang_prob_map.items()
        if 1 <= len(gram) <= 3
    }


@cache
def log_ratios(gram: str) -> dict[str, int]:
    """Return, for each profile that has the n-gram, log((w + p) / w) in units of 1 / UNIT."""
    shares = shares_of_profiles().get(gram, {})
    return {name: round(math.log((SMOOTHING + share) / SMOOTHING) * UNIT) for name, share in shares.items()}


@cache
def expected(profile: str) -> list[float]:
    """Return the log-ratio that the profile's own text has, an n-gram of 1, 2, 3 characters."""
    sums = [0.0, 0.0, 0.0]
    for gram, shares in shares_of_profiles().items():
        share = shares.get(profile, 0.0)
        sums[len(gram) - 1] += share * math.log((SMOOTHING + share) / SMOOTHING) * UNIT
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


def clean(text: str) -> str:
    """Return the text without URLs, mail addresses and the letters of the lesser script of a mixed text."""
    detector = factory().create()
    detector.set_max_text_length(1 << 60)
    detector.append(read(text))
    latin = sum("A" <= character <= "z" for character in detector.text)
    other = LETTERS_PER_LETTER * sum(weight(character) for character in detector.text)
    if latin < other:
        return "".join(character for character in detector.text if not "A" <= character <= "z")
    if latin < MIXED * other:
        return "".join(" " if in_other_script(character) else character for character in detector.text)
    return detector.text  # type: ignore[no-any-return]


def in_other_script(character: str) -> bool:
    """Say whether the class of a character is at or above U+0300 and not among Vietnamese letters."""
    from langdetect.utils.ngram import NGram

    return ord(NGram.normalize(character)) >= 0x300 and not 0x1E00 <= ord(NGram.normalize(character)) <= 0x1EFF


def grams_by_position(text: str) -> list[list[str]]:
    """Return the n-grams, known or not, that end at each position of the text, runs of spaces being one position."""
    from langdetect.utils.ngram import NGram

    positions = []
    grams = NGram()
    for character in text:
        before = grams.grams[-1]
        grams.add_char(character)
        if NGram.normalize(character) == " " == before:
            continue
        ending = [grams.grams[-n:] for n in (1, 2, 3) if len(grams.grams) >= n]
        positions.append([] if grams.capitalword else [gram for gram in ending if gram != " "])
    return positions


def sample(text: str) -> list[str]:
    """Return the n-grams at the sampled positions of a cleaned text."""
    positions = grams_by_position(text)
    size = len(positions)
    if size <= POSITIONS:
        chosen = list(range(size))
    else:
        chosen = [(k * size + (mix(scaled(k + 1)) >> 33) % size) // POSITIONS for k in range(POSITIONS)]
    return [gram for at in chosen for gram in positions[at]]


def language_of(profile: str) -> str:
    """Return the ISO 639-1 code of a profile."""
    return profile.split("-")[0]


def trial(known: list[str], number: int) -> tuple[dict[str, float], str, bool]:
    """Return (each profile's share, the best profile, whether its language's share is high enough)."""
    phase = mix(scaled(number + 1))
    sums = dict.fromkeys(profiles(), 0)
    for draw in range(DRAWS + 1):
        random = mix((phase + scaled(draw + 1)) & WORD) >> 32
        for name, ratio in log_ratios(known[random * len(known) >> 32]).items():
            sums[name] += ratio
        if draw % 5 == 0:
            top = max(sums.values())
            total = sum(math.exp((value - top) / UNIT) for value in sums.values())
            shares = {name: math.exp((value - top) / UNIT) / total for name, value in sums.items()}
            best = next(name for name in profiles() if sums[name] == top)
            ended = share_of(shares, best) > SHARE_TO_END
            if ended:
                break
    return shares, best, ended


def share_of(shares: dict[str, float], profile: str) -> float:
    """Return the share of the profile's language."""
    return sum(share for name, share in shares.items() if language_of(name) == language_of(profile))


def fit(grams: list[str], profile: str) -> tuple[float, float, int]:
    """Return (fit, fit of trigrams, n-grams counted) to a profile."""
    counted = [gram for gram in grams if is_latin(profile) or not ("A" <= gram[-1] <= "z")]
    reached = [sum(log_ratios(gram).get(profile, 0) for gram in counted if len(gram) == n) for n in (1, 2, 3)]
    counts = [sum(len(gram) == n for gram in counted) for n in (1, 2, 3)]
    whole = sum(count * value for count, value in zip(counts, expected(profile), strict=True))
    both = sum(reached) / whole if whole else 0.0
    return both, reached[2] / (counts[2] * expected(profile)[2]) if counts[2] else both, len(counted)


def detect(text: str | None) -> tuple[str, float, str | None, str]:
    """Return (language, score, second, variant) of one document."""
    grams = sample(clean(text or ""))
    known = [gram for gram in grams if log_ratios(gram)]
    if not known:
        return UNDECIDED, 0.0, None, UNDECIDED
    trials = [trial(known, number) for number in range(FEW_TRIALS)]
    if not all(ended for _, _, ended in trials) or len({language_of(best) for _, best, _ in trials}) > 1:
        trials += [trial(known, number) for number in range(FEW_TRIALS, MANY_TRIALS)]
    shares = {name: sum(each[name] for each, _, _ in trials) for name in profiles()}
    top = max(profiles(), key=lambda name: share_of(shares, name))
    rest = [name for name in profiles() if language_of(name) != language_of(top)]
    second = max(rest, key=lambda name: share_of(shares, name))
    top = max((name for name in profiles() if language_of(name) == language_of(top)), key=lambda name: shares[name])
    both, trigrams, counted = fit(grams, top)
    if language_of(top) in OWN_SCRIPT:
        both = trigrams = 1.0
    length = min(math.log(max(counted, 1)), LONGEST)
    share = share_of(shares, top) / len(trials)
    inputs = (1.0, share, both, trigrams, length, both * length, trigrams * length)
    logit = sum(weight * value for weight, value in zip(CALIBRATION, inputs, strict=True))
    score = round(1 / (1 + math.exp(-logit)), 6)
    if score < ACCEPT:
        return UNDECIDED, score, language_of(top), UNDECIDED
    return language_of(top), score, language_of(second), top
