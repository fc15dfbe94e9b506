"""A corpus for the jobs on a cluster, and clusters that are gone when the tests are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.standalone import Cluster

GOOD = (
    "The river that runs through the old town has been a meeting place for as long as people have lived here. "
    "Every spring the children of the town would come to the water with their boats, and the bakers would bring bread. "
    "It is said that a boat which reaches the second bridge will bring its owner good luck for the whole of the year."
)


@pytest.fixture(scope="package")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve files of good documents: every fifth is there twice, every seventh is too short or repeats itself."""
    folder = tmp_path_factory.mktemp("corpus")
    for place in range(12):
        lines = []
        for number in range(place, 1200, 12):
            text = f"{GOOD} This is number {number - number % 5 // 4} of them."
            if number % 7 == 3:
                text = "too short" if number % 2 else f"And so on with the number {number}.\n" * 40
            lines.append(json.dumps({"id": f"d{number:04}", "url": f"http://a.example/{number}", "text": text}) + "\n")
        (folder / f"{place:02}.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def start_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Cluster]]:
    """Start a cluster; at the end of the module it is ended, and nothing of it may be left."""
    running: list[Cluster] = []

    def start(workers: int, package: Path | None = None) -> Cluster:
        cluster = Cluster(tmp_path_factory.mktemp("cluster") / "home", package)
        running.append(cluster)
        cluster.start(workers)
        return cluster

    yield start
    left = [line for cluster in running for line in cluster.stop()]
    assert left == [], "processes that would not end"
    assert [pid for cluster in running for pid in cluster.processes()] == []
