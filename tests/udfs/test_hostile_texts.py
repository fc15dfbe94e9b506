"""Texts and addresses made to be slow: the time of every content kernel grows as the text does, and no faster."""

from __future__ import annotations

import time
from collections.abc import Callable

import pyarrow as pa
import pytest

from udfs import fasttext, language, lexicon, personal_data, signals, urls
from udfs.lexicon import Phrase

PHRASES = ["a", "a a a a a", "1 1 1 1 2", ". a", "字" * 32, "字" * 31 + "か", "aaaaaaaa b", "http"]
LEXICONS = lexicon.build_lexicons({"x": [Phrase(phrase, None) for phrase in PHRASES]})
NO_STOP_WORDS = signals.StopWords.from_lists({})
TABLE = urls.build_table({"listed": [b"a.example/b", b"a.a.a.a", b"1.1.1.1"]})
URL_WORDS = urls.url_word_lists(["aaaa"], ["aaaa", "a1"], ["a", "1"])

KERNELS: dict[str, Callable[[pa.Array], object]] = {
    "language": language.detect,
    "language, one script": lambda text: language.detect(text, backend="one_script"),
    "lexicon": lambda text: lexicon.measure(text, LEXICONS),
    "lexicon on the way": lambda text: signals.measure(text, steps=[], stop_words=NO_STOP_WORDS, lexicons=LEXICONS),
    "URL lists": lambda url: urls.match(url, TABLE),
    "URL words": lambda url: urls.count_words(url, URL_WORDS),
    "personal data": personal_data.redact,
    "fastText": lambda text: fasttext.score(text, fasttext.smallest_model(), "a"),
}
PIECES = (
    "a",
    "a ",
    ".",
    "a.",
    "1",
    "1.",
    "1 ",
    "字",
    "か字",
    "@",
    "a@b.",
    "%61",
    "/",
    "//a",
    "http://",
    "-",
    "É",
    "\u0301",
)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("before", ["", "http://"])
def test_time_is_linear_in_text_made_to_be_slow(kernel: str, before: str) -> None:
    work = KERNELS[kernel]

    def seconds(piece: str, size: int) -> float:
        text = pa.array([before + piece * size + "!"])
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            work(text)
            best = min(best, time.process_time() - began)
        return best

    for piece in PIECES:
        small, large = seconds(piece, 6_250), seconds(piece, 50_000)
        assert large < 24 * small + 0.05, piece  # 8 times the text; quadratic would be 64 times the time
