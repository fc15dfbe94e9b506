"""The demo sample says the truth about itself: its records, its faults and its copies are the ones it names."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard

from jobs import make_sample
from jobs.core.recipe_file import resolve_recipe
from jobs.sample import compose, texts
from jobs.sample.texts import Text
from udfs.warc import ArchiveLimits, Ignored, Page, Skipped, read_archive


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "sample"
    make_sample.make_sample(folder)
    return folder


@pytest.fixture(scope="module")
def expected(sample: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((sample / "expected.json").read_text())
    return answer


def note_lines(sample: Path) -> list[bytes]:
    one = gzip.decompress((sample / "notes/notes-1.jsonl.gz").read_bytes())
    two = (
        zstandard.ZstdDecompressor().stream_reader(io.BytesIO((sample / "notes/notes-2.jsonl.zst").read_bytes())).read()
    )
    return [line for part in (one, two, (sample / "notes/notes-3.jsonl").read_bytes()) for line in part.splitlines()]


def ids_in(sample: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for path in sorted((sample / "crawl").iterdir()):
        with path.open("rb") as stream:
            for event in read_archive(stream, size=path.stat().st_size, limits=ArchiveLimits()):
                if isinstance(event, Page):
                    found[str(event.id)] += 1
    for line in note_lines(sample):
        if line not in compose.BAD_LINES:
            found[json.loads(line)["identifier"]] += 1
    found.update(pq.read_table(sample / "library/library.parquet").column("id").to_pylist())
    return found


def test_two_samples_are_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    again = tmp_path / "sample"
    make_sample.make_sample(again)
    files = sorted(path.relative_to(sample) for path in sample.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    for file in files:
        if file.name != "demo.yaml":  # names the folder
            assert (sample / file).read_bytes() == (again / file).read_bytes(), file


def test_every_document_is_named_once_as_clean_or_as_planted(sample: Path, expected: dict[str, Any]) -> None:
    named = Counter([*expected["clean"], *expected["planted"]])
    assert named == ids_in(sample)
    assert set(named.values()) == {1}
    assert expected["kept"] + expected["removed"] == len(named) >= 200


def test_the_archive_holds_the_records_that_are_no_pages_and_the_damage_that_it_names(
    sample: Path, expected: dict[str, Any]
) -> None:
    path = sample / "crawl/pages.warc.gz"
    with path.open("rb") as stream:
        events = list(read_archive(stream, size=path.stat().st_size, limits=ArchiveLimits()))
    assert Counter(e.kind for e in events if isinstance(e, Ignored)) == expected["ignored"]
    assert [e.reason for e in events if isinstance(e, Skipped)] == ["warc_damaged"]
    assert isinstance(events[-1], Page), "reading must go on behind the damage"


def test_records_add_up(expected: dict[str, Any]) -> None:
    quarantined, ignored = sum(expected["quarantined"].values()), sum(expected["ignored"].values())
    assert expected["read"] == expected["kept"] + expected["removed"] + quarantined + ignored
    assert expected["removed"] == sum(expected["removed_by_kind"].values())


def test_every_step_of_gopher_has_something_to_remove(expected: dict[str, Any]) -> None:
    stages = {stage for planted in expected["planted"].values() for stage in planted["stages"]}
    assert stages >= {"extract_text", "filter_content", "filter_quality", "filter_repetition", "decontaminate"}
    assert stages >= {"dedup_exact", "dedup_near"}


def test_every_copy_names_a_document_that_is_kept(expected: dict[str, Any]) -> None:
    originals = [planted["of"] for planted in expected["planted"].values() if "of" in planted]
    assert originals
    assert set(originals) <= set(expected["clean"])


def test_an_edited_copy_is_a_near_duplicate_at_thirteen_words() -> None:
    for text in texts.articles():
        a, b = (thirteen_grams(version) for version in (text, compose.edited(text)))
        assert 0.88 < len(a & b) / len(a | b) < 1


def thirteen_grams(text: Text) -> set[tuple[str, ...]]:
    words = text.body.lower().split()
    return {tuple(words[at : at + 13]) for at in range(len(words) - 12)}


def test_the_recipe_is_sound_and_names_the_three_sources(sample: Path) -> None:
    recipe = resolve_recipe(str(sample / "demo.yaml")).recipe
    assert list(recipe.sources) == ["crawl", "notes", "library"]
    assert {name: source.rank for name, source in recipe.sources.items()} == compose.RANKS
    for source in recipe.sources.values():
        for path in source.input:
            assert Path(path.removesuffix("/*.parquet")).is_dir()


def test_an_existing_folder_is_refused_and_left_alone(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (sample / "expected.json").read_bytes()
    assert make_sample.main([str(sample)]) == 5
    assert "exists already" in capsys.readouterr().err
    assert (sample / "expected.json").read_bytes() == before


def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "recipe", lambda folder: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        make_sample.make_sample(tmp_path / "sample")
    assert not list(tmp_path.iterdir())
