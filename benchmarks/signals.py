"""How fast signals are measured: kernels and the filter job, beside datatrove, dolma and a plain pass of Spark.

    python benchmarks/signals.py [CORPUS] [--repeats 5] [--slice-mb 2] [--times 4] [--only PART] [--json FILE]

PART is kernel, job or growth.

CORPUS is a folder of ``*.jsonl.gz`` with ``{id, text}`` (default ../shared/data/corpus/benchmark beside the checkout);
it is written once as one Parquet file that everything reads. Everything runs on one core (Linux: the process and its
children are pinned to it), in one go. MB are 10⁶ bytes of UTF-8 text; a speed is MB per second of wall clock, CPU
seconds (Python, JVM and workers together) stand beside it; medians of the repeats after one run to warm up.

*Kernel*: all Gopher quality and repetition signals of texts in memory. *Job*: ``winnow run`` with Gopher's rules of
both steps, Parquet to Parquet: kept and removed documents, reasons, signals, the ledger and the report. *Plain pass*:
Spark reads the same files and writes them again. Both are measured on the corpus and on ``--times`` copies of it, since
a run has costs that do not grow with its input (planning, compiling, the report). The tools run in environments of
their own (`peers`): datatrove as it is shipped and with ``str.split`` for a tokeniser, on the first documents of the
same file (``--slice-mb``, tenfold for ``str.split``), because they are slow.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from peers import ask  # noqa: E402
from processor_time import cpu_seconds_of_tree, one_core  # noqa: E402

from udfs.signals import STEPS, StopWords, measure  # noqa: E402

WORK = ROOT / "benchmarks" / ".work" / "signals"
ENGLISH = ["the", "be", "to", "of", "and", "that", "have", "with"]
RECIPE = """\
recipe: benchmark
extends: gopher
languages: {detect: false, default: en}
steps: {extract_text: off, filter_content: off, decontaminate: off, dedup_exact: off, dedup_near: off}
"""
BATCH_DOCUMENTS = 1000


@dataclass(frozen=True)
class Timing:
    """The median of several runs on so many bytes."""

    megabytes: float
    wall: float
    cpu: float

    @property
    def speed(self) -> float:
        return self.megabytes / self.wall

    @property
    def cpu_speed(self) -> float:
        return self.megabytes / self.cpu


def median(megabytes: float, runs: Sequence[tuple[float, float]]) -> Timing:
    walls, cpus = zip(*runs, strict=True)
    return Timing(megabytes, statistics.median(walls), statistics.median(cpus))


def megabytes(texts: Sequence[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def timed(work: Callable[[], object], repeats: int) -> list[tuple[float, float]]:
    """Return (wall, CPU) seconds of each run, after one that is not counted."""
    work()
    runs = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), cpu_seconds_of_tree()
        work()
        runs.append((time.perf_counter() - wall, cpu_seconds_of_tree() - cpu))
    return runs


# Input ------------------------------------------------------------------------------------------------------------


def prepare(corpus: Path) -> Path:
    """Write the corpus as one Parquet file, documents in an order by digest of their ids; return its path."""
    import hashlib

    target = WORK / "input" / "documents.parquet"
    if target.is_file():
        return target
    rows = []
    for file in sorted(corpus.rglob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            rows += [(row["id"], row["text"]) for row in map(json.loads, lines)]
    rows.sort(key=lambda row: hashlib.blake2b(row[0].encode()).digest())
    target.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"id": [row[0] for row in rows], "text": [row[1] for row in rows]})
    pq.write_table(table, target, compression="zstd", row_group_size=5000)
    return target


def first_texts(texts: Sequence[str], limit: float) -> list[str]:
    """Return the first texts of about so many megabytes."""
    taken: list[str] = []
    size = 0.0
    for text in texts:
        if size >= limit:
            break
        taken.append(text)
        size += len(text.encode()) / 1e6
    return taken


# Kernels ----------------------------------------------------------------------------------------------------------


def measure_all(batches: Sequence[pa.Array]) -> None:
    stop_words = StopWords.from_lists({"en": ENGLISH}, default="en")
    for batch in batches:
        measure(batch, steps=STEPS, stop_words=stop_words)


def batches_of(texts: Sequence[str]) -> list[pa.Array]:
    return [pa.array(texts[i : i + BATCH_DOCUMENTS], pa.string()) for i in range(0, len(texts), BATCH_DOCUMENTS)]


def kernels(texts: list[str], slice_mb: float, repeats: int) -> dict[str, Timing]:
    batches = batches_of(texts)
    found = {"kernel": median(megabytes(texts), timed(lambda: measure_all(batches), repeats))}
    for name, peer, options, limit in (
        ("datatrove kernel", "datatrove", (), slice_mb),
        ("datatrove kernel, str.split", "datatrove", ("split",), 10 * slice_mb),
        ("dolma kernel", "dolma", (), slice_mb),
    ):
        part = first_texts(texts, limit)
        answers = [ask(peer, "kernel", part, *options)[0] for _ in range(repeats)]
        found[name] = median(megabytes(part), [(a["wall"], a["cpu"]) for a in answers])
    return found


def growth(texts: list[str], repeats: int) -> dict[str, list[float]]:
    """Return the seconds on 1×, 4× and 16× the input: as many more documents, and as much longer ones."""
    sixteenth = megabytes(texts) / 16
    parts = [first_texts(texts, sixteenth * factor) for factor in (1, 4, 16)]
    more = [median(1, timed(lambda part=part: measure_all(batches_of(part)), repeats)).cpu for part in parts]
    few = first_texts(texts, 1.0)
    longer = []
    for factor in (1, 4, 16):
        joined = ["\n\n".join(few[i : i + factor]) for i in range(0, len(few), factor)]
        batches = batches_of(joined * 8)
        longer.append(median(1, timed(lambda batches=batches: measure_all(batches), repeats)).cpu)
    return {"documents": more, "length": longer}


def exponent(seconds: Sequence[float]) -> float:
    """Return the slope of log seconds over log factor."""
    return float(np.polyfit(np.log([1, 4, 16]), np.log(seconds), 1)[0])


# Jobs -------------------------------------------------------------------------------------------------------------


def copies(source: Path, times: int) -> Path:
    """Return a folder that holds the file so many times."""
    folder = WORK / f"input-{times}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(times):
        os.link(source, folder / f"{number}.parquet")
    return folder


def jobs(source: Path, texts: list[str], slice_mb: float, repeats: int, times: int) -> dict[str, Timing]:
    from jobs.core.session import build_session

    spark = build_session("signals benchmark", master="local[1]")
    found = {}
    for factor in sorted({1, times}):
        folder, size = copies(source, factor), factor * megabytes(texts)
        output = WORK / "output"

        def plain(folder: Path = folder, output: Path = output) -> None:
            spark.read.parquet(str(folder)).write.mode("overwrite").parquet(str(output))

        found[f"plain pass, {factor}×"] = median(size, timed(plain, repeats))
        found[f"job, {factor}×"] = median(size, timed(lambda folder=folder: run_job(folder), repeats))
        ledger = json.loads((WORK / "output" / "ledger.json").read_text())
        assert ledger["totals"]["read"] == factor * len(texts)
    spark.stop()
    found["datatrove job"] = pipeline_of_datatrove(texts, slice_mb, repeats)
    found["datatrove job, str.split"] = pipeline_of_datatrove(texts, 10 * slice_mb, repeats, "split")
    return found


def run_job(source: Path) -> None:
    """``winnow run`` on a folder, in the session that there is."""
    from jobs import pipeline

    recipe, output = WORK / "benchmark.yaml", WORK / "output"
    recipe.write_text(RECIPE)
    shutil.rmtree(output, ignore_errors=True)
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = pipeline.main(["--recipe", str(recipe), "--input", str(source), "--output", str(output)])
    if code:
        sys.exit(said.getvalue())


def pipeline_of_datatrove(texts: list[str], slice_mb: float, repeats: int, *options: str) -> Timing:
    part = first_texts(texts, slice_mb)
    folder = WORK / "datatrove"
    runs = []
    for _ in range(repeats):
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "input").mkdir(parents=True)
        table = pa.table({"id": [str(i) for i in range(len(part))], "text": part})
        pq.write_table(table, folder / "input" / "slice.parquet", compression="zstd")
        answer = ask("datatrove", "pipeline", [], str(folder / "input"), str(folder / "output"), *options)[0]
        runs.append((answer["wall"], answer["cpu"]))
    return median(megabytes(part), runs)


# Report -----------------------------------------------------------------------------------------------------------

NAMES = {
    "kernel": "Winnow's kernels, text in memory",
    "datatrove kernel": "datatrove 0.10.1, text in memory",
    "datatrove kernel, str.split": "the same with `str.split` as its tokeniser",
    "dolma kernel": "dolma 1.2.1 `gopher_v1`, text in memory",
    "plain pass": "Spark reads and writes the Parquet, nothing else",
    "job": "`winnow run`, Parquet → kept and removed Parquet, signals, report",
    "datatrove job": "datatrove 0.10.1, Parquet → Parquet",
    "datatrove job, str.split": "the same with `str.split` as its tokeniser",
}


def named(name: str) -> str:
    """The name of a row of the table; of a job, with the size of its input."""
    kind, _, factor = name.partition(", ")
    return NAMES.get(name) or f"{NAMES[kind]}, corpus {factor}"


def report(found: dict[str, Timing], factors: dict[str, list[float]]) -> None:
    if found:
        print("| Gopher quality and repetition on one core | MB/s | CPU s per 100 MB | text |")
        print("|---|--:|--:|--:|")
        for name, timing in found.items():
            print(f"| {named(name)} | {timing.speed:.3g} | {100 / timing.cpu_speed:.3g} | {timing.megabytes:.1f} MB |")
        print()
    pairs = [("kernel", "datatrove kernel"), ("kernel", "datatrove kernel, str.split"), ("kernel", "dolma kernel")]
    for job in (name for name in found if name.startswith("job, ")):
        pairs += [(job, "datatrove job"), (job, "datatrove job, str.split"), (job, job.replace("job", "plain pass"))]
    for ours, theirs in pairs:
        if ours in found and theirs in found:
            wall = found[ours].speed / found[theirs].speed
            cpu = found[ours].cpu_speed / found[theirs].cpu_speed
            print(f"{ours} / {theirs}: {wall:.3g} by wall clock, {cpu:.3g} by CPU")
    for name, seconds in factors.items():
        times = ", ".join(f"{second:.3f}" for second in seconds)
        print(f"growth by {name}, 1×, 4×, 16×: {times} s; exponent {exponent(seconds):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "corpus", nargs="?", type=Path, default=ROOT.parent / "shared" / "data" / "corpus" / "benchmark"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--slice-mb", type=float, default=2.0)
    parser.add_argument("--times", type=int, default=4, help="copies of the corpus in the larger input of the jobs")
    parser.add_argument("--only", choices=["kernel", "job", "growth"])
    parser.add_argument("--json", type=Path, help="write the medians to this file")
    given = parser.parse_args()
    if not given.corpus.is_dir():
        sys.exit(f"no folder {given.corpus}: name a folder of *.jsonl.gz with id and text")
    one_core()
    source = prepare(given.corpus)
    texts = pq.read_table(source, columns=["text"])["text"].to_pylist()
    found: dict[str, Timing] = {}
    factors: dict[str, list[float]] = {}
    if given.only in (None, "kernel"):
        found |= kernels(texts, given.slice_mb, given.repeats)
    if given.only in (None, "growth"):
        factors = growth(texts, given.repeats)
    if given.only in (None, "job"):
        found |= jobs(source, texts, given.slice_mb, given.repeats, given.times)
    report(found, factors)
    if given.json:
        medians = {name: {**vars(timing), "speed": timing.speed} for name, timing in found.items()}
        given.json.write_text(json.dumps({"medians": medians, "growth": factors}, indent=1))


if __name__ == "__main__":
    main()
