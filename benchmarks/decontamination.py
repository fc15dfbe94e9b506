"""How well and how fast test items are found: planted items, look-alikes, clean text, speed, memory, another tool.

    python benchmarks/decontamination.py quality [--seed 1] [--items 400] [--list-misses]
    python benchmarks/decontamination.py speed [--grams 10000000] [--megabytes 60]
    python benchmarks/decontamination.py datatrove [--megabytes 4]

Needs the test data (WINNOW_TEST_DATA, default ../shared/data beside the checkout). ``datatrove`` needs its own virtual
environment: ``python -m venv benchmarks/.venvs/datatrove && benchmarks/.venvs/datatrove/bin/pip install datatrove
spacy "xxhash<4"``.

Every draw depends on the seed, the item and the form only. Seed 1 is the one the definitions were tried on; others are
kept apart.
"""

from __future__ import annotations

import argparse
import gzip
import html
import json
import os
import random
import re
import string
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from jobs.core.testsets import read_testsets  # noqa: E402
from udfs import decontamination as kernel  # noqa: E402
from udfs import ngram_index  # noqa: E402
from udfs.decontamination import Policy  # noqa: E402
from udfs.ngram_index import ITEM_SCHEMA, Index, Parameters  # noqa: E402

DATA = Path(os.environ.get("WINNOW_TEST_DATA", ROOT.parent / "shared" / "data"))
FORMS = (
    "verbatim",
    "case and punctuation",
    "re-wrapped",
    "HTML-escaped",
    "first 60 %",
    "5 % edited",
    "20 % edited",
    "embedded",
)
CHINESE_FORMS = ("verbatim", "re-punctuated", "first 60 %", "5 % edited", "embedded")
PLANTED = "planted"


def lines_of(path: Path) -> Iterator[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def hosts() -> list[str]:
    return [row["text"] for row in lines_of(DATA / "corpus" / "gov_and_tech_blogs.jsonl.gz")]


def benchmark_corpus() -> list[str]:
    files = sorted((DATA / "corpus" / "benchmark").glob("*.gz"))
    return [row["text"] for path in files for row in lines_of(path)]


def draw(*parts: object) -> random.Random:
    return random.Random("|".join(map(str, parts)))


# --------------------------------------------------------------------------------------------------------------- forms


def paragraphs(text: str) -> list[str]:
    return [piece for piece in text.split("\n") if len(piece.split()) >= 8]


def between(host: str, planted: str, chance: random.Random, words: int) -> str:
    """The planted text as lines of its own between pieces of a host, about so many words of it."""
    kept: list[str] = []
    for paragraph in paragraphs(host):
        kept.append(paragraph)
        if sum(len(p.split()) for p in kept) >= words:
            break
    at = chance.randint(0, len(kept))
    return "\n\n".join([*kept[:at], planted, *kept[at:]])


def wrapped(text: str) -> str:
    import textwrap

    return "\n".join(line for part in text.split("\n") for line in (textwrap.wrap(part, 60) or [""]))


def without_punctuation(text: str) -> str:
    marks = re.escape(string.punctuation) + "’‘“”–—…"
    return re.sub(r"\s+", " ", re.sub(f"[{marks}]", "", text)).lower()


def first_words(text: str, share: float) -> str:
    pieces = re.findall(r"\S+\s*", text)
    return "".join(pieces[: round(len(pieces) * share)])


def edited(text: str, share: float, vocabulary: list[str], chance: random.Random) -> str:
    """Replace, drop or double with a stranger this share of the words, drawn without replacement."""
    pieces = re.findall(r"\S+\s*", text)
    for at in chance.sample(range(len(pieces)), max(1, round(len(pieces) * share))):
        stranger = chance.choice(vocabulary)
        pieces[at] = chance.choice([stranger + " ", "", pieces[at].rstrip() + " " + stranger + " "])
    return "".join(pieces)


def in_form(form: str, text: str, host: str, vocabulary: list[str], chance: random.Random) -> str:
    if form == "embedded":
        pieces = paragraphs(host)
        at = chance.randint(0, len(pieces))
        # In running text, not on lines of its own.
        return "\n\n".join(pieces[:at]) + " " + text + " " + "\n\n".join(pieces[at:])
    planted = {
        "verbatim": lambda: text,
        "case and punctuation": lambda: without_punctuation(text),
        "re-wrapped": lambda: wrapped(text),
        "HTML-escaped": lambda: html.escape(text),
        "first 60 %": lambda: first_words(text, 0.6),
        "5 % edited": lambda: edited(text, 0.05, vocabulary, chance),
        "20 % edited": lambda: edited(text, 0.2, vocabulary, chance),
    }[form]()
    return between(host, planted, chance, 150)


# ------------------------------------------------------------------------------------------------------- hard negatives

LICENCES = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and "
    'associated documentation files (the "Software"), to deal in the Software without restriction, '
    "including without limitation the rights to use, copy, modify, merge, publish, distribute, "
    "sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is "
    "furnished to do so, subject to the following conditions:",
    'Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in '
    "compliance with the License. You may obtain a copy of the License at "
    "http://www.apache.org/licenses/LICENSE-2.0 Unless required by applicable law or agreed to in "
    'writing, software distributed under the License is distributed on an "AS IS" BASIS, WITHOUT '
    "WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.",
)
IDIOMS = (
    "Once upon a time there was a king who had three daughters",
    "The quick brown fox jumps over the lazy dog",
    "It was the best of times, it was the worst of times",
    "All work and no play makes Jack a dull boy",
    "You can lead a horse to water but you cannot make it drink",
    "A bird in the hand is worth two in the bush",
)


SYNTHETIC = ("reading", "licences", "mostly licence", "idioms")


def synthetic_items(texts: list[str], seed: int) -> list[dict]:
    """Items about shared passages, licences and idioms: what their look-alikes are made of."""
    chance = draw(seed, "synthetic")
    questions = [row["question"] for row in lines_of(DATA / "testsets" / "openbookqa.jsonl.gz")]
    passages = [p for text in texts for p in paragraphs(text) if 80 <= len(p.split()) <= 200]
    items = []

    def add(dataset: str, number: str, text: str, context: str = "") -> None:
        items.append(
            {"dataset": dataset, "split": "test", "id": number, "question": text, "answer": "", "context": context}
        )

    for n, passage in enumerate(chance.sample(passages, 60)):
        for k in range(2 + n % 3):
            question = chance.choice(questions)
            # Half of them state the passage in the item's text only, half also name it as its context.
            add("reading", f"{n}.{k}", f"{passage}\n{question} ({n}, {k})", passage if n % 2 else "")
    problems = [row["question"] for row in lines_of(DATA / "testsets" / "gsm8k_test.jsonl.gz")]
    for n, licence in enumerate(LICENCES):
        # A task with the head of a licence, as in code; and one of which the licence is four fifths.
        head = " ".join(licence.split()[:40])
        add("licences", f"head {n}", f"{head}\n{chance.choice(problems)}\n{chance.choice(problems)} (licence {n})")
        add(
            "mostly licence", str(n), f"{licence}\nUnder which of the well-known licences may Alice sell this? Case {n}"
        )
    for n, idiom in enumerate(IDIOMS):
        add(
            "idioms",
            str(n),
            f"Who is said to have coined this, and in which year? “{idiom}” Explain what it means to you. No. {n}",
        )
    return items


def hard_negatives(index: Index, items: list[dict], texts: list[str], seed: int) -> dict[str, list[str]]:
    chance = draw(seed, "negatives")
    vocabulary = sorted({word for text in texts[:400] for word in text.split() if word.isalpha()})
    real = [item for item in items if item["dataset"] not in SYNTHETIC]
    families: dict[str, list[str]] = defaultdict(list)
    for item in items:
        if item["dataset"] == "reading":
            passage = item["question"].rsplit("\n", 1)[0]
            families["shared passage"].append(between(chance.choice(texts), passage, chance, 200))
    for text in templates(index, vocabulary, chance, 300):
        families["template"].append(between(chance.choice(texts), text, chance, 200))
    for _ in range(200):
        known = chance.choice([*LICENCES, *IDIOMS])
        families["idiom and licence"].append(between(chance.choice(texts), known, chance, 200))
    families["same topic"] = same_topic(real, texts + benchmark_corpus()[:6000], 400, chance)
    for item in chance.sample(real, 400):
        words = f"{item['question']} {item['answer']}".split()
        most = min(len(words) // 3, 20)
        if most < 6:
            continue
        at = chance.randint(0, len(words) - most)
        quote = f"One question of the test reads in part: “{' '.join(words[at : at + most])} …”, which is telling."
        families["quotation"].append(between(chance.choice(texts), quote, chance, 200))
    return dict(families)


def templates(index: Index, vocabulary: list[str], chance: random.Random, count: int) -> list[str]:
    """Items whose own words are replaced by strangers, so that only what their data set shares is left."""
    postings = index.postings
    sizes = np.diff(postings.item_offsets)
    shared = np.add.reduceat(
        np.append(postings.item_shares > 1, False), np.minimum(postings.item_offsets[:-1], len(postings.item_shares))
    ) * (sizes > 0)
    chosen = []
    for at in np.argsort(-shared, kind="stable")[: 4 * count]:
        row = index.items.slice(int(at), 1).to_pylist()[0]
        if row["dataset"] in SYNTHETIC or not shared[at]:
            continue
        text = ngram_index.item_text(row["question"], row["answer"])
        words = ngram_index.item_words(pa.array([text]))
        marks = postings.item_shares[postings.item_offsets[at] : postings.item_offsets[at + 1]] > 1
        length = int(postings.gram_words[at])
        keep = np.zeros(len(words.starts), dtype=bool)
        for position in np.flatnonzero(marks):
            keep[position : position + length] = True
        data = text.encode()
        pieces = [
            data[a:b].decode() if kept else chance.choice(vocabulary)
            for a, b, kept in zip(words.starts, words.ends, keep, strict=True)
        ]
        # An item whose whole question is another item's too would be a leak of both, not a template.
        question = len(ngram_index.item_words(pa.array([row["question"]])).starts)
        if not keep[:question].all() and keep.mean() < 0.9:
            chosen.append(" ".join(pieces))
    return chance.sample(chosen, min(count, len(chosen)))


def same_topic(items: list[dict], texts: list[str], count: int, chance: random.Random) -> list[str]:
    """For each item the document that has most of its rarer words."""
    frequency: Counter[str] = Counter()
    having: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(texts):
        for word in set(re.findall(r"[a-z]{5,}", text.lower())):
            frequency[word] += 1
            having[word].append(number)
    found: list[str] = []
    taken: set[int] = set()
    for item in chance.sample(items, min(2 * count, len(items))):
        rare = {w for w in re.findall(r"[a-z]{5,}", item["question"].lower()) if 1 < frequency[w] < 400}
        scores: Counter[int] = Counter(number for word in rare for number in having[word])
        best = next((number for number, _ in scores.most_common(5) if number not in taken), None)
        if best is not None and scores[best] >= 3:
            taken.add(best)
            found.append(texts[best])
    return found[:count]


# -------------------------------------------------------------------------------------------------------------- quality


def english_items() -> list[dict]:
    return read_testsets([str(DATA / "testsets")]).items.to_pylist()


def look(texts: list[str], index: Index, policy: Policy) -> list[dict]:
    found: list[dict] = []
    for at in range(0, len(texts), 2000):
        found += kernel.contamination(pa.array(texts[at : at + 2000], pa.large_string()), index, policy).to_pylist()
    return found


def best_coverage(text: str, index: Index, number: int, policy: Policy) -> str:
    """Why an item was not found: what was reached and what was asked for."""
    grams = np.unique(kernel.scan(pa.array([text]), index).grams)
    postings = index.postings
    own = postings.item_grams[postings.item_offsets[number] : postings.item_offsets[number + 1]]
    length = int(postings.gram_words[number])
    if not length:
        return "not testable"
    inside = np.zeros(int(postings.item_words[number]), dtype=bool)
    distinctive = np.zeros(len(inside), dtype=bool)
    shares = postings.item_shares[postings.item_offsets[number] : postings.item_offsets[number + 1]]
    for position in np.flatnonzero(np.isin(own, grams)):
        inside[position : position + length] = True
        if shares[position] == 1:
            distinctive[position : position + length] = True
    all_own = np.zeros(len(inside), dtype=bool)
    for position in np.flatnonzero(shares == 1):
        all_own[position : position + length] = True
    required = kernel.required_coverage(len(inside), kernel._rule_of(policy, index.parameters))
    return (
        f"coverage {inside.mean():.2f} of {len(inside)} words, own words {distinctive.sum()} of {all_own.sum()}, "
        f"required {required:.2f}"
    )


def quality(seed: int, count: int, list_misses: bool) -> dict:
    texts, policy = hosts(), Policy()
    items = english_items() + synthetic_items(texts, seed)
    index = ngram_index.build_index(pa.Table.from_pylist(items, ITEM_SCHEMA), Parameters())
    numbers = {(r["dataset"], r["split"], r["id"]): n for n, r in enumerate(index.items.to_pylist())}
    clean = texts + benchmark_corpus()
    idiom_sample = [f"{HEADS[n % len(HEADS)]}\n{known}\n{texts[n]}" for known in LICENCES for n in range(20)]
    report: dict = {"seed": seed, "items": len(items), "grams": len(index.lookup.hashes)}
    # Idioms are counted on a sample of the corpus in which, as in real ones, licence texts are frequent.
    index = with_counted_idioms(index, clean + idiom_sample, 10)
    report["idioms"] = int(index.postings.idioms.sum())
    vocabulary = sorted({word for text in texts[:400] for word in text.split() if word.isalpha()})
    by_set: dict[str, list[dict]] = defaultdict(list)
    for item in items:
        if item["dataset"] not in SYNTHETIC:
            by_set[item["dataset"]].append(item)
    chosen = [
        item for name in sorted(by_set) for item in draw(seed, name).sample(by_set[name], min(count, len(by_set[name])))
    ]
    long_hosts = [text for text in texts if len(text.split()) >= 800]
    table = {}
    misses = []
    for form in (*FORMS, "question without answer"):
        documents = []
        for item in chosen:
            chance = draw(seed, form, item["id"])
            text = ngram_index.item_text(item["question"], item["answer"])
            if form == "question without answer":
                text = item["question"]
            host = chance.choice(long_hosts if form == "embedded" else texts)
            planted_as = "verbatim" if form == "question without answer" else form
            documents.append(in_form(planted_as, text, host, vocabulary, chance))
        found = look(documents, index, policy)
        cells = {"all testable": [0, 0], ">= 20 words": [0, 0], ">= 50 words": [0, 0]}
        others = 0
        for item, document, row in zip(chosen, documents, found, strict=True):
            number = numbers[item["dataset"], item["split"], item["id"]]
            size = int(index.postings.item_words[number])
            hit = any(match["item_id"] == item["id"] for match in row["matches"])
            hit_any = row["contaminated"]
            others += hit_any and not hit
            for name, ok in (
                ("all testable", index.postings.gram_words[number] > 0),
                (">= 20 words", size >= 20),
                (">= 50 words", size >= 50),
            ):
                if ok:
                    cells[name][0] += hit_any
                    cells[name][1] += 1
            if not hit_any:
                why = best_coverage(document, index, number, policy)
                misses.append({"form": form, "dataset": item["dataset"], "id": item["id"], "words": size, "why": why})
        table[form] = {name: {"found": a, "of": b, "recall": round(a / max(1, b), 4)} for name, (a, b) in cells.items()}
        table[form]["by another item only"] = others
    report["recall"] = table
    negatives = hard_negatives(index, items, texts, seed)
    report["hard negatives"] = {}
    report["false hits"] = []
    for family, documents in negatives.items():
        rows = look(documents, index, policy)
        hits = [
            {"family": family, **{k: m[k] for k in ("dataset", "item_id", "evidence", "item_coverage", "matched_text")}}
            for row in rows
            for m in row["matches"]
        ]
        report["hard negatives"][family] = {
            "documents": len(documents),
            "flagged": sum(row["contaminated"] for row in rows),
        }
        report["false hits"] += hits
    passages_planted = {item["question"].rsplit("\n", 1)[0] for item in items if item["dataset"] == "reading"}
    rows = look(clean, index, policy)
    flagged = [(text, row) for text, row in zip(clean, rows, strict=True) if row["contaminated"]]
    report["clean"] = {"documents": len(clean), "flagged": len(flagged), "passages": len(passages_planted)}
    report["false hits"] += [
        {"family": "clean", **{k: m[k] for k in ("dataset", "item_id", "evidence", "item_coverage", "matched_text")}}
        for _, row in flagged
        for m in row["matches"]
    ]
    report["chinese"] = chinese(seed, policy)
    held = ("verbatim", "case and punctuation", "re-wrapped", "embedded")
    report["must show"] = {
        **{f"{form}, >= 20 words, >= 0.99": table[form][">= 20 words"]["recall"] >= 0.99 for form in held},
        "first 60 %, >= 50 words, >= 0.95": table["first 60 %"][">= 50 words"]["recall"] >= 0.95,
        "5 % edited, >= 50 words, >= 0.9": table["5 % edited"][">= 50 words"]["recall"] >= 0.9,
        "false positives <= 0.2 % of clean documents": len(flagged) / len(clean) <= 0.002,
    }
    report["misses by form and words"] = Counter(
        f"{m['form']}: {'< 20' if m['words'] < 20 else '20-49' if m['words'] < 50 else '>= 50'}" for m in misses
    )
    if list_misses:
        report["misses"] = misses
    return report


HEADS = ("README", "LICENSE", "Copying", "About this file", "Terms")


def with_counted_idioms(index: Index, sample: list[str], max_documents: int) -> Index:
    counts: Counter[int] = Counter()
    for at in range(0, len(sample), 2000):
        counts.update(
            kernel.matched_grams(pa.array(sample[at : at + 2000], pa.large_string()), index).flatten().to_pylist()
        )
    frequent = np.array([gram for gram, count in counts.items() if count > max_documents], dtype=np.int64)
    marks = np.zeros(len(index.lookup.hashes), dtype=np.uint8)
    marks[frequent] = 1
    return ngram_index.with_idioms(index, index.lookup.hashes[marks == 1])


# -------------------------------------------------------------------------------------------------------------- Chinese

EXAM_PHRASES = (
    "下列说法中正确的是哪一项请选择一个最合适的答案",
    "根据上述材料下列关于该事件的叙述不正确的是",
    "下列各组词语中加点字的读音完全相同的一组是",
    "请根据所学知识回答下列问题并简要说明理由",
)
CHENGYU = (
    "画蛇添足、守株待兔、刻舟求剑、掩耳盗铃、亡羊补牢、井底之蛙",
    "塞翁失马，焉知非福；前事不忘，后事之师；三人行，必有我师焉",
)


def chinese(seed: int, policy: Policy) -> dict:
    """Items in Chinese: translated news of two sentences as items, articles of a declaration as statutes."""
    sentences: dict[str, list[str]] = defaultdict(list)
    for row in lines_of(DATA / "languages" / "ntrex128_small.jsonl.gz"):
        if row["lang"] == "zho-CN":
            sentences[row["doc"]].append(row["text"])
    items = []
    for name, texts in sorted(sentences.items()):
        for n in range(0, len(texts) - 1, 2):
            items.append(
                {
                    "dataset": "news",
                    "split": "",
                    "id": f"{name}/{n}",
                    "question": "".join(texts[n : n + 2]),
                    "answer": "",
                    "context": "",
                }
            )
    declaration = next(r["text"] for r in lines_of(DATA / "languages" / "udhr.jsonl.gz") if r["lang"] == "cmn_hans")
    articles = [line.strip() for line in declaration.split("\n") if 20 <= len(line.strip()) <= 120]
    stems = ("甲为某国公民其行为是否受到保护", "某法院的判决是否与之相符请说明", "关于乙的权利作出的决定是否有效")
    for n, article in enumerate(articles):
        text = (
            f"{article}{EXAM_PHRASES[n % 4]}：{stems[n % 3]}，案例编号{n}，当事人共计{n + 3}人，审理期限为{n + 10}天。"
        )
        items.append({"dataset": "law", "split": "", "id": str(n), "question": text, "answer": "", "context": article})
    index = ngram_index.build_index(pa.Table.from_pylist(items, ITEM_SCHEMA), Parameters())
    pages = [row["text"] for row in lines_of(DATA / "corpus" / "debian_reference.jsonl.gz") if row["lang"] == "zh-cn"]
    host_lines = [line for page in pages for line in page.split("\n") if len(line) > 15]
    result: dict = {"items": len(items), "recall": {}, "hard negatives": {}}
    for form in CHINESE_FORMS:
        documents = []
        for item in items:
            chance = draw(seed, form, item["id"])
            text = item["question"]
            if form == "re-punctuated":
                bare = re.sub(r"[，。、；：“”（）《》\s]", "", text)
                text = "\n".join(bare[at : at + 17] + "，" for at in range(0, len(bare), 17))
            elif form == "first 60 %":
                text = text[: round(len(text) * 0.6)]
            elif form == "5 % edited":
                letters = list(text)
                for at in chance.sample(range(len(letters)), max(1, round(len(letters) * 0.05))):
                    letters[at] = chance.choice("的一是在不了有和人这")
                text = "".join(letters)
            size = 60 if form == "embedded" else 6
            at = chance.randint(0, len(host_lines) - size)
            lines = host_lines[at : at + size]
            glue = "" if form == "embedded" else "\n"
            documents.append(glue.join(lines[: size // 2]) + glue + text + glue + glue.join(lines[size // 2 :]))
        rows = look(documents, index, policy)
        words = index.postings.item_words
        order = {(r["dataset"], r["id"]): n for n, r in enumerate(index.items.to_pylist())}
        long = [int(words[order[item["dataset"], item["id"]]]) >= 50 for item in items]
        hits = [row["contaminated"] for row in rows]
        for dataset in ("news", "law"):
            of = [h for h, item in zip(hits, items, strict=True) if item["dataset"] == dataset]
            of_long = [h for h, item, ok in zip(hits, items, long, strict=True) if item["dataset"] == dataset and ok]
            result["recall"][f"{dataset}: {form}"] = {
                "found": sum(of),
                "of": len(of),
                "found >= 50 characters": sum(of_long),
                "of >= 50 characters": len(of_long),
            }
    negatives = {
        "statute": [f"{page[:200]}\n{article}\n{page[200:400]}" for article in articles for page in pages[:1]],
        "exam phrase": [
            f"{host_lines[n]}\n{phrase}\n{host_lines[n + 5]}" for phrase in EXAM_PHRASES for n in range(20)
        ],
        "idiom": [f"{host_lines[n]}{words}{host_lines[n + 1]}" for words in CHENGYU for n in range(20)],
        "clean pages": pages,
    }
    for family, documents in negatives.items():
        rows = look(documents, index, policy)
        result["hard negatives"][family] = {
            "documents": len(documents),
            "flagged": sum(r["contaminated"] for r in rows),
        }
    return result


# ---------------------------------------------------------------------------------------------------------------- speed


def large_index(grams: int, folder: Path) -> Path:
    """An index of so many n-grams: items of 60 words drawn from real vocabulary."""
    if (folder / "index.json").is_file():
        return folder
    vocabulary = sorted({word for text in hosts()[:1500] for word in re.findall(r"[a-z]+", text.lower())})
    chance = np.random.default_rng(1)
    count = grams // 53
    drawn = chance.integers(0, len(vocabulary), (count, 60))
    rows = {
        "dataset": ["random"] * count,
        "split": [""] * count,
        "id": [str(n) for n in range(count)],
        "question": [" ".join(vocabulary[w] for w in row) for row in drawn.tolist()],
        "answer": [""] * count,
        "context": [""] * count,
    }
    ngram_index.save_index(ngram_index.build_index(pa.table(rows, schema=ITEM_SCHEMA), Parameters()), folder)
    return folder


def corpus_of(megabytes: float) -> tuple[pa.Array, int]:
    texts, size = [], 0
    for text in benchmark_corpus():
        texts.append(text)
        size += len(text.encode())
        if size >= megabytes * 1e6:
            break
    return pa.array(texts, pa.large_string()), size


def speed(grams: int, megabytes: float) -> dict:
    folder = large_index(grams, Path(tempfile.gettempdir()) / f"winnow-benchmark-index-{grams}")
    ngram_index.save_idioms(folder, np.load(folder / "hashes.npy", mmap_mode="r")[::100])
    index = ngram_index.load_index(folder)
    texts, size = corpus_of(megabytes)
    policy = Policy()
    kernel.contamination(texts.slice(0, 50), index, policy)
    result: dict = {"grams": len(index.lookup.hashes), "index_bytes": index.bytes, "text_bytes": size, "seconds": []}
    for _ in range(3):
        started = time.process_time()
        for at in range(0, len(texts), 1000):
            kernel.contamination(texts.slice(at, 1000), index, policy)
        result["seconds"].append(round(time.process_time() - started, 3))
    result["megabytes_per_cpu_second"] = round(size / 1e6 / min(result["seconds"]), 1)
    started = time.process_time()
    for at in range(0, len(texts), 1000):
        ngram_index.item_words(texts.slice(at, 1000))
    result["of_which_words_alone"] = round(size / 1e6 / (time.process_time() - started), 1)
    with ProcessPoolExecutor(4) as pool:
        shares = list(pool.map(_worker_memory, [str(folder)] * 4))
    result["worker_index_bytes"] = shares
    result["machine_index_bytes_over_index"] = round(sum(shares) / index.bytes, 3)
    return result


def _worker_memory(folder: str) -> int:
    """Scan with every page of the index in use; this process's proportional share of the mapped files, plus what it
    keeps of its own."""
    index = ngram_index.load_index(Path(folder))
    for array in (*index.lookup, *index.postings):
        if isinstance(array, np.ndarray):
            np.bitwise_xor.reduce(array.view(np.uint8)[::1024]) if array.nbytes else None
    texts, _ = corpus_of(5)
    kernel.contamination(texts, index, Policy())
    time.sleep(3)  # until the other workers have mapped theirs
    share, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"^[0-9a-f]+-[0-9a-f]+ ", line):
            inside = folder in line
        elif inside and line.startswith("Pss:"):
            share += int(line.split()[1]) * 1024
    time.sleep(2)
    return share


# ------------------------------------------------------------------------------------------------------------ datatrove

DATATROVE = """
import json, sys, time
import numpy as np
from datatrove.data import Document
from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter, NGramsDecontIndexer
from datatrove.utils.text import ngrams, simplify_text

work = sys.argv[1]
config = NGramsDecontConfig(find_query_ngrams=True)
kept = NGramsDecontFilter(work, config)


class Shim:  # the indexer wants a hub of tasks; its hashing does not
    tokenizer, hash_func = kept.tokenizer, staticmethod(kept.hash_func)


Shim.config = config
hashes = set()
for line in open(work + "/items.jsonl", encoding="utf-8"):
    row = json.loads(line)
    hashes.update(NGramsDecontIndexer.compute_hashes(Shim, row["answer"], row["question"]))
np.array(list(hashes), dtype=config.hash_config.np_descr).tofile(work + "/all.index.hashes")
results = {"hashes": len(hashes)}
for name in sys.argv[2:]:
    lines = open(f"{work}/{name}.jsonl", encoding="utf-8")
    documents = [Document(text=json.loads(line)["text"], id=str(n)) for n, line in enumerate(lines)]
    kept.filter(documents[0])
    started = time.process_time()
    flags = [kept.filter(document) is not True for document in documents]
    seconds = time.process_time() - started
    results[name] = {"flagged": sum(flags), "documents": len(flags), "cpu_seconds": round(seconds, 3)}
print(json.dumps(results))
"""


def datatrove(seed: int, megabytes: float, count: int) -> dict:
    python = ROOT / "benchmarks" / ".venvs" / "datatrove" / "bin" / "python"
    if not python.is_file():
        sys.exit(f"no virtual environment with datatrove at {python.parent.parent} (see the first lines of this file)")
    texts, items = hosts(), english_items()
    index = ngram_index.build_index(pa.Table.from_pylist(items, ITEM_SCHEMA), Parameters())
    by_set: dict[str, list[dict]] = defaultdict(list)
    for item in items:
        by_set[item["dataset"]].append(item)
    chosen = [
        i for name in sorted(by_set) for i in draw(seed, name).sample(by_set[name], min(count, len(by_set[name])))
    ]
    vocabulary = sorted({word for text in texts[:400] for word in text.split() if word.isalpha()})
    sets: dict[str, list[str]] = {}
    for form in FORMS:
        chances = [(item, draw(seed, form, item["id"])) for item in chosen]
        sets[form.replace(" ", "_").replace("%", "percent")] = [
            in_form(form, ngram_index.item_text(i["question"], i["answer"]), chance.choice(texts), vocabulary, chance)
            for i, chance in chances
        ]
    negatives = hard_negatives(index, items, texts, seed)
    sets.update({family.replace(" ", "_"): documents[:200] for family, documents in negatives.items()})
    speed_texts, size = corpus_of(megabytes)
    sets["clean"] = speed_texts.to_pylist()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
        (folder / "run.py").write_text(DATATROVE)
        for name, documents in sets.items():
            (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
        done = subprocess.run(
            [str(python), str(folder / "run.py"), work, *sets], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.stderr[-3000:])
        theirs = json.loads(done.stdout.strip().splitlines()[-1])
    ours = {}
    for name, documents in sets.items():
        started = time.process_time()
        rows = look(documents, index, Policy())
        ours[name] = {
            "flagged": sum(r["contaminated"] for r in rows),
            "cpu_seconds": round(time.process_time() - started, 3),
        }
    return {
        "datatrove hashes": theirs["hashes"],
        "sets": {
            n: {"documents": theirs[n]["documents"], "datatrove": theirs[n]["flagged"], "winnow": ours[n]["flagged"]}
            for n in sets
        },
        "datatrove_megabytes_per_cpu_second": round(size / 1e6 / theirs["clean"]["cpu_seconds"], 3),
        "winnow_megabytes_per_cpu_second": round(size / 1e6 / ours["clean"]["cpu_seconds"], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["quality", "speed", "datatrove"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--items", type=int, default=400, help="items a data set")
    parser.add_argument("--grams", type=int, default=10_000_000)
    parser.add_argument("--megabytes", type=float)
    parser.add_argument("--list-misses", action="store_true")
    given = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"test data is absent: no folder {DATA} (set WINNOW_TEST_DATA)")
    work: dict[str, Callable[[], dict]] = {
        "quality": lambda: quality(given.seed, given.items, given.list_misses),
        "speed": lambda: speed(given.grams, given.megabytes or 60),
        "datatrove": lambda: datatrove(given.seed, given.megabytes or 4, min(given.items, 50)),
    }
    print(json.dumps(work[given.what](), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
