"""HTTP responses as crawlers store them: headers, transfer and content coding, under limits.

An archived response is a raw message (RFC 9112): a status line, headers, a blank line, the body. Crawlers differ in
what they keep: some store the body as it came (chunked, compressed), some undo the coding and leave the headers as they
were. So a coding is undone only where the bytes really carry it. Bodies are hostile: inflating stops at a size and at a
ratio.
"""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass

import zstandard
from fastwarc.stream_io import BrotliReader

__all__ = [
    "BodyTooLarge",
    "Response",
    "dechunk",
    "decode_body",
    "inflate",
    "media_type",
    "parse_headers",
    "parse_response",
]

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})\b[^\r\n]*\r?\n?|ICY[ \t]+(\d{3})\b[^\r\n]*\r?\n?")
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n|\A\r?\n")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?\r?\n")
_INFLATE_STEP_BYTES = 1 << 16
RATIO_FREE_BYTES = 1 << 20
"""Output below this many bytes is never judged by its ratio: small pages of blanks compress a thousandfold."""


class BodyTooLarge(ValueError):  # noqa: N818 - reads as a reason
    """A body that inflates past the size or ratio limit; the message says which and where it stopped."""


@dataclass(frozen=True)
class Response:
    """One HTTP response. `status` is 0 where there was no status line; header names are lower case, first one wins."""

    status: int
    headers: dict[str, str]
    body: bytes


def parse_headers(data: bytes) -> dict[str, str]:
    """Header lines to a dictionary: names in lower case, the first of equal names wins, folded lines are joined.

    Lines that are no header are passed over; bytes are UTF-8 where they can be, else Latin-1. Ends of line may be LF.
    """
    headers: dict[str, str] = {}
    last = ""
    for line in data.split(b"\n"):
        line = line.rstrip(b"\r")
        if line[:1] in (b" ", b"\t") and last:
            headers[last] += " " + _text(line.strip())
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            continue
        last = _text(name.strip()).lower()
        if last in headers:
            last = ""
            continue
        headers[last] = _text(value.strip())
    return headers


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def parse_response(block: bytes) -> Response:
    """Split an archived message into status, headers and body; without a status line all of it is the body
    (HTTP/0.9).
    """
    status_line = _STATUS_LINE.match(block)
    if status_line is None:
        return Response(0, {}, block)
    start = status_line.end()
    blank = _END_OF_HEADERS.search(block, max(start - 2, 0))
    if block[start : start + 1] in (b"\n", b"\r"):
        blank = _END_OF_HEADERS.match(block[start:])
        end, body = start, start + (blank.end() if blank else 0)
    elif blank is None:
        end = body = len(block)
    else:
        end, body = blank.start(), blank.end()
    status = int(status_line.group(1) or status_line.group(2))
    return Response(status, parse_headers(block[start:end]), block[body:])


def media_type(content_type: str | None) -> str:
    """The bare media type of a Content-Type value, lower case: `Text/HTML; charset=x` gives `text/html`; None gives
    ``.
    """
    if not content_type:
        return ""
    return content_type.partition(";")[0].partition(",")[0].strip().lower()


def dechunk(body: bytes) -> tuple[bytes, bool]:
    """Undo `Transfer-Encoding: chunked`: the joined chunks, and whether the last chunk was reached.

    A body whose first line is no chunk size was stored dechunked: it comes back as it is.
    """
    position = 0
    chunks: list[bytes] = []
    while True:
        size = _CHUNK_SIZE.match(body, position)
        if size is None:
            if not chunks:
                return body, True
            return b"".join(chunks), False
        count = int(size.group(1), 16)
        if count == 0:
            return b"".join(chunks), True
        begin = size.end()
        chunk = body[begin : begin + count]
        if not chunks and len(chunk) < count and len(body) - begin < count // 2:
            # "deadbeef\n" at the start of a plain text: no chunk of that size was ever here.
            return body, True
        chunks.append(chunk)
        if len(chunk) < count:
            return b"".join(chunks), False
        position = begin + count
        if body[position : position + 2] == b"\r\n":
            position += 2
        elif body[position : position + 1] == b"\n":
            position += 1


def inflate(data: bytes, coding: str, *, max_bytes: int, max_ratio: float) -> tuple[bytes, bool] | None:
    """Undo one content coding: the bytes and whether their end was reached, or None when `data` does not carry it.

    `coding` is gzip, x-gzip, deflate, br or zstd. Work and memory stay within `max_bytes` plus one step.
    Raises BodyTooLarge past `max_bytes`, or past `max_ratio` times the input once over 1 MiB.
    """
    if coding in ("gzip", "x-gzip"):
        return _inflate_zlib(data, 31, max_bytes, max_ratio) if data[:2] == b"\x1f\x8b" else None
    if coding == "deflate":
        wrapped = len(data) > 2 and data[0] & 0x0F == 8 and ((data[0] << 8) | data[1]) % 31 == 0
        return _inflate_zlib(data, 15 if wrapped else -15, max_bytes, max_ratio)
    if coding == "zstd":
        if data[:4] != b"\x28\xb5\x2f\xfd":
            return None
        decoder = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        return _inflate_stream(decoder.stream_reader(data, read_across_frames=True), data, max_bytes, max_ratio)
    if coding == "br":
        return _inflate_stream(BrotliReader(io.BytesIO(data)), data, max_bytes, max_ratio)
    return None


def _check(done: int, data: bytes, max_bytes: int, max_ratio: float) -> None:
    if done > max_bytes:
        raise BodyTooLarge(f"inflates to more than {max_bytes} bytes from {len(data)}")
    if done > RATIO_FREE_BYTES and done > max_ratio * len(data):
        raise BodyTooLarge(f"inflates more than {max_ratio:g}-fold: over {done} bytes from {len(data)}")


def _inflate_zlib(data: bytes, window_bits: int, max_bytes: int, max_ratio: float) -> tuple[bytes, bool] | None:
    decoder = zlib.decompressobj(window_bits)
    parts: list[bytes] = []
    done = 0
    pending = data
    while True:
        try:
            part = decoder.decompress(pending, _INFLATE_STEP_BYTES)
        except zlib.error:
            return (b"".join(parts), False) if parts else None
        done += len(part)
        _check(done, data, max_bytes, max_ratio)
        if part:
            parts.append(part)
        if decoder.eof:
            return b"".join(parts), True
        pending = decoder.unconsumed_tail
        if not pending and not part:
            return (b"".join(parts), False) if parts else None


def _inflate_stream(reader, data: bytes, max_bytes: int, max_ratio: float) -> tuple[bytes, bool] | None:  # type: ignore[no-untyped-def]
    parts: list[bytes] = []
    done = 0
    while True:
        try:
            part = reader.read(_INFLATE_STEP_BYTES)
        except (OSError, zstandard.ZstdError):
            return (b"".join(parts), False) if parts else None
        if not part:
            return b"".join(parts), True
        parts.append(part)
        done += len(part)
        _check(done, data, max_bytes, max_ratio)


def decode_body(response: Response, *, max_bytes: int, max_ratio: float) -> tuple[bytes, bool]:
    """The body with transfer and content coding undone, and whether it was whole.

    A coding that the bytes do not carry (stored decoded under the old headers) is passed over.
    Raises BodyTooLarge when inflating passes a limit or the plain body does.
    """
    body, whole = response.body, True
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        body, whole = dechunk(body)
    codings = [c.strip() for c in response.headers.get("content-encoding", "").lower().split(",")]
    for coding in reversed(codings[:4]):
        undone = inflate(body, coding, max_bytes=max_bytes, max_ratio=max_ratio)
        if undone is not None:
            body, whole = undone[0], whole and undone[1]
    if len(body) > max_bytes:
        raise BodyTooLarge(f"holds {len(body)} bytes, more than {max_bytes}")
    return body, whole
