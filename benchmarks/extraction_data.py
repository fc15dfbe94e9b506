"""The labelled pages and the measures of extraction, as the authors of the sets define them."""

from __future__ import annotations

import gzip
import html
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

SETS = ("wcxb_dev", "aeb", "readability_js")
_WORD = re.compile(r"\w+")


class Page(NamedTuple):
    """A labelled page. `site` keeps pages of one site in one fold."""

    id: str
    dataset: str
    kind: str
    site: str
    url: str | None
    markup: str
    gold: str


def data_folder() -> Path:
    """Where the labelled pages are: `$WINNOW_TEST_DATA/html`, by default beside the repository."""
    root = os.environ.get("WINNOW_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data"
    return Path(root) / "html"


def read_pages(dataset: str, every: int = 1) -> Iterator[Page]:
    """The pages of a set, or one in `every`."""
    with gzip.open(data_folder() / f"{dataset}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if number % every == 0:
                row = json.loads(line)
                site = row.get("domain") or (row.get("url") or row["id"]).split("/")[2 if row.get("url") else 1]
                kind = row.get("page_type") or {"aeb": "article"}.get(dataset, "mixed")
                yield Page(row["id"], dataset, kind, site, row.get("url"), row["html"], row["text"])


def words(text: str) -> list[str]:
    """Words as the benchmarks count them."""
    return _WORD.findall(text.lower())


def word_f1(gold: str, found: str) -> float:
    """F1 of bags of words: the measure of the Web Content Extraction Benchmark."""
    a, b = Counter(words(gold)), Counter(words(found))
    if not a and not b:
        return 1.0
    common = sum((a & b).values())
    return 2 * common / (sum(a.values()) + sum(b.values())) if common else 0.0


def shingle_counts(gold: str, found: str, size: int = 4) -> tuple[float, float, float]:
    """Shares of true positive, false positive and false negative 4-grams of a page: scrapinghub's benchmark."""

    def shingles(text: str) -> Counter[tuple[str, ...]]:
        tokens = _WORD.findall(text)
        n = min(len(tokens), size)
        return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)) if n else Counter()

    a, b = shingles(gold), shingles(found)
    right = float(sum((a & b).values()))
    wrong, missed = sum(b.values()) - right, sum(a.values()) - right
    total = right + wrong + missed
    return (right / total, wrong / total, missed / total) if total else (0.0, 0.0, 0.0)


def shingle_f1(pages: list[tuple[str, str]]) -> float:
    """F1 over pages of equal weight, from `shingle_counts`."""
    right, wrong, missed = (sum(part) for part in zip(*(shingle_counts(*page) for page in pages), strict=True))
    return 2 * right / (2 * right + wrong + missed) if right else 0.0


def label_blocks(texts: list[str], gold: str) -> np.ndarray:
    """For each block the share of its words that the gold text has (in runs of three); -1 where it has no words.

    A block of one or two words counts when a line of the gold text starts or ends with it.
    """
    tokens = words(gold)
    runs = set(zip(tokens, tokens[1:], tokens[2:], strict=False))
    spaced = f" {' '.join(tokens)} "
    lines: set[tuple[str, ...]] = set()
    for line in gold.splitlines():
        own = words(line)
        for n in (1, 2):
            if len(own) >= n:
                lines |= {tuple(own[:n])} if len(own) <= 2 * n + 4 else set()
                lines |= {tuple(own[-n:])} if len(own) <= 2 * n + 4 else set()
    labels = np.empty(len(texts), np.float32)
    for row, text in enumerate(texts):
        own = words(html.unescape(text))
        if not own:
            labels[row] = -1
        elif len(own) < 3:
            labels[row] = tuple(own) in lines
        elif len(own) <= 5:
            labels[row] = f" {' '.join(own)} " in spaced
        else:
            hit = np.zeros(len(own), bool)
            for i, run in enumerate(zip(own, own[1:], own[2:], strict=False)):
                if run in runs:
                    hit[i : i + 3] = True
            labels[row] = hit.mean()
    return labels
