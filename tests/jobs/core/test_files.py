"""Files as the driver sees them before there is a JVM."""

from __future__ import annotations

from pathlib import Path

from jobs.core.files import local_bytes_are_within


def test_sizes_of_local_files_folders_and_globs_are_summed_up_to_a_limit(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "one.jsonl").write_bytes(b"x" * 6000)
    (tmp_path / "two.jsonl").write_bytes(b"x" * 4000)
    everything = [str(tmp_path / "a b"), f"file:{tmp_path}/two.*"]
    assert local_bytes_are_within(everything, 10_000)
    assert local_bytes_are_within([f"file:{tmp_path}/a%20b"], 6000)
    assert not local_bytes_are_within(everything, 9999)


def test_what_is_not_there_or_not_here_is_never_small(tmp_path: Path) -> None:
    (tmp_path / "two.jsonl").write_bytes(b"x")
    for path in ("no such file", "{two,three}.jsonl"):
        assert not local_bytes_are_within([str(tmp_path / path)], 100)
    assert not local_bytes_are_within(["s3a://bucket/two.jsonl", str(tmp_path / "two.jsonl")], 100)
