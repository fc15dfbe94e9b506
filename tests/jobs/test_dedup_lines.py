"""Lines, paragraphs and spans that many pages share: what is cut, where, and which pages go."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from jobs.core.recipe import DedupLines
from jobs.dedup_lines import find_lines
from udfs.reference.digests import normalised

Documents = Callable[..., Any]


def step(**changes: Any) -> DedupLines:
    return DedupLines.model_validate({"keep": ["longest"], **changes})


def cut(documents: Any, workspace: str, **changes: Any) -> tuple[dict[str, str], dict[str, float], dict[str, Any]]:
    """Texts after the cuts, by id; the share of words lost of removed pages; and the facts."""
    found = find_lines(documents, step(**changes), workspace)
    rows = {(row["key"], row["copy"]): row for row in documents.collect()}
    edits = {(row["key"], row["copy"]): row for row in found.edits.collect()}
    for name, edit in edits.items():
        assert all(rows[name]["text"][c["begin"] : c["end"]] == c["text"] for c in edit["cuts"])
    gone = {(row["key"], row["copy"]): row["reasons"][0]["value"] for row in found.decisions.collect()}
    left = {row["id"]: edits[name]["text"] if name in edits else row["text"] for name, row in rows.items()}
    lost = {rows[name]["id"]: value for name, value in gone.items()}
    return {name: text for name, text in left.items() if name not in lost}, lost, dict(found.facts)


def test_of_a_line_on_several_pages_the_first_copy_stays(make_documents: Documents, workspace: str) -> None:
    documents = make_documents(
        [
            {"id": "short", "text": "Own line.\nAll rights  RESERVED"},
            {"id": "long", "text": "A page that is the longest.\n\nAll rights reserved\nMore.\nAll rights reserved"},
            {"id": "twin", "text": "all rights reserved\nOther line."},
            {"id": "same", "text": "all rights reserved"},
        ]
    )
    left, gone, facts = cut(documents, workspace, preset="ccnet")
    assert left == {
        "short": "Own line.",
        "long": "A page that is the longest.\n\nAll rights reserved\nMore.",
        "twin": "Other line.",
    }
    assert gone == {"same": 1.0}
    assert facts == {
        "cut_units": 1,
        "occurrences": 5,
        "cut_documents": 4,
        "removed": 1,
        "removed_words": 12,
    }
    again = make_documents([{"id": name, "text": text} for name, text in left.items()])
    assert cut(again, workspace + "-again", preset="ccnet")[2]["cut_documents"] == 0


def test_boilerplate_of_a_host_is_cut_on_all_of_its_pages_and_nowhere_else(
    make_documents: Documents, workspace: str
) -> None:
    pages = [
        {"id": f"a{i}", "url": f"http://A.example/{i}", "text": f"Home | About\nPage {i} of a.\nOnce {i // 5}."}
        for i in range(20)
    ]
    others = [
        {"id": "b", "url": "http://b.example/", "text": "Home | About\nThe only page of b."},
        {"id": "none", "url": None, "text": "Home | About\nNo address."},
    ]
    left, gone, _ = cut(make_documents(pages + others), workspace, preset="boilerplate", min_host_share=0.3)
    assert gone == {}
    assert left == {f"a{i}": f"Page {i} of a.\nOnce {i // 5}." for i in range(20)} | {
        page["id"]: page["text"] for page in others
    }


def test_spans_of_three_sentences_are_cut_where_they_come_again(make_documents: Documents, workspace: str) -> None:
    documents = make_documents(
        [
            {"id": "a", "text": "We like cats. We like dogs. We like birds. And this is the longest page of all."},
            {"id": "b", "text": "Begin. We like cats. We like dogs. We like birds.\nEnd."},
            {"id": "c", "text": "We like cats. We like dogs."},
        ]
    )
    left, gone, _ = cut(documents, workspace, preset="c4")
    assert gone == {}
    assert left["b"] == "Begin.\nEnd."
    assert (left["a"], left["c"]) == (documents.where("id = 'a'").first()["text"], "We like cats. We like dogs.")


def test_pages_that_lose_too_much_are_removed_and_say_how_much(make_documents: Documents, workspace: str) -> None:
    shared = "one two three"
    documents = make_documents(
        [
            {"id": "a", "text": f"{shared}\nfour five six seven eight"},
            {"id": "b", "text": f"{shared}\nfour"},
            {"id": "c", "text": f"{shared}\nsix seven eight nine"},
        ]
    )
    left, gone, _ = cut(documents, workspace, unit="lines", max_removed_share=0.5)
    assert gone == {"b": 0.75}
    assert left["c"] == "six seven eight nine"


def test_rare_and_short_lines_are_left_alone(make_documents: Documents, workspace: str) -> None:
    rows = [
        {"id": str(i), "text": f"Menu\nThree times this line\nPage {i}\n{'Twice' if i < 2 else ''}"} for i in range(3)
    ]
    left, _, _ = cut(make_documents(rows), workspace, unit="lines", min_count=3, min_chars=10, keep_first=False)
    assert left == {row["id"]: row["text"].replace("Three times this line\n", "") for row in rows}


def test_empty_texts_and_corpora_are_fine(make_documents: Documents, workspace: str) -> None:
    documents = make_documents([{"id": "a", "text": None}, {"id": "b", "text": " \n"}, {"id": "c", "text": " \n"}])
    left, gone, facts = cut(documents, workspace, unit="lines")
    assert (gone, facts["cut_documents"], left["b"]) == ({}, 0, " \n")


def by_the_book(rows: list[dict[str, Any]], least: int) -> dict[str, str]:
    """Texts after the cuts, line by line: the first copy is that of the longest page, then of the smallest id."""
    counts = Counter(normalised(line, "full") for row in rows for line in row["text"].split("\n") if line.strip())
    seen: set[str] = set()
    left = {}
    for row in sorted(rows, key=lambda row: (-len(row["text"]), row["id"])):
        kept = []
        for line in row["text"].split("\n"):
            name = normalised(line, "full")
            if counts[name] < least or name not in seen:
                kept.append(line)
            seen.add(name)
        if kept:
            left[row["id"]] = "\n".join(kept)
    return left


@pytest.mark.parametrize("files", [1, 5])
def test_on_a_random_corpus_the_texts_are_those_of_brute_force(
    make_documents: Documents, workspace: str, files: int
) -> None:
    draw = random.Random(4)
    vocabulary = ["alpha", "Beta", "gamma delta", "é clair", "E\u0301 clair", "zeta", "eta", "theta", "iota"]
    rows = [
        {
            "id": f"d{i:03}",
            "text": "\n".join(draw.choice([*vocabulary, f"own {i}"]) for _ in range(draw.randrange(1, 9))),
        }
        for i in range(120)
    ]
    left, _, _ = cut(make_documents(rows, files), workspace, unit="lines", min_count=3)
    assert left == by_the_book(rows, 3)
