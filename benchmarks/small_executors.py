"""Every job on twice as much text as its executors have memory: does it end, and what do its Python workers hold?

    python benchmarks/small_executors.py [--gigabytes 2] [--memory-mb 1024] [--cores 2] [--jobs ingest dedup-exact …]

Documents of about 3 KB are drawn from the sample's words by Zipf's law (one in ten is a copy, one in ten a copy with
some words changed) and stored as Parquet. Each job then runs in a process of its own under `local-cluster`, Spark's own
small cluster: the executor is a JVM with a heap of so many megabytes, apart from the driver. The same text always comes
out. A job that does not end with 0 is named, with the last line that it said.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
JOBS = (
    "ingest",
    "filter-quality",
    "filter-repetition",
    "dedup-exact",
    "dedup-lines",
    "dedup-near",
    "dedup-substring",
    "run",
)
NOT_IN_THE_RECIPE = {"dedup-lines": "dedup_lines", "dedup-substring": "dedup_substring"}
DOCUMENTS_A_FILE = 20_000
WORDS_A_DOCUMENT = (200, 900)


def vocabulary() -> pa.Array:
    """The words of the sample's articles, the frequent ones first, then the same at the end of a sentence."""
    words = re.findall(r"[A-Za-z']+", (ROOT / "conf/sample/articles.txt").read_text(encoding="utf-8").lower())
    plain = [word for word, _ in Counter(words).most_common()]
    return pa.array([*plain, *(f"{word}.\n" for word in plain)])


def texts(words: pa.Array, random: np.random.Generator, documents: int) -> pa.Array:
    """Documents of words: rank by Zipf's law, one word in fifteen ends a sentence."""
    ranks = len(words) // 2
    weights = np.cumsum(1 / (np.arange(ranks) + 2.7))
    lengths = random.integers(*WORDS_A_DOCUMENT, documents)
    chosen = np.searchsorted(weights, random.random(int(lengths.sum())) * weights[-1])
    chosen = np.where(random.random(len(chosen)) < 1 / 15, chosen + ranks, chosen)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    copy, changed = random.random(documents) < 0.1, random.random(documents) < 0.1
    lists = pa.ListArray.from_arrays(pa.array(offsets), words.take(pa.array(chosen)))
    whole = pc.binary_join(lists, " ")
    source = np.where(copy | changed, random.integers(0, documents, documents), np.arange(documents))
    repeated = whole.take(pa.array(source))
    edited = pc.replace_substring_regex(repeated, " (the|and|of) ", f" {random.integers(10**6)} ", max_replacements=3)
    return pc.if_else(pa.array(changed), edited, repeated)


def write(folder: Path, text_bytes: int) -> tuple[int, int]:
    """Write documents until there is as much text; documents and bytes of text."""
    folder.mkdir(parents=True)
    words, documents, size = vocabulary(), 0, 0
    while size < text_bytes:
        made = texts(words, np.random.default_rng(documents), DOCUMENTS_A_FILE)
        ids = [f"d{documents + row}" for row in range(len(made))]
        urls = [f"http://s{row % 997}.example/{documents + row}" for row in range(len(made))]
        table = pa.table({"id": ids, "url": urls, "text": made})
        pq.write_table(table, folder / f"{documents:08}.parquet", row_group_size=2_000)
        documents, size = documents + len(made), size + int(pc.sum(pc.binary_length(made)).as_py())
    return documents, size


def run(job: str, source: Path, output: Path, memory_mb: int, cores: int) -> str:
    """Run a job; a row of the table: how it ended, kept, seconds, memory of the largest Python worker."""
    shutil.rmtree(output, ignore_errors=True)
    master = f"local-cluster[1,{cores},{memory_mb}]"
    command = [sys.executable, "-m", "jobs.cli", job, "--recipe", "gopher", "--master", master]
    command += ["--input", str(source), "--output", str(output), "--set", "languages={detect: false, default: en}"]
    if job in NOT_IN_THE_RECIPE:
        command += ["--set", f"steps.{NOT_IN_THE_RECIPE[job]}={{}}"]
    command += ["--conf", f"spark.executor.memory={memory_mb}m"]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment())
    seconds = time.perf_counter() - began
    if done.returncode:
        return f"| {job} | exit {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1][:300]} | | | |"
    ledger = json.loads((output / "ledger.json").read_text())
    totals, worker = ledger["totals"], ledger["spark"]["peak_worker_bytes"] / 1e6
    kept = f"{totals['kept']:,} of {totals['read']:,}"
    return f"| {job} | exit 0 | {kept} | {seconds:.0f} | {worker:,.0f} |"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "SPARK_LOCAL_IP": "127.0.0.1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--memory-mb", type=int, default=1024)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--jobs", nargs="+", default=list(JOBS))
    parser.add_argument("--folder", type=Path, help="where documents and outputs are written (default: temporary)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="winnow-memory-") as temporary:
        home = chosen.folder or Path(temporary)
        source = home / f"documents-{chosen.gigabytes:g}"
        if not source.exists():
            unfinished = home / "unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            documents, size = write(unfinished, round(chosen.gigabytes * 1e9))
            unfinished.rename(source)
            print(f"{documents:,} documents, {size / 1e9:.2f} GB of text")
        print(f"one executor of {chosen.memory_mb:,} MB, {chosen.cores} cores of {platform.machine()}\n")
        print("| job | ended | kept | seconds | MB in the largest Python worker |")
        print("|---|---|---|---|---|", flush=True)
        for job in chosen.jobs:
            print(run(job, source, home / "out", chosen.memory_mb, chosen.cores), flush=True)


if __name__ == "__main__":
    main()
