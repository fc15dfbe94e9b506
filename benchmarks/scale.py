"""What a corpus costs: core-seconds, shuffle and scratch of a whole run, measured at two sizes, and from them a plan.

    python benchmarks/scale.py [--documents 4000 16000] [--cores 2] [--recipe gopher] [--price 0.04]

Documents are made of the sample's vocabulary by Zipf's law (about 3 KB each; one in twenty is an exact copy, one in
ten an edited one), so the same run can be made anywhere; real pages have other shares, which changes the last steps.
The same text always comes out. Two sizes tell what a run costs at all from what a document costs: the plan uses the
difference. Times are of tasks (Spark's executor run time: the Python workers' work is inside), summed over cores.
Everything from 100 GB on is arithmetic, not measurement: see docs/scale.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

FILES = 32
SIZES_BYTES = {"100 GB": 10**11, "1 TB": 10**12, "10 TB": 10**13, "100 TB": 10**14}
CORES = {"100 GB": 64, "1 TB": 256, "10 TB": 1024, "100 TB": 4096}


# ---------------------------------------------------------------------------------------------------- the documents


def vocabulary() -> list[str]:
    """The words of the sample's articles, the frequent ones first."""
    counts: dict[str, int] = defaultdict(int)
    for word in re.findall(r"[A-Za-z']+", (ROOT / "conf/sample/articles.txt").read_text(encoding="utf-8")):
        counts[word.lower()] += 1
    return sorted(counts, key=lambda word: (-counts[word], word))


def texts(count: int) -> Iterator[str]:
    """Documents of sentences and paragraphs, with copies and edited copies among them."""
    words = vocabulary()
    weights = [1 / (rank + 2.7) for rank in range(len(words))]
    chance = random.Random(1)
    before: list[str] = []
    for number in range(count):
        kind = chance.random()
        if before and kind < 0.05:
            yield chance.choice(before)
            continue
        if before and kind < 0.15:
            copied = chance.choice(before).split(" ")
            copied[chance.randrange(len(copied))] = f"changed{number}"
            yield " ".join(copied)
            continue
        text = document(chance, words, weights)
        if len(before) < 2000:
            before.append(text)
        yield text


def document(chance: random.Random, words: Sequence[str], weights: Sequence[float]) -> str:
    paragraphs = []
    for _ in range(chance.randint(4, 12)):
        sentences = []
        for _ in range(chance.randint(2, 8)):
            chosen = chance.choices(words, weights, k=chance.randint(8, 24))
            sentences.append(" ".join(chosen).capitalize() + ".")
        paragraphs.append(" ".join(sentences))
    return "\n\n".join(paragraphs)


def write(folder: Path, count: int) -> int:
    """JSON Lines in as many files as a small cluster has tasks; the bytes of text."""
    folder.mkdir()
    files = [(folder / f"{place:02}.jsonl").open("w", encoding="utf-8") for place in range(FILES)]
    size = 0
    for number, text in enumerate(texts(count)):
        size += len(text.encode())
        line = {"id": f"d{number}", "url": f"http://s{number % 97}.example/{number}", "text": text}
        files[number % FILES].write(json.dumps(line) + "\n")
    for file in files:
        file.close()
    return size


# ---------------------------------------------------------------------------------------------------- the run


@dataclass
class Cost:
    """What one part of a run took: seconds of tasks, bytes shuffled (written), bytes written to files."""

    task_seconds: float = 0.0
    shuffled_bytes: int = 0
    written_bytes: int = 0


@dataclass
class Run:
    """A run at one size."""

    documents: int
    text_bytes: int
    seconds: float
    kept: int
    worker_bytes: int
    parts: dict[str, Cost] = field(default_factory=dict)


def run(folder: Path, count: int, cores: int, recipe: str) -> Run:
    """Clean `count` documents and read the costs from Spark's event log."""
    text_bytes = write(folder / "in", count)
    (folder / "events").mkdir()
    settings = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": (folder / "events").as_uri()}
    settings |= {"spark.eventLog.compress": "false", "spark.eventLog.rolling.enabled": "false"}
    command = [sys.executable, "-m", "jobs.cli", "run", "--recipe", recipe, "--master", f"local[{cores}]"]
    command += ["--input", str(folder / "in"), "--output", str(folder / "out"), "--set", "languages.default=en"]
    for key, value in settings.items():
        command += ["--conf", f"{key}={value}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    ledger = json.loads((folder / "out" / "ledger.json").read_text())
    sums, worker_bytes = ledger["totals"], ledger["spark"]["peak_worker_bytes"]
    return Run(count, text_bytes, ledger["seconds"], sums["kept"], worker_bytes, parts_of(folder / "events"))


def parts_of(events: Path) -> dict[str, Cost]:
    """Costs by part of the run (the job group's name without its number)."""
    part_of_stage: dict[int, str] = {}
    parts: dict[str, Cost] = defaultdict(Cost)
    for file in events.rglob("*"):
        for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
            event = json.loads(line)
            if event["Event"] == "SparkListenerJobStart":
                group = event.get("Properties", {}).get("spark.jobGroup.id") or "winnow-other-0"
                for stage in event["Stage IDs"]:
                    part_of_stage.setdefault(stage, group.split("-")[1])
            elif event["Event"] == "SparkListenerTaskEnd" and event.get("Task Metrics"):
                cost, metrics = parts[part_of_stage.get(event["Stage ID"], "other")], event["Task Metrics"]
                cost.task_seconds += metrics["Executor Run Time"] / 1000
                cost.shuffled_bytes += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
                cost.written_bytes += metrics["Output Metrics"]["Bytes Written"]
    return dict(parts)


# ---------------------------------------------------------------------------------------------------- the plan


def marginal(small: Run, large: Run) -> dict[str, Cost]:
    """Costs of a gigabyte of text (10^9 bytes), by part: what the larger run took more than the smaller one."""
    gigabytes = (large.text_bytes - small.text_bytes) / 1e9
    found = {}
    for part, cost in large.parts.items():
        less = small.parts.get(part, Cost())
        found[part] = Cost(
            max(0.0, cost.task_seconds - less.task_seconds) / gigabytes,
            round(max(0, cost.shuffled_bytes - less.shuffled_bytes) / gigabytes),
            round(max(0, cost.written_bytes - less.written_bytes) / gigabytes),
        )
    return found


def report(small: Run, large: Run, price: float) -> str:
    """Measured costs and the plan, as Markdown."""
    costs = marginal(small, large)
    lines = ["| part | core-seconds a GB | shuffled MB a GB | written MB a GB |", "|---|---|---|---|"]
    for part, cost in sorted(costs.items(), key=lambda item: -item[1].task_seconds):
        megabytes = f"{cost.shuffled_bytes / 1e6:,.0f} | {cost.written_bytes / 1e6:,.0f}"
        lines.append(f"| {part} | {cost.task_seconds:,.0f} | {megabytes} |")
    seconds = sum(cost.task_seconds for cost in costs.values())
    shuffled = sum(cost.shuffled_bytes for cost in costs.values())
    written = sum(cost.written_bytes for cost in costs.values())
    lines += [f"| all | {seconds:,.0f} | {shuffled / 1e6:,.0f} | {written / 1e6:,.0f} |", ""]
    lines += [
        "| text | core-hours | cores | hours | shuffle disk | working disk | cost |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, size in SIZES_BYTES.items():
        gigabytes, cores = size / 1e9, CORES[name]
        core_hours = seconds * gigabytes / 3600
        disks = f"{shuffled * gigabytes / 1e12:,.2f} TB | {written * gigabytes / 1e12:,.2f} TB"
        cells = f"{core_hours:,.0f} | {cores:,} | {core_hours / cores:,.1f} | {disks} | ${core_hours * price:,.0f}"
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs=2, default=[4000, 16000], metavar="N")
    parser.add_argument("--cores", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--recipe", default="gopher")
    parser.add_argument("--price", type=float, default=0.04, help="dollars a core-hour, memory and disk included")
    arguments = parser.parse_args()
    runs = []
    for count in sorted(arguments.documents):
        with tempfile.TemporaryDirectory(prefix="winnow-scale-") as folder:
            made = run(Path(folder), count, arguments.cores, arguments.recipe)
        runs.append(made)
        print(
            f"{count:,} documents, {made.text_bytes / 1e6:.1f} MB of text, {arguments.cores} cores of "
            f"{platform.machine()}: {made.seconds:.0f} s, {made.kept:,} kept, "
            f"{made.worker_bytes / 1e6:,.0f} MB in the largest Python worker",
            flush=True,
        )
    print("\n" + report(runs[0], runs[1], arguments.price))


if __name__ == "__main__":
    main()
