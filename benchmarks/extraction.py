"""Measure extraction: every engine on every labelled set, by page type, with processor time per page.

    python benchmarks/extraction.py [--every N] [--engines winnow,hybrid,...] [--unseen FILE]
    python benchmarks/extraction.py --sandbox [--every N]

Sets and measures (as their authors define them): `wcxb_dev`, F1 of words, mean over pages (Web Content Extraction
Benchmark); `aeb`, F1 of 4-grams (scrapinghub's article extraction benchmark); `readability_js`, F1 of words against
what Readability.js gives (agreement of layout, no truth). The trees of `winnow` are trained on these pages: `--unseen`
takes the probabilities that `train_extraction.py --keep` wrote for pages left out of training; they are what counts.

trafilatura runs in a virtual environment of its own (`benchmarks/.venvs/trafilatura`, trafilatura 2.3.1), for it is no
dependency of the product. Times are of the process, not of the clock, all engines one after the other on each page.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from extraction_data import SETS, Page, read_pages, shingle_f1, word_f1  # noqa: E402

_CHILD = """
import json, sys, time
import trafilatura
for line in sys.stdin:
    page = json.loads(line)
    began = time.process_time()
    text = trafilatura.extract(page["markup"], url=page["url"], include_comments=False, include_tables=True) or ""
    print(json.dumps({"text": text, "seconds": time.process_time() - began}), flush=True)
"""

Engine = Callable[[Page], tuple[str, float]]


def _timed(run: Callable[[str, str | None], str]) -> Engine:
    def engine(page: Page) -> tuple[str, float]:
        began = time.process_time()
        text = run(page.markup, page.url)
        return text, time.process_time() - began

    return engine


def hybrid(markup: str, url: str | None) -> str:
    """turbohtml's main content, or Resiliparse's where turbohtml found less than half as much: the floor."""
    import turbohtml
    from resiliparse.extract.html2text import extract_plain_text

    article = turbohtml.parse(markup).article()
    other = extract_plain_text(markup, preserve_formatting=True, main_content=True)
    return article.text if len(article.text) * 2 >= len(other) else other


def product(name: str) -> Engine:
    from udfs.html import ExtractOptions, page_extractor

    engine = page_extractor(vars(ExtractOptions(engine=name))).engine
    return _timed(lambda markup, url: engine(markup, url)[0])


def trafilatura() -> Engine:
    python = ROOT / "benchmarks" / ".venvs" / "trafilatura" / "bin" / "python"
    child = subprocess.Popen([python, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None and child.stdout is not None
    to, back = child.stdin, child.stdout

    def engine(page: Page) -> tuple[str, float]:
        to.write(json.dumps({"markup": page.markup, "url": page.url}) + "\n")
        to.flush()
        answer = json.loads(back.readline())
        return answer["text"], answer["seconds"]

    return engine


def unseen(path: str) -> Engine:
    """The default engine, with the probabilities that the trees gave to pages they were not trained on."""
    from udfs.blocks import scan
    from udfs.main_text import keep
    from udfs.page_text import data_tables, render

    stored = np.load(path)
    chance = {str(name): row for name, row in zip(stored["ids"], range(len(stored["ids"])), strict=True)}

    def engine(page: Page) -> tuple[str, float]:
        found = scan(page.markup.encode("utf-8", "replace"))
        if page.id not in chance:
            return "", 0.0
        row = chance[page.id]
        tables = data_tables(found)
        kept = keep(found, tables, stored["chance"][stored["edges"][row] : stored["edges"][row + 1]])
        return render(found, kept, tables), 0.0

    return engine


def sandbox_cost(every: int) -> None:
    """Processor time of the same pages in this process and in the sandbox (parent and child), medians of five."""
    import statistics
    from dataclasses import replace

    import pyarrow as pa

    from udfs.html import ExtractOptions, extract
    from udfs.sandbox import _SHARED

    pages = [page for dataset in SETS for page in read_pages(dataset, every)]
    columns = (
        pa.array([page.markup.encode("utf-8", "replace") for page in pages], pa.binary()),
        pa.nulls(len(pages), pa.string()),
        pa.array([page.url for page in pages], pa.string()),
    )

    def spent() -> float:
        children = [box._process.pid for box in _SHARED.values() if box._process is not None]
        ticks = [Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()[11:13] for pid in children]
        return time.process_time() + sum(int(t) for both in ticks for t in both) / os.sysconf("SC_CLK_TCK")

    figures: dict[bool, list[float]] = {False: [], True: []}
    for sandboxed in (False, True):
        options = replace(ExtractOptions(), sandboxed=sandboxed)
        extract(*(column[:50] for column in columns), options)
    for _ in range(5):
        for sandboxed in (False, True):
            options = replace(ExtractOptions(), sandboxed=sandboxed)
            began = spent()
            extract(*columns, options)
            figures[sandboxed].append(spent() - began)
    here, there = (statistics.median(figures[key]) for key in (False, True))
    print(
        f"{len(pages)} pages: {here / len(pages) * 1e3:.2f} ms a page in process, {there / len(pages) * 1e3:.2f} ms "
        f"through the sandbox ({there / here - 1:+.1%})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take one page in N")
    parser.add_argument("--engines", default="winnow,hybrid,resiliparse,all_text,trafilatura")
    parser.add_argument("--unseen", help="file of train_extraction.py --keep")
    parser.add_argument("--worst", type=int, default=0, help="name the N worst pages of the first engine")
    parser.add_argument("--sandbox", action="store_true", help="measure only what the sandbox costs")
    arguments = parser.parse_args()
    if arguments.sandbox:
        sandbox_cost(arguments.every)
        return
    makers: dict[str, Callable[[], Engine]] = {
        "hybrid": lambda: _timed(hybrid),
        "trafilatura": trafilatura,
        **{name: (lambda name=name: product(name)) for name in ("winnow", "resiliparse", "all_text")},
    }
    engines = {name: makers[name]() for name in arguments.engines.split(",")}
    if arguments.unseen:
        engines = {"winnow, unseen pages": unseen(arguments.unseen), **engines}
    pages: list[Page] = []
    texts: dict[str, list[str]] = {name: [] for name in engines}
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for dataset in SETS:
        for page in read_pages(dataset, arguments.every):
            pages.append(page._replace(markup=""))
            for name, engine in engines.items():
                text, spent = engine(page)
                texts[name].append(text)
                seconds[name].append(spent)
    kinds = sorted({page.kind for page in pages if page.dataset == "wcxb_dev"})
    print(f"{len(pages)} pages (one in {arguments.every}); wcxb_dev by page type\n")
    print("| engine | wcxb_dev | aeb | readability_js | " + " | ".join(kinds) + " | ms mean | ms p99 |")
    print("|---" * (6 + len(kinds)) + "|")
    first: list[tuple[float, str, str]] = []
    for name in engines:
        scores = [word_f1(page.gold, text) for page, text in zip(pages, texts[name], strict=True)]
        of = {
            dataset: [s for page, s in zip(pages, scores, strict=True) if page.dataset == dataset] for dataset in SETS
        }
        aeb = [(page.gold, text) for page, text in zip(pages, texts[name], strict=True) if page.dataset == "aeb"]
        scored = [(page.kind, s) for page, s in zip(pages, scores, strict=True) if page.dataset == "wcxb_dev"]
        by_kind = [np.mean([s for own, s in scored if own == kind]) for kind in kinds]
        cells = [np.mean(of["wcxb_dev"]), shingle_f1(aeb), np.mean(of["readability_js"]), *by_kind]
        spent = np.array(seconds[name]) * 1e3
        times = "| |" if not spent.any() else f"{spent.mean():.1f} | {np.percentile(spent, 99):.1f} |"
        print(f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells) + f" | {times}")
        if not first:
            first = sorted((s, page.id, page.kind) for page, s in zip(pages, scores, strict=True))
    for score, identifier, kind in first[: arguments.worst]:
        print(f"{score:.2f} {kind} {identifier}")


if __name__ == "__main__":
    main()
