"""One document an address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jobs.core.recipe import DedupUrl
from jobs.dedup_url import find_url


def test_of_pages_of_one_address_the_newest_stays_and_pages_without_take_no_part(
    make_documents: Callable[..., Any], workspace: str
) -> None:
    documents = make_documents(
        [
            {"id": "old", "text": "a", "url": "http://Example.com:80/page#top", "date": "2023-05-01"},
            {"id": "new", "text": "b", "url": "http://example.com/page?utm_source=feed", "date": "2024-05-01"},
            {"id": "undated", "text": "c", "url": "http://example.com/./page"},
            {"id": "other", "text": "a", "url": "http://example.com/page?id=1", "date": "2024-05-01"},
            {"id": "none", "text": "a", "url": None},
            {"id": "none too", "text": "a", "url": "not an address"},
        ]
    )
    names = {row["key"]: row["id"] for row in documents.collect()}
    found = find_url(documents, DedupUrl(), workspace)
    rows = found.decisions.collect()
    assert {names[row["key"]]: row["duplicate_of"] for row in rows} == {"old": "new", "undated": "new"}
    assert {row["similarity"] for row in rows} == {None}
    assert found.counts == {"documents": 4, "groups": 1, "largest_cluster": 3, "removed": 2}
