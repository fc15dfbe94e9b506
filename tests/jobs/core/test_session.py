"""Local runs: options of their JVM, what Python workers are forked from, and what they do between tasks."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyspark
import pytest

from jobs.core.executors import ask_workers
from jobs.core.session import SHORT_RUN_JVM, jvm_options
from jobs.core.worker_daemon import without_archives

ARCHIVES = [str(each) for each in (Path(pyspark.__file__).parent / "python" / "lib").glob("*.zip")]


def test_workers_import_pyspark_from_where_it_is_compiled(spark: Any) -> None:
    """The daemon is Winnow's, and no archive is on the path that every task would read again."""

    def question() -> list[Any]:
        started = sys.modules["__main__"].__spec__
        return [started and started.name, sys.path]

    assert len(ARCHIVES) == 2
    for _, (started, path) in ask_workers(spark, question):
        assert started == "jobs.core.worker_daemon"
        assert not set(ARCHIVES) & set(path)


def test_objects_that_outlive_a_task_are_not_looked_at_again(spark: Any) -> None:
    def counted() -> list[int]:  # travels as it is, so that workers need not import this module
        return [gc.get_freeze_count(), len(gc.get_objects())]

    for _ in range(2):
        ask_workers(spark, counted)
    counts = [(frozen, left) for _, (frozen, left) in ask_workers(spark, counted)]
    assert min(frozen for frozen, _ in counts) > 10_000
    assert max(left for _, left in counts) < 20_000


def test_only_the_daemons_collections_leave_objects_out() -> None:
    """What a task holds while the collector runs of itself may be garbage later."""
    script = (
        "import gc\nfrom jobs.core import worker_garbage\n"
        "worker_garbage.SLOW_SECONDS = 0.0\n"
        "worker_garbage.skip_lasting_objects()\nworker_garbage.skip_lasting_objects()\n"
        "assert len(gc.callbacks) == 1\n"
        "gc.collect()\nassert gc.get_freeze_count() == 0\n"
        "exec(compile('def manager():\\n    gc.collect()\\nmanager()', 'somewhere/daemon.py', 'exec'))\n"
        "assert gc.get_freeze_count() > 0\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_what_the_daemon_imports_starts_no_thread() -> None:
    """A thread would not be there after a fork, and what it had locked would stay locked."""
    script = (
        "import os\nfrom jobs.core import worker_daemon\nfrom pyspark import daemon\n"
        "daemon.manager = lambda: print(len(os.listdir('/proc/self/task')))\nworker_daemon.main()\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # as Spark sets it for a task of one core
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["1"]


def test_options_that_a_user_gives_the_jvm_come_after_those_of_a_short_run() -> None:
    (flag,) = SHORT_RUN_JVM
    given = "-XX:TieredStopAtLevel=4 -Xss8m"
    assert flag in jvm_options(None, short=True).split()
    assert flag not in jvm_options(None, short=False)
    assert jvm_options(given, short=True).endswith(f" {flag} {given}")
    assert "-Dwinnow.jvm.log=" in jvm_options(given, short=False)


def test_archives_stay_where_pyspark_is_nowhere_else(tmp_path: Path) -> None:
    path = [*ARCHIVES, *sys.path]
    assert without_archives(path) == sys.path
    assert without_archives([*ARCHIVES, str(tmp_path)]) == [*ARCHIVES, str(tmp_path)]
    other = str(tmp_path / "pyspark.zip")  # of another installation, which somebody wants to come first
    assert without_archives([other, *sys.path]) == [other, *sys.path]
