"""How many bytes a corpus remembers of a document, and how many of them a refresh scans. Starts no Spark.

    python benchmarks/refresh_state.py [--documents 6000] [--words 150]

Pages of random words with ids as WARC records have them (47 characters), by the default settings of the three steps.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import tempfile
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCANNED = ("url", "exact", "bands")


def pages(documents: int, words: int) -> pa.Table:
    """Documents as a data file of a corpus holds them, as far as state is made from them."""
    random_, rows = random.Random(1), []
    for number in range(documents):
        url = f"https://a{number % 97}.example/{number}"
        rows.append(
            {
                "key": hashlib.blake2b(url.encode(), digest_size=16).digest(),
                "id": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, url)}>",
                "text": " ".join(f"w{random_.randrange(50_000)}" for _ in range(words)),
                "url": url,
                "source": "web",
                "language": "en",
            }
        )
    return pa.Table.from_pylist(rows)


def main() -> int:
    """Write one data file and its state, and print bytes a document by column."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--documents", type=int, default=6000)
    arguments.add_argument("--words", type=int, default=150)
    given = arguments.parse_args()
    from jobs.core.recipe import DedupExact, DedupNear, DedupUrl
    from jobs.core.state import STATE_SCHEMA, Scopes, _write_one, column_bytes

    whole = Scopes("global", {})
    steps = [("dedup_url", DedupUrl(), whole), ("dedup_exact", DedupExact(), whole), ("dedup_near", DedupNear(), whole)]
    with tempfile.TemporaryDirectory() as temporary:
        documents, state = Path(temporary) / "documents.parquet", Path(temporary) / "state.parquet"
        pq.write_table(pages(given.documents, given.words), documents)
        size = _write_one(str(documents), str(state), steps)
        metadata = pq.read_metadata(state)
        groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
        columns = {name: sum(column_bytes(group, [name]) for group in groups) for name in STATE_SCHEMA.names}
    for name, stored in columns.items():
        print(f"{name}: {stored / given.documents:.1f} bytes a document")
    print(f"state: {size / given.documents:.1f} bytes a document")
    print(f"scanned by a refresh: {sum(columns[name] for name in SCANNED) / given.documents:.1f} bytes a document")
    return 0


if __name__ == "__main__":
    sys.exit(main())
