"""The language kernel: the library's own cleaning, the plain twin, edge cases, and accuracy on labelled text."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs import language
from udfs.reference import language as plain

SENTENCES = {
    "en": "The committee will meet again on Thursday to discuss the new rules for schools.",
    "de": "Der Ausschuss wird am Donnerstag erneut zusammenkommen, um über die neuen Regeln zu sprechen.",
    "fr": "La commission se réunira de nouveau jeudi pour discuter des nouvelles règles.",
    "es": "La comisión se reunirá de nuevo el jueves para discutir las nuevas normas.",
    "ru": "Комиссия снова соберётся в четверг, чтобы обсудить новые правила для школ.",
    "ar": "ستجتمع اللجنة مرة أخرى يوم الخميس لمناقشة القواعد الجديدة للمدارس.",
    "zh": "委员会将于星期四再次开会讨论学校的新规定。",
    "ja": "委員会は木曜日に再び集まり、学校の新しい規則について話し合います。",
    "ko": "위원회는 목요일에 다시 모여 학교의 새로운 규칙을 논의할 것이다.",
    "vi": "Ủy ban sẽ họp lại vào thứ Năm để thảo luận về các quy định mới cho trường học.",
    "th": "คณะกรรมการจะประชุมอีกครั้งในวันพฤหัสบดีเพื่อหารือเกี่ยวกับกฎใหม่",
    "hi": "समिति गुरुवार को फिर से बैठक करेगी और स्कूलों के नए नियमों पर चर्चा करेगी।",
}
PIECES = st.one_of(
    st.sampled_from(sorted(SENTENCES.values())),
    st.text(max_size=40),
    st.text(st.characters(min_codepoint=0x41, max_codepoint=0x24F), max_size=40),
    st.text(st.sampled_from("AEOaeoÂêơư\u0300\u0301\u0303\u0309\u0323 \u0302"), max_size=20),
    st.text(st.sampled_from("abc.@-_ \u0301"), max_size=20),
    st.sampled_from([
        "https://example.org/a?b=c#d ", "http://é", "xhttp://y z@w", "a.b-c@d.example ", "@", "x@yhttp://z.example/a b",
        "a@b", "a@bc", "a" * 70 + "@b", "a@" + "b" * 300 + ".c", "http" + "://" + "a" * 2100, "ABC DEf", "𝐀BC 𐐀B", "ϒA",
    ]),
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=6).map(" ".join) | st.lists(PIECES, max_size=6).map("".join)


def answers(texts: Sequence[str | None], backend: str = "profiles") -> list[tuple[str, float, str | None, str]]:
    found = language.detect(pa.array(texts, pa.string()), backend=backend)
    return list(zip(*(column.to_pylist() for column in found), strict=True))


# ------------------------------------------------------------------------------------------------------------- the twin


def test_characters_map_onto_the_classes_of_the_library() -> None:
    from langdetect.utils.ngram import NGram

    classes = language.load_model().characters.tolist()
    for code_point in range(0x10000):
        if 0xD800 <= code_point < 0xE000:
            continue
        spaces = (language.BRACKET, language.PUNCTUATION)
        ours = " " if classes[code_point] in spaces else chr(classes[code_point])
        assert ours == NGram.normalize(chr(code_point)), hex(code_point)


def test_the_table_holds_the_probabilities_of_the_library() -> None:
    model, names = language.load_model(), language.profile_names()
    used = np.flatnonzero(model.keys)
    assert len(used) == sum(bool(shares) for shares in plain.shares_of_profiles().values())
    for slot in used[:: len(used) // 3000].tolist():
        key, value = int(model.keys[slot]), int(model.values[slot])
        gram = "".join(chr(key >> shift & 0xFFFF) for shift in (0, 16, 32) if key >> shift)
        place, entries, length = value >> 8, value >> 2 & 63, value & 3
        if entries == language.IN_DENSE:
            shares = model.dense[place, : len(names)]
            assert np.count_nonzero(model.dense[place]) == np.count_nonzero(shares) >= language.CROWDED
        else:
            assert entries < language.CROWDED
            shares = np.zeros(len(names), dtype=np.float32)
            shares[model.owners[place : place + entries]] = model.shares[place : place + entries]
        expected = {name: np.float32(share) for name, share in plain.shares_of_profiles()[gram].items()}
        assert {name: share for name, share in zip(names, shares, strict=True) if share > 0} == expected
        assert length == len(gram)
        numbers = [int(model.traits[ord(character)]) & language.RARE for character in gram]
        if language.RARE not in numbers:
            cell = sum(number << 6 * place for place, number in enumerate(reversed(numbers)))
            assert model.common[length - 1, cell] == value
            assert model.known[length - 1, cell >> 6] >> np.uint64(cell & 63) & np.uint64(1)


@pytest.mark.parametrize("one_script", [False, True])
@settings(max_examples=25)  # the library takes half a second for a text that it is not sure of
@given(st.lists(TEXTS, min_size=1, max_size=2))
def test_the_kernel_answers_as_the_plain_twin(one_script: bool, texts: list[str]) -> None:
    backend = "one_script" if one_script else "profiles"
    for ours, text in zip(answers(texts, backend), texts, strict=True):
        code, score, second, variant = plain.detect(text, one_script)
        assert (ours[0], ours[2], ours[3]) == (code, second, variant)
        assert ours[1] == pytest.approx(score, abs=2e-6)


@pytest.mark.parametrize("backend", ["profiles", "one_script"])
@pytest.mark.parametrize("code", ["de", "ko", "ru", "zh"])
def test_long_documents_are_read_as_the_twin_reads_them(code: str, backend: str) -> None:
    sentences = list(SENTENCES.values())
    text = " ".join([SENTENCES[code], *random.Random(code).choices(sentences, k=3)] * 120)
    assert len(text.encode()) > language.WINDOW_BYTES * language.WINDOWS
    assert len(text) > language.MAX_CHARACTERS
    ours, twin = answers([text], backend)[0], plain.detect(text, backend == "one_script")
    assert (ours[0], ours[2], ours[3]) == (twin[0], twin[2], twin[3])
    assert ours[1] == pytest.approx(twin[1], abs=2e-6)


@pytest.mark.parametrize("cut", [*range(9_990, 10_003)])
def test_an_address_or_a_composed_letter_where_reading_ends_counts_as_the_library_counts_it(cut: int) -> None:
    for tail in (
        " some.body.with.a.long.name@example.org viele Wörter",
        "e\u0301e\u0301e\u0301 và",
        " https://example.org/ab c",
    ):
        text = (SENTENCES["de"] * 200)[:cut] + tail + SENTENCES["vi"] * 50
        detector, _ = plain.clean(text, one_script=False)
        out = np.empty(20_000, np.uint16)
        data = np.frombuffer(text.encode(), np.uint8)
        size, _ = language._read(data, 0, len(data), language.load_model(), False, out)
        blanks = {language.BRACKET: " ", language.PUNCTUATION: " "}
        ours = " ".join("".join(map(chr, out[:size])).translate(blanks).split())
        from langdetect.utils.ngram import NGram

        assert ours == " ".join("".join(map(NGram.normalize, detector.text)).split())


# ----------------------------------------------------------------------------------------------------------- edge cases


@pytest.mark.parametrize(("code", "sentence"), sorted(SENTENCES.items()))
def test_plain_sentences_are_recognised(code: str, sentence: str) -> None:
    assert answers([sentence])[0][0] == code


@pytest.mark.parametrize(
    "text", [None, "", "   \n", "12345 67 89.0", "😀😀🎉", "\x00\x00", "http://example.org/only", "!?…"]
)
def test_text_without_letters_is_undecided_with_score_zero(text: str | None) -> None:
    assert answers([text]) == [("und", 0.0, None, "und")]


def test_languages_without_a_profile_are_undecided() -> None:
    klingon = "tlhIngan maH! taHjaj wo' 'ej Qapla' batlh je. nuqneH jaghpu' vISuvmeH Qu' wIta'nIS."
    amharic = "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው።"
    assert [answer[0] for answer in answers([klingon, amharic])] == ["und", "und"]


def test_chinese_keeps_its_script_variant() -> None:
    simplified = "这个软件的发展历史与网络国际化这个软件的发展历史与网络国际化"
    traditional = "我們在這裡學習中文，這個國家的經濟發展很快，對於學生來說是一個很好的機會。"
    found = answers([simplified, traditional])
    assert [answer[0] for answer in found] == ["zh", "zh"]
    assert [answer[3] for answer in found] == ["zh-cn", "zh-tw"]


def test_english_terms_do_not_turn_chinese_into_another_language() -> None:
    text = "请使用 git commit 命令提交更改，然后运行 git push origin main 将其推送到远程仓库。" * 4
    assert answers([text], "one_script")[0][0] == "zh"


def test_the_answer_is_the_same_in_any_order_batch_and_slice() -> None:
    texts: list[str | None] = [None, *SENTENCES.values(), "", *(2 * sentence for sentence in SENTENCES.values())]
    alone = [answers([text])[0] for text in texts]
    shuffled = list(range(len(texts)))
    random.Random(7).shuffle(shuffled)
    together = answers([texts[i] for i in shuffled])
    assert [together[shuffled.index(i)] for i in range(len(texts))] == alone
    sliced = language.detect(pa.array(["x", *texts, "y"], pa.large_string()).slice(1, len(texts)))
    assert sliced.language.to_pylist() == [answer[0] for answer in alone]
    assert sliced.score.to_pylist() == [answer[1] for answer in alone]


def test_the_answer_does_not_depend_on_the_process() -> None:
    code = (
        "import json, sys, pyarrow as pa\nfrom udfs.language import detect\n"
        "print(json.dumps([c.to_pylist() for c in detect(pa.array(json.load(sys.stdin)))]))"
    )
    texts = list(SENTENCES.values())
    for seed in ("0", "4711"):
        ran = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(texts),
            env={**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": "C", "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(ran.stdout) == [column.to_pylist() for column in language.detect(pa.array(texts))]


def test_the_library_itself_is_a_backend() -> None:
    texts = [*SENTENCES.values(), None, "123"]
    once = language.detect(pa.array(texts), backend="langdetect")
    again = language.detect(pa.array(texts[::-1]), backend="langdetect")
    assert once.language.to_pylist() == [*SENTENCES, "und", "und"]
    assert once.score.to_pylist() == again.score.to_pylist()[::-1]


def test_an_unknown_backend_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no language backend 'cld3': choose one of profiles, one_script, langdetect"):
        language.detect(pa.array(["x"]), backend="cld3")


# --------------------------------------------------------------------------------------------------- labelled sentences


def test_accuracy_on_labelled_sentences_is_that_of_the_library_or_better(shared_data: Path) -> None:
    with gzip.open(shared_data / "languages" / "lingua_sentences_small.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    known = set(language.known_languages())
    rows = [row for row in ({**row, "lang": {"nb": "no"}.get(row["lang"], row["lang"])} for row in rows)
            if row["lang"] in known]  # fmt: skip
    found = language.detect(pa.array([row["text"] for row in rows]))
    right = np.array([row["lang"] for row in rows]) == np.array(found.language.to_pylist())
    assert right.mean() >= 0.9754 - 0.005  # seeded langdetect has 0.9754


def test_py3langid_is_a_backend_where_it_is_installed() -> None:
    pytest.importorskip("py3langid")
    found = language.detect(pa.array([SENTENCES["en"], SENTENCES["ru"], None]), backend="py3langid")
    assert found.language.to_pylist() == ["en", "ru", "und"]
