"""Which inputs are new: by difference from what was consumed, never by a date."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from jobs.core.errors import InputContractError
from jobs.core.files import FileInfo
from jobs.core.inputs import JSON_LINES, InputFile
from jobs.core.inputs_ledger import (
    as_table,
    difference,
    fingerprint_of,
    from_frozen,
    frozen_text,
    read_tables,
    refuse_moving_files,
    write_table,
)


def listed(folder: Path) -> list[InputFile]:
    files = []
    for path in sorted(folder.iterdir()):
        status = path.stat()
        info = FileInfo(str(path), status.st_size, status.st_mtime_ns // 1_000_000)
        files.append(InputFile(info, "input", JSON_LINES, None))
    return files


def names(files: Any) -> list[str]:
    return [file.path.rpartition("/")[2] for file, _ in files]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / name).write_text(f"content of {name}\n")
    return tmp_path / "in"


def consumed(folder: Path, tmp_path: Path) -> list[dict[str, Any]]:
    """The ledger after everything was taken in, as it comes back from its file."""
    path = str(tmp_path / "state" / "r0" / "inputs.parquet")
    write_table(as_table(difference(listed(folder), [], "refuse").new), path)
    return read_tables([path])


def test_only_files_that_were_not_consumed_are_new(folder: Path, tmp_path: Path) -> None:
    ledger = consumed(folder, tmp_path)
    assert difference(listed(folder), ledger, "refuse").new == []
    (folder / "late").write_text("from long ago\n")
    os.utime(folder / "late", (1, 1))
    found = difference(listed(folder), ledger, "refuse")
    assert (names(found.new), found.known) == (["late"], 2)


def test_a_touched_file_is_not_a_changed_one(folder: Path, tmp_path: Path) -> None:
    ledger = consumed(folder, tmp_path)
    os.utime(folder / "a", (5, 5))
    found = difference(listed(folder), ledger, "refuse")
    assert (found.new, found.changed, found.known) == ([], [], 2)


def test_a_changed_file_is_refused_read_or_skipped(folder: Path, tmp_path: Path) -> None:
    ledger = consumed(folder, tmp_path)
    (folder / "a").write_text("content of A\n")
    os.utime(folder / "a", (5, 5))
    with pytest.raises(InputContractError, match="1 input files are in the corpus and have changed"):
        difference(listed(folder), ledger, "refuse")
    assert names(difference(listed(folder), ledger, "read").new) == ["a"]
    skipped = difference(listed(folder), ledger, "skip")
    assert (skipped.new, [path.rpartition("/")[2] for path in skipped.changed], skipped.known) == ([], ["a"], 1)


def test_a_fingerprint_sees_both_ends_and_the_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    prints = set()
    for first, last, size in ((b"a", b"z", 10**6), (b"b", b"z", 10**6), (b"a", b"y", 10**6), (b"a", b"z", 10**6 + 1)):
        path.write_bytes(first + bytes(size - 2) + last)
        prints.add(fingerprint_of(str(path), size))
    assert len(prints) == 4


def test_a_frozen_list_comes_back_and_notices_files_that_move(folder: Path) -> None:
    new = difference(listed(folder), [], "refuse").new
    frozen = from_frozen(frozen_text(new))
    assert frozen == list(new)
    refuse_moving_files(frozen, listed(folder))
    (folder / "a").write_text("still being written\n")
    with pytest.raises(InputContractError, match="changed or went away"):
        refuse_moving_files(frozen, listed(folder))
    (folder / "a").unlink()
    with pytest.raises(InputContractError, match="changed or went away"):
        refuse_moving_files(frozen, listed(folder))
