"""Plain twin of `udfs.unicode_repair`: one character after another, and form C by Python's own tables."""

from __future__ import annotations

import unicodedata

ZERO_WIDTH = frozenset("\u200b\u200c\u200d\u2060\ufeff")
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
LINE_ENDS = frozenset("\x0b\x0c\x1c\x1d\x1e\x85")


def is_control(character: str) -> bool:
    """Say whether a character is a C0 or C1 control other than tab, LF and CR."""
    return unicodedata.category(character) == "Cc" and character not in "\t\n\r"


def repair(
    text: str, *, form: str, control_characters: str, zero_width: str, bidi_controls: str
) -> tuple[str, dict[str, int]]:
    """Return (the repaired text, counts)."""
    counts = {
        "unicode_control_characters": sum(map(is_control, text)),
        "unicode_zero_width": sum(character in ZERO_WIDTH for character in text),
        "unicode_bidi_controls": sum(character in BIDI for character in text),
    }
    if control_characters == "remove":
        shown = ["\n" if c in LINE_ENDS else " " if c == "\x1f" else "" if is_control(c) else c for c in text]
        text = "".join(shown)
    if zero_width == "remove":
        text = "".join(character for character in text if character not in ZERO_WIDTH)
    if bidi_controls == "remove":
        text = "".join(character for character in text if character not in BIDI)
    composed = unicodedata.normalize("NFC", text)
    counts["unicode_recomposed"] = int(composed != text)
    return composed if form == "nfc" else text, counts
