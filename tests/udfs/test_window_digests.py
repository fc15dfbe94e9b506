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


def columns_of(part: list[plain.Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.array(part, dtype=np.int64).reshape(-1, 4)
    return rows[:, :2], rows[:, 2].copy(), rows[:, 3].copy()


@given(parts=chunks())
def test_questions_answers_and_repeats_are_those_of_the_plain_definition(parts: list[list[plain.Row]]) -> None:
    asked = [ask(*columns_of(part)) for part in parts]
    for part, (questions, numbers) in zip(parts, asked, strict=True):
        expected = plain.ask([row[:2] for row in part], [row[2] for row in part], [row[3] for row in part])
        assert ([tuple(row) for row in questions.tolist()], numbers.tolist()) == expected
    everything = np.concatenate([questions for questions, _ in asked])
    told = earliest(everything)
    assert told.tolist() == plain.earliest([tuple(row) for row in everything.tolist()])
    ends = np.cumsum([len(questions) for questions, _ in asked])
    for part, (_, numbers), first_of in zip(parts, asked, np.split(told, ends[:-1]), strict=True):
        _, at, runs = columns_of(part)
        found = repeats(at, runs, numbers, first_of)
        assert list(zip(*(column.tolist() for column in found), strict=True)) == plain.repeats(
            at.tolist(), runs.tolist(), numbers.tolist(), first_of.tolist(), POSITION_BITS
        )


@given(parts=chunks())
def test_a_digest_is_answered_if_and_only_if_it_occurs_more_than_once_in_the_corpus(
    parts: list[list[plain.Row]],
) -> None:
    places: dict[plain.Row, list[int]] = {}
    for first, second, at, run in (row for part in parts for row in part):
        places.setdefault((first, second), []).extend(range(at, at + run))
    questions = np.concatenate([ask(*columns_of(part))[0] for part in parts])
    told = earliest(questions)
    answers = {tuple(row[:2]): at for row, at in zip(questions.tolist(), told.tolist(), strict=True) if at >= 0}
    assert answers == {digest: min(at) for digest, at in places.items() if len(at) > 1}


def test_a_digest_that_occurs_a_million_times_is_one_question() -> None:
    at = np.arange(1_000_000)[::-1] << POSITION_BITS
    questions, numbers = ask(np.ones((len(at), 2), dtype=np.int64), at, np.ones_like(at))
    assert questions.tolist() == [[1, 1, ~0]]
    assert len(repeats(at, np.ones_like(at), numbers, np.array([0])).at) == len(at)
