"""A real cluster: the whole demo, jobs whose executors or workers are killed, refused strangers, executors that differ.

``make test-cluster`` runs this but for the long matrix of kills (slow). Jobs come by ``spark-submit`` with ``--py-files
winnow.zip``, built here as ``make dist`` builds it.
"""

from __future__ import annotations

import functools
import importlib
import ipaddress
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
    settings = {"spark.authenticate": "false", "spark.network.crypto.enabled": "false"}
    return cluster.submit("ingest", *arguments, secret=False, settings=settings)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("demo")
    make_sample(home / "sample")
    return home


@pytest.fixture(scope="module")
def expected(demo: Path) -> Iterator[Callable[[], str]]:
    """The digest of the demo's output on one core of this machine, made beside what the cluster does meanwhile."""
    arguments = ["--recipe", str(demo / "sample" / "demo.yaml"), "--output", str(demo / "alone")]
    command = [sys.executable, "-m", "jobs.cli", "run", *arguments, "--master", "local[1]"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYSPARK")}
    alone = subprocess.Popen(command, cwd=ROOT, env=environment)

    def digest() -> str:
        assert alone.wait(400) == 0
        return output_digest(demo / "alone")

    yield digest
    alone.kill()
    alone.wait()


def test_the_demo_gives_on_the_cluster_what_it_gives_on_one_core(
    cluster: Cluster, stranger: Submitted, demo: Path, expected: Callable[[], str]
) -> None:
    arguments = ("--recipe", str(demo / "sample/demo.yaml"), "--output", str(demo / "together"))
    submitted = cluster.submit("pipeline", *arguments)
    wait_until(lambda: submitted.running("winnow-rows", after_shuffle=False), 240, "a running task")
    listening, application = cluster.listening(), submitted.application()
    assert submitted.wait(400) == 0, submitted.said()[-3000:]
    assert output_digest(demo / "together") == expected()
    assert len(listening) >= 8  # master, two workers, a page each, the driver, its page
    assert all(ipaddress.ip_address(address).is_loopback for address in listening), listening
    events = cluster.events(str(application))
    assert events[-1]["Event"] == "SparkListenerApplicationEnd"
    hosts = {event["Executor ID"] for event in events if event["Event"] == "SparkListenerExecutorAdded"}
    assert hosts == {"0", "1"}


# What is killed (an executor, or the worker above one) while a job is in which phase. The map phase reads, measures and
# decides; the shuffle phase compares what other tasks have sent; the write phase publishes.
STRIKES = (
    ("ingest", "map", "executor"),
    ("filter_quality", "write", "executor"),
    ("filter_repetition", "map", "executor"),
    ("dedup_exact", "shuffle", "worker"),
    ("dedup_near", "shuffle", "executor"),
)
MORE_STRIKES = (
    ("ingest", "write", "worker"),
    ("filter_quality", "map", "worker"),
    ("filter_repetition", "write", "worker"),
    ("dedup_exact", "map", "executor"),
    ("dedup_exact", "write", "executor"),
    ("dedup_near", "map", "worker"),
    ("dedup_near", "shuffle", "worker"),
    ("dedup_near", "write", "executor"),
    ("dedup_substring", "map", "executor"),
    ("dedup_substring", "shuffle", "executor"),
    ("dedup_substring", "shuffle", "worker"),
    ("dedup_substring", "write", "worker"),
    ("pipeline", "map", "worker"),
    ("pipeline", "shuffle", "executor"),
    ("pipeline", "shuffle", "worker"),
    ("pipeline", "write", "worker"),
)
# What the driver says of an executor that went so.
REASONS = {"executor": "exited with code 137", "worker": "worker lost"}
# Small tasks, so that a phase lasts long enough to be struck in.
SMALL_TASKS = {
    "spark.sql.files.openCostInBytes": "1",
    "spark.sql.files.maxPartitionBytes": "48k",
    "spark.sql.shuffle.partitions": "6",
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
}


def group_of(job: str, phase: str) -> str:
    """How the names of the Spark jobs of that phase begin."""
    compares = "dedup_near" if job == "pipeline" else job
    return {"map": "winnow-rows", "shuffle": f"winnow-{compares}-", "write": "winnow-publish"}[phase]


@pytest.fixture(scope="module")
def undisturbed(spark: Any, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The digest of a job's output on this machine, by the job's name."""
    home = tmp_path_factory.mktemp("undisturbed")

    @functools.cache
    def digest(job: str) -> str:
        main = importlib.import_module(f"jobs.{job}").main
        assert main(job_arguments(job, corpus, home / job)) == 0
        return output_digest(home / job)

    return digest


def job_arguments(job: str, corpus: Path, out: Path) -> list[str]:
    changes = ["--set", "gates.max_cluster_fraction=1.0"]  # these documents are all nearly alike
    if job == "dedup_substring":  # the recipe has none
        changes += ["--set", "steps.dedup_substring={}"]
    return ["--recipe", "gopher", *changes, "--input", str(corpus), "--output", str(out)]


@pytest.mark.parametrize(
    ("job", "phase", "victim"),
    [*STRIKES, *(pytest.param(*strike, marks=pytest.mark.slow) for strike in MORE_STRIKES)],
)
def test_a_job_gives_the_same_when_a_part_of_the_cluster_is_killed(
    cluster: Cluster,
    corpus: Path,
    undisturbed: Callable[[str], str],
    tmp_path: Path,
    job: str,
    phase: str,
    victim: str,
) -> None:
    out, group = tmp_path / "out", group_of(job, phase)
    submitted = cluster.submit(job, *job_arguments(job, corpus, out), settings=SMALL_TASKS)
    kill = cluster.kill_executor if victim == "executor" else cluster.kill_worker

    def hit() -> int | None:
        assert submitted.process.poll() is None, submitted.said()[-3000:]
        return kill(submitted) if submitted.running(group, after_shuffle=phase == "shuffle") else None

    killed = wait_until(hit, 300, f"a task in the {phase} phase", pause=0.005)
    application, wanted = submitted.application(), undisturbed(job)
    assert submitted.wait(400) == 0, submitted.said()[-3000:]
    assert killed not in cluster.processes()
    assert output_digest(out) == wanted
    ledger = json.loads((out / "ledger.json").read_text())
    sums = ledger["totals"]
    assert sums["read"] == 1200 == sums["kept"] + sums["removed"]
    cut = sum(stage["facts"].get("cut_documents", 0) for stage in ledger["stages"])
    assert (sums["removed"] + cut > 0) == (job != "ingest")
    assert ledger["spark"]["master"] == cluster.master
    events = cluster.events(str(application))
    removed = [event["Removed Reason"] for event in events if event["Event"] == "SparkListenerExecutorRemoved"]
    assert any(REASONS[victim] in reason for reason in removed), removed
    wait_until(lambda: cluster.alive_workers() >= 2, 120, "two workers")


def test_executors_with_another_package_are_refused_by_name(cluster: Cluster, corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "orjson-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: orjson\nVersion: 0.0.1\n")
    arguments = ("--recipe", "gopher", "--input", str(corpus), "--output", str(tmp_path / "out"))
    submitted = cluster.submit("ingest", *arguments, settings={"spark.executorEnv.PYTHONPATH": str(other.parent)})
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
    # An editable installation leaves data files under jobs/, so that it may be a module inside that is missed first.
    assert "No module named 'jobs" in submitted.last_line()
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
