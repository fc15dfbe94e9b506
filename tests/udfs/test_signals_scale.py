"""Adversarial documents: time stays linear and memory bounded whatever the text.

Each case runs in a process of its own, so that its peak memory is its own. The suite runs them at a hundredth of the
size and compares the time of a case with the time of ordinary text; ``-m slow`` runs them at full size.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEASURE = """
import json, random, resource, sys, time
import pyarrow as pa
from udfs.lines import LineRules, edit_lines
from udfs.signals import STEPS, StopWords, measure

size = int(sys.argv[2])
random.seed(1)
def ordinary(size):
    words = ["".join(random.choices("etaoinshrdlu", k=random.randint(1, 9))) for _ in range(5000)]
    return " ".join(random.choices(words, k=size // 6))
texts = {
    "ordinary": lambda: ordinary(size),
    "one line": lambda: ordinary(size),
    "one word repeated": lambda: "word " * (size // 5),
    "one-letter words": lambda: "a " * (size // 2),
    "random one-letter words": lambda: " ".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=size // 2)),
    "two words alternating": lambda: "a b " * (size // 4),
    "no spaces": lambda: "x" * size,
    "newlines": lambda: "\\n" * size,
    "one-letter lines": lambda: "a\\n" * (size // 2),
    "blank lines between letters": lambda: "a\\n\\n" * (size // 3),
    "distinct lines": lambda: "\\n".join(map(str, range(size // 9))),
    "one Han letter": lambda: "\\u5b57" * (size // 3),
    "distinct Han letters": lambda: "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(20000)) * (size // 60000),
    "marks": lambda: "\\u0e01" + "\\u0e48" * (size // 3),
    "dots": lambda: "." * size,
    "quotes": lambda: '"' * size,
    "whitespace": lambda: "a" + " " * size + "b",
    "sigmas": lambda: "\\u03a3" * (size // 2),
    "sigmas with dots": lambda: ("\\u03a3" + "." * 50) * (size // 52),
    "brackets": lambda: "[" * size,
    "l": lambda: "l" * size,
    "escapes": lambda: "\\\\x4" * (size // 4),
    "periodic": lambda: " ".join(f"w{n % 1000}" for n in range(size // 5)),
    "de Bruijn": lambda: " ".join(f"{(n * n) % 1009}" for n in range(size // 4)),
}
text = texts[sys.argv[1]]()
array = pa.array([text])
del text
stop_words = StopWords.from_lists({"en": ["the"]}, default="en")
measure(pa.array(["a"]), steps=STEPS, stop_words=stop_words)
edit_lines(pa.array(["a"]), LineRules(citations=True))
try:
    open("/proc/self/clear_refs", "w").write("5")  # what making the text took does not count (Linux)
except OSError:
    pass
began = time.process_time()
measured = measure(array, steps=STEPS, stop_words=stop_words)
signals = time.process_time() - began
began = time.process_time()
edit_lines(array, LineRules(citations=True))
edits = time.process_time() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
except OSError:
    pass
words = measured["word_count"][0].as_py()
print(json.dumps({"signals": signals, "edits": edits, "peak_bytes": peak * 1024, "words": words}))
"""
CASES = [
    "one line",
    "one word repeated",
    "one-letter words",
    "random one-letter words",
    "two words alternating",
    "no spaces",
    "newlines",
    "one-letter lines",
    "blank lines between letters",
    "distinct lines",
    "one Han letter",
    "distinct Han letters",
    "marks",
    "dots",
    "quotes",
    "whitespace",
    "sigmas",
    "sigmas with dots",
    "brackets",
    "l",
    "escapes",
    "periodic",
    "de Bruijn",
]


def run(case: str, size: int) -> dict[str, float]:
    """Measure one document of about `size` bytes in another process."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, case, str(size)],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def ordinary() -> dict[str, float]:
    return run("ordinary", 1_000_000)


@pytest.mark.parametrize(
    "case",
    [
        *("one line", "one word repeated", "one-letter words", "random one-letter words", "newlines", "no spaces"),
        *("distinct Han letters", "sigmas with dots"),
    ],
)
def test_a_strange_document_of_a_megabyte_takes_no_longer_than_a_few_ordinary_ones(case, ordinary):
    found = run(case, 1_000_000)
    # 0.1 s absorbs the clock; a quadratic loop over a megabyte takes minutes.
    assert found["signals"] < 12 * ordinary["signals"] + 0.1
    assert found["edits"] < 12 * ordinary["edits"] + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_document_of_a_hundred_megabytes_takes_seconds_and_less_than_two_gigabytes(case):
    found = run(case, 100_000_000)
    print(case, found)
    assert found["signals"] < 60
    assert found["edits"] < 60
    assert found["peak_bytes"] < 2 << 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "size"),
    [("one-letter words", 20_000_000), ("random one-letter words", 20_000_000), ("newlines", 10_000_000)],
)
def test_ten_million_words_or_newlines_take_seconds(case, size):
    found = run(case, size)
    print(case, found)
    assert found["signals"] < 20
    assert found["peak_bytes"] < 2 << 30
