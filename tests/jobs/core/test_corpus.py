"""The table under a corpus: versions appear whole, of two writers one loses, and every version finds its manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from jobs.core.corpus import Corpus, DataFile, Head, Manifest, Snapshot, check_run_id
from jobs.core.errors import ConflictError, InputContractError, UsageError


class LocalFiles:
    """The file operations that a corpus asks of the driver, on a local disk and without a JVM."""

    def qualified(self, path: str) -> str:
        return path

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def read_text(self, path: str) -> str:
        return Path(path).read_text()

    def read_json(self, path: str) -> Any:
        return json.loads(self.read_text(path))

    def write_text(self, path: str, text: str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)

    def delete(self, path: str) -> None:
        Path(path).unlink(missing_ok=True)

    def move(self, source: str, target: str) -> None:
        Path(source).rename(target)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(LocalFiles(), str(tmp_path))  # type: ignore[arg-type]


def data_file(corpus: Corpus, run: str, rows: int, **columns: Any) -> DataFile:
    """A file of documents in its place."""
    file = Path(corpus.at("documents", f"snapshot={run}", "part-0.parquet"))
    file.parent.mkdir(parents=True)
    pq.write_table(
        pa.table({"id": [f"{run}{i}" for i in range(rows)], **{n: [v] * rows for n, v in columns.items()}}), file
    )
    return DataFile(f"snapshot={run}/part-0.parquet", f"{run}/part-0.parquet", rows, file.stat().st_size)


def manifest_after(corpus: Corpus, head: Head | None, run: str, file: DataFile) -> Manifest:
    before = head.manifest if head else Manifest("refresh", run, None)
    corpus.write_list(f"{run}/files.json", [file])
    snapshot = Snapshot(run, f"{run}/files.json", file.rows, file.bytes, "")
    return before.following(
        "refresh",
        run,
        head.version if head else None,
        snapshots=[*before.snapshots, snapshot],
        done=[*before.done, run],
    )


def publish(corpus: Corpus, head: Head | None, run: str, rows: int, **columns: Any) -> int:
    file = data_file(corpus, run, rows, **columns)
    return corpus.publish(head, manifest_after(corpus, head, run, file), [file], [])


def rows(corpus: Corpus, version: int | None = None) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = DeltaTable(corpus.at("documents"), version=version).to_pyarrow_table().to_pylist()
    return sorted(table, key=lambda row: str(row["id"]))


def test_every_version_finds_its_documents_and_its_manifest(corpus: Corpus) -> None:
    assert corpus.head() is None
    for place, run in enumerate(("a", "b", "c")):
        assert publish(corpus, corpus.head(), run, place + 1) == place + 1
    for version, done in ((1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"])):
        head = corpus.head(version)
        assert head is not None
        assert (head.version, head.manifest.done) == (version, done)
        assert len(rows(corpus, version)) == head.manifest.documents
        assert {file.path for file in corpus.data_files(head.manifest)} <= set(corpus.current_paths())
    assert [(entry["version"], entry["run_id"]) for entry in corpus.history()] == [(3, "c"), (2, "b"), (1, "a")]
    with pytest.raises(InputContractError, match="no version 77"):
        corpus.head(77)


@pytest.mark.parametrize("first", [True, False])
def test_of_two_writers_on_one_version_the_second_is_told_who_won(corpus: Corpus, first: bool) -> None:
    if not first:
        publish(corpus, None, "a", 1)
    head = corpus.head()
    publish(corpus, head, "b", 2)
    with pytest.raises(ConflictError, match="refresh b published version"):
        publish(corpus, head, "c", 3)
    assert {row["snapshot"] for row in rows(corpus)} == ({"b"} if first else {"a", "b"})


def test_a_new_column_is_null_in_older_documents_and_a_changed_type_is_refused(corpus: Corpus) -> None:
    publish(corpus, None, "a", 1)
    publish(corpus, corpus.head(), "b", 1, licence="cc0")
    assert [(row["id"], row["licence"]) for row in rows(corpus)] == [("a0", None), ("b0", "cc0")]
    head = corpus.head()
    assert head is not None
    assert head.manifest.done == ["a", "b"]
    with pytest.raises(InputContractError, match="column 'licence'"):
        publish(corpus, head, "c", 1, licence=1)


def test_a_new_column_does_not_let_a_writer_past_a_faster_one(corpus: Corpus) -> None:
    publish(corpus, None, "a", 1)
    head = corpus.head()
    publish(corpus, head, "b", 1)
    with pytest.raises(ConflictError):
        publish(corpus, head, "c", 1, licence="cc0")
    assert {row["snapshot"] for row in rows(corpus)} == {"a", "b"}


def test_a_commit_whose_outcome_is_unknown_is_read_back(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(corpus, None, "a", 1)
    whole = DeltaTable.create_write_transaction

    def goes_through_and_times_out(self: Any, *arguments: Any, **named: Any) -> None:
        whole(self, *arguments, **named)
        raise OSError("timed out")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", goes_through_and_times_out)
    assert publish(corpus, corpus.head(), "b", 2) == 2
    assert len(rows(corpus)) == 3


def test_a_table_that_another_tool_has_changed_is_refused(corpus: Corpus) -> None:
    publish(corpus, None, "a", 1)
    write_deltalake(corpus.at("documents"), pa.table({"id": ["x"], "snapshot": ["a"]}), mode="append")
    with pytest.raises(InputContractError, match="was not written by Winnow"):
        corpus.head()
    assert corpus.last_published().manifest.done == ["a"]


def test_a_manifest_that_was_tampered_with_is_refused(corpus: Corpus) -> None:
    publish(corpus, None, "a", 1)
    (manifest,) = Path(corpus.at("manifests")).iterdir()
    manifest.write_text(manifest.read_text().replace('"a"', '"b"'))
    with pytest.raises(InputContractError, match="is damaged"):
        corpus.head()


def test_a_run_id_that_is_no_folder_name_is_refused() -> None:
    assert check_run_id("2026-W48") == "2026-W48"
    for run_id in ("", "../x", "a/b", ".hidden", "a b"):
        with pytest.raises(UsageError):
            check_run_id(run_id)


def test_a_version_without_new_documents_is_a_version(corpus: Corpus) -> None:
    publish(corpus, None, "a", 1)
    head = corpus.head()
    assert head is not None
    assert corpus.publish(head, head.manifest.following("refresh", "empty", 1, done=["a", "empty"]), [], []) == 2
    after = corpus.head()
    assert after is not None
    assert (after.version, after.manifest.done, len(rows(corpus))) == (2, ["a", "empty"], 1)
