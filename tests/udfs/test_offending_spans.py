"""The marked places are those that the signals count: their lengths give the signal's value again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.offending_spans import merged, offending_spans, places_of_lines, places_of_paragraphs, places_of_words
from udfs.reference import measure_plain
from udfs.reference.lines import split_lines, split_paragraphs
from udfs.reference.tokens import split_words

PIECES = (
    "a",
    "to be",
    "#",
    "...",
    "…",
    "- item",
    "* item",
    "漢字漢字",
    "12",
    "\n",
    "\n\n",
    "\r\n",
    " ",
    "\n \t\n",
    "end.",
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join) | st.text(max_size=60)


def word_chars(text: str) -> int:
    return sum(map(len, split_words(text)))


@given(TEXTS)
def test_words_lines_and_paragraphs_stand_where_they_are_found(text: str) -> None:
    assert [text[a:b] for a, b in places_of_words(text)] == split_words(text)
    assert [text[a:b] for a, b in places_of_lines(text)] == split_lines(text)
    with_line_feeds = [text[a:b].replace("\r\n", "\n").replace("\r", "\n") for a, b in places_of_paragraphs(text)]
    assert with_line_feeds == split_paragraphs(text)


@given(TEXTS)
def test_marked_ngrams_cover_what_the_signal_counts(text: str) -> None:
    signals = measure_plain(text, None)
    total = word_chars(text)
    for rule in ("top_2gram_char_fraction", "top_3gram_char_fraction", "duplicate_5gram_char_fraction"):
        covered = sum(word_chars(text[a:b]) for a, b in offending_spans(rule, text))
        assert covered == pytest.approx((signals[rule] or 0) * total), rule


@given(TEXTS)
def test_marked_lines_and_signs_are_as_many_as_the_signal_counts(text: str) -> None:
    signals = measure_plain(text, None)
    lines, words = len(split_lines(text)), len(split_words(text))
    for rule, unit in (
        ("bullet_line_fraction", lines),
        ("ellipsis_line_fraction", lines),
        ("short_line_fraction", lines),
        ("duplicate_line_fraction", lines),
        ("duplicate_paragraph_fraction", len(split_paragraphs(text))),
    ):
        assert len(offending_spans(rule, text)) == pytest.approx((signals[rule] or 0) * unit), rule
    assert sum(b - a for a, b in offending_spans("hash_word_ratio", text)) == pytest.approx(
        (signals["hash_word_ratio"] or 0) * words if words else text.count("#")
    )
    unmarked = words - sum(len(split_words(text[a:b])) for a, b in offending_spans("alpha_word_fraction", text))
    assert unmarked == pytest.approx((signals["alpha_word_fraction"] or 0) * words)


def test_spans_that_touch_are_one_and_rules_without_places_have_none() -> None:
    assert merged([(4, 6), (0, 2), (2, 3), (5, 9), (11, 11)]) == [(0, 3), (4, 9)]
    assert offending_spans("word_count", "too short") == []
    assert offending_spans("ellipsis_word_ratio", "a.... b…") == [(1, 4), (7, 8)]
