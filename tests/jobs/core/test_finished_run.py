"""Finished runs as their readers see them, on runs written by hand: no-runs are refused, tables come in bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from jobs.core.errors import InputContractError
from jobs.core.finished_run import open_run
from jobs.core.recipe_file import resolve_recipe


def write_run(folder: Path, kept: int = 10) -> Path:
    resolved = resolve_recipe("gopher", ["steps.filter_quality.word_count.min=7"])
    signals = pa.StructArray.from_arrays([pa.array(range(kept), pa.int64())], ["word_count"])
    for part in range(2):
        (folder / "signals").mkdir(parents=True, exist_ok=True)
        table = pa.table({"id": [f"{part}-{n}" for n in range(kept)], "signals": signals})
        pq.write_table(table, folder / "signals" / f"part-{part}.parquet")
    (folder / "signals" / "_SUCCESS").touch()
    ledger = {
        "run_id": "r1",
        "recipe": dict(resolved.as_dict),
        "totals": {"read": 20, "kept": 20},
        "stages": [{"stage": "ingest", "read": 20, "kept": 20}],
    }
    (folder / "ledger.json").write_text(json.dumps(ledger))
    return folder


def test_a_run_shows_its_recipe_stages_and_tables(tmp_path: Path) -> None:
    run = open_run(str(write_run(tmp_path / "run")))
    assert run.resolved.recipe.recipe == "gopher"
    assert run.profiles.profile(None, "en").limits("filter_quality")["word_count"].minimum == 7
    assert run.stage("ingest") == {"stage": "ingest", "read": 20, "kept": 20}
    assert run.stage("dedup_near") is None
    assert list(run.signal_types) == ["word_count"]
    assert run.count("signals") == 20
    assert run.count("clusters") == 0


def test_tables_come_in_bounded_batches_and_always_in_the_same_order(tmp_path: Path) -> None:
    run = open_run(f"file:{write_run(tmp_path / 'run')}")
    columns = {"words": ds.field("signals", "word_count"), "id": ds.field("id")}
    batches = list(run.batches("signals", columns, rows=3))
    assert max(batch.num_rows for batch in batches) <= 3
    assert [id_ for batch in batches for id_ in batch.column("id").to_pylist()] == [
        f"{part}-{n}" for part in range(2) for n in range(10)
    ]
    assert [row["id"] for row in run.find("signals", ds.field("signals", "word_count") == 4, ["id"])] == ["0-4", "1-4"]
    assert list(run.batches("clusters")) == []
    with pytest.raises(InputContractError, match="has no table clusters"):
        run.table("clusters")


def test_what_is_no_finished_run_is_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(InputContractError, match="no such folder"):
        open_run(str(tmp_path / "absent"))
    (tmp_path / "out").mkdir()
    with pytest.raises(InputContractError, match=r"not the output of a finished run$"):
        open_run(str(tmp_path / "out"))
    (tmp_path / ".out.winnow").mkdir()
    with pytest.raises(InputContractError, match="under way or was stopped"):
        open_run(str(tmp_path / "out"))
    (tmp_path / "out" / "ledger.json").write_text('{"run_id"')
    with pytest.raises(InputContractError, match="is not JSON"):
        open_run(str(tmp_path / "out"))
    (tmp_path / "out" / "ledger.json").write_text('{"run_id": "r1"}')
    with pytest.raises(InputContractError, match="lacks recipe, totals, stages"):
        open_run(str(tmp_path / "out"))
