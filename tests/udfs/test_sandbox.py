"""The child process: results, faults one page at a time, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from udfs.sandbox import Sandbox, SandboxLimits, SandboxUnusableError

LIMITS = SandboxLimits(cpu_seconds=1.0, wall_seconds=3.0, memory_bytes=256 << 20)
RESULT = pa.struct([pa.field("out", pa.string()), pa.field("number", pa.int64())])
TARGET = '''
    """Pages that do what their text says."""
    import ctypes, os, signal, time
    import pyarrow as pa

    class make:
        result_type = pa.struct([pa.field("out", pa.string()), pa.field("number", pa.int64())])

        def __init__(self, options):
            self.options = options
            if options.get("broken"):
                raise RuntimeError("cannot start")

        def __call__(self, word, number):
            if word == "segfault":
                ctypes.string_at(0)
            if word == "exit":
                os._exit(3)
            if word == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if word == "native loop":
                # One call into C that never returns to the interpreter: no signal handler of Python could end it.
                libc = ctypes.CDLL(None)
                libc.strlen.restype = ctypes.c_size_t
                data = b"x" * (1 << 24)
                sum(libc.strlen(data) for _ in iter(int, 1))
            if word == "sleep":
                time.sleep(1000)
            if word == "swell":
                held = []
                while True:
                    held.append(bytearray(1 << 24))
            if word == "raise":
                raise ValueError("no such page \\u00fc")
            if word == "print":
                print("text on standard output")
            return (None if word is None else self.options.get("prefix", "") + word, number + 1)
'''


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "pages_that_misbehave.py").write_text(textwrap.dedent(TARGET))
    monkeypatch.syspath_prepend(str(tmp_path))
    return "pages_that_misbehave:make"


@pytest.fixture
def sandbox(target: str) -> Iterator[Sandbox]:
    made = Sandbox(target, {"prefix": "> "}, RESULT, LIMITS)
    yield made
    made.close()


def run(sandbox: Sandbox, words: list[str | None]) -> tuple[list[str | None], dict[int, str]]:
    result, faults = sandbox.run([pa.array(words, pa.string()), pa.array(range(len(words)), pa.int64())])
    rows = result.to_pylist()
    for number, row in enumerate(rows):
        assert (row is None) == (number in faults)
        assert row is None or row["number"] == number + 1, "results keep their places"
    return [row and row["out"] for row in rows], {row: fault.reason for row, fault in faults.items()}


def test_results_come_back_in_order_and_nulls_stay_null(sandbox: Sandbox) -> None:
    words = [f"word {i}" for i in range(500)] + [None]
    out, faults = run(sandbox, words)
    assert out == [word and "> " + word for word in words] and faults == {}
    assert run(sandbox, []) == ([], {})
    assert sandbox.starts == 1


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("segfault", "crashed"),
        ("exit", "crashed"),
        ("kill", "crashed"),
        ("native loop", "timeout"),
        ("sleep", "timeout"),
        ("swell", "memory"),
    ],
)
def test_a_page_that_ends_its_child_costs_one_row(sandbox: Sandbox, word: str, reason: str) -> None:
    words = [f"word {i}" for i in range(100)]
    words[70] = word
    out, faults = run(sandbox, words)
    assert faults == {70: reason}
    assert [o for i, o in enumerate(out) if i != 70] == ["> " + w for i, w in enumerate(words) if i != 70]
    assert sandbox.starts == 2
    assert run(sandbox, ["after"]) == (["> after"], {})


def test_an_exception_costs_one_row_and_no_restart(sandbox: Sandbox) -> None:
    result, faults = sandbox.run([pa.array(["a", "raise", "b"]), pa.array([0, 1, 2])])
    assert [row and row["out"] for row in result.to_pylist()] == ["> a", None, "> b"]
    assert faults[1].reason == "error" and "no such page ü" in faults[1].detail
    assert sandbox.starts == 1


def test_a_batch_of_nothing_but_crashes_gives_only_faults(sandbox: Sandbox) -> None:
    assert run(sandbox, ["exit", "segfault", "exit"]) == ([None] * 3, {0: "crashed", 1: "crashed", 2: "crashed"})


def test_what_a_library_prints_does_not_reach_the_results(sandbox: Sandbox) -> None:
    assert run(sandbox, ["print", "x"]) == (["> print", "> x"], {})


def test_sliced_columns_are_handed_over_as_they_are(sandbox: Sandbox) -> None:
    words = pa.array(["a", "b", "c", "d"]).slice(1, 2)
    result, _ = sandbox.run([words, pa.array([0, 1, 2, 3]).slice(2, 2)])
    assert result.to_pylist() == [{"out": "> b", "number": 3}, {"out": "> c", "number": 4}]


def test_a_child_that_cannot_start_is_no_fault_of_the_page(target: str) -> None:
    with pytest.raises(SandboxUnusableError, match="did not start"):
        Sandbox(target, {"broken": True}, RESULT, LIMITS).run([pa.array(["a"]), pa.array([0])])


def test_a_killed_idle_child_is_replaced(sandbox: Sandbox) -> None:
    run(sandbox, ["a"])
    assert sandbox._process is not None
    os.kill(sandbox._process.pid, signal.SIGKILL)
    sandbox._process.wait()
    assert run(sandbox, ["b"]) == (["> b"], {})


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_no_child_is_left_when_the_parent_ends_however_it_does(target: str, tmp_path: Path, end: str) -> None:
    program = f"""
import sys
sys.path[:0] = {[str(tmp_path), str(Path(__file__).resolve().parents[2])]!r}
import os, pyarrow as pa
from udfs.sandbox import SandboxLimits, shared_sandbox
result = pa.struct([pa.field("out", pa.string()), pa.field("number", pa.int64())])
sandbox = shared_sandbox("{target}", {{}}, result, SandboxLimits())
sandbox.run([pa.array(["a"]), pa.array([0])])
print(sandbox._process.pid, flush=True)
{"os.kill(os.getpid(), 9)" if end == "kill" else ""}
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, timeout=60, check=False)
    child = int(done.stdout)
    until = time.monotonic() + 10
    while alive(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(child)


def test_a_forked_process_is_refused_and_does_not_end_the_child(sandbox: Sandbox) -> None:
    run(sandbox, ["a"])
    pid = os.fork()
    if pid == 0:
        try:
            sandbox.run([pa.array(["b"]), pa.array([0])])
        except SandboxUnusableError:
            sandbox.close()
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert run(sandbox, ["c"]) == (["> c"], {}) and sandbox.starts == 1
