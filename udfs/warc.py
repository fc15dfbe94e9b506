"""Web archives record by record: WARC 0.17 to 1.1, WET and ARC files, whole or damaged, plain or compressed.

`read_archive` takes any readable binary stream and yields what it meets, in order of the file:

- `Page`: a `response`, `resource` or `conversion` record (or an ARC document) that holds text for a person to read;
- `Ignored`: a whole record that is no page (requests, redirects, errors, images, robots.txt ...), with its kind;
- `Skipped`: a range of bytes from which nothing could be taken, with the reason.

A record is trusted only when its bytes are all there: its declared length must end where another record, or the file,
begins; the checksum of its gzip member must hold; the digests it carries must match. Archive readers in use (warcio,
FastWARC) hand out a cut record as if it were whole and end at the first damage. Here reading goes on at the next gzip
member that opens with a record header, or at the next `WARC/1.` line of a plain file; a record with a wrong length is
still delivered when its digest proves the bytes between its header and the next one.

Framing is done here because only so is the offset of every byte known; FastWARC reads the LZ4 frames, and is the second
reader of the tests. Framing with `zlib` was as fast as FastWARC's own loop (17 400 against 16 700 records a second).

Files are read forwards in bounded memory: at most one record of `max_record_bytes` and its inflated body are held.

Splits. A file can be read in ranges: a record belongs to the range that holds its first byte (for gzip, the first byte
of its member; records of one member stay together). Damage belongs to the range where the record or the gap that it
hits begins. A gzip range is found by scanning for members that open with a record; a plain file is walked from its
beginning by the lengths of its records, so that text that quotes a record header is never taken for one. LZ4 files are
read whole.

Formats: ISO 28500:2017 (WARC 1.1); https://archive.org/web/researcher/ArcFileFormat.php; RFC 1952 (gzip).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO
from urllib.parse import urlsplit

from fastwarc.stream_io import Lz4Reader

from udfs.http import BodyTooLarge, dechunk, decode_body, media_type, parse_headers, parse_response

__all__ = ["ArchiveLimits", "Ignored", "Page", "Skipped", "read_archive", "read_records"]


@dataclass(frozen=True)
class ArchiveLimits:
    """What one record may cost. Sizes are bytes.

    `max_record_bytes` bounds a record as stored (uncompressed), `max_body_bytes` its body with HTTP coding undone,
    `max_inflate_ratio` the growth of such a body (past 1 MiB). `check_digests` false accepts records whose digest is
    wrong.
    """

    max_record_bytes: int = 64 << 20
    max_body_bytes: int = 32 << 20
    max_inflate_ratio: float = 200.0
    max_header_bytes: int = 64 << 10
    check_digests: bool = True


@dataclass(frozen=True)
class Page:
    """A page of an archive.

    `id` is WARC-Record-ID as written (None in ARC); `date` is UTC; `content` is the body with HTTP coding undone;
    `content_type` is the HTTP header's value (charset included); `text` is set for WET only. `offset` and `length` are
    the record's bytes in the file as stored, so that `read_records` finds it again; `length` is 0 when the record
    shares its compressed member with others. `truncated` says why the content is not as it was sent: the value of
    WARC-Truncated, `coding` (a compressed or chunked body breaks off) or `line_ends` (CRLF became LF on the way here).
    """

    id: str | None
    url: str | None
    date: datetime | None
    content: bytes
    content_type: str | None
    text: str | None
    offset: int
    length: int
    truncated: str | None = None


@dataclass(frozen=True)
class Skipped:
    """Bytes `[offset, offset + length)` of the stored file gave nothing. `length` 0: part of a member shared with
    others.

    Reasons: empty_file, not_an_archive, warc_garbage, nul_padding, warc_truncated, warc_damaged (a compressed member
    does not inflate), warc_bad_header, warc_bad_length, warc_digest_mismatch, too_large, inflate_limit.
    """

    offset: int
    length: int
    reason: str
    detail: str


@dataclass(frozen=True)
class Ignored:
    """A whole record that is no page. `kind` is from a small fixed set, fit for counting."""

    offset: int
    kind: str


Event = Page | Skipped | Ignored

_WARC_START = re.compile(rb"WARC/[01]\.\d{1,2}[ \t]*\r?\n")
# A header line must follow: prose that ends a line with "WARC/1.0" is no record.
_WARC_HEADER_AHEAD = re.compile(rb"(?:(?<=\n)|(?<=\A))WARC/[01]\.\d{1,2}[ \t]*\r?\n(?=[A-Za-z][A-Za-z-]{2,40}[ \t]*:)")
_ARC_START = re.compile(
    rb"(?:filedesc|https?|ftp|dns|whois|news|gopher|warcinfo|metadata)://?[^\r\n]*"
    rb" [0-9A-Fa-f.:]{3,45} \d{8,14} [^\r\n]* \d+[ \t]*\r?\n"
)
_END_OF_HEADER = re.compile(rb"\r?\n\r?\n")
_GZIP_MAGIC = b"\x1f\x8b\x08"
_LZ4_MAGIC = b"\x04\x22\x4d\x18"
_READ_BYTES = 1 << 16
_LONGEST_START_LINE = 16 << 10
_PROBE_OUT_BYTES = 4096


class _Damaged(Exception):  # noqa: N818 - a state of the input, caught here, never seen by callers
    """The compressed data ends or breaks; `reason` is the one to report."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


# --- Bytes of the file ------------------------------------------------------------------------------------------------


class _Window:
    """The stored file by offset: reads forwards, and back as far as it can seek or still remembers."""

    def __init__(self, stream: BinaryIO, size: int | None, remember: int) -> None:
        self._stream = stream
        try:
            self.seekable = bool(stream.seekable())
        except AttributeError:
            self.seekable = False
        if size is None and self.seekable:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
        self.size = size
        self._start = 0
        self._data = bytearray()
        self._next = 0  # offset in the file of the byte that the stream gives next
        if self.seekable:
            self._next = stream.tell()
            self._start = self._next
        self._remember = _READ_BYTES * 4 if self.seekable else remember

    def earliest(self) -> int:
        """The first offset that can still be read."""
        return 0 if self.seekable else self._start

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; fewer only at the end of the file."""
        if self.seekable and not self._start <= offset <= self._start + len(self._data):
            self._stream.seek(offset)
            self._data.clear()
            self._start = self._next = offset
        elif offset < self._start:
            raise _Damaged("warc_damaged", "the damage lies further back than a stream without seek can go")
        while self._start + len(self._data) < offset + count and self._pull():
            if offset - self._start > 2 * self._remember:
                cut = min(offset - self._start - self._remember, len(self._data))
                del self._data[:cut]
                self._start += cut
        begin = offset - self._start
        return bytes(self._data[begin : begin + count])

    def _pull(self) -> bool:
        part = self._stream.read(_READ_BYTES)
        if not part:
            return False
        self._data += part
        self._next += len(part)
        return True

    def end(self) -> int:
        """Size of the file; reads to the end when nobody knows it."""
        if self.size is not None:
            return self.size
        while self._pull():
            cut = max(0, len(self._data) - self._remember)
            del self._data[:cut]
            self._start += cut
        return self._next


class _Run:
    """Uncompressed bytes in sequence, with push-back: what the record parser reads.

    `start` is the offset in the file where the run begins; for a plain file `exact` is true and every byte has an
    offset.
    """

    exact = False

    def __init__(self, window: _Window, start: int) -> None:
        self.window = window
        self.start = start
        self.end = start
        self.data = bytearray()
        self.at = 0
        self.read_before = 0  # uncompressed bytes of the run dropped from `data`
        self.broken: _Damaged | None = None  # the run ends here because its compressed data does not go on

    def position(self) -> int:
        """Uncompressed bytes of the run consumed so far."""
        return self.read_before + self.at

    def _more(self) -> bytes:
        raise NotImplementedError

    def ensure(self, count: int) -> bool:
        """Have `count` bytes at hand; false when the run ends before."""
        while len(self.data) - self.at < count:
            if self.broken is not None:
                return False
            try:
                part = self._more()
            except _Damaged as damage:
                self.broken = damage
                return False
            if not part:
                return False
            if self.at > 1 << 20:
                self.read_before += self.at
                del self.data[: self.at]
                self.at = 0
            self.data += part
        return True

    def peek(self, count: int) -> bytes:
        self.ensure(count)
        return bytes(self.data[self.at : self.at + count])

    def take(self, count: int) -> bytes:
        part = self.peek(count)
        self.at += len(part)
        return part

    def push_back(self, part: bytes) -> None:
        """Undo the last takes: `part` will be read again."""
        if self.at >= len(part):
            self.at -= len(part)
            return
        self.data[: self.at] = part
        self.read_before -= len(part) - self.at
        self.at = 0

    def drop(self, count: int) -> int:
        """Pass over `count` bytes without keeping them; how many there were."""
        left = count
        while left > 0 and self.ensure(1):
            step = min(left, len(self.data) - self.at)
            self.at += step
            left -= step
        return count - left

    def _restart(self) -> None:
        raise NotImplementedError

    def rewind(self, position: int) -> None:
        """Go back to a position of the run, by reading it again."""
        self._restart()
        self.data.clear()
        self.at = self.read_before = 0
        self.broken = None
        self.drop(position)


class _PlainRun(_Run):
    exact = True

    def _more(self) -> bytes:
        offset = self.start + self.read_before + len(self.data)
        part = self.window.read_at(offset, _READ_BYTES)
        self.end = offset + len(part)
        return part

    def offset(self) -> int:
        return self.start + self.position()

    def rewind(self, position: int) -> None:
        """Continue at another position, before or after this one."""
        if self.read_before <= position <= self.read_before + len(self.data):
            self.at = position - self.read_before
            return
        self.data.clear()
        self.at = 0
        self.read_before = position


class _GzipRun(_Run):
    """A gzip member and those after it that only continue its records (as bgzip and pigz write them)."""

    def __init__(self, window: _Window, start: int) -> None:
        super().__init__(window, start)
        self._restart()

    def _restart(self) -> None:
        self.member = self.start
        self._next_in = self.start
        self._pending = b""
        self._decoder: zlib._Decompress | None = zlib.decompressobj(31)

    def _more(self) -> bytes:
        while self._decoder is not None:
            if not self._pending:
                self._pending = self.window.read_at(self._next_in, _READ_BYTES)
                self._next_in += len(self._pending)
                if not self._pending:
                    raise _Damaged("warc_truncated", f"the file ends inside the gzip member at {self.member}")
            try:
                part = self._decoder.decompress(self._pending, _READ_BYTES)
            except zlib.error as error:
                raise _Damaged("warc_damaged", f"gzip member at {self.member}: {_plain_error(error)}") from None
            if self._decoder.eof:
                self.end = self._next_in - len(self._decoder.unused_data)
                self._pending = b""
                self._next_in = self.end
                self._decoder = None
                if self._continues():
                    self.member = self.end
                    self._decoder = zlib.decompressobj(31)
            else:
                self._pending = self._decoder.unconsumed_tail
            if part:
                return part
        return b""

    def _continues(self) -> bool:
        probe = _probe_gzip(self.window, self.end)
        return probe is not None and not _opens_record(probe)


class _Lz4Run(_Run):
    """One LZ4 frame, read by FastWARC."""

    def __init__(self, window: _Window, start: int, end: int) -> None:
        super().__init__(window, start)
        self.member = start
        self.end = end
        self._restart()

    def _restart(self) -> None:
        self._reader = Lz4Reader(_Slice(self.window, self.start, self.end))

    def _more(self) -> bytes:
        try:
            return self._reader.read(_READ_BYTES)
        except OSError as error:
            raise _Damaged("warc_damaged", f"LZ4 frame at {self.start}: {_plain_error(error)}") from None


class _Slice(io.RawIOBase):
    """A range of the window as a file, for readers that want one."""

    def __init__(self, window: _Window, start: int, end: int) -> None:
        self._window, self._start, self._at, self._end = window, start, start, end

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at - self._start

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (self._start, self._at, self._end)[whence]
        self._at = min(max(base + offset, self._start), self._end)
        return self._at - self._start

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        part = self._window.read_at(self._at, min(len(buffer), self._end - self._at))
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def _plain_error(error: Exception) -> str:
    return str(error).replace("Error -3 while decompressing data: ", "")


def _probe_gzip(window: _Window, offset: int) -> bytes | None:
    """The first inflated bytes of the gzip member at `offset`; None where none begins."""
    head = window.read_at(offset, 1024)
    if head[:3] != _GZIP_MAGIC or len(head) < 11 or head[3] & 0xE0:
        return None
    decoder = zlib.decompressobj(31)
    out = b""
    try:
        out = decoder.decompress(head, _PROBE_OUT_BYTES)
        if not decoder.eof and not out:
            out = decoder.decompress(window.read_at(offset, _READ_BYTES)[1024:], _PROBE_OUT_BYTES)
    except zlib.error:
        # A member that breaks in its first kilobyte still opens here when its record header came through.
        return out or None
    return out


def _opens_record(data: bytes) -> bool:
    return data[:5] == b"WARC/" or _ARC_START.match(data[:_LONGEST_START_LINE]) is not None


def _find_gzip_record(window: _Window, offset: int, stop: int | None = None) -> int | None:
    """Offset of the first gzip member at or after `offset` (and before `stop`) that opens with a record header."""
    offset = max(offset, window.earliest())
    while stop is None or offset < stop:
        part = window.read_at(offset, _READ_BYTES)
        if len(part) < 3:
            return None
        found = part.find(_GZIP_MAGIC)
        while found >= 0:
            if stop is not None and offset + found >= stop:
                return None
            probe = _probe_gzip(window, offset + found)
            if probe is not None and _opens_record(probe):
                return offset + found
            found = part.find(_GZIP_MAGIC, found + 1)
        offset += len(part) - 2
    return None


def _lz4_frame_end(window: _Window, start: int) -> int | None:
    """Where the LZ4 frame at `start` ends by its block sizes; None when it is no frame or the file ends before."""
    head = window.read_at(start, 19)
    if head[:4] != _LZ4_MAGIC or len(head) < 7:
        return None
    flags = head[4]
    at = start + 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
    while True:
        size_field = window.read_at(at, 4)
        if len(size_field) < 4:
            return None
        size = int.from_bytes(size_field, "little")
        at += 4
        if size == 0:
            end = at + (4 if flags & 0x04 else 0)
            return end if len(window.read_at(end - 1, 1)) == 1 else None
        at += (size & 0x7FFFFFFF) + (4 if flags & 0x10 else 0)


# --- Records ----------------------------------------------------------------------------------------------------------


@dataclass
class _Record:
    headers: dict[str, str]
    block: bytes
    offset: int
    length: int
    proven: bool = True  # false: the bytes came from damaged data and count only if their digest matches
    arc: bool = False
    changed: str | None = None  # the bytes are whole but not as they were archived: line ends converted on the way


class _RecordReader:
    """Records of one run; the parts of it that are none become `Skipped`."""

    def __init__(self, run: _Run, limits: ArchiveLimits, emit_from: int) -> None:
        self.run = run
        self.limits = limits
        self.emit_from = emit_from  # plain runs: records that begin before are walked over, not read
        self.records = 0
        self.first_bytes_read = 0

    def events(self) -> Iterator[_Record | Skipped]:
        """All records and gaps of the run. Raises _Damaged where the compressed data breaks."""
        run = self.run
        while True:
            self._pass_blank()
            if not run.ensure(1):
                if run.broken is not None:
                    raise run.broken
                return
            line = run.peek(16)
            if _WARC_START.match(line) or line[:5] == b"WARC/":
                yield from self._warc_record()
            elif self._arc_ahead():
                yield from self._arc_record()
            else:
                yield from self._gap()

    # offsets: exact in plain files, those of the member elsewhere

    def _here(self) -> int:
        if isinstance(self.run, _PlainRun):
            return self.run.offset()
        return getattr(self.run, "member", self.run.start)

    def _skipped(self, start: int, position: int, reason: str, detail: str) -> Skipped:
        self._pass_blank()
        if self.run.exact:
            return Skipped(start, self.run.position() - position, reason, detail)
        if position == 0 and self._at_end():
            return Skipped(start, self.run.end - start, reason, detail)
        return Skipped(start, 0, reason, f"{detail}; at byte {position} of the inflated member")

    def _at_end(self) -> bool:
        return not self.run.ensure(1) and self.run.broken is None

    def _raise_if_broken(self) -> None:
        """At the end of what a broken run holds, say so: what was being read is part of the damage."""
        if self.run.broken is not None and not self.run.ensure(1):
            raise self.run.broken

    def _pass_blank(self) -> None:
        while self.run.ensure(1) and self.run.data[self.run.at] in b"\r\n":
            self.run.at += 1

    def _arc_ahead(self) -> bool:
        run = self.run
        run.ensure(_LONGEST_START_LINE)
        return _ARC_START.match(bytes(run.data[run.at : run.at + _LONGEST_START_LINE])) is not None

    def _record_ahead(self) -> bool:
        line = self.run.peek(5)
        return line == b"WARC/" or self._arc_ahead()

    def _gap(self) -> Iterator[Skipped]:
        """Pass over what is no record, to the next header line or the end of the run."""
        start, position = self._here(), self.run.position()
        zeros = self._seek_header()
        self._raise_if_broken()
        if zeros:
            yield self._skipped(start, position, "nul_padding", "zero bytes where a record should begin")
        else:
            yield self._skipped(start, position, "warc_garbage", "bytes where a record should begin")

    def _seek_header(self) -> bool:
        """Advance to the next `WARC/` header line, or to the end; whether all that was passed is NUL."""
        run = self.run
        zeros = True
        first = True
        while True:
            more = run.ensure(_READ_BYTES)
            chunk = bytes(run.data[run.at :])
            # At a gap's own first byte a header has just been refused, so look behind it.
            found = _WARC_HEADER_AHEAD.search(chunk, 1 if first else 0)
            if found:
                zeros = zeros and not chunk[: found.start()].strip(b"\0")
                run.at += found.start()
                return zeros
            if not more:
                zeros = zeros and not chunk.strip(b"\0")
                run.at += len(chunk)
                return zeros
            # Keep a tail that may hold the first half of a header line, beginning at a line break.
            keep = min(len(chunk) - 1, 128)
            zeros = zeros and not chunk[: len(chunk) - keep].strip(b"\0")
            run.at += len(chunk) - keep
            first = False

    def _header(self) -> bytes | None:
        """The record header up to its blank line, consumed; None when there is no end within the limit."""
        run = self.run
        want = 2048
        while True:
            more = run.ensure(want)
            data = bytes(run.data[run.at : run.at + want])
            found = _END_OF_HEADER.search(data)
            if found:
                run.at += found.end()
                return data[: found.end()]
            if not more or want >= self.limits.max_header_bytes:
                return None
            want *= 2

    def _warc_record(self) -> Iterator[_Record | Skipped]:
        start, position = self._here(), self.run.position()
        header = self._header()
        if header is None:
            ended = self._at_end() or len(self.run.data) - self.run.at < self.limits.max_header_bytes
            self.run.at += 5
            self._seek_header()
            self._raise_if_broken()
            reason = "warc_truncated" if ended and self._at_end() else "warc_bad_header"
            yield self._skipped(start, position, reason, "the record's header has no end")
            return
        headers = parse_headers(header.partition(b"\n")[2])
        declared = headers.get("content-length", "")
        length = int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 16 else None
        if length is None:
            yield from self._unframed(headers, start, position, b"", f"Content-Length is {declared[:40]!r}")
            return
        yield from self._framed(headers, start, position, length)

    def _framed(self, headers: dict[str, str], start: int, position: int, length: int) -> Iterator[_Record | Skipped]:
        """A record whose length is declared: believed when a record or the end follows, else looked at closely."""
        run = self.run
        window = run.window
        body = run.position()
        if isinstance(run, _PlainRun):
            body_at = run.offset()
            if window.size is not None and body_at + length > window.size and length > self.limits.max_record_bytes:
                yield from self._unframed(headers, start, position, b"", f"Content-Length {length} is past the end")
                return
            if start < self.emit_from and window.seekable:
                run.rewind(body + length)
                if (window.size is None or body_at + length <= window.size) and self._ends_well():
                    self.records += 1
                    return
                run.rewind(body)
        if length > self.limits.max_record_bytes:
            dropped = run.drop(length)
            if dropped < length and window.seekable:
                run.rewind(body)
                yield from self._unframed(headers, start, position, b"", f"Content-Length {length} is past the end")
                return
            self._raise_if_broken()
            limit = self.limits.max_record_bytes
            reason = "too_large" if dropped == length else "warc_truncated"
            yield self._skipped(start, position, reason, f"the record holds {length} bytes, the limit is {limit}")
            return
        block = run.take(length)
        if len(block) < length:
            yield from self._unframed(headers, start, position, block, f"Content-Length {length}, {len(block)} left")
            return
        good = self._ends_well()
        if run.broken is not None and not run.ensure(1):
            yield self._record(headers, block, start, position, proven=False)
            raise run.broken
        if not good and not _digest_verdict(headers, block):
            yield from self._unframed(
                headers, start, position, block, f"Content-Length {length} ends inside the record"
            )
            return
        yield self._record(headers, block, start, position)

    def _ends_well(self) -> bool:
        """Whether a record, the end of the run or nothing but zeros follows; blank lines are passed."""
        self._pass_blank()
        if not self.run.ensure(1) or self._record_ahead():
            return True
        return not self.run.peek(512).strip(b"\0")

    def _record(
        self,
        headers: dict[str, str],
        block: bytes,
        start: int,
        position: int,
        *,
        proven: bool = True,
        arc: bool = False,
        changed: str | None = None,
    ) -> _Record:
        if self.run.exact:
            length = self.run.position() - position
        elif position == 0 and self.records == 0 and proven and self._at_end():
            length = self.run.end - start
        else:
            length = 0
        self.records += 1
        return _Record(headers, block, start, length, proven, arc, changed)

    def _unframed(
        self, headers: dict[str, str], start: int, position: int, block: bytes, detail: str
    ) -> Iterator[_Record | Skipped]:
        """A record whose length is wrong or missing: it ends at the next header; its digest decides whether it
        counts.
        """
        run = self.run
        run.push_back(block)
        body = run.position()
        text = bytearray()
        limit = self.limits.max_record_bytes
        found = False
        while True:
            more = run.ensure(_READ_BYTES)
            chunk = bytes(run.data[run.at :])
            hit = _WARC_HEADER_AHEAD.search(chunk, 0 if not text else 1) if chunk else None
            if hit and hit.start() == 0 and run.position() != body:
                hit = None
            keep = min(len(chunk), 128) if more else 0
            step = hit.start() if hit else len(chunk) - keep
            if len(text) <= limit:
                text += chunk[:step]
            run.at += step
            if hit:
                found = True
                break
            if not more:
                break
        ended_early = not found and len(block) > 0
        if len(text) <= limit:
            for candidate in _trimmed(bytes(text)):
                if _digest_verdict(headers, candidate):
                    yield self._record(headers, candidate, start, position)
                    return
            declared = headers.get("content-length", "")
            candidate = bytes(text).removesuffix(b"\n\n").removesuffix(b"\r\n\r\n")
            if declared.isdigit() and _line_ends_converted(candidate, int(declared), bounded=found):
                yield self._record(headers, candidate, start, position, changed="line_ends")
                return
        self._raise_if_broken()
        yield self._skipped(start, position, "warc_truncated" if ended_early else "warc_bad_length", detail)

    def _arc_record(self) -> Iterator[_Record | Skipped]:
        start, position = self._here(), self.run.position()
        run = self.run
        line = bytes(_ARC_START.match(run.peek(_LONGEST_START_LINE)).group())  # type: ignore[union-attr]
        run.at += len(line)
        # The URL may hold blanks (it should not); the other fields never do. Version 2 has five more of them.
        fields = line.decode("utf-8", "replace").split()
        date_at = next((i for i in range(2, len(fields)) if fields[i].isdigit() and len(fields[i]) in (8, 12, 14)), 2)
        headers = {
            "warc-type": "warcinfo" if line.startswith(b"filedesc:") else "response",
            "warc-target-uri": " ".join(fields[: date_at - 1]),
            "warc-date": fields[date_at],
            "content-type": fields[date_at + 1] if date_at + 1 < len(fields) - 1 else "",
        }
        length = int(fields[-1]) if fields[-1].isdigit() and len(fields[-1]) < 16 else 0
        if length > self.limits.max_record_bytes:
            run.drop(length)
            yield self._skipped(start, position, "too_large", f"the record holds {length} bytes")
            return
        block = run.take(length)
        if len(block) < length:
            for candidate in (block, block.removesuffix(b"\n")):
                if _line_ends_converted(candidate, length, bounded=False):
                    yield self._record(headers, candidate, start, position, arc=True, changed="line_ends")
                    return
            self._raise_if_broken()
            yield self._skipped(start, position, "warc_truncated", f"length {length}, {len(block)} left")
            return
        good = self._ends_well()
        if run.broken is not None and not run.ensure(1):
            yield self._record(headers, block, start, position, proven=False, arc=True)
            raise run.broken
        if not good:
            # Old crawlers counted wrong by a few bytes; the next record begins on a line of its own near by.
            near = re.search(rb"\n(?=" + _ARC_START.pattern + rb")", block[-512:] + run.peek(4096))
            if near is None:
                self._seek_header()
                yield self._skipped(start, position, "warc_bad_length", f"length {length} ends inside the record")
                return
            excess = len(block[-512:]) - near.end()
            if excess > 0:
                run.push_back(block[-excess:])
                block = block[:-excess]
            else:
                run.at -= excess
        yield self._record(headers, block, start, position, arc=True)


def _trimmed(block: bytes) -> Iterator[bytes]:
    """The block without the blank lines that end a record, in the ways that writers end it."""
    for tail in (b"\r\n\r\n", b"\n\n", b"\r\n", b"\n", b""):
        if block.endswith(tail):
            yield block[: len(block) - len(tail)]


def _line_ends_converted(block: bytes, declared: int, *, bounded: bool) -> bool:
    """Whether the declared length is what `block` had before its CRLF became LF (as file transfers in text mode do).

    True when no header line ends in CRLF and the missing bytes are no more than its line ends. Where no next record
    bounds the block, its HTTP body must also be as long as its own Content-Length says.
    """
    head = block[: block.find(b"\n\n") + 1]
    missing = declared - len(block)
    if b"\r" in head or not 0 < missing <= block.count(b"\n") + 1:
        return False
    if bounded:
        return True
    response = parse_response(block)
    return response.status > 0 and response.headers.get("content-length") == str(len(response.body))


# --- Digests ----------------------------------------------------------------------------------------------------------

_HASHES = {"sha1": hashlib.sha1, "sha-1": hashlib.sha1, "sha256": hashlib.sha256, "sha-256": hashlib.sha256,
           "sha512": hashlib.sha512, "sha-512": hashlib.sha512, "md5": hashlib.md5}  # fmt: skip


def _matches(labelled: str, data: bytes) -> bool | None:
    """Whether `algorithm:value` (base 32, or hexadecimal) is the digest of `data`; None when it cannot be told."""
    name, colon, value = labelled.partition(":")
    function = _HASHES.get(name.strip().lower())
    if not colon or function is None:
        return None
    value = value.strip().strip('"')
    size = function().digest_size
    try:
        if len(value) == 2 * size:
            expected = bytes.fromhex(value)
        else:
            expected = base64.b32decode(value.upper().rstrip("=") + "=" * (-len(value.rstrip("=")) % 8))
    except (ValueError, binascii.Error):
        return None
    if len(expected) != size:
        return None
    return function(data, usedforsecurity=False).digest() == expected


def _digest_verdict(headers: dict[str, str], block: bytes) -> bool | None:
    """True: a digest of the record holds. False: it has digests and none holds. None: nothing to check against.

    Crawlers disagree on whether a payload is the body as sent or with chunked coding undone; either will do.
    """
    verdict: bool | None = None
    if "warc-block-digest" in headers:
        verdict = _matches(headers["warc-block-digest"], block)
        if verdict:
            return True
    # In a revisit the digest is that of the page visited before, and a segment has only a part of its payload.
    if (
        "warc-payload-digest" not in headers
        or headers.get("warc-type") == "revisit"
        or "warc-segment-number" in headers
    ):
        return verdict
    labelled = headers["warc-payload-digest"]
    candidates = [block]
    if block[:5] == b"HTTP/":
        response = parse_response(block)
        candidates = [response.body, block]
        if "chunked" in response.headers.get("transfer-encoding", "").lower():
            candidates.insert(1, dechunk(response.body)[0])
    for candidate in candidates:
        answer = _matches(labelled, candidate)
        if answer:
            return True
        if answer is False:
            verdict = False
    return verdict


# --- What a record is -------------------------------------------------------------------------------------------------

_TEXT_TYPES = {
    "text/html", "application/xhtml+xml", "application/xhtml", "application/vnd.wap.xhtml+xml", "text/plain",
    "text/markdown", "text/x-markdown", "text/x-rst", "text/asciidoc",
}  # fmt: skip
_UNKNOWN_TYPES = {
    "", "application/octet-stream", "binary/octet-stream", "unknown", "application/unknown", "unknown/unknown",
    "content/unknown", "application/x-unknown", "text/unknown", "text", "html", "no-type", "unk",
}  # fmt: skip
_BINARY_STARTS = (b"%PDF-", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"\x1f\x8b\x08", b"RIFF", b"OggS",
                  b"ID3", b"BZh", b"7z\xbc\xaf", b"\x00\x00\x00\x18ftyp", b"\x00\x00\x00 ftyp", b"\xd0\xcf\x11\xe0",
                  b"wOFF", b"wOF2", b"\x00asm", b"\x7fELF", b"MZ\x90\x00")  # fmt: skip
_HTML_START = re.compile(
    rb"<(?:!doctype|!--|html|head|body|title|meta|script|style|link|div|p|h[1-6]|table|\?xml)\b", re.IGNORECASE
)


def _kind_of_type(media: str) -> str:
    """The kind under which a type that is no page is counted."""
    major, _, minor = media.partition("/")
    if major in ("image", "audio", "video", "font"):
        return major
    for kind, words in (
        ("feed", ("rss", "atom")),
        ("script", ("javascript", "ecmascript", "jscript")),
        ("style", ("css",)),
        ("json", ("json",)),
        ("font", ("font", "woff")),
        ("image", ("svg",)),
        ("pdf", ("pdf",)),
        ("xml", ("xml",)),
        ("dns", ("dns",)),
    ):
        if any(word in minor for word in words):
            return kind
    return "other_text" if major == "text" else "other_type"


def _looks_like_text(content: bytes) -> bool:
    head = content[:2048]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or _HTML_START.search(head):
        return True
    control = sum(byte < 9 or 13 < byte < 27 for byte in head)
    return bool(head) and control == 0


def _date(value: str) -> datetime | None:
    """WARC-Date (W3C profile of ISO 8601) or an ARC date (14 digits), in UTC; None when it is neither."""
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) in (8, 12, 14):
        try:
            return datetime.strptime(value.ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None
    try:
        date = datetime.fromisoformat(value)
    except ValueError:
        return None
    try:
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def _is_robots(url: str | None) -> bool:
    if not url or "robots.txt" not in url:
        return False
    try:
        return urlsplit(url).path == "/robots.txt"
    except ValueError:
        return False


def _classify(record: _Record, limits: ArchiveLimits) -> Event | None:
    """A record to what the caller sees; None for a record of damaged data that no digest proves."""
    headers, block = record.headers, record.block
    if not record.proven and not _digest_verdict(headers, block):
        return None
    kind = headers.get("warc-type", "").lower()
    if kind not in ("response", "resource", "conversion"):
        known = ("warcinfo", "request", "metadata", "revisit", "continuation")
        return Ignored(record.offset, kind if kind in known else "unknown")
    url = headers.get("warc-target-uri", "").strip().removeprefix("<").removesuffix(">") or None
    if "warc-segment-number" in headers and headers["warc-segment-number"].strip() != "1":
        return Ignored(record.offset, "continuation")
    if _is_robots(url):
        return Ignored(record.offset, "robots")
    declared = headers.get("content-type", "")
    truncated = headers.get("warc-truncated") or record.changed
    content, content_type = block, declared or None
    if kind == "response":
        is_http = media_type(declared) == "application/http" or block[:5] == b"HTTP/" or block[:4] == b"ICY "
        if is_http:
            response = parse_response(block)
            status = response.status
            if 300 <= status < 400:
                return Ignored(record.offset, "redirect")
            if status and not 200 <= status < 300:
                return Ignored(record.offset, "http_error")
            content_type = response.headers.get("content-type") or headers.get("warc-identified-payload-type") or None
            early = _kind_early(content_type)
            if early:
                return Ignored(record.offset, early)
            try:
                content, whole = decode_body(
                    response, max_bytes=limits.max_body_bytes, max_ratio=limits.max_inflate_ratio
                )
            except BodyTooLarge as error:
                return Skipped(record.offset, record.length, "inflate_limit", f"{url}: the body {error}")
            truncated = truncated or (None if whole else "coding")
        elif not record.arc and url and url.startswith(("dns:", "whois:")):
            return Ignored(record.offset, "dns")
    early = _kind_early(content_type)
    if early:
        return Ignored(record.offset, early)
    if not content.strip(b"\0\t\n\r "):
        return Ignored(record.offset, "empty_body")
    if content.startswith(_BINARY_STARTS):
        return Ignored(record.offset, "binary")
    if media_type(content_type) in _UNKNOWN_TYPES and not _looks_like_text(content):
        return Ignored(record.offset, "other_type")
    if limits.check_digests and not record.changed and _digest_verdict(headers, block) is False:
        detail = f"{headers.get('warc-record-id', 'record')}: the digest in its header is not that of its bytes"
        return Skipped(record.offset, record.length, "warc_digest_mismatch", detail)
    text = content.decode("utf-8", "replace") if kind == "conversion" else None
    date = _date(headers.get("warc-date", ""))
    if len(content) > limits.max_body_bytes:
        return Skipped(record.offset, record.length, "too_large", f"{url}: the body holds {len(content)} bytes")
    identifier = headers.get("warc-record-id") or None
    return Page(identifier, url, date, content, content_type, text, record.offset, record.length, truncated)


def _kind_early(content_type: str | None) -> str | None:
    media = media_type(content_type)
    if media in _TEXT_TYPES or media in _UNKNOWN_TYPES:
        return None
    return _kind_of_type(media)


# --- Files ------------------------------------------------------------------------------------------------------------


def read_archive(
    stream: BinaryIO,
    *,
    size: int | None = None,
    limits: ArchiveLimits | None = None,
    begin: int = 0,
    end: int | None = None,
) -> Iterator[Event]:
    """Pages, ignored records and skipped ranges of an archive, in the order of the file.

    The kind of file is told by its first bytes, never by its name. `size` is the file's, if known. `begin` and `end`
    bound the records by their first byte, in stored bytes; the ranges of a partition of the file together give each
    event once.
    `begin` > 0 needs a stream that can seek. Nothing in the bytes of a file raises; errors of the stream do.
    """
    limits = limits or ArchiveLimits()
    window = _Window(stream, size, 2 * limits.max_record_bytes)
    if begin > 0 and not window.seekable:
        raise ValueError("a range that begins past 0 needs a stream that can seek")
    if end is not None and end <= begin:
        return
    head = window.read_at(0, 1 << 10)
    if not head:
        if begin == 0:
            yield Skipped(0, 0, "empty_file", "the file has no bytes")
        return
    if head.startswith(_GZIP_MAGIC):
        events = _read_gzip(window, limits, begin, end)
    elif head.startswith(_LZ4_MAGIC):
        events = _read_lz4(window, limits) if begin == 0 else iter(())
    elif _opens_record(head.lstrip(b"\r\n")) or _opens_record(window.read_at(0, _LONGEST_START_LINE)):
        events = _read_plain(window, limits, begin, end)
    else:
        events = _read_unknown(window, limits, begin, end)
    yield from events


def read_records(
    stream: BinaryIO, ranges: Iterable[tuple[int, int]], *, limits: ArchiveLimits | None = None
) -> Iterator[Event]:
    """The records at the given (offset, length) pairs, as rows of a Common Crawl index name them.

    Each pair gives at least one event; offsets are those of the file. A range that ends before its record does is
    reported as `warc_truncated`.
    """
    for offset, length in ranges:
        stream.seek(offset)
        data = stream.read(length) if length > 0 else b""
        for event in read_archive(io.BytesIO(data), size=len(data), limits=limits):
            yield _moved(event, offset)


def _moved(event: Event, by: int) -> Event:
    fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
    fields["offset"] += by
    return type(event)(**fields)


def _deliver(reader: _RecordReader, limits: ArchiveLimits, lost: list[_Damaged]) -> Iterator[Event]:
    """Events of one run; a break of its compressed data ends it and is left in `lost`."""
    try:
        for item in reader.events():
            event = item if isinstance(item, Skipped) else _classify(item, limits)
            if event is not None:
                yield event
    except _Damaged as damage:
        lost.append(damage)


def _read_plain(window: _Window, limits: ArchiveLimits, begin: int, end: int | None) -> Iterator[Event]:
    run = _PlainRun(window, 0)
    lost: list[_Damaged] = []
    for event in _deliver(_RecordReader(run, limits, begin), limits, lost):
        if end is not None and event.offset >= end:
            return
        if event.offset >= begin:
            yield event
    if lost:
        yield Skipped(run.offset(), window.end() - run.offset(), lost[0].reason, lost[0].detail)


def _read_gzip(window: _Window, limits: ArchiveLimits, begin: int, end: int | None) -> Iterator[Event]:
    position: int | None = 0 if begin == 0 else _find_gzip_record(window, begin, end)
    while position is not None and (end is None or position < end):
        run = _GzipRun(window, position)
        reader = _RecordReader(run, limits, 0)
        lost: list[_Damaged] = []
        last: Event | None = None
        for event in _deliver(reader, limits, lost):
            last = event
            if isinstance(event, Skipped) and event.reason == "warc_garbage" and event.length == window.end():
                event = Skipped(0, event.length, "not_an_archive", "compressed data that holds no record")
            yield event
        position = run.end
        if lost:
            start = run.member
            position = _find_gzip_record(window, start + 1)
            stop = window.end() if position is None else position
            if reader.records:
                told = (
                    "delivered where a digest proves it" if reader.records == 1 else "those before the damage were read"
                )
                detail = f"{lost[0].detail}; {reader.records} record(s) read to their end: {told}"
            else:
                detail = lost[0].detail
            nothing_else = position is None and start == 0 and last is None
            if nothing_else and reader.run.position() == 0 and not reader.records and not _starts_warc(run):
                yield Skipped(0, stop, "not_an_archive", detail)
            else:
                yield Skipped(start, stop - start, lost[0].reason, detail)
            continue
        if window.read_at(position, 1) == b"":
            return
        probe = _probe_gzip(window, position)
        if probe is not None and _opens_record(probe):
            continue
        start = position
        position = _find_gzip_record(window, start + 1)
        stop = window.end() if position is None else position
        yield Skipped(start, stop - start, *_name_gap(window, start, stop))


def _starts_warc(run: _Run) -> bool:
    return _opens_record(bytes(run.data[run.at : run.at + 1024]))


def _name_gap(window: _Window, start: int, stop: int) -> tuple[str, str]:
    at = start
    if window.read_at(start, 3) == _GZIP_MAGIC:
        return "warc_damaged", "a gzip member that does not open with a record"
    while at < stop:
        part = window.read_at(at, min(_READ_BYTES, stop - at))
        if not part or part.strip(b"\0"):
            return "warc_garbage", "bytes between compressed members"
        at += len(part)
    return "nul_padding", "zero bytes after a compressed member"


def _read_lz4(window: _Window, limits: ArchiveLimits) -> Iterator[Event]:
    position = 0
    while window.read_at(position, 1):
        frame_end = _lz4_frame_end(window, position)
        lost: list[_Damaged] = []
        run: _Lz4Run | None = None
        if frame_end is not None:
            run = _Lz4Run(window, position, frame_end)
            yield from _deliver(_RecordReader(run, limits, 0), limits, lost)
            position = frame_end
            if not lost:
                continue
        start = run.start if run else position
        following = _find_bytes(window, start + 1, _LZ4_MAGIC)
        stop = window.end() if following is None else following
        reason, detail = (lost[0].reason, lost[0].detail) if lost else ("warc_damaged", "no LZ4 frame ends here")
        yield Skipped(start, stop - start, reason, detail)
        position = stop


def _find_bytes(window: _Window, offset: int, pattern: bytes) -> int | None:
    while True:
        part = window.read_at(offset, _READ_BYTES)
        found = part.find(pattern)
        if found >= 0:
            return offset + found
        if len(part) < _READ_BYTES:
            return None
        offset += len(part) - len(pattern) + 1


def _read_unknown(window: _Window, limits: ArchiveLimits, begin: int, end: int | None) -> Iterator[Event]:
    """A file that opens with no magic we know: damaged at its start, or no archive at all."""
    gzip_at = _find_gzip_record(window, 0)
    found = _find_plain_record(window)
    if gzip_at is None and found is None:
        if begin == 0:
            head = window.read_at(0, 80)
            yield Skipped(0, window.end(), "not_an_archive", f"begins with {head[:40]!r}")
        return
    if found is not None and (gzip_at is None or found < gzip_at):
        yield from _read_plain(window, limits, begin, end)
        return
    assert gzip_at is not None
    if begin == 0:
        yield Skipped(0, gzip_at, *_name_gap(window, 0, gzip_at))
    if end is None or gzip_at < end:
        yield from _read_gzip(window, limits, max(begin, gzip_at), end)


def _find_plain_record(window: _Window) -> int | None:
    at = 0
    while True:
        part = window.read_at(at, _READ_BYTES)
        found = _WARC_HEADER_AHEAD.search(part)
        if found and (found.start() > 0 or at == 0):
            return at + found.start()
        if len(part) < _READ_BYTES:
            return None
        at += len(part) - 128
