"""Named points at which a test can kill the process or let another one run: how crash safety is tested.

``WINNOW_FAULTPOINT=NAME`` ends the process at that point as ``kill -9`` does: nothing is cleaned up, no handler runs.
A test in the same process may set ``on_reach`` instead. Without either, a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

VARIABLE = "WINNOW_FAULTPOINT"

POINTS = (
    "started",
    "inputs-frozen",
    "steps-done",
    "gates-passed",
    "plan-written",
    "first-document-moved",
    "documents-moved",
    "state-written",
    "inputs-recorded",
    "manifest-written",
    "committed",
    "cleaned-up",
)
"""Points of a refresh, in order: the corpus is the new one from ``committed`` on and the old one before."""

on_reach: Callable[[str], None] | None = None
"""What a test in this process does at each point."""


def reach(name: str) -> None:
    """Say that the work has come to a point."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
    if on_reach is not None:
        on_reach(name)
