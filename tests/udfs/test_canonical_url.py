"""Canonical addresses: what the WHATWG URL standard says, tracking parameters, and strings that are no address."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.canonical_url import canonical_url, canonical_urls


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://Example.COM", "http://example.com/"),
        ("  https://example.com:443/a\n", "https://example.com/a"),
        ("https://example.com:8443/a", "https://example.com:8443/a"),
        ("http:\\\\example.com\\a", "http://example.com/a"),
        ("http://example.com/a/./b/../c", "http://example.com/a/c"),
        ("http://example.com/a/%2E%2e/b/..", "http://example.com/"),
        ("http://example.com/../../a", "http://example.com/a"),
        ("http://example.com/a b?c d", "http://example.com/a%20b?c%20d"),
        ("http://example.com/\u00e9?\u00e9", "http://example.com/%C3%A9?%C3%A9"),
        ("http://example.com/%c3%a9", "http://example.com/%c3%a9"),
        ("http://b\u00fccher.example/", "http://xn--bcher-kva.example/"),
        ("http://BU\u0308CHER.example/", "http://xn--bcher-kva.example/"),
        ("http://user:pass@example.com/", "http://user:pass@example.com/"),
        ("http://[2001:DB8::1]:80/x", "http://[2001:db8::1]/x"),
        ("http://example.com/a#b?c", "http://example.com/a"),
        ("http://example.com/a?", "http://example.com/a"),
        ("http://example.com/Case?Q=1", "http://example.com/Case?Q=1"),
        ("http://exa\tmple.com/a\r\nb", "http://example.com/ab"),
        ("urn:uuid:A#b", "urn:uuid:A"),
    ],
)
def test_an_address_is_written_as_the_standard_says(url: str, expected: str) -> None:
    assert canonical_url(url) == expected


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("utm_source=x&id=1&UTM_Medium=y", "?id=1"),
        ("fbclid=1", ""),
        ("a=1&gclid=2&b=3", "?a=1&b=3"),
        ("utmost=1&ref=2", "?utmost=1&ref=2"),
        ("%75tm_source=x", ""),
        ("b=2&a=1", "?b=2&a=1"),
    ],
)
def test_parameters_that_only_track_are_dropped(query: str, left: str) -> None:
    assert canonical_url(f"http://example.com/?{query}") == f"http://example.com/{left}"


def test_tracking_can_be_kept_and_further_parameters_dropped() -> None:
    address = "http://example.com/?utm_source=x&Sid=1"
    assert canonical_url(address, tracking=False) == address
    assert canonical_urls(pa.array([address]), ignored=["SID"]).to_pylist() == ["http://example.com/"]


@pytest.mark.parametrize(
    "url", ["", "example.com/a", "/a", "http://", "http://:80/", "http://example.com:x/", "mailto:", "?"]
)
def test_what_is_no_address_is_none(url: str) -> None:
    assert canonical_url(url) is None


@given(st.text(alphabet="htp:/\\?#&=.%2eE@[] aé字\t0-utm_", max_size=40).map("http://".__add__))
def test_canonical_addresses_stay_as_they_are(url: str) -> None:
    once = canonical_url(url)
    if once is not None:
        assert canonical_url(once) == once
        assert once.isascii()


def test_nulls_stay_null() -> None:
    assert canonical_urls(pa.array([None, "x:"], pa.large_string())).to_pylist() == [None, None]
