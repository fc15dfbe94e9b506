"""Processor time of a benchmark and of all that it starts, and where it runs (Linux)."""

from __future__ import annotations

import os
from pathlib import Path


def one_core() -> None:
    """Pin this process, and what it starts from now on, to one core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def cpu_seconds_of_tree() -> float:
    """Return the CPU seconds of this process and all its descendants, ended ones included (Linux)."""
    own = os.getpid()
    parents, seconds = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            number = int(folder.name)
            parents[number] = int(fields[1])
            seconds[number] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def descends(number: int) -> bool:
        while number and number != own:
            number = parents.get(number, 0)
        return number == own

    return sum(used for number, used in seconds.items() if descends(number))
