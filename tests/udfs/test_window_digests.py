"""Questions and answers about digests of windows, against plain dictionaries."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from udfs.reference import window_digests as plain
from udfs.substrings import POSITION_BITS
from udfs.window_digests import ask, earliest, repeats

# Few halves, so that digests agree in one half and differ in the other; the empty slot's -1 among them.
digests = st.tuples(st.sampled_from([-1, 0, 1, 2**62]), st.sampled_from([-1, 0, 7]))


@st.composite
def chunks(draw: st.DrawFn) -> list[list[plain.Row]]:
    """The windows of a few chunks: each of whole documents, no place twice."""
    numbers = draw(st.permutations(range(6)))
    made: list[list[plain.Row]] = []
    for begin in (0, 2, 4):
        rows: list[plain.Row] = []
        for document in numbers[begin : begin + 2]:
            position = 0
            for digest in draw(st.lists(digests, max_size=6)):
                run = draw(st.integers(1, 3))
                rows.append((*digest, (document << POSITION_BITS) + position, run))
                position += run
        made.append(rows)
    return made


def table(rows: list[plain.Row], width: int) -> np.ndarray:
    return np.array(rows, dtype=np.int64).reshape(-1, width)


@given(parts=chunks())
def test_questions_answers_and_repeats_are_those_of_the_plain_definition(parts: list[list[plain.Row]]) -> None:
    questions = [ask(table(part, 4)) for part in parts]
    for part, asked in zip(parts, questions, strict=True):
        assert [tuple(row) for row in asked.tolist()] == plain.ask(part)
    everything = np.concatenate(questions)
    told = earliest(everything)
    assert told.tolist() == plain.earliest([tuple(row) for row in everything.tolist()])
    ends = np.cumsum([len(asked) for asked in questions])
    for part, asked, known in zip(parts, questions, np.split(told, ends[:-1]), strict=True):
        answers = np.column_stack((asked[:, :2], known))[known >= 0]
        found = repeats(table(part, 4), answers)
        expected = plain.repeats(part, [tuple(row) for row in answers.tolist()], POSITION_BITS)
        assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


@given(parts=chunks())
def test_a_window_is_found_if_and_only_if_its_digest_occurs_more_than_once_in_the_corpus(
    parts: list[list[plain.Row]],
) -> None:
    windows = [(row[:2], row[2] + shift) for part in parts for row in part for shift in range(row[3])]
    places: dict[plain.Row, list[int]] = {}
    for digest, at in windows:
        places.setdefault(digest, []).append(at)
    questions = np.concatenate([ask(table(part, 4)) for part in parts])
    told = earliest(questions)
    answers = {tuple(row[:2]): at for row, at in zip(questions.tolist(), told.tolist(), strict=True) if at >= 0}
    assert answers == {digest: min(at) for digest, at in places.items() if len(at) > 1}


def test_a_digest_that_occurs_a_million_times_is_one_question() -> None:
    rows = np.ones((1_000_000, 4), dtype=np.int64)
    rows[:, 2] = np.arange(1_000_000)[::-1] << POSITION_BITS
    asked = ask(rows)
    assert asked.tolist() == [[1, 1, ~0]]
    assert len(repeats(rows, np.array([[1, 1, 0]])).at) == 1_000_000
