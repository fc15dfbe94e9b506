"""Compile every kernel, or load it from the cache: `warm` at the start of a worker, ``python -m udfs.warm`` at set-up.

Kernels compile when they are first called, once per machine: Numba keeps them in the folder that
`udfs.place_kernel_cache` chooses. A set-up that runs this leaves nothing to compile for the first job; a worker that
runs it pays before its first batch, not in it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba.core.dispatcher import Dispatcher


class Warmed(NamedTuple):
    """What warming did."""

    loaded: int  # kernels that came from the cache
    compiled: int  # kernels that had to be compiled
    seconds: float


_TEXT = pa.array(["A text. 字", None], pa.string())


def _warm_tokens() -> None:
    from udfs.tokens import words

    for normalised in (False, True):
        words(_TEXT, normalised)


def _warm_signals() -> None:
    from udfs.lexicon import Phrase, build_lexicons
    from udfs.signals import STEPS, StopWords, measure

    stop_words = StopWords.from_lists({"en": ["the"]}, default="en")
    measure(_TEXT, steps=STEPS, stop_words=stop_words, lexicons=build_lexicons({"a": [Phrase("a", None)]}))


def _warm_lines() -> None:
    from udfs.lines import LineRules, edit_lines

    edit_lines(_TEXT, LineRules())


def _warm_language() -> None:
    from udfs.language import detect

    detect(_TEXT)


def _warm_content() -> None:
    from udfs.lexicon import Phrase, build_lexicons, measure
    from udfs.personal_data import redact
    from udfs.unicode_repair import repair
    from udfs.urls import build_table, count_words, match, url_word_lists

    urls = pa.array(["https://a.example/b", None], pa.string())
    match(urls, build_table({"a": [b"a.example/b"]}))
    count_words(urls, url_word_lists(["a"], ["a"], ["a"]))
    measure(_TEXT, build_lexicons({"a": [Phrase("a", None)]}))
    redact(_TEXT)
    repair(pa.array(["e\u0301\x00"]))


def _warm_classifier() -> None:
    from udfs.classifier import Shape, score, train

    text = pa.array(["a b", "c d"])
    score(text, train(text, np.array([True, False]), Shape(bits=8), epochs=1))
    _warm_fasttext()


def _warm_fasttext() -> None:
    from udfs.fasttext import score, smallest_model

    score(_TEXT, smallest_model(), "a")


def _warm_digests() -> None:
    from udfs.digests import text_digests

    text_digests(_TEXT, "full")


def _warm_html() -> None:
    from udfs.html import page_extractor, prescan

    prescan(b"<p>A text.</p>")
    page_extractor({})  # reads a page when it is made


def _warm_decontamination() -> None:
    from udfs.decontamination import Policy, contamination
    from udfs.ngram_index import ITEM_SCHEMA, Parameters, build_index

    item = {"dataset": "a", "split": "test", "id": "1", "question": "one two three four five six seven eight nine"}
    items = pa.Table.from_pylist([item | {"answer": None, "context": None}], schema=ITEM_SCHEMA)
    contamination(pa.array([item["question"]]), build_index(items, Parameters()), Policy())


def _warm_urls() -> None:
    from udfs.urls import build_table, count_words, match, url_word_lists

    url = pa.array(["http://a.example/b", None], pa.string())
    match(url, build_table({"list": [b"a.example"]}))
    count_words(url, url_word_lists(["a"]))


def _warm_line_units() -> None:
    from udfs.line_units import KINDS, units

    for kind in KINDS:
        units(_TEXT, kind)


def _warm_near_duplicates() -> None:
    from udfs.candidates import Splitter
    from udfs.minhash import SketchParameters, sketch
    from udfs.resolution import components, removed_nodes
    from udfs.shingles import distinct_shingles
    from udfs.similarity import edit_similarity, jaccard, packed

    sketch(_TEXT, SketchParameters())
    found = distinct_shingles(_TEXT, 5)
    sets = packed(found.hashes, found.offsets[:-1], found.offsets[1:])
    jaccard(sets, sets)
    edit_similarity(sets, sets, 0.5)
    node = np.zeros(1, dtype=np.int64)
    splitter = Splitter(2, 0)
    splitter.take(node, np.empty((1, 0), dtype=np.uint32), node)
    splitter.finish()
    removed_nodes(node, node + 1)
    components(node, node + 1)


def _warm_substrings() -> None:
    from udfs.substrings import UNITS, anchors, cut, follow, tokens, windows
    from udfs.window_digests import ask, earliest, repeats

    everything = np.full(1, 2**64 - 1, dtype=np.uint64)
    for unit in UNITS:
        tokens(_TEXT, unit)
        anchors(_TEXT, 2, unit)
        windows(_TEXT, 2, everything, unit)
    place = np.ones(1, dtype=np.int64)
    pieces, _ = cut(place, place, place - 1, place - 1, 2)
    follow(pieces, pieces)
    questions, numbers = ask(np.ones((1, 2), dtype=np.int64), place, place)
    repeats(place, place, numbers, earliest(questions))


# What all need first, then the slowest first, so that processes that share the rest end together.
WARMERS: Mapping[str, Callable[[], None]] = {
    "tokens": _warm_tokens,
    "html": _warm_html,
    "decontamination": _warm_decontamination,
    "signals": _warm_signals,
    "substrings": _warm_substrings,
    "content": _warm_content,
    "language": _warm_language,
    "near_duplicates": _warm_near_duplicates,
    "classifier": _warm_classifier,
    "lines": _warm_lines,
    "digests": _warm_digests,
    "line_units": _warm_line_units,
    "urls": _warm_urls,
}


def warm(kernels: Collection[str] | None = None) -> Warmed:
    """Call every kernel, or those named (keys of `WARMERS`), on a document of a few bytes.

    Raises:
        KeyError: there are no such kernels.
    """
    began = time.perf_counter()
    for name in WARMERS if kernels is None else kernels:
        WARMERS[name]()
    loaded = compiled = 0
    for dispatcher in _dispatchers():
        loaded += sum(dispatcher.stats.cache_hits.values())
        compiled += sum(dispatcher.stats.cache_misses.values())
    return Warmed(loaded, compiled, time.perf_counter() - began)


def _dispatchers() -> list[Dispatcher]:
    """Return the compiled functions of all imported modules of the package, each once."""
    found = {
        id(value): value
        for name, module in list(sys.modules.items())
        if name.startswith("udfs.")
        for value in vars(module).values()
        if isinstance(value, Dispatcher)
    }
    return list(found.values())


def warm_together(processes: int) -> Warmed:
    """Compile every kernel with several processes, then load all: what each compiles is in the cache for the others.

    Two may compile one kernel at a time; the last file wins, and both hold the same.

    Args:
        processes: At least 1.
    """
    began = time.perf_counter()
    compiled = 0
    if processes > 1:
        # Spawned, not forked: no thread of Arrow's or lock of Numba's is carried over.
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            first, *rest = WARMERS
            compiled = sum(pool.map(_compiled_by, [first])) + sum(pool.map(_compiled_by, rest))
    done = warm()
    return Warmed(done.loaded, done.compiled + compiled, time.perf_counter() - began)


def _compiled_by(name: str) -> int:
    """Warm one group; return how many kernels this process had to compile for it."""
    before = _misses()
    WARMERS[name]()
    return _misses() - before


def _misses() -> int:
    return sum(sum(dispatcher.stats.cache_misses.values()) for dispatcher in _dispatchers())


if __name__ == "__main__":
    done = warm_together(min(4, os.cpu_count() or 1))
    print(f"kernels: {done.loaded} loaded from the cache, {done.compiled} compiled, {done.seconds:.1f} s")
