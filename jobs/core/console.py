"""What a person sees while a job runs: one line a stage, on a terminal with a live count; plain or JSON lines
elsewhere.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

POLL_SECONDS = 0.5
PLAIN_PROGRESS_SECONDS = 30.0

log = logging.getLogger("winnow")


class _JsonLines(logging.Formatter):
    """One JSON object a line: time, level, message, the run's id once there is one, and the event's own fields."""

    run_id: str | None = None

    def format(self, record: logging.LogRecord) -> str:
        event = {"time": round(record.created, 3), "level": record.levelname.lower(), "message": record.getMessage()}
        if self.run_id:
            event["run_id"] = self.run_id
        event.update(getattr(record, "event", {}))
        return json.dumps(event, ensure_ascii=False, default=str)


def set_up_logging(*, log_format: str = "text", verbose: bool = False, log_file: Path | None = None) -> None:
    """Send the log to stderr as text or JSON lines, and all of it, tracebacks included, to ``log_file``."""
    log.handlers.clear()
    log.setLevel(logging.DEBUG)
    log.propagate = False
    screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(logging.DEBUG if verbose else logging.INFO)
    screen.setFormatter(_JsonLines() if log_format == "json" else logging.Formatter("%(message)s"))
    screen.addFilter(lambda record: verbose or not getattr(record, "file_only", False))
    log.addHandler(screen)
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        record = logging.FileHandler(log_file, encoding="utf-8", delay=True)
        record.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(record)


def name_run(run_id: str) -> None:
    """Put the run's id into every JSON line from here on."""
    for handler in log.handlers:
        if isinstance(handler.formatter, _JsonLines):
            handler.formatter.run_id = run_id


def log_file() -> Path:
    """This process's log file: ``WINNOW_LOG_DIR``, else a folder of the user's among the machine's temporary files."""
    folder = os.environ.get("WINNOW_LOG_DIR")
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return Path(folder or Path(tempfile.gettempdir()) / f"winnow-{user}") / f"winnow-{os.getpid()}.log"


def say(message: str, **event: Any) -> None:
    """One line for the person who watches; ``event`` fields go into the JSON form."""
    log.info(message, extra={"event": event})


@contextmanager
def progress(spark: SparkSession, name: str) -> Iterator[None]:
    """Show how far the Spark tasks of the block are: live on a terminal, a line every 30 seconds elsewhere."""
    group = f"winnow-{name}-{time.monotonic_ns()}"
    context = spark.sparkContext
    context.setJobGroup(group, name, interruptOnCancel=True)
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(context, group, name, stop), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join(timeout=2)


def _watch(context: Any, group: str, name: str, stop: threading.Event) -> None:
    terminal = sys.stderr.isatty()
    status = None
    if terminal:
        from rich.console import Console

        status = Console(stderr=True).status(name)
        status.start()
    started = last = time.monotonic()
    while not stop.wait(POLL_SECONDS):
        now = time.monotonic()
        reached = how_far(context, group)
        if status is not None:
            status.update(f"{name}: {reached.line(now - started)}")
        elif now - last >= PLAIN_PROGRESS_SECONDS:
            say(f"{name}: {reached.line(now - started)}", stage=name, **reached.event(now - started))
            last = now
    if status is not None:
        status.stop()


@dataclass(frozen=True)
class Reached:
    """How far the jobs of a stage are. Rows and bytes are those that finished tasks have written."""

    tasks_done: int = 0
    tasks: int = 0
    tasks_running: int = 0
    rows: int = 0
    bytes: int = 0

    def seconds_left(self, elapsed: float) -> float | None:
        """By the share of tasks done, of those that Spark has planned so far; None before the first is done."""
        if not 0 < self.tasks_done < self.tasks:
            return None
        return elapsed * (self.tasks - self.tasks_done) / self.tasks_done

    def event(self, elapsed: float) -> dict[str, Any]:
        """The fields of the JSON form."""
        left = self.seconds_left(elapsed)
        return {
            "tasks_done": self.tasks_done,
            "tasks": self.tasks,
            "tasks_running": self.tasks_running,
            **rates(self.rows, self.bytes, elapsed),
            "seconds_left": None if left is None else round(left),
        }

    def line(self, elapsed: float) -> str:
        """The same for people."""
        words = [f"{self.tasks_done} of {self.tasks} tasks done, {self.tasks_running} running"]
        if self.rows:
            words.append(speed(self.rows, self.bytes, elapsed))
        left = self.seconds_left(elapsed)
        if left is not None:
            words.append(f"about {_clock(left)} left")
        return ", ".join(words)


def rates(documents: int, size_bytes: int, seconds: float) -> dict[str, float]:
    """Documents and megabytes (10^6 bytes) a second, as event fields."""
    seconds = max(seconds, 1e-3)
    return {
        "documents_per_second": round(documents / seconds, 1),
        "megabytes_per_second": round(size_bytes / seconds / 1e6, 3),
    }


def speed(documents: int, size_bytes: int, seconds: float) -> str:
    """The same in words."""
    found = rates(documents, size_bytes, seconds)
    return f"{found['documents_per_second']:,.0f} documents/s, {found['megabytes_per_second']:,.1f} MB/s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def how_far(context: Any, group: str) -> Reached:
    """What a job group's stages have done; a resubmitted task can be counted done twice, so done is capped."""
    tracker, store = context.statusTracker(), context._jsc.sc().statusStore()
    done = tasks = active = rows = size = 0
    try:
        for job in tracker.getJobIdsForGroup(group):
            info = tracker.getJobInfo(job)
            for stage in info.stageIds if info else ():
                facts, metrics = tracker.getStageInfo(stage), store.lastStageAttempt(stage)
                if facts is not None and metrics.status().toString() != "SKIPPED":
                    tasks += facts.numTasks
                    done += min(facts.numCompletedTasks, facts.numTasks)
                    active += facts.numActiveTasks
                    rows += metrics.outputRecords()
                    size += metrics.outputBytes()
    except Exception:  # a session that is being stopped answers with gateway errors; progress is never worth a failure
        log.debug("progress is not available", exc_info=True, extra={"file_only": True})
    return Reached(done, tasks, active, rows, size)
