"""Language packs on real text: ordinary pages are kept, repetition in the same language is not."""

from __future__ import annotations

import gzip
import json
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.core.profiles import Reason, bounds_for, decide_plain
from jobs.core.recipe_file import resolve_recipe
from udfs.signals import StopWords, measure

STEPS = ("filter_quality", "filter_repetition")
GOPHER = resolve_recipe("gopher")
SCRIPTS = {"cmn_hans": "zh", "cmn_hant": "zh"}


@pytest.fixture
def declarations(shared_data: Path) -> dict[str, tuple[str, str]]:
    """The Universal Declaration of Human Rights: name to (language, text) for every language with a pack."""
    path = shared_data / "languages" / "udhr.jsonl.gz"
    codes = {alias: code for code, pack in GOPHER.packs.items() for alias in pack.aliases}
    texts = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for document in map(json.loads, lines):
            code = SCRIPTS.get(document["lang"]) or codes.get(document["lang"].split("_")[0])
            if code is not None:
                texts[document["lang"]] = (code, unicodedata.normalize("NFC", document["text"]))
    return texts


def decided(texts: list[tuple[str, str]]) -> list[dict[str, list[Reason]]]:
    words = {code: list(pack.stop_words) for code, pack in GOPHER.packs.items() if pack.stop_words}
    measured = measure(
        pa.array([text for _, text in texts]),
        steps=STEPS,
        stop_words=StopWords.from_lists(words, default=None),
        language=pa.array([code for code, _ in texts]),
    )
    columns = {name: values.to_pylist() for name, values in measured.items()}
    profiles = bounds_for(GOPHER.recipe, GOPHER.packs)
    rows: list[dict[str, Any]] = [{name: column[i] for name, column in columns.items()} for i in range(len(texts))]
    return [decide_plain(profiles, row, language=code, steps=STEPS) for (code, _), row in zip(texts, rows, strict=True)]


def test_ordinary_text_is_kept_in_every_language_with_a_pack(declarations: dict[str, tuple[str, str]]) -> None:
    found = dict(zip(declarations, decided(list(declarations.values())), strict=True))
    assert {name: reasons for name, reasons in found.items() if reasons} == {}
    assert {code for code, _ in declarations.values()} >= {
        "en",
        "de",
        "zh",
        "ja",
        "th",
        "lo",
        "km",
        "my",
        "vi",
        "ar",
        "ru",
    }


def test_repetition_is_removed_in_every_language_with_a_pack(declarations: dict[str, tuple[str, str]]) -> None:
    # One passage of some 200 characters twenty times over, as link farms have it, each time with other line breaks.
    junk = []
    for code, text in declarations.values():
        passage = " ".join(text.split())[400:600]
        junk.append((code, "\n".join(f"{i} {passage}" for i in range(20))))
    for name, reasons in zip(declarations, decided(junk), strict=True):
        rules = {reason.rule for reason in reasons.get("filter_repetition", [])}
        assert "duplicate_10gram_char_fraction" in rules, name
