"""A refresh beside those before it: what the report shows of it, and that the run stays whole once it is published."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from jobs import refresh, report, verify
from jobs.core.drift import Pooled, drift, drifts, pooled, refreshes_of
from jobs.core.finished_run import open_run

RECIPE = """
recipe: weekly
languages: {detect: false, default: en}
gates: {min_share_documents: 20, max_signal_drift: 1.5, max_null_fraction: 1.0, max_removed_fraction: 1.0}
steps:
  filter_quality:
    word_count: {min: 20, max: 400}
    mean_word_length: {min: 2, max: 10}
  dedup_exact: {}
"""
WORDS = ("river", "old", "town", "bridge", "boat", "a", "the", "of", "meeting", "place", "people", "spring", "water")


def test_several_means_become_one() -> None:
    random_ = random.Random(5)
    parts = [[random_.gauss(place, 2) for _ in range(40 + place)] for place in range(3)]
    whole = [value for part in parts for value in part]

    def described(values: list[float]) -> Pooled:
        mean = sum(values) / len(values)
        return Pooled(mean, (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5, len(values))

    assert pooled(map(described, parts)) == pytest.approx(described(whole))
    assert pooled([]) is None
    assert drift(3.0, Pooled(1.0, 0.5, 10)) == 4.0
    assert drift(1.0, Pooled(1.0, 0.0, 10)) == 0.0
    assert drift(1.1, Pooled(1.0, 0.0, 10)) == float("inf")


# ----------------------------------------------------------------------------------------------------- in a real corpus


def write_batch(folder: Path, name: str, words: int, short: int, documents: int = 60) -> None:
    """Documents of about so many words, of which the first few are too short."""
    folder.mkdir(exist_ok=True)
    random_ = random.Random(name)
    lines = []
    for number in range(documents):
        count = 5 if number < short else random_.randint(words - 15, words + 15)
        text = " ".join(random_.choice(WORDS) for _ in range(count)) + f" {name} {number}"
        lines.append(json.dumps({"id": f"{name}-{number}", "url": f"http://a.example/{name}/{number}", "text": text}))
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def corpus(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of two refreshes, and a third that the gate refuses: its documents are twice as long."""
    home = tmp_path_factory.mktemp("drift")
    (home / "weekly.yaml").write_text(RECIPE)
    arguments = ["--recipe", str(home / "weekly.yaml"), "--corpus", str(home / "corpus"), "--input", str(home / "in")]
    for week, (words, short, code) in enumerate([(60, 6, 0), (58, 24, 0), (120, 3, 4)], 1):
        write_batch(home / "in", f"w{week}", words, short)
        assert refresh.main([*arguments, "--run-id", f"2026-W{week:02}"]) == code
    return home / "corpus"


def test_a_refresh_is_seen_beside_those_before_it(corpus: Path) -> None:
    first, second, third = (refreshes_of(open_run(str(corpus / "runs" / f"2026-W0{n}"))) for n in (1, 2, 3))
    assert first is not None and second is not None and third is not None
    assert (first.before, [each.run_id for each in second.before]) == ([], ["2026-W01"])
    assert [each.run_id for each in third.before] == ["2026-W01", "2026-W02"]
    assert [each.removed_share() for each in third.before] == [0.1, 0.4]
    assert third.now.removed_share("filter_quality") == 0.05
    assert third.now.removed_share("dedup_exact") == 0.0
    words = {each.name: each for each in drifts(second)}["word_count"]
    assert words.mean < words.before.mean
    assert (words.before.documents, third.before[1].means["word_count"][0]) == (54, words.mean)
    assert 0 < words.distance < 1.5 < {each.name: each for each in drifts(third)}["word_count"].distance


def test_the_report_shows_drift_and_is_the_same_once_documents_have_moved(corpus: Path, tmp_path: Path) -> None:
    pages = []
    for week in ("2026-W01", "2026-W02", "2026-W03"):
        pages.append((corpus / "runs" / week / "report.html").read_text())
        assert report.main([str(corpus / "runs" / week), "--output", str(tmp_path / "again.html")]) == 0
        assert (tmp_path / "again.html").read_text() == pages[-1], week
    assert not (corpus / "runs" / "2026-W02" / "kept").exists()
    first, second, third = pages
    assert "first refresh of the corpus" in first
    assert "40% of the documents were removed; 10% in the refresh before." in second
    shares = re.findall(r'data-head="removed">([^<]+)</td><td class="pic">', third.partition('id="drift"')[2])
    assert shares[:3] == ["10.0%", "40.0%", "5.0%"]
    assert 'aria-label="mean of word_count over the kept documents, refresh by refresh"' in third
    assert third.count('<line class="trend" ') == 2 * third.count('<rect class="now" ') > 8
    assert re.search(r"Kept documents differ [^<]*: word_count by \d", third)
    assert '<li class="bad"><b>' in third.partition('id="drift-word_count"')[2].partition("</figure>")[0]
    assert re.search(r"Of one value in all these documents: [^<]*hash_word_ratio", third)


def test_a_refresh_is_as_its_ledger_says_published_or_refused(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = corpus / "runs" / "2026-W02"
    assert verify.main([str(run), "--contents"]) == 0
    assert "all as the ledger records them" in capsys.readouterr().out
    kept = open_run(str(run)).table("kept")
    assert kept.count_rows() == 36
    refused = corpus / "runs" / "2026-W03"
    assert verify.main([str(refused), "--contents"]) == 0
    assert open_run(str(refused)).table("kept").count_rows() == 57
