"""Refreshes of a batch of one size over a history that grows: time, bytes shuffled, bytes scanned, bytes of state.

    python benchmarks/refresh.py [--documents 1000] [--words 300] [--rounds 3] [--folder DIR]

A corpus is grown by twenty refreshes, and put by when it has 1, 5, 10 and 20 batches. Then one more batch is refreshed
into a copy of each, in several rounds, so that each history is measured by the same warm process. Every batch holds
fresh pages of random words, a tenth of near copies and a tenth of exact ones of pages anywhere in its history. One line
a refresh, then the medians as the table of docs/refresh.md. Time is that of the clock, and that of all processes of the
run on the processors; give the run a machine of its own if the former is to mean anything.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HISTORIES = (1, 5, 10, 20)  # batches
RECIPE = """
recipe: growing
languages: {detect: false, default: en}
gates: {max_removed_fraction: 0.9}
steps:
  dedup_url: {}
  dedup_exact: {}
  dedup_near: {}
"""


def page(number: int, words: int) -> str:
    """A page of its own: words of a large vocabulary."""
    random_ = random.Random(number)
    return " ".join(f"w{random_.randrange(50_000)}" for _ in range(words))


def batch(place: int, documents: int, words: int) -> list[dict[str, str]]:
    """Fresh pages, and copies of pages of any earlier batch."""
    random_, rows = random.Random(-place), []
    for row in range(documents):
        number = place * documents + row
        kind = random_.random() if place else 1.0
        text = page(number, words)
        if kind < 0.2:
            text = page(random_.randrange(place * documents), words)
            text = text if kind < 0.1 else text.replace(" w", " changed w", 1)
        rows.append({"id": f"d{number}", "url": f"https://a{number % 97}.example/{number}", "text": text})
    return rows


def shuffled_bytes(spark: Any) -> int:
    """Bytes that all stages so far have written for shuffles."""
    jvm, gateway = spark._jvm, spark.sparkContext._gateway
    store = spark.sparkContext._jsc.sc().statusStore()
    stages = store.stageList(
        jvm.java.util.ArrayList(), False, False, gateway.new_array(jvm.double, 0), jvm.java.util.ArrayList()
    )
    return sum(stages.apply(place).shuffleWriteBytes() for place in range(stages.size()))


def processor_seconds() -> float:
    """User and system time of this process and all that it has started, from /proc (Linux)."""
    tick, times, parents = os.sysconf("SC_CLK_TCK"), {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1])
        times[int(folder.name)] = sum(int(value) for value in fields[11:15])  # its own, and of children that ended
    total = 0
    for process in times:
        above = process
        while above not in (0, os.getpid()):
            above = parents.get(above, 0)
        total += times[process] if above else 0
    return total / tick


def one_refresh(spark: Any, folder: Path, corpus: Path, place: int, size: tuple[int, int]) -> dict[str, Any]:
    """Refresh the batch of a place into a corpus: what it took, and what the corpus holds after it."""
    from jobs.core.job import with_inputs
    from jobs.core.recipe_file import resolve_recipe
    from jobs.refresh import RefreshRequest, refresh

    source = folder / "in" / f"{place:03}.jsonl"
    source.parent.mkdir(exist_ok=True)
    source.write_text("".join(json.dumps(row) + "\n" for row in batch(place, *size)))
    resolved = with_inputs(resolve_recipe(str(folder / "recipe.yaml"), []), [str(source)], [])
    before, began, cpu = shuffled_bytes(spark), time.monotonic(), processor_seconds()
    outcome = refresh(spark, RefreshRequest(resolved, str(corpus), f"b{place:03}"))
    seconds, cpu = time.monotonic() - began, processor_seconds() - cpu
    facts = [stage["facts"] for stage in outcome["ledger"]["stages"]]
    state = sum(file.stat().st_size for file in (corpus / "state").rglob("part-*.parquet"))
    history = outcome["documents"] - outcome["totals"]["kept"]
    scanned = sum(fact.get("history_bytes", 0) for fact in facts)
    return {
        "history_batches": place,
        "history_documents": history,
        "seconds": round(seconds, 2),
        "processor_seconds": round(cpu, 2),
        "shuffled_bytes": shuffled_bytes(spark) - before,
        "scanned_bytes": scanned,
        "scanned_bytes_per_document": round(scanned / history, 1) if history else None,
        "verified_bytes": sum(fact.get("verified_bytes", 0) for fact in facts),
        "state_bytes_per_document": round(state / outcome["documents"], 1),
        "known": sum(fact.get("in_history", 0) for fact in facts),
        "kept": outcome["totals"]["kept"],
    }


def measure(spark: Any, folder: Path, size: tuple[int, int], rounds: int) -> list[dict[str, Any]]:
    """Grow a corpus, then refresh one batch over each of the histories, in rounds."""
    (folder / "recipe.yaml").write_text(RECIPE)
    for place in range(max(HISTORIES)):
        print(json.dumps({"growing": one_refresh(spark, folder, folder / "corpus", place, size)}), flush=True)
        if place + 1 in HISTORIES:
            shutil.copytree(folder / "corpus", folder / f"after-{place + 1}")
    records = []
    for number in range(rounds):
        for batches in HISTORIES:
            corpus = folder / f"measured-{number}-{batches}"
            shutil.copytree(folder / f"after-{batches}", corpus)
            records.append(one_refresh(spark, folder, corpus, batches, size))
            print(json.dumps(records[-1]), flush=True)
            shutil.rmtree(corpus)
    return records


def table(records: list[dict[str, Any]]) -> str:
    """Medians over the rounds, as Markdown."""
    lines = [
        "| batches of history | documents | seconds | processor seconds | shuffled | scanned a document "
        "| read to verify | state a document |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for batches in HISTORIES:
        rounds = [record for record in records if record["history_batches"] == batches]
        of = {name: statistics.median(record[name] for record in rounds) for name in rounds[0]}
        lines.append(
            f"| {batches} | {of['history_documents']:,} | {of['seconds']:.1f} | {of['processor_seconds']:.1f} "
            f"| {of['shuffled_bytes'] / 1e3:,.0f} kB | {of['scanned_bytes_per_document']:.0f} bytes "
            f"| {of['verified_bytes'] / 1e6:.1f} MB | {of['state_bytes_per_document']:.0f} bytes |"
        )
    return "\n".join(lines)


def main() -> int:
    """Grow, measure, print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--documents", type=int, default=1000)
    arguments.add_argument("--words", type=int, default=300)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--folder", help="where the corpus grows (default: a temporary folder)")
    given = arguments.parse_args()
    from jobs.core.session import build_session

    settings = {"spark.ui.retainedStages": "100000", "spark.sql.shuffle.partitions": "4"}
    spark = build_session("refresh benchmark", master=f"local[{os.cpu_count()}]", settings=settings)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(given.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        records = measure(spark, folder, (given.documents, given.words), given.rounds)
    spark.stop()
    print(f"\n{table(records)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
