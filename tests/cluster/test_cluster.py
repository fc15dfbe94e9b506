"""A real cluster: jobs, the whole demo, an executor killed, a refused stranger, executors that differ.

``make test-cluster`` runs this. Jobs come by ``spark-submit`` with ``--py-files winnow.zip``, built here as
``make dist`` builds it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
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
    """``winnow.zip``, its kernels compiled as a first job on a machine would. The file stays under ``build/``, for the
    compiled kernels belong to its path and time: while the sources are the same, they are compiled once.
    """
    pytest.importorskip("hatchling", reason="the build tools are not installed (requirements-build.lock)")
    folder = tmp_path_factory.mktemp("package")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=300)
    built = next(folder.glob("winnow_corpus-*.whl"))
    archive = ROOT / "build" / "test-cluster" / "winnow.zip"
    archive.parent.mkdir(parents=True, exist_ok=True)
    if not archive.exists() or archive.read_bytes() != built.read_bytes():
        shutil.copyfile(built, archive)
    environment = {**os.environ, "PYTHONPATH": str(archive)}
    warm = [sys.executable, "-P", "-m", "udfs.warm"]
    subprocess.run(warm, env=environment, cwd=folder, check=True, timeout=600)
    return archive


@pytest.fixture(scope="module")
def cluster(start_cluster: Callable[..., Cluster], package: Path) -> Cluster:
    return start_cluster(2, package)


@pytest.fixture(scope="module")
def stranger(cluster: Cluster, corpus: Path) -> Submitted:
    """A job without the secret, sent first: it tries for a minute before it gives up."""
    arguments = ("--recipe", "gopher", "--input", str(corpus), "--output", str(cluster.home / "stranger"))
    settings = {"spark_authenticate": "false", "spark_network_crypto_enabled": "false"}
    return cluster.submit("ingest", *arguments, secret=False, **settings)


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


def test_the_demo_gives_on_the_cluster_what_it_gives_on_one_core(
    cluster: Cluster, stranger: Submitted, demo: Path, expected: str
) -> None:
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


@pytest.mark.parametrize("job", ["ingest", "filter_quality", "filter_repetition"])
def test_a_job_runs_by_spark_submit_and_its_account_adds_up(
    cluster: Cluster, corpus: Path, tmp_path: Path, job: str
) -> None:
    out = tmp_path / "out"
    submitted = cluster.submit(job, "--recipe", "gopher", "--input", str(corpus), "--output", str(out))
    assert submitted.wait() == 0, submitted.said()[-3000:]
    ledger = json.loads((out / "ledger.json").read_text())
    sums = ledger["totals"]
    assert sums["read"] == 1200 == sums["kept"] + sums["removed"]
    assert (sums["removed"] > 0) == (job != "ingest")
    assert ledger["spark"]["master"] == cluster.master


def test_the_demo_gives_the_same_when_an_executor_is_killed_in_the_map_phase(
    cluster: Cluster, demo: Path, expected: str
) -> None:
    submitted = run_demo(cluster, demo, "disturbed")

    def strike() -> int | None:
        assert submitted.process.poll() is None, submitted.said()[-3000:]
        return cluster.kill_executor(submitted) if submitted.running("winnow-rows", after_shuffle=False) else None

    killed = wait_until(strike, 300, "a task in the map phase", pause=0.01)
    application = submitted.application()
    assert submitted.wait(400) == 0, submitted.said()[-3000:]
    assert killed not in cluster.processes()
    assert output_digest(demo / "disturbed") == expected
    events = cluster.events(str(application))
    removed = [event["Removed Reason"] for event in events if event["Event"] == "SparkListenerExecutorRemoved"]
    assert any("exited with code 137" in reason for reason in removed)
    wait_until(lambda: cluster.alive_workers() >= 2, 120, "two workers")


def test_executors_with_another_package_are_refused_by_name(cluster: Cluster, corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "orjson-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: orjson\nVersion: 0.0.1\n")
    arguments = ("--recipe", "gopher", "--input", str(corpus), "--output", str(tmp_path / "out"))
    submitted = cluster.submit("ingest", *arguments, **{"spark_executorEnv_PYTHONPATH": str(other.parent)})
    assert submitted.wait() == 2, submitted.said()[-3000:]
    assert "and 0.0.1 on " in submitted.last_line()
    assert "orjson is " in submitted.last_line()
    assert not (tmp_path / "out").exists()


def test_a_worker_without_the_package_ends_the_job_with_what_to_do(
    cluster: Cluster, corpus: Path, tmp_path: Path
) -> None:
    arguments = ("--recipe", "gopher", "--input", str(corpus), "--output", str(tmp_path / "out"))
    submitted = cluster.submit("ingest", *arguments, python=python_without_winnow(tmp_path), send_package=False)
    assert submitted.wait() == 2, submitted.said()[-3000:]
    assert "No module named 'jobs'" in submitted.last_line()
    assert "--archives" in submitted.last_line()


def python_without_winnow(folder: Path) -> Path:
    """This Python with its packages, but without what a checkout's installation adds to its path."""
    import numpy

    wrapper = folder / "python"
    packages = Path(numpy.__file__).parents[1]
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{packages}" exec {sys.executable} -S "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def test_a_job_without_the_secret_is_refused(
    cluster: Cluster, stranger: Submitted, corpus: Path, tmp_path: Path
) -> None:
    assert stranger.wait(300) == 6, stranger.said()[-3000:]
    assert "Connected to Spark cluster" not in stranger.said()
    assert not (cluster.home / "stranger").exists()
    arguments = ("--recipe", "gopher", "--input", str(corpus), "--output", str(tmp_path / "out"))
    forgetful = cluster.submit("ingest", *arguments, secret=False)
    assert forgetful.wait() == 2
    assert "_SPARK_AUTH_SECRET" in forgetful.last_line()
