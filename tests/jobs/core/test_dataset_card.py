"""The card of a published corpus: it states what the ledger and the recipe say, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from jobs import report
from jobs.core.dataset_card import dataset_card
from jobs.core.finished_run import open_run
from jobs.core.recipe_file import resolve_recipe

TEXT = "A text that was kept."


def write_run(folder: Path, licences: dict[str, str | None]) -> Path:
    resolved = resolve_recipe("gopher", ["languages.detect=false"])
    sources = {name: {"input": [f"{name}/"], "license": licence} for name, licence in licences.items()}
    documents = [
        {"id": f"{name}-{n}", "key": bytes([n]), "text": TEXT, "source": name, "language": language}
        for name in licences
        for n, language in enumerate(("en", "de", "und"))
    ]
    kept = pa.table({name: [row[name] for row in documents] for name in documents[0]})
    signals = kept.select(["id", "key", "source", "language"])
    signals = signals.append_column("text_bytes", pa.array([len(TEXT)] * len(documents)))
    signals = signals.append_column("stage", pa.nulls(len(documents), pa.string()))
    for name, table in (("kept", kept), ("signals", signals)):
        (folder / name).mkdir(parents=True)
        pq.write_table(table, folder / name / "part-0.parquet")
    count = len(documents)
    stage = {"stage": "filter_quality", "read": count + 4, "kept": count, "removed": 4, "rules": {"word_count": 4}}
    ledger: dict[str, Any] = {
        "run_id": "r",
        "recipe": {**resolved.as_dict, "recipe": "corpus", "description": "One | two <b>", "sources": sources},
        "recipe_sha256": "a" * 64,
        "totals": {"read": count + 4, "kept": count, "removed": 4},
        "stages": [{**stage, "facts": {}}],
        "inputs": [{"source": name, "files": 2, "bytes": 1234} for name in licences],
    }
    (folder / "ledger.json").write_text(json.dumps(ledger))
    return folder


def front_matter(card: str) -> dict[str, Any]:
    _, head, _ = card.split("---\n", 2)
    return dict(YAML(typ="safe").load(head))


def test_the_front_matter_states_languages_size_and_files(tmp_path: Path) -> None:
    facts = front_matter(dataset_card(open_run(str(write_run(tmp_path / "run", {"web": "CC-BY-4.0"})))))
    assert facts["license"] == "cc-by-4.0"
    assert facts["language"] == ["de", "en"]
    assert facts["size_categories"] == ["n<1K"]
    assert facts["configs"][0]["data_files"] == [{"split": "train", "path": "kept/*.parquet"}]


@pytest.mark.parametrize(
    ("licences", "stated"),
    [
        ({"a": "MIT", "b": "mit"}, "mit"),
        ({"a": "MIT", "b": "CC0-1.0"}, ["cc0-1.0", "mit"]),
        ({"a": "MIT", "b": None}, "other"),
        ({"a": "terms of a publisher"}, "other"),
    ],
)
def test_a_licence_is_never_guessed(tmp_path: Path, licences: dict[str, str | None], stated: Any) -> None:
    card = dataset_card(open_run(str(write_run(tmp_path / "run", licences))))
    assert front_matter(card)["license"] == stated
    for name, licence in licences.items():
        assert f"| {name} | {licence or 'not stated in the recipe'} | 2 | 1,234 | 3 | {3 * len(TEXT)} |" in card


def test_the_page_says_what_was_done_and_what_was_not(tmp_path: Path) -> None:
    card = dataset_card(open_run(str(write_run(tmp_path / "run", {"web": "MIT"}))))
    assert "| `filter_quality` | 7 | 4 | `word_count` 4 |" in card
    assert "No test set was looked for" in card
    assert "Personal data was not masked" in card
    assert "Duplicates were not looked for" in card
    assert "One \\| two &lt;b>" in card
    assert "| `text` | string | the text |" in card


def test_a_card_that_someone_has_changed_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", {"web": "MIT"})
    assert report.main([str(run), "--card"]) == 0
    assert report.main([str(run), "--card"]) == 0
    (run / "README.md").write_text("mine")
    capsys.readouterr()
    assert report.main([str(run), "--card"]) == 2
    assert "says something else" in capsys.readouterr().err
    assert (run / "README.md").read_text() == "mine"
    assert report.main([str(run), "--card", "--output", str(tmp_path / "card.md")]) == 0
    assert front_matter((tmp_path / "card.md").read_text())["license"] == "mit"
