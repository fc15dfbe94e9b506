"""Differences of two texts by words: complete in their counts, marked where they are, bounded in what is shown."""

from __future__ import annotations

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from jobs.core.word_diff import CONTEXT_WORDS, DIFF_WORDS, MOST_CHANGES, word_diff

texts = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=30).map(" ".join)


def test_changes_are_marked_among_the_words_around_them() -> None:
    left = "one two three four since 1820 five six"
    right = "one two three four for two centuries five six seven"
    diff = word_diff(left, right)
    assert diff.lines == ("one two three four [-since 1820-] {+for two centuries+} five six {+seven+}",)
    assert (diff.common_words, diff.left_words, diff.right_words, diff.changes) == (6, 2, 4, 2)
    assert word_diff(left, left).summary == "the same 8 words"


@given(texts, texts)
def test_both_texts_can_be_read_from_a_short_diff(left: str, right: str) -> None:
    diff = word_diff(left, right)
    assert diff.common_words + diff.left_words == len(left.split())
    assert diff.common_words + diff.right_words == len(right.split())
    assert (diff.changes == 0) == (left == right)
    if len(diff.lines) == 1 and "…" not in diff.lines[0]:
        removed = re.sub(r"\{\+.*?\+\}", "", diff.lines[0])
        assert re.sub(r"\[-(.*?)-\]", r"\1", removed).split() == left.split()
        added = re.sub(r"\[-.*?-\]", "", diff.lines[0])
        assert re.sub(r"\{\+(.*?)\+\}", r"\1", added).split() == right.split()


def test_changes_far_apart_are_shown_apart_and_long_texts_cut() -> None:
    words = [f"w{n}" for n in range(200)]
    other = [*words]
    other[20], other[150] = "x", "y"
    lines = word_diff(" ".join(words), " ".join(other)).lines
    assert [line.count("[-") for line in lines] == [1, 1]
    assert all(line.startswith("… ") and line.endswith(" …") for line in lines)
    assert len(lines[0].split()) == 2 * CONTEXT_WORDS + 4
    changed = word_diff(" ".join(words), " ".join(word if n % 2 else "z" for n, word in enumerate(words)))
    assert changed.lines[-1] == f"… and {changed.changes - MOST_CHANGES} changes more"
    longer = word_diff("a " * 5000, "a " * 5000 + "b")
    assert longer.cut_at_words == DIFF_WORDS and "first 2,000 words" in longer.summary


def test_texts_of_one_frequent_word_are_compared_in_time() -> None:
    started = time.process_time()
    word_diff("b " + "a c " * 4000, "a " * 4000 + "c")
    word_diff(" ".join(str(n * n % 101) for n in range(4000)), " ".join(str(n * n * n % 103) for n in range(4000)))
    assert time.process_time() - started < 10
