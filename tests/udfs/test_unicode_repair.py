"""Unicode repair: the plain twin, policies, and what is counted."""

from __future__ import annotations

import sys

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.reference import unicode_repair as plain
from udfs.unicode_repair import repair

POLICY = st.sampled_from(["keep", "remove"])
CHARACTERS = st.one_of(
    st.sampled_from("abc é\u0301\u0323\u0300eAo\u212b\u1100\u1161\u11a8가\ud55c\u0958\x00\x07\x0b\x0c\x1c\x1f\x7f"
                    "\x85\x9f\t\r\n\u200b\u200c\u200d\u2060\ufeff\u061c\u200e\u202e\u2066\u2028字😀"),
    st.characters(codec="utf-8", max_codepoint=0x2FFFF, exclude_categories=["Cs", "Cn", "Co"]),
)  # fmt: skip
TEXTS = st.lists(st.text(CHARACTERS, max_size=20), max_size=5)


@given(TEXTS, st.sampled_from(["nfc", "none"]), POLICY, POLICY, POLICY)
def test_the_kernel_repairs_as_the_plain_twin(texts: list[str], form: str, control: str, zero: str, bidi: str) -> None:
    policy = {"form": form, "control_characters": control, "zero_width": zero, "bidi_controls": bidi}
    done = repair(pa.array(texts, pa.string()), **policy)
    for i, text in enumerate(texts):
        expected, counts = plain.repair(text, **policy)
        assert done.text[i].as_py() == expected
        assert {name: done.signals[name][i].as_py() for name in counts} == counts


def test_a_repaired_text_needs_no_repair() -> None:
    text = pa.array(["a\x00b\x0cc e\u0301 \u200b\u202e", None, ""])
    once = repair(text, zero_width="remove", bidi_controls="remove")
    assert once.text.to_pylist() == ["ab\nc é ", None, ""]
    assert {name: column.to_pylist() for name, column in once.signals.items()} == {
        "unicode_mojibake": [0, None, 0],
        "unicode_control_characters": [2, None, 0],
        "unicode_zero_width": [1, None, 0],
        "unicode_bidi_controls": [1, None, 0],
        "unicode_recomposed": [1, None, 0],
    }
    twice = repair(once.text, zero_width="remove", bidi_controls="remove")
    assert twice.text == once.text
    assert not any(sum(filter(None, column.to_pylist())) for column in twice.signals.values())


def test_joiners_stay_by_default() -> None:
    text = pa.array(["می\u200cخواهم 👩\u200d💻"])
    assert repair(text).text == text


def test_words_do_not_grow_together_over_a_removed_line_end() -> None:
    assert repair(pa.array(["one\x0ctwo\x1fthree\x85four"])).text.to_pylist() == ["one\ntwo three\nfour"]


def test_slices_and_large_strings_are_repaired_alike() -> None:
    whole = pa.array(["x", "e\u0301\x00", None, "y\x01"], pa.large_string())
    assert repair(whole.slice(1, 3)).text.to_pylist() == ["é", None, "y"]
    assert repair(whole.slice(0, 0)).text.to_pylist() == []


def test_mojibake_is_undone_on_request() -> None:
    pytest.importorskip("ftfy")
    done = repair(pa.array(["schÃ¶n", "schön", "plain", None]), mojibake=True)
    assert done.text.to_pylist() == ["schön", "schön", "plain", None]
    assert done.signals["unicode_mojibake"].to_pylist() == [1, 0, 0, None]


def test_without_ftfy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(RuntimeError, match=r"winnow-corpus\[ftfy\]"):
        repair(pa.array(["é"]), mojibake=True)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="keep or remove"):
        repair(pa.array(["x"]), zero_width="drop")
