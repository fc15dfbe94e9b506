"""Plain twin of `udfs.han`: how much of a text is Han, and in which written form."""

from __future__ import annotations

from udfs.han import read_variants
from udfs.reference.quality import ratio
from udfs.reference.tokens import is_own_word, split_words

HAN_RANGES = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))


def han_signals(text: str) -> dict[str, float | int | None]:
    """Return the share of Han letters, and of traditional ones among those of one written form only."""
    han = [ch for ch in text if is_own_word(ch) and any(first <= ord(ch) <= last for first, last in HAN_RANGES)]
    traditional, simplified = read_variants()
    traditional_chars = sum(character in traditional for character in han)
    simplified_chars = sum(character in simplified for character in han)
    return {
        "han_char_fraction": ratio(len(han), sum(map(len, split_words(text)))),
        "traditional_char_fraction": ratio(traditional_chars, traditional_chars + simplified_chars),
    }
