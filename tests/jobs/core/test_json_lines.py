"""JSON Lines with positions: what is read, what is bad and where, and files that are cut short."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.json_lines import (
    BadLine,
    DamagedFileError,
    inflated_blocks,
    inflates_to_its_end,
    lines,
    lines_of_range,
    parse_line,
)

COMPRESSORS = {
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
TEXT = b"".join(b'{"id": "%d", "text": "line %d of a file"}\n' % (i, i) for i in range(5000))


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_members_of_a_compressed_file_are_read_to_the_last(suffix: str) -> None:
    compress = COMPRESSORS[suffix]
    data = compress(TEXT[:100]) + compress(TEXT[100:])
    assert b"".join(inflated_blocks(io.BytesIO(data), suffix)) == TEXT


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_a_compressed_file_that_is_cut_short_is_damaged(suffix: str) -> None:
    data = COMPRESSORS[suffix](TEXT)
    for cut in (1, 5, len(data) // 2):
        with pytest.raises(DamagedFileError, match=r"truncated|inflate"):
            inflates_to_its_end(io.BytesIO(data[:-cut]), suffix)


def test_zero_padding_after_a_gzip_member_is_no_damage() -> None:
    inflates_to_its_end(io.BytesIO(gzip.compress(TEXT) + b"\0" * 512), ".gz")


def test_garbage_after_a_gzip_member_is_damage_with_its_offset() -> None:
    data = gzip.compress(TEXT)
    with pytest.raises(DamagedFileError) as raised:
        inflates_to_its_end(io.BytesIO(data + b"garbage"), ".gz")
    assert raised.value.offset >= len(data)


@given(st.lists(st.binary(max_size=40).filter(lambda b: b"\n" not in b), max_size=12), st.integers(1, 50))
def test_byte_ranges_deliver_every_line_once(rows: list[bytes], step: int) -> None:
    data = b"\n".join(rows)
    whole = [(line.offset, line.data) for line in lines(iter([data] if data else []), max_bytes=1000)]
    parts = [
        (line.offset, line.data)
        for begin in range(0, max(len(data), 1), step)
        for line in lines_of_range(io.BytesIO(data), begin, min(begin + step, len(data)), max_bytes=1000)
    ]
    assert parts == whole


def test_a_line_over_the_limit_is_said_and_the_next_one_read() -> None:
    data = b"x" * 5000 + b"\nshort\n"
    found = list(lines(iter([data[:3000], data[3000:]]), max_bytes=100))
    assert [(line.number, line.offset, line.too_long) for line in found] == [(1, 0, True), (2, 5001, False)]
    assert found[1].data == b"short"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"text": "cut', "invalid_json"),
        (b'{"text": "raw\ttab"}', "invalid_json"),
        (b'{"text": "caf\xe9"}', "invalid_utf8"),
        (b"[1, 2]", "invalid_json"),
        (b'{"x": NaN}', "invalid_json"),
        (b'{"m": ' + b"[" * 5000 + b"]" * 5000 + b"}", "invalid_json"),
    ],
)
def test_a_line_that_is_no_record_has_a_reason(data: bytes, reason: str) -> None:
    parsed = parse_line(data)
    assert isinstance(parsed, BadLine)
    assert parsed.reason == reason


def test_a_text_of_thirty_million_characters_is_read() -> None:
    parsed = parse_line(b'{"text": "' + b"a" * 30_000_000 + b'"}')
    assert not isinstance(parsed, BadLine)
    assert len(parsed[0]["text"]) == 30_000_000


def test_lone_surrogates_are_repaired_and_counted() -> None:
    parsed = parse_line(rb'{"text": "a\ud800b", "more": ["\udc00"]}')
    assert parsed == ({"text": "a\ufffdb", "more": ["\ufffd"]}, True)


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert parse_line(rb'{"text": "\ud83d\ude00"}') == ({"text": "\U0001f600"}, False)
