"""Personal data: what is found and what is not, masks, the twin, and time on hostile text."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs import personal_data
from udfs.reference import personal_data as plain


def masked(text: str) -> str:
    return personal_data.redact(pa.array([text])).text[0].as_py()


# -------------------------------------------------------------------------------------------------- found and not found

FOUND = {
    "email": ["jane.doe+news@mail.example", "a@b.co.uk", "x_y%z@sub.domain.org", "JANE@DOE.COM"],
    "ip_address": ["8.8.4.44", "93.184.216.34", "2001:4860:4860::8888", "2a00:1450:4001:81b::200e"],
    "phone": [
        "+49 30 901820", "+1 (415) 555-2671", "+442079460958", "(415) 555-2671", "415-555-2671", "1-415-555-2671",
        "+49 (0)30 901820-12",
    ],
    "iban": [
        "DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "NO93 8601 1117 947", "FR1420041010050500013M02606",
    ],
    "payment_card": ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "6011111111111117"],
    "api_key": [
        "AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "AIzaSyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe",
    ],
    "private_key": [
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE+/=\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQ",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in FOUND.items() for value in values])
@pytest.mark.parametrize("frame", ["{}", "See {}, please.", "日本 ({}) 語", '"{}"', "a\n{}\nb"])
def test_data_of_every_kind_becomes_its_mask(kind: str, value: str, frame: str) -> None:
    assert masked(frame.format(value)) == frame.format(f"[{kind.upper()}]")


@pytest.mark.parametrize(
    "text",
    [
        "logo@2x.png", "user@localhost", "@handle", "a@b", "x..y@", "me@-a.com",
        "192.168.0.1 10.0.0.1 127.0.0.1 169.254.1.1 224.0.0.1", "version 93.184.216.34", "v93.184.216.34", "1.2.3.4.5",
        "release 1.3.0.1 and 7.1.1.1", "256.300.1.1", "std::string at 12:34:56", "fe80::1 ::1 fc00::1",
        "order 4155552671", "2023-01-15 10:30", "call on 2021-03-25", "1234-5678", "+0 123 456 789", "pages 100-105",
        "DE89 3704 0044 0532 0130 01", "XX89370400440532013000", "DE893704004405320130001",
        "4111 1111 1111 1112", "0000 0000 0000 0000", "1111111111111111", "4111 11111111 1111", "94111111111111111",
        "AKIA123", "token = the_quick_brown_fox_jumps", "api_key = ${MY_API_KEY_FROM_ENVIRONMENT}", "sk-short",
        "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----",
    ],
)  # fmt: skip
def test_what_only_looks_like_personal_data_stays(text: str) -> None:
    assert masked(text) == text


def test_a_number_after_a_word_for_telephone_is_one() -> None:
    assert masked("Tel.: 030 901820") == "Tel.: [PHONE]"
    assert masked("phone: 555 0123 44") == "phone: [PHONE]"
    assert masked("电话：010-12345678") == "电话：[PHONE]"
    assert masked("Téléphone : 01 23 45 67 89") == "Téléphone : [PHONE]"


def test_a_value_after_a_name_for_secrets_is_a_key_and_the_name_stays() -> None:
    assert masked('"api_key": "q9Zr4Tb7Xw2Lk8Vn5Mc1"') == '"api_key": "[API_KEY]"'


def test_a_card_number_in_a_longer_run_of_numbers_is_found() -> None:
    assert masked("12 4111 1111 1111 1111 99") == "12 [PAYMENT_CARD] 99"


def test_only_the_kinds_asked_for_are_masked() -> None:
    text = pa.array(["a@b.com +49 30 901820"])
    done = personal_data.redact(text, kinds=("phone",))
    assert done.text.to_pylist() == ["a@b.com [PHONE]"]
    assert list(done.counts) == ["phone"]
    with pytest.raises(ValueError, match=r"no kind of personal data \['name'\]"):
        personal_data.find(text, kinds=("name",))


def test_counts_and_spans_tell_where_the_data_was_without_it() -> None:
    texts = pa.array(["字 a@b.com, c@d.com", None, "nothing", ""])
    found = personal_data.find(texts)
    assert found.counts["email"].to_pylist() == [2, None, 0, 0]
    assert found.spans.to_pylist() == [
        [{"kind": "email", "begin": 2, "end": 9}, {"kind": "email", "begin": 11, "end": 18}],
        None,
        None,
        None,
    ]
    done = personal_data.redact(texts)
    assert done.text.to_pylist() == ["字 [EMAIL], [EMAIL]", None, "nothing", ""]
    assert (done.counts, done.spans) == (found.counts, found.spans)


# ------------------------------------------------------------------------------------------------------------- the twin

PIECES = st.sampled_from([value for values in FOUND.values() for value in values] + [
    "a", "@", ".", "1", "23", " ", "-", ":", "字", "+", "(", "DE", "AKIA", "4111", "8.8.", "::", "tel ", "key=", "\n",
    "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
])  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)


@given(st.lists(TEXTS, max_size=4))
def test_the_scan_never_misses_what_the_patterns_find(texts: list[str]) -> None:
    done = personal_data.redact(pa.array(texts, pa.string()))
    for text, shown, spans in zip(texts, done.text.to_pylist(), done.spans.to_pylist(), strict=True):
        expected, places = plain.redact(text)
        assert shown == expected
        assert [(span["kind"], span["begin"], span["end"]) for span in spans or []] == places


@given(TEXTS)
def test_nothing_is_found_in_masks(text: str) -> None:
    mask = " ".join(personal_data.MASKS.values())
    assert masked(mask) == mask


@given(st.text("0123456789", min_size=1, max_size=24))
def test_the_luhn_digit_is_that_of_the_definition(digits: str) -> None:
    assert personal_data.luhn(digits) == plain.luhn(digits)


# -------------------------------------------------------------------------------------------------------- hostile texts


@pytest.mark.parametrize(
    "piece",
    ["a", "a@", "a.", "@", "1", "1 ", "1.1.", "1-", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nA",
     "+1 ", "(1", "a:", ":", "DE12 ", "a@b.", "a1", "token=", "phone ", "8.8.8.8 ", "4111 ", "a@b.com ", "eyJa."],
)  # fmt: skip
def test_time_is_linear_in_hostile_text(piece: str) -> None:
    def seconds(size: int) -> float:
        text = pa.array([piece * (size // len(piece)) + "!"])
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            personal_data.redact(text)
            best = min(best, time.process_time() - began)
        return best

    seconds(1_000)
    small, large = seconds(20_000), seconds(160_000)
    assert large < 24 * small + 0.1  # 8 times the text; quadratic would be 64 times the time
