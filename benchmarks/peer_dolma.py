"""What dolma's Gopher tagger says of documents; run by the benchmarks in dolma's own environment.

Tasks, JSON lines in and out: ``rules`` (text → attributes), ``kernel`` (speed).
"""

from __future__ import annotations

import json
import os
import sys
import time

# The package fetches a model for another tagger when it is imported, and says so on the screen when it cannot.
sys.stdout.flush()
screen = os.dup(1)
os.dup2(2, 1)
from dolma.taggers.gopher import get_attributes  # noqa: E402

sys.stdout.flush()
os.dup2(screen, 1)


def attributes(text: str) -> dict[str, float]:
    return {span.type: span.score for span in get_attributes(text).as_spans()}


def main() -> None:
    texts = map(json.loads, sys.stdin)
    if sys.argv[1] == "rules":
        for text in texts:
            print(json.dumps(attributes(text)))
    else:
        read = list(texts)
        wall, cpu = time.perf_counter(), time.process_time()
        for text in read:
            attributes(text)
        print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
