"""Repeated substrings against a suffix array on one machine: the same answer, and how fast; growth; shuffled bytes.

    python benchmarks/substring.py kernels [--megabytes 20] [--length 50]
    python benchmarks/substring.py equality [--megabytes 20] [--length 50] [--unit words]
    python benchmarks/substring.py growth [--megabytes 7.5 15 30 60 120]
    python benchmarks/substring.py phases [--megabytes 120]
    python benchmarks/substring.py whole [--times 1 4] [--warm 3]
    python benchmarks/substring.py common [--documents 250000 1000000]

Needs the test data (WINNOW_TEST_DATA, default ../shared/data beside the checkout). ``kernels`` is one process without
Spark, ``equality`` the step on Spark; both need a virtual environment of the suffix array: ``python -m venv
benchmarks/.venvs/suffix_array && benchmarks/.venvs/suffix_array/bin/pip install "pydivsufsort==0.0.20"``.

``growth`` and ``phases`` are the step, its last table written, in a Spark that is warm; ``whole`` is the job, from JSON
Lines to what it publishes, on the benchmark text and on copies of it with permuted letters: as a command, which starts
a JVM, and in a Spark that is warm.

Two cores. Processor seconds are those of the driver, its JVM and its Python workers together: other work on the machine
changes them less than the clock. The suffix array is built over word numbers, with a number of its own after each
document, so that what it finds is what brute force would: every window of `length` words that occurs before, cut.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from signals import cpu_seconds_of_tree

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

DATA = Path(os.environ.get("WINNOW_TEST_DATA", ROOT.parent / "shared" / "data"))
PEER = ROOT / "benchmarks" / ".venvs" / "suffix_array" / "bin" / "python"
CORES = 2

# Runs in the environment of the suffix array: numbers in, a flag for every one out.
SUFFIX_ARRAY = """
import sys, time
import numpy as np
from pydivsufsort import divsufsort, kasai
numbers, length = np.load(sys.argv[1]), int(sys.argv[2])
began = time.perf_counter()
order = divsufsort(numbers).astype(np.int64)
common = kasai(numbers, order)  # of each suffix with the next in order
parted = np.flatnonzero(common[: len(order) - 1] < length) + 1
groups = np.concatenate([[0], parted])
firsts = np.minimum.reduceat(order, groups)
sizes = np.diff(np.append(groups, len(order)))
repeats = np.zeros(len(numbers) + 1, dtype=bool)
repeats[order[np.repeat(sizes > 1, sizes)]] = True
repeats[firsts] = False
covered = np.zeros(len(numbers) + length + 1, dtype=np.int64)
covered[np.flatnonzero(repeats)] += 1
np.add.at(covered, np.flatnonzero(repeats) + length, -1)
np.save(sys.argv[3], np.cumsum(covered)[: len(numbers)] > 0)
print(time.perf_counter() - began)
"""


def corpus() -> Iterator[str]:
    for path in sorted((DATA / "corpus" / "benchmark").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)["text"]


def sample(megabytes: float) -> list[str]:
    """Every n-th document, so that a sample of any size is of the same mixture."""
    texts = list(corpus())
    total = sum(len(text.encode()) for text in texts)
    share = min(1.0, megabytes * 1e6 / total)
    return [text for place, text in enumerate(texts) if int(place * share) != int((place + 1) * share)]


def write_documents(texts: list[str], folder: Path) -> None:
    folder.mkdir(parents=True)
    for part in range(2 * CORES):
        own = range(part, len(texts), 2 * CORES)
        table = pa.table(
            {
                "id": [f"{place:08}" for place in own],
                "key": pa.array([place.to_bytes(16, "big") for place in own], pa.binary()),
                "copy": pa.array([0] * len(own), pa.int64()),
                "text": [texts[place] for place in own],
            }
        )
        pq.write_table(table, folder / f"part-{part:05}.parquet", row_group_size=2000)


def session() -> Any:
    from jobs.core.session import build_session

    settings = {"spark.sql.shuffle.partitions": str(4 * CORES), "spark.ui.enabled": "true", "spark.ui.port": "0"}
    return build_session("substring-benchmark", master=f"local[{CORES}]", settings=settings)


def stages(spark: Any) -> list[dict[str, Any]]:
    """What Spark says of the stages that have run, the last first."""
    address = f"{spark.sparkContext.uiWebUrl}/api/v1/applications/{spark.sparkContext.applicationId}/stages"
    address = address.replace(address.split("//")[1].split(":")[0], "127.0.0.1", 1)
    with urllib.request.urlopen(address) as answer:
        return [stage for stage in json.load(answer) if stage["status"] == "COMPLETE"]


def run(spark: Any, documents: Path, work: Path, **changes: Any) -> tuple[Any, dict[str, Any], float, float]:
    """Result, facts, seconds and processor seconds of the job, its last table written."""
    from jobs.core.recipe import DedupSubstring
    from jobs.dedup_substring import find_substrings

    step = DedupSubstring.model_validate({"keep": ["source_rank"], **changes})
    began, busy = time.perf_counter(), cpu_seconds_of_tree()
    result = find_substrings(spark.read.parquet(str(documents)), step, str(work))
    return result, dict(result.facts), time.perf_counter() - began, cpu_seconds_of_tree() - busy


# -------------------------------------------------------------------------------------------------------------- kernels


def kernels(megabytes: float, length: int) -> None:
    """The kernels alone, on one core, with numpy's sort in the place of Spark's."""
    from udfs import substrings

    texts = sample(megabytes)
    size = sum(len(text.encode()) for text in texts) / 1e6
    column = pa.array(texts, pa.large_string())
    everything = np.full(1, 2**64 - 1, dtype=np.uint64)
    substrings.anchors(column[:1], length)
    substrings.windows(column[:1], length, everything)  # compiles, or loads what is compiled
    times = [time.process_time()]
    anchors = substrings.anchors(column, length)
    times.append(time.process_time())
    bitmap = bitmap_of(anchors.hashes[anchors.times > 1], 26)
    times.append(time.process_time())
    windows = substrings.windows(column, length, bitmap)
    times.append(time.process_time())
    pieces, lost = substrings.cut(*repeated_windows(windows), length)

    words = substrings.tokens(column, "words")
    numbers = [own for place in range(len(texts)) for own in (word_numbers(texts, words, place), [-1 - place])]
    flat = np.concatenate(numbers).astype(np.int64).astype(np.uint32)
    bases = words.offsets[:-1] + np.arange(len(texts))
    starts = bases[pieces.starts >> substrings.POSITION_BITS] + pieces.starts % (1 << substrings.POSITION_BITS)
    covered = np.zeros(len(flat) + 1, dtype=np.int64)
    np.add.at(covered, starts, 1)
    np.add.at(covered, starts + pieces.ends - pieces.starts, -1)
    cut = np.cumsum(covered)[:-1] > 0
    with tempfile.TemporaryDirectory() as scratch:
        expected, peer_seconds = suffix_array_cuts(flat, length, Path(scratch))
    print(f"{size:.1f} MB, {len(texts):,} documents, {anchors.tokens:,} words, windows of {length}, one core")
    print(f"anchors: {size / (times[1] - times[0]):.0f} MB/s, one of {anchors.tokens / anchors.times.sum():.1f} words")
    print(f"windows: {size / (times[3] - times[2]):.0f} MB/s, {len(windows.first) / anchors.tokens:.1%} of the words")
    print(
        f"cut: {cut.sum():,} words, {cut.sum() / anchors.tokens:.2%}, in {len(pieces.starts):,} pieces; lost: {lost:,}"
    )
    print(f"words cut by one and not by the suffix array ({peer_seconds:.1f} s): {(cut != expected).sum()}")
    if (cut != expected).any():
        sys.exit(1)


_known: dict[bytes, int] = {}


def word_numbers(texts: list[str], words: Any, place: int) -> list[int]:
    data = texts[place].encode()
    own = slice(words.offsets[place], words.offsets[place + 1])
    ranges = zip(words.starts[own].tolist(), words.ends[own].tolist(), strict=True)
    return [_known.setdefault(data[begin:end], len(_known)) for begin, end in ranges]


def bitmap_of(hashes: np.ndarray, bits: int) -> np.ndarray:
    bitmap = np.zeros(1 << (bits - 6), dtype=np.uint64)
    places = hashes.view(np.uint64) >> np.uint64(64 - bits)
    flags = np.uint64(1) << (places & np.uint64(63))
    np.bitwise_or.at(bitmap, (places >> np.uint64(6)).astype(np.int64), flags)
    return bitmap


def repeated_windows(windows: Any) -> tuple[np.ndarray, ...]:
    """Address, run, first and previous occurrence of the windows that occur more than once, by address."""
    from udfs.substrings import POSITION_BITS

    documents = np.repeat(np.arange(len(windows.offsets) - 1), np.diff(windows.offsets))
    at, runs = (documents << POSITION_BITS) + windows.positions, windows.runs.astype(np.int64)
    order = np.lexsort((at, windows.second, windows.first))
    at, runs = at[order], runs[order]
    digests = np.column_stack((windows.first, windows.second))[order]
    new = np.append(True, (digests[1:] != digests[:-1]).any(axis=1))
    group = np.cumsum(new) - 1
    previous = np.append(-1, (at + runs - 1)[:-1])
    previous[new] = -1
    often = np.flatnonzero((np.bincount(group)[group] > 1) | (runs > 1))
    chosen = often[np.argsort(at[often])]
    return at[chosen], runs[chosen], at[new][group][chosen], previous[chosen]


def suffix_array_cuts(numbers: np.ndarray, length: int, folder: Path) -> tuple[np.ndarray, float]:
    """Which numbers the suffix array cuts, and its seconds."""
    np.save(folder / "numbers.npy", numbers)
    command = [str(PEER), "-c", SUFFIX_ARRAY, str(folder / "numbers.npy"), str(length), str(folder / "cut.npy")]
    seconds = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return np.load(folder / "cut.npy"), seconds


# ------------------------------------------------------------------------------------------------------------- equality


def equality(megabytes: float, length: int, unit: str) -> None:
    from udfs.substrings import tokens

    texts = sample(megabytes)
    size = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_documents(texts, folder / "documents")
        spark = session()
        run(spark, folder / "documents", folder / "warm", length=length, unit=unit)
        result, facts, seconds, _ = run(spark, folder / "documents", folder / "work", length=length, unit=unit)
        spans: dict[int, list[tuple[int, int]]] = {}
        for row in result.tables["removed_spans"].collect():
            spans.setdefault(int(row["id"]), []).append((row["start"], row["end"]))
        spark.stop()

        numbers, flags = [], []
        known: dict[bytes, int] = {}
        for place, text in enumerate(texts):
            data = text.encode()
            words = tokens(pa.array([text]), "words")
            units = words if unit == "words" else tokens(pa.array([text]), unit)  # type: ignore[arg-type]
            numbers.append(
                [known.setdefault(data[a:b], len(known)) for a, b in zip(units.starts, units.ends, strict=True)]
            )
            lead = np.cumsum((np.frombuffer(data, dtype=np.uint8) & 0xC0) != 0x80) - 1
            cut = np.zeros(len(text) + 1, dtype=bool)
            for begin, end in spans.get(place, []):
                cut[begin:end] = True
            flags.append((words, units, cut[lead[words.starts]]))
        ends = len(known) + np.arange(len(texts))
        flat = np.concatenate([np.append(own, end) for own, end in zip(numbers, ends, strict=True)]).astype(np.uint32)
        expected, peer_seconds = suffix_array_cuts(flat, length, folder)

    differing = at = cut_tokens = 0
    for own, (words, units, cut) in zip(numbers, flags, strict=True):
        gone = expected[at : at + len(own)]
        cut_tokens += int(gone.sum())
        # A word is cut where all of its tokens are.
        kept = np.concatenate([[0], np.cumsum(~gone)])
        first, last = np.searchsorted(units.starts, words.starts), np.searchsorted(units.ends, words.ends) + 1
        differing += int(((kept[last] == kept[first]) != cut).sum())
        at += len(own) + 1
    print(f"{size:.1f} MB, {len(texts):,} documents, {facts['tokens']:,} {unit}, windows of {length}")
    share = cut_tokens / facts["tokens"]
    print(f"cut by the suffix array: {cut_tokens:,} ({share:.2%}); by Winnow: {facts['cut_tokens']:,}")
    print(f"words cut by one and not by the other: {differing}")
    print(f"suffix array {peer_seconds:.1f} s on one core; Winnow {seconds:.1f} s on {CORES}")
    if differing or cut_tokens != facts["cut_tokens"]:
        sys.exit(1)


# --------------------------------------------------------------------------------------------------------------- growth


def growth(sizes: list[float]) -> None:
    spark = session()
    measured = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for place, megabytes in enumerate([max(sizes), max(sizes), *sizes]):
            texts = sample(megabytes)
            size = sum(len(text.encode()) for text in texts) / 1e6
            documents = folder / f"documents-{megabytes:g}"
            if not documents.exists():
                write_documents(texts, documents)
            before = {stage["stageId"] for stage in stages(spark)}
            _, facts, seconds, busy = run(spark, documents, folder / f"work-{place}")
            if place < 2:
                continue  # the first runs warm up
            own = [stage for stage in stages(spark) if stage["stageId"] not in before]
            written = [stage["shuffleWriteBytes"] for stage in reversed(own) if stage["shuffleWriteBytes"]]
            tokens = facts["tokens"]
            measured.append((size, seconds, busy))
            print(
                f"{size:6.1f} MB {seconds:6.1f} s {size / seconds / CORES:5.1f} MB/s a core, {busy:5.1f} processor s "
                f"{size / busy:5.1f} MB/s; {tokens:,} words, {facts['cut_tokens'] / tokens:.2%} cut, "
                f"{facts['windows_lost']:,} windows lost; pass 1 shuffles 1 hash for "
                f"{tokens / facts['anchors']:.1f} words, {written[0] / tokens:.2f} bytes a word; "
                f"all {sum(written) / tokens:.2f} bytes a word",
                flush=True,
            )
    spark.stop()
    if len(measured) > 1:
        size, *times = np.log(np.array(measured)).T
        by_clock, by_processor = (np.polyfit(size, of, 1)[0] for of in times)
        print(f"seconds grow with the text to the power of {by_clock:.2f}, processor seconds of {by_processor:.2f}")
        (small, _, least), *_, (large, _, most) = measured
        print(f"processor seconds: {(most - least) / (large - small):.4f} for every further MB")


# ---------------------------------------------------------------------------------------------------------------- whole


CUTTING = {"steps": {"dedup_substring": {}}, "gates": {"max_removed_fraction": 1.0}}


def whole(factors: list[int], warm: int) -> None:
    """The command; then the same job, so many times, in a Spark that has run it once."""
    from near_dedup_data import benchmark_text, job_seconds, times, write_lines

    rows = benchmark_text()
    for factor in factors:
        with tempfile.TemporaryDirectory() as scratch:
            source, out = Path(scratch) / "lines", Path(scratch) / "out"
            size = write_lines(times(rows, factor), source, 2 * CORES) / 1e6
            say_speed("command", size, job_seconds("dedup-substring", CUTTING, source, out, CORES), out)
            runs = [job_again(source, out) for _ in range(1 + warm)][1:]
            if runs:
                say_speed(f"warm, median of {warm}", size, statistics.median(runs), out)


def job_again(source: Path, out: Path) -> float:
    """Seconds of the job, from JSON Lines to what it publishes, in the session that there is."""
    from near_dedup_data import job_arguments

    from jobs import dedup_substring

    session()
    shutil.rmtree(out)
    arguments, said = job_arguments(CUTTING, source, out), io.StringIO()
    began = time.monotonic()
    with redirect_stdout(said), redirect_stderr(said):
        code = dedup_substring.main(arguments)
    seconds = time.monotonic() - began
    if code:
        sys.exit(said.getvalue())
    return seconds


def say_speed(name: str, size: float, seconds: float, out: Path) -> None:
    stages = json.loads((out / "ledger.json").read_text())["stages"]
    (facts,) = (stage["facts"] for stage in stages if stage["name"] == "dedup_substring")
    print(
        f"{size:.1f} MB, {name}: {seconds:.1f} s, {size / seconds:.1f} MB/s, {size / seconds / CORES:.1f} a core; "
        f"{facts['cut_tokens'] / facts['tokens']:.2%} cut",
        flush=True,
    )


# --------------------------------------------------------------------------------------------------------------- common

SPAN = " ".join(f"w{place}" for place in range(60))  # words that every document has


def common(sizes: list[int]) -> None:
    """One span in every document, between words of its own: what is cut, how long it takes, what a worker holds."""
    from jobs.core.executors import peak_worker_bytes

    spark = session()
    with tempfile.TemporaryDirectory() as scratch:
        for documents in sizes:
            folder = Path(scratch) / f"documents-{documents}"
            own = (" ".join(f"{place}-{word}" for word in range(10)) for place in range(documents))
            write_documents([f"{before} {SPAN} {before} end" for before in own], folder)
            size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
            _, facts, seconds, busy = run(spark, folder, Path(scratch) / f"work-{documents}")
            cut = facts["cut_tokens"] == 60 * (documents - 1) and facts["cut_documents"] == documents - 1
            print(
                f"{documents:,} documents with one span of 60 words, {size:.0f} MB of Parquet: {seconds:.1f} s, "
                f"{busy:.1f} processor s; cut from all but the first: {'yes' if cut else 'NO'}; "
                f"{facts['repeated_windows']:,} repeated windows, {facts['pieces']:,} pieces; "
                f"a worker held {peak_worker_bytes(spark) / 1e6:,.0f} MB at most",
                flush=True,
            )
    spark.stop()


# --------------------------------------------------------------------------------------------------------------- phases


def phases(megabytes: float) -> None:
    """What each part of the job takes: processor seconds, tasks, bytes shuffled and written."""
    from jobs import dedup_substring

    names = ["_surviving_anchors", "_windows", "_places", "_chunks", "_pieces", "_followed", "_sources", "_edited"]
    spark = session()
    found: dict[str, dict[str, float]] = {}

    def measured(name: str) -> Any:
        function = getattr(dedup_substring, name)

        def call(*given: Any) -> Any:
            before = {stage["stageId"] for stage in stages(spark)}
            began, busy = time.perf_counter(), cpu_seconds_of_tree()
            result = function(*given)
            seconds, busy = time.perf_counter() - began, cpu_seconds_of_tree() - busy
            own = [stage for stage in stages(spark) if stage["stageId"] not in before]
            found[name] = {
                "seconds": seconds,
                "processor_seconds": busy,
                "stages": len(own),
                "tasks": sum(stage["numTasks"] for stage in own),
                "shuffled": sum(stage["shuffleWriteBytes"] for stage in own) / 1e6,
                "written": sum(stage["outputBytes"] for stage in own) / 1e6,
            }
            return result

        return call

    for name in names:
        setattr(dedup_substring, name, measured(name))
    texts = sample(megabytes)
    size = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as scratch:
        write_documents(texts, Path(scratch) / "documents")
        for place in range(3):  # the first two warm up
            run(spark, Path(scratch) / "documents", Path(scratch) / f"work-{place}")
    spark.stop()
    print(f"{size:.1f} MB; processor seconds for a MB, seconds, stages, tasks, MB shuffled, MB written")
    for name, of in found.items():
        print(
            f"{name.strip('_'):18} {of['processor_seconds'] / size:7.4f} {of['seconds']:6.2f} {of['stages']:3} "
            f"{of['tasks']:4} {of['shuffled']:7.1f} {of['written']:7.1f}"
        )
    print(f"{'all':18} {sum(of['processor_seconds'] for of in found.values()) / size:7.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("kernels")
    one.add_argument("--megabytes", type=float, default=20)
    one.add_argument("--length", type=int, default=50)
    one = commands.add_parser("equality")
    one.add_argument("--megabytes", type=float, default=20)
    one.add_argument("--length", type=int, default=50)
    one.add_argument("--unit", choices=["words", "characters", "bytes"], default="words")
    one = commands.add_parser("growth")
    one.add_argument("--megabytes", type=float, nargs="+", default=[7.5, 15, 30, 60, 120])
    one = commands.add_parser("phases")
    one.add_argument("--megabytes", type=float, default=120)
    one = commands.add_parser("whole")
    one.add_argument("--times", type=int, nargs="+", default=[1, 4])
    one.add_argument("--warm", type=int, default=3, help="runs of the job in a Spark that has run it once")
    one = commands.add_parser("common")
    one.add_argument("--documents", type=int, nargs="+", default=[250_000, 1_000_000])
    chosen = parser.parse_args()
    if chosen.command == "common":  # needs no data
        common(chosen.documents)
        return
    if not DATA.is_dir():
        sys.exit(f"no test data: no folder {DATA} (set WINNOW_TEST_DATA)")
    if chosen.command == "whole":
        whole(chosen.times, chosen.warm)
        return
    if chosen.command == "growth":
        growth(chosen.megabytes)
        return
    if chosen.command == "phases":
        phases(chosen.megabytes)
        return
    if not PEER.exists():
        sys.exit(__doc__)
    if chosen.command == "kernels":
        kernels(chosen.megabytes, chosen.length)
    else:
        equality(chosen.megabytes, chosen.length, chosen.unit)


if __name__ == "__main__":
    main()
