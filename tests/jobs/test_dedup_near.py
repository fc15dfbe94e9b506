"""Near-duplicates from documents: both policies against brute force, invariance, guards, and planted duplicates."""

from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs import dedup_near as job
from jobs.core.recipe import DedupNear
from jobs.core.survivors import Duplicates
from jobs.dedup_near import find_near, most_mismatches
from udfs.minhash import SketchParameters, candidate_probability, sketch
from udfs.reference import resolution as reference
from udfs.reference.minhash import band_hash, bit_planes, signature
from udfs.reference.shingles import jaccard, shingles
from udfs.shingles import distinct_shingles

Documents = Callable[..., Any]
Row = dict[str, Any]
SMALL = {"ngram": 2, "threshold": 0.5, "num_perm": 12, "bands": 4, "rows": 3}


def step(**changes: Any) -> DedupNear:
    return DedupNear.model_validate({"keep": ["longest"], **changes})


def removed(documents: Any, found: Duplicates) -> dict[str, tuple[str, float | None, str | None]]:
    """(survivor, similarity, via) of each removed document, by ids, which the tests keep unique."""
    names = {(row["key"], row["copy"]): row["id"] for row in documents.select("id", "key", "copy").collect()}
    return {
        names[row["key"], row["copy"]]: (row["duplicate_of"], row["similarity"], row["via"])
        for row in found.decisions.collect()
    }


def of_length(rows: Iterable[Row]) -> list[str]:
    """Ids, best first, by `keep: [longest]`."""
    return [row["id"] for row in sorted(rows, key=lambda row: (-len(row["text"]), row["id"].encode()))]


# --------------------------------------------------------------------------------------------- brute force, by the book


def candidate_pairs(rows: list[Row], parameters: DedupNear) -> dict[tuple[str, str], float]:
    """Pairs that share a band and pass the pre-test, with their Jaccard similarity: from the plain definitions."""
    sets, signatures = {}, {}
    for row in rows:
        found = shingles(row["text"], parameters.ngram)
        if found:
            sets[row["id"]] = set(found)
            signatures[row["id"]] = signature(found, parameters.num_perm, parameters.seed)
    buckets = defaultdict(list)
    for name, values in signatures.items():
        for band in range(parameters.bands):
            buckets[band_hash(values, band, parameters.rows)].append(name)
    planes = {name: bit_planes(values) for name, values in signatures.items()}
    pairs = {pair for bucket in buckets.values() for pair in combinations(sorted(bucket), 2)}
    return {
        (a, b): jaccard(sets[a], sets[b])
        for a, b in pairs
        if differing(planes[a], planes[b]) <= most_mismatches(parameters)
    }


def differing(a: list[int], b: list[int]) -> int:
    half = len(a) // 2
    return sum((((a[i] ^ b[i]) | (a[half + i] ^ b[half + i])) % (1 << 64)).bit_count() for i in range(half))


def by_the_book(rows: list[Row], parameters: DedupNear) -> dict[str, tuple[str, float | None, str | None]]:
    verified = {pair: s for pair, s in candidate_pairs(rows, parameters).items() if s >= parameters.threshold}
    similarity = verified | {(b, a): s for (a, b), s in verified.items()}
    ranked = of_length(rows)
    place = {name: i for i, name in enumerate(ranked)}
    as_places = [(place[a], place[b]) for a, b in verified]
    if parameters.policy == "representative":
        kept = reference.representatives(range(len(ranked)), as_places)
        return {ranked[i]: (ranked[j], similarity[ranked[i], ranked[j]], None) for i, j in kept.items()}
    expected: dict[str, tuple[str, float | None, str | None]] = {}
    for i, best in reference.components(range(len(ranked)), as_places).items():
        name, survivor = ranked[i], ranked[best]
        if i == best:
            continue
        direct = similarity.get((name, survivor))
        near = max((s, -place[b]) for (a, b), s in similarity.items() if a == name)
        expected[name] = (survivor, direct, None if direct is not None else ranked[-near[1]])
    return expected


def corpus(seed: int) -> list[Row]:
    """A few pages and edited copies of them, chains of edits included; short, empty and equal ones too."""
    draw = random.Random(seed)
    texts = [[draw.choice("abcdefgh") for _ in range(draw.randrange(12))] for _ in range(4)]
    for _ in range(draw.randrange(4, 14)):
        words = list(draw.choice(texts))
        for _ in range(draw.randrange(3)):
            words.insert(draw.randrange(len(words) + 1), draw.choice("abcdefgh"))
            if draw.random() < 0.5:
                words.pop(draw.randrange(len(words)))
        texts.append(words)
    joiner = draw.choice([" ", ", ", "\n"])
    return [
        {"id": f"{seed}/{i}", "text": joiner.join(words), "source": f"c{seed}"}
        for i, words in enumerate(draw.sample(texts, len(texts)))
    ]


CORPORA = [corpus(seed) for seed in range(200)]


@pytest.mark.parametrize("policy", ["representative", "component"])
def test_on_200_small_corpora_the_result_is_that_of_brute_force(
    make_documents: Documents, workspace: str, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    parameters = step(**SMALL, policy=policy, scope="source")
    expected = {name: told for rows in CORPORA for name, told in by_the_book(rows, parameters).items()}
    assert len(expected) > 300
    documents = make_documents([row for rows in CORPORA for row in rows], files=3)
    in_one_task = find_near(documents, parameters, workspace)
    assert removed(documents, in_one_task) == expected
    # The same in rounds, with the bitmap in place of the broadcast.
    monkeypatch.setattr(job, "BROADCAST_ROWS", 0)
    rounds = find_near(
        documents, parameters.model_copy(update={"max_task_pairs": 0, "max_rounds": 50}), workspace + "-rounds"
    )
    assert rounds.counts["rounds"] > 0 == rounds.counts["near_unresolved"]
    assert sorted(map(repr, rounds.decisions.collect())) == sorted(map(repr, in_one_task.decisions.collect()))


# -------------------------------------------------------------------------------------------------- graphs of documents


def chain(length: int) -> list[Row]:
    """Documents each 0.8 similar to the next and 0.64 to the one after: nine words that move on by one."""
    return [{"id": f"p{i:05}", "text": " ".join(f"w{j:06}" for j in range(i, i + 9))} for i in range(length)]


def star(leaves: int) -> list[Row]:
    """A page and pages that are 0.8 similar to it and 0.64 to each other, or less."""
    draw = random.Random(5)
    words = [f"s{j:05}" for j in range(90)]
    pages = [{"id": "star", "text": " ".join(words)}]
    for leaf in range(leaves):
        gone = set(draw.sample(words, 10))
        own = [f"l{leaf}x{j}" for j in range(10)]
        pages.append({"id": f"leaf{leaf:04}", "text": " ".join([w for w in words if w not in gone] + own)})
    return pages


def clique(size: int) -> list[Row]:
    words = " ".join(f"k{j:05}" for j in range(200))
    return [{"id": f"k{i:04}", "text": f"{words} own{i}"} for i in range(size)]


def power_law(count: int) -> list[Row]:
    """Clusters of sizes after a power law, each a page and copies with up to three words changed."""
    draw = random.Random(11)
    rows: list[Row] = []
    while len(rows) < count:
        page = len(rows)
        words = [f"z{page}x{j}" for j in range(60)]
        for copy in range(int(draw.paretovariate(1.1))):
            changed = {j: f"c{page}x{copy}x{j}" for j in draw.sample(range(60), draw.randrange(4))}
            rows.append({"id": f"z{page:05}-{copy}", "text": " ".join(changed.get(j, w) for j, w in enumerate(words))})
    return rows[:count]


def same_by_kernels(rows: list[Row], parameters: DedupNear) -> set[str]:
    """The removed documents by greedy choice over candidate pairs, with compiled sketches: for larger inputs."""
    text = pa.array([row["text"] for row in rows])
    sketches = sketch(
        text, SketchParameters(parameters.ngram, None, parameters.num_perm, 1, parameters.bands, parameters.rows)
    )
    bands, planes = sketches.bands, sketches.planes.tolist()
    buckets = defaultdict(list)
    for i, j in np.ndindex(*bands.shape):
        buckets[bands[i, j]].append(i)
    assert max(map(len, buckets.values())) <= parameters.max_bucket
    hashes, offsets = distinct_shingles(text, parameters.ngram)
    sets = [set(hashes[offsets[i] : offsets[i + 1]].tolist()) for i in range(len(rows))]
    pairs = {pair for bucket in buckets.values() for pair in combinations(bucket, 2)}
    verified = [
        (a, b)
        for a, b in pairs
        if jaccard(sets[a], sets[b]) >= parameters.threshold
        and differing(planes[a], planes[b]) <= most_mismatches(parameters)
    ]
    place = {row["id"]: i for i, row in enumerate(rows)}
    ranked = [place[name] for name in of_length(rows)]
    return {rows[i]["id"] for i in reference.representatives(ranked, verified)}


@pytest.mark.parametrize("size", [300, pytest.param(4096, marks=pytest.mark.slow)])
def test_paths_stars_cliques_and_power_laws_are_resolved_greedily(
    make_documents: Documents, workspace: str, size: int
) -> None:
    rows = chain(size) + star(size // 10) + clique(50) + power_law(size)
    parameters = step(ngram=1, max_bucket=5000)
    documents = make_documents(rows, files=2)
    in_one_task = find_near(documents, parameters, workspace)
    assert set(removed(documents, in_one_task)) == same_by_kernels(rows, parameters)
    # A path ranked along it takes a round for every other document: after two, the rest goes to one task.
    some = parameters.model_copy(update={"max_task_pairs": in_one_task.counts["verified"] - 5, "max_rounds": 2})
    mixed = find_near(documents, some, workspace + "-mixed")
    assert mixed.counts["rounds"] > 0 == mixed.counts["near_unresolved"]
    assert removed(documents, mixed) == removed(documents, in_one_task)


def test_what_is_undecided_after_the_last_round_is_kept_and_counted(make_documents: Documents, workspace: str) -> None:
    documents = make_documents(chain(60))
    whole = removed(documents, find_near(documents, step(ngram=1), workspace))
    found = find_near(documents, step(ngram=1, max_rounds=3, max_task_pairs=1), workspace + "-short")
    part = removed(documents, found)
    assert found.counts["rounds"] == 3
    assert found.counts["near_unresolved"] > 0
    assert part.items() <= whole.items()
    assert 0 < len(part) < len(whole)


def test_a_component_that_is_not_finished_keeps_too_much_and_loses_nothing(
    make_documents: Documents, workspace: str
) -> None:
    documents = make_documents(chain(200))
    found = find_near(documents, step(ngram=1, policy="component", max_rounds=2, max_task_pairs=1), workspace)
    decisions = removed(documents, found)
    assert found.counts["near_unresolved"] > 0
    assert not {survivor for survivor, _, _ in decisions.values()} & set(decisions)


# ----------------------------------------------------------------------------------------------------------- invariance


@pytest.fixture
def setting(spark: Any) -> Iterator[Callable[[str, str], None]]:
    """Set a Spark SQL setting until the end of the test."""
    before: dict[str, str] = {}

    def change(name: str, value: str) -> None:
        before.setdefault(name, spark.conf.get(name))
        spark.conf.set(name, value)

    yield change
    for name, value in before.items():
        spark.conf.set(name, value)


def test_order_and_partitions_make_no_difference_and_a_second_run_removes_nothing(
    make_documents: Documents, workspace: str, setting: Callable[[str, str], None]
) -> None:
    draw = random.Random(1)
    rows = [{**row, "copy": 0} for rows in CORPORA[:60] for row in rows]
    results = set()
    for files, partitions, adaptive in ((1, 1, "true"), (3, 5, "false"), (7, 7, "true")):
        draw.shuffle(rows)
        setting("spark.sql.shuffle.partitions", str(partitions))
        setting("spark.sql.adaptive.enabled", adaptive)
        documents = make_documents(rows, files)
        found = find_near(documents, step(**SMALL), f"{workspace}-{files}")
        results.add(tuple(sorted(map(repr, found.decisions.collect()))))
    assert len(results) == 1
    kept = documents.join(found.decisions, ["key", "copy"], "left_anti")
    kept_keys = {row["key"] for row in kept.select("key").collect()}
    assert {row["duplicate_of_key"] for row in found.decisions.collect()} <= kept_keys
    assert find_near(kept, step(**SMALL), workspace + "-again").decisions.count() == 0


def test_a_scope_gives_what_separate_runs_give(make_documents: Documents, workspace: str) -> None:
    rows = [{**row, "metadata": json.dumps({"dump": row["source"][-1]})} for rows in CORPORA[:40] for row in rows]
    documents = make_documents(rows)
    together = removed(documents, find_near(documents, step(**SMALL, scope="dump"), workspace))
    apart: dict[str, Any] = {}
    for dump in ("0", "7"):
        part = documents.where(f"metadata = '{json.dumps({'dump': dump})}'")
        apart |= removed(part, find_near(part, step(**SMALL), f"{workspace}-{dump}"))
    chosen = {row["id"] for row in rows if row["source"][-1] in "07"}
    assert {name: told for name, told in together.items() if name in chosen} == apart != {}


def test_of_a_cluster_across_sources_the_preferred_one_stays_every_time(
    make_documents: Documents, workspace: str
) -> None:
    draw = random.Random(3)
    rows = []
    for page in range(40):
        words = [f"p{page}w{place}" for place in range(60)]
        for rank, source in enumerate(draw.sample(["books", "web", "forum"], 3)):
            # The longer a copy, the worse its source: only the rank can be the reason to keep it.
            text = " ".join([*words, *[f"e{page}{extra}" for extra in range(rank)]])
            rows.append({"id": f"{page:02}{source}", "text": text, "source": source, "source_rank": rank})
    documents = make_documents(draw.sample(rows, len(rows)), files=3)
    preferred = {row["id"][:2]: row["id"] for row in rows if row["source_rank"] == 0}
    for policy in ("representative", "component"):
        found = find_near(documents, step(keep=["source_rank", "longest"], policy=policy), f"{workspace}-{policy}")
        decisions = removed(documents, found)
        assert len(decisions) == 80
        assert {survivor for survivor, _, _ in decisions.values()} == set(preferred.values())
        assert all(survivor == preferred[name[:2]] for name, (survivor, _, _) in decisions.items())


# --------------------------------------------------------------------------------------------------------------- guards


def test_short_documents_take_part_and_empty_ones_are_not_merged(make_documents: Documents, workspace: str) -> None:
    texts = {"a": "one two", "b": "One, two!", "c": "one three", "d": "", "e": " ", "f": "...", "g": "- -", "h": None}
    documents = make_documents([{"id": name, "text": text} for name, text in texts.items()])
    assert removed(documents, find_near(documents, step(), workspace)) == {"a": ("b", 1.0, None)}


def test_nothing_to_remove_and_nothing_at_all_are_fine(make_documents: Documents, workspace: str) -> None:
    for rows in ([{"id": "a", "text": "one page"}, {"id": "b", "text": "quite another"}], []):
        found = find_near(make_documents(rows), step(), workspace)
        assert found.decisions.count() == found.clusters.count() == 0
        assert found.counts["documents"] == len(rows)


def test_buckets_too_large_are_split_and_near_identical_pages_still_found(
    make_documents: Documents, workspace: str
) -> None:
    draw = random.Random(9)
    base = [f"w{i}" for i in range(300)]

    def edited(count: int) -> str:
        changed = {place: f"x{draw.getrandbits(40)}" for place in draw.sample(range(300), count)}
        return " ".join(changed.get(i, word) for i, word in enumerate(base))

    pages = [{"id": f"near{i:03}", "text": edited(1)} for i in range(200)]
    equal = [{"id": f"same{i:03}", "text": "one and the same page of a cookie wall"} for i in range(100)]
    unlike = [{"id": f"unlike{i:03}", "text": edited(50)} for i in range(50)]
    documents = make_documents(pages + equal + unlike, files=2)
    found = find_near(documents, step(max_bucket=8), workspace)
    decisions = removed(documents, found)
    assert found.counts["large_buckets"] > 0 < found.counts["unsplittable_parts"]
    assert found.counts["candidate_pairs"] < 350 * 32  # linear: all pairs would be 60 000
    assert {name for name in decisions if name.startswith("same")} == {f"same{i:03}" for i in range(1, 100)}
    assert len([name for name in decisions if name.startswith("near")]) == 199
    assert not [name for name in decisions if name.startswith("unlike")]
    all_pairs = find_near(documents, step(max_bucket=1000), workspace + "-all")
    assert all_pairs.counts["large_buckets"] == 0
    assert set(removed(documents, all_pairs)) == set(decisions)
    largest = found.clusters.orderBy("size", ascending=False).first()
    assert (largest["size"], len(largest["members"]), found.counts["largest_cluster"]) == (200, 199, 200)
    assert largest["members"][0]["similarity"] >= largest["members"][-1]["similarity"]


def test_edit_similarity_is_asked_for_besides(make_documents: Documents, workspace: str) -> None:
    words = [f"w{i}" for i in range(100)]
    pages = {
        "a": " ".join(words),
        "moved": " ".join(words[50:] + words[:50]),  # nearly the same shingles in another order
        "near": " ".join(["new", *words[1:]]),
    }
    documents = make_documents([{"id": name, "text": text} for name, text in pages.items()])
    assert set(removed(documents, find_near(documents, step(), workspace))) == {"moved", "near"} - {"near"} | {"a"}
    found = find_near(documents, step(edit_similarity=0.8), workspace + "-edit")
    assert set(removed(documents, found)) == {"a"}


def test_scaled_sets_find_what_whole_ones_find_away_from_the_threshold(
    make_documents: Documents, workspace: str
) -> None:
    draw = random.Random(2)
    words = [f"v{draw.randrange(5000)}" for _ in range(3000)]
    changed = [f"x{i}" if i % 150 == 0 else word for i, word in enumerate(words)]
    documents = make_documents(
        [
            {"id": "a", "text": " ".join(words)},
            {"id": "b", "text": " ".join(changed)},
            {"id": "c", "text": " ".join(words[:1800] + [f"y{i}" for i in range(1200)])},
        ]
    )
    ((_, similarity, _),) = removed(documents, find_near(documents, step(verify="scaled"), workspace)).values()
    assert similarity == pytest.approx(0.935, abs=0.08)


@pytest.mark.parametrize(("num_perm", "threshold"), [(256, 0.8), (112, 0.75), (9000, 0.8), (12, 0.5)])
def test_the_pre_test_lets_pairs_at_the_threshold_pass(num_perm: int, threshold: float) -> None:
    values = min(num_perm, 256)
    agreeing = threshold + (1 - threshold) / 4
    draws = np.random.default_rng(1).binomial(values, 1 - agreeing, size=1_000_000)
    rejected = np.mean(draws > most_mismatches(step(num_perm=num_perm, threshold=threshold, bands=1, rows=1)))
    assert rejected < 2e-4


# --------------------------------------------------------------------------------------------------- planted duplicates


def jaccard_of_all_pairs(texts: list[str], ngram: int, least: float) -> Mapping[tuple[int, int], float]:
    """Every pair above `least`, by an inverted index of shingles."""
    hashes, offsets = distinct_shingles(pa.array(texts), ngram)
    holders = defaultdict(list)
    for i in range(len(texts)):
        for value in hashes[offsets[i] : offsets[i + 1]].tolist():
            holders[value].append(i)
    shared: dict[tuple[int, int], int] = defaultdict(int)
    for documents in holders.values():
        for pair in combinations(documents, 2):
            shared[pair] += 1
    sizes = np.diff(offsets)
    found = {pair: count / int(sizes[pair[0]] + sizes[pair[1]] - count) for pair, count in shared.items()}
    return {pair: similarity for pair, similarity in found.items() if similarity >= least}


def test_planted_duplicates_are_found_and_nothing_else_is_removed(
    make_documents: Documents, workspace: str, shared_data: Path
) -> None:
    path = shared_data / "duplicates" / "planted" / "docs.jsonl.gz"
    with gzip.open(path) as lines:
        rows = [{"id": d["id"], "text": d["text"]} for d in map(json.loads, lines)]
    truth = jaccard_of_all_pairs([row["text"] for row in rows], 5, 0.5)
    place = {row["id"]: i for i, row in enumerate(rows)}
    documents = make_documents(rows, files=4)
    found = find_near(documents, step(), workspace)
    decisions = removed(documents, found)
    for name, (survivor, similarity, _) in decisions.items():
        pair = (min(place[name], place[survivor]), max(place[name], place[survivor]))
        assert similarity == truth[pair] >= 0.8
        assert survivor not in decisions
    alike = [(rows[a]["id"], rows[b]["id"]) for (a, b), s in truth.items() if s >= 0.8]
    recalled = sum(a in decisions or b in decisions for a, b in alike)
    assert len(alike) > 400
    assert recalled / len(alike) >= 0.99
    # Candidates follow the S-curve: how many pairs of each bin share a band.
    by_bin: dict[int, list[float]] = defaultdict(list)
    for similarity in truth.values():
        by_bin[int(similarity * 10)].append(candidate_probability(similarity, 32, 8))
    expected = sum(sum(part) for part in by_bin.values())
    assert found.counts["candidate_pairs"] > expected * 0.9
