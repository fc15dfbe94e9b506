"""Fixtures of the whole suite: one Spark session, the path of the optional test data, the Hypothesis profile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile(
    "winnow",
    max_examples=int(os.environ.get("WINNOW_HYPOTHESIS_EXAMPLES", "200")),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
settings.load_profile("winnow")

# Tests plan many small queries and run each once: half of the JVM's time went into compiling code for the best speed.
# Spark hands this on to every JVM that it starts, those of commands that tests run included.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """The one Spark session of the suite: two cores, few shuffle partitions, no UI."""
    from jobs.core.session import build_session

    scratch = tmp_path_factory.mktemp("spark")
    session = build_session(
        "winnow-tests",
        master="local[2]",
        settings={
            "spark.sql.shuffle.partitions": "3",
            "spark.default.parallelism": "2",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.warehouse.dir": str(scratch / "warehouse"),
            "spark.local.dir": str(scratch / "local"),
            "spark.driver.memory": "2g",
        },
    )
    yield session
    session.stop()


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of the definition vectors."""
    return ROOT / "tests" / "vectors"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test data, which is not part of the project; tests that want it are skipped without it."""
    folder = Path(os.environ.get("WINNOW_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real test data is absent: no folder {folder} (set WINNOW_TEST_DATA)")
    return folder
