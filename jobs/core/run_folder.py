"""Where a run works, and how its results appear: all at once or not at all.

A run works in a hidden folder beside its output (``.NAME.winnow``). Every stage writes into a folder of its own and is
*committed* by a small ``_STAGE.json``, written last, which holds the stage's fingerprint: a stage with the same
fingerprint is not run again on ``--resume``. Publishing is one rename of a complete folder where the file system can do
that, and elsewhere (object stores) the ledger, written last, is the mark of a complete output. A lock file keeps two
runs from working on the same output.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.core.console import say
from jobs.core.errors import ConflictError, UsageError
from jobs.core.files import DriverFiles, join_path, parent_and_name

STAGE_MARK = "_STAGE.json"
LEDGER = "ledger.json"


def fingerprint(**parts: Any) -> dict[str, str]:
    """A digest for each named part of what a stage's result depends on."""
    return {
        name: hashlib.sha256(json.dumps(part, sort_keys=True, default=str).encode()).hexdigest()
        for name, part in parts.items()
    }


@dataclass(frozen=True)
class StageFolder:
    """One stage's own folder."""

    path: str

    def table(self, name: str) -> str:
        """Path of a table that the stage writes."""
        return join_path(self.path, name)

    def beside(self, stage: str) -> StageFolder:
        """The folder of another stage of the same run."""
        return StageFolder(join_path(parent_and_name(self.path)[0], stage))


class RunFolder:
    """The working folder of one output: lock, stages, publication."""

    def __init__(self, files: DriverFiles, output: str, run_id: str) -> None:
        self.files = files
        self.output = files.qualified(output).rstrip("/")
        self.run_id = run_id
        parent, name = parent_and_name(self.output)
        self.path = join_path(parent, f".{name}.winnow")
        self._lock = join_path(self.path, "lock.json")
        self._locked = False

    # ---------------------------------------------------------------------------------------------------------- opening

    def published(self) -> dict[str, Any] | None:
        """The ledger of a complete output, None where there is none."""
        ledger = join_path(self.output, LEDGER)
        return self.files.read_json(ledger) if self.files.exists(ledger) else None

    def open(self, *, resume: bool) -> None:
        """Take the lock; forget an earlier unfinished run unless this one resumes it.

        Raises ``UsageError`` when the output is already there, ``ConflictError`` while another run holds the lock.
        """
        if self.files.children(self.output):
            raise UsageError(
                f"{self.output} already exists and is not empty",
                next_step="choose another --output, or delete it first; results are never written over",
            )
        self._take_lock()
        stages = join_path(self.path, "stages")
        if self.files.exists(stages) and not resume:
            say("starting over: an earlier unfinished run is thrown away (use --resume to go on with it)")
            self.files.delete(stages)
        self.files.delete(join_path(self.path, "publish"))

    def _take_lock(self) -> None:
        mine = {"run_id": self.run_id, "host": socket.gethostname(), "pid": os.getpid(), "started": time.time()}
        self.files.make_folder(self.path)
        for _ in range(2):
            if self.files.write_text(self._lock, json.dumps(mine), overwrite=False):
                self._locked = True
                return
            holder = self.files.read_json(self._lock)
            if holder.get("host") != mine["host"] or _alive(int(holder.get("pid", 0))):
                raise ConflictError(
                    f"run {holder.get('run_id')} (process {holder.get('pid')} on {holder.get('host')}) "
                    f"is working on {self.output}",
                    next_step=f"wait for it; if it is gone, delete {self._lock}",
                )
            self.files.delete(self._lock)
        raise ConflictError(f"cannot take the lock {self._lock}: another run took it first", next_step="try again")

    def close(self) -> None:
        """Give the lock back."""
        if self._locked:
            self.files.delete(self._lock)
            self._locked = False

    # ----------------------------------------------------------------------------------------------------------- stages

    def stage(
        self, name: str, parts: Mapping[str, str], work: Callable[[StageFolder], dict[str, Any]]
    ) -> tuple[StageFolder, dict[str, Any]]:
        """Run a stage unless a committed one has the same fingerprint; its folder and its facts."""
        folder = StageFolder(join_path(self.path, "stages", name))
        mark = join_path(folder.path, STAGE_MARK)
        if self.files.exists(mark):
            committed = self.files.read_json(mark)
            changed = sorted(
                k for k in {*parts, *committed["fingerprint"]} if parts.get(k) != committed["fingerprint"].get(k)
            )
            if not changed:
                say(f"{name}: already done by run {committed['run_id']}, skipped", stage=name, skipped=True)
                return folder, committed["facts"]
            say(f"{name}: runs again, changed since: {', '.join(changed)}", stage=name, changed=changed)
        self.files.delete(folder.path)
        started = time.monotonic()
        facts = work(folder)
        facts["seconds"] = round(time.monotonic() - started, 3)
        record = {"run_id": self.run_id, "fingerprint": dict(parts), "facts": facts}
        self.files.write_text(mark, json.dumps(record, indent=1))
        return folder, facts

    # ------------------------------------------------------------------------------------------------------- publishing

    @property
    def staging(self) -> str:
        """Where the output is put together: a folder that is renamed, or the output itself on an object store."""
        return join_path(self.path, "publish") if self.files.atomic_rename(self.path) else self.output

    def publish(self, ledger: dict[str, Any]) -> None:
        """Write the ledger last and make the output visible; then the working folder goes."""
        staging = self.staging
        self.files.write_text(join_path(staging, LEDGER), json.dumps(ledger, indent=2, ensure_ascii=False) + "\n")
        if staging != self.output:
            if self.files.exists(self.output):
                if self.files.children(self.output):
                    raise ConflictError(
                        f"{self.output} appeared while this run was working", next_step="choose another --output"
                    )
                self.files.delete(self.output)
            self.files.move(staging, self.output)
        self._locked = False
        self.files.delete(self.path)


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()
