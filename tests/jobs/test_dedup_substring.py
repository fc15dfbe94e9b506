"""Repeated substrings: what is cut, what stays, and properties that hold whatever the order and the partitions."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from jobs.core.documents import CUTS_TYPE
from jobs.core.outcome import BROADCAST_EDITS, Edits, with_edits
from jobs.core.recipe import DedupSubstring
from jobs.core.survivors import written
from jobs.dedup_substring import PLAIN, find_substrings
from udfs.reference import substrings as plain

Documents = Callable[..., Any]
Found = dict[str, dict[str, Any]]


def step(**changes: Any) -> DedupSubstring:
    return DedupSubstring.model_validate({"keep": ["source_rank"], **changes})


def run(documents: Any, workspace: str, **changes: Any) -> tuple[Found, dict[str, Any]]:
    """Each document's text, cuts, removed spans and reasons by id, as they are afterwards; and the facts."""
    result = find_substrings(documents, step(**changes), workspace)
    columns = [name for name in ("id", "key", "copy", "text", "cuts") if name in documents.columns]
    found = {row["id"]: {"cuts": None, **row.asDict(recursive=True)} for row in documents.select(*columns).collect()}
    names = {(row["key"], row["copy"]): name for name, row in found.items()}
    spans: dict[str, list[dict[str, Any]]] = {}
    for row in result.tables["removed_spans"].collect():
        spans.setdefault(row["id"], []).append(row.asDict())
    assert result.edits is not None
    for row in result.edits.collect():
        found[names[row["key"], row["copy"]]].update(text=row["text"], cuts=row.asDict(recursive=True)["cuts"])
    reasons = {names[row["key"], row["copy"]]: row["reasons"] for row in result.decisions.collect()}
    for name, row in found.items():
        row["spans"] = spans.get(name, [])
        row["reasons"] = reasons.get(name)
    return found, dict(result.facts)


def texts(found: Found) -> list[str]:
    return [found[name]["text"] for name in sorted(found)]


def rebuilt(text: str, spans: Sequence[dict[str, Any]]) -> str:
    """The text before the cuts: every span goes back to where it began."""
    for span in sorted(spans, key=lambda one: one["start"]):
        text = text[: span["start"]] + span["text"] + text[span["start"] :]
    return text


def named(corpus: Sequence[str], prefix: str = "d") -> list[dict[str, Any]]:
    return [{"id": f"{prefix}{number:03}", "text": text} for number, text in enumerate(corpus)]


def corpora(count: int, length: int, draw: random.Random) -> list[list[str]]:
    """Small corpora over alphabets of two to five words, no two of which have a word in common."""
    made = []
    for number in range(count):
        alphabet = [f"{letter}{length}-{number}" for letter in "abcde"[: draw.randint(2, 5)]]
        made.append([" ".join(draw.choices(alphabet, k=draw.randint(0, 40))) for _ in range(draw.randint(1, 8))])
    return made


def check_against_brute_force(found: Found, rows: Sequence[dict[str, Any]], length: int, unit: str = "words") -> int:
    """Compare with the plain definition, for documents in survivor order; the number of windows lost."""
    parts = [plain.tokens(row["text"], unit) for row in rows]
    expected = plain.repeats(parts, length)
    for number, row in enumerate(rows):
        after = found[row["id"]]
        (tokens,) = parts[number]
        kept = [token for token, gone in zip(tokens, expected.cut[number], strict=True) if not gone]
        assert after["text"].split() == kept, row["id"]
        assert rebuilt(after["text"], after["spans"]) == row["text"]
        place = 0
        for cut in after["cuts"] or []:
            words = row["text"][cut["start"] : cut["end"]].split()
            gone = [token for token, flag in enumerate(expected.cut[number]) if flag][place:][: len(words)]
            stays = {rows[expected.sources[number, token][0]]["id"] for token in gone}
            assert [tokens[token] for token in gone] == words
            assert stays == {cut["kept_in"]}
            place += len(words)
        assert place == sum(expected.cut[number])
    return expected.lost


def vector_cases(vectors: Path, length: int) -> list[dict[str, Any]]:
    cases = [json.loads(line) for line in (vectors / "substring.jsonl").read_text(encoding="utf-8").splitlines()]
    return [case for case in cases if case["length"] == length]


def marked(text: str, mark: str) -> str:
    """A text whose words no text with another mark has."""
    return " ".join(f"{word}@{mark}" for word in text.split())


# 7 lengths × 286 corpora are two thousand and two; the default is one of them, for each costs a run of Spark.
# `tests/udfs/test_substrings.py` has as many without Spark.
@pytest.mark.parametrize(
    "length", [4, *(pytest.param(length, marks=pytest.mark.slow) for length in (2, 3, 5, 6, 7, 8, 50))]
)
def test_vectors_and_small_corpora_are_cut_as_by_brute_force(
    make_documents: Documents, workspace: str, vectors: Path, length: int
) -> None:
    drawn = corpora(286 if length < 10 else 0, length, random.Random(length))
    rows = [{"id": f"{number:06}", "text": text} for number, text in enumerate(chain.from_iterable(drawn))]
    cases = vector_cases(vectors, length)
    rows += [row for case in cases for row in named([marked(t, case["id"]) for t in case["documents"]], case["id"])]
    found, facts = run(make_documents(rows, 3), workspace, length=length)
    assert facts["windows_lost"] == check_against_brute_force(found, rows, length)
    assert facts["tokens"] == sum(len(row["text"].split()) for row in rows)
    for case in cases:
        left = [found[row["id"]]["text"] for row in named(case["documents"], case["id"])]
        assert [" ".join(word.split("@")[0] for word in text.split()) for text in left] == case["keep_first"]


def test_neither_order_nor_partitions_nor_sizes_of_tasks_matter_and_a_second_run_cuts_nothing(
    make_documents: Documents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(5)
    rows = [
        {"id": f"{number:06}", "text": text, "source_rank": draw.randrange(3), "copy": number}
        for number, text in enumerate(text for corpus in corpora(60, 4, draw) for text in corpus)
    ]
    keep = ["source_rank", "longest"]
    # As with a corpus of billions: chains in rounds, places from many files, many small chunks, texts shuffled.
    for limit, value in (("TASK_ROWS", 0), ("CHUNK_WINDOWS", 40), ("TASK_WINDOWS", 400), ("BROADCAST_PIECES", 0)):
        monkeypatch.setattr(f"jobs.dedup_substring.{limit}", value)
    draw.shuffle(rows)
    kept, facts = run(make_documents(rows, 7), str(tmp_path / "a"), length=4, keep=keep)
    in_order = sorted(rows, key=lambda row: (row["source_rank"], -len(row["text"]), row["id"]))
    assert facts["windows_lost"] == check_against_brute_force(kept, in_order, 4)
    assert facts["cut_documents"] > 100
    assert facts["rounds"] > 1
    monkeypatch.undo()

    after = [{**row, "text": kept[row["id"]]["text"], "cuts": kept[row["id"]]["cuts"]} for row in rows]
    second, facts = run(make_documents(after, 3), str(tmp_path / "b"), length=4, keep=["longest"])
    assert facts["cut_documents"] == 0
    assert {name: (row["text"], row["cuts"]) for name, row in second.items()} == {
        name: (row["text"], row["cuts"]) for name, row in kept.items()
    }


def test_a_later_run_adds_to_the_cuts_of_an_earlier_one_in_places_of_the_first_text(
    make_documents: Documents, tmp_path: Path
) -> None:
    first = [{"id": "b", "text": "a b c d\n"}, {"id": "c", "text": "x a b c d y q r s t\nz", "source_rank": 200}]
    found, _ = run(make_documents(first), str(tmp_path / "a"), length=4)
    assert found["c"]["text"] == "x y q r s t\nz"
    more = [{**row, "text": found[row["id"]]["text"], "cuts": found[row["id"]]["cuts"]} for row in first]
    more.append({"id": "n", "text": "q r s t", "source_rank": 1})
    again, _ = run(make_documents(more), str(tmp_path / "b"), length=4)
    assert again["c"]["text"] == "x y\nz"
    assert [(cut["kept_in"], first[1]["text"][cut["start"] : cut["end"]]) for cut in again["c"]["cuts"]] == [
        ("b", "a b c d "),
        ("n", " q r s t"),
    ]
    assert rebuilt(again["c"]["text"], [*found["c"]["spans"], *again["c"]["spans"]]) == first[1]["text"]


@pytest.mark.parametrize("unit", ["characters", pytest.param("bytes", marks=pytest.mark.slow)])
def test_characters_and_bytes_are_counted_but_words_are_cut(
    make_documents: Documents, workspace: str, unit: str
) -> None:
    corpus = ["the quick brown fox jumps", "see quick brown foxes", "quick brown cows"]
    found, _ = run(make_documents(named(corpus)), workspace, length=11, unit=unit)
    assert texts(found) == ["the quick brown fox jumps", "see foxes", "cows"]
    expected = plain.repeats([plain.tokens(text, unit) for text in corpus], 11)
    assert all(rebuilt(found[row["id"]]["text"], found[row["id"]]["spans"]) == row["text"] for row in named(corpus))
    assert sum(expected.cut[1]) == len("e quick brown fox")


def test_a_span_in_many_documents_and_one_repeated_word_stay_once(make_documents: Documents, workspace: str) -> None:
    span = " ".join(f"w{number}" for number in range(60))
    rows = [{"id": f"{number:06}", "text": f"{span} own{number}"} for number in range(5_000)]
    rows += [{"id": f"9{number}", "text": "=== " * 200_000} for number in range(3)]
    found, facts = run(make_documents(rows, 4), workspace, length=50)
    assert found["000000"]["text"] == f"{span} own0"
    assert {found[f"{number:06}"]["text"] for number in range(1, 5_000)} == {f"own{n}" for n in range(1, 5_000)}
    assert [found[f"9{number}"]["text"] for number in range(3)] == ["=== ", "", ""]
    assert max(len(found[f"9{number}"]["cuts"]) for number in range(3)) <= 3
    assert facts["windows_lost"] == 1
    # The window that ends with a page's own word is looked at where its anchor lies in the shared words.
    assert 5_000 * 11 + 3 <= facts["window_rows"] <= 5_000 * 12 + 3
    assert facts["pieces"] < 5_010


@pytest.mark.slow
def test_a_span_that_occurs_two_hundred_thousand_times_stays_once(make_documents: Documents, workspace: str) -> None:
    documents, times = 4_000, 50
    span = " ".join(f"w{number}" for number in range(10))
    rows = [
        {"id": f"{number:06}", "text": " ".join(f"{span} o{number}x{place}" for place in range(times))}
        for number in range(documents)
    ]
    texts_before = make_documents(rows, 4)
    result = find_substrings(texts_before, step(length=10), workspace)
    assert result.facts["repeated_windows"] == documents * times
    assert result.facts["pieces"] == documents * times - 1
    assert result.edits is not None
    after = result.edits.select("key", "text").join(texts_before.select("key", "id"), on="key", how="inner").collect()
    own = {row["id"]: row["text"].replace(f"{span} ", "") for row in rows}
    own["000000"] = f"{span} {own['000000']}"
    assert {row["id"]: row["text"] for row in after} == own


def test_pages_of_which_too_little_is_left_go_if_the_recipe_says_so(make_documents: Documents, workspace: str) -> None:
    rows = named(["a b c d e", "x a b c d e", "a b c d e", "b c d e one two three four"])
    documents = make_documents([*rows, {"id": "null", "text": None}])
    found, facts = run(documents, workspace, length=4, max_removed_share=0.5, min_words_left=1)
    assert found.pop("null")["text"] is None
    assert {name: row["reasons"] and [tuple(reason) for reason in row["reasons"]] for name, row in found.items()} == {
        "d000": None,
        "d001": [("removed_word_fraction", 5 / 6, "<= 0.5")],
        "d002": [("words_left", 0.0, ">= 1"), ("removed_word_fraction", 1.0, "<= 0.5")],
        "d003": None,
    }
    assert texts(found)[3] == "one two three four"
    assert facts["removed"] == 2


@pytest.mark.parametrize("count", [2, BROADCAST_EDITS + 1])
def test_cuts_of_two_steps_have_one_shape(spark: Any, count: int) -> None:
    rows = spark.createDataFrame(
        [(b"a", 0, "1 2"), (b"b", 0, "3 4"), (b"b", 1, "5")], "key binary, copy long, text string"
    )
    of_lines = spark.createDataFrame(
        [(b"a", 0, "1", [(1, 3, " 2")]), (b"b", 0, "3", [(1, 3, " 4")])],
        "key binary, copy long, text string, cuts array<struct<begin: long, end: long, text: string>>",
    )
    own = f"key binary, copy long, text string, cuts {CUTS_TYPE.simpleString()}"
    of_passages = spark.createDataFrame([(b"b", 0, "", [(0, 1, "a")])], own)
    found = with_edits(rows, [Edits(of_lines, count), Edits(of_passages, count)])
    assert found.columns == ["key", "copy", "text", "cuts"]
    cuts = {(row["text"], tuple(row["cuts"][0]) if row["cuts"] else None) for row in found.collect()}
    assert cuts == {("1", (1, 3, None)), ("", (0, 1, "a")), ("5", None)}


def test_tables_of_large_rows_are_read_in_parts_that_fit_in_memory(spark: Any, tmp_path: Path) -> None:
    rows = spark.range(0, 40, 1, 1).selectExpr("id", "cast(repeat('x', 3000000) as binary) AS windows")
    written(rows, str(tmp_path / "chunks"), PLAIN)
    (file,) = (tmp_path / "chunks").glob("*.parquet")
    footer = pq.read_metadata(file)
    groups = [footer.row_group(place) for place in range(footer.num_row_groups)]
    assert max(group.total_byte_size for group in groups) < 20 << 20
    assert not any(group.column(1).is_stats_set for group in groups)  # copies of the largest values


def test_a_run_publishes_edited_texts_and_spans_and_its_output_is_left_as_it_is(tmp_path: Path, spark: Any) -> None:
    source = tmp_path / "documents.jsonl"
    rows = [{"id": "a", "text": "one two three four"}, {"id": "b", "text": "zero one two three four five six"}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("recipe: r\nsteps:\n  dedup_substring: {length: 4, keep: [source_rank]}\n", encoding="utf-8")
    inputs = str(source)
    for name in ("first", "second"):
        output = tmp_path / name
        assert main(["dedup-substring", "--recipe", str(recipe), "--input", inputs, "--output", str(output)]) == 0
        kept = {row["id"]: row for row in spark.read.parquet(str(output / "kept")).collect()}
        assert kept["b"]["text"] == "zero five six"
        assert [tuple(cut) for cut in kept["b"]["cuts"]] == [(5, 24, "a")]
        assert kept["a"]["cuts"] is None
        inputs = str(output / "kept")
    spans = spark.read.parquet(str(tmp_path / "first" / "removed_spans")).collect()
    assert [rebuilt(kept[row["id"]]["text"], [row.asDict()]) for row in spans] == [rows[1]["text"]]
    assert spark.read.parquet(str(tmp_path / "second" / "removed_spans")).count() == 0
    ledger = json.loads((tmp_path / "second" / "ledger.json").read_text(encoding="utf-8"))
    assert ledger["stages"][-1]["facts"]["cut_documents"] == 0
