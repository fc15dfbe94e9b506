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
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

POLL_SECONDS = 0.5
PLAIN_PROGRESS_SECONDS = 30.0

log = logging.getLogger("winnow")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event = {"time": round(record.created, 3), "level": record.levelname.lower(), "message": record.getMessage()}
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
    last = time.monotonic()
    while not stop.wait(POLL_SECONDS):
        done, total, active = _task_counts(context, group)
        line = f"{name}: {done} of {total} tasks done, {active} running"
        if status is not None:
            status.update(line)
        elif time.monotonic() - last >= PLAIN_PROGRESS_SECONDS:
            say(line, stage=name, tasks_done=done, tasks=total)
            last = time.monotonic()
    if status is not None:
        status.stop()


def _task_counts(context: Any, group: str) -> tuple[int, int, int]:
    """(done, all, running) tasks; a resubmitted task can be counted done twice, so done is capped."""
    tracker = context.statusTracker()
    done = total = active = 0
    try:
        for job in tracker.getJobIdsForGroup(group):
            info = tracker.getJobInfo(job)
            for stage in info.stageIds if info else ():
                facts = tracker.getStageInfo(stage)
                if facts is not None:
                    total += facts.numTasks
                    done += min(facts.numCompletedTasks, facts.numTasks)
                    active += facts.numActiveTasks
    except Exception:  # a session that is being stopped answers with gateway errors; progress is never worth a failure
        log.debug("progress is not available", exc_info=True, extra={"file_only": True})
    return done, total, active
