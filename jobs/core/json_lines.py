"""Reading JSON Lines with positions: plain, gzip, zstd, bzip2 or xz; what cannot be read is said by file, line and
offset.

Spark's own JSON reader turns a broken or over-long line into a row of NULLs and knows no positions (docs/faults.md, F1
and F2). A compressed file that is cut short is wholly out (F7): it is inflated once to its end before its first record
is handed on.
"""

from __future__ import annotations

import bz2
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson
import zstandard

READ_BYTES = 1 << 20
GZIP_WINDOW = 31


class DamagedFileError(Exception):
    """A compressed file that does not inflate to its end."""

    def __init__(self, offset: int, detail: str) -> None:
        super().__init__(detail)
        self.offset = offset
        self.detail = detail


@dataclass(frozen=True)
class Line:
    """One line: its number from 1 (0 when the reader started inside the file), byte offset in the inflated text, and
    bytes.
    """

    number: int
    offset: int
    data: bytes
    too_long: bool = False


@dataclass(frozen=True)
class BadLine:
    """Why a line is no record."""

    reason: str
    detail: str


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    ".gz": lambda: zlib.decompressobj(GZIP_WINDOW),
    ".zst": lambda: zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj(),
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lzma.LZMADecompressor,
}


def compression_of(path: str) -> str | None:
    """The compression suffix of a path, None for plain files."""
    return next((suffix for suffix in _DECOMPRESSORS if path.lower().endswith(suffix)), None)


def inflated_blocks(stream: BinaryIO, compression: str | None) -> Iterator[bytes]:
    """Blocks of a file's inflated bytes, through all its members. Raises ``DamagedFileError``."""
    if compression is None:
        while block := stream.read(READ_BYTES):
            yield bytes(block)
        return
    make = _DECOMPRESSORS[compression]
    inflater, position, inside = make(), 0, False
    while block := bytes(stream.read(READ_BYTES)):
        position += len(block)
        while block:
            if not inside and compression == ".gz":
                block = block.lstrip(b"\0")  # zero padding between and after members is legal
                if not block:
                    break
            try:
                inflated = inflater.decompress(block)
            except (zlib.error, OSError, EOFError, lzma.LZMAError, zstandard.ZstdError) as error:
                raise DamagedFileError(position - len(block), f"does not inflate: {error}") from None
            inside = True
            if inflated:
                yield inflated
            block = b""
            if inflater.eof:
                block = inflater.unused_data
                inflater, inside = make(), False
    if inside:
        raise DamagedFileError(position, "ends inside a compressed member (truncated)")


def inflates_to_its_end(stream: BinaryIO, compression: str | None) -> None:
    """Inflate a whole file and throw the text away. Raises ``DamagedFileError``."""
    for _ in inflated_blocks(stream, compression):
        pass


def lines(blocks: Iterator[bytes], *, max_bytes: int, begin: int = 0, numbered: bool = True) -> Iterator[Line]:
    """Lines of a stream of blocks; of a line over ``max_bytes`` only its first kilobyte is kept.

    ``begin`` is the offset of the first block in the file.
    """
    number, offset = (1 if numbered else 0), begin
    pending: list[bytes] = []
    pending_bytes = 0
    for block in blocks:
        start = 0
        while (end := block.find(b"\n", start)) >= 0:
            piece = block[start:end]
            length = pending_bytes + len(piece)
            too_long = length > max_bytes
            data = (pending[0] if pending else piece)[:1024] if too_long else b"".join([*pending, piece])
            yield Line(number, offset, data, too_long)
            offset += length + 1
            number += 1 if numbered else 0
            pending, pending_bytes, start = [], 0, end + 1
        rest = block[start:]
        if rest:
            pending_bytes += len(rest)
            if pending_bytes <= max_bytes or not pending:
                pending.append(rest)
    if pending_bytes:
        too_long = pending_bytes > max_bytes
        yield Line(number, offset, pending[0][:1024] if too_long else b"".join(pending), too_long)


def lines_of_range(stream: BinaryIO, begin: int, end: int, *, max_bytes: int) -> Iterator[Line]:
    """Lines of a plain file that start inside [begin, end), the last one to its end. Numbers are 0: only offsets are
    known.
    """
    if begin > 0:
        stream.seek(begin - 1)
        skipped = _skip_to_line(stream)
        if skipped is None:
            return
        begin += skipped
        stream.seek(begin)
    else:
        stream.seek(0)
    if begin >= end:
        return
    for line in lines(inflated_blocks(stream, None), max_bytes=max_bytes, begin=begin, numbered=begin == 0):
        if line.offset >= end:
            return
        yield line


def _skip_to_line(stream: BinaryIO) -> int | None:
    """Bytes from one past the current position to the start of the next line; None at the end of the file."""
    seen = 0
    while block := bytes(stream.read(READ_BYTES)):
        found = block.find(b"\n")
        if found >= 0:
            return seen + found
        seen += len(block)
    return None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def parse_line(data: bytes) -> tuple[dict[str, Any], bool] | BadLine:
    """A line as a record and whether its text had to be repaired, or why it is none.

    Lone surrogates (legal JSON escapes, but no characters) become U+FFFD and count as a repair; a line that is not
    UTF-8, not JSON, nested too deeply, or no object is bad.
    """
    repaired = False
    try:
        record = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        problem = str(error)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as unicode_error:
            return BadLine("invalid_utf8", f"byte {unicode_error.start} of the line is not UTF-8")
        try:
            record = json.loads(text, parse_constant=_no_constant)
        except RecursionError:
            return BadLine("invalid_json", "nested too deeply")
        except ValueError:
            return BadLine("invalid_json", problem)
        record, repaired = _without_surrogates(record)
    if not isinstance(record, dict):
        return BadLine("invalid_json", f"a {type(record).__name__}, not an object")
    return record, repaired


def _without_surrogates(value: Any) -> tuple[Any, bool]:
    """Replace lone surrogates in all strings of a parsed value, joining pairs that were escaped apart."""
    if isinstance(value, str):
        try:
            value.encode("utf-8")
            return value, False
        except UnicodeEncodeError:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), True
    if isinstance(value, list):
        items = [_without_surrogates(item) for item in value]
        return [item for item, _ in items], any(changed for _, changed in items)
    if isinstance(value, dict):
        pairs = [(_without_surrogates(k), _without_surrogates(v)) for k, v in value.items()]
        return {k: v for (k, _), (v, _) in pairs}, any(a or b for (_, a), (_, b) in pairs)
    return value, False
