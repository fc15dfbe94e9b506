"""Decoding against text whose encoding is known: real legacy files, round trips, wrong declarations."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.decode import charset_of_header, charset_of_markup, decode, python_codec, utf8_bytes

RUSSIAN = "Все люди рождаются свободными и равными в своём достоинстве и правах. Они наделены разумом и совестью. " * 3
CHINESE = "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。" * 3
TRADITIONAL = "人人生而自由,在尊嚴和權利上一律平等。他們賦有理性和良心,並應以兄弟關係的精神相對待。" * 3
JAPANESE = "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。" * 3
KOREAN = (
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았다. "
) * 3
GERMAN = (
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. "
    "Sie sind mit Vernunft und Gewissen begabt, müssen. "
) * 3
POLISH = (
    "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. "
    "Są oni obdarzeni rozumem i sumieniem. "
) * 3
GREEK = (
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι με λογική. "
) * 3
HEBREW = (
    "כל בני אדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם לנהוג. "
) * 3
ARABIC = ("يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميراً وعليهم أن يعامل بعضهم بعضاً. ") * 3
TURKISH = (
    "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. "
    "Akıl ve vicdana sahiptirler ve birbirlerine karşı. "
) * 3

TEXTS = [
    ("cp1251", RUSSIAN), ("koi8-r", RUSSIAN), ("iso8859-5", RUSSIAN), ("gb18030", CHINESE), ("big5hkscs", TRADITIONAL),
    ("cp932", JAPANESE), ("euc_jp", JAPANESE), ("iso2022_jp", JAPANESE), ("cp949", KOREAN), ("cp1252", GERMAN),
    ("cp1250", POLISH), ("iso8859-2", POLISH), ("cp1253", GREEK), ("cp1255", HEBREW), ("cp1256", ARABIC),
    ("cp1254", TURKISH),
]  # fmt: skip
IDS = [codec for codec, _ in TEXTS]


def page(text: str, charset: str | None = None) -> str:
    meta = f'<meta charset="{charset}">' if charset else ""
    return f"<html><head>{meta}<title>{text[:20]}</title></head><body><p class='x'>{text}</p></body></html>"


@pytest.mark.parametrize(("codec", "text"), TEXTS, ids=IDS)
def test_the_declared_encoding_is_used(codec: str, text: str) -> None:
    by_header = decode(page(text).encode(codec), f"text/html; charset={codec}")
    assert (by_header.text, by_header.encoding) == (page(text), codec)
    by_meta = decode(page(text, codec).encode(codec), "text/html")
    assert (by_meta.text, by_meta.encoding) == (page(text, codec), codec)


@pytest.mark.parametrize(("codec", "text"), TEXTS, ids=IDS)
def test_an_undeclared_encoding_is_detected(codec: str, text: str) -> None:
    assert decode(page(text).encode(codec)).text == page(text)


OTHER_SCRIPTS = [(codec, text) for codec, text in TEXTS if text not in (GERMAN, POLISH, TURKISH)]


@pytest.mark.parametrize("declared", ["iso-8859-1", "utf-8", "windows-1252"])
@pytest.mark.parametrize(("codec", "text"), OTHER_SCRIPTS, ids=[codec for codec, _ in OTHER_SCRIPTS])
def test_a_wrong_default_is_overruled_for_other_scripts(codec: str, text: str, declared: str) -> None:
    assert decode(page(text, declared).encode(codec), f"text/html; charset={declared}").text == page(text, declared)


@pytest.mark.parametrize(
    ("codec", "declared"), [("koi8-r", "windows-1251"), ("cp1251", "koi8-r"), ("cp866", "windows-1251")]
)
def test_russian_under_the_wrong_russian_encoding_is_read_right(codec: str, declared: str) -> None:
    assert decode(page(RUSSIAN).encode(codec), f"text/html; charset={declared}").text == page(RUSSIAN)


@pytest.mark.parametrize("declared", ["iso-8859-1", "windows-1251", "gb2312", "shift_jis", "big5"])
def test_valid_utf8_is_read_as_utf8_whatever_is_declared(declared: str) -> None:
    for text in (GERMAN, RUSSIAN, CHINESE):
        found = decode(page(text).encode(), f"text/html; charset={declared}")
        assert (found.text, found.evidence) == (page(text), "utf-8")


def test_a_right_declaration_is_not_overruled_by_short_text() -> None:
    short = [
        ("cp1252", "Müller"),
        ("cp1251", "Привет"),
        ("gb18030", "联通"),
        ("iso8859-2", "Łódź"),
        ("cp932", "東京"),
    ]
    for codec, text in short:
        assert decode(page(text).encode(codec), f"text/html; charset={codec}").text == page(text)


def test_marks_win_and_are_taken_off() -> None:
    assert decode(b"\xef\xbb\xbf" + GERMAN.encode(), "text/html; charset=koi8-r") == (GERMAN, "utf-8", "mark")
    assert decode(b"\xff\xfe" + GERMAN.encode("utf-16-le"))[:2] == (GERMAN, "utf-16-le")
    assert decode(b"\xfe\xff" + GERMAN.encode("utf-16-be"))[:2] == (GERMAN, "utf-16-be")
    assert decode(page(GERMAN).encode("utf-16-le"))[:2] == (page(GERMAN), "utf-16-le")


def test_one_broken_character_does_not_turn_a_page_into_latin1() -> None:
    content = page(GERMAN * 3).encode() + b"\xfc\xe4"
    assert decode(content, "text/html").text == page(GERMAN * 3) + "\ufffd\ufffd"


def test_labels_mean_what_they_mean_to_browsers() -> None:
    labels = {
        "ISO-8859-1": "cp1252",
        " GB2312": "gb18030",
        "x-sjis": "cp932",
        "ks_c_5601-1987": "cp949",
        "UTF8": "utf-8",
    }
    assert {label: python_codec(label) for label in labels} == labels
    for hostile in ("rot13", "base64", "unicode_escape", "zip", "idna", "punycode", "x" * 100, "", None):
        assert python_codec(hostile) is None
    assert charset_of_header('text/html; Charset = "Shift_JIS"') == "cp932"
    assert charset_of_markup(b"<meta http-equiv=content-type content='text/html; charset=windows-1251'>") == "cp1251"
    assert charset_of_markup(b"<?xml version='1.0' encoding='koi8-r'?>") == "koi8-r"
    assert charset_of_markup(b"<meta charset=utf-16>") == "utf-8"


@given(st.binary(max_size=300), st.sampled_from([None, *IDS, "utf-8", "utf-16", "nonsense"]))
def test_any_bytes_decode_to_valid_text(content: bytes, charset: str | None) -> None:
    header = f"text/html; charset={charset}" if charset else None
    text = decode(content, header).text
    assert utf8_bytes(content, header).decode("utf-8") == text.encode("utf-8", "replace").decode()


# Files of the Universal Declaration in old encodings, by the codec that their names state; files in private font
# encodings have none. One file named UTF8 is windows-1250; Lithuanian (cp1257), two Serbian files that mix alphabets
# and transliterations are beyond detection.
STATED = {
    "Latin2": "cp1250", "Cyrillic": "cp1251", "Greek": "cp1253", "Hebrew": "cp1255", "Arabic": "cp1256",
    "Turkish": "cp1254", "GB2312": "gb18030", "EUC": "euc_jp", "SJIS": "cp932", "JIS": "iso2022_jp", "HZ": "hz",
    "UTF8": "utf-8", "Unicode": "utf-16-le",
}  # fmt: skip


def test_real_legacy_files_are_told_by_their_bytes(shared_data: Path) -> None:
    wrong = []
    count = 0
    with gzip.open(shared_data / "languages" / "udhr_legacy_encodings.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            codec = STATED.get(row["lang_enc"].rpartition("-")[2])
            content = base64.b64decode(row["bytes_b64"])
            if codec is None or (content.isascii() and codec not in ("iso2022_jp", "hz")):
                continue
            count += 1
            expected = content.removeprefix(b"\xff\xfe").removeprefix(b"\xef\xbb\xbf").decode(codec, "replace")
            if decode(content).text != expected:
                wrong.append(row["lang_enc"])
    assert count > 100
    known = {"Bosnian_Bosanski-Cyrillic", "Serbian_Srpski-Cyrillic", "Mongolian_Khalkha-Cyrillic", "Czech_Cesky-UTF8"}
    assert set(wrong) <= known, wrong
