"""Writing a web archive record by record (ISO 28500:2017, WARC 1.1): each record in a gzip member of its own."""

from __future__ import annotations

import base64
import gzip
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

CRLF = "\r\n"


def record_id(url: str, kind: str = "response") -> str:
    """A WARC-Record-ID that is the same in every run."""
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{kind} {url}')}>"


@dataclass
class Archive:
    """An archive in memory; ``data`` is the file."""

    members: list[bytes] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        """The bytes of the file."""
        return b"".join(self.members)

    def add(self, kind: str, block: bytes, headers: Mapping[str, str], *, date: datetime) -> None:
        """Append one record of type ``kind``; length, date and digest are filled in."""
        lines = [
            "WARC/1.1",
            f"WARC-Type: {kind}",
            f"WARC-Date: {date:%Y-%m-%dT%H:%M:%SZ}",
            *(f"{name}: {value}" for name, value in headers.items()),
            f"WARC-Block-Digest: sha1:{base64.b32encode(hashlib.sha1(block).digest()).decode()}",
            f"Content-Length: {len(block)}",
        ]
        record = (CRLF.join(lines) + CRLF * 2).encode() + block + (CRLF * 2).encode()
        self.members.append(gzip.compress(record, mtime=0))

    def add_info(self, software: str, *, date: datetime) -> None:
        """The record that opens an archive."""
        block = f"software: {software}{CRLF}format: WARC File Format 1.1{CRLF}".encode()
        self.add(
            "warcinfo",
            block,
            {"WARC-Record-ID": record_id(software, "warcinfo"), "Content-Type": "application/warc-fields"},
            date=date,
        )

    def add_request(self, url: str, host: str, *, date: datetime) -> None:
        """What the crawler asked."""
        path = url.partition(host)[2] or "/"
        block = f"GET {path} HTTP/1.1{CRLF}Host: {host}{CRLF}User-Agent: sample-crawler/1.0{CRLF}{CRLF}".encode()
        self.add(
            "request",
            block,
            {
                "WARC-Record-ID": record_id(url, "request"),
                "WARC-Target-URI": url,
                "Content-Type": "application/http; msgtype=request",
            },
            date=date,
        )

    def add_response(
        self,
        url: str,
        body: bytes,
        *,
        date: datetime,
        status: str = "200 OK",
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """What the server answered; returns the record's id."""
        fields = {"Content-Type": "text/html; charset=utf-8", **(headers or {})}
        if "Transfer-Encoding" not in fields:
            fields["Content-Length"] = str(len(body))
        head = f"HTTP/1.1 {status}{CRLF}" + "".join(f"{k}: {v}{CRLF}" for k, v in fields.items()) + CRLF
        identifier = record_id(url)
        self.add(
            "response",
            head.encode() + body,
            {
                "WARC-Record-ID": identifier,
                "WARC-Target-URI": url,
                "Content-Type": "application/http; msgtype=response",
            },
            date=date,
        )
        return identifier

    def add_conversion(self, url: str, text: str, *, date: datetime) -> str:
        """A page that is text already, as in Common Crawl's WET files; returns the record's id."""
        identifier = record_id(url, "conversion")
        headers = {"WARC-Record-ID": identifier, "WARC-Target-URI": url, "Content-Type": "text/plain"}
        self.add("conversion", text.encode(), headers, date=date)
        return identifier

    def damage_last(self) -> None:
        """Flip bits in the middle of the last member, as a bad disk or a bad transfer does."""
        member = bytearray(self.members[-1])
        middle = len(member) // 2
        member[middle : middle + 8] = bytes(byte ^ 0xA5 for byte in member[middle : middle + 8])
        self.members[-1] = bytes(member)


def chunked(body: bytes, size: int = 700) -> bytes:
    """A body in HTTP's chunked coding."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
