"""Sending a folder of flat arrays to every machine: one copy a machine, which its workers map read-only."""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from pyspark import SparkFiles
from pyspark.sql import SparkSession


def ship_folder(spark: SparkSession, folder: Path, label: str) -> Callable[[], Path]:
    """Make a folder readable on every machine; the function that tells a worker where it is.

    Locally the workers map the folder itself. On a cluster it travels as an archive named by its content.
    """
    if str(spark.sparkContext.master).startswith("local"):
        return lambda: folder
    archive = Path(tempfile.mkdtemp(prefix="winnow-")) / "shipped.tar"
    with tarfile.open(archive, "w") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, arcname=file.name)
    with archive.open("rb") as stream:
        name = f"winnow-{label}-{hashlib.file_digest(stream, 'blake2b').hexdigest()[:32]}"
    spark.sparkContext.addArchive(f"{archive}#{name}")
    return lambda: Path(SparkFiles.get(name))
