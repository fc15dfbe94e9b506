"""What is said while a job runs: rates, what is left, JSON lines with the run's id, the workers' memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs import ingest
from jobs.core import console
from jobs.core.arrow_map import map_in_arrow
from jobs.core.console import Reached, how_far, name_run, progress, say, set_up_logging
from jobs.core.executors import ask_workers, peak_worker_bytes


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Any:
    yield
    console.log.handlers.clear()
    console.log.propagate = True


def test_the_time_left_goes_by_the_share_of_tasks() -> None:
    reached = Reached(tasks_done=25, tasks=100, tasks_running=4, rows=5000, bytes=20_000_000)
    assert reached.seconds_left(60) == 180
    assert reached.line(60) == "25 of 100 tasks done, 4 running, 83 documents/s, 0.3 MB/s, about 3:00 left"
    assert reached.event(60)["documents_per_second"] == 83.3
    assert reached.event(60)["seconds_left"] == 180


@pytest.mark.parametrize("reached", [Reached(), Reached(tasks_done=0, tasks=8), Reached(tasks_done=8, tasks=8)])
def test_nothing_is_foretold_before_the_first_task_nor_after_the_last(reached: Reached) -> None:
    assert reached.seconds_left(10) is None
    assert "left" not in reached.line(10)


def test_rows_and_tasks_are_those_that_spark_has_finished(spark: Any, tmp_path: Path) -> None:
    with progress(spark, "counting"):
        group = spark.sparkContext.getLocalProperty("spark.jobGroup.id")
        spark.range(1000).repartition(4).write.parquet(str(tmp_path / "numbers"))
    reached = how_far(spark.sparkContext, group)
    assert reached.rows == 1000
    assert reached.bytes > 1000
    assert reached.tasks == reached.tasks_done >= 4
    assert reached.tasks_running == 0


def test_json_lines_carry_the_run_once_it_has_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(log_format="json")
    say("before")
    name_run("r1")
    say("after", stage="rows", tasks=3)
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert "run_id" not in first
    assert (second["run_id"], second["message"], second["stage"], second["tasks"]) == ("r1", "after", "rows", 3)


def test_a_run_says_its_rate_and_the_memory_of_its_workers_as_events(
    spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"id": "{n}", "text": "document {n}"}}\n' for n in range(50)))
    out = tmp_path / "out"
    arguments = ["--recipe", "gopher", "--input", str(tmp_path / "a.jsonl"), "--output", str(out)]
    assert ingest.main([*arguments, "--log-format", "json", "--run-id", "mine"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    of_run = [event for event in events if event.get("run_id") == "mine"]
    assert [event["documents_per_second"] > 0 for event in of_run if "documents_per_second" in event] == [True]
    (peak,) = [event["peak_worker_bytes"] for event in of_run if "peak_worker_bytes" in event]
    assert peak > 50e6  # no worker with Arrow and Numba is smaller
    assert json.loads((out / "ledger.json").read_text())["spark"]["peak_worker_bytes"] == peak


def test_the_workers_that_measure_are_the_ones_asked(spark: Any) -> None:
    """A worker that held 200 MB for an earlier task says so afterwards."""

    def hold(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            assert len(bytearray(200_000_000)) == 200_000_000
            yield batch

    before = peak_worker_bytes(spark)
    map_in_arrow(spark.range(2), hold, "id long").collect()
    assert peak_worker_bytes(spark) >= max(before, 250_000_000)
    assert len(ask_workers(spark, lambda: 1)) >= spark.sparkContext.defaultParallelism
