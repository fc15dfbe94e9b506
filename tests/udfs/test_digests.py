"""Digests: the definition, the twin, the tables behind form C, and odd input."""

from __future__ import annotations

import sys
import unicodedata
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.digests import LEVELS, MOST_EXPANSION, normalised, text_digests
from udfs.nfc import CODE_POINTS_PER_BYTE, compose, composition_tables
from udfs.nfc_build import _composites, build
from udfs.reference import digests as reference
from udfs.unicode import UNICODE_VERSION

ALL = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]
MARKS = "\u0300\u0301\u0308\u0315\u0323\u0327\u0345\u05b0\u05bc\u064b\u0651\u093c\u0f71\u0f72\u0f74\u1161\u11a8\u302a"
BASES = "aAeioußſΑαΣςİıKÅ가각ᄀあカÅ½ 𝅗\n\t\u00a0\u2003"

needs_own_data = pytest.mark.skipif(
    unicodedata.unidata_version != UNICODE_VERSION, reason=f"this Python does not carry Unicode {UNICODE_VERSION}"
)

texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet=MARKS + BASES, max_size=40),
    st.text(alphabet="Ab \n\tcD", max_size=40),
)


def form_c(text: str) -> str:
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    room = np.empty(CODE_POINTS_PER_BYTE * len(data), dtype=np.int32)
    count = compose(data, 0, len(data), composition_tables(), room, np.empty_like(room))
    return "".join(map(chr, room[:count]))


def digest(text: str, level: str = "full") -> bytes | None:
    return text_digests(pa.array([text]), level)[0].as_py()


def test_texts_that_differ_only_in_case_composition_and_whitespace_have_one_digest() -> None:
    assert digest("Caf\u00e9  au\nLAIT ") == digest("cafe\u0301 au lait") != digest("cafe au lait")
    assert digest("STRASSE") == digest("straße")


def test_each_level_keeps_what_it_should() -> None:
    assert digest("a  b", "whitespace") == digest(" a\tb\n", "whitespace") != digest("A b", "whitespace")
    assert digest("a  b", "none") != digest("a b", "none")


def test_a_digest_is_blake2b_of_the_normalised_bytes() -> None:
    assert digest("Hello,  World") == blake2b(b"hello, world", digest_size=16).digest()


@pytest.mark.parametrize("level", LEVELS)
@given(batch=st.lists(st.one_of(st.none(), texts), max_size=6))
def test_the_kernel_equals_its_twin(level: str, batch: list[str | None]) -> None:
    array = pa.array(batch, pa.string())
    assert text_digests(array, level).to_pylist() == [reference.text_digest(text, level) for text in batch]


@needs_own_data
@given(texts)
def test_form_c_equals_unicodedata(text: str) -> None:
    assert form_c(text) == unicodedata.normalize("NFC", text)


@needs_own_data
@pytest.mark.parametrize("count", [16, 17, 400])
def test_long_runs_of_marks_are_ordered_stably(count: int) -> None:
    text = "e" + "".join(MARKS[i * 7 % len(MARKS)] for i in range(count))
    assert form_c(text) == unicodedata.normalize("NFC", text)


@needs_own_data
@pytest.mark.parametrize(("before", "after"), [("", ""), ("a", "\u0301")])
def test_every_code_point_has_the_form_c_and_the_folding_of_the_pinned_version(before: str, after: str) -> None:
    text = " ".join(before + character + after for character in ALL)
    data, offsets = normalised(pa.array([text], pa.large_string()), "full")
    assert data[: offsets[-1]].tobytes().decode() == reference.normalised(text, "full")


@needs_own_data
def test_no_text_outgrows_the_room_reserved_for_it() -> None:
    # What is composed is no longer than its parts; what is not, no longer than this multiple of what it came from.
    for character in ALL:
        parts = unicodedata.normalize("NFD", character)
        folded = sum(len(part.casefold().encode()) for part in parts)
        assert max(folded, len(character.casefold().encode())) <= MOST_EXPANSION * len(character.encode())
        assert len(parts) <= CODE_POINTS_PER_BYTE * len(character.encode())
    for code_point in _composites().values():
        parts = unicodedata.normalize("NFD", chr(code_point))
        assert len(chr(code_point).casefold().encode()) <= sum(len(part.casefold().encode()) for part in parts)


@needs_own_data
def test_the_tables_are_what_the_build_script_makes() -> None:
    built = build()
    assert all(
        np.array_equal(getattr(composition_tables(), name), built[name]) for name in composition_tables()._fields
    )


@pytest.mark.parametrize("level", LEVELS)
def test_empty_text_has_no_digest(level: str) -> None:
    assert digest("", level) is None
    assert (digest(" \n\u3000", level) is None) == (level != "none")


@pytest.mark.parametrize("level", LEVELS)
def test_slices_large_strings_and_nulls_are_read_right(level: str) -> None:
    batch = ["zero", None, "É one", "", "two"]
    expected = [reference.text_digest(text, level) for text in batch]
    for kind in (pa.string(), pa.large_string()):
        assert text_digests(pa.array(batch, kind)[1:], level).to_pylist() == expected[1:]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="level must be one of none, whitespace, full"):
        text_digests(pa.array(["a"]), "most")
