"""The key of a document: a 128-bit digest that stands for its identity in every join.

Definition (docs/architecture.md, "documents"): BLAKE2b-128 over id, url and raw content (else text), each field as a
presence byte, a 64-bit little-endian length and its bytes, after UTF-8 repair. It depends on the document alone, never
on file names, order or partitions, and equal documents have equal keys: at 10^10 documents the odds of one accidental
match are about 10^-19.
"""

from __future__ import annotations

import struct
from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

KEY_BYTES = 16
_PRESENT = struct.Struct("<BQ")
_ABSENT = _PRESENT.pack(0, 0)


def document_key(id_: bytes | None, url: bytes | None, content: bytes | None) -> bytes:
    """The 16-byte key of one document; ``content`` is the raw page where there is one, else the text, in UTF-8."""
    digest = blake2b(digest_size=KEY_BYTES)
    for field in (id_, url, content):
        if field is None:
            digest.update(_ABSENT)
        else:
            digest.update(_PRESENT.pack(1, len(field)))
            digest.update(field)
    return digest.digest()


def document_keys(id_: pa.Array, url: pa.Array, content: pa.Array, known: pa.Array | None = None) -> pa.Array:
    """Keys of a batch, ``binary``; where ``known`` already holds a key it is kept."""
    if known is not None and known.null_count == 0:
        return known
    columns = [_views(column) for column in (id_, url, content)]
    kept = known if known is not None else pa.nulls(len(id_), pa.binary())
    computed = [
        old if old is not None else document_key(*fields)
        for old, *fields in zip(kept.to_pylist(), *columns, strict=True)
    ]
    return pa.array(computed, pa.binary())


def _views(column: pa.Array) -> list[memoryview | None]:
    """Each value of a string or binary array as a view of its bytes: nothing is copied, nothing decoded."""
    large = pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
    if pa.types.is_null(column.type):
        return [None] * len(column)
    _, offsets_buffer, data_buffer = column.buffers()[:3]
    if offsets_buffer is None or data_buffer is None:
        return [None if not valid else memoryview(b"") for valid in pc.is_valid(column).to_pylist()]
    offsets = memoryview(offsets_buffer).cast("B").cast("q" if large else "i")
    data = memoryview(data_buffer)
    start = column.offset
    valid = pc.is_valid(column).to_pylist() if column.null_count else None
    return [
        data[offsets[i] : offsets[i + 1]] if valid is None or valid[i - start] else None
        for i in range(start, start + len(column))
    ]
