"""The Spark session: the one place where it is made and where settings live that a job needs to be right.

Settings that only make a job fast belong to ``conf/spark/*.conf``; the ones here change answers or lose data when they
are missing, so they hold under ``spark-submit`` too.
"""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.core.console import log_file
from jobs.core.errors import ConfigurationError
from jobs.core.java import ensure_java
from jobs.core.preflight import check_executors, is_local
from jobs.core.recipe_file import conf_path

if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

REQUIRED_SETTINGS: Mapping[str, str] = {
    # Timestamps mean the same on every machine.
    "spark.sql.session.timeZone": "UTC",
    # A wrong Arrow type is reported by name instead of as a cast error deep in the JVM.
    "spark.sql.execution.arrow.pyspark.validateSchema.enabled": "true",
    # Reading half of a damaged file and saying nothing is data loss (faults F7).
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    # Partition values such as 001 stay text (faults F14).
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # A segfault in a worker shows the Python stack in the job's error.
    "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
    # Outcomes are few: each task keeps one open file per outcome instead of sorting the text by it.
    "spark.sql.maxConcurrentOutputFileWriters": "16",
    # Timestamps that every Parquet reader understands.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.compression.codec": "zstd",
}

DEFAULT_SETTINGS: Mapping[str, str] = {
    # A document is some kilobytes: a batch is bounded by bytes long before it is by rows.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "20000",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(16 << 20),
    # HotSpot does not compile methods of more than 8 000 bytes of code. All rules of a recipe fused into one are more,
    # and halve the speed of deciding; over the limit Spark splits them into methods that are compiled.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    "spark.ui.showConsoleProgress": "false",
    "spark.ui.enabled": "false",
    "spark.driver.memory": "2g",
}

JVM_OPTIONS = "spark.driver.extraJavaOptions"  # what a user gives comes after ours, and so wins
# A local run shares its cores with the compiler of its JVM. On little text, optimising what Spark generates anew for
# every query takes more time than it gives back, unless documents are many and very short.
SHORT_RUN_BYTES = 512 << 20
SHORT_RUN_JVM = ("-XX:TieredStopAtLevel=1",)


def build_session(
    app_name: str, *, master: str | None = None, settings: Mapping[str, str] | None = None, short: bool = False
) -> SparkSession:
    """Make (or join) the Spark session of this process.

    Under ``spark-submit`` the master and all settings given there win over the defaults here. Locally the workers run
    the same Python as the driver, and the JVM of a ``short`` run leaves out what would only pay later. Raises
    ``ResourceError`` when no Java of version 17 or later can be found and ``ConfigurationError`` when a cluster's
    secret is missing.
    """
    ensure_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    if "PYSPARK_GATEWAY_PORT" in os.environ:
        # Started by spark-submit: its settings are known to SparkConf only once the gateway to its JVM is connected.
        SparkContext._ensure_initialized()  # type: ignore[attr-defined]
    submitted = SparkConf()
    chosen_master = master or submitted.get("spark.master") or f"local[{os.cpu_count() or 1}]"
    local = chosen_master.startswith("local")
    builder = SparkSession.builder.appName(app_name).master(chosen_master)
    if local:
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    chosen = dict(settings or {})
    options = jvm_options(chosen.pop(JVM_OPTIONS, None), short=local and short)
    defaults = {**DEFAULT_SETTINGS, JVM_OPTIONS: options, **(_local_daemon(submitted) if local else {})}
    for key, value in defaults.items():
        if not submitted.contains(key):
            builder = builder.config(key, value)
    for key, value in {**chosen, **REQUIRED_SETTINGS, **_secret(submitted, chosen_master)}.items():
        builder = builder.config(key, value)
    # PySpark reports each failed query to the screen as one line of JSON with the JVM's stack: the log file has it too.
    logging.getLogger("DataFrameQueryContextLogger").handlers.clear()
    logging.getLogger("DataFrameQueryContextLogger").propagate = False
    logging.getLogger("DataFrameQueryContextLogger").disabled = True
    return builder.getOrCreate()


def _secret(submitted: SparkConf, master: str) -> dict[str, str]:
    """The secret of a standalone cluster, from the environment. Spark's daemons read it there themselves; a driver
    wants it as a setting, which must not stand on a command line or in a file (Spark redacts it in pages and logs).
    """
    needed = submitted.get("spark.authenticate", "false") == "true" and master.startswith("spark:")
    if not needed or submitted.contains("spark.authenticate.secret"):
        return {}
    secret = os.environ.get("_SPARK_AUTH_SECRET")
    if not secret:
        raise ConfigurationError(
            f"{master} is to be spoken to with a secret (spark.authenticate), and there is none",
            next_step="set the environment variable _SPARK_AUTH_SECRET to the cluster's secret (docs/deploy.md)",
        )
    return {"spark.authenticate.secret": secret}


def jvm_options(given: str | None, *, short: bool) -> str:
    """Options of the driver's JVM, those that the user has given last.

    Its log goes to a file beside ours: a Java stack on the screen helps nobody who did not ask for it.
    """
    configuration = conf_path("spark", "log4j2.properties")
    jvm_log = log_file().with_suffix(".jvm.log")
    quiet = (f"-Dlog4j2.configurationFile={configuration}", f"-Dwinnow.jvm.log={jvm_log}")
    return " ".join([*quiet, *(SHORT_RUN_JVM if short else ()), *([given] if given else ())])


def _local_daemon(submitted: SparkConf) -> dict[str, str]:
    """Local workers come from a daemon of ours, where they run the driver's Python and so surely have it."""
    path = "spark.executorEnv.PYTHONPATH"
    if (
        os.environ["PYSPARK_PYTHON"] != sys.executable
        or "PYSPARK_GATEWAY_PORT" in os.environ
        or submitted.contains(path)
    ):
        return {}
    daemon = {"spark.python.daemon.module": "jobs.core.worker_daemon"}
    root = str(Path(__file__).parents[2])
    # An installed package is found anyway; its folder before the standard library's could hide parts of that.
    return daemon if root in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")) else {**daemon, path: root}


@contextmanager
def spark_session(
    app_name: str, *, master: str | None = None, settings: Mapping[str, str] | None = None, short: bool = False
) -> Iterator[SparkSession]:
    """Run a block with a session and stop it afterwards, unless the process already had one (tests, notebooks)."""
    ensure_java()
    from pyspark.sql import SparkSession

    existing = SparkSession.getActiveSession()
    spark = existing or build_session(app_name, master=master, settings=settings, short=short)
    try:
        if existing is None and not is_local(spark):
            check_executors(spark)
        yield spark
    finally:
        if existing is None:
            spark.stop()
