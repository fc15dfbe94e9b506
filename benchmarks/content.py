"""Content filters against labelled text: what word lists would remove, what they cost, URLs a second, personal data.

    python benchmarks/content.py DATA [--documents N] [--domains N]

DATA holds ``corpus/**/*.jsonl.gz`` (``{id, text}``), ``lists/{ldnoobw,dsojevic}`` and ``pii/passages.jsonl.gz``
(``{text, label}``, label yes or no). Prints Markdown tables. Times are processor seconds of one thread: of what is
compared, runs by turns, and the median of the ratios; else the least of three runs. Lists and texts that are made up
are drawn by fixed seeds.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from processor_time import cpu_seconds_of_tree, one_core  # noqa: E402

from udfs import lexicon, personal_data, signals, urls  # noqa: E402

PHRASES = 5000
PASS_RECIPE = """\
recipe: {name}
languages: {{detect: false, default: en}}
extends: gopher
steps: {{{more}extract_text: off, filter_repetition: off, decontaminate: off, dedup_exact: off, dedup_near: off}}
"""
PARTS = ("lexicon", "lexicon-pass", "removals", "urls", "personal")
RUNS = 3
TURNS = 15
ENGLISH_STOP_WORDS = ["the", "be", "to", "of", "and", "that", "have", "with"]


def least_seconds(work: Callable[[], object]) -> float:
    """Return the least processor seconds of `RUNS` runs, after one that compiles."""
    work()
    taken = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print()


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "–"


def listed_phrases(data: Path) -> list[lexicon.Phrase]:
    """Return the phrases of the lists there are, in 28 languages."""
    return [
        *lexicon.read_phrases(data / "lists" / "ldnoobw"),
        *lexicon.read_phrases(data / "lists" / "dsojevic", language="en"),
    ]


def filled_up(listed: Sequence[lexicon.Phrase], texts: Sequence[str], *, distinct: bool) -> list[lexicon.Phrase]:
    """Return `PHRASES` phrases: those listed and runs of one to three words of the corpus, the first a long one.

    With `distinct`, every word is as likely to be the first, as in a list of rare words; else frequent ones are drawn
    more often, so that the list meets the text as much as a list can.
    """
    found = list(listed)
    draw = random.Random(1)
    runs = [words for text in texts for words in [text.split()] if len(words) > 10]
    starts: list[tuple[list[str], int]] = [
        (words, begin) for words in runs for begin in range(len(words) - 3) if len(words[begin]) >= 9
    ]
    if distinct:
        starts = list({words[begin]: (words, begin) for words, begin in starts}.values())
    while len(found) < PHRASES:
        words, begin = draw.choice(starts)
        found.append(lexicon.Phrase(" ".join(words[begin : begin + draw.choice((1, 2, 3))]), None))
    return found[:PHRASES]


def report_lexicon_cost(data: Path, texts: Sequence[str]) -> None:
    text = pa.array(texts, pa.large_string())
    size = sum(len(each.encode()) for each in texts) / 1e6
    listed = listed_phrases(data)
    chosen = {
        "as listed": listed,
        "filled up with distinct words of the corpus": filled_up(listed, texts, distinct=True),
        "filled up with frequent words of the corpus": filled_up(listed, texts, distinct=False),
    }
    lists = {
        f"{len(phrases)} phrases, {what}": lexicon.build_lexicons({"listed": phrases})
        for what, phrases in chosen.items()
    }
    stop_words = signals.StopWords.from_lists({"en": ENGLISH_STOP_WORDS}, default="en")

    def measured(*steps: str, built: lexicon.Lexicons | None = None) -> Callable[[], object]:
        return lambda: signals.measure(text, steps=steps, stop_words=stop_words, lexicons=built)

    passes = {"quality": ("filter_quality",), "quality and repetition": ("filter_quality", "filter_repetition")}
    rows = [
        [name, what, *on_top_of(measured(*steps), measured(*steps, built=built))]
        for name, built in lists.items()
        for what, steps in passes.items()
    ]
    rows += [
        [name, "nothing, as a share of quality", *on_top_of(measured("filter_quality"), alone, instead=True)]
        for name, built in lists.items()
        for alone in [lambda built=built: lexicon.measure(text, built)]
    ]
    print(f"## Cost of a lexicon: {len(texts)} documents, {size:.0f} MB\n")
    table(["lexicon", "beside", "costs (median)", "quartiles"], rows)


def report_lexicon_pass(data: Path) -> None:
    """What a lexicon costs the whole job, from Parquet to kept and removed Parquet, beside filter_quality."""
    from jobs import pipeline
    from jobs.core.session import build_session

    one_core()
    spark = build_session("lexicon benchmark", master="local[1]")
    rows = [row for part in sorted((data / "corpus" / "benchmark").glob("*.jsonl.gz")) for row in read(part)]
    texts = [row["text"] for row in rows]
    with tempfile.TemporaryDirectory(prefix="winnow-lexicon-") as temporary:
        folder = Path(temporary)
        (folder / "in").mkdir()
        pq.write_table(pa.table({"id": [row["id"] for row in rows], "text": texts}), folder / "in" / "texts.parquet")
        phrases = filled_up(listed_phrases(data), texts, distinct=True)
        (folder / "phrases.txt").write_text("\n".join(phrase.text for phrase in phrases), encoding="utf-8")
        lists = f"lexicons: {{listed: {{path: {folder / 'phrases.txt'}}}}}, lexicon_fraction_listed: {{max: 0.5}}"
        for name, steps in (("quality", "filter_content: off, "), ("both", f"filter_content: {{{lists}}}, ")):
            (folder / f"{name}.yaml").write_text(PASS_RECIPE.format(name=name, more=steps))

        def work(name: str) -> float:
            arguments = ["--recipe", str(folder / f"{name}.yaml"), "--input", str(folder / "in")]
            began = cpu_seconds_of_tree()
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                code = pipeline.main([*arguments, "--output", str(folder / "out")])
            assert code == 0
            shutil.rmtree(folder / "out")
            return cpu_seconds_of_tree() - began

        work("quality"), work("both")
        pairs = [(work("quality"), work("both")) for _ in range(RUNS)]
    spark.stop()
    alone, both = (statistics.median(side) for side in zip(*pairs, strict=True))
    size = sum(len(text.encode()) for text in texts) / 1e6
    print(f"## A lexicon of {PHRASES} phrases in the whole job: {len(rows)} documents, {size:.0f} MB, one core\n")
    table(
        ["filter-quality", "with the lexicon", "costs"],
        [[f"{alone:.1f} s", f"{both:.1f} s", f"{100 * (both / alone - 1):.0f} %"]],
    )


def on_top_of(base: Callable[[], object], other: Callable[[], object], *, instead: bool = False) -> tuple[str, str]:
    """Return what `other` takes on top of `base`, or, `instead`, as a share of it: the median and the quartiles."""
    base(), other()
    ratios = []
    for _ in range(TURNS):
        began = time.process_time()
        base()
        between = time.process_time()
        other()
        ratios.append((time.process_time() - between) / (between - began) - (not instead))
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{100 * middle:.0f} %", f"{100 * low:.0f} … {100 * high:.0f} %"


def report_removals(data: Path) -> None:
    """What a bare list removes from text that is not harmful: technical, governmental and literary."""
    lists = {
        "LDNOOBW, English": lexicon.read_phrases(data / "lists" / "ldnoobw" / "en", language=None),
        "dsojevic": lexicon.read_phrases(data / "lists" / "dsojevic" / "en.json", language=None),
    }
    built = lexicon.build_lexicons({f"list{place}": phrases for place, phrases in enumerate(lists.values())})
    rows = []
    for name in ("gov_and_tech_blogs", "debian_reference", "nltk_public"):
        documents = read(data / "corpus" / f"{name}.jsonl.gz")
        found = lexicon.measure(pa.array([row["text"] for row in documents], pa.large_string()), built)
        for place, listed in enumerate(lists):
            hits = found[f"lexicon_hits_list{place}"].to_numpy()
            fraction = found[f"lexicon_fraction_list{place}"].to_numpy()
            shares = [(hits > 0), *(fraction > bound for bound in (0.001, 0.01, 0.03))]
            rows.append([name, listed, len(documents), *(percent(share.sum(), len(documents)) for share in shares)])
    print("## Documents that a list would remove, none of them harmful\n")
    table(["corpus", "list", "documents", "any hit", "fraction > 0.001", "> 0.01", "> 0.03"], rows)


def report_urls(domains: int) -> None:
    draw = random.Random(2)

    def host() -> str:
        return f"{draw.getrandbits(40):x}.{draw.choice(('com', 'org', 'co.uk', 'de', 'xyz'))}"

    listed = [host() for _ in range(domains)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    built = urls.build_table({"made_up": ["\n".join(listed).encode()]})
    building = time.process_time() - began
    pages = [
        f"https://www.{draw.choice(listed) if draw.random() < 0.1 else host()}/news/{draw.getrandbits(32):x}?page=2"
        for _ in range(200_000)
    ]
    url = pa.array(pages)
    taken = least_seconds(lambda: urls.match(url, built))
    blocked = len(pages) - urls.match(url, built).category.null_count
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"## URL list of {domains} domains\n")
    table(
        ["URLs a second a core", "blocked", "table, MB", "seconds to build", "peak memory while building, MB"],
        [[f"{len(pages) / taken:.0f}", blocked, f"{built.nbytes / 1e6:.0f}", f"{building:.1f}", f"{peak:.0f}"]],
    )


# -------------------------------------------------------------------------------------------------------- personal data


def made_up(kind: str, draw: random.Random) -> str:
    """Return a value of a kind, and ``not_`` kinds: what looks like one and is none."""

    def digits(count: int) -> str:
        return "".join(draw.choice("0123456789") for _ in range(count))

    def name() -> str:
        return draw.choice(("jane", "omar", "li.wei", "a_kowalski", "t-brown")) + digits(2)

    if kind == "email":
        return f"{name()}@{draw.choice(('mail', 'office', 'post'))}.{draw.choice(('com', 'org', 'de', 'co.uk'))}"
    if kind == "ip_address":
        return f"{draw.randint(20, 99)}.{draw.randint(1, 255)}.{draw.randint(1, 255)}.{draw.randint(1, 254)}"
    if kind == "phone":
        national = f"({draw.randint(201, 989)}) {draw.randint(201, 989)}-{digits(4)}"
        return draw.choice((national, f"+49 30 {draw.randint(100000, 999999)}", f"+44 20 7{digits(3)} {digits(4)}"))
    if kind == "payment_card":
        body = "4" + digits(14)
        return next(body + last for last in "0123456789" if personal_data.luhn(body + last))
    if kind == "iban":
        account = digits(18)
        check = 98 - int(account + "131400") % 97  # D is 13, E is 14
        return f"DE{check:02d}{account}"
    if kind == "not_payment_card":
        body = "4" + digits(14)
        return next(body + last for last in "0123456789" if not personal_data.luhn(body + last))
    if kind == "not_iban":
        account = digits(18)
        check = 98 - int(account + "131400") % 97
        return f"DE{(check + 1) % 97:02d}{account}"
    if kind == "not_ip_address":
        return draw.choice((f"192.168.{draw.randint(0, 255)}.7", f"10.0.{draw.randint(0, 255)}.1", "127.0.0.1"))
    if kind == "not_email":
        return draw.choice((f"@{name()}", f"{name()}@localhost", f"git@{name()}:repo"))
    return draw.choice((f"2024-{draw.randint(10, 12)}-{draw.randint(10, 28)} 10:00", f"ISBN 978-3-16-{digits(6)}-0"))


KINDS = ("email", "ip_address", "phone", "payment_card", "iban")
FRAMES = (
    "Please write to {} before Friday.", "The record shows {} in the second column.", "Contact: {}.",
    "We changed it from {} last year, as the minutes say.", "{}", "See also ({}), and the notes below.",
)  # fmt: skip


def report_personal_data(data: Path, texts: Sequence[str]) -> None:
    draw = random.Random(3)
    rows = []
    for kind in KINDS:
        true = [draw.choice(FRAMES).format(made_up(kind, draw)) for _ in range(500)]
        false = [draw.choice(FRAMES).format(made_up(f"not_{kind}", draw)) for _ in range(500)]
        counts = personal_data.find(pa.array(true + false), kinds=(kind,)).counts[kind].to_numpy()
        hit, wrong = int((counts[:500] > 0).sum()), int((counts[500:] > 0).sum())
        rows.append([kind, 1000, percent(hit, hit + wrong), percent(hit, 500)])
    print("## Personal data in made-up sentences, half with a value and half with what looks like one\n")
    table(["kind", "sentences", "precision", "recall"], rows)

    passages = read(data / "pii" / "passages.jsonl.gz")
    counts = personal_data.find(pa.array([row["text"] for row in passages])).counts
    rows = []
    for label in ("yes", "no"):
        chosen = [place for place, row in enumerate(passages) if row["label"] == label]
        found = {kind: sum(count[place].as_py() > 0 for place in chosen) for kind, count in counts.items()}
        touched = sum(any(count[place].as_py() > 0 for count in counts.values()) for place in chosen)
        named = ", ".join(f"{kind} {count}" for kind, count in found.items() if count)
        rows.append([label, len(chosen), percent(touched, len(chosen)), named])
    print("## Passages labelled as a whole, by whether they hold sensitive matter of any sort\n")
    table(["label", "passages", "with a find", "passages by kind"], rows)

    text = pa.array(texts, pa.large_string())
    size = sum(len(each.encode()) for each in texts) / 1e6
    taken = least_seconds(lambda: personal_data.redact(text))
    print(f"Redaction, all kinds, one core: {size / taken:.0f} MB a second.\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", type=int, default=4000, help="documents of the corpus that are timed")
    parser.add_argument("--domains", type=int, default=1_000_000)
    parser.add_argument("--only", choices=list(PARTS), help="one part alone")
    arguments = parser.parse_args()
    texts = [row["text"] for row in read(arguments.data / "corpus" / "benchmark" / "part-00000.jsonl.gz")]
    texts = texts[: arguments.documents]
    parts: dict[str, Callable[[], None]] = {
        "lexicon": lambda: report_lexicon_cost(arguments.data, texts),
        "lexicon-pass": lambda: report_lexicon_pass(arguments.data),
        "removals": lambda: report_removals(arguments.data),
        "urls": lambda: report_urls(arguments.domains),
        "personal": lambda: report_personal_data(arguments.data, texts),
    }
    for name, report in parts.items():
        if arguments.only in (None, name):
            report()


if __name__ == "__main__":
    main()
