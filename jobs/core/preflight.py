"""Before a job on a cluster: do the executors have what the driver has?

Results depend on the versions of Python, of the packages that parse and measure, of the Unicode tables, and on the
processor's architecture. An executor that differs would not fail, it would decide otherwise. One small Spark job asks
every executor and compares (docs/faults.md, F30); on one machine there is nothing to ask.
"""

from __future__ import annotations

import hashlib
import platform
import sys
import time
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import udfs
from jobs.core.errors import ConfigurationError
from jobs.core.executors import ask_workers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Packages whose version can change what a document's signals or text are.
PACKAGES = ("pyspark", "pyarrow", "numpy", "numba", "fastwarc", "resiliparse", "turbohtml", "google-re2", "orjson")

# How long executors that were asked for may take to register; later ones are not waited for.
REGISTRATION_SECONDS = 15.0

Facts = dict[str, str]


def environment_facts() -> Facts:
    """What must be the same in every process of a job, by name."""
    facts = {
        "Python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "Python's Unicode": unicodedata.unidata_version,
        "Winnow's code": _code_digest(),
        "architecture": f"{platform.machine()} {sys.byteorder}-endian",
    }
    for name in PACKAGES:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = "absent"
    return facts


@cache
def _code_digest() -> str:
    """A digest of all that measures and of its tables: a version number does not tell two checkouts apart."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(udfs.__path__[0]).iterdir()):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def differences(driver: Mapping[str, str], executors: Iterable[tuple[str, Mapping[str, str]]]) -> list[str]:
    """One phrase per fact that an executor, given as (host, facts), does not share with the driver; hosts of the same
    value together.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for host, facts in executors:
        for name, value in driver.items():
            if facts.get(name) != value:
                found.setdefault((name, facts.get(name, "absent")), set()).add(host)
    return [
        f"{name} is {driver[name]} on the driver and {value} on {', '.join(sorted(hosts))}"
        for (name, value), hosts in sorted(found.items())
    ]


def check_executors(spark: SparkSession) -> int:
    """Compare every executor with the driver; from how many hosts came an answer.

    Raises ``ConfigurationError`` that names each difference. A worker that cannot even import Winnow fails the job with
    ``ModuleNotFoundError``, which ends a command in the same way (``jobs.core.command``).
    """
    _wait_for_executors(spark)
    answers = ask_workers(spark, environment_facts)
    found = differences(environment_facts(), answers)
    if found:
        raise ConfigurationError(
            f"the executors are not set up like the driver: {'; '.join(found)}",
            next_step="give all machines one environment, for instance with --archives (docs/deploy.md)",
        )
    return len({host for host, _ in answers})


def is_local(spark: SparkSession) -> bool:
    """Whether driver and executors are one process, with one environment."""
    return (spark.sparkContext.master or "").startswith("local")


def _wait_for_executors(spark: SparkSession) -> None:
    """Wait for the executors that the settings ask for by number, for a while."""
    context = spark.sparkContext
    if is_local(spark):
        return
    wanted = int(context.getConf().get("spark.executor.instances", "1"))
    end = time.monotonic() + REGISTRATION_SECONDS
    scala_context = context._jsc.sc()
    while scala_context.getExecutorMemoryStatus().size() - 1 < wanted and time.monotonic() < end:
        time.sleep(0.2)
