"""Texts as a report shows them: cut around what matters, marked, masked, and without signs that change the page."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.core.report_texts import EXCERPT_CHARS, Masker, Piece, safe

MASKED, OPEN = Masker(masked=True), Masker(masked=False)
LONG = "A sentence of some words that says nothing in particular. " * 200


def shown(pieces: list[Piece], kind: str | None = None) -> str:
    return "".join(piece.text for piece in pieces if kind is None or piece.kind == kind)


def test_a_long_text_is_cut_around_its_spans() -> None:
    text = f"{LONG}###{LONG}"
    pieces = OPEN.of_rule("hash_word_ratio", text[:15_000])
    assert shown(pieces, "mark") == "###"
    assert shown(pieces, "gap") == " …  …"
    assert len(shown(pieces)) <= EXCERPT_CHARS + 20
    assert not shown(pieces).startswith(" … entence")


def test_masks_win_over_marks_and_personal_data_shows_only_when_asked_for() -> None:
    text = "# write to jo@mail.example, or # call"
    assert shown(MASKED.of_rule("hash_word_ratio", text)) == "# write to [EMAIL], or # call"
    assert [piece.kind for piece in MASKED.excerpt(text, [(0, 20)])] == ["mark", "mask", ""]
    assert shown(OPEN.excerpt(text, [(0, 20)])) == text
    assert MASKED.line("mailto:jo@mail.example") == "mailto:[EMAIL]"


def test_texts_that_are_missing_or_empty_say_so() -> None:
    assert MASKED.excerpt(None) == [Piece("no text is stored", "gap")]
    assert MASKED.excerpt("") == [Piece("no text", "gap")]


def test_differences_are_marked_on_both_sides_and_what_is_equal_is_shortened() -> None:
    left, right = OPEN.difference(f"{LONG[:2000]} the red house", f"{LONG[:2000]} the blue house")
    assert (shown(left, "mark"), shown(right, "mark")) == ("red", "blue")
    assert "… " in shown(left, "gap")
    assert len(shown(left)) < 400
    assert shown(OPEN.difference("a b", None)[0], "mark") == "a b"


def test_controls_and_directional_overrides_do_not_reach_the_page() -> None:
    assert safe("a\x00b\u202ec\u2066d\te\nf") == "a\ufffdb\ufffdc\ufffdd\te\nf"
    assert OPEN.line("two\nlines") == "two lines"


@given(
    st.text(alphabet=st.sampled_from("ab #\n\t."), max_size=300),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 20)), max_size=5),
)
def test_a_short_text_is_shown_whole_whatever_is_marked(text: str, places: list[tuple[int, int]]) -> None:
    from udfs.offending_spans import merged

    spans = [(begin, min(end, len(text))) for begin, end in merged((a, a + n) for a, n in places) if begin < len(text)]
    pieces = OPEN.excerpt(text, spans)
    if not text:
        return
    whole = "".join(piece.text for piece in pieces if piece.kind != "gap").replace(" ⏎ ", "\n")
    if not any(piece.kind == "gap" for piece in pieces):
        assert whole == text
        assert shown(pieces, "mark") == "".join(text[begin:end] for begin, end in spans).replace("\r", "\n")
