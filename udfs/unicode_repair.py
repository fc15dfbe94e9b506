"""Make text regular: normalisation form C, control, zero-width and direction characters by policy, mojibake on request.

In this order, each counted whether or not it changes the text:

    unicode_mojibake            1 where `ftfy` (extra; Robyn Speer) undoes a wrong decoding, else 0; 0 when not asked
    unicode_control_characters  C0 and C1 controls but tab, LF and CR. Removed; those that end a line (VT, FF, FS, GS,
                                RS, NEL) become LF and US a space, so that no words grow together
    unicode_zero_width          U+200B, 200C, 200D, 2060, FEFF. Joiners (200C, 200D) are part of the spelling of
                                Persian, of Indic scripts and of emoji: recipes keep them unless told otherwise
    unicode_bidi_controls       U+061C, 200E, 200F, 202A–202E, 2066–2069
    unicode_recomposed          1 where the text is not in form C (UAX #15, pinned Unicode) after that, else 0
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.digests import encode
from udfs.kernels import njit
from udfs.nfc import CODE_POINTS_PER_BYTE, compose, composition_tables, is_nfc
from udfs.tokens import string_buffers
from udfs.unicode import decode

CONTROL, ZERO_WIDTH, BIDI = 1, 2, 4
FORM_C_GROWTH = 3  # times, at most, that form C needs the bytes of a text in UTF-8 (UAX #15, section 9.2)


class Repaired(NamedTuple):
    """A batch of repaired texts and what was counted in them."""

    text: pa.Array  # string
    signals: dict[str, pa.Array]  # int64 by name, null where the text is null


@njit(cache=True, nogil=True)
def _kind(code_point):
    """Return CONTROL, ZERO_WIDTH, BIDI, or 0 for any other character."""
    if code_point < 0xA0:
        ordinary = 0x20 <= code_point < 0x7F or code_point in (0x09, 0x0A, 0x0D)
        return 0 if ordinary else CONTROL
    if code_point in (0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF):
        return ZERO_WIDTH
    if code_point in (0x061C, 0x200E, 0x200F) or 0x202A <= code_point <= 0x202E or 0x2066 <= code_point <= 0x2069:
        return BIDI
    return 0


@njit(cache=True, nogil=True)
def _count_batch(data, offsets, counts):
    """Count control, zero-width and direction characters of every document, counts: int64[documents, 3]."""
    for i in range(len(offsets) - 1):
        counts[i] = 0
        at = offsets[i]
        while at < offsets[i + 1]:
            if 0x20 <= data[at] < 0x7F:
                at += 1
                continue
            code_point, width = decode(data, at, offsets[i + 1])
            kind = _kind(code_point)
            counts[i, 0] += kind == CONTROL
            counts[i, 1] += kind == ZERO_WIDTH
            counts[i, 2] += kind == BIDI
            at += width


@njit(cache=True, nogil=True)
def _remove_batch(data, offsets, remove, out, out_offsets):
    """Write every document without the kinds of characters in the bits of `remove`."""
    size = 0
    out_offsets[0] = 0
    for i in range(len(offsets) - 1):
        at = offsets[i]
        while at < offsets[i + 1]:
            width = 1
            kind = 0
            code_point = np.int64(data[at])
            if not 0x20 <= data[at] < 0x7F:
                code_point, width = decode(data, at, offsets[i + 1])
                kind = _kind(code_point)
            if not kind & remove:
                for k in range(width):
                    out[size] = data[at + k]
                    size += 1
            elif 0x0B <= code_point <= 0x0C or 0x1C <= code_point <= 0x1E or code_point == 0x85:
                out[size] = 0x0A
                size += 1
            elif code_point == 0x1F:
                out[size] = 0x20
                size += 1
            at += width
        out_offsets[i + 1] = size


@njit(cache=True, nogil=True)
def _suspect_form(data, offsets, composition, suspect):
    """Set suspect[i] where the quick check cannot tell that a document is in form C; return bytes of all others, and
    of the longest suspect."""
    plain = 0
    longest = 0
    for i in range(len(offsets) - 1):
        suspect[i] = not is_nfc(data, offsets[i], offsets[i + 1], composition)
        if suspect[i]:
            longest = max(longest, offsets[i + 1] - offsets[i])
        else:
            plain += offsets[i + 1] - offsets[i]
    return plain, longest


@njit(cache=True, nogil=True)
def _recompose_batch(data, offsets, composition, suspect, code_points, spare, out, out_offsets, changed):
    """Write every document in form C; set changed[i] where that is another text."""
    size = 0
    out_offsets[0] = 0
    for i in range(len(offsets) - 1):
        begin = offsets[i]
        end = offsets[i + 1]
        if suspect[i]:
            count = compose(data, begin, end, composition, code_points, spare)
            for k in range(count):
                size = encode(code_points[k], out, size)
            changed[i] = size - out_offsets[i] != end - begin
            if not changed[i]:
                for k in range(end - begin):
                    if out[out_offsets[i] + k] != data[begin + k]:
                        changed[i] = True
                        break
        else:
            for k in range(begin, end):
                out[size] = data[k]
                size += 1
            changed[i] = False
        out_offsets[i + 1] = size


def _strings(out: np.ndarray, offsets: np.ndarray, like: pa.Array) -> pa.Array:
    made = pa.Array.from_buffers(pa.large_string(), len(like), [None, pa.py_buffer(offsets), pa.py_buffer(out)])
    return pc.if_else(like.is_valid(), made, pa.scalar(None, pa.large_string())).cast(pa.string())


def _fix_encoding(text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Undo wrong decodings with ftfy, which looks at documents with characters beyond ASCII only."""
    try:
        import ftfy
    except ImportError as error:
        raise RuntimeError("repair_unicode.mojibake needs the extra: pip install winnow-corpus[ftfy]") from error
    beyond = pc.fill_null(pc.invert(pc.string_is_ascii(text)), False)
    before = text.filter(beyond).to_pylist()
    after = [ftfy.fix_encoding(document) for document in before]
    changed = np.zeros(len(text), dtype=np.int64)
    changed[np.asarray(beyond)] = [one != other for one, other in zip(before, after, strict=True)]
    return pc.replace_with_mask(text, beyond, pa.array(after, text.type)), changed


def repair(
    text: pa.Array,
    *,
    form: str = "nfc",
    mojibake: bool = False,
    control_characters: str = "remove",
    zero_width: str = "keep",
    bidi_controls: str = "keep",
) -> Repaired:
    """Repair every document; see the module's definition.

    Args:
        text: String array; nulls stay null.
        form: `nfc`, or `none` to leave characters as they are composed.
        mojibake: Undo wrong decodings with ftfy.
        control_characters, zero_width, bidi_controls: `remove` or `keep`.

    Raises:
        TypeError: `text` is not a string array.
        ValueError: A policy is none of those.
        RuntimeError: ftfy is not installed.
    """
    if form not in ("nfc", "none") or not {control_characters, zero_width, bidi_controls} <= {"keep", "remove"}:
        raise ValueError("form is nfc or none, the other policies are keep or remove")
    count = len(text)
    text = text.cast(pa.string())
    fixed = np.zeros(count, dtype=np.int64)
    if mojibake:
        text, fixed = _fix_encoding(text)
    null = np.asarray(text.is_null())

    data, offsets = string_buffers(text)
    counts = np.zeros((count, 3), dtype=np.int64)
    _count_batch(data, offsets, counts)
    policies = (control_characters, zero_width, bidi_controls)
    removed = [policy == "remove" and bool(counts[:, k].any()) for k, policy in enumerate(policies)]
    remove = sum(1 << k for k, wanted in enumerate(removed) if wanted)
    if remove:
        out = np.empty(int(offsets[-1] - offsets[0]), dtype=np.uint8)
        out_offsets = np.empty(count + 1, dtype=np.int64)
        _remove_batch(data, offsets, remove, out, out_offsets)
        text = _strings(out, out_offsets, text)
        data, offsets = string_buffers(text)

    composition = composition_tables()
    suspect, changed = np.zeros((2, count), dtype=np.bool_)
    plain, longest = _suspect_form(data, offsets, composition, suspect)
    if suspect.any():
        most = int(offsets[-1] - offsets[0] - plain)
        out = np.empty(plain + FORM_C_GROWTH * most, dtype=np.uint8)
        out_offsets = np.empty(count + 1, dtype=np.int64)
        code_points, spare = np.empty((2, CODE_POINTS_PER_BYTE * longest), dtype=np.int32)
        _recompose_batch(data, offsets, composition, suspect, code_points, spare, out, out_offsets, changed)
        if form == "nfc" and changed.any():
            text = _strings(out, out_offsets, text)

    columns = {
        "unicode_mojibake": fixed,
        "unicode_control_characters": counts[:, 0],
        "unicode_zero_width": counts[:, 1],
        "unicode_bidi_controls": counts[:, 2],
        "unicode_recomposed": changed.astype(np.int64),
    }
    return Repaired(text, {name: pa.array(column, pa.int64(), mask=null) for name, column in columns.items()})
