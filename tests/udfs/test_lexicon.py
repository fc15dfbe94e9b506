"""Lexicons: what occurs where, the plain twin, layouts of lists."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs import lexicon, signals
from udfs.lexicon import Phrase
from udfs.reference import lexicon as plain

NO_STOP_WORDS = signals.StopWords.from_lists({})


def measure_on_the_way(
    text: pa.Array, lexicons: lexicon.Lexicons, language: pa.Array | None = None
) -> dict[str, pa.Array]:
    """Count by the word hashes of the pass that the quality signals come from."""
    steps = ["filter_quality"]
    found = signals.measure(text, steps=steps, stop_words=NO_STOP_WORDS, language=language, lexicons=lexicons)
    return {name: column for name, column in found.items() if name.startswith("lexicon_")}


WAYS = (lexicon.measure, measure_on_the_way)


def count(text: str | None, phrases: list[str], language: str | None = None) -> tuple[int, float]:
    lexicons = lexicon.build_lexicons({"x": [Phrase(phrase, None) for phrase in phrases]})
    found, again = (way(pa.array([text], pa.string()), lexicons, pa.array([language], pa.string())) for way in WAYS)
    assert found == again
    return found["lexicon_hits_x"][0].as_py(), found["lexicon_fraction_x"][0].as_py()


# ---------------------------------------------------------------------------------------------------------- what occurs


@pytest.mark.parametrize(
    ("text", "phrases", "hits", "covered", "words"),
    [
        ("Buy now, buy often.", ["buy"], 2, 2, 4),
        ("Act NOW! Act now…", ["act now"], 2, 4, 4),
        ("act, now", ["act now"], 1, 2, 2),
        ("re-act now", ["act now"], 0, 0, 2),
        ("a b a b a", ["a b a"], 1, 3, 5),
        ("a b c", ["a", "a b"], 1, 2, 3),
        ("a b c", ["a b", "b c"], 1, 2, 3),
        ("Straße STRASSE", ["strasse"], 2, 2, 2),
        ("click-bait clickbait", ["Click-Bait"], 2, 2, 2),
        ("我喜欢垃圾邮件因为", ["垃圾邮件"], 1, 4, 9),
        ("これはスパムです", ["スパム"], 1, 3, 8),
        ("ฉันเกลียดสแปมมาก", ["สแปม"], 1, 4, 14),
        ("", ["a"], 0, 0, 1),
        ("— … !", ["a"], 0, 0, 1),
        ("one two three four five six", ["one two three four five six"], 0, 0, 6),
    ],
)
def test_phrases_occur_in_order_without_overlap_whatever_the_punctuation(
    text: str, phrases: list[str], hits: int, covered: int, words: int
) -> None:
    assert count(text, phrases) == (hits, covered / words)


def test_a_null_text_has_null_signals() -> None:
    assert count(None, ["a"]) == (None, None)


def test_a_phrase_of_one_language_counts_in_its_documents_only() -> None:
    lexicons = lexicon.build_lexicons({"x": [Phrase("slut", "en"), Phrase("casino", None)]})
    texts = pa.array(["slut casino"] * 4)
    found = lexicon.measure(texts, lexicons, pa.array(["en", "sv", "und", None]))
    assert found["lexicon_hits_x"].to_pylist() == [2, 1, 1, 2]
    assert lexicon.measure(texts, lexicons)["lexicon_hits_x"].to_pylist() == [2, 2, 2, 2]


def test_lexicons_do_not_hide_each_other() -> None:
    lexicons = lexicon.build_lexicons({"long": [Phrase("free money now", None)], "short": [Phrase("money", None)]})
    found = lexicon.measure(pa.array(["free money now"]), lexicons)
    assert {name: column.to_pylist()[0] for name, column in found.items()} == {
        "lexicon_hits_long": 1,
        "lexicon_fraction_long": 1.0,
        "lexicon_hits_short": 1,
        "lexicon_fraction_short": 1 / 3,
    }


def test_what_is_remembered_of_words_as_they_are_written_changes_no_count() -> None:
    several = [f"w{number} w{number + 1}" for number in range(0, 30_000, 7)]
    lexicons = lexicon.build_lexicons({"x": [Phrase(text, None) for text in [*several, "w50", "w9000"]]})
    words = [f"W{number}," for number in range(30_000)]
    texts = pa.array([" ".join(words[begin : begin + 97]) for begin in range(0, 30_000, 97)] * 3)
    found, again = (way(texts, lexicons) for way in WAYS)
    assert found == again
    assert sum(found["lexicon_hits_x"].to_pylist()) > 3 * 4_000


def test_phrases_without_words_or_with_too_many_are_told() -> None:
    lexicons = lexicon.build_lexicons({"x": [Phrase(text, None) for text in ("!!!", "a b c d e f", "a", "A", "a!")]})
    assert lexicons.skipped == ("!!!", "a b c d e f")
    assert lexicons.sizes == (1,)


# ------------------------------------------------------------------------------------------------------------- the twin

TEXTS = st.lists(st.sampled_from(["a", "b", "A", "b,", "字", "か", "ß", "ss", "กู่", "…", " ", "\n", "-"])).map(
    "".join
) | (st.lists(st.sampled_from(["a", "b", "A", "b,", "字か", "ß", "—"])).map(" ".join))
PHRASES = st.lists(st.tuples(TEXTS.map(lambda text: text[:8]), st.sampled_from([None, "en", "de"])), max_size=6)


@given(st.lists(st.tuples(TEXTS, st.sampled_from([None, "en", "und"])), max_size=5), PHRASES, PHRASES)
def test_the_kernel_counts_as_the_plain_twin(
    documents: list[tuple[str, str | None]],
    one: list[tuple[str, str | None]],
    other: list[tuple[str, str | None]],
) -> None:
    one, other = ([p for p in phrases if len(p[0].split()) <= lexicon.MAX_WORDS] for phrases in (one, other))
    lexicons = lexicon.build_lexicons({"one": [Phrase(*p) for p in one], "other": [Phrase(*p) for p in other]})
    texts = pa.array([text for text, _ in documents], pa.string())
    languages = pa.array([language for _, language in documents], pa.string())
    found = lexicon.measure(texts, lexicons, languages)
    assert measure_on_the_way(texts, lexicons, languages) == found
    for name, phrases in (("one", one), ("other", other)):
        hits, fractions = found[f"lexicon_hits_{name}"].to_pylist(), found[f"lexicon_fraction_{name}"].to_pylist()
        expected = [plain.measure(text, phrases, language) for text, language in documents]
        assert list(zip(hits, fractions, strict=True)) == expected


# Words that are sifted by their first letters, and their like that must not be: marks before, in and behind, control
# characters, letters that fold to others, and words that differ after the eighth letter or in length alone.
WRITTEN = [
    "technology", "Technology,", "TECHNOLOGIES", "techno-logy", "(technology)", "**Technology**", "((technology",
    "technolo", "technologyx",
    "Technolo\x01gy", "\x01a", "a\x01", "A\x01b.", "\x7f", "--", "—", "***********", "a", "A", "a.",
    "A.b", "ab", "don't", "DONT", "ﬁne", "FINE,", "K", "k", "ſo", "So", "10:00", "1000", "é",
    "É.", "e\u0301", "字", "A字",
    "x" * 80, "X" * 80 + ".", "x" * 81,
]  # fmt: skip
SENTENCES = st.lists(st.sampled_from(WRITTEN), max_size=20).map(" ".join)
SHORT_PHRASES = st.lists(st.lists(st.sampled_from(WRITTEN), min_size=1, max_size=3).map(" ".join), max_size=8)


@given(st.lists(SENTENCES, min_size=1, max_size=4), SHORT_PHRASES)
def test_no_word_is_sifted_out_that_begins_a_phrase(documents: list[str], phrases: list[str]) -> None:
    lexicons = lexicon.build_lexicons({"x": [Phrase(phrase, None) for phrase in phrases]})
    texts = pa.array([*documents, "nothing here, but room"])
    found = lexicon.measure(texts, lexicons)
    assert measure_on_the_way(texts, lexicons) == found
    expected = [plain.measure(text, [(phrase, None) for phrase in phrases], None) for text in texts.to_pylist()]
    assert list(zip(*(column.to_pylist() for column in found.values()), strict=True)) == expected


# -------------------------------------------------------------------------------------------------------------- layouts


def test_a_folder_of_files_named_by_language_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "en").write_text("bad word\nworse\n")
    (tmp_path / "fr-CA-u-sd-caqc").write_text("mauvais\n")
    (tmp_path / "fil").write_text("masama\n")
    (tmp_path / "LICENSE").write_text("CC-BY\n")
    (tmp_path / "README.md").write_text("# A list\n")
    assert lexicon.read_phrases(tmp_path) == [
        Phrase("bad word", "en"),
        Phrase("worse", "en"),
        Phrase("masama", "tl"),
        Phrase("mauvais", "fr"),
    ]


def test_plain_lists_have_comments_and_no_language(tmp_path: Path) -> None:
    (tmp_path / "spam.txt").write_text("\ufeff# our own\nbuy now\n\n  act fast \n")
    assert lexicon.read_phrases(tmp_path / "spam.txt") == [Phrase("buy now", None), Phrase("act fast", None)]
    assert lexicon.read_phrases(tmp_path / "spam.txt", "en")[0] == Phrase("buy now", "en")


def test_json_lists_with_spellings_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "en.json").write_text(json.dumps([{"id": "x", "match": "sp*am|junk mail", "tags": [], "severity": 1}]))
    assert lexicon.read_phrases(tmp_path / "en.json") == [Phrase("spam", "en"), Phrase("junk mail", "en")]


def test_lists_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "en.json").write_text('{"words": []}')
    with pytest.raises(ValueError, match=r"en\.json: a JSON list has the form"):
        lexicon.read_phrases(tmp_path / "en.json")
    with pytest.raises(FileNotFoundError, match="no word list at"):
        lexicon.read_phrases(tmp_path / "nothing")


def test_real_lists_are_read_and_found_in_their_own_lines(shared_data: Path) -> None:
    lists = {"ldnoobw": shared_data / "lists" / "ldnoobw", "dsojevic": shared_data / "lists" / "dsojevic" / "en.json"}
    phrases = {name: lexicon.read_phrases(path) for name, path in lists.items()}
    lexicons = lexicon.build_lexicons(phrases)
    assert {phrase.language for phrase in phrases["ldnoobw"]} >= {"en", "de", "zh", "ja", "tl"}
    for name, listed in phrases.items():
        kept = [p for p in listed if p.text not in lexicons.skipped]
        found = lexicon.measure(
            pa.array([p.text for p in kept]), lexicons, pa.array([p.language for p in kept], pa.string())
        )
        assert min(found[f"lexicon_hits_{name}"].to_pylist()) == 1
        assert len(kept) > 0.99 * len(listed)
