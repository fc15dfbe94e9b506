"""How long ``winnow tune`` takes on a run of many documents, start-up included.

    python benchmarks/tune.py [--rows 1000000] [--repeats 3] [--folder DIR]

Writes a finished run of so many documents with made-up signals (recipe gopher, 20 languages, one of ten passing
documents a duplicate), then starts the command in a process of its own, and prints the seconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jobs.core.array_rules import ArrayRules
from jobs.core.profiles import bounds_for
from jobs.core.recipe_file import resolve_recipe
from jobs.core.rule_names import FILTER_QUALITY, FILTER_REPETITION

ROWS_A_FILE = 125_000
OVERRIDES = ("steps.filter_quality.word_count.min=80", "steps.filter_repetition.top_2gram_char_fraction.max=0.25")
STEPS = ("filter_content", "filter_quality", "filter_repetition")


def main() -> None:
    """Write the run and time the command on it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--folder", type=Path, help="where the run is written (default: a temporary folder)")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run = (chosen.folder or Path(temporary)) / "run"
        if not run.exists():
            write_run(run, chosen.rows)
        command = [sys.executable, "-m", "jobs.cli", "tune", str(run)]
        for override in OVERRIDES:
            command += ["--set", override]
        for _ in range(chosen.repeats):
            started = time.perf_counter()
            shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            print(f"{time.perf_counter() - started:.1f} s for {chosen.rows:,} rows")
        print(shown)


def write_run(folder: Path, rows: int) -> None:
    """Write a finished run with made-up signals: tables ``signals`` and ``removed``, and the ledger."""
    resolved = resolve_recipe("gopher")
    rules = ArrayRules(bounds_for(resolved.recipe, resolved.packs), STEPS)
    counts = dict.fromkeys((*STEPS, "dedup_exact"), 0)
    for name in ("signals", "removed"):
        (folder / name).mkdir(parents=True)
    for begin in range(0, rows, ROWS_A_FILE):
        batch = made_up(begin, min(ROWS_A_FILE, rows - begin))
        verdicts = rules.decide(batch)
        place = np.random.default_rng(begin).random(batch.num_rows)
        duplicate = verdicts.passes & (place < 0.1)
        stages = np.array([*STEPS, None], dtype=object)[verdicts.stage]
        stages[duplicate] = "dedup_exact"
        for step in counts:
            counts[step] += int((stages == step).sum())
        write_signals(folder / "signals" / f"part-{begin}.parquet", batch, pa.array(stages, pa.string()))
        keys = batch.column("key")
        kept = keys.filter(pa.array(verdicts.passes & ~duplicate))
        gone = keys.filter(pa.array(duplicate))
        represented = kept.take(pa.array(np.arange(len(gone)) % max(1, len(kept))))
        removed = pa.table({"key": gone, "duplicate_of_key": represented})
        pq.write_table(removed, folder / "removed" / f"part-{begin}.parquet", compression="zstd")
    stages_, left = [{"stage": "ingest", "read": rows, "kept": rows}], rows
    for step, count in counts.items():
        stages_.append({"stage": step, "read": left, "kept": left - count})
        left -= count
    totals = {"read": rows, "kept": left, "removed": rows - left}
    ledger = {"run_id": "made-up", "recipe": dict(resolved.as_dict), "totals": totals, "stages": stages_}
    (folder / "ledger.json").write_text(json.dumps(ledger))


def made_up(begin: int, rows: int) -> pa.RecordBatch:
    """Documents with signals drawn at random: most within the bounds of the recipe gopher."""
    random = np.random.default_rng(begin + 1)
    languages = np.array(["en", "de", "fr", "es", "zh", "ru", "ja", "it", "pt", "nl"] + [f"x{n}" for n in range(10)])
    columns: dict[str, pa.Array] = {
        "key": _keys(random, rows),
        "id": pa.array([f"document-{begin + row}" for row in range(rows)]),
        "source": pa.array(np.array(["a", "b", "c"])[random.integers(0, 3, rows)]),
        "language": pa.array(languages[np.minimum(random.geometric(0.3, rows) - 1, len(languages) - 1)]),
        "text_bytes": pa.array(random.integers(100, 20_000, rows)),
        "language_score": pa.array(random.random(rows)),
    }
    for name, rule in {**FILTER_QUALITY, **FILTER_REPETITION}.items():
        whole = {"word_count": 600.0, "stop_word_count": 9.0, "mean_line_chars": 80.0, "longest_line_chars": 400.0}
        if name == "mean_word_length":
            values = random.normal(5.0, 1.0, rows)
        elif name == "alpha_word_fraction":
            values = 1.0 - random.exponential(0.05, rows)
        else:
            values = random.exponential(whole.get(name, 0.04), rows)
        is_count = rule.unit in ("words", "occurrences") or name == "longest_line_chars"
        columns[name] = pa.array(values.astype(np.int64) if is_count else values)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _keys(random: np.random.Generator, rows: int) -> pa.Array:
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), rows, [None, pa.py_buffer(random.bytes(16 * rows))])
    return fixed.cast(pa.binary())


def write_signals(path: Path, batch: pa.RecordBatch, stage: pa.Array) -> None:
    """The batch as a run writes it: signals in one struct, the stage that removes a document at the end."""
    plain = ("key", "id", "source", "language", "text_bytes", "language_score")
    names = [name for name in batch.schema.names if name not in plain]
    signals = pa.StructArray.from_arrays([batch.column(name) for name in names], names)
    columns = {**{name: batch.column(name) for name in plain}, "signals": signals, "stage": stage}
    pq.write_table(pa.table(columns), path, compression="zstd")


if __name__ == "__main__":
    main()
