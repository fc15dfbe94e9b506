"""A child process for native parsers, so that a page that crashes, hangs or swells costs one row and nothing else.

A signal handler cannot interrupt native code, and a segfault takes the whole Python worker (and, after four tries, the
Spark job) with it. So pages are handed in batches, as Arrow, to `python -m udfs.sandbox`, one child per Python worker:

- pages lie in shared memory, where the child reads them without a copy; pipes carry their sizes and the results;
- the kernel ends a child whose page used too much processor time (ITIMER_PROF, whose signal is fatal by default) or
  waited too long (ITIMER_REAL): both are armed anew for each page, need no thread and work inside native code;
- its private memory is capped (RLIMIT_DATA), counted from what it holds when it is ready;
- before each page the child writes the page's number into a shared file of 8 bytes, so the parent knows whom to blame;
  the page gets a reason, the other pages of the batch are handed to a new child.

The child is started with exec, never by a bare fork, so threads of Numba and Arrow in the parent do no harm; it ends
when its standard input does, so none is left behind even if the parent is killed.

A target is `module:function`; `function(options)` gives a callable that turns the values of one row into the values of
one result row, with its Arrow type in `result_type`. Only Arrow data and JSON options cross the pipe, in both
directions.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import importlib
import io
import json
import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import pyarrow as pa

__all__ = ["Fault", "Sandbox", "SandboxLimits", "SandboxUnusableError", "shared_sandbox"]

_LENGTH = struct.Struct("<q")
_IDLE = -1
_CHUNK_ROWS = 64
_CHUNK_BYTES = 8 << 20
_START_SECONDS = 600.0  # the first start on a machine compiles kernels


@dataclass(frozen=True)
class SandboxLimits:
    """What one page may cost: seconds of processor time, seconds of waiting, bytes past what the child holds when
    ready.
    """

    cpu_seconds: float = 5.0
    wall_seconds: float = 60.0
    memory_bytes: int = 1 << 30


@dataclass(frozen=True)
class Fault:
    """Why a row has no result: `crashed`, `timeout`, `memory` or `error` (an exception); `detail` names what came."""

    reason: str
    detail: str


class SandboxUnusableError(RuntimeError):
    """The child cannot start or fails before any page: a fault of the installation, not of the data."""


class Sandbox:
    """A child process that applies `target` to rows. Not for use by several threads at once, nor after a fork."""

    def __init__(
        self, target: str, options: dict[str, Any], result: pa.StructType, limits: SandboxLimits | None = None
    ):
        """Describe the child; it starts with the first batch. `result` is the type of what `target` returns, by
        field.
        """
        self.target = target
        self.options = options
        self.result = result
        self.limits = limits or SandboxLimits()
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._marker = tempfile.TemporaryFile(prefix="winnow-sandbox-")  # noqa: SIM115 - lives as long as the sandbox
        self._marker.write(_LENGTH.pack(_IDLE))
        self._marker.flush()
        self._shared = mmap.mmap(self._marker.fileno(), _LENGTH.size)
        self._area = _anonymous_file()
        self._pages: mmap.mmap | None = None

    def run(self, columns: Sequence[pa.Array]) -> tuple[pa.StructArray, dict[int, Fault]]:
        """Results row by row, null where a fault is given, and the faults by row number.

        `columns` are the arguments of the target, all of one length.
        """
        if self._owner != os.getpid():
            raise SandboxUnusableError("a sandbox cannot be used in a fork of the process that made it")
        batch = pa.RecordBatch.from_arrays(list(columns), names=[f"argument_{i}" for i in range(len(columns))])
        faults: dict[int, Fault] = {}
        parts: list[pa.StructArray] = []
        with self._lock:
            for begin, end in _chunks(batch):
                parts.append(self._run_chunk(batch.slice(begin, end - begin), begin, faults))
        if not parts:
            return pa.array([], self.result), faults
        return pa.concat_arrays(parts), faults

    def _run_chunk(self, chunk: pa.RecordBatch, first: int, faults: dict[int, Fault]) -> pa.StructArray:
        rows = list(range(chunk.num_rows))
        while rows:
            part = chunk if len(rows) == chunk.num_rows else chunk.take(pa.array(rows, pa.int32()))
            answer = self._ask(part)
            if isinstance(answer, pa.RecordBatch):
                break
            position, fault = answer
            faults[first + rows.pop(position)] = fault
        else:
            return pa.nulls(chunk.num_rows, self.result)
        for position, error in enumerate(answer.column(1).to_pylist()):
            if error is not None:
                faults[first + rows[position]] = Fault("error", error)
        result = answer.column(0)
        if len(rows) == chunk.num_rows:
            return result
        place: list[int | None] = [None] * chunk.num_rows
        for position, row in enumerate(rows):
            place[row] = position
        return result.take(pa.array(place, pa.int32()))

    def _ask(self, part: pa.RecordBatch) -> pa.RecordBatch | tuple[int, Fault]:
        """The answer to one batch, or the position of the row that ended the child and the fault."""
        process = self._ready()
        self._shared[:] = _LENGTH.pack(_IDLE)
        answer: bytes | None = None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            size = self._lay_out(part)
            process.stdin.write(_LENGTH.pack(size))  # type: ignore[union-attr]
            answer = self._wait(process)
        if answer is not None:
            return _from_ipc(answer)
        position = _LENGTH.unpack(self._shared[:])[0]
        code = self._end()
        if position == _IDLE:
            raise SandboxUnusableError(f"the child of {self.target} ended between pages with {_name_code(code)}")
        return position, _fault_of(code, self.limits)

    def _lay_out(self, part: pa.RecordBatch) -> int:
        """Write a batch into the shared memory; how many bytes it takes there."""
        most = pa.ipc.get_record_batch_size(part) + part.schema.serialize().size + 4096
        if self._pages is None or len(self._pages) < most:
            self._pages = None  # what was written is no longer wanted; the map goes when nothing refers to it
            size = max(_CHUNK_BYTES + (1 << 20), most)
            os.ftruncate(self._area.fileno(), size)
            self._pages = mmap.mmap(self._area.fileno(), size)
        sink = pa.FixedSizeBufferWriter(pa.py_buffer(self._pages))
        with pa.ipc.new_stream(sink, part.schema) as writer:
            writer.write_batch(part)
        return int(sink.tell())

    def _wait(self, process: subprocess.Popen[bytes]) -> bytes | None:
        """The child's next message; None when it died or its page is overdue."""
        stream = process.stdout
        assert stream is not None
        descriptor = stream.fileno()
        held = bytearray()
        seen, since = None, time.monotonic()
        while True:
            ready, _, _ = select.select([descriptor], [], [], 1.0)
            if ready:
                part = os.read(descriptor, 1 << 20)
                if not part:
                    return None
                held += part
                if len(held) >= _LENGTH.size and len(held) >= _LENGTH.size + _LENGTH.unpack_from(held)[0]:
                    return bytes(held[_LENGTH.size :])
                continue
            # The child's own timer fires first; this is for one that stopped altogether (SIGSTOP, a frozen disk).
            now, page = time.monotonic(), bytes(self._shared[:])
            if page != seen:
                seen, since = page, now
            elif now - since > 2 * self.limits.wall_seconds + 10:
                process.kill()
                return None

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        self.starts += 1
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        environment["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # gives memory back; the others keep it, and it is capped
        environment["OMP_NUM_THREADS"] = environment["NUMBA_NUM_THREADS"] = "1"
        setting = {
            "target": self.target,
            "options": self.options,
            "limits": asdict(self.limits),
            "marker": self._marker.fileno(),
            "pages": self._area.fileno(),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "udfs.sandbox", json.dumps(setting)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self._marker.fileno(), self._area.fileno()],
            env=environment,
            bufsize=0,
        )
        self._process = process
        for stream in (process.stdin, process.stdout):
            _widen(stream)  # type: ignore[arg-type]
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
        if not ready or process.stdout.read(1) != b"+":
            code = self._end()
            raise SandboxUnusableError(
                f"the child of {self.target} did not start ({_name_code(code)}); its message is on standard error"
            )
        return process

    def _end(self) -> int | None:
        """Make sure that the child is gone; its exit code (negative: the signal)."""
        process, self._process = self._process, None
        if process is None:
            return None
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            return process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def close(self) -> None:
        """End the child. Harmless when repeated, or in a fork (which has no child of its own)."""
        if self._owner == os.getpid():
            self._end()
        self._process = None


def _chunks(batch: pa.RecordBatch) -> list[tuple[int, int]]:
    """Row ranges that are handed over together: up to 64 rows or about 8 MB."""
    if batch.num_rows == 0:
        return []
    rows = max(1, min(_CHUNK_ROWS, int(batch.num_rows * _CHUNK_BYTES / max(batch.nbytes, 1))))
    return [(begin, min(begin + rows, batch.num_rows)) for begin in range(0, batch.num_rows, rows)]


def _name_code(code: int | None) -> str:
    if code is None:
        return "no exit code"
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"


def _fault_of(code: int | None, limits: SandboxLimits) -> Fault:
    if code == -signal.SIGPROF:
        return Fault("timeout", f"more than {limits.cpu_seconds:g} s of processor time")
    if code == -signal.SIGALRM:
        return Fault("timeout", f"more than {limits.wall_seconds:g} s")
    if code == _OUT_OF_MEMORY:
        return Fault("memory", f"more than {limits.memory_bytes} bytes")
    return Fault("crashed", _name_code(code))


_SHARED: dict[tuple[str, str, SandboxLimits], Sandbox] = {}


def shared_sandbox(target: str, options: dict[str, Any], result: pa.StructType, limits: SandboxLimits) -> Sandbox:
    """The sandbox of this process for a target and its options; made once, closed when the process ends."""
    key = (target, json.dumps(options, sort_keys=True), limits)
    found = _SHARED.get(key)
    if found is None or found._owner != os.getpid():
        found = _SHARED[key] = Sandbox(target, options, result, limits)
        atexit.register(found.close)
    return found


def _anonymous_file() -> BinaryIO:
    """A file without a name: in memory where the system has that, else in the folder for temporary files."""
    try:
        return open(os.memfd_create("winnow-pages"), "r+b", buffering=0)  # noqa: PTH123 - closed with its owner
    except (AttributeError, OSError):
        return tempfile.TemporaryFile(prefix="winnow-pages-")  # type: ignore[return-value]


# --- Both ends of the pipe --------------------------------------------------------------------------------------------


def _widen(stream: IO[bytes]) -> None:
    """Ask for a pipe of 1 MiB: a tenth of the switches between the two processes. Where it is refused, 64 KiB do."""
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)


def _to_ipc(batch: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _from_ipc(data: bytes | memoryview) -> pa.RecordBatch:
    return pa.ipc.open_stream(pa.py_buffer(data)).read_next_batch()


def _send(stream: BinaryIO, data: pa.Buffer | bytes) -> None:
    view = memoryview(data)
    stream.write(_LENGTH.pack(len(view)))
    done = 0
    while done < len(view):
        done += stream.write(view[done : done + (1 << 20)])


def _read_exactly(stream: BinaryIO, count: int) -> bytes | None:
    data = bytearray(count)
    view = memoryview(data)
    done = 0
    while done < count:
        got = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not got:
            return None
        done += got
    return bytes(data)


# --- The child --------------------------------------------------------------------------------------------------------

_OUT_OF_MEMORY = 77
_RESERVED_BYTES = 256 << 20


def _held_bytes(name: str) -> int:
    """A figure of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) << 10
    return 0


def _limit_memory(more: int) -> None:
    """Cap private memory at what is held now and `more` bytes; where the system cannot, pages are still timed.

    RLIMIT_DATA counts what is written to, but not every kernel keeps it; RLIMIT_AS also counts what allocators reserve
    and never use, so it is set higher by what the C library's arenas take.
    """
    try:
        import resource

        for kind, held in (
            (resource.RLIMIT_DATA, _held_bytes("VmData") + more),
            (resource.RLIMIT_AS, _held_bytes("VmSize") + more + _RESERVED_BYTES),
        ):
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (held if hard == resource.RLIM_INFINITY else min(held, hard), hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        return


def _serve(setting: dict[str, Any]) -> None:
    module, _, name = setting["target"].partition(":")
    function: Any = getattr(importlib.import_module(module), name)(setting["options"])
    limits = SandboxLimits(**setting["limits"])
    marker = mmap.mmap(setting["marker"], _LENGTH.size)
    source = io.FileIO(0, "rb")
    # Results have a pipe of their own: what a library prints must not mix with them.
    sink = io.FileIO(os.dup(1), "wb")
    os.dup2(2, 1)
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory(limits.memory_bytes)
    sink.write(b"+")
    area: mmap.mmap | None = None
    while (head := _read_exactly(source, _LENGTH.size)) is not None:  # type: ignore[arg-type]
        size = _LENGTH.unpack(head)[0]
        if area is None or len(area) < size:
            area = mmap.mmap(setting["pages"], 0, access=mmap.ACCESS_READ)
        batch = _from_ipc(memoryview(area)[:size])
        columns = batch.columns
        results: list[tuple[Any, ...] | None] = []
        errors: list[str | None] = []
        for row in range(batch.num_rows):
            marker[:] = _LENGTH.pack(row)
            signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
            signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds)
            error = result = None
            try:
                result = function(*[column[row].as_py() for column in columns])
            except MemoryError:
                os._exit(_OUT_OF_MEMORY)
            except Exception as fault:  # the page's fault, whatever it is: it is reported, never passed over
                error = f"{type(fault).__name__}: {fault}"[:500]
            results.append(result)
            errors.append(error)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        marker[:] = _LENGTH.pack(_IDLE)
        _send(sink, _to_ipc(_answer(results, errors, function.result_type)))  # type: ignore[arg-type]


def _answer(results: list[tuple[Any, ...] | None], errors: list[str | None], kind: pa.StructType) -> pa.RecordBatch:
    missing = pa.array([result is None for result in results], pa.bool_())
    fields = [
        pa.array([None if result is None else result[i] for result in results], kind.field(i).type)
        for i in range(kind.num_fields)
    ]
    struct_array = pa.StructArray.from_arrays(fields, fields=list(kind), mask=missing)
    return pa.RecordBatch.from_arrays([struct_array, pa.array(errors, pa.string())], names=["result", "error"])


if __name__ == "__main__":
    _serve(json.loads(sys.argv[1]))
