"""Inputs of the near-duplicate benchmark, the exact truth about them, and how long a whole job takes.

Real text comes from the test data; a corpus is made larger by copies whose letters are permuted, a permutation each:
lengths, repeats and duplicates within a copy stay, and no two copies share a shingle of letters.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import string
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from udfs.document_key import document_key
from udfs.shingles import distinct_shingles

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("WINNOW_TEST_DATA", ROOT.parent / "shared" / "data"))
ROWS_PER_FILE = 20_000
Row = dict[str, str]


def lines_of(path: Path) -> Iterator[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def rows_of(*paths: str) -> list[Row]:
    """Documents of files below the test data; ids are made unique by their place."""
    found = [row for path in paths for row in lines_of(DATA / path)]
    return [{"id": f"{place}/{row['id']}", "text": row["text"]} for place, row in enumerate(found) if row["text"]]


def benchmark_text() -> list[Row]:
    return rows_of(*[f"corpus/benchmark/part-0000{part}.jsonl.gz" for part in range(4)])


def times(rows: list[Row], factor: int) -> Iterator[Row]:
    """The rows, and ``factor - 1`` copies of them with permuted letters."""
    yield from rows
    for copy in range(1, factor):
        letters = random.Random(copy).sample(string.ascii_lowercase, 26)
        permuted = "".join(letters)
        table = str.maketrans(string.ascii_letters, permuted + permuted.upper())
        for row in rows:
            yield {"id": f"{row['id']}*{copy}", "text": row["text"].translate(table)}


def write_documents(rows: Iterable[Row], folder: Path) -> int:
    """Write documents as the job takes them; the bytes of their texts."""
    folder.mkdir(parents=True)
    size, part, held = 0, 0, []

    def flush() -> None:
        table = {
            "id": pa.array([row["id"] for row in held]),
            "key": pa.array([document_key(row["id"].encode(), None, row["text"].encode()) for row in held]),
            "copy": pa.array([0] * len(held), pa.int64()),
            "text": pa.array([row["text"] for row in held]),
        }
        pq.write_table(pa.table(table), folder / f"part-{part:05}.parquet", compression="lz4")

    for row in rows:
        held.append(row)
        size += len(row["text"].encode())
        if len(held) == ROWS_PER_FILE:
            flush()
            part, held = part + 1, []
    flush()
    return size


def write_lines(rows: Iterable[Row], folder: Path, files: int) -> int:
    """Write documents as JSON Lines, dealt out to so many files; the bytes of their texts."""
    folder.mkdir(parents=True)
    size = 0
    with ExitStack() as stack:
        outs = [stack.enter_context((folder / f"{n:03}.jsonl").open("w", encoding="utf-8")) for n in range(files)]
        for place, row in enumerate(rows):
            outs[place % files].write(json.dumps(row, ensure_ascii=False) + "\n")
            size += len(row["text"].encode())
    return size


def job_arguments(recipe: dict[str, Any], source: Path, out: Path) -> list[str]:
    """Arguments of a job that reads a folder with these steps, by a recipe that is written beside the output."""
    settings = out.with_suffix(".yaml")
    settings.write_text(json.dumps({"recipe": "plain", "languages": {"detect": False, "default": "en"}, **recipe}))
    return ["--recipe", str(settings), "--input", str(source), "--output", str(out)]


def job_seconds(name: str, recipe: dict[str, Any], source: Path, out: Path, cores: int) -> float:
    """Seconds of a job by its command, from JSON Lines to what it publishes, Spark's start and the report included."""
    arguments = job_arguments(recipe, source, out)
    command = [sys.executable, "-m", "jobs.cli", name, *arguments, "--master", f"local[{cores}]"]
    began = time.monotonic()
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    return time.monotonic() - began


# --------------------------------------------------------------------------------------------------------- made inputs


def plain_pages(count: int, words: int, seed: int) -> Iterator[Row]:
    """Pages of random words, unlike each other."""
    numbers = np.random.default_rng(seed)
    vocabulary = np.array([f"w{place:x}" for place in range(50_000)])
    for begin in range(0, count, 10_000):
        drawn = vocabulary[numbers.integers(0, len(vocabulary), (min(10_000, count - begin), words))]
        for place, row in enumerate(drawn):
            yield {"id": f"plain{seed}-{begin + place:07}", "text": " ".join(row)}


def skewed_pages(count: int, words: int) -> Iterator[Row]:
    """Three in five are one page with its last words changed, the rest are unlike each other."""
    alike = count * 3 // 5
    draw = random.Random(5)
    (page,) = plain_pages(1, words, 99)
    base = page["text"].split()
    for place in range(alike):
        yield {"id": f"alike{place:07}", "text": " ".join([*base[:-2], f"n{draw.getrandbits(24):x}", base[-1]])}
    yield from plain_pages(count - alike, words, 7)


TEMPLATE_WORDS, LEAST_OWN_WORDS, MOST_OWN_WORDS = 100, 10, 28


def template_pages(count: int, planted: int) -> Iterator[Row]:
    """Pages of one template around words of their own: of two, 92 shingles of 106 to 124 are the template's, so that
    their similarity lies between .58 and .77. The last `planted` ones are copies of the first with one or two words
    changed: .8 to .92.
    """
    draw = random.Random(6)
    template = [f"t{place}" for place in range(TEMPLATE_WORDS)]
    half = TEMPLATE_WORDS // 2
    originals = []
    for place in range(count - planted):
        own = [f"o{draw.getrandbits(40):x}" for _ in range(draw.randint(LEAST_OWN_WORDS, MOST_OWN_WORDS))]
        if place < planted:
            originals.append(own)
        yield {"id": f"page{place:07}", "text": " ".join([*template[:half], *own, *template[half:]])}
    for place, own in enumerate(originals):
        changed = list(own)
        for word in draw.sample(range(len(own)), draw.randint(1, 2)):
            changed[word] = f"c{draw.getrandbits(40):x}"
        yield {"id": f"copy{place:07}", "text": " ".join([*template[:half], *changed, *template[half:]])}


# ------------------------------------------------------------------------------------------------------ the exact truth


def similar_pairs(texts: list[str], ngram: int, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Every pair (i < j) of texts whose sets of shingles have a Jaccard similarity of at least `least`, and this.

    Without sketches: two sets that similar share one of the ⌊(1 − least)·n⌋ + 1 rarest shingles of each (prefix
    filtering, Chaudhuri, Ganti & Kaushik 2006); pairs that share one are compared in full.
    """
    hashes, offsets = distinct_shingles(pa.array(texts, pa.large_string()), ngram)
    _, ranks, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    by_rarity = np.empty(len(counts), dtype=np.int64)
    by_rarity[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    places = by_rarity[ranks]
    sizes = np.diff(offsets)
    owners = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((places, owners))
    places = places[order]
    within = np.arange(len(places)) - offsets[:-1][owners]
    prefix = within <= np.floor((1 - least) * sizes[owners] + 1e-9)
    prefix &= counts[np.argsort(counts, kind="stable")][places] > 1
    tokens, holders = places[prefix], owners[prefix]
    order = np.lexsort((holders, tokens))
    pairs = np.unique(_sharing_pairs(tokens[order], holders[order], sizes, least))
    left, right = pairs // len(texts), pairs % len(texts)
    similarity = _similarities(places, offsets, left, right)
    reached = similarity >= least
    return np.column_stack((left[reached], right[reached])), similarity[reached]


@njit
def _sharing_pairs(tokens, holders, sizes, least):
    """Pairs, as left × documents + right, of the holders of each token; those too unlike in size are left out."""
    found = np.empty(1 << 20, dtype=np.int64)
    count = 0
    begin = 0
    for place in range(len(tokens)):
        if tokens[place] != tokens[begin]:
            begin = place
        for other in range(begin, place):
            a, b = holders[other], holders[place]
            if min(sizes[a], sizes[b]) < least * max(sizes[a], sizes[b]):
                continue
            if count == len(found):
                unique = np.unique(found)
                found = np.concatenate((unique, np.empty(len(found) + 2 * len(unique), dtype=np.int64)))
                count = len(unique)
            found[count] = a * len(sizes) + b
            count += 1
    return found[:count]


@njit
def _similarities(places, offsets, left, right):
    found = np.empty(len(left))
    for pair in range(len(left)):
        i, i_end = offsets[left[pair]], offsets[left[pair] + 1]
        j, j_end = offsets[right[pair]], offsets[right[pair] + 1]
        total, common = i_end - i + j_end - j, 0
        while i < i_end and j < j_end:
            common += places[i] == places[j]
            step = places[i] <= places[j]
            j += places[j] <= places[i]
            i += step
        found[pair] = common / (total - common)
    return found
