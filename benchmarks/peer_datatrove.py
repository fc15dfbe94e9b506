"""What datatrove says of documents; run by the benchmarks in datatrove's own environment.

Tasks, JSON lines in and out: ``rules`` (text → verdicts of each rule alone), ``words`` (text → tokens), ``sentences``
(text → their number), ``constants``, ``kernel`` and ``pipeline`` (speed).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils import text as datatrove_text
from loguru import logger

logger.remove()
NOTHING = {"min_doc_words": None, "max_doc_words": None, "min_avg_word_length": None, "max_avg_word_length": None}
NOTHING |= {"max_symbol_word_ratio": None, "max_bullet_lines_ratio": None, "max_ellipsis_lines_ratio": None}
NOTHING |= {"max_non_alpha_words_ratio": None, "min_stop_words": None}
NO_REPEATS = {"dup_line_frac": None, "dup_para_frac": None, "dup_line_char_frac": None, "dup_para_char_frac": None}
NO_REPEATS |= {"top_n_grams": (), "dup_n_grams": ()}
NO_LINES = {"line_punct_thr": 0.0, "short_line_thr": 1.0, "char_duplicates_ratio": 1.0, "new_line_ratio": float("inf")}
NO_PAGE = {"filter_lorem_ipsum": False, "filter_curly_bracket": False, "min_num_sentences": -1}


def shipped(kind: type, name: str) -> Any:
    """Return a parameter's default."""
    import inspect

    return inspect.signature(kind).parameters[name].default


def one_rule_each() -> dict[str, Any]:
    """Return a filter for every rule, with all other rules off and the threshold that it is shipped with."""

    def quality(*names: str) -> Any:
        return GopherQualityFilter(**{**NOTHING, **{name: shipped(GopherQualityFilter, name) for name in names}})

    def repetition(name: str) -> Any:
        return GopherRepetitionFilter(**{**NO_REPEATS, name: shipped(GopherRepetitionFilter, name)})

    filters = {
        "word_count": quality("min_doc_words", "max_doc_words"),
        "mean_word_length": quality("min_avg_word_length", "max_avg_word_length"),
        "symbol_ratio": quality("max_symbol_word_ratio"),
        "bullet_line_fraction": quality("max_bullet_lines_ratio"),
        "ellipsis_line_fraction": quality("max_ellipsis_lines_ratio"),
        "alpha_word_fraction": quality("max_non_alpha_words_ratio"),
        "stop_word_count": quality("min_stop_words"),
        "duplicate_line_fraction": repetition("dup_line_frac"),
        "duplicate_paragraph_fraction": repetition("dup_para_frac"),
        "duplicate_line_char_fraction": repetition("dup_line_char_frac"),
        "duplicate_paragraph_char_fraction": repetition("dup_para_char_frac"),
    }
    for kind, rule in (("top_n_grams", "top_{}gram_char_fraction"), ("dup_n_grams", "duplicate_{}gram_char_fraction")):
        for n, bound in shipped(GopherRepetitionFilter, kind):
            filters[rule.format(n)] = GopherRepetitionFilter(**{**NO_REPEATS, kind: ((n, bound),)})
    return filters


def fineweb_rules() -> dict[str, Any]:
    """Return a filter for every rule of FineWeb's own, likewise."""
    rules = {
        "terminal_punct_line_fraction": "line_punct_thr",
        "short_line_fraction": "short_line_thr",
        "duplicate_line_char_fraction": "char_duplicates_ratio",
        "newline_word_ratio": "new_line_ratio",
    }
    return {
        rule: FineWebQualityFilter(**{**NO_LINES, name: shipped(FineWebQualityFilter, name)})
        for rule, name in rules.items()
    }


def c4_rules() -> dict[str, Any]:
    """Return C4's page rules, each alone, with the line edits as FineWeb uses them."""
    rules = {
        "lorem_ipsum_count": "filter_lorem_ipsum",
        "curly_bracket_count": "filter_curly_bracket",
        "sentence_count": "min_num_sentences",
    }
    return {
        rule: C4QualityFilter(filter_no_terminal_punct=False, **{**NO_PAGE, name: shipped(C4QualityFilter, name)})
        for rule, name in rules.items()
    }


def verdict(filter_: Any, text: str) -> tuple[bool, str]:
    """Say whether a filter keeps a text, and why not."""
    answer = filter_.filter(Document(text=text, id="0"))
    return answer if isinstance(answer, tuple) else (answer, "")


def rules() -> Callable[[str], dict[str, Any]]:
    gopher, fineweb, c4 = one_rule_each(), fineweb_rules(), c4_rules()
    edit = C4QualityFilter(filter_no_terminal_punct=False, **NO_PAGE)

    def judge(text: str) -> dict[str, Any]:
        keeps = {}
        for rule, filter_ in gopher.items():
            kept, why = verdict(filter_, text)
            if rule == "symbol_ratio":  # one threshold, two rules: the first that breaks is named
                keeps["hash_word_ratio"] = why != "gopher_too_many_hashes"
                keeps["ellipsis_word_ratio"] = None if not keeps["hash_word_ratio"] else kept
            else:
                keeps[rule] = bool(kept)
        words = datatrove_text.split_into_words(text)
        document = Document(text=text, id="0")
        edit.filter(document)
        lines = {rule: bool(verdict(filter_, document.text)[0]) for rule, filter_ in fineweb.items()}
        edited = {"edited": document.text, "edited_words": datatrove_text.split_into_words(document.text)}
        pages = {rule: bool(verdict(filter_, text)[0]) for rule, filter_ in c4.items()}
        return {"gopher": keeps, "c4": pages, "fineweb": lines, "words": words, **edited}

    return judge


def sentences(text: str) -> int:
    return sum(len(datatrove_text.split_into_sentences(line)) for line in text.split("\n") if line)


def with_plain_split() -> None:
    """Take ``str.split`` for the tokeniser, everywhere."""
    from datatrove.utils import word_tokenizers

    class Split:
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

    word_tokenizers.load_word_tokenizer = lambda language: Split()


def kernel(texts: list[str]) -> dict[str, float]:
    """Return the seconds that Gopher's two filters take on texts in memory."""
    filters = [GopherRepetitionFilter(), GopherQualityFilter()]
    verdict(filters[0], "warm up"), verdict(filters[1], "warm up")
    wall, cpu = time.perf_counter(), time.process_time()
    kept = sum(all(verdict(filter_, text)[0] for filter_ in filters) for text in texts)
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "kept": kept}


def pipeline(source: str, output: str) -> dict[str, float]:
    """Return the seconds that Parquet → Gopher's two filters → Parquet takes."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    verdict(GopherQualityFilter(), "warm up")
    steps = [ParquetReader(source), GopherRepetitionFilter(), GopherQualityFilter(), ParquetWriter(output)]
    executor = LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=output + "/logs")
    wall, cpu = time.perf_counter(), time.process_time()
    executor.run()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def given() -> Iterator[Any]:
    return map(json.loads, sys.stdin)


def main() -> None:
    task, *options = sys.argv[1:]
    np.seterr(all="ignore")
    if "split" in options:
        with_plain_split()
    if task == "constants":
        terminal = sorted(datatrove_text.TERMINAL_PUNCTUATION)
        print(json.dumps({"punctuation": sorted(datatrove_text.PUNCTUATION_SET), "terminal": terminal}))
    elif task in ("rules", "words", "sentences"):
        answer = {"rules": rules, "words": lambda: datatrove_text.split_into_words, "sentences": lambda: sentences}[
            task
        ]()
        for text in given():
            print(json.dumps(answer(text)))
    elif task == "kernel":
        print(json.dumps(kernel(list(given()))))
    elif task == "pipeline":
        print(json.dumps(pipeline(*options[:2])))


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    main()
