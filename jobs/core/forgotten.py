"""Take-downs: documents that a corpus must not hold, by id, URL or domain, now and in every later refresh.

URLs are compared in their canonical form (`udfs.canonical_url`), domains with all that lies under them. The lists are
small (a million entries are some 100 MB) and travel with the tasks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.core.arrow_map import ArrowMap, map_in_arrow
from jobs.core.corpus import Corpus
from jobs.core.errors import UsageError
from jobs.core.recipe import Part
from jobs.core.run import SetResult
from jobs.core.run_folder import StageFolder
from udfs.canonical_url import canonical_url

FORGET_STEP = "forget"


@dataclass(frozen=True)
class Forgotten:
    """What is to be forgotten: ids, canonical URLs, domains in lower case."""

    ids: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.ids or self.urls or self.domains)

    def joined(self, other: Forgotten) -> Forgotten:
        """Both lists."""
        return Forgotten(self.ids | other.ids, self.urls | other.urls, self.domains | other.domains)

    def names(self, id_: str | None, url: str | None) -> bool:
        """Whether a document is on the list."""
        if id_ is not None and id_ in self.ids:
            return True
        if url is None or not (self.urls or self.domains):
            return False
        canonical = canonical_url(url)
        return canonical is not None and (canonical in self.urls or self._names_host(canonical))

    def _names_host(self, url: str) -> bool:
        host = (urlsplit(url).hostname or "").rstrip(".")
        parts = host.split(".")
        return any(".".join(parts[place:]) in self.domains for place in range(len(parts)))

    def as_json(self) -> str:
        """The list as it is stored."""
        return json.dumps({name: sorted(getattr(self, name)) for name in ("ids", "urls", "domains")}, indent=1)


def read_lists(ids: str | None, urls: str | None, domains: str | None) -> Forgotten:
    """The lists in up to three text files, one entry a line; blank lines and lines that begin with ``#`` are left out.

    Raises ``UsageError`` when there is no entry, a file is missing, or a URL is none.
    """
    canonical = {}
    for url in _lines(urls):
        canonical[url] = canonical_url(url)
        if canonical[url] is None:
            raise UsageError(f"{urls}: '{url}' is no URL", next_step="give whole addresses, with https://")
    hosts = {domain.lower().strip(".") for domain in _lines(domains)}
    found = Forgotten(frozenset(_lines(ids)), frozenset(filter(None, canonical.values())), frozenset(hosts))
    if not found:
        raise UsageError("nothing to forget: the lists are empty", next_step="give --ids, --urls or --domains FILE")
    return found


def _lines(path: str | None) -> list[str]:
    if path is None:
        return []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"{path}: cannot read: {error.strerror}") from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def forgotten_of(corpus: Corpus, names: Sequence[str]) -> Forgotten:
    """All that a corpus has been told to forget."""
    whole = Forgotten()
    for name in names:
        lists = corpus.files.read_json(corpus.at("forgotten", name))
        whole = whole.joined(Forgotten(*(frozenset(lists[part]) for part in ("ids", "urls", "domains"))))
    return whole


def named_rows(documents: DataFrame, forgotten: Forgotten, carried: Sequence[str]) -> DataFrame:
    """The ``carried`` columns of the documents (id, url) that are on the list."""
    narrow = documents.select(*dict.fromkeys(["id", "url", *carried]))
    return map_in_arrow(narrow, _matching(forgotten), narrow.schema).select(*carried)


def _matching(forgotten: Forgotten) -> ArrowMap:
    def match(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            pairs = zip(batch.column("id").to_pylist(), batch.column("url").to_pylist(), strict=True)
            yield batch.filter(pa.array([forgotten.names(*pair) for pair in pairs], pa.bool_()))

    return match


def forget_step(forgotten: Forgotten) -> Any:
    """The set step that keeps forgotten documents out of a batch."""

    def forget(documents: DataFrame, parameters: Part | None, folder: StageFolder) -> SetResult:
        rule = F.lit(FORGET_STEP).alias("rule")
        value = F.lit(None).cast("double").alias("value")
        bound = F.lit("not on the list of forgotten documents").alias("bound")
        found = named_rows(documents, forgotten, ["key", "copy"])
        return SetResult(found.withColumn("reasons", F.array(F.struct(rule, value, bound))))

    return forget
