"""Words and hashes: the plain twin, hashes that must never change, the pinned Unicode tables, the Arrow interface."""

from __future__ import annotations

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs import unicode_build
from udfs.reference import characters
from udfs.reference.tokens import hash_word
from udfs.reference.tokens import words as plain_words
from udfs.tokens import string_buffers, words
from udfs.unicode import UNICODE_VERSION, Tables, load_tables

TEXTS = st.text(
    st.sampled_from("aB.#-'\u2019 \t\r\n\x1c\x85\xa0\u2028\u3000")
    | st.sampled_from("ςσΣİıßŉΐﬃ가अाก็กำນေမကំខ字々ーﾊ゙が𠀀\u200d\u0301Ⓐ²—🌈")
    | st.characters(codec="utf-8"),
    max_size=50,
)


def found(text: str | None, normalised: bool) -> list[tuple[int, int, int]]:
    batch = words(pa.array([text], pa.string()), normalised)
    return list(zip(batch.hashes.tolist(), batch.starts.tolist(), batch.ends.tolist(), strict=True))


# Definition -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", ["Hello,", "World!"]),
        ("今天 a字b", ["今", "天", "a", "字", "b"]),
        ("ก็ดี1 ไทย.", ["ก็", "ดี", "1", "ไ", "ท", "ย", "."]),
        ("カﾞ か゛ が", ["カ", "ﾞ", "か", "゛", "が"]),
        ("a\u3000b\u2028c\x85d\x1ce\u200bf", ["a", "b", "c", "d", "e\u200bf"]),
        ("人々 ー", ["人", "々", "ー"]),
        ("", []),
    ],
)
def test_texts_split_into_the_words_of_the_definition(text, expected):
    encoded = text.encode()
    assert [encoded[start:end].decode() for _, start, end in found(text, normalised=False)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Straße “STRASSE!”", ["strasse", "strasse"]),
        ("state-of-the-art — $5 +", ["stateoftheart", "5"]),
        ("ΤΗΣ της", ["τησ", "τησ"]),
        ("ﬃ İ", ["ffi", "i\u0307"]),
    ],
)
def test_normalised_words_are_folded_and_lose_punctuation_and_symbols(text, expected):
    assert [key for key, _, _ in found(text, normalised=True)] == [hash_word(word) for word in expected]


def test_hashes_never_change():
    assert [hex(key) for key, _, _ in found("the The 字 é", normalised=False)] == [
        hex(hash_word(word)) for word in ("the", "The", "字", "é")
    ]
    assert hex(hash_word("the")) == HASH_OF_THE
    assert hex(hash_word("")) == HASH_OF_NOTHING


HASH_OF_THE = "0xac9aa3017935af20"
HASH_OF_NOTHING = "0x9ca066f1a4ab2eea"


# Twin -------------------------------------------------------------------------------------------------------------


@given(TEXTS, st.booleans())
def test_kernel_and_plain_twin_find_the_same_words(text, normalised):
    plain = [(hash_word(word.text), word.start, word.end) for word in plain_words(text, normalised)]
    assert found(text, normalised) == plain


def test_hashes_of_many_words_are_distinct_and_use_every_bit():
    batch = words(pa.array([" ".join(f"{number:x}" for number in range(200_000))]), False)
    assert len(np.unique(batch.hashes)) == 200_000
    ones = np.unpackbits(batch.hashes.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
    assert np.all(np.abs(ones - 0.5) < 0.01)
    buckets = np.bincount((batch.hashes & np.uint64(1023)).astype(int), minlength=1024)
    assert buckets.max() < 2 * buckets.mean()


# Unicode tables ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(
    unicodedata.unidata_version != UNICODE_VERSION, reason="this Python carries another Unicode version"
)
def test_the_stored_tables_are_what_the_build_makes():
    built = unicode_build.build()
    stored = load_tables()
    for name in Tables._fields:
        assert np.array_equal(getattr(stored, name), built[name]), name


def test_the_build_refuses_another_unicode_version(monkeypatch):
    monkeypatch.setattr(unicodedata, "unidata_version", "15.1.0")
    with pytest.raises(RuntimeError, match=r"15\.1\.0.*14\.0\.0"):
        unicode_build.build()


@pytest.mark.skipif(
    unicodedata.unidata_version != UNICODE_VERSION, reason="this Python carries another Unicode version"
)
def test_the_twins_give_the_same_with_the_pinned_tables_as_with_pythons_own_data(monkeypatch):
    # The planes in between hold nothing, those behind are for private use: a few of each will do.
    planes = (range(0xD800), range(0xE000, 0x32400), range(0x3FF00, 0x110000, 0x101), range(0xE0000, 0xE0200))
    every = [chr(code_point) for plane in planes for code_point in plane]
    questions = (
        characters.is_punctuation,
        characters.is_letter,
        characters.is_mark,
        characters.is_alphanumeric,
        characters.case_folded,
        characters.lower_cased,
    )
    own = [[question(character) for character in every] for question in questions]
    sigmas = ["ΑΣ", "Σ", "ΑΣ.", "ΑΣΑ", "Α.Σ", "Α\u0301Σ\u0301", "ΑΣ\u0301Α", "ʰΣ", "1Σ"]
    lowered = [word.lower() for word in sigmas]
    monkeypatch.setattr(characters, "OWN_DATA", False)
    for question, answers in zip(questions, own, strict=True):
        assert [question(character) for character in every] == answers, question.__name__
    assert [characters.lower_cased(word) for word in sigmas] == lowered


# Arrow ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.none() | TEXTS, max_size=6), st.integers(0, 6), st.booleans())
def test_every_document_of_a_slice_has_the_words_it_has_alone(texts, begin, normalised):
    batch = words(pa.array(texts, pa.string())[begin:], normalised)
    for document, text in enumerate(texts[begin:]):
        part = slice(batch.offsets[document], batch.offsets[document + 1])
        columns = (batch.hashes[part].tolist(), batch.starts[part].tolist(), batch.ends[part].tolist())
        assert list(zip(*columns, strict=True)) == found(text, normalised)
    assert batch.offsets[-1] == len(batch.hashes)


def test_bytes_are_not_copied():
    text = pa.array(["one", "two", "three"])
    data, offsets = string_buffers(text[1:])
    assert data.ctypes.data == text.buffers()[2].address
    assert not data.flags.writeable
    assert [data[offsets[row] : offsets[row + 1]].tobytes() for row in range(2)] == [b"two", b"three"]
