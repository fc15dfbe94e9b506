"""Decontamination on one document: vectors, twin, forms to find, look-alikes to leave, policies, edge cases."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs import decontamination as kernel
from udfs import ngram_index, tokens
from udfs.decontamination import Policy
from udfs.ngram_index import ITEM_SCHEMA, IndexMismatchError, Parameters
from udfs.reference import decontamination as plain

SMALL = Parameters(ngram=3, han_ngram=5, min_words=2)
SMALL_POLICY = Policy(full_coverage_words=4, min_question_words=4, min_run_words=6, window_chars=5, min_piece_chars=4)

DUCKS = (
    "Janet’s ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes muffins for her friends "
    "every day with four. She sells the remainder at the farmers' market daily for $2 per fresh duck egg. How much in "
    "dollars does she make every day at the farmers' market?"
)
DUCKS_ANSWER = (
    "Janet sells 16 - 3 - 4 = <<16-3-4=9>>9 duck eggs a day. She makes 9 * 2 = $18 every day at the farmer’s market."
)
LIGHT = "A beam of light enters a dark room through a narrow slit and falls on a white screen behind it"
LAW = (
    "甲公司与乙公司签订买卖合同约定乙公司先交货后付款合同履行期届满前甲公司得知乙公司经营状况严重恶化"
    "遂中止履行并通知对方乙公司未在合理期限内恢复履行能力也未提供适当担保下列关于甲公司权利的说法中正确的是哪一项"
)
LAW_ANSWER = "甲公司可以解除合同并请求乙公司承担违约责任"
HOST = "The committee met on Tuesday to review how grants were spent over the last year across every region. " * 12


def row(question: str, answer: str = "", context: str = "", *, dataset: str = "set", id: str = "1") -> dict[str, str]:
    names = ("dataset", "split", "id", "question", "answer", "context")
    return dict(zip(names, (dataset, "test", id, question, answer, context), strict=True))


DEFAULTS = Parameters()
DEFAULT_POLICY = Policy()


def build(
    rows: list[dict[str, str]], parameters: Parameters = DEFAULTS, idioms: Sequence[str] = ()
) -> ngram_index.Index:
    index = ngram_index.build_index(pa.Table.from_pylist(rows, ITEM_SCHEMA), parameters)
    if not idioms:
        return index
    hashes = [hash_of_gram(idiom) for idiom in idioms]
    return ngram_index.with_idioms(index, np.array(hashes, dtype=np.uint64))


def hash_of_gram(text: str) -> int:
    """The definition of a gram's hash, in Python numbers."""
    hashes = [int(h) for h in ngram_index.item_words(pa.array([text])).hashes]
    total = sum(h * pow(int(ngram_index.GRAM_BASE), len(hashes) - 1 - i, 1 << 64) for i, h in enumerate(hashes))
    state = (total + len(hashes) * int(ngram_index.LENGTH_SALT)) % (1 << 64)
    return int(tokens.mix(np.uint64(state)))


def look(text: str | None, index: ngram_index.Index, policy: Policy = DEFAULT_POLICY) -> dict:
    return kernel.contamination(pa.array([text], pa.string()), index, policy).to_pylist()[0]


def ids(found: dict) -> set[str]:
    return {match["item_id"] for match in found["matches"]}


# ---------------------------------------------------------------------------------------------------------- vectors


def test_window_removal_follows_the_vectors(vectors: Path) -> None:
    for line in (vectors / "window_removal.jsonl").read_text().splitlines():
        vector = json.loads(line)
        hits = [tuple(hit) for hit in vector["hits"]]
        wanted = [tuple(piece) for piece in vector["pieces"]]
        fate = vector["document"].split()[0]
        for cut in (kernel.window_removal, plain.window_removal):
            assert cut(vector["characters"], hits) == (wanted, fate), vector["id"]


def test_the_gram_hash_is_the_documented_polynomial() -> None:
    index = build([row(LIGHT)])
    words = LIGHT.split()
    wanted = {hash_of_gram(" ".join(words[at : at + 8])) for at in range(len(words) - 7)}
    assert {int(h) for h in index.lookup.hashes} == wanted


def test_required_coverage_falls_from_all_at_20_words_to_half_at_50() -> None:
    rule = kernel._rule_of(Policy(), Parameters())
    asked = {words: kernel.required_coverage(words, rule) for words in (8, 20, 35, 50, 500)}
    assert asked == {8: 1.0, 20: 1.0, 35: 0.75, 50: 0.5, 500: 0.5}


# ------------------------------------------------------------------------------------------------------------- twin

vocabulary = st.sampled_from(["a", "b", "c", "D", "é", "x.", "&amp;", "&lt;b&gt;", "-", "字", "ｱ", "ก่", "&#39;s", "ß"])
sentence = st.lists(vocabulary, max_size=14).map(" ".join)
wild = st.text(
    alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("&#xlt;amp39 字か\n")), max_size=60
)


@given(wild)
def test_words_equal_the_twins(text: str) -> None:
    found = ngram_index.item_words(pa.array([text]))
    twin = plain.words(text)
    data = text.encode()
    places = [(len(data[:a].decode()), len(data[:b].decode())) for a, b in zip(found.starts, found.ends, strict=True)]
    assert places == [(word.begin, word.end) for word in twin]
    assert found.own.tolist() == [word.is_character for word in twin]
    plain_hashes = tokens.words(pa.array([f" {word.text} " for word in twin], pa.string()), True).hashes
    folded_twice = [plain.words(word.text) for word in twin]
    if all(len(again) == 1 and again[0].text == word.text for again, word in zip(folded_twice, twin, strict=True)):
        assert found.hashes.tolist() == plain_hashes.tolist()


@given(
    items=st.lists(st.tuples(st.sampled_from("pq"), sentence, sentence, sentence), min_size=1, max_size=5),
    pieces=st.lists(st.one_of(sentence, st.integers(0, 4)), max_size=5),
    policy=st.sampled_from(kernel.POLICIES),
    idiom=st.one_of(st.none(), st.tuples(vocabulary, vocabulary, vocabulary)),
)
def test_findings_equal_the_twins(items, pieces, policy, idiom) -> None:
    rows = [row(q, a, c if i % 2 else "", dataset=d, id=str(i)) for i, (d, q, a, c) in enumerate(items)]
    texts = [f"{q} {a}" for _, q, a, _ in items]
    document = " ".join(piece if isinstance(piece, str) else texts[piece % len(texts)] for piece in pieces)
    chosen = Policy(**{**SMALL_POLICY.__dict__, "name": policy})
    idioms = [tuple(word.text for word in plain.words(" ".join(idiom)))] if idiom else []
    twin = plain.items_of(rows, SMALL, idioms)
    try:
        index = build(rows, SMALL, [" ".join(gram) for gram in idioms if gram])
    except ValueError:
        assert not any(item.gram_words for item in twin.items)
        return
    found = look(document, index, chosen)
    wanted = plain.contamination(document, twin, chosen)
    found.pop("reasons")
    for side in (found, wanted):
        for match in side["matches"]:
            for name in ("item_coverage", "weighted_coverage", "document_coverage", "jaccard"):
                match[name] = pytest.approx(match[name], abs=1e-9) if side is wanted else match[name]
    assert found == wanted


@given(
    characters=st.integers(0, 60),
    hits=st.lists(st.tuples(st.integers(0, 59), st.integers(1, 9)), max_size=8),
    window=st.integers(0, 6),
    min_piece=st.integers(0, 6),
    max_pieces=st.integers(1, 5),
)
def test_window_removal_equals_its_twin(characters, hits, window, min_piece, max_pieces) -> None:
    ranges = [(begin, min(begin + length, characters)) for begin, length in hits if begin < characters]
    options = {"window": window, "min_piece": min_piece, "max_pieces": max_pieces}
    found = kernel.window_removal(characters, ranges, **options)
    assert found == plain.window_removal(characters, ranges, **options)


@given(st.lists(st.tuples(st.sampled_from("pqr"), sentence), min_size=2, max_size=8), sentence, st.integers(1, 7))
def test_more_test_sets_never_unflag_a_document(items, extra, cut) -> None:
    rows = [row(q, dataset=d, id=str(i)) for i, (d, q) in enumerate(items)]
    fewer = [r for r in rows if r["dataset"] != "r"] or rows
    document = " ".join([items[cut % len(items)][1], extra])
    try:
        before = look(document, build(fewer, SMALL), SMALL_POLICY)
    except ValueError:
        return
    after = look(document, build(rows, SMALL), SMALL_POLICY)
    pairs = [{(m["dataset"], m["item_id"]) for m in found["matches"]} for found in (before, after)]
    assert pairs[0] <= pairs[1]


# ------------------------------------------------------------------------------------------- forms that must be found


def lower_without_punctuation(text: str) -> str:
    return re.sub(f"[{re.escape(string.punctuation)}’]", "", text).lower()


def wrapped(text: str) -> str:
    return re.sub(r"(.{40,60}) ", r"\1\n", text)


def escaped(text: str) -> str:
    return (
        text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("'", "&#39;")
        .replace("’", "&rsquo;")
    )


@pytest.mark.parametrize(
    "form",
    [
        str,
        lower_without_punctuation,
        wrapped,
        escaped,
        lambda text: escaped(escaped(text)),
        lambda text: HOST + text + "\n" + HOST,
        lambda text: " ".join(text.split()[: len(text.split()) * 6 // 10]),
        lambda text: text.replace("muffins", "cakes").replace("remainder", "rest").replace("three", "four"),
    ],
    ids=["verbatim", "lower", "wrapped", "escaped", "escaped twice", "embedded", "first 60 %", "5 % edited"],
)
def test_an_item_is_found_in_every_form(form) -> None:
    index = build([row(DUCKS, DUCKS_ANSWER)])
    found = look(form(f"{DUCKS}\n{DUCKS_ANSWER}"), index)
    assert found["contaminated"]
    assert found["removed"]
    assert found["reasons"]


def test_a_long_question_without_its_answer_is_found_and_says_so() -> None:
    question = "Which of these is the best explanation of why the moon shows the same face to observers on the earth?"
    answer = "It turns about its own axis once in the same time in which it goes around the planet one full time"
    found = look(f"{HOST} {question} {HOST}", build([row(question, answer)]))
    assert [match["evidence"] for match in found["matches"]] == ["question"]
    assert found["reasons"][0]["rule"] == "question_coverage"


def test_a_short_item_indexed_whole_is_found_only_whole() -> None:
    index = build([row("Nine words make an item that is found whole")], Parameters(ngram=13))
    assert look("It said: nine words make an item that is found whole. Then", index)["contaminated"]
    assert not look("Nine words make an item that is found in parts", index)["contaminated"]


def test_spans_are_code_points_of_the_document_and_matched_text_is_its_own() -> None:
    text = "Öl 😀 &amp; mehr: " + DUCKS.replace("'", "&#39;") + " Ende."
    found = look(text, build([row(DUCKS)]))
    (match,) = found["matches"]
    (span,) = match["spans"]
    assert text[span["begin"] : span["end"]] == match["matched_text"] == text[text.index("Janet") : text.index(" Ende")]
    assert match["item_text"] == DUCKS
    assert match["longest_run"] == len(plain.words(DUCKS))


def test_a_chinese_item_is_found_across_punctuation_and_line_breaks() -> None:
    index = build([row(LAW, LAW_ANSWER)])
    assert index.windows.lengths.tolist() == [16]
    typed = "，".join(LAW[at : at + 11] for at in range(0, len(LAW), 11)) + "？\nA、" + LAW_ANSWER
    assert look(HOST + typed, index)["contaminated"]
    assert look(LAW[: len(LAW) * 7 // 10], index)["contaminated"]


# ------------------------------------------------------------------------------------------------ hard negatives


def test_a_passage_that_several_items_share_is_no_evidence() -> None:
    passage = " ".join(f"passage{n}" for n in range(120))
    rows = [row(f"{passage} What does line {n} of it say about {n}{n}?", dataset="set", id=str(n)) for n in range(2)]
    index = build(rows)
    assert not look(f"{HOST}{passage}. {HOST}", index)["contaminated"]
    assert ids(look(rows[0]["question"], index)) == {"0"}


def test_a_context_is_no_evidence_even_inside_the_question() -> None:
    passage = " ".join(f"passage{n}" for n in range(120))
    question = (
        "Which one of all the numbered passages comes right after the seventh one in the order they were told in here?"
    )
    index = build([row(f"{passage} {question}", "The eighth", passage)])
    assert not look(f"{HOST}{passage}. {HOST}", index)["contaminated"]
    assert look(f"{passage} {question}", index)["contaminated"]
    apart = build([row(question, "The eighth", passage)])
    assert not look(passage, apart)["contaminated"]
    assert look(f"{HOST} {question} {HOST}", apart)["contaminated"]


def test_a_template_filled_otherwise_is_not_found() -> None:
    template = (
        "The following paragraphs each describe a set of three objects in a fixed order. "
        "On a shelf are a {}, a {}, and a {}."
    )
    rows = [
        row(template.format(*words), id=str(n))
        for n, words in enumerate([("pen", "cup", "hat"), ("fork", "jar", "map")])
    ]
    index = build(rows)
    assert not look(template.format("tree", "sock", "lamp"), index)["contaminated"]
    assert ids(look(template.format("pen", "cup", "hat"), index)) == {"0"}


def test_idioms_are_no_evidence_until_they_cover_half_of_the_item() -> None:
    idiom = "permission is hereby granted free of charge to any"
    eights = [" ".join(idiom.split()[at : at + 8]) for at in range(2)]
    text = f"{idiom} person who solves this short riddle about a fox and two geese today"
    half = look(idiom + " other thing at all", build([row(text)], idioms=eights))
    assert not half["contaminated"]
    assert look(text, build([row(text)], idioms=eights))["contaminated"]
    whole = build([row(idiom)], idioms=eights)
    assert look(idiom, whole)["contaminated"]


def test_a_quotation_of_a_third_is_not_found() -> None:
    words = f"{DUCKS} {DUCKS_ANSWER}".split()
    quote = " ".join(words[: len(words) // 3 - 8])
    assert not look(f"As one task puts it, “{quote}” — and so on. {HOST}", build([row(DUCKS, DUCKS_ANSWER)]))[
        "contaminated"
    ]


def test_chinese_idioms_statutes_and_exam_phrases_are_not_found() -> None:
    index = build([row(LAW, LAW_ANSWER)])
    statute = "未在合理期限内恢复履行能力也未提供适当担保"
    for text in (
        "下列关于甲公司权利的说法中正确的是哪一项",
        f"依照民法典规定，对方{statute}的，视为以自己的行为表明不履行主要债务。",
        "经营状况严重恶化，转移财产、抽逃资金，丧失商业信誉。",
    ):
        assert not look(text + "今天天气很好，我们一起去公园散步。", index)["contaminated"], text


# ------------------------------------------------------------------------------------------------------- policies


def test_gopher_asks_for_a_document_that_is_nearly_the_item() -> None:
    index = build([row(DUCKS, DUCKS_ANSWER)], Parameters(ngram=13))
    policy = Policy(name="gopher")
    assert look(f"{DUCKS} {DUCKS_ANSWER}", index, policy)["removed"]
    assert not look(f"{DUCKS} {DUCKS_ANSWER} {HOST}", index, policy)["contaminated"]


def test_gpt3_cuts_the_match_and_records_what_it_cut() -> None:
    index = build([row(DUCKS)], Parameters(ngram=13))
    text = HOST + DUCKS + "\n" + HOST
    found = look(text, index, Policy(name="gpt3"))
    begin, end = len(HOST) - 200, len(HOST) + len(DUCKS) + 200
    assert not found["removed"]
    assert found["edited"] == text[:begin] + "\n\n" + text[end:]
    assert found["cuts"] == [{"begin": begin, "end": end, "text": text[begin:end]}]


def test_gpt3_removes_a_document_of_which_nothing_or_too_many_pieces_stay() -> None:
    index = build([row(DUCKS)], Parameters(ngram=13))
    gone = look(DUCKS, index, Policy(name="gpt3"))
    assert (gone["removed"], gone["edited"]) == (True, None)
    assert gone["reasons"][0]["rule"] == "text_left_chars"
    shredded = look(" ".join([HOST, DUCKS] * 10 + [HOST]), index, Policy(name="gpt3"))
    assert shredded["removed"]
    assert shredded["reasons"] == [{"rule": "pieces", "value": 11.0, "bound": "<= 10"}]


def test_gpt3_ignores_idioms() -> None:
    words = LIGHT.split()
    idioms = [" ".join(words[at : at + 13]) for at in range(len(words) - 12)]
    assert not look(LIGHT, build([row(LIGHT)], Parameters(ngram=13), idioms), Policy(name="gpt3"))["contaminated"]


def test_flag_finds_as_coverage_does_and_removes_nothing() -> None:
    index = build([row(DUCKS)])
    found = look(DUCKS, index, Policy(name="flag"))
    assert (found["contaminated"], found["removed"], found["reasons"]) == (True, False, [])
    assert found["matches"] == look(DUCKS, index)["matches"]


# ------------------------------------------------------------------------------------------------------ edge cases


def test_nulls_empty_texts_and_slices_are_documents_without_words() -> None:
    index = build([row(DUCKS)])
    texts = pa.array(["x", None, "", DUCKS, None, "  "]).slice(1, 4)
    found = kernel.contamination(texts, index, Policy()).to_pylist()
    assert [f["contaminated"] for f in found] == [False, False, True, False]
    assert all(f["matches"] == [] for f in found[:2])


def test_items_that_are_too_short_for_any_test_are_an_error_when_there_are_no_others() -> None:
    with pytest.raises(ValueError, match="the longest has 3 words, at least 8 are needed"):
        build([row("too short really"), row("and this")])


def test_the_order_and_repetition_of_items_change_nothing() -> None:
    rows = [row(DUCKS, id="a"), row(LIGHT, id="b"), row(LAW, id="c")]
    one, other = build(rows), build([*reversed(rows), rows[1]])
    assert one.items.equals(other.items)
    for name in ("item_grams", "item_shares", "items", "offsets"):
        assert np.array_equal(getattr(one.postings, name), getattr(other.postings, name)), name


def test_an_index_is_the_same_after_writing_and_mapping(tmp_path: Path) -> None:
    index = build([row(DUCKS, DUCKS_ANSWER), row(LAW, id="2"), row("too short", id="3")])
    ngram_index.save_index(index, tmp_path / "index")
    mapped = ngram_index.load_index(tmp_path / "index")
    texts = pa.array([HOST, DUCKS, LAW + HOST])
    assert kernel.contamination(texts, mapped, Policy()) == kernel.contamination(texts, index, Policy())
    assert not mapped.lookup.hashes.flags.writeable
    assert not mapped.lookup.hashes.flags.owndata


def test_an_index_of_another_definition_is_refused(tmp_path: Path) -> None:
    ngram_index.save_index(build([row(DUCKS)]), tmp_path)
    described = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({**described, "unicode_version": "9.0.0"}))
    with pytest.raises(IndexMismatchError, match="unicode_version 9"):
        ngram_index.load_index(tmp_path)
    with pytest.raises(IndexMismatchError, match="no decontamination index here"):
        ngram_index.load_index(tmp_path / "nowhere")


def test_a_document_that_repeats_a_shared_phrase_a_hundred_thousand_times_ends_soon() -> None:
    phrase = "which of the following statements is the most likely"
    rows = [row(f"{phrase} outcome number {n} of the trial with {n} mice", id=str(n)) for n in range(500)]
    assert not look(f"{phrase} " * 100_000, build(rows))["contaminated"]
