"""Token estimates by script and language, and counts by a tokenizer file."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.token_counts import RATIOS_PATH, SCRIPTS, CharacterRatios, FileTokenizer, characters_by_script

NAMES = [script.name for script in SCRIPTS]


def plain_counts(text: str) -> tuple[list[int], int]:
    """What `characters_by_script` counts of one text, letter by letter."""
    letters = [0] * len(SCRIPTS)
    for character in text:
        if unicodedata.category(character).startswith("L"):
            point = ord(character)
            place = [any(low <= point <= high for low, high in script.ranges) for script in SCRIPTS]
            letters[place.index(True) if True in place else 0] += 1
    return letters, len(text)


ASSIGNED = st.characters(min_codepoint=0, max_codepoint=0x2FFFF, exclude_categories=("Cs", "Cn"))


@given(st.lists(st.none() | st.text(ASSIGNED, max_size=40), max_size=8))
def test_letters_are_counted_by_script_as_one_by_one(texts: list[str | None]) -> None:
    letters, characters = characters_by_script(pa.array(["cut off", *texts], pa.string())[1:])
    expected = [plain_counts(text or "") for text in texts]
    assert letters.tolist() == [each for each, _ in expected]
    assert characters.tolist() == [each for _, each in expected]


def test_texts_are_counted_alike_in_one_piece_and_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pa.array(["Straße", "", "東京 and Киев", "x" * 100, "ไทย", "né"])
    whole = characters_by_script(texts)
    monkeypatch.setattr("udfs.token_counts.MAX_PIECE_BYTES", 5)
    pieces = characters_by_script(texts)
    assert np.array_equal(whole[0], pieces[0])
    assert np.array_equal(whole[1], pieces[1])


def test_the_ratio_is_that_of_the_language_for_its_own_script_and_else_of_the_script() -> None:
    stored = json.loads(RATIOS_PATH.read_text())
    english, latin = stored["languages"]["en"]["latin"], stored["scripts"]["latin"]
    chinese, han = stored["languages"]["zh"]["han"], stored["scripts"]["han"]
    assert english < latin
    texts = pa.array(["abcd efg!", "abcd efg!", "abcd efg!", "漢字", "漢字漢字ab", "", None, "123"])
    languages = pa.array(["en", None, "zh", "zh-TW", "zh", "en", "en", "xx"])
    expected = [9 * english, 9 * latin, 9 * latin, 2 * chinese, (4 * chinese + 2 * latin), 0, 0, 3 * latin]
    assert CharacterRatios().count(texts, languages) == pytest.approx(expected)
    assert CharacterRatios().count(texts[:1]) == pytest.approx([9 * latin])
    assert han == pytest.approx(chinese, rel=0.2)


def test_every_ratio_is_of_a_known_script_and_plausible() -> None:
    stored = json.loads(RATIOS_PATH.read_text())
    assert list(stored["scripts"]) == NAMES
    for by_script in (stored["scripts"], *stored["languages"].values()):
        assert set(by_script) <= set(NAMES)
        assert all(0.1 < rate < 5 for rate in by_script.values())


def test_a_tokenizer_file_counts_without_special_tokens(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="the extra tokenizers is not installed")
    path = write_word_tokenizer(tokenizers, tmp_path / "tokenizer.json")
    counter = FileTokenizer(str(path))
    assert counter.count(pa.array(["one two  three", "", None, "one"])).tolist() == [3, 0, 0, 1]
    assert counter.exact
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(ValueError, match=r"broken\.json"):
        FileTokenizer(str(tmp_path / "broken.json"))


def write_word_tokenizer(tokenizers: object, path: Path) -> Path:
    """A tokenizer of words, which would add a start token and cut texts after two tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "<s>": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.enable_truncation(2)
    tokenizer.save(str(path))
    return path
