"""What a corpus remembers, looked up and edited file by file, without Spark: every value against brute force."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.core.against_history import _bitmap, _compare_versions, _look_up, _scan_file
from jobs.core.corpus_edit import _filtered
from jobs.core.errors import ConfigurationError, InputContractError
from jobs.core.recipe import DedupExact, DedupNear, DedupSubstring, DedupUrl, Recipe
from jobs.core.state import (
    Probes,
    Scopes,
    Step,
    _write_one,
    refuse_other_parameters,
    rows_of,
    scopes_of,
    state_parameters,
    state_values,
)
from udfs.digests import text_digests
from udfs.substrings import anchor_sets

NEAR = DedupNear.model_validate({"ngram": 2, "num_perm": 32, "bands": 8, "rows": 2})
STEPS: dict[str, Step] = {"dedup_url": DedupUrl(), "dedup_exact": DedupExact(), "dedup_near": NEAR}
EVERYWHERE = Scopes("global", {})


def recipe(**steps: Any) -> Recipe:
    return Recipe.model_validate({"recipe": "test", "steps": steps})


def documents(count: int, seed: int) -> pa.RecordBatch:
    """Documents over few words, so that values are shared; some without text, words or address."""
    random_ = random.Random(seed)
    rows = []
    for number in range(count):
        text = random_.choice([None, "", "!?", *[" ".join(random_.choices("abcd", k=random_.randrange(1, 5)))] * 5])
        url = random_.choice([None, "no address", *[f"https://A.example/{random_.randrange(9)}?utm_source=x"] * 3])
        key = number.to_bytes(8, "big") + seed.to_bytes(8, "big")
        language = random_.choice(["en", "de", None])
        rows.append({"key": key, "id": f"d{number}", "text": text, "url": url, "source": "s", "language": language})
    kinds = [("key", pa.binary()), *((name, pa.string()) for name in ("id", "text", "url", "source", "language"))]
    return pa.RecordBatch.from_pylist(rows, schema=pa.schema(kinds))


@pytest.mark.parametrize("name", list(STEPS))
@pytest.mark.parametrize("scope", ["global", "language"])
def test_a_scan_finds_every_pair_with_a_common_value_and_no_other(tmp_path: Path, name: str, scope: str) -> None:
    step, scopes = STEPS[name], Scopes(scope, {})
    history, batch = documents(200, 1), documents(50, 2)
    pq.write_table(pa.Table.from_batches([history]), tmp_path / "documents.parquet", row_group_size=30)
    size = _write_one(str(tmp_path / "documents.parquet"), str(tmp_path / "state.parquet"), [(name, step, scopes)])
    assert size == (tmp_path / "state.parquet").stat().st_size

    old, new = (state_values(part, name, step, scopes).to_pylist() for part in (history, batch))
    width = 5 if name == "dedup_near" else 16
    pieces = [
        [value and {value[i : i + width] + bytes([i // width]) for i in range(0, len(value), width)} for value in part]
        for part in (old, new)
    ]
    expected = {
        (node, row)
        for node, mine in enumerate(pieces[1])
        for row, its in enumerate(pieces[0])
        if mine and its and mine & its
    }
    assert expected
    assert any(value is None for value in old)

    probes = Probes(pa.array(new, pa.binary()), name)
    order = np.lexsort((probes.low, probes.high))
    arrays = {"high": probes.high[order], "low": probes.low[order], "nodes": probes.rows[order].astype(np.int64)}
    arrays["bitmap"] = _bitmap(probes.high)
    column = {"dedup_url": "url", "dedup_exact": "exact", "dedup_near": "bands"}[name]
    found, read = set(), 0
    for hits in _scan_file("documents.parquet", str(tmp_path / "state.parquet"), name, column, arrays):
        read += sum(hits.column("bytes").to_pylist())
        pairs = zip(hits.column("node").to_pylist(), hits.column("row").to_pylist(), strict=True)
        found |= {pair for pair in pairs if pair[0] is not None}
    assert found == expected
    assert 0 < read <= size


def test_documents_of_different_scopes_share_no_value() -> None:
    batch = pa.RecordBatch.from_pylist(
        [{"text": "the very same words", "url": None, "source": source, "language": "en"} for source in ("a", "b")]
    )
    for name in ("dedup_exact", "dedup_near"):
        same = state_values(batch, name, STEPS[name], EVERYWHERE).to_pylist()
        apart = state_values(batch, name, STEPS[name], Scopes("source", {})).to_pylist()
        dumps = state_values(batch, name, STEPS[name], Scopes("dump", {"a": "2026-48", "b": "2026-48"})).to_pylist()
        assert same[0] == same[1]
        assert apart[0] != apart[1]
        assert dumps[0] == dumps[1]


def test_nothing_is_found_in_nothing() -> None:
    nothing = Probes(pa.array([None, None], pa.binary()), "dedup_near")
    arrays: dict[str, Any] = {
        "high": nothing.high,
        "low": nothing.low,
        "nodes": nothing.rows,
        "bitmap": _bitmap(nothing.high),
    }
    nodes, rows = _look_up(nothing, arrays)
    assert len(nodes) == len(rows) == 0


def test_rows_are_read_from_the_row_groups_that_hold_them(tmp_path: Path) -> None:
    table = pa.table({"id": [f"d{n}" for n in range(100)], "text": [f"text {n}" * 50 for n in range(100)]})
    pq.write_table(table, tmp_path / "documents.parquet", row_group_size=10, compression="none")
    found, read = rows_of(str(tmp_path / "documents.parquet"), ["id"], np.array([3, 7, 55]))
    assert found.column("id").to_pylist() == ["d3", "d7", "d55"]
    assert 0 < read < 500  # two row groups of ten ids, no text


def test_a_file_is_copied_without_some_rows(tmp_path: Path) -> None:
    table = pa.table({"id": [f"d{n}" for n in range(5000)], "date": pa.array([None] * 5000, pa.timestamp("us", "UTC"))})
    pq.write_table(table, tmp_path / "old.parquet")
    gone = np.array([0, 2047, 2048, 4999])
    assert _filtered(str(tmp_path / "old.parquet"), str(tmp_path / "new" / "new.parquet"), gone) == 4996
    left = pq.read_table(tmp_path / "new" / "new.parquet")
    assert left.schema.equals(table.schema)
    assert left.column("id").to_pylist() == [f"d{n}" for n in range(5000) if n not in gone.tolist()]


def test_state_of_other_parameters_is_refused_by_name() -> None:
    before = state_parameters(recipe(dedup_exact={}, dedup_near={"ngram": 5}))
    refuse_other_parameters(before, state_parameters(recipe(dedup_exact={}, dedup_near={"ngram": 5, "threshold": 0.9})))
    with pytest.raises(InputContractError, match=r"dedup_near\.ngram is 13, the state has 5"):
        refuse_other_parameters(before, state_parameters(recipe(dedup_exact={}, dedup_near={"ngram": 13})))
    with pytest.raises(InputContractError, match="dedup_near is off now"):
        refuse_other_parameters(before, state_parameters(recipe(dedup_exact={})))
    passages = state_parameters(recipe(dedup_substring={"length": 50}))
    refuse_other_parameters(passages, state_parameters(recipe(dedup_substring={"min_words_left": 20})))
    with pytest.raises(InputContractError, match=r"dedup_substring\.length is 40, the state has 50"):
        refuse_other_parameters(passages, state_parameters(recipe(dedup_substring={"length": 40})))
    with pytest.raises(ConfigurationError, match="a refresh cannot run dedup_lines"):
        state_parameters(recipe(dedup_exact={}, dedup_lines={}))


def test_anchors_are_remembered_by_their_lowest_bytes_and_looked_up_by_document() -> None:
    texts = pa.array(["a b c d e f g h i j k", None, "a b", "x a b c d e f y"])
    step = DedupSubstring(length=4)
    scopes = scopes_of(Recipe.model_validate({"recipe": "r", "steps": {"dedup_substring": {}}}), "dedup_substring")
    values = state_values(pa.record_batch({"text": texts}), "dedup_substring", step, scopes)
    found = Probes(values, "dedup_substring")
    expected = anchor_sets(texts, 4)
    assert (found.high >> np.uint64(24)).tolist() == (expected.hashes & ((1 << 40) - 1)).tolist()
    assert found.rows.tolist() == np.repeat(np.arange(4), np.diff(expected.offsets)).tolist()
    assert set(found.rows.tolist()) == {0, 3}
    assert not found.low.any()


def test_the_scope_of_a_recipe_is_the_scope_of_its_state() -> None:
    made = Recipe.model_validate(
        {
            "recipe": "test",
            "sources": {"web": {"input": "x", "dump": "2026-48"}, "books": {"input": "y"}},
            "steps": {"dedup_near": {"scope": "dump"}},
        }
    )
    batch = pa.RecordBatch.from_pylist([{"source": source} for source in ("web", "books", None)])
    assert scopes_of(made, "dedup_near").of(batch) == ["2026-48", "books", ""]


def test_a_version_replaces_another_text_that_is_not_newer(tmp_path: Path) -> None:
    day = 24 * 3600 * 1_000_000
    held = [  # (text and day in the corpus, text and day in the batch, whether it replaces)
        ("as it was", 5, "as it was", 9, False),
        ("as it was", 5, "as it is", 9, True),
        ("as it was", 5, "as it is", 5, True),
        ("as it was", 5, "as it is", 1, False),
        ("as it was", None, "as it is", 1, True),
        ("as it was", 5, "as it is", None, True),
    ]
    times = pa.array([None if old is None else old * day for _, old, *_ in held], pa.timestamp("us", "UTC"))
    corpus = {
        "id": [f"d{place}" for place in range(len(held))],
        "key": pa.array([bytes([place]) * 16 for place in range(len(held))]),
        "text": [text for text, *_ in held],
        "date": times,
    }
    path = str(tmp_path / "part.parquet")
    pq.write_table(pa.table(corpus), path, row_group_size=2)
    batch = pa.RecordBatch.from_pydict(
        {
            "node": pa.array(range(10, 16), pa.int64()),
            "file": [path] * len(held),
            "row": pa.array(range(len(held)), pa.int64()),
            "digest": text_digests(pa.array([text for _, _, text, *_ in held]), "none"),
            "time": pa.array([None if new is None else new * day for _, _, _, new, _ in held], pa.int64()),
        }
    )
    (found,) = _compare_versions(iter([batch]))
    assert found.column("replaces").to_pylist() == [expected for *_, expected in held]
    assert found.column("id").to_pylist() == corpus["id"]
    assert found.column("node").to_pylist() == list(range(10, 16))
