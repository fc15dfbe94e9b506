"""Raw pages to documents: the text, and what the page says of itself, merged into the document's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

PAGE_TYPE = pa.struct(
    [
        ("text", pa.string()),
        ("metadata", pa.string()),
        ("date", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
# What a page states about itself: metadata wins where the source already has a field of that name.
STATED = ("title", "date", "language")


def extract_pages(
    content: pa.Array, content_type: pa.Array, url: pa.Array, metadata: pa.Array, options: Mapping[str, Any]
) -> pa.StructArray:
    """Text and metadata of a batch of pages, ``PAGE_TYPE``; rows whose ``content`` is NULL stay NULL and cost nothing.

    ``metadata`` is a JSON object per document. ``reason`` is set where there is no text, with a ``detail`` for people.
    """
    present = pc.is_valid(content)
    places = pc.indices_nonzero(present)
    if not len(places):
        return pa.nulls(len(content), PAGE_TYPE)
    from udfs.html import extract

    pages = extract(content.take(places), content_type.take(places), url.take(places), _options(options))
    stated = [pages.field(name).to_pylist() for name in STATED]
    merged = [
        _merged(known, dict(zip(STATED, facts, strict=True)))
        for known, *facts in zip(metadata.take(places).to_pylist(), *stated, strict=True)
    ]
    found = pa.StructArray.from_arrays(
        [
            pages.field("text").cast(pa.string()),
            pa.array(merged, pa.string()),
            pages.field("date").cast(pa.string()),
            pages.field("reason").cast(pa.string()),
            pages.field("detail").cast(pa.string()),
        ],
        fields=list(PAGE_TYPE),
    )
    if len(places) == len(content):
        return found
    back = pc.if_else(
        present, pc.subtract(pc.cumulative_sum(pc.cast(present, pa.int64())), 1), pa.scalar(None, pa.int64())
    )
    return found.take(back)


def _options(step: Mapping[str, Any]) -> Any:
    """The recipe's ``extract_text`` step as the extractor's options."""
    from udfs.html import ExtractOptions

    renamed = {"timeout_seconds": "cpu_seconds", "sandbox": "sandboxed"}
    values = {renamed.get(name, name): value for name, value in step.items()}
    return ExtractOptions(
        **{name: value for name, value in values.items() if name in ExtractOptions.__dataclass_fields__}
    )


def _merged(known: str | None, facts: Mapping[str, Any]) -> str:
    metadata = orjson.loads(known) if known else {}
    for name, value in facts.items():
        if value and name not in metadata:
            metadata[name] = value
    return orjson.dumps(metadata).decode()
