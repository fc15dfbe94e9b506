"""C4's line edits: what they cut and count, the plain twin, and the edges of the Arrow interface."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.lines import LineRules, edit_lines
from udfs.reference.lines import count_sentences, edit_lines_plain

DEFAULT = LineRules()
OFF = LineRules(terminal_mark=False, min_words=0, javascript=False, policies=False)
SENTENCE = "This line has quite enough words."


def edited(text: str, rules: LineRules = DEFAULT) -> str:
    return edit_lines(pa.array([text]), rules).text[0].as_py()


def counted(text: str, rules: LineRules = DEFAULT) -> dict[str, float]:
    """Everything that the kernel counts for one text."""
    edits = edit_lines(pa.array([text]), rules)
    columns = {name: getattr(edits, name) for name in ("words_before", "words_after", "lines_before", "lines_after")}
    return {name: column[0].as_py() for name, column in {**columns, **edits.signals}.items()}


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        ("A line of many words but no mark", LineRules()),
        ("Only four words here.", LineRules()),
        ("Please enable JavaScript to see this page.", LineRules()),
        ("By going on you accept our Privacy Policy.", LineRules()),
        ("This site uses cookies to be better.", LineRules()),
        (f"One word is {'x' * 1001} too long here.", LineRules(max_word_chars=1000)),
    ],
)
def test_a_line_that_breaks_a_rule_is_dropped_and_its_neighbours_stay(line, rules):
    text = f"{SENTENCE}\n{line}\n{SENTENCE}"
    assert edited(text, rules) == f"{SENTENCE}\n{SENTENCE}"
    assert edited(text, OFF) == text


def test_lines_are_stripped_and_joined_by_line_feeds_whatever_ended_them():
    assert edited(f"  {SENTENCE} \r\n\r\n\t{SENTENCE}\r{SENTENCE}\n") == "\n".join([SENTENCE] * 3)


def test_closing_quotes_may_follow_a_terminal_mark_and_do_not_stand_for_one():
    rules = LineRules(min_words=0)
    assert edited('»Ja.«\n“Yes!”\n「はい。」\n"no"\n“Said who”', rules) == "»Ja.«\n“Yes!”\n「はい。」"


def test_citation_marks_are_removed_before_a_line_is_judged():
    text = "The moon is far away.[12]\nThe sun [edit] is farther still.[citation needed] []\n[1]"
    assert edited(text, LineRules(citations=True)) == "The moon is far away.\nThe sun  is farther still."
    assert edited(text, LineRules()) == ""


def test_page_counts_look_at_the_whole_text_and_sentences_at_what_remains():
    text = f"Lorem ipsum {{ dolor }} {{\n{SENTENCE} And it has two sentences.\nlorem IPSUM"
    assert counted(text) == {
        "words_before": 19,
        "words_after": 11,
        "lines_before": 3,
        "lines_after": 1,
        "sentence_count": 2,
        "curly_bracket_count": 2,
        "lorem_ipsum_count": 2,
        "removed_word_fraction": pytest.approx(8 / 19),
    }


@pytest.mark.parametrize(
    ("line", "sentences"),
    [
        ("One. Two! Three?", 3),
        ("It costs 3.50 in all.", 1),
        ("Wait... what?! “Yes.” No", 4),
        ("今天天气很好。明天呢？好！", 3),
        ("यह एक वाक्य है। यह दूसरा है।", 2),
        ("... !", 0),
        ("no mark", 1),
        ("", 0),
    ],
)
def test_sentences_are_counted_by_their_ends(line, sentences):
    assert count_sentences(line) == sentences
    assert counted(line, OFF)["sentence_count"] == sentences


LINE_PARTS = st.sampled_from(
    ["word", "two words", "字", "ก็", " ", "\u3000", "\n", "\r\n", "\r", "\n\n", ".", "!", "。", "…", "”", '"', "'", "{"]
    + ["javascript", "JavaScript", "Terms of Use", "use cookies", "uses cookies", "lorem ipsum", "Lorem\nipsum", "l"]
    + ["[1]", "[]", "[edit]", "[Edit]", "[citation needed]", "[12", "3.5", "\x85", "é", "\U0001f600"]
)
RULES = st.builds(
    LineRules,
    terminal_mark=st.booleans(),
    min_words=st.integers(0, 4),
    max_word_chars=st.none() | st.integers(1, 9),
    javascript=st.booleans(),
    policies=st.booleans(),
    citations=st.booleans(),
)


@given(st.lists(LINE_PARTS, max_size=40).map("".join) | st.text(max_size=40), RULES)
def test_the_kernel_agrees_with_the_plain_twin(text, rules):
    plain_text, plain_counts = edit_lines_plain(text, rules)
    assert edited(text, rules) == plain_text
    assert counted(text, rules) == plain_counts


@given(st.lists(LINE_PARTS, max_size=40).map("".join), RULES)
def test_edits_of_an_edited_text_change_nothing_unless_citations_meet_anew(text, rules):
    if not rules.citations:
        once = edited(text, rules)
        assert edited(once, rules) == once


@given(st.lists(st.none() | st.lists(LINE_PARTS, max_size=9).map("".join), max_size=6), st.integers(0, 6))
def test_slices_nulls_and_chunks_give_what_each_document_gives_alone(texts, begin):
    rules = LineRules(min_words=1, citations=True)
    alone = [None if text is None else edited(text, rules) for text in texts]
    array = pa.array(texts, pa.string())
    assert edit_lines(array, rules).text.to_pylist() == alone
    assert edit_lines(array[begin:], rules).text.to_pylist() == alone[begin:]
    chunks = pa.chunked_array([array[:begin], array[begin:]], pa.string())
    assert edit_lines(chunks, rules).text.to_pylist() == alone
    assert edit_lines(array, rules).signals["sentence_count"].null_count == array.null_count


def test_the_edited_text_has_the_type_of_the_text():
    for type_ in (pa.string(), pa.large_string()):
        edits = edit_lines(pa.array([SENTENCE, None], type_), LineRules())
        assert edits.text.type == type_
        edits.text.validate(full=True)
