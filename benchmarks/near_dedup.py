"""Near-duplicates: recall and precision against exact truth, speed against other tools, growth, skew, templates.

    python benchmarks/near_dedup.py quality               recall by bin beside the S-curve; precision
    python benchmarks/near_dedup.py signatures            MB/s of one core; datasketch, datatrove and rensa beside it
    python benchmarks/near_dedup.py whole [--times 4]     winnow dedup-near against datatrove's four stages
    python benchmarks/near_dedup.py growth [--times 16]   seconds and shuffled bytes of 1 to N times a text
    python benchmarks/near_dedup.py skew [--documents N]  three in five pages nearly identical
    python benchmarks/near_dedup.py template [--documents N] [--planted 1000]
                                                          all pages of one template, some pairs planted among them

Needs the test data (WINNOW_TEST_DATA, default ../shared/data beside the checkout). Other tools run in
``benchmarks/.venvs/near_dedup``, made here when it is missing: datatrove 0.10.1, datasketch 2.0.0, rensa 0.5.0.
text-dedup 0.4.1 wants Python 3.12, so it is not among them. Two cores (``--cores``). Results are JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from near_dedup_data import (  # noqa: E402
    DATA,
    Row,
    benchmark_text,
    job_seconds,
    plain_pages,
    rows_of,
    similar_pairs,
    skewed_pages,
    template_pages,
    times,
    write_documents,
    write_lines,
)

from jobs import dedup_near as job  # noqa: E402
from jobs.core import survivors  # noqa: E402
from jobs.core.recipe import DedupNear  # noqa: E402
from udfs.minhash import SketchParameters, candidate_probability, sketch  # noqa: E402

VENV = ROOT / "benchmarks" / ".venvs" / "near_dedup"
PEERS = ("datatrove==0.10.1", "spacy", "nltk", "xxhash<4", "rensa==0.5.0", "datasketch==2.0.0", "tokenizers", "orjson")
PAGE_WORDS = 80
PASSES = 3  # of which the best counts, for the other tools too
BINS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
BEFORE_VERIFICATION = ("sketches", "links", "ordinals", "members", "unsplittable", "parts", "candidates")


def peers() -> Path:
    """Python of the virtual environment of the other tools."""
    python = VENV / "bin" / "python"
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-qqq", *PEERS], check=True)
    return python


def of_peers(*arguments: str) -> Any:
    script = str(ROOT / "benchmarks" / "near_dedup_peers.py")
    done = subprocess.run([str(peers()), script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


# --------------------------------------------------------------------------------------------------- runs of the job


class Phases:
    """Seconds and shuffled bytes of each table that the job writes."""

    def __init__(self, spark: Any) -> None:
        self._spark, self._written = spark, survivors.written
        self.seconds: dict[str, float] = {}
        self.shuffled: dict[str, int] = {}

    def __enter__(self) -> Phases:
        job.written = self._measured
        return self

    def __exit__(self, *_: object) -> None:
        job.written = self._written

    def _measured(self, frame: Any, path: str, **observed: Any) -> Any:
        began, before = time.monotonic(), shuffled_bytes(self._spark)
        result = self._written(frame, path, **observed)
        name = path.rsplit("/", 1)[-1]
        self.seconds[name] = round(time.monotonic() - began, 2)
        self.shuffled[name] = shuffled_bytes(self._spark) - before
        return result


def shuffled_bytes(spark: Any) -> int:
    """Bytes that all stages so far have written for shuffles, compressed as they travel."""
    jvm, gateway = spark._jvm, spark.sparkContext._gateway
    store = spark.sparkContext._jsc.sc().statusStore()
    stages = store.stageList(
        jvm.java.util.ArrayList(), False, False, gateway.new_array(jvm.double, 0), jvm.java.util.ArrayList()
    )
    return sum(stages.apply(place).shuffleWriteBytes() for place in range(stages.size()))


def session(cores: int) -> Any:
    from jobs.core.session import build_session

    settings = {
        "spark.driver.memory": "6g",
        "spark.ui.retainedStages": "100000",
        "spark.sql.shuffle.partitions": str(cores * 8),
        "spark.local.dir": tempfile.gettempdir(),
    }
    return build_session("near-dedup benchmark", master=f"local[{cores}]", settings=settings)


def run(spark: Any, rows: Iterable[Row], folder: Path, **changes: Any) -> dict[str, Any]:
    """Write the rows, find their near-duplicates, and say what that took; the decisions are committed beside."""
    size = write_documents(rows, folder / "documents")
    documents = spark.read.parquet(str(folder / "documents"))
    began = time.monotonic()
    with Phases(spark) as phases:
        found = job.find_near(documents, DedupNear.model_validate(changes), str(folder / "work"))
        found.decisions.write.parquet(str(folder / "decisions"))
    seconds = time.monotonic() - began
    count = found.counts["documents"]
    before = sum(phases.shuffled.get(name, 0) for name in BEFORE_VERIFICATION)
    return {
        "documents": count,
        "megabytes": round(size / 1e6, 1),
        "seconds": round(seconds, 1),
        "megabytes_per_second": round(size / 1e6 / seconds, 1),
        "shuffled_bytes_a_document_before_verification": round(before / max(1, count)),
        "shuffled_bytes_a_document": {name: round(n / max(1, count), 1) for name, n in phases.shuffled.items() if n},
        "seconds_of_phases": phases.seconds,
        "counts": found.counts,
    }


def warmed(spark: Any, folder: Path) -> None:
    """A small run, so that no measured one starts workers or loads kernels."""
    run(spark, plain_pages(200, PAGE_WORDS, 1), folder / "warm-up")


def decisions_of(folder: Path) -> dict[str, tuple[str, float]]:
    """Id of each removed document with what it is a duplicate of, and how similar; ids are looked up by key."""
    documents = ds.dataset(folder / "documents").to_table(columns=["id", "key"]).to_pylist()
    names = {row["key"]: row["id"] for row in documents}
    rows = ds.dataset(folder / "decisions").to_table(columns=["key", "duplicate_of", "similarity"]).to_pylist()
    return {names[row["key"]]: (row["duplicate_of"], row["similarity"]) for row in rows}


# --------------------------------------------------------------------------------------------------------- sub-commands

SETS = {
    "planted copies of web texts": ("duplicates/planted/docs.jsonl.gz",),
    "news with plagiarised articles": (
        "duplicates/mccormick/articles_1000.jsonl.gz",
        "duplicates/mccormick/articles_2500.jsonl.gz",
    ),
    "a manual in many languages": ("corpus/debian_reference.jsonl.gz",),
    "mixed text of the benchmark": tuple(f"corpus/benchmark/part-0000{part}.jsonl.gz" for part in range(4)),
}


def quality(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    spark = session(given.cores)
    report = {}
    for place, (name, paths) in enumerate(SETS.items()):
        if all((DATA / path).is_file() for path in paths):
            report[name] = _quality_of(spark, rows_of(*paths), folder / str(place), given.preset)
    return report


def _quality_of(spark: Any, rows: list[Row], folder: Path, preset: str | None) -> dict[str, Any]:
    step = DedupNear.model_validate({"preset": preset} if preset else {})
    took = run(spark, rows, folder, **({"preset": preset} if preset else {}))
    pairs, similarity = similar_pairs([row["text"] for row in rows], step.ngram, BINS[0])
    decisions = decisions_of(folder)
    places = {row["id"]: place for place, row in enumerate(rows)}
    removed = np.zeros(len(rows), dtype=bool)
    removed[[places[name] for name in decisions]] = True
    truth = {(a, b): s for (a, b), s in zip(pairs.tolist(), similarity.tolist(), strict=True)}
    wrong = 0
    for name, (other, told) in decisions.items():
        a, b = sorted((places[name], places[other]))
        wrong += truth.get((a, b), 0.0) < step.threshold or abs(truth[a, b] - told) > 1e-9
    proposed = _proposed(spark, folder, places)
    alike = similarity >= step.threshold
    recalled = removed[pairs[:, 0]] | removed[pairs[:, 1]]
    curve = np.array([candidate_probability(s, step.bands, step.rows) for s in similarity.tolist()])
    was_proposed = np.isin(pairs[:, 0] * len(rows) + pairs[:, 1], proposed)
    bins = []
    for low, high in zip(BINS, [*BINS[1:], 1.1], strict=True):
        inside = (similarity >= low) & (similarity < high)
        count = int(inside.sum())
        if count:
            expected = float(curve[inside].mean())
            bins.append(
                {
                    "from": low,
                    "pairs": count,
                    "proposed": round(float(was_proposed[inside].mean()), 4),
                    "s_curve": round(expected, 4),
                    "standard_error": round(math.sqrt(max(0.0, expected * (1 - expected)) / count), 4),
                    "recalled": round(float(recalled[inside].mean()), 4),
                }
            )
    return {
        "documents": len(rows),
        "pairs at or above the threshold": int(alike.sum()),
        "recall": round(float(recalled[alike].mean()), 5) if alike.any() else None,
        "removed": len(decisions),
        "removed wrongly": wrong,
        "large_buckets": took["counts"]["large_buckets"],
        "bins": bins,
    }


def _proposed(spark: Any, folder: Path, places: dict[str, int]) -> np.ndarray:
    """Pairs that share a bucket, as smaller place × documents + larger place."""
    documents = spark.read.parquet(str(folder / "documents")).select(job.node_column(), "id").toArrow().to_pydict()
    place_of = {node: places[name] for node, name in zip(documents["node"], documents["id"], strict=True)}
    links = ds.dataset(folder / "work" / "links").to_table(columns=["left", "right"]).drop_null()
    ends = [np.array([place_of[node] for node in links.column(side).to_pylist()], dtype=np.int64) for side in (0, 1)]
    return np.unique(np.minimum(*ends) * len(places) + np.maximum(*ends))


def signatures(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    rows = benchmark_text()[:: max(1, given.every)]
    texts = [row["text"] for row in rows]
    size = sum(len(text.encode()) for text in texts) / 1e6
    batches = [pa.array(texts[begin : begin + 500]) for begin in range(0, len(texts), 500)]
    found: dict[str, Any] = {"megabytes": round(size, 1)}
    for num_perm, bands in ((112, 14), (128, 16), (256, 32)):
        parameters = SketchParameters(num_perm=num_perm, bands=bands)
        sketch(batches[0], parameters)
        found[f"winnow, {num_perm}"] = round(size / min(seconds_of_pass(batches, parameters) for _ in range(PASSES)), 1)
    write_lines(rows, folder / "texts", 1)
    found.update(of_peers("signatures", str(folder / "texts" / "000.jsonl")))
    return found


def seconds_of_pass(batches: list[pa.Array], parameters: SketchParameters) -> float:
    began = time.process_time()
    for batch in batches:
        sketch(batch, parameters)
    return time.process_time() - began


def whole(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    rows = benchmark_text()
    found: dict[str, Any] = {}
    source = folder / "input"
    size = write_lines(times(rows, given.times), source, 4)
    for name, step in (("14 × 8, from .75", {"preset": "fineweb"}), ("defaults, 32 × 8, from .8", {})):
        out = folder / f"out-{len(found)}"
        seconds = job_seconds("dedup-near", {"steps": {"dedup_near": step}}, source, out, given.cores)
        found[f"winnow dedup-near, {name}, {given.times} × the text"] = {
            "megabytes": round(size / 1e6, 1),
            "seconds": round(seconds, 1),
            "megabytes_per_second": round(size / 1e6 / seconds, 1),
            "totals": json.loads((out / "ledger.json").read_text())["totals"],
        }
    if not given.no_peers:
        size = write_lines(rows, folder / "once", 4)
        theirs = of_peers("datatrove", str(folder / "once"), str(folder / "datatrove"), "4")
        seconds = sum(theirs["seconds"])
        pairs, _ = similar_pairs([row["text"] for row in rows], 5, 0.8)
        kept, ids = set(theirs["kept"]), [row["id"] for row in rows]
        recalled = [ids[a] not in kept or ids[b] not in kept for a, b in pairs.tolist()]
        found["datatrove's four stages, 14 × 8, 1 × the text"] = {
            "megabytes": round(size / 1e6, 1),
            "seconds": round(seconds, 1),
            "seconds_of_stages": theirs["seconds"],
            "megabytes_per_second": round(size / 1e6 / seconds, 2),
            "kept": len(kept),
            "recall of pairs from .8": round(float(np.mean(recalled)), 4),
        }
    return found


def growth(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    spark = session(given.cores)
    warmed(spark, folder)
    rows = rows_of("corpus/benchmark/part-00000.jsonl.gz")
    runs = []
    factor = 1
    while factor <= given.times:
        runs.append({"times": factor, **run(spark, times(rows, factor), folder / str(factor))})
        factor *= 4
    first, last = runs[0], runs[-1]
    exponent = math.log(last["seconds"] / first["seconds"]) / math.log(last["megabytes"] / first["megabytes"])
    return {"runs": runs, "growth_exponent": round(exponent, 3)}


def beside_unlike_pages(
    given: argparse.Namespace, folder: Path, kinds: Mapping[str, Callable[[], Iterable[Row]]]
) -> dict[str, Any]:
    """Take pages of two kinds, unlike ones first, through the step alone and through whole jobs."""
    spark = session(given.cores)
    warmed(spark, folder)
    steps = {name: run(spark, rows(), folder / name) for name, rows in kinds.items()}
    spark.stop()
    # These pages are what the gates are for.
    recipe = {"gates": {"max_cluster_fraction": 1.0, "max_removed_fraction": 1.0}, "steps": {"dedup_near": {}}}
    jobs = {}
    for name, rows in kinds.items():
        write_lines(rows(), folder / f"{name}-lines", 2 * given.cores)
        source, out = folder / f"{name}-lines", folder / f"{name}-out"
        jobs[name] = round(job_seconds("dedup-near", recipe, source, out, given.cores), 1)
    plain, other = kinds
    return {
        "times_as_long": round(jobs[other] / jobs[plain], 2),
        "times_as_long_step_alone": round(steps[other]["seconds"] / steps[plain]["seconds"], 2),
        "seconds_of_whole_jobs": jobs,
        **steps,
    }


def skew(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    kinds = {
        "plain": lambda: plain_pages(given.documents, PAGE_WORDS, 2),
        "skewed": lambda: skewed_pages(given.documents, PAGE_WORDS),
    }
    found = beside_unlike_pages(given, folder, kinds)
    return {**found, "removed": found["skewed"]["counts"]["removed"], "alike": given.documents * 3 // 5}


def template(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    words = 119  # of a template page on average
    kinds = {
        "plain": lambda: plain_pages(given.documents, words, 3),
        "template": lambda: template_pages(given.documents, given.planted),
    }
    found = beside_unlike_pages(given, folder, kinds)
    decisions = decisions_of(folder / "template")
    planted = sum(f"copy{n:07}" in decisions or f"page{n:07}" in decisions for n in range(given.planted))
    return {
        **found,
        "planted pairs found": round(planted / given.planted, 4),
        "removed below the threshold": sum(similarity < 0.8 for _, similarity in decisions.values()),
    }


COMMANDS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "quality": quality,
    "signatures": signatures,
    "whole": whole,
    "growth": growth,
    "skew": skew,
    "template": template,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=COMMANDS)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--planted", type=int, default=1000)
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--every", type=int, default=4, help="signatures: take one document in N")
    parser.add_argument("--preset", help="quality: a preset of dedup_near instead of the defaults")
    parser.add_argument("--no-peers", action="store_true", help="whole: Winnow only")
    given = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"test data is absent: no folder {DATA} (set WINNOW_TEST_DATA)")
    with tempfile.TemporaryDirectory(prefix="near-dedup-") as folder:
        print(json.dumps(COMMANDS[given.what](given, Path(folder)), indent=1, default=str))


if __name__ == "__main__":
    main()
