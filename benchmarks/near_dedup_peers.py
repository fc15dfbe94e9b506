"""Other tools on the same text; run by `near_dedup.py` in a virtual environment of their own.

python near_dedup_peers.py signatures TEXTS.jsonl        MB/s of one core for each
python near_dedup_peers.py datatrove INPUT WORK TASKS    its four stages; seconds and the ids that are kept
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

NGRAM = 5
LEAST_SECONDS = 6.0
PASSES = 3


def texts_of(path: str) -> list[str]:
    with Path(path).open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def shingles(text: str) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[i : i + NGRAM]) for i in range(max(1, len(words) - NGRAM + 1))]


def speed(sign: Callable[[str], object], texts: list[str]) -> float:
    """MB/s over as many texts as fit the time, the best of three passes, as for Winnow."""
    sign(texts[0])
    return max(speed_of_pass(sign, texts) for _ in range(PASSES))


def speed_of_pass(sign: Callable[[str], object], texts: list[str]) -> float:
    size, started = 0, time.process_time()
    for text in texts:
        sign(text)
        size += len(text.encode())
        if time.process_time() - started > LEAST_SECONDS:
            break
    return size / 1e6 / (time.process_time() - started)


def by_datasketch(num_perm: int) -> Callable[[str], object]:
    import xxhash
    from datasketch import MinHash

    def sign(text: str) -> object:
        made = MinHash(num_perm=num_perm, seed=1, scheme="affine32", hashfunc=xxhash.xxh32_intdigest)
        made.update_batch([shingle.encode() for shingle in shingles(text)])
        return made

    return sign


def by_rensa(num_perm: int) -> Callable[[str], object]:
    from rensa import RMinHash

    def sign(text: str) -> object:
        made = RMinHash(num_perm=num_perm, seed=1)
        made.update(shingles(text))
        return made.digest()

    return sign


def by_datatrove(split: bool) -> Callable[[str], object]:
    from datatrove.pipeline.dedup import MinhashDedupSignature

    stage = MinhashDedupSignature("/tmp/unused")
    if split:
        stage.word_tokenizer.word_tokenize = str.split

    def sign(text: str) -> object:
        found = stage.get_shingles(text)
        return stage.get_signature(found) if found.size else None

    return sign


def signatures(path: str) -> dict[str, float]:
    texts = texts_of(path)
    makers = {
        "datasketch update_batch, xxhash, 128": lambda: by_datasketch(128),
        "datasketch update_batch, xxhash, 256": lambda: by_datasketch(256),
        "rensa RMinHash, 128": lambda: by_rensa(128),
        "rensa RMinHash, 256": lambda: by_rensa(256),
        "datatrove MinhashDedupSignature, 112": lambda: by_datatrove(split=False),
        "datatrove with str.split, 112": lambda: by_datatrove(split=True),
    }
    return {name: round(speed(make(), texts), 3) for name, make in makers.items()}


def datatrove(source: str, work: str, tasks: int) -> dict[str, object]:
    """The four stages of its example, with as many processes as cores, 14 buckets of 8 hashes of 5-grams."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
    from datatrove.pipeline.dedup import MinhashDedupSignature as Signature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    config = MinhashConfig(n_grams=NGRAM)
    folders = {name: f"{work}/{name}" for name in ("signatures", "buckets", "remove", "kept", "logs")}
    reader = JsonlReader(source)
    writer = JsonlWriter(folders["kept"], compression=None)
    stages = [
        ([reader, Signature(folders["signatures"], config=config)], tasks),
        ([MinhashDedupBuckets(folders["signatures"], folders["buckets"], config=config)], config.num_buckets),
        ([MinhashDedupCluster(folders["buckets"], folders["remove"], config=config)], 1),
        ([reader, MinhashDedupFilter(folders["remove"]), writer], tasks),
    ]
    seconds = []
    for place, (pipeline, count) in enumerate(stages):
        started = time.monotonic()
        LocalPipelineExecutor(
            pipeline=pipeline, tasks=count, workers=min(count, 2), logging_dir=f"{folders['logs']}/{place}"
        ).run()
        seconds.append(round(time.monotonic() - started, 1))
    kept = [json.loads(line)["id"] for path in Path(folders["kept"]).rglob("*.jsonl") for line in path.open()]
    return {"seconds": seconds, "kept": kept}


if __name__ == "__main__":
    if sys.argv[1] == "signatures":
        print(json.dumps(signatures(sys.argv[2])))
    else:
        print(json.dumps(datatrove(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
