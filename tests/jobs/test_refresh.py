"""Refreshing a corpus: older wins, nothing is lost, and what readers see is what the ledger says."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable

from jobs import decontaminate, expire, forget, history, rollback, vacuum, verify
from jobs import refresh as job
from jobs.core.finished_run import open_run
from udfs.reference import substrings as plain
from udfs.reference.shingles import jaccard, shingles
from udfs.substrings import seams_of

RECIPE = """
recipe: batches
ingest: {max_bad_fraction: 1}
gates: {min_share_documents: 100000}
languages: {detect: false, default: en}
steps:
  dedup_url: {}
  dedup_exact: {}
  dedup_near: {ngram: 2, threshold: 0.7, num_perm: 64, bands: 32, rows: 2}
"""
WORDS = [
    f"{a}{b}" for a in ("ba", "ke", "li", "mo", "nu", "ra", "so", "ti") for b in ("ba", "den", "fil", "gor", "mus")
]

Row = dict[str, Any]


def sentence(random_: random.Random, words: int = 40) -> str:
    return " ".join(random_.choice(WORDS) + str(random_.randrange(50)) for _ in range(words))


def pages(count: int, seed: int) -> list[Row]:
    """Pages of which many are copies, near copies or other versions of one another, whatever batch they fall into."""
    random_ = random.Random(seed)
    made: list[Row] = []
    for number in range(count):
        kind = random_.random()
        text, url = sentence(random_), f"https://site{number % 7}.example/{number}"
        if made and kind < 0.15:
            text = random_.choice(made)["text"].upper()
        elif made and kind < 0.35:
            words = random_.choice(made)["text"].split()
            words[random_.randrange(len(words))] = "changed"
            text = " ".join(words)
        elif made and kind < 0.45:
            url = random_.choice(made)["url"] + "?utm_source=feed"
        made.append({"id": f"d{number:04}", "url": url, "text": text})
    return made


def write(folder: Path, name: str, rows: Sequence[Row]) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recipe of exact deduplication only, where it is not the comparing that a test looks at."""
    path = tmp_path_factory.mktemp("light") / "light.yaml"
    path.write_text(RECIPE.partition("  dedup_url")[0] + "  dedup_exact: {}\n")
    return str(path)


@dataclass(frozen=True)
class Grown:
    """A corpus that nobody changes, the inputs it was made from, and the batches in their order."""

    corpus: Path
    source: Path
    batches: Sequence[Sequence[Row]]

    def copy(self, folder: Path) -> Path:
        """A copy that a test may change."""
        shutil.copytree(self.corpus, folder / "corpus")
        return folder / "corpus"


def grow(recipe: str, folder: Path, batches: Sequence[Sequence[Row]]) -> Grown:
    for place, batch in enumerate(batches):
        write(folder / "in", f"batch{place}", batch)
        assert refresh(recipe, folder / "corpus", folder / "in", f"r{place}") == 0
    return Grown(folder / "corpus", folder / "in", batches)


@pytest.fixture(scope="module")
def grown(spark: Any, tmp_path_factory: pytest.TempPathFactory, recipe: str) -> Grown:
    """Three batches, by all three dedup steps."""
    rows = pages(160, 1)
    return grow(recipe, tmp_path_factory.mktemp("grown"), [rows[:70], rows[70:120], rows[120:]])


@pytest.fixture(scope="module")
def small(spark: Any, tmp_path_factory: pytest.TempPathFactory, light: str) -> Grown:
    """One batch, by exact deduplication only."""
    rows = [{"id": f"d{n}", "url": f"https://a.example/{n}", "text": sentence(random.Random(n))} for n in range(8)]
    return grow(light, tmp_path_factory.mktemp("small"), [rows])


def refresh(recipe: str, corpus: Path, source: Path, run_id: str, *more: str) -> int:
    arguments = ["--recipe", recipe, "--corpus", str(corpus), "--input", str(source), "--run-id", run_id, *more]
    return job.main(arguments)


def published(corpus: Path, version: int | None = None) -> list[Row]:
    """All documents of a version, by a reader that knows nothing of Winnow."""
    return sorted(pl.read_delta(str(corpus / "documents"), version=version).to_dicts(), key=lambda row: row["id"])


def ids(corpus: Path) -> set[str]:
    return {row["id"] for row in published(corpus)}


def canonical(row: Mapping[str, Any]) -> str:
    return str(row["url"]).partition("?")[0]


@cache
def shingle_set(text: str) -> frozenset[int]:
    return frozenset(shingles(text, 2))


def near(left: Row, right: Row) -> bool:
    return jaccard(shingle_set(left["text"]), shingle_set(right["text"])) >= 0.7


def newest_first(rows: Sequence[Row], same: Any) -> list[Row]:
    """Greedy: the best-ranked row that no kept one stands for is kept; longest, then the smallest id."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: (-len(row["text"]), row["id"])):
        if not any(same(row, other) for other in kept):
            kept.append(row)
    return kept


def brute_force(batches: Sequence[Sequence[Row]], *, replacing: bool = False) -> set[str]:
    """What a corpus holds after these batches under "older wins": step by step, every pair compared. ``replacing``: a
    page with another text takes the place of the older one of its URL.
    """
    history: list[Row] = []
    kinds = (
        lambda a, b: canonical(a) == canonical(b),
        lambda a, b: a["text"].casefold() == b["text"].casefold(),
        near,
    )
    for batch in batches:
        left = list(batch)
        if replacing:
            left = one_a_url(left)
            changed = {(canonical(old), old["text"]) for old in history}
            changed = {canonical(row) for row in left if (canonical(row), row["text"]) not in changed}
            history = [old for old in history if canonical(old) not in changed]
        for place, same in enumerate(kinds):
            left = [row for row in left if not any(same(row, old) for old in history)]
            # Of one URL no date tells versions apart, so the smallest id stays.
            left = newest_first([{**row, "text": row["text"]} for row in left], same) if place else one_a_url(left)
        history += left
    return {row["id"] for row in history}


def one_a_url(rows: Sequence[Row]) -> list[Row]:
    best: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        best.setdefault(canonical(row), row)
    return list(best.values())


def test_take_downs_rollback_expiry_and_vacuum_keep_documents_and_state_together(
    spark: Any, tmp_path: Path, light: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, corpus = tmp_path / "in", tmp_path / "corpus"
    batches = [pages(24, 10), [{**row, "id": f"e{row['id']}"} for row in pages(24, 11)]]
    for place, batch in enumerate(batches):
        write(source, f"batch{place}", batch)
        assert refresh(light, corpus, source, f"r{place}") == 0
    whole = published(corpus)
    one, host = whole[0], "site3.example"
    expected = {row["id"] for row in whole if row["id"] != one["id"] and host not in row["url"]}
    assert len(expected) < len(whole) - 2

    (tmp_path / "ids.txt").write_text(f"# asked for on Monday\n{one['id']}\n")
    (tmp_path / "domains.txt").write_text(f"{host.upper()}\n")
    lists = ["--ids", str(tmp_path / "ids.txt"), "--domains", str(tmp_path / "domains.txt")]
    assert forget.main(["--corpus", str(corpus), *lists]) == 0
    assert ids(corpus) == expected
    assert {row["id"] for row in published(corpus, version=2)} == {row["id"] for row in whole}  # time travel
    again = [row for row in batches[0] if row["id"] == one["id"] or host in row["url"]]
    write(source, "again", [*again, {"id": "new", "url": "https://new.example/", "text": "a page of its own " * 20}])
    assert refresh(light, corpus, source, "r2") == 0
    assert ids(corpus) == expected | {"new"}

    assert rollback.main(["--corpus", str(corpus), "--to", "2"]) == 0
    assert ids(corpus) == expected  # what is forgotten does not come back
    assert refresh(light, corpus, source, "r2") == 0  # what was rolled back may run again, under its own name
    assert ids(corpus) == expected | {"new"}

    assert expire.main(["--corpus", str(corpus), "--snapshots", "r0"]) == 0
    assert {row["snapshot"] for row in published(corpus)} == {"r1", "r2"}
    left = published(corpus)
    files = {path for path in corpus.rglob("*.parquet") if "snapshot=r0" in str(path)}
    assert files
    assert vacuum.main(["--corpus", str(corpus), "--keep-versions", "1", "--older-than-hours", "0"]) == 0
    assert not any(path.exists() for path in files)
    assert published(corpus) == left
    write(source, "once more", batches[0])
    assert refresh(light, corpus, source, "r3") == 0  # its state was vacuumed with it, its take-downs were not
    assert one["id"] not in ids(corpus)
    assert {row["snapshot"] for row in published(corpus)} == {"r1", "r2", "r3"}

    capsys.readouterr()
    assert history.main(["--corpus", str(corpus), "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [record["operation"] for record in records]
    assert told == ["refresh", "expire", "refresh", "rollback", "refresh", "forget", "refresh", "refresh"]
    assert records[0]["documents"] == len(published(corpus))
    assert rollback.main(["--corpus", str(corpus), "--to", "1"]) == 3  # its files are vacuumed


def test_a_test_set_that_came_later_is_taken_out_of_the_corpus(tmp_path: Path, light: str, small: Grown) -> None:
    corpus, rows = small.copy(tmp_path), small.batches[0]
    item = " ".join(rows[3]["text"].split()[:30])
    write(tmp_path / "testsets", "quiz", [{"dataset": "quiz", "split": "test", "id": "q1", "text": item}])
    arguments = ["--recipe", light, "--corpus", str(corpus), "--testsets", str(tmp_path / "testsets")]
    assert decontaminate.main(arguments) == 0
    assert ids(corpus) == {row["id"] for row in rows} - {"d3"}
    assert DeltaTable(str(corpus / "documents")).version() == 2
    assert decontaminate.main(arguments) == 0  # nothing is left to find, nothing is published
    assert DeltaTable(str(corpus / "documents")).version() == 2


def test_a_gate_that_trips_publishes_nothing_until_it_is_allowed(
    tmp_path: Path, light: str, small: Grown, capsys: pytest.CaptureFixture[str]
) -> None:
    source, corpus = tmp_path / "in", small.copy(tmp_path)
    write(source, "b", pages(3, 9))
    few = ("--set", "gates.min_documents=5")
    assert refresh(light, corpus, source, "r1", *few) == 4
    assert "min_documents: 3 documents were read" in capsys.readouterr().err
    assert DeltaTable(str(corpus / "documents")).version() == 1
    assert refresh(light, corpus, source, "r1", *few, "--allow", "no_such_gate") == 2
    assert refresh(light, corpus, source, "r1", *few, "--allow", "min_documents") == 0
    assert DeltaTable(str(corpus / "documents")).history(1)[0]["allowed_gates"] == "min_documents"


def test_a_changed_input_file_is_refused_read_again_or_left_by_choice(
    spark: Any, tmp_path: Path, light: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, corpus = tmp_path / "in", tmp_path / "corpus"
    rows = pages(12, 5)
    write(source, "a", rows[:10])
    assert refresh(light, corpus, source, "r0") == 0
    (source / "a.jsonl").touch()
    assert refresh(light, corpus, source, "touched") == 0
    write(source, "a", [*rows[:10], {"id": "late", "url": "https://late.example/", "text": "quite another page " * 9}])
    assert refresh(light, corpus, source, "r1") == 3
    assert "have changed since" in capsys.readouterr().err
    assert refresh(light, corpus, source, "r2", "--changed-files", "skip") == 0
    before = ids(corpus)
    assert "late" not in before
    assert refresh(light, corpus, source, "r3", "--changed-files", "read") == 0
    assert ids(corpus) == before | {"late"}


def test_the_same_run_id_and_an_empty_refresh_change_nothing(tmp_path: Path, light: str, small: Grown) -> None:
    corpus = small.copy(tmp_path)
    before = sorted(path for path in corpus.rglob("*") if path.is_file())
    write(tmp_path / "new", "b", pages(5, 4))
    assert refresh(light, corpus, small.source, "r0", "--input", str(tmp_path / "new")) == 0
    assert refresh(light, corpus, small.source, "r1") == 0
    assert sorted(path for path in corpus.rglob("*") if path.is_file()) == before


def test_readers_that_know_nothing_of_winnow_count_what_the_ledger_says(grown: Grown) -> None:
    corpus, runs = grown.corpus, ("r0", "r1", "r2")
    ledgers = [json.loads((corpus / "runs" / run / "ledger.json").read_text()) for run in runs]
    kept = [ledger["totals"]["kept"] for ledger in ledgers]
    table = DeltaTable(str(corpus / "documents"))
    assert all(0 < count < len(batch) for count, batch in zip(kept, grown.batches, strict=True))
    assert pl.scan_delta(str(corpus / "documents")).select(pl.len()).collect().item() == sum(kept)
    files = duckdb.read_parquet(table.file_uris(), hive_partitioning=True)
    counted = files.aggregate("snapshot, count(*) AS documents", "snapshot").order("snapshot").fetchall()
    assert counted == list(zip(runs, kept, strict=True))
    assert len(published(corpus, version=1)) == kept[0]
    commit = table.history(1)[0]
    assert (commit["run_id"], commit["parent_version"]) == ("r2", "2")
    assert commit["recipe_sha256"] == ledgers[2]["recipe_sha256"]
    assert json.loads(commit["ledger"])["kept"] == kept[2]


def test_the_run_of_a_refresh_is_verified_with_the_documents_that_went_into_the_corpus(
    tmp_path: Path, small: Grown, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = small.copy(tmp_path)
    run = str(corpus / "runs" / "r0")
    assert verify.main([run, "--contents"]) == 0
    assert {row["id"] for row in open_run(run).find("kept", ds.field("id") != "d3")} == ids(corpus) - {"d3"}
    (file,) = [path for path in (corpus / "documents" / "snapshot=r0").glob("*.parquet") if path.stat().st_size][:1]
    file.write_bytes(file.read_bytes()[:-8] + b"damaged.")
    assert verify.main([run]) == 3
    assert f"kept/{file.name}" in capsys.readouterr().err


def test_state_made_with_other_parameters_is_refused(
    tmp_path: Path, recipe: str, grown: Grown, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in", "b", pages(10, 7))
    assert refresh(recipe, grown.corpus, tmp_path / "in", "r3", "--set", "steps.dedup_near.ngram=3") == 3
    assert "dedup_near.ngram is 3, the state has 2" in capsys.readouterr().err
    assert DeltaTable(str(grown.corpus / "documents")).version() == 3


def test_a_signal_that_drifts_from_the_last_versions_is_told() -> None:
    from jobs.core.gates import signals_that_drifted
    from jobs.core.recipe import Gates

    gates = Gates(max_signal_drift=0.5, min_share_documents=10)
    before = [{"word_count": [100.0, 20.0, 50]}, {"word_count": [110.0, 20.0, 50]}]
    assert signals_that_drifted({"word_count": [112.0, 20.0, 50]}, before, gates) == []
    (said,) = signals_that_drifted({"word_count": [130.0, 20.0, 50]}, before, gates)
    assert said.startswith("max_signal_drift: word_count is 130 on average, 105 in the last versions")
    assert signals_that_drifted({"word_count": [130.0, 20.0, 9]}, before, gates) == []


def test_state_holds_what_the_definitions_say(grown: Grown) -> None:
    import pyarrow.parquet as pq

    from udfs.reference.minhash import band_hash, signature

    rows = 0
    for file in (grown.corpus / "documents").glob("snapshot=*/*.parquet"):
        documents = pq.ParquetFile(file).read().to_pylist()
        state = pq.read_table(grown.corpus / "state" / file.parent.name.partition("=")[2] / file.name).to_pylist()
        assert [row["key"] for row in state] == [row["key"] for row in documents]
        for remembered, document in zip(state, documents, strict=True):
            assert len(remembered["exact"]) == len(remembered["url"]) == 16
            made = signature(shingles(document["text"], 2), 64, 1)
            bands = b"".join(band_hash(made, band, 2).to_bytes(8, "little", signed=True)[:5] for band in range(32))
            assert remembered["bands"] == bands
        rows += len(state)
    assert rows == len(published(grown.corpus))


def test_a_refresh_keeps_what_brute_force_finds_new(grown: Grown) -> None:
    stages: set[str] = set()
    for place in range(3):
        kept = {row["id"] for row in published(grown.corpus, version=place + 1)}
        assert kept == brute_force(grown.batches[: place + 1])
        removed = pl.read_parquet(str(grown.corpus / "runs" / f"r{place}" / "removed" / "*.parquet")).to_dicts()
        assert removed and all(row["duplicate_of"] in kept for row in removed)
        stages |= {row["stage"] for row in removed}
    assert stages == {"dedup_url", "dedup_exact", "dedup_near"}


def test_newer_versions_of_a_page_replace_older_ones_if_asked(
    spark: Any, tmp_path: Path, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, corpus = tmp_path / "in", tmp_path / "corpus"
    first = pages(50, 13)
    changed = [{**row, "id": f"n{row['id']}", "text": row["text"] + " and more"} for row in first[:12]]
    same = [{**row, "id": f"s{row['id']}"} for row in first[12:20]]
    second = [*changed, *same, *({**row, "id": f"x{row['id']}"} for row in pages(70, 14)[50:])]
    write(source, "first", first)
    assert refresh(recipe, corpus, source, "r0", "--newer-versions", "replace") == 0
    before = ids(corpus)
    write(source, "second", second)
    assert refresh(recipe, corpus, source, "r1", "--newer-versions", "replace") == 0
    after = ids(corpus)
    assert after == brute_force([first, second], replacing=True)
    gone = before - after
    assert gone and {f"n{name}" for name in gone} & after
    assert f"{len(gone)} older versions replaced" in capsys.readouterr().err

    table = DeltaTable(str(corpus / "documents"))
    commit, before_commit = table.history(2)
    assert json.loads(commit["ledger"])["superseded"] == len(gone)
    assert int(commit["documents"]) == len(after) == int(before_commit["documents"]) - len(gone) + commit_kept(commit)
    assert ids_of_state(corpus, table) == after
    removed = pl.read_parquet(str(corpus / "runs" / "r1" / "removed" / "*.parquet")).to_dicts()
    assert removed and all(row["duplicate_of"] in after for row in removed)
    replaced = pl.read_parquet(str(corpus / "runs" / "r1" / "superseded" / "*.parquet")).to_dicts()
    address = {row["id"]: canonical(row) for row in (*first, *second)}
    assert {row["id"] for row in replaced} == gone
    assert all(address[row["id"]] == address[row["superseded_by"]] for row in replaced)


PASSAGES = RECIPE.partition("  dedup_url")[0] + "  dedup_substring: {length: 6, keep: [longest]}\n"


def sections(row: Row) -> list[list[str]]:
    """Words of a document as published, a list for each part between its seams."""
    cuts = [(cut["start"], cut["end"]) for cut in row["cuts"] or []]
    return plain.tokens(row["text"], "words", seams_of(cuts))


def pages_of_passages(count: int, seed: int) -> list[Row]:
    """Pages made of passages that other pages, and now and then the same page, have too."""
    random_ = random.Random(seed)
    passages = [sentence(random_, random_.randrange(4, 12)) for _ in range(25)]
    made = []
    for number in range(count):
        parts = [random_.choice(passages) if random_.random() < 0.5 else sentence(random_, 5) for _ in range(6)]
        made.append({"id": f"{seed}-{number:03}", "url": f"https://a.example/{seed}/{number}", "text": " ".join(parts)})
    return made


def check_passages(corpus: Path, batches: Sequence[Sequence[Row]]) -> None:
    """Every batch has lost what brute force finds in the version before it, or earlier in the batch."""
    documents: list[Row] = []
    for place, batch in enumerate(batches):
        ordered = sorted(batch, key=lambda row: (-len(row["text"]), row["id"]))
        parts = [*(sections(row) for row in documents), *(plain.tokens(row["text"], "words") for row in ordered)]
        expected = plain.repeats(parts, 6).cut
        assert not any(any(flags) for flags in expected[: len(documents)])
        after = {row["id"]: row for row in published(corpus, version=place + 1)}
        assert all(after[row["id"]] == row for row in documents)
        for row, (words,), cut in zip(ordered, parts[len(documents) :], expected[len(documents) :], strict=True):
            kept = [word for word, gone in zip(words, cut, strict=True) if not gone]
            assert after[row["id"]]["text"].split() == kept
            for one in after[row["id"]]["cuts"] or []:
                held = " ".join(after[one["kept_in"]]["text"].split())
                assert one["kept_in"] == row["id"] or " ".join(row["text"][one["start"] : one["end"]].split()) in held
        documents = list(after.values())
    windows = [
        tuple(part[place : place + 6]) for row in documents for part in sections(row) for place in range(len(part) - 5)
    ]
    assert len(windows) == len(set(windows))


def test_what_the_corpus_holds_already_is_cut_from_a_batch_and_the_corpus_keeps_its_copy(
    spark: Any, tmp_path: Path
) -> None:
    path = tmp_path / "passages.yaml"
    path.write_text(PASSAGES)
    mixed = [row for pair in zip(pages_of_passages(24, 3), pages_of_passages(24, 4), strict=True) for row in pair]
    batches = [mixed[:16], mixed[16:30], mixed[30:]]
    grown = grow(str(path), tmp_path, batches)
    check_passages(grown.corpus, batches)
    cuts = [(row["id"], cut["kept_in"]) for row in published(grown.corpus) for cut in row["cuts"] or []]
    batch_of = {row["id"]: place for place, batch in enumerate(batches) for row in batch}
    assert {batch_of[by] - batch_of[held] for by, held in cuts} == {0, 1, 2}
    ledger = json.loads((grown.corpus / "runs" / "r2" / "ledger.json").read_text())
    (facts,) = (stage["facts"] for stage in ledger["stages"] if stage["name"] == "dedup_substring")
    assert 0 < facts["history_documents"] <= 30
    assert facts["read_bytes"] > 0

    gone = max({held for _, held in cuts}, key=[held for by, held in cuts if by != held].count)
    (tmp_path / "ids.txt").write_text(f"{gone}\n")
    assert forget.main(["--corpus", str(grown.corpus), "--ids", str(tmp_path / "ids.txt")]) == 0
    stranded = pl.read_parquet(str(grown.corpus / "stranded" / "*-passages" / "*.parquet")).to_dicts()
    assert sorted((row["id"], row["kept_in"]) for row in stranded) == sorted(pair for pair in cuts if pair[1] == gone)
    lost = max((row["text"].strip() for row in stranded if row["id"] != gone), key=len)
    write(grown.source, "again", [{"id": "again", "url": "https://b.example/", "text": f"once more {lost}"}])
    assert refresh(str(path), grown.corpus, grown.source, "r3") == 0
    (again,) = (row for row in published(grown.corpus) if row["id"] == "again")
    assert again["text"] == f"once more {lost}"  # nobody else holds it


def commit_kept(commit: Mapping[str, Any]) -> int:
    return int(json.loads(commit["ledger"])["kept"])


def ids_of_state(corpus: Path, table: DeltaTable) -> set[str]:
    """The ids in the state files that stand beside the table's files."""
    names = [path.rpartition("/documents/snapshot=")[2] for path in table.file_uris()]
    return {name for part in names for name in pl.read_parquet(corpus / "state" / part)["id"]}
