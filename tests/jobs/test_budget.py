"""The budget of a corpus: tokens that add up, samples whose interval holds, and the sentences people read."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from jobs import budget
from jobs.core.corpus_tokens import Group, tokens_of_documents, tokens_of_run
from jobs.core.finished_run import open_run, parquet_folder
from jobs.core.recipe_file import resolve_recipe
from udfs.document_key import document_key


class WordCounter:
    """Counts words: a tokenizer whose answer is easy to check."""

    exact = True
    method = "words"

    def count(self, text: pa.Array, language: pa.Array | None = None) -> NDArray[np.float64]:
        return np.array([len((value or "").split()) for value in text.to_pylist()], dtype=np.float64)


def documents(count: int, seed: int = 1) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    made = []
    for number in range(count):
        words = chance.choices(["a", "river", "extraordinary", "of"], k=chance.randint(3, 120))
        text = " ".join(words)
        key = document_key(f"d{number}".encode(), None, text.encode())
        source, language = chance.choice([("web", "en"), ("web", "de"), ("books", "en")])
        made.append({"id": f"d{number}", "key": key, "text": text, "source": source, "language": language})
    return made


def words_of(rows: list[dict[str, Any]]) -> int:
    return sum(len((row["text"] or "").split()) for row in rows)


def write_run(folder: Path, rows: list[dict[str, Any]], *, store_removed_text: bool = True) -> Path:
    """A run that removed every third document as a near-duplicate."""
    kept = [row for place, row in enumerate(rows) if place % 3]
    removed = [{**row, "stage": "dedup_near"} for row in rows[::3]]
    signals = [
        {**{k: row[k] for k in ("id", "key", "source", "language")}, "text_bytes": len(row["text"]), "stage": stage}
        for stage, group in ((None, kept), ("dedup_near", removed))
        for row in group
    ]
    if not store_removed_text:
        removed = [{**row, "text": None} for row in removed]
    for name, table in (("kept", kept), ("removed", removed), ("signals", signals)):
        (folder / name).mkdir(parents=True)
        fields = [(k, pa.binary() if k == "key" else pa.string()) for k in table[0] if k != "text_bytes"]
        fields += [("text_bytes", pa.int64())] if name == "signals" else []
        pq.write_table(pa.Table.from_pylist(table, pa.schema(fields)), folder / name / "part-0.parquet")
    ledger = {
        "run_id": "r",
        "recipe": dict(resolve_recipe("gopher").as_dict),
        "totals": {"read": len(rows), "kept": len(kept)},
        "stages": [{"stage": "ingest", "read": len(rows), "kept": len(rows), "facts": {}}],
    }
    (folder / "ledger.json").write_text(json.dumps(ledger))
    return folder


def test_tokens_of_a_run_add_up_by_source_language_and_step(tmp_path: Path) -> None:
    rows = documents(300)
    found = tokens_of_run(open_run(str(write_run(tmp_path / "run", rows))), WordCounter(), 1.0)
    kept = [row for place, row in enumerate(rows) if place % 3]
    assert found.complete
    assert (found.kept.tokens, found.kept.margin) == (words_of(kept), 0)
    assert found.kept.text_bytes == sum(len(row["text"]) for row in kept)
    for part in ("source", "language"):
        for name, tokens in found.by(part).items():
            assert tokens.tokens == words_of([row for row in kept if row[part] == name])
    assert found.by("step")["dedup_near"].tokens == words_of(rows[::3])
    assert found.groups[Group("dedup_near", "books", "en")].documents == sum(
        row["source"] == "books" for row in rows[::3]
    )


def test_a_sample_by_key_is_repeatable_and_its_interval_holds(tmp_path: Path) -> None:
    inside = 0
    for seed in range(20):
        rows = documents(400, seed)
        run = open_run(str(write_run(tmp_path / f"run{seed}", rows)))
        found = tokens_of_run(run, WordCounter(), 0.2)
        assert found == tokens_of_run(run, WordCounter(), 0.2)
        assert 0.1 < found.sampled / found.documents < 0.3
        assert not found.complete
        truth = words_of([row for place, row in enumerate(rows) if place % 3])
        assert 0 < found.kept.margin < 0.1 * truth
        inside += abs(found.kept.tokens - truth) <= found.kept.margin
    assert inside >= 16  # of 20 intervals that hold in 19 cases of 20


def test_removed_texts_that_were_not_stored_borrow_the_ratio_of_kept_ones(tmp_path: Path) -> None:
    rows = documents(600)
    run = open_run(str(write_run(tmp_path / "run", rows, store_removed_text=False)))
    found = tokens_of_run(run, WordCounter(), 1.0)
    removed = found.by("step")["dedup_near"]
    assert removed.text_bytes == sum(len(row["text"]) for row in rows[::3])
    assert removed.margin > 0
    assert removed.tokens == pytest.approx(words_of(rows[::3]), rel=0.05)


def test_a_folder_of_documents_needs_no_column_but_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one two", None, "three"]}), tmp_path / "part.parquet")
    import pyarrow.fs as pafs

    found = tokens_of_documents(parquet_folder(pafs.LocalFileSystem(), str(tmp_path)), WordCounter(), 1.0)
    assert found.by("source")["unknown"].tokens == 3
    assert found.kept.documents == 3


def test_the_command_answers_in_text_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", documents(90))
    assert budget.main([str(run), "--model", "7e9", "--flops", "1e21"]) == 0
    text = capsys.readouterr().out
    assert "Duplicates removed here would have passed for" in text
    assert "For a model of 7 B parameters the corpus is less than 0.01% of the 144 B tokens" in text
    assert budget.main([str(run), "--model", "7B", "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["unique_tokens"] == result["corpus"]["tokens"]
    assert sum(each["tokens"] for each in result["corpus"]["sources"].values()) == pytest.approx(
        result["corpus"]["tokens"], abs=2
    )
    assert {each["fit"] for each in result["fits"]} == {"chinchilla", "epoch", "kaplan", "data-constrained"}
    assert result["corpus"]["method"] == "estimated from characters by language and script"


def test_a_number_of_tokens_alone_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert budget.main(["--tokens", "59.985B", "--model", "2.778e9", "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    epoch = next(each for each in result["fits"] if each["fit"] == "epoch")
    assert epoch["one_epoch"]["parameters"] == pytest.approx(2.778e9, rel=1e-3)
    assert epoch["one_epoch"]["flops"] == pytest.approx(1e21, rel=1e-3)
    assert epoch["model"]["share"] == pytest.approx(1, rel=1e-3)
    assert epoch["up_to_4_epochs"]["worth_tokens"] / 59.985e9 == pytest.approx(3.73, abs=0.005)
    assert budget.main(["--tokens", "45B", "--model", "7B"]) == 0
    assert "the corpus is 31% of the 144 B tokens that one epoch needs; 99.4 B are missing" in capsys.readouterr().out


def test_what_cannot_be_answered_is_refused_with_the_right_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"words": ["one two"]}), tmp_path / "part.parquet")
    cases = [
        ([], 2, "name a run or folder"),
        ([str(tmp_path), "--tokens", "7"], 2, "one of them"),
        (["--tokens", "many"], 2, "is not an amount"),
        ([str(tmp_path / "absent")], 3, "no such folder"),
        ([str(tmp_path)], 3, "has no column text"),
        ([str(tmp_path), "--tokenizer", str(tmp_path / "none.json")], 2, "tokenizer"),
    ]
    for arguments, code, message in cases:
        assert budget.main(arguments) == code, arguments
        assert message in capsys.readouterr().err
