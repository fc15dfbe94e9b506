"""Rows on their way from a file into Arrow batches of ``READ_ARROW``: documents, and what is none, with its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa

from jobs.core.documents import IGNORED, QUARANTINED, READ_ARROW
from udfs.document_key import document_key
from udfs.warc import ArchiveLimits, Ignored, Page, Skipped

BATCH_BYTES = 8 << 20
BATCH_ROWS = 2000


@dataclass(frozen=True)
class ReadLimits:
    """What one record may be (``ingest.max_*`` of the recipe); beyond that it is quarantined as ``too_large``."""

    max_document_chars: int = 50_000_000
    max_record_bytes: int = 256 << 20
    max_page_bytes: int = 64 << 20
    max_inflate_ratio: float = 1000.0

    @property
    def of_archives(self) -> ArchiveLimits:
        """The limits as the archive reader takes them."""
        return ArchiveLimits(
            max_record_bytes=self.max_record_bytes,
            max_body_bytes=self.max_page_bytes,
            max_inflate_ratio=self.max_inflate_ratio,
        )


@dataclass(frozen=True)
class Row:
    """One row on its way into a batch, in the order of ``READ_ARROW``."""

    id: str | None = None
    key: bytes | None = None
    text: str | None = None
    url: str | None = None
    date: datetime | None = None
    language: str | None = None
    metadata: str | None = None
    content: bytes | None = None
    content_type: str | None = None
    outcome: str | None = None
    offset: int | None = None
    reason: str | None = None
    detail: str | None = None
    repaired: int = 0


def archive_row(item: Page | Skipped | Ignored) -> Row:
    """What the archive reader met, as a row."""
    if isinstance(item, Skipped):
        detail = f"{item.length} bytes: {item.detail}" if item.length is not None else item.detail
        return Row(outcome=QUARANTINED, offset=item.offset, reason=item.reason, detail=detail)
    if isinstance(item, Ignored):
        return Row(outcome=IGNORED, offset=item.offset, reason=item.kind)
    raw = item.content if item.text is None else item.text.encode("utf-8")
    return Row(
        id=item.id,
        key=document_key(as_bytes(item.id), as_bytes(item.url), raw),
        text=item.text,
        url=item.url,
        date=item.date,
        metadata=as_json({"truncated": item.truncated} if item.truncated else {}),
        content=item.content if item.text is None else None,
        content_type=item.content_type,
        offset=item.offset,
    )


def in_batches(rows: Iterator[Row], file: str, source: str, default_date: datetime | None) -> Iterator[pa.RecordBatch]:
    """Rows of one file as batches of some 8 MiB; documents without a date get the source's."""
    pending: list[Row] = []
    size = 0
    for row in rows:
        pending.append(row)
        size += len(row.text or "") + len(row.content or b"") + 200
        if size >= BATCH_BYTES or len(pending) >= BATCH_ROWS:
            yield _batch(pending, file, source, default_date)
            pending, size = [], 0
    if pending:
        yield _batch(pending, file, source, default_date)


def _batch(rows: list[Row], file: str, source: str, default_date: datetime | None) -> pa.RecordBatch:
    def column(name: str, kind: pa.DataType) -> pa.Array:
        return pa.array([getattr(row, name) for row in rows], kind)

    count = len(rows)
    origin = pa.StructArray.from_arrays(
        [
            column("outcome", pa.string()),
            pa.array([file] * count, pa.string()),
            column("offset", pa.int64()),
            column("reason", pa.string()),
            column("detail", pa.string()),
            column("repaired", pa.int64()),
        ],
        fields=list(READ_ARROW.field("origin").type),
    )
    dates = pa.array(
        [row.date or (default_date if row.outcome is None else None) for row in rows], pa.timestamp("us", tz="UTC")
    )
    columns = {
        "id": column("id", pa.string()),
        "key": column("key", pa.binary()),
        "text": column("text", pa.string()),
        "url": column("url", pa.string()),
        "date": dates,
        "source": pa.array([source] * count, pa.string()),
        "language": column("language", pa.string()),
        "metadata": column("metadata", pa.string()),
        "content": column("content", pa.binary()),
        "content_type": column("content_type", pa.string()),
        "origin": origin,
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in READ_ARROW.names], schema=READ_ARROW)


def as_bytes(text: str | None) -> bytes | None:
    """A text as UTF-8, None as None."""
    return None if text is None else text.encode("utf-8")


def as_json(value: dict[str, Any]) -> str:
    """JSON text of a record, of numbers that orjson does not take too."""
    try:
        return orjson.dumps(value).decode()
    except (TypeError, orjson.JSONEncodeError):
        import json

        return json.dumps(value, ensure_ascii=False)


def as_date(value: Any) -> datetime | None:
    """ISO 8601 text or seconds since 1970 (milliseconds above 10^11) as UTC; None where it is neither."""
    try:
        if isinstance(value, str):
            parsed = datetime.fromisoformat(value.strip())
            return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if abs(value) > 1e11 else value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
