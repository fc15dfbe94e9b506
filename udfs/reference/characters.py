"""What the twins know of characters: Python's own data where it is Unicode 14.0.0, the pinned tables elsewhere.

On a Python that carries Unicode 14.0.0 (CPython 3.11) the twins thus check the tables as well; on others only the
kernels.
"""

from __future__ import annotations

import unicodedata

from udfs.unicode import (
    ALPHA,
    BLOCK_BITS,
    BLOCK_MASK,
    CASE_IGNORABLE,
    CASED,
    MARK,
    NUMERIC,
    PUNCTUATION,
    UNICODE_VERSION,
    load_tables,
)

WHITESPACE = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
OWN_DATA = unicodedata.unidata_version == UNICODE_VERSION


def _index(character: str) -> int:
    code_point = ord(character)
    return (int(load_tables().blocks[code_point >> BLOCK_BITS]) << BLOCK_BITS) + (code_point & BLOCK_MASK)


def _bits(character: str) -> int:
    return int(load_tables().classes[_index(character)])


def is_punctuation(character: str) -> bool:
    """Say whether a character is punctuation or a symbol (categories P*, S*)."""
    if OWN_DATA:
        return unicodedata.category(character)[0] in "PS"
    return bool(_bits(character) & PUNCTUATION)


def is_letter(character: str) -> bool:
    """Say whether a character is a letter (categories L*), as `str.isalpha`."""
    return character.isalpha() if OWN_DATA else bool(_bits(character) & ALPHA)


def is_mark(character: str) -> bool:
    """Say whether a character is a mark (categories M*)."""
    if OWN_DATA:
        return unicodedata.category(character)[0] == "M"
    return bool(_bits(character) & MARK)


def is_alphanumeric(character: str) -> bool:
    """Say whether a character is a letter or a number, as `str.isalnum`."""
    return character.isalnum() if OWN_DATA else bool(_bits(character) & (ALPHA | NUMERIC))


def case_folded(text: str) -> str:
    """Return the full case folding of a text."""
    if OWN_DATA:
        return text.casefold()
    tables = load_tables()
    return "".join(
        "".join(chr(c) for c in tables.folds[row] if c) if (row := int(tables.case_rows[_index(ch)])) else ch
        for ch in text
    )


def lower_cased(text: str) -> str:
    """Return the lower case of a text, with final sigma, as `str.lower`."""
    if OWN_DATA:
        return text.lower()
    tables = load_tables()
    lowered = []
    for position, character in enumerate(text):
        if character == "Σ":
            lowered.append("ς" if _sigma_is_final(text, position) else "σ")
            continue
        row = int(tables.case_rows[_index(character)])
        lowered.append("".join(chr(c) for c in tables.lowers[row] if c) if row else character)
    return "".join(lowered)


def _sigma_is_final(text: str, position: int) -> bool:
    before = [ch for ch in text[:position] if not _bits(ch) & CASE_IGNORABLE]
    after = [ch for ch in text[position + 1 :] if not _bits(ch) & CASE_IGNORABLE]
    return bool(before and _bits(before[-1]) & CASED) and not (after and _bits(after[0]) & CASED)
