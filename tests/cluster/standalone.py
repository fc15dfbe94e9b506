"""A standalone Spark cluster on loopback: a master, workers, and jobs sent by ``spark-submit``.

It runs under the settings that are shipped for clusters (``conf/spark/cluster.conf``): authentication, encryption, no
REST submission. Every process carries the cluster's name in its environment, so what belongs to it is found and ended
whatever became of its parent; no process is ever looked for by its program's name alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import zstandard

from jobs.core.java import find_java_home

ROOT = Path(__file__).resolve().parents[2]
MARK = "WINNOW_TEST_CLUSTER"
# Programs that live for a minute gain nothing from the optimising compiler, and two cores are few for five JVMs.
BRIEF_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
LOOPBACK = "127.0.0.1"

# A laptop's share of what cluster.conf asks for. The UI tells the tests how far a job is; it is asked often.
SMALL: Mapping[str, str] = {
    "spark.executor.memory": "700m",
    "spark.executor.cores": "1",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": BRIEF_JVM,
    "spark.executor.extraJavaOptions": BRIEF_JVM,
    "spark.driver.host": LOOPBACK,
    "spark.driver.bindAddress": LOOPBACK,
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.adaptive.coalescePartitions.initialPartitionNum": "4",
    "spark.ui.enabled": "true",
    "spark.ui.liveUpdate.period": "0",
    # These tests kill executors on purpose: a machine must not be given up for it.
    "spark.excludeOnFailure.enabled": "false",
}


def wait_until(condition: Callable[[], Any], seconds: float, what: str, pause: float = 0.1) -> Any:
    """What the condition gives, as soon as that is true; ``TimeoutError`` names what did not happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(pause)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def ask(url: str) -> Any:
    """The JSON at a URL, None while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


# ----------------------------------------------------------------------------------------------------------- processes


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def marked_processes(mark: str) -> list[int]:
    """Processes that carry the mark in their environment and are alive."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:  # it ended meanwhile, or is another user's
                continue
    return found


def listening_sockets(pids: Sequence[int]) -> set[tuple[str, int]]:
    """Address and port of every socket on which any of the processes accepts TCP connections."""
    inodes = set()
    for pid in pids:
        try:
            inodes |= {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
        except OSError:
            continue
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in inodes:
                address, port = words[1].split(":")
                packed = b"".join(
                    int(address[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(address), 8)
                )
                found.add((socket.inet_ntop(family, packed).removeprefix("::ffff:"), int(port, 16)))
    return found


# ------------------------------------------------------------------------------------------------------------- the jobs


@dataclass
class Submitted:
    """A job that was sent to the cluster: its process, what it prints, and its UI."""

    process: subprocess.Popen[bytes]
    log: Path
    ui: str

    def wait(self, seconds: float = 240) -> int:
        return self.process.wait(seconds)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def last_line(self) -> str:
        """The last line that is not Spark's own."""
        spark = re.compile(r"^\d\d/\d\d/\d\d \d\d:\d\d:\d\d |^\s+at |^$")
        return [line for line in self.said().splitlines() if not spark.match(line)][-1]

    def application(self) -> str | None:
        found = ask(f"{self.ui}/api/v1/applications")
        return str(found[0]["id"]) if found else None

    def running(self, group: str, *, after_shuffle: bool) -> dict[str, Any] | None:
        """A job of the group that has a task running; with ``after_shuffle`` one that reads what others wrote."""
        application = self.application()
        jobs = ask(f"{self.ui}/api/v1/applications/{application}/jobs?status=running") if application else None
        for job in jobs or ():
            reads_shuffle = len(job["stageIds"]) > 1  # its own, and those that it skips because they are done
            if group in job.get("jobGroup", "") and job["numActiveTasks"] and (reads_shuffle or not after_shuffle):
                return dict(job)
        return None

    def executor(self) -> str | None:
        """The id of an executor, of one that has a task if any has; all hold what later tasks will ask them for."""
        listed = ask(f"{self.ui}/api/v1/applications/{self.application()}/executors") or ()
        found = [one for one in listed if one["id"] != "driver"]
        return str(max(found, key=lambda one: one["activeTasks"])["id"]) if found else None


# --------------------------------------------------------------------------------------------------------- the cluster


@dataclass
class Cluster:
    """One master and its workers. ``package``: an archive for ``--py-files``; without one the workers import the
    checkout, as if it were installed on them.
    """

    home: Path
    package: Path | None = None
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    secret: str = field(default_factory=lambda: secrets.token_hex(32))
    master: str = ""
    page: str = ""
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _workers: int = 0
    _jobs: int = 0

    def __post_init__(self) -> None:
        import pyspark

        self.spark_home = Path(pyspark.__file__).parent
        (self.home / "events").mkdir(parents=True)

    def environment(self, *, secret: bool = True) -> dict[str, str]:
        kept = ("PATH", "HOME", "LANG", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "TMPDIR")
        given = {name: os.environ[name] for name in kept if name in os.environ}
        given |= {
            MARK: self.name,
            "JAVA_HOME": str(find_java_home()),
            "SPARK_HOME": str(self.spark_home),
            "SPARK_LOCAL_IP": LOOPBACK,
            "SPARK_LOCAL_DIRS": str(self.home / "local"),
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": BRIEF_JVM,
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "WINNOW_LOG_DIR": str(self.home / "logs"),
        }
        if self.package is None:
            given["PYTHONPATH"] = str(ROOT)
        if secret:
            given["_SPARK_AUTH_SECRET"] = self.secret
        return given

    def start(self, workers: int = 2) -> None:
        port = free_port()
        self.page = f"http://{LOOPBACK}:{free_port()}"
        self.master = f"spark://{LOOPBACK}:{port}"
        self._daemon("master", "master.Master", "--host", LOOPBACK, "--port", str(port), "--webui-port", self.page[-5:])
        wait_until(lambda: ask(f"{self.page}/json/"), 120, "the master's page")
        for _ in range(workers):
            self.start_worker()
        wait_until(lambda: self.alive_workers() == workers, 120, f"{workers} workers")

    def start_worker(self) -> None:
        self._workers += 1
        work = self.home / f"work-{self._workers}"
        size = ("--cores", "1", "--memory", "1g", "--webui-port", str(free_port()), "--work-dir", str(work))
        self._daemon(f"worker-{self._workers}", "worker.Worker", "--host", LOOPBACK, *size, self.master)

    def _daemon(self, name: str, program: str, *arguments: str) -> None:
        properties = ("--properties-file", str(ROOT / "conf/spark/cluster.conf"))
        command = [str(self.spark_home / "bin/spark-class"), f"org.apache.spark.deploy.{program}", *properties]
        with (self.home / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *arguments], env=self.environment(), stdout=log, stderr=log, start_new_session=True
            )
        self._started.append(process)

    def alive_workers(self) -> int:
        return int((ask(f"{self.page}/json/") or {}).get("aliveworkers", 0))

    def submit(
        self,
        job: str,
        *arguments: str,
        secret: bool = True,
        send_package: bool = True,
        python: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Submitted:
        """``spark-submit jobs/JOB.py``; ``python`` is the workers', ``settings`` are Spark's."""
        self._jobs += 1
        ui = free_port()
        given = {
            **SMALL,
            "spark.ui.port": str(ui),
            "spark.eventLog.dir": (self.home / "events").as_uri(),
            **(settings or {}),
        }
        command = [str(self.spark_home / "bin/spark-submit"), "--master", self.master, "--deploy-mode", "client"]
        command += ["--properties-file", str(ROOT / "conf/spark/cluster.conf")]
        for key, value in given.items():
            command += ["--conf", f"{key}={value}"]
        if self.package is not None and send_package:
            command += ["--py-files", str(self.package)]
        log = self.home / f"{self._jobs:02}-{job}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*command, str(ROOT / "jobs" / f"{job}.py"), *arguments],
                env={**self.environment(secret=secret), "PYSPARK_PYTHON": str(python or sys.executable)},
                cwd=self.home,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        self._started.append(process)
        return Submitted(process, log, f"http://{LOOPBACK}:{ui}")

    # ---------------------------------------------------------------------------------------------------------- faults

    def processes(self, *words: str) -> list[int]:
        """The cluster's living processes whose command line holds all the words."""
        return [pid for pid in marked_processes(self.name) if all(word in command_line(pid) for word in words)]

    def listening(self) -> list[str]:
        """The addresses on which anything of the cluster listens, one for each socket."""
        return [address for address, _ in listening_sockets(self.processes())]

    def kill_executor(self, submitted: Submitted) -> int | None:
        """``kill -9`` the JVM of an executor of the job; its process id, None when there was none."""
        return _kill(self._executor(submitted))

    def _executor(self, submitted: Submitted) -> list[int]:
        executor = submitted.executor()
        return self.processes(f"--executor-id {executor} ", f"--app-id {submitted.application()} ") if executor else []

    def kill_worker(self, submitted: Submitted) -> int | None:
        """``kill -9`` the worker above an executor of the job, and start another in its place."""
        executor = self._executor(submitted)
        address = (
            re.search(r"--worker-url spark://Worker@[\d.]+:(\d+)", command_line(executor[0])) if executor else None
        )
        if address is None:
            return None
        above = self.processes("org.apache.spark.deploy.worker.Worker")
        workers = [pid for pid in above if (LOOPBACK, int(address[1])) in listening_sockets([pid])]
        killed = _kill(workers)
        if killed is not None:
            self.start_worker()
        return killed

    # ----------------------------------------------------------------------------------------------------------- after

    def events(self, application: str) -> list[dict[str, Any]]:
        """The application's event log, read back."""
        return list(event_log(self.home / "events", application))

    def stop(self) -> list[str]:
        """End everything; command lines of what had to be killed although it was asked to end."""
        for process in reversed(self._started):
            if process.poll() is None:
                process.terminate()
        for process in self._started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        try:
            wait_until(lambda: not self.processes(), 20, "the end of the cluster's processes")
        except TimeoutError:
            stubborn = self.processes()
            lines = [command_line(pid) for pid in stubborn]
            for pid in stubborn:
                _kill([pid])
            return lines
        return []


def _kill(pids: Sequence[int]) -> int | None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return pids[0] if pids else None


def event_log(folder: Path, application: str) -> Iterator[dict[str, Any]]:
    """The events of an application's log, rolled or not, compressed or not."""
    files = [path for path in folder.rglob(f"*{application}*") if path.is_file() and "appstatus" not in path.name]
    for path in sorted(files, key=lambda path: int((re.findall(r"events_(\d+)_", path.name) or ["0"])[0])):
        data = path.read_bytes()
        if ".zstd" in path.name:
            data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()
        for line in data.splitlines():
            yield json.loads(line)


def output_digest(output: Path) -> str:
    """A digest of all rows of the published tables: equal rows give equal digests, however files are cut."""
    digest = hashlib.sha256()
    for table in ("kept", "removed", "quarantine"):
        rows = ds.dataset(output / table, format="parquet").to_table().to_pylist()
        for line in sorted(json.dumps(row, sort_keys=True, default=repr) for row in rows):
            digest.update(f"{table} {line}\n".encode())
    return digest.hexdigest()
