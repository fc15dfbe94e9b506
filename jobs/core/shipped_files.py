"""Lists and models that a recipe names by a path of the driver, made readable on every machine.

Locally workers read them where they are. On a cluster they travel as one archive, which each executor unpacks once and
its workers share; it is named by what is in it, so that two recipes in one application do not meet.
"""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from pyspark import SparkFiles
from pyspark.sql import SparkSession

from jobs.core.errors import ConfigurationError
from udfs.annotate import Plan, paths_of, with_paths


def plan_on_workers(spark: SparkSession, plan: Plan) -> Callable[[], Plan]:
    """The function that gives a worker the plan, its paths as they are there."""
    paths = paths_of(plan)
    if not paths or reads_the_drivers_disk(spark):
        return lambda: plan
    return _packed(spark, plan, paths)


def reads_the_drivers_disk(spark: SparkSession) -> bool:
    """Whether workers run on the driver's machine."""
    return str(spark.sparkContext.master).startswith("local[") or str(spark.sparkContext.master) == "local"


def digest_of_lists(plan: Plan) -> str:
    """A digest of the names, sizes and times of all files that a plan reads.

    Raises ``ConfigurationError`` for one that is not there.
    """
    try:
        return _digest(paths_of(plan))
    except OSError as error:
        raise ConfigurationError(
            f"a list of the recipe cannot be read: {error}", next_step="name files or folders on this machine"
        ) from error


def _packed(spark: SparkSession, plan: Plan, paths: tuple[str, ...]) -> Callable[[], Plan]:
    inside = {path: f"{place}/{Path(path).name}" for place, path in enumerate(paths)}  # a name may say a language
    name = f"winnow-lists-{_digest(paths)}"
    archive = Path(tempfile.mkdtemp(prefix="winnow-lists-")) / f"{name}.tar"
    with tarfile.open(archive, "w") as tar:
        for path, member in inside.items():
            tar.add(Path(path), arcname=member)
    spark.sparkContext.addArchive(f"{archive}#{name}")
    return lambda: with_paths(plan, lambda path: str(Path(SparkFiles.get(name)) / inside[path]))


def _digest(paths: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        files = (
            sorted(each for each in Path(path).rglob("*") if each.is_file()) if Path(path).is_dir() else [Path(path)]
        )
        for file in files:
            found = file.stat()
            digest.update(f"{path}\0{file}\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:16]
