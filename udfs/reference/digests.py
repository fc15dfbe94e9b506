"""Plain twin of `udfs.digests`: normalisation by Python's own string methods."""

from __future__ import annotations

import unicodedata
from hashlib import blake2b

from udfs.reference.characters import WHITESPACE, case_folded


def normalised(text: str, level: str) -> str:
    """Return the text as it is compared at a level: ``none``, ``whitespace`` or ``full``."""
    if level == "none":
        return text
    if level == "full":
        text = case_folded(unicodedata.normalize("NFC", text))
    spaced = "".join(" " if character in WHITESPACE else character for character in text)
    return " ".join(part for part in spaced.split(" ") if part)


def text_digest(text: str | None, level: str) -> bytes | None:
    """Return the 16-byte digest of one text, None where nothing is left of it."""
    left = normalised(text or "", level).encode()
    return blake2b(left, digest_size=16).digest() if left else None
