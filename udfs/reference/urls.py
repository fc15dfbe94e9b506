"""Plain twin of `udfs.urls`: one URL after another, with string methods and dictionaries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

import idna

UNESCAPED = re.compile("%(2d|2e|5f|7e|3[0-9]|[46][1-9a-f]|[57][0-9a])", re.IGNORECASE)


def host_of(url: str) -> str:
    """Return the canonical host of a URL, empty where it has none."""
    return split(url)[0]


def split(url: str) -> tuple[str, str]:
    """Return the canonical host and path of a URL."""
    url = url.strip("".join(map(chr, range(33))))
    scheme = re.match(r"[^:/?#\\]*://|//", url)
    if scheme:
        rest = url[scheme.end() :]
    elif re.match(r"[^:/?#\\]*:[^0-9]", url):
        return "", ""
    else:
        rest = url
    authority = re.match(r"[^/?#\\]*", rest)
    assert authority is not None
    host = authority.group().rpartition("@")[2]
    if host.startswith("["):
        host = re.match(r"[^\]]*\]?", host).group()  # type: ignore[union-attr]
    else:
        host, colon, port = host.partition(":")
        if colon and not re.fullmatch("[0-9]*", port):
            return "", ""
        host = host.rstrip(".")
    if not host.isascii() or "%" in host:
        host = unquote(host).strip()
        try:
            host = idna.encode(host, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            host = host.lower()
        host = host.rstrip(".")
    path = rest[authority.end() :].partition("#")[0].replace("\\", "/")
    path = UNESCAPED.sub(lambda escape: chr(int(escape.group(1), 16)), path)
    return (lower(host), lower(path).rstrip("/")) if host else ("", "")


def lower(text: str) -> str:
    """Return the text with ASCII letters in lower case."""
    return re.sub("[A-Z]+", lambda run: run.group().lower(), text)


def match(url: str | None, lists: dict[str, list[str]]) -> tuple[str, str] | None:
    """Return the (list, entry) that names a URL, None where none does; entries are domains, with a path or without."""
    if url is None:
        return None
    host, path = split(url)
    entries: dict[tuple[str, str], str] = {}
    for name, lines in lists.items():
        for line in lines:
            entries.setdefault(split(line), name)
    if not host:
        return None
    labels = host.split(".")
    domains = [host] if re.fullmatch("[0-9.]*", host) else [".".join(labels[k:]) for k in range(len(labels))]
    for domain in domains:
        ends = [k for k in range(1, len(path) + 1) if k == len(path) or path[k] in "/?&;"]
        for part in [path[:k] for k in reversed(ends)] + [""]:
            if domain and (domain, part) in entries:
                return entries[domain, part], domain + part
    return None


def count_words(url: str, strict: Iterable[str], hard: Iterable[str], soft: Iterable[str]) -> tuple[int, int, int]:
    """Return how many words of each list are in a URL."""
    words = set(re.findall("[a-z0-9]+", lower(url)))
    joined = re.sub("[^a-z0-9]", "", lower(url))
    return (
        sum(word in joined for word in set(strict)),
        sum(word in words for word in set(hard)),
        sum(word in words for word in set(soft)),
    )
