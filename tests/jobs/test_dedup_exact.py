"""Exact duplicates: who stays, what counts as equal, and properties that hold for every kind of deduplication."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import functions as F

from jobs.core.errors import ConfigurationError
from jobs.core.recipe import DedupExact
from jobs.core.survivors import identity_columns, rank_columns
from jobs.dedup_exact import find_exact

Documents = Callable[..., Any]


def step(**changes: Any) -> DedupExact:
    return DedupExact.model_validate(changes)


def removed(documents: Any, workspace: str, **changes: Any) -> dict[str, str]:
    """Id of each removed document and of the one that stays for it, for documents with ids of their own."""
    found = find_exact(documents, step(**changes), workspace).decisions
    names = {(row["key"], row["copy"]): row["id"] for row in documents.select("id", "key", "copy").collect()}
    return {names[row["key"], row["copy"]]: row["duplicate_of"] for row in found.collect()}


def test_of_equal_texts_the_one_with_the_smallest_id_stays(make_documents: Documents, workspace: str) -> None:
    documents = make_documents(
        [{"id": "b", "text": "Same  text"}, {"id": "a", "text": "same text\n"}, {"id": "c", "text": "another text"}]
    )
    assert removed(documents, workspace) == {"b": "a"}


def test_ids_are_compared_as_utf8_bytes(make_documents: Documents, workspace: str) -> None:
    # U+FF41 is smaller than U+1D41A as UTF-8 and greater as UTF-16.
    documents = make_documents([{"id": "\U0001d41a", "text": "same"}, {"id": "\uff41", "text": "same"}])
    assert removed(documents, workspace) == {"\U0001d41a": "\uff41"}


def test_each_criterion_decides_and_documents_without_a_value_come_last(make_documents: Documents) -> None:
    documents = make_documents(
        [
            {"id": "a", "text": None, "source_rank": None},
            {"id": "b", "text": "x y", "words": float("nan")},
            {"id": "long", "text": "x   y  "},
            {"id": "new", "text": "x y", "date": "2024-01-02"},
            {"id": "old", "text": "x y", "date": "1969-01-02"},
            {"id": "ranked", "text": "x y", "source_rank": 1},
            {"id": "signal", "text": "x y", "words": 0.5},
        ]
    )
    expected = {
        ("longest",): ("long", "a"),
        ("newest",): ("new", "signal"),
        ("oldest",): ("old", "signal"),
        ("source_rank",): ("ranked", "a"),
        ("highest word_count",): ("signal", "ranked"),
        ("highest word_count", "newest"): ("signal", "ranked"),
        ("source_rank", "longest"): ("ranked", "a"),
    }
    orders = [F.struct(*rank_columns(documents, keep), *identity_columns()) for keep in expected]
    ends = documents.agg(*[end(order) for order in orders for end in (F.min, F.max)]).first()
    found = [value["id"] for value in ends]
    assert list(zip(found[::2], found[1::2], strict=True)) == list(expected.values())


def test_an_unknown_signal_is_refused(make_documents: Documents, workspace: str) -> None:
    with pytest.raises(ConfigurationError, match="no signal 'page_rank'"):
        find_exact(make_documents([{"id": "a", "text": "x"}]), step(keep=["highest page_rank"]), workspace)


def test_empty_texts_are_never_merged(make_documents: Documents, workspace: str) -> None:
    documents = make_documents(
        [{"id": name, "text": text} for name, text in zip("abcd", ["", " ", None, ""], strict=True)]
    )
    assert removed(documents, workspace) == {}


def test_rows_that_are_equal_in_everything_leave_one(make_documents: Documents, workspace: str) -> None:
    documents = make_documents([{"id": None, "text": "same"}] * 5)
    found = find_exact(documents, step(), workspace)
    assert sorted(row["copy"] for row in found.decisions.collect()) == [1, 2, 3, 4]
    assert found.counts == {"documents": 5, "groups": 1, "largest_cluster": 5, "removed": 4}


def test_documents_are_compared_within_their_scope_which_names_the_cluster(
    make_documents: Documents, workspace: str
) -> None:
    documents = make_documents(
        [
            {"id": "a", "text": "same", "language": "en", "source": "one", "metadata": '{"dump": "1"}'},
            {"id": "b", "text": "same", "language": "en", "source": "two", "metadata": '{"dump": "2"}'},
            {"id": "c", "text": "same", "language": None, "source": "three", "metadata": '{"dump": "2"}'},
        ]
    )
    assert removed(documents, workspace, scope="source") == {}
    assert removed(documents, workspace, scope="dump") == {"c": "b"}
    survivor = documents.where("id = 'a'").first()["key"]
    for scope, name, count in (("global", survivor.hex(), 2), ("language", f"en:{survivor.hex()}", 1)):
        rows = find_exact(documents, step(scope=scope), workspace).decisions.collect()
        assert len(rows) == count
        assert {(r["cluster"], r["duplicate_of_key"], r["similarity"], r["via"]) for r in rows} == {
            (name, survivor, 1.0, None)
        }


def test_the_result_depends_neither_on_order_nor_on_partitions_and_a_second_run_removes_nothing(
    make_documents: Documents, workspace: str
) -> None:
    draw = random.Random(3)
    rows = [
        {
            "id": f"d{draw.randrange(90)}",
            "text": f"Text  {draw.randrange(40)}",
            "source_rank": draw.randrange(3),
            "copy": i,
        }
        for i in range(300)
    ]
    results = set()
    for files in (1, 3, 7):
        draw.shuffle(rows)
        documents = make_documents(rows, files)
        found = find_exact(documents, step(), workspace)
        results.add(tuple(sorted(map(repr, found.decisions.collect()))))
        kept = documents.join(found.decisions, ["key", "copy"], "left_anti")
        survivors = {row["key"] for row in kept.select("key").collect()}
        assert {row["duplicate_of_key"] for row in found.decisions.collect()} <= survivors
        assert find_exact(kept, step(), workspace + "-again").decisions.count() == 0
        assert kept.count() == 40
    assert len(results) == 1


@pytest.mark.slow
def test_one_page_a_million_times(spark: Any, workspace: str) -> None:
    documents = spark.range(1_000_000).select(
        F.col("id").cast("string").alias("id"),
        F.unhex(F.md5(F.col("id").cast("string"))).alias("key"),
        F.col("id").alias("copy"),
        F.lit("One page, again and again.").alias("text"),
    )
    found = find_exact(documents, step(keep=["longest"]), workspace)
    assert found.decisions.count() == 999_999
    assert {row["duplicate_of"] for row in found.decisions.select("duplicate_of").distinct().collect()} == {"0"}
