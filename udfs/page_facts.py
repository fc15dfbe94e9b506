"""What a page states of itself: title, date and language, from its head and its dates, without a guess."""

from __future__ import annotations

import html

import numpy as np

from udfs.blocks import Blocks, attribute, tag_code

__all__ = ["stated"]

_HTML, _META, _TITLE, _TIME, _SCRIPT = (tag_code(name) for name in ("html", "meta", "title", "time", "script"))
_DATES = (
    "article:published_time", "og:article:published_time", "datepublished", "parsely-pub-date", "publishdate",
    "pubdate", "dcterms.created", "dcterms.date", "dc.date.issued", "dc.date", "citation_publication_date", "date",
)  # fmt: skip
_LANGUAGES = ("content-language", "language", "dc.language", "og:locale")


def stated(page: Blocks, source: bytes) -> tuple[str | None, str | None, str | None]:
    """Title, date (as the page writes it) and language that a page states; `source` is what was scanned."""
    data = np.frombuffer(source, np.uint8)
    metas: dict[str, str] = {}
    title = moment = linked = language = None
    for code, begin, end in page.marks.tolist():
        if code == _META:
            content = attribute(data, begin, end, "content")
            if content:
                for key in ("property", "name", "itemprop", "http-equiv"):
                    name = attribute(data, begin, end, key)
                    if name:
                        metas.setdefault(name.strip().lower(), content)
        elif code == _TITLE and title is None:
            title = source[begin:end].decode("utf-8", "replace")
        elif code == _HTML and language is None:
            language = attribute(data, begin, end, "lang") or attribute(data, begin, end, "xml:lang")
        elif code == _TIME and moment is None:
            moment = attribute(data, begin, end, "datetime")
        elif code == _SCRIPT and linked is None:
            linked = _published(source, begin, end)
    date = next((metas[name] for name in _DATES if name in metas), None) or linked or moment
    language = language or next((metas[name] for name in _LANGUAGES if name in metas), None)
    return _plain(metas.get("og:title") or title), _plain(date), _plain(language)


def _published(source: bytes, begin: int, end: int) -> str | None:
    """`datePublished` of a JSON-LD script; a search of bytes, for such JSON is often broken."""
    head = source.find(b">", begin, end)
    if head < 0 or b"ld+json" not in source[begin:head]:
        return None
    place = source.find(b'"datePublished"', head, end)
    if place < 0:
        return None
    first = source.find(b'"', place + 15, min(end, place + 40))
    last = source.find(b'"', first + 1, min(end, first + 60)) if first > 0 else -1
    return source[first + 1 : last].decode("utf-8", "replace") if last > 0 else None


def _plain(value: str | None) -> str | None:
    if not value:
        return None
    return " ".join(html.unescape(value).split())[:1000] or None
