"""Asking the executors: one question, put to every Python worker of a job by a small Spark job of its own."""

from __future__ import annotations

import json
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs.core.arrow_map import map_in_arrow

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Tasks a core: a worker that is busy starting still gets one, and a core may have two workers that take turns.
ROUNDS = 4
# Long enough that no worker takes all tasks before another has begun.
TASK_SECONDS = 0.05


def ask_workers(spark: SparkSession, question: Callable[[], Any]) -> list[tuple[str, Any]]:
    """(host, answer) of every task: each worker that is there answers at least once, most of them several times.

    An answer is JSON of a few hundred bytes: all of them come to the driver. The question is asked in the way in which
    documents are measured, since Spark keeps workers apart by how they were started.
    """

    def answer(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            time.sleep(TASK_SECONDS)
            row = {"host": platform.node(), "answer": json.dumps(question())}
            yield pa.RecordBatch.from_pylist([row])

    tasks = max(2, ROUNDS * spark.sparkContext.defaultParallelism)
    asked = map_in_arrow(spark.range(0, tasks, 1, tasks), answer, "host string, answer string")
    return [(row["host"], json.loads(row["answer"])) for row in asked.collect()]


def peak_worker_bytes(spark: SparkSession) -> int:
    """The most memory that any living Python worker, or a child process of one, has held so far.

    Workers serve many tasks (``spark.python.worker.reuse``), so this is the peak of the whole run unless one was lost.
    """
    return max(peak for _, peak in ask_workers(spark, _peak_bytes))


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(resource.getrusage(whose).ru_maxrss for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
