"""Anchors, windows, pieces and chains of repeated substrings, against plain definitions."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs import substrings as kernel
from udfs.reference import substrings as plain
from udfs.shingles import shingles
from udfs.substrings import POSITION_BITS, Pieces, Unit, anchor_sets, anchors, cut, follow, gram_of, tokens, windows

EVERYTHING = np.full(1, 2**64 - 1, dtype=np.uint64)  # a bitmap that lets every anchor pass

texts = st.text(alphabet="ab \n字é\U0001d41a", max_size=40)
units = st.sampled_from(kernel.UNITS)
lengths = st.integers(2, 6)
corpora = st.lists(st.lists(st.sampled_from(["a", "b", "c"]), max_size=30).map(" ".join), min_size=1, max_size=5)


@given(text=texts, unit=units, seams=st.lists(st.integers(0, 40), max_size=3))
def test_tokens_are_those_of_the_plain_definition(text: str, unit: Unit, seams: list[int]) -> None:
    found = tokens(pa.array([text]), unit, pa.array([sorted(seams)], pa.list_(pa.int64())))
    data = text.encode()
    expected = [token for part in plain.tokens(text, unit, seams) for token in part]
    pieces = [data[a:b] for a, b in zip(found.starts, found.ends, strict=True)]
    assert pieces == [token.encode("latin-1" if unit == "bytes" else "utf-8") for token in expected]


@given(words=st.lists(st.sampled_from("abc"), max_size=40), length=st.integers(2, 9))
def test_the_anchor_is_the_rightmost_of_the_smallest_hashes(words: list[str], length: int) -> None:
    gram = gram_of(length)
    hashes = shingles(pa.array([" ".join(words)]), gram).hashes if len(words) >= length else np.empty(0, np.uint64)
    room = np.empty((3, len(hashes)), dtype=np.int64)
    found = kernel.winnow(hashes, len(hashes), length - gram + 1, *room) if len(hashes) else 0
    runs = np.diff(np.append(room[2, :found], max(0, len(words) - length + 1)))
    assert np.repeat(room[1, :found], runs).tolist() == plain.anchors(hashes.tolist(), length, gram)


@given(corpus=corpora, length=lengths)
def test_a_window_that_occurs_twice_has_an_anchor_that_occurs_twice(corpus: list[str], length: int) -> None:
    found = anchors(pa.array(corpus), length)
    assert found.tokens == sum(len(text.split()) for text in corpus)
    assert found.hashes.tolist() == sorted(set(found.hashes.tolist()))
    frequent = set(found.hashes[found.times > 1].tolist())
    for text in corpus:
        for other in corpus:
            ours, theirs = ({tuple(t.split()[i:][:length]) for i in range(len(t.split()) - length + 1)}
                            for t in (text, other))  # fmt: skip
            if text is not other and ours & theirs:
                common = set(anchors(pa.array([text]), length).hashes) & set(anchors(pa.array([other]), length).hashes)
                assert common & frequent


@given(corpus=corpora, length=lengths, unit=units, seams=st.lists(st.integers(0, 40), max_size=2))
def test_the_anchors_of_a_document_are_those_of_it_alone(
    corpus: list[str], length: int, unit: Unit, seams: list[int]
) -> None:
    places = pa.array([sorted(seams), *([None] * (len(corpus) - 1))], pa.list_(pa.int64()))
    found = anchor_sets(pa.array(corpus), length, unit, places)
    for number, text in enumerate(corpus):
        own = found.hashes[found.offsets[number] : found.offsets[number + 1]]
        assert own.tolist() == anchors(pa.array([text]), length, unit, places.slice(number, 1)).hashes.tolist()
    assert len(anchor_sets(pa.array([], pa.string()), length).hashes) == 0


@given(corpus=corpora, length=lengths, unit=units)
def test_equal_windows_and_no_others_have_equal_digests(corpus: list[str], length: int, unit: Unit) -> None:
    found = windows(pa.array(corpus), length, EVERYTHING, unit)
    digests: dict[tuple[int, int], set[tuple[str, ...]]] = {}
    seen = set()
    for number, text in enumerate(corpus):
        (part,) = plain.tokens(text, unit)
        rows = range(found.offsets[number], found.offsets[number + 1])
        places = [found.positions[row] + run for row in rows for run in range(found.runs[row])]
        assert places == list(range(max(0, len(part) - length + 1)))
        for row in rows:
            for run in range(found.runs[row]):
                window = tuple(part[found.positions[row] + run :][:length])
                digests.setdefault((found.first[row], found.second[row]), set()).add(window)
                seen.add(window)
    assert sum(map(len, digests.values())) == len(digests) == len(seen)


def test_only_windows_whose_anchor_passes_the_filter_are_digested() -> None:
    corpus = pa.array(["a b c d e f g h"])
    for passed in anchors(corpus, 4).hashes:
        bitmap = np.zeros(1 << 10, dtype=np.uint64)
        place = int(np.uint64(passed) >> np.uint64(48))
        bitmap[place >> 6] = np.uint64(1) << np.uint64(place & 63)
        assert 1 <= windows(corpus, 4, bitmap).runs.sum() < 5
    assert windows(corpus, 4, np.zeros(1, dtype=np.uint64)).runs.sum() == 0


def test_one_repeated_word_is_one_anchor_and_one_window() -> None:
    found = anchors(pa.array(["word " * 100_000]), 50)
    assert found.times.tolist() == [100_000 - 50 + 1]
    assert windows(pa.array(["word " * 100_000]), 50, EVERYTHING).runs.tolist() == [100_000 - 50 + 1]


def test_windows_do_not_span_a_seam() -> None:
    text = pa.array(["a b c d e f"])
    whole = windows(text, 3, EVERYTHING)
    parted = windows(text, 3, EVERYTHING, seams=pa.array([[6]]))
    assert whole.positions.tolist() == [0, 1, 2, 3]
    assert parted.positions.tolist() == [0, 3]
    assert parted.first.tolist() == [whole.first[0], whole.first[3]]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two tokens"):
        anchors(pa.array(["a"]), 1)
    with pytest.raises(ValueError, match="unit must be one of"):
        windows(pa.array(["a"]), 2, EVERYTHING, "lines")  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------- pieces and chains


def found_in(corpus: list[str], length: int, unit: Unit = "words") -> tuple[Pieces, Pieces, int]:
    """Pieces as cut, pieces as followed to the end, and windows lost, for documents in survivor order."""
    found = windows(pa.array(corpus), length, EVERYTHING, unit)
    documents = np.repeat(np.arange(len(corpus)), np.diff(found.offsets))
    at = (documents << POSITION_BITS) + found.positions
    rows = []
    by_digest: dict[tuple[int, int], list[int]] = {}
    for row, digest in enumerate(zip(found.first.tolist(), found.second.tolist(), strict=True)):
        by_digest.setdefault(digest, []).append(row)
    for group in by_digest.values():
        if len(group) > 1 or found.runs[group[0]] > 1:
            befores = [-1, *(int(at[row] + found.runs[row] - 1) for row in group)]
            rows += [
                (at[row], found.runs[row], at[group[0]], before) for row, before in zip(group, befores, strict=False)
            ]
    columns = np.array(sorted(rows), dtype=np.int64).reshape(-1, 4).T.copy()
    pieces, lost = cut(*columns, length)
    final = pieces
    while not final.final.all():
        final = follow(final, final)
    return pieces, final, lost


def unfolded(pieces: Pieces) -> dict[tuple[int, int], tuple[int, int]]:
    """Every token of the pieces and the one that it points at."""
    mask = (1 << POSITION_BITS) - 1
    return {
        (token >> POSITION_BITS, token & mask): (source >> POSITION_BITS, source & mask)
        for start, end, period, target, _ in zip(*(column.tolist() for column in pieces), strict=True)
        for token in range(start, end)
        for source in [target + (token - start) % period]
    }


def check(corpus: list[str], length: int, unit: Unit = "words") -> None:
    expected = plain.repeats([plain.tokens(text, unit) for text in corpus], length)
    pieces, final, lost = found_in(corpus, length, unit)
    gone = {(n, token) for n, flags in enumerate(expected.cut) for token, flag in enumerate(flags) if flag}
    assert set(unfolded(pieces)) == gone
    assert unfolded(final) == expected.sources
    assert not set(unfolded(final).values()) & gone
    assert lost == expected.lost
    assert (pieces.starts[1:] >= pieces.ends[:-1]).all()


@given(corpus=corpora, length=lengths, unit=units)
def test_cuts_and_what_stays_for_them_are_those_of_the_plain_definition(
    corpus: list[str], length: int, unit: Unit
) -> None:
    check(corpus, length, unit)


def test_two_thousand_small_corpora_are_cut_as_by_brute_force() -> None:
    draw = random.Random(11)
    for _ in range(2000):
        alphabet = "abcde"[: draw.randint(2, 5)]
        corpus = [" ".join(draw.choices(alphabet, k=draw.randint(0, 40))) for _ in range(draw.randint(1, 8))]
        check(corpus, draw.randint(2, 8))


def test_the_vectors_hold(vectors: Path) -> None:
    for line in (vectors / "substring.jsonl").read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        check(case["documents"], case["length"])
        gone = unfolded(found_in(case["documents"], case["length"])[0])
        left = [
            " ".join(word for place, word in enumerate(text.split()) if (number, place) not in gone)
            for number, text in enumerate(case["documents"])
        ]
        assert left == case["keep_first"], case["id"]


def test_a_text_that_repeats_itself_is_one_piece() -> None:
    for period, text in ((1, "a " * 5000), (3, "a b c " * 2000)):
        pieces, final, _ = found_in([text, text], 50)
        assert len(pieces.starts) <= 3
        assert len(final.starts) <= 6
        assert pieces.periods[0] == period


# ---------------------------------------------------------------------------------------------------------------- texts


def left_of(corpus: list[str], length: int, unit: Unit = "words") -> list[str]:
    """The texts without what is cut."""
    _, final, _ = found_in(corpus, length, unit)
    mask = (1 << POSITION_BITS) - 1
    left = []
    for number, text in enumerate(corpus):
        own = final.starts >> POSITION_BITS == number
        starts, ends = final.starts[own] & mask, final.ends[own] - (number << POSITION_BITS)
        sources = [kernel.Source(a, b, "") for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        ranges = [tokens(pa.array([text]), of)[:2] for of in (unit, "words")]
        left.append(kernel.without(text, *ranges, sources, [])[0] if sources else text)
    return left


def test_a_paragraph_ends_where_it_did_and_scripts_without_spaces_are_cut_between_letters() -> None:
    assert left_of(
        [
            "one two three four",
            "start one two three four\n\nend",
            "a\n\none two three four b",
            "一二三四五",
            "六一二三四七",
            "",
            "one two three four",
        ],
        4,
    ) == ["one two three four", "start\n\nend", "a\n\nb", "一二三四五", "六七", "", ""]


def test_bytes_are_counted_but_words_are_cut() -> None:
    # 21 bytes, of which windows of 11 repeat after three.
    assert left_of(["字字字字字字字"], 11, "bytes") == ["字"]
