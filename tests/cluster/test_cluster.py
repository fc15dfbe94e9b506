"""The whole demo on a real cluster: the same output as on one core, by ``spark-submit`` with the shipped package.

``make test-cluster`` runs this. Jobs come by ``spark-submit`` with ``--py-files winnow.zip``, built here as
``make dist`` builds it.
"""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.make_sample import make_sample
from tests.cluster.standalone import ROOT, Cluster, Submitted, output_digest, wait_until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``winnow.zip``, its kernels compiled as a first job on a machine would."""
    pytest.importorskip("hatchling", reason="the build tools are not installed (requirements-build.lock)")
    folder = tmp_path_factory.mktemp("package")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=300)
    archive = next(folder.glob("winnow_corpus-*.whl")).rename(folder / "winnow.zip")
    environment = {**os.environ, "PYTHONPATH": str(archive)}
    warm = [sys.executable, "-P", "-m", "udfs.warm"]
    subprocess.run(warm, env=environment, cwd=folder, check=True, timeout=600)
    return archive


@pytest.fixture(scope="module")
def cluster(start_cluster: Callable[..., Cluster], package: Path) -> Cluster:
    return start_cluster(2, package)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("demo")
    make_sample(home / "sample")
    return home


@pytest.fixture(scope="module")
def expected(demo: Path) -> str:
    """The digest of the demo's output on one core of this machine."""
    arguments = ["--recipe", str(demo / "sample" / "demo.yaml"), "--output", str(demo / "alone")]
    command = [sys.executable, "-m", "jobs.cli", "run", *arguments, "--master", "local[1]"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYSPARK")}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=400)
    return output_digest(demo / "alone")


def run_demo(cluster: Cluster, demo: Path, name: str) -> Submitted:
    return cluster.submit("pipeline", "--recipe", str(demo / "sample/demo.yaml"), "--output", str(demo / name))


def test_the_demo_gives_on_the_cluster_what_it_gives_on_one_core(cluster: Cluster, demo: Path, expected: str) -> None:
    submitted = run_demo(cluster, demo, "together")
    wait_until(lambda: submitted.running("winnow-rows", after_shuffle=False), 240, "a running task")
    listening, application = cluster.listening(), submitted.application()
    assert submitted.wait(400) == 0, submitted.said()[-3000:]
    assert output_digest(demo / "together") == expected
    assert len(listening) >= 8  # master, two workers, a page each, the driver, its page
    assert all(ipaddress.ip_address(address).is_loopback for address in listening), listening
    events = cluster.events(str(application))
    assert events[-1]["Event"] == "SparkListenerApplicationEnd"
    hosts = {event["Executor ID"] for event in events if event["Event"] == "SparkListenerExecutorAdded"}
    assert hosts == {"0", "1"}
