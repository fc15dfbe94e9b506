"""Keeping garbage collection between tasks short.

PySpark's daemon has each worker collect garbage after every task. With the modules and compiled kernels of a worker
that is a look at more than a hundred thousand objects that will never be garbage, which takes longer than a small task.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Mapping
from typing import Any

SLOW_SECONDS = 0.002


class _Watch:
    """Hears of every collection; what outlives a slow one between two tasks is left out of those that follow."""

    def __init__(self) -> None:
        self.began = 0.0

    def __call__(self, phase: str, _: Mapping[str, Any]) -> None:
        if phase == "start":
            self.began = time.perf_counter()
        elif time.perf_counter() - self.began > SLOW_SECONDS and _between_tasks():
            gc.freeze()


def _between_tasks() -> bool:
    """Whether it was the daemon that asked. Then no object of a task is left, and garbage has just been freed."""
    # This function, the watch, and what called the collector: PySpark's `daemon.manager`.
    caller = sys._getframe(2)
    return caller.f_code.co_name == "manager" and caller.f_code.co_filename.endswith("daemon.py")


def skip_lasting_objects() -> None:
    """Have this worker's collections look only at what is newer than its modules. Workers call it in every task."""
    if not any(isinstance(one, _Watch) for one in gc.callbacks):
        gc.callbacks.append(_Watch())


__all__ = ["skip_lasting_objects"]
