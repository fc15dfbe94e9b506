"""How a command ends when the cluster is at fault: the exit code and the last line, from what Spark says."""

from __future__ import annotations

import pytest

from jobs.core.command import end_well

# Messages as Spark 4.3 gives them.
OTHER_PYTHON = (
    "[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.12 than that in driver: 3.11, "
    "PySpark cannot run with different minor versions."
)
NO_PACKAGE = "File worker.py, in PythonRDD\nModuleNotFoundError: No module named 'jobs'"
REFUSED = (
    'java.lang.NullPointerException: Cannot invoke "org.apache.spark.scheduler.DAGScheduler.metricsSource()" because '
    'the return value of "org.apache.spark.SparkContext._dagScheduler()" is null'
)
WITHOUT_ENVIRONMENT = (
    'java.lang.NullPointerException: Cannot invoke "org.apache.spark.SparkEnv.driverTmpDir()" because the return value '
    'of "org.apache.spark.SparkEnv$.get()" is null'
)
STOPPED = "IllegalArgumentException: requirement failed: Can only call getServletHandlers on a running MetricsSystem"
ENDED = "java.lang.IllegalStateException: Cannot call methods on a stopped SparkContext."
FULL = "java.io.IOException: No space left on device"


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (OTHER_PYTHON, 2, ["different version: 3.12 than that in driver: 3.11", "PYSPARK_PYTHON"]),
        (NO_PACKAGE, 2, ["No module named 'jobs'", "--archives"]),
        (REFUSED, 6, ["master cannot be reached, refused", "_SPARK_AUTH_SECRET"]),
        (WITHOUT_ENVIRONMENT, 6, ["master cannot be reached, refused", "_SPARK_AUTH_SECRET"]),
        (STOPPED, 6, ["master cannot be reached, refused", "_SPARK_AUTH_SECRET"]),
        (ENDED, 6, ["master cannot be reached, refused", "--resume"]),
        (FULL, 6, ["the disk is full", "--resume"]),
        ("something else", 1, ["this is a bug"]),
    ],
)
def test_what_spark_says_becomes_an_exit_code_and_what_to_do(
    message: str, code: int, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> int:
        raise RuntimeError(message)

    assert end_well(fails) == code
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert all(word in last for word in words), last
