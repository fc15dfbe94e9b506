"""How long a report takes and how large it is, for a run of many documents.

    python benchmarks/report.py RUN [--documents 1000000] [--folder DIR]

RUN is the output of a finished run, such as the demo's. Its tables are repeated under new keys and ids until there are
so many documents, in row groups as Spark writes them; then the report is written in a process of its own. Prints its
seconds, its size, and the largest memory of that process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from udfs.document_key import document_key

ROW_GROUP = 50_000
FILES = 8


def main(argv: Sequence[str] | None = None) -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--documents", type=int, default=1_000_000)
    arguments.add_argument("--folder", type=Path, help="where the repeated run goes (default: a temporary folder)")
    chosen = arguments.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        repeated = Path(folder) / "run"
        documents, text_bytes = repeat(chosen.run, repeated, chosen.documents)
        print(
            f"{documents:,} documents, {text_bytes / 1e9:.2f} GB of text, {size_of(repeated) / 1e9:.2f} GB of Parquet"
        )
        page = Path(folder) / "report.html"
        started = time.monotonic()
        command = [sys.executable, "-m", "jobs.report", str(repeated), "--output", str(page)]
        subprocess.run(command, check=True, cwd=Path(__file__).resolve().parent.parent)
        seconds = time.monotonic() - started
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        print(f"report: {seconds:.1f} s, {page.stat().st_size / 1e6:.2f} MB, at most {memory / 1e9:.2f} GB of memory")


def repeat(run: Path, target: Path, documents: int) -> tuple[int, int]:
    """Write the tables of a run until there are ``documents`` signal rows; (documents, text bytes)."""
    times = -(-documents // ds.dataset(run / "signals").count_rows())
    text_bytes = 0
    for folder in sorted(each for each in run.iterdir() if each.is_dir()):
        table = ds.dataset(folder, format="parquet").to_table()
        (target / folder.name).mkdir(parents=True)
        if "key" not in table.column_names:
            pq.write_table(table, target / folder.name / "part-0.parquet")
            continue
        if "text" in table.column_names:
            text_bytes += times * (pc.sum(pc.binary_length(table["text"])).as_py() or 0)
        for file in range(FILES):
            write(table, target / folder.name / f"part-{file}.parquet", range(file, times, FILES))
    ledger = json.loads((run / "ledger.json").read_text())
    multiply(ledger, times)
    (target / "ledger.json").write_text(json.dumps(ledger))
    return ledger["totals"]["kept"] + ledger["totals"]["removed"], text_bytes


def write(table: pa.Table, path: Path, rounds: range) -> None:
    """One file with a copy of the table for each round, under keys and ids of its own."""
    if not rounds:
        return
    per_group = max(1, ROW_GROUP // max(1, table.num_rows))
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for begin in range(0, len(rounds), per_group):
            copies = [renamed(table, number) for number in rounds[begin : begin + per_group]]
            writer.write_table(pa.concat_tables(copies).combine_chunks(), row_group_size=ROW_GROUP)


def renamed(table: pa.Table, number: int) -> pa.Table:
    if number == 0:
        return table  # examples and clusters keep finding their documents
    suffix = f"-{number}".encode()
    keys = [document_key(key + suffix, None, None) for key in table["key"].to_pylist()]
    return table.set_column(
        table.schema.get_field_index("key"), table.schema.field("key"), pa.array(keys, table.schema.field("key").type)
    )


def multiply(record: object, times: int) -> None:
    """Multiply the counts of a ledger, in place."""
    if isinstance(record, dict):
        for name, value in record.items():
            counted = name in ("totals", "stages", "rules", "facts") or isinstance(value, dict | list)
            if isinstance(value, int) and not isinstance(value, bool) and name in COUNTS:
                record[name] = value * times
            elif counted and name not in ("recipe", "definition_versions"):
                if name == "rules":
                    record[name] = {rule: count * times for rule, count in value.items()}
                else:
                    multiply(value, times)
    elif isinstance(record, list):
        for each in record:
            multiply(each, times)


COUNTS = frozenset(
    ("read", "kept", "removed", "quarantined", "ignored", "bytes", "words", "kept_text_bytes", "unsupported_language")
)


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
