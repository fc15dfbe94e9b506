"""The machine is at fault: a full disk, an output that cannot be written, an input that is not there.

Each ends with the exit code of docs/faults.md and one last line that says what is wrong and what to do.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs import ingest

SMALL_DISK_BYTES = 3 << 20


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Some megabytes of text that no compression makes small."""
    chance = random.Random(0)
    folder = tmp_path / "in"
    folder.mkdir()
    for place in range(4):
        texts = [f"{chance.getrandbits(80_000):x}" for _ in range(150)]
        lines = (json.dumps({"id": f"{place}-{n}", "text": text}) + "\n" for n, text in enumerate(texts))
        (folder / f"{place}.jsonl").write_text("".join(lines))
    return folder


def _mount(folder: Path, options: str) -> None:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "winnow-test", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a file system cannot be mounted here: {error}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    folder = tmp_path / "small"
    _mount(folder, f"size={SMALL_DISK_BYTES}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "sealed"
    _mount(folder, "ro")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def arguments(source: Path, output: Path) -> list[str]:
    return ["--recipe", "gopher", "--input", str(source), "--output", str(output)]


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_full_disk_is_said_and_what_was_published_before_is_intact(
    spark: Any, corpus: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = corpus.parent / "few"
    few.mkdir()
    (few / "a.jsonl").write_text('{"id": "1", "text": "one document"}\n')
    assert ingest.main(arguments(few, small_disk / "before")) == 0
    before = {path: path.read_bytes() for path in (small_disk / "before").rglob("*") if path.is_file()}
    assert before
    capsys.readouterr()

    assert ingest.main(arguments(corpus, small_disk / "out")) == 6
    line = last_line(capsys)
    assert "the disk is full" in line
    assert "--resume" in line
    assert not (small_disk / "out").exists()
    assert {path: path.read_bytes() for path in (small_disk / "before").rglob("*") if path.is_file()} == before


def test_an_output_on_a_read_only_disk_is_refused_before_any_work(
    spark: Any, corpus: Path, read_only_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ingest.main(arguments(corpus, read_only_disk / "out")) == 6
    assert str(read_only_disk) in last_line(capsys)


def test_an_output_below_a_file_is_refused_before_any_work(
    spark: Any, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert ingest.main(arguments(corpus, tmp_path / "file" / "out")) == 6
    assert f"{tmp_path}/file" in last_line(capsys)
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_folder_that_this_user_may_not_write_is_refused(
    spark: Any, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "closed").mkdir(mode=0o500)
    assert ingest.main(arguments(corpus, tmp_path / "closed" / "out")) == 6
    assert "closed" in last_line(capsys)


def test_a_missing_input_breaks_the_input_contract_and_makes_no_folder(
    spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ingest.main(arguments(tmp_path / "nowhere" / "*.jsonl", tmp_path / "out")) == 3
    assert "nowhere/*.jsonl: no such file or folder" in last_line(capsys)
    assert list(tmp_path.iterdir()) == []
