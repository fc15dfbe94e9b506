"""The archive reader against its definition: whole files, damaged files, ranges, hostile bodies, real archives."""

from __future__ import annotations

import base64
import collections
import functools
import gzip
import hashlib
import io
import itertools
import tempfile
import tracemalloc
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard
from fastwarc.stream_io import BrotliWriter, Lz4Writer
from fastwarc.warc import ArchiveIterator
from hypothesis import given
from hypothesis import strategies as st

from udfs.warc import ArchiveLimits, Ignored, Page, Skipped, read_archive, read_records

HTML = b"<html><body><p>%s</p></body></html>"


def sha1(data: bytes) -> bytes:
    return b"sha1:" + base64.b32encode(hashlib.sha1(data).digest())


def record(
    number: int, *, body: bytes = b"", http: bytes | None = None, kind: bytes = b"response", block: bytes | None = None,
    length: int | None = None, digest: bool = True, extra: bytes = b"", url: bytes | None = None,
) -> bytes:  # fmt: skip
    """One WARC record; `http` is the head of the HTTP message, `block` overrides all of it."""
    body = body or HTML % (b"page %d" % number)
    if block is None:
        head = http if http is not None else b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        block = head + body
    lines = [
        b"WARC/1.0",
        b"WARC-Type: " + kind,
        b"WARC-Record-ID: <urn:uuid:%08d>" % number,
        b"WARC-Target-URI: " + (url or b"http://example.org/%d" % number),
        b"WARC-Date: 2024-05-06T07:08:09Z",
        b"Content-Type: application/http; msgtype=response",
        b"Content-Length: %d" % (len(block) if length is None else length),
    ]
    if digest:
        lines.append(b"WARC-Block-Digest: " + sha1(block))
    return b"\r\n".join(lines) + b"\r\n" + extra + b"\r\n" + block + b"\r\n\r\n"


def read(data: bytes, **options: object) -> list[Page | Skipped | Ignored]:
    return list(read_archive(io.BytesIO(data), size=len(data), **options))  # type: ignore[arg-type]


def ids(events: list[Page | Skipped | Ignored]) -> list[int]:
    return [int(str(event.id).strip("<>").rpartition(":")[2]) for event in events if isinstance(event, Page)]


def skips(events: list[Page | Skipped | Ignored]) -> list[tuple[int, int, str]]:
    return [(event.offset, event.length, event.reason) for event in events if isinstance(event, Skipped)]


def written_by(writer: type, data: bytes) -> bytes:
    """`data` through one of FastWARC's compressing writers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out"
        with writer(str(path)) as out:
            out.write(data)
        return path.read_bytes()


class OneWay(io.RawIOBase):
    """A stream that cannot seek, as a socket is."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        part = self._inner.read(min(len(buffer), 1000))
        buffer[: len(part)] = part
        return len(part)


# --- Whole records ----------------------------------------------------------------------------------------------------


def test_a_response_becomes_a_page_with_its_id_url_date_and_type() -> None:
    (page,) = read(record(7))
    assert isinstance(page, Page)
    assert (page.id, page.url) == ("<urn:uuid:00000007>", "http://example.org/7")
    assert page.date == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert page.content == HTML % b"page 7"
    assert page.content_type == "text/html; charset=utf-8"
    assert page.text is None and page.truncated is None
    assert (page.offset, page.length) == (0, len(record(7)))


def test_a_conversion_record_gives_its_text() -> None:
    text = "Grüße\n第二行\n".encode()
    data = record(1, kind=b"conversion", block=text).replace(
        b"Content-Type: application/http; msgtype=response", b"Content-Type: text/plain"
    )
    (page,) = read(data)
    assert isinstance(page, Page)
    assert page.text == "Grüße\n第二行\n" and page.content == text and page.content_type == "text/plain"


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("request", record(1, kind=b"request", block=b"GET / HTTP/1.1\r\n\r\n")),
        ("warcinfo", record(1, kind=b"warcinfo", block=b"software: x\r\n")),
        ("metadata", record(1, kind=b"metadata", block=b"a: b\r\n")),
        ("revisit", record(1, kind=b"revisit")),
        ("unknown", record(1, kind=b"something")),
        ("redirect", record(1, http=b"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Type: text/html\r\n\r\n")),
        ("http_error", record(1, http=b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n")),
        ("robots", record(1, url=b"http://example.org/robots.txt")),
        ("image", record(1, http=b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n")),
        ("pdf", record(1, http=b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n")),
        ("binary", record(1, body=b"%PDF-1.4 says html")),
        ("script", record(1, http=b"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\n\r\n")),
        ("feed", record(1, http=b"HTTP/1.1 200 OK\r\nContent-Type: application/rss+xml\r\n\r\n")),
        ("other_type", record(1, body=b"\x01\x02\x03" * 9, http=b"HTTP/1.1 200 OK\r\n\r\n")),
        ("empty_body", record(1, block=b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")),
    ],
)
def test_records_that_are_no_pages_are_counted_by_kind(event: str, data: bytes) -> None:
    assert read(data) == [Ignored(0, event)]


def test_a_page_without_a_type_is_told_by_its_bytes() -> None:
    assert ids(read(record(3, http=b"HTTP/1.1 200 OK\r\n\r\n"))) == [3]


def test_an_arc_file_is_read_though_its_url_holds_blanks() -> None:
    version = b"1 0 Tool\nURL IP-address Archive-date Content-type Archive-length\n"
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>arc</p>"
    data = (
        b"filedesc://x.arc 0.0.0.0 20140216050221 text/plain %d\n" % len(version) + version + b"\n"
        b"http://example.com/a b 93.184.216.119 20140216050222 text/html %d\n" % len(block) + block + b"\n"
    )  # fmt: skip
    for stored in (data, gzip.compress(data)):
        info, page = read(stored)
        assert info == Ignored(0, "warcinfo")
        assert isinstance(page, Page)
        assert page.url == "http://example.com/a b" and page.content == b"<p>arc</p>" and page.id is None
        assert page.date == datetime(2014, 2, 16, 5, 2, 22, tzinfo=UTC)


@pytest.mark.parametrize("stored", ["plain", "members", "one member", "blocks", "lz4"])
def test_every_way_of_storing_gives_the_same_pages(stored: str) -> None:
    records = [record(i) for i in range(40)]
    whole = b"".join(records)
    if stored == "plain":
        data = whole
    elif stored == "members":
        data = b"".join(gzip.compress(r) for r in records)
    elif stored == "one member":
        data = gzip.compress(whole)
    elif stored == "blocks":
        data = b"".join(gzip.compress(whole[i : i + 1000]) for i in range(0, len(whole), 1000))
    else:
        data = b"".join(written_by(Lz4Writer, r) for r in records)
    events = read(data)
    assert ids(events) == list(range(40)) and len(events) == 40
    assert [getattr(e, "content", None) for e in events] == [HTML % (b"page %d" % i) for i in range(40)]
    one_way = list(read_archive(OneWay(data)))  # type: ignore[arg-type]
    assert one_way == events


# --- HTTP bodies ------------------------------------------------------------------------------------------------------


CODED = {
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"br": functools.partial(written_by, BrotliWriter),
    b"zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("coding", sorted(CODED))
def test_content_coding_is_undone(coding: bytes) -> None:
    body = HTML % b"a coded page " * 50
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: " + coding + b"\r\n\r\n"
    (page,) = read(record(1, http=head, body=CODED[coding](body)))
    assert isinstance(page, Page) and page.content == body and page.truncated is None
    (page,) = read(record(1, http=head, body=body))
    assert isinstance(page, Page) and page.content == body, "stored decoded under the old header"


def test_raw_deflate_and_two_codings_are_undone() -> None:
    body = HTML % b"x" * 9
    compressor = zlib.compressobj(wbits=-15)
    raw = compressor.compress(body) + compressor.flush()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: %s\r\n\r\n"
    assert read(record(1, http=head % b"deflate", body=raw))[0].content == body  # type: ignore[union-attr]
    twice = zlib.compress(gzip.compress(body))
    assert read(record(1, http=head % b"gzip, deflate", body=twice))[0].content == body  # type: ignore[union-attr]


def test_chunks_are_joined_and_bodies_that_are_not_chunked_are_kept() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked = b"5;x=y\r\n<p>ab\r\n6\r\nc</p>\n\r\n0\r\n\r\n"
    cases = {
        chunked: (b"<p>abc</p>\n", None),
        chunked[:20]: (b"<p>abc</", "coding"),
        b"<p>abc</p>": (b"<p>abc</p>", None),
    }
    for body, (content, truncated) in cases.items():
        (page,) = read(record(1, http=head, body=body))
        assert isinstance(page, Page) and (page.content, page.truncated) == (content, truncated)


@pytest.mark.parametrize("coding", sorted(CODED))
def test_a_bomb_costs_one_record_and_little_memory(coding: bytes) -> None:
    bomb = CODED[coding](b"\0" * (96 << 20))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: " + coding + b"\r\n\r\n"
    data = record(1) + record(2, http=head, body=bomb) + record(3)
    tracemalloc.start()
    events = read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ids(events) == [1, 3]
    assert skips(events)[0][2] == "inflate_limit"
    assert peak < 64 << 20


def test_a_bomb_of_a_compressed_member_is_passed_over_in_bounded_memory() -> None:
    bomb = gzip.compress(record(2, body=b"x" * (64 << 20), digest=False))
    data = gzip.compress(record(1)) + bomb + gzip.compress(record(3))
    tracemalloc.start()
    events = read(data, limits=ArchiveLimits(max_record_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ids(events) == [1, 3]
    assert skips(events) == [(len(gzip.compress(record(1))), len(bomb), "too_large")]
    assert peak < 16 << 20


# --- Damage -----------------------------------------------------------------------------------------------------------


def members(count: int) -> list[bytes]:
    return [gzip.compress(record(i), mtime=0) for i in range(count)]


def test_a_cut_file_gives_its_whole_records_and_reports_the_rest() -> None:
    parts = members(5)
    data = b"".join(parts)
    start = len(data) - len(parts[-1])
    for cut in (1, 8, len(parts[-1]) // 2, len(parts[-1]) - 1):
        events = read(data[: len(data) - cut])
        whole = [0, 1, 2, 3, 4] if cut <= 8 else [0, 1, 2, 3]
        assert ids(events) == whole, "a record whose digest holds is whole though the member's checksum is cut"
        assert skips(events) == [(start, len(parts[-1]) - cut, skips(events)[0][2])]


def test_a_cut_record_without_digest_is_not_trusted() -> None:
    data = gzip.compress(record(1, digest=False))
    assert skips(read(data[:-4])) == [(0, len(data) - 4, "warc_truncated")] and ids(read(data[:-4])) == []
    plain = record(1) + record(2, digest=False)[:-20]
    events = read(plain)
    assert ids(events) == [1] and skips(events) == [(len(record(1)), len(plain) - len(record(1)), "warc_truncated")]


def test_a_wrong_byte_costs_one_member() -> None:
    parts = members(5)
    data = bytearray(b"".join(parts))
    start = len(parts[0]) + len(parts[1])
    data[start + len(parts[2]) // 2] ^= 0xFF
    events = read(bytes(data))
    assert ids(events) == [0, 1, 3, 4]
    assert [(o, n) for o, n, _ in skips(events)] == [(start, len(parts[2]))]


def test_garbage_between_members_is_reported_with_its_extent() -> None:
    parts = members(3)
    garbage = bytes(range(256)) * 4
    events = read(parts[0] + garbage + parts[1] + parts[2] + bytes(4096))
    assert ids(events) == [0, 1, 2]
    assert skips(events) == [
        (len(parts[0]), 1024, "warc_garbage"),
        (sum(map(len, parts)) + 1024, 4096, "nul_padding"),
    ]


def test_a_wrong_length_does_not_swallow_the_next_record() -> None:
    for wrong in (9, 10_000, 10**14):
        data = record(1) + record(2, length=wrong, digest=False) + record(3)
        for stored in (data, gzip.compress(data)):
            events = read(stored)
            assert ids(events) == [1, 3], wrong
            assert skips(events)[0][2] == "warc_bad_length"
    events = read(record(1) + record(2, length=10_000, digest=False) + record(3))
    assert skips(events) == [(len(record(1)), len(record(2, length=10_000, digest=False)), "warc_bad_length")]


def test_a_record_with_a_wrong_length_is_delivered_when_its_digest_proves_it() -> None:
    for wrong in (9, 10_000):
        events = read(record(1) + record(2, length=wrong) + record(3))
        assert ids(events) == [1, 2, 3]
        assert events[1].content == HTML % b"page 2"  # type: ignore[union-attr]


def test_a_page_whose_bytes_are_not_those_of_its_digest_is_reported() -> None:
    data = record(1).replace(b"page 1", b"page X") + record(2)
    events = read(data)
    assert ids(events) == [2] and skips(events)[0] == (0, len(record(1)), "warc_digest_mismatch")
    assert ids(read(data, limits=ArchiveLimits(check_digests=False))) == [1, 2]


def test_text_that_quotes_a_record_header_is_not_cut_there() -> None:
    quoting = HTML % (b"\r\n\r\n" + record(99))
    data = record(1) + record(2, body=quoting) + record(3)
    for begin, end in ((0, None), (len(record(1)) + 20, None)):
        events = read(data, begin=begin, end=end)
        assert 99 not in ids(events)
    assert ids(read(data)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"<html><body><h1>503 Slow Down</h1></body></html>", "not_an_archive"),
        (gzip.compress(b"<html>an error page, compressed</html>"), "not_an_archive"),
        (b"\x1f\x8b\x08\x00garbage that never was gzip", "not_an_archive"),
        (bytes(5000), "not_an_archive"),
        (b"WARC/1.0\r\n", "warc_truncated"),
        (b"WARC/1.0\r\nX: " + b"y" * 200_000, "warc_bad_header"),
    ],
)
def test_files_that_are_no_archive_are_reported_once(data: bytes, reason: str) -> None:
    events = read(data)
    assert [type(e) for e in events] == [Skipped]
    assert skips(events) == [(0, len(data), reason)]


@given(st.data())
def test_untouched_members_survive_any_damage(data: st.DataObject) -> None:
    parts = members(data.draw(st.integers(1, 6)))
    whole = bytearray(b"".join(parts))
    begin = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["overwrite", "insert", "delete", "cut"]))
    junk = data.draw(st.binary(min_size=1, max_size=60))
    removed = 0
    if kind == "overwrite":
        junk = junk[: len(whole) - begin]
        whole[begin : begin + len(junk)] = junk
        touched = (begin, begin + len(junk))
    elif kind == "insert":
        whole[begin:begin] = junk
        touched = (begin, begin + 1)
    elif kind == "delete":
        removed = min(len(junk), len(whole) - begin)
        del whole[begin : begin + removed]
        touched = (begin, begin + removed)
    else:
        del whole[begin:]
        touched = (begin, 10**9)
    survivors, at = [], 0
    for number, part in enumerate(parts):
        if at + len(part) <= touched[0] or at >= touched[1]:
            survivors.append(number)
        at += len(part)
    events = read(bytes(whole))
    assert set(survivors) <= set(ids(events))
    for event in events:
        if isinstance(event, Page):
            assert event.content == HTML % (b"page %d" % ids([event])[0])
        if isinstance(event, Skipped):
            assert event.offset >= 0 and event.offset + event.length <= len(whole)


@given(st.binary(max_size=400), st.sampled_from([b"", b"WARC/1.0\r\n", b"\x1f\x8b\x08\x00", b"\x04\x22\x4d\x18"]))
def test_no_bytes_make_the_reader_raise(data: bytes, start: bytes) -> None:
    events = read(start + data)
    assert events
    assert list(read_archive(OneWay(start + data))) is not None  # type: ignore[arg-type]


# --- Ranges -----------------------------------------------------------------------------------------------------------


@given(st.data())
def test_the_ranges_of_a_file_give_each_event_once(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    parts = [record(i) for i in range(count)]
    if data.draw(st.booleans()):
        parts.insert(data.draw(st.integers(0, count)), data.draw(st.binary(min_size=1, max_size=40)))
    compressed = data.draw(st.booleans())
    stored = b"".join(gzip.compress(p, mtime=0) if compressed and p[:5] == b"WARC/" else p for p in parts)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stored)), max_size=4)))
    bounds = [0, *cuts, None]
    pieces = [e for b, e in itertools.pairwise(bounds) for e in read(stored, begin=b, end=e)]
    assert pieces == read(stored)


def test_single_records_are_read_by_offset_and_length() -> None:
    parts = members(4)
    offsets = [0, len(parts[0]), len(parts[0]) + len(parts[1])]
    ranges = [(offsets[2], len(parts[2])), (offsets[0], len(parts[0])), (offsets[1], len(parts[1]) - 9)]
    events = list(read_records(io.BytesIO(b"".join(parts)), ranges))
    assert [e.offset for e in events if isinstance(e, Page)][:2] == [offsets[2], offsets[0]]
    assert ids(events)[:2] == [2, 0]
    assert skips(events)[-1][0] == offsets[1]
    whole = read(b"".join(parts))
    again = list(
        read_records(io.BytesIO(b"".join(parts)), [(e.offset, e.length) for e in whole if isinstance(e, Page)])
    )
    assert again == whole, "offset and length of a page find it again"


def test_a_range_of_a_stream_without_seek_is_refused() -> None:
    with pytest.raises(ValueError, match="can seek"):
        list(read_archive(OneWay(record(1)), begin=5))  # type: ignore[arg-type]


# --- Real archives ----------------------------------------------------------------------------------------------------

# pages, ignored, skipped: (offset, length, reason). 16 of the 50 records are pages; record 25 begins at 75135.
DAMAGED: dict[str, tuple[int, int, list[tuple[int, int, str]]]] = {
    "00-intact.warc.gz": (16, 34, []),
    "01-truncated-mid-member.warc.gz": (8, 16, [(75135, 37, "warc_truncated")]),
    "02-truncated-last-bytes.warc.gz": (16, 33, [(135468, 423, "warc_truncated")]),
    "03-bitflip-one-member.warc.gz": (16, 33, [(75135, 489, "warc_damaged")]),
    "04-garbage-between-members.warc.gz": (16, 34, [(75135, 1000, "warc_garbage")]),
    "05-single-gzip-stream.warc.gz": (16, 34, []),
    "06-empty.warc.gz": (0, 0, [(0, 0, "empty_file")]),
    "07-html-error-page.warc.gz": (0, 0, [(0, 48, "not_an_archive")]),
    "08-first-content-length-too-big.warc": (16, 33, [(0, 765, "warc_bad_length")]),
    "09-missing-content-length.warc": (16, 33, [(0, 743, "warc_bad_length")]),
    "10-lf-only-headers.warc": (16, 33, [(543225, 604, "warc_truncated")]),
    "11-nul-padding-tail.warc.gz": (16, 34, [(135896, 4096, "nul_padding")]),
    "12-member-duplicated.warc.gz": (16, 35, []),
}


@pytest.mark.parametrize("name", sorted(DAMAGED))
def test_damaged_archives_give_every_surviving_record_and_report_every_loss(name: str, shared_data: Path) -> None:
    path = shared_data / "warc" / "damaged" / name
    with path.open("rb") as stream:
        events = list(read_archive(stream))
    pages, ignored, lost = DAMAGED[name]
    assert sum(isinstance(e, Page) for e in events) == pages
    assert sum(isinstance(e, Ignored) for e in events) == ignored
    assert skips(events) == lost


# Records as warcio 1.7 counts them; where it stops early (noted), as FastWARC 2.0 does. Then pages and skipped here.
REAL: dict[str, tuple[int, int, int]] = {
    "test-resources__org__netpreserve__jwarc__cc.warc.gz": (1, 1, 0),
    "test-resources__org__netpreserve__jwarc__gzip_extra_sl.warc.gz": (1, 0, 0),
    "test__data__example-bad-length.warc": (6, 1, 0),
    "test__data__example-bad-non-chunked.warc.gz": (6, 1, 0),  # warcio: 1
    "test__data__example-digest.warc": (4, 0, 0),
    "test__data__example-iana.org-chunked.warc": (3, 1, 0),
    "test__data__example-resource.warc.gz": (1, 1, 0),
    "test__data__example-space-in-target-uri.warc.gz": (2, 0, 0),
    "test__data__example-space-in-url.arc": (2, 1, 0),
    "test__data__example-trunc.warc": (4, 1, 0),
    "test__data__example-wget-bad-target-uri.warc.gz": (6, 3, 0),
    "test__data__example-wrong-chunks.warc.gz": (2, 1, 0),  # warcio: 1
    "test__data__example.warc": (7, 1, 0),
    "test__data__example.warc.gz": (6, 1, 0),
    "test__data__post-test-more.warc": (6, 0, 0),
    "test__data__redirect.warc": (2, 0, 0),
    "testdata__test.warc": (10, 10, 0),
    "testdata__test.warc.gz": (10, 10, 0),  # warcio: 1
    "tests__data__block-sized-records.warc": (3, 0, 0),
    "tests__data__block-sized-records.warc.gz": (3, 0, 0),
    "tests__data__block-sized-records.warc.lz4": (3, 0, 0),  # warcio: 0
    "tests__data__clipped.warc.gz": (1, 0, 1),  # the member is cut: both other readers hand out the part
    "tests__data__clueweb-quirk.warc.gz": (30, 29, 0),
    "tests__data__warc__sample-0000.warc.gz": (48, 24, 0),
    "tests__data__warc__sample-0001.warc.gz": (34, 17, 0),
    "tests__data__warcfile.warc": (50, 16, 0),
    "tests__data__warcfile.warc.gz": (50, 16, 0),
    "tests__data__warcfile.warc.lz4": (50, 16, 0),  # warcio: 0
    "whirlwind.warc": (4, 1, 0),
    "whirlwind.warc.gz": (4, 1, 0),
    "whirlwind.warc.wat": (2, 0, 0),
    "whirlwind.warc.wat.gz": (2, 0, 0),
    "whirlwind.warc.wet": (2, 1, 0),
    "whirlwind.warc.wet.gz": (2, 1, 0),
}


def test_the_table_of_real_archives_is_complete(shared_data: Path) -> None:
    assert {path.name for path in (shared_data / "warc" / "real").iterdir()} >= set(REAL)


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_archives_give_as_many_records_as_a_second_reader(name: str, shared_data: Path) -> None:
    path = shared_data / "warc" / "real" / name
    with path.open("rb") as stream:
        events = list(read_archive(stream))
    assert (len(events), sum(isinstance(e, Page) for e in events), len(skips(events))) == REAL[name]
    size = path.stat().st_size
    bounds = [0, size // 3, size // 2, size]
    with path.open("rb") as stream:
        pieces = [e for b, e in itertools.pairwise(bounds) for e in read_archive(stream, begin=b, end=e)]
    assert pieces == events, "three ranges give what the whole file gives"


def test_fastwarc_reads_the_same_bodies(shared_data: Path) -> None:
    path = shared_data / "warc" / "real" / "tests__data__warcfile.warc.gz"
    with path.open("rb") as stream:
        ours = [(e.url, e.content) for e in read_archive(stream) if isinstance(e, Page)]
    with path.open("rb") as stream:
        theirs = [
            (r.headers["WARC-Target-URI"], r.reader.read())
            for r in ArchiveIterator(stream)
            if r.headers["WARC-Type"] == "response"
        ]
    assert ours == theirs


def test_counting_events_covers_every_record_kind(shared_data: Path) -> None:
    path = shared_data / "warc" / "damaged" / "00-intact.warc.gz"
    with path.open("rb") as stream:
        kinds = collections.Counter(e.kind for e in read_archive(stream) if isinstance(e, Ignored))
    assert kinds == {"warcinfo": 1, "request": 17, "metadata": 16}
