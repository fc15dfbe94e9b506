"""Spark's Python daemon for local runs: imports, once and compiled, what each worker would import for itself.

The daemon is the process that workers are forked from. Spark starts it with an archive of PySpark's sources before all
else on the path; from there every worker compiles what it imports, and reads the archive's directory again in every
task. ``jobs.core.session`` names this module in the place of ``pyspark.daemon``.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path


def without_archives(path: list[str]) -> list[str]:
    """A search path without the archives of an installed PySpark and its py4j, where both are found besides."""
    archives = [each for each in path if _is_archive(each)]
    rest = [each for each in path if each not in archives]
    found = PathFinder.find_spec("pyspark", rest)
    if found is None or found.origin is None or PathFinder.find_spec("py4j", rest) is None:
        return path
    own = Path(found.origin).resolve().parent / "python" / "lib"
    return rest if all(Path(each).resolve().parent == own for each in archives) else path


def _is_archive(entry: str) -> bool:
    name = Path(entry).name
    return name.endswith(".zip") and name.startswith(("pyspark", "py4j"))


def main() -> None:
    """Serve workers until Spark ends."""
    sys.path[:] = without_archives(sys.path)
    # No more than this: a module that starts threads, as pyarrow does, must not be imported before a fork.
    import numba  # noqa: F401
    import pyspark.worker  # noqa: F401
    from pyspark import daemon

    daemon.manager()


if __name__ == "__main__":
    main()
