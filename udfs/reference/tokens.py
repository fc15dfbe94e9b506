"""Plain twin of `udfs.tokens`: words and their hashes, one character after another."""

from __future__ import annotations

from typing import NamedTuple

from udfs.reference.characters import WHITESPACE, case_folded, is_letter, is_mark, is_punctuation

OWN_WORD_RANGES = (
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x20000, 0x3FFFF),
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
)
FIRST_OWN_WORD = chr(min(first for first, _ in OWN_WORD_RANGES))
MODULUS = 1 << 64


class Word(NamedTuple):
    """A word and the bytes that it takes in the UTF-8 text."""

    text: str
    start: int
    end: int


def is_own_word(character: str) -> bool:
    """Say whether a character is a letter that is a word of its own."""
    if character < FIRST_OWN_WORD:  # most characters: this runs over whole documents of a report
        return False
    return is_letter(character) and any(first <= ord(character) <= last for first, last in OWN_WORD_RANGES)


def split_words(text: str) -> list[str]:
    """Return the words of a text."""
    found: list[str] = []
    current = ""
    for character in text:
        if character in WHITESPACE:
            if current:
                found.append(current)
            current = ""
        elif is_own_word(character) or (current and is_own_word(current[0]) and not is_mark(character)):
            if current:
                found.append(current)
            current = character
        else:
            current += character
    if current:
        found.append(current)
    return found


def normalise(word: str) -> str:
    """Return a word case-folded, without punctuation and symbols."""
    return "".join(character for character in case_folded(word) if not is_punctuation(character))


def words(text: str, normalised: bool) -> list[Word]:
    """Return the words of a text with their places; `normalised` ones that are left empty are dropped."""
    encoded = text.encode()
    found = []
    position = 0
    for word in split_words(text):
        start = encoded.index(word.encode(), position)
        position = start + len(word.encode())
        shown = normalise(word) if normalised else word
        if shown:
            found.append(Word(shown, start, position))
    return found


def hash_word(word: str) -> int:
    """Return the 64-bit hash of a word, as defined in `udfs.tokens`."""
    state = 0x9E3779B97F4A7C15
    for character in word:
        rotated = ((state << 23) | (state >> 41)) % MODULUS
        state = ((rotated ^ ord(character)) * 0xD6E8FEB86659FD93) % MODULUS
    state ^= state >> 33
    state = (state * 0xFF51AFD7ED558CCD) % MODULUS
    state ^= state >> 33
    state = (state * 0xC4CEB9FE1A85EC53) % MODULUS
    return state ^ (state >> 33)
