"""Lines, paragraphs and spans: the twin, digests, and texts without some of them."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.line_units import KINDS, Units, digest_bytes, units, without
from udfs.reference import line_units as reference
from udfs.tokens import string_buffers

texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="aB. !?”\n\r \t\x0b\u3000。é…", max_size=50),
)


def digests_of(found: Units) -> list[list[tuple[int, ...]]]:
    """Compared digests of each document."""
    rows = [tuple(row) if counted else None for row, counted in zip(found.digests.tolist(), found.counted, strict=True)]
    offsets = found.offsets.tolist()
    return [[row for row in rows[a:b] if row] for a, b in pairwise(offsets)]


def digest(text: str) -> tuple[int, ...]:
    data, offsets = string_buffers(pa.array([text]))
    return tuple(digest_bytes(data, 0, offsets[1]))


@pytest.mark.parametrize("kind", KINDS)
@given(batch=st.lists(st.one_of(st.none(), texts), max_size=4))
def test_the_kernel_equals_its_twin(kind: str, batch: list[str | None]) -> None:
    found = digests_of(units(pa.array(batch, pa.string()), kind))
    assert found == [[digest(unit) for unit in reference.units(text or "", kind)] for text in batch]


@given(texts, st.sampled_from(KINDS))
def test_units_lie_in_order_and_hold_all_but_whitespace(text: str, kind: str) -> None:
    found = units(pa.array([text]), kind)
    data = text.encode()
    position = 0
    for start, end in zip(found.starts.tolist(), found.ends.tolist(), strict=True):
        assert not data[position:start].decode().strip()
        assert data[start:end].decode().strip() == data[start:end].decode() != ""
        position = end
    assert not data[position:].decode().strip()


def without_units(text: str, kind: str, *cut: int) -> str:
    found = units(pa.array([text]), kind)
    return without(text, found.starts.tolist(), found.ends.tolist(), set(cut))[0]


def test_a_line_goes_with_its_line_end() -> None:
    text = "one\ntwo\n\nthree\nfour\n"
    assert without_units(text, "lines", 1) == "one\n\nthree\nfour\n"
    assert without_units(text, "lines", 0) == "two\n\nthree\nfour\n"
    assert without_units(text, "lines", 3) == "one\ntwo\n\nthree\n"
    assert without_units(text, "lines", 0, 1, 2, 3) == ""


def test_paragraphs_and_sentences_leave_the_separators_of_what_remains() -> None:
    assert without_units("a\nb\n\nc\n\nd", "paragraphs", 1) == "a\nb\n\nd"
    assert without_units("One. Two. Three.\nFour. Five.", "sentence_spans", 1) == "One. Three.\nFour. Five."
    assert without_units("One. Two. Three.\nFour. Five.", "sentence_spans", 2) == "One. Two.\nFour. Five."
    assert without_units("One. Two. Three.\nFour. Five.", "sentence_spans", 2, 3) == "One. Two.\nFive."


def test_a_cut_says_what_stood_where_in_code_points() -> None:
    text = "é\ntwo\nthree\nfour"
    found = units(pa.array([text]), "lines")
    left, cuts = without(text, found.starts.tolist(), found.ends.tolist(), {1, 2})
    assert left == "é\nfour"
    assert [tuple(cut) for cut in cuts] == [(2, 11, "two\nthree")]
    assert text[2:11] == "two\nthree"


@given(texts, st.sampled_from(KINDS), st.sets(st.integers(0, 5)))
def test_what_remains_is_found_again_as_it_was(text: str, kind: str, cut: set[int]) -> None:
    found = units(pa.array([text]), kind)
    starts, ends = found.starts.tolist(), found.ends.tolist()
    cut = {unit for unit in cut if unit < len(starts)}
    left, cuts = without(text, starts, ends, cut)
    data = text.encode()
    kept = [data[a:b].decode() for unit, (a, b) in enumerate(zip(starts, ends, strict=True)) if unit not in cut]
    if kind == "lines":
        again = units(pa.array([left]), kind)
        assert [left.encode()[a:b].decode() for a, b in zip(again.starts, again.ends, strict=True)] == kept
    assert all(piece in left for piece in kept)
    assert sum(len(cut.text) for cut in cuts) <= len(text)


def test_short_units_are_not_compared() -> None:
    found = units(pa.array(["Menu\nA longer line of text\n\u00e9\u00e9\u00e9\u00e9\u00e9"]), "lines", min_chars=5)
    assert found.counted.tolist() == [False, True, True]


def test_case_whitespace_and_composition_make_no_difference() -> None:
    found = units(pa.array(["Caf\u00e9  AU lait\nCAFE\u0301 au Lait"]), "lines")
    assert found.digests[0].tolist() == found.digests[1].tolist()


def test_a_text_of_fewer_sentences_than_a_span_is_one_span() -> None:
    found = digests_of(units(pa.array(["One. Two.", "One. Two. Three. Four.", ""]), "sentence_spans"))
    assert [len(spans) for spans in found] == [1, 2, 0]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind must be one of"):
        units(pa.array(["a"]), "words")
