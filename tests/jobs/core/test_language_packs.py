"""Language packs on real text: ordinary pages are kept, repetition in the same language is not."""

from __future__ import annotations

import gzip
import json
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.core.profiles import Reason, bounds_for, decide_plain
from jobs.core.recipe_file import resolve_recipe
from udfs.signals import StopWords, measure

STEPS = ("filter_quality", "filter_repetition")
GOPHER = resolve_recipe("gopher")
SCRIPTS = {"cmn_hans": "zh", "cmn_hant": "zh"}


@pytest.fixture
def declarations(shared_data: Path) -> dict[str, tuple[str, str]]:
    """The Universal Declaration of Human Rights: name to (language, text) for every language with a pack."""
    path = shared_data / "languages" / "udhr.jsonl.gz"
    codes = {alias: code for code, pack in GOPHER.packs.items() for alias in pack.aliases}
    texts = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for document in map(json.loads, lines):
            code = SCRIPTS.get(document["lang"]) or codes.get(document["lang"].split("_")[0])
            if code is not None:
                texts[document["lang"]] = (code, unicodedata.normalize("NFC", document["text"]))
    return texts


def decided(texts: list[tuple[str, str]]) -> list[dict[str, list[Reason]]]:
    words = {code: list(pack.stop_words) for code, pack in GOPHER.packs.items() if pack.stop_words}
    measured = measure(
        pa.array([text for _, text in texts]),
        steps=STEPS,
        stop_words=StopWords.from_lists(words, default=None),
        language=pa.array([code for code, _ in texts]),
    )
    columns = {name: values.to_pylist() for name, values in measured.items()}
    profiles = bounds_for(GOPHER.recipe, GOPHER.packs)
    rows: list[dict[str, Any]] = [{name: column[i] for name, column in columns.items()} for i in range(len(texts))]
    return [decide_plain(profiles, row, language=code, steps=STEPS) for (code, _), row in zip(texts, rows, strict=True)]


def test_ordinary_text_is_kept_in_every_language_with_a_pack(declarations: dict[str, tuple[str, str]]) -> None:
    found = dict(zip(declarations, decided(list(declarations.values())), strict=True))
    assert {name: reasons for name, reasons in found.items() if reasons} == {}
    assert {code for code, _ in declarations.values()} >= {
        "en",
        "de",
        "zh",
        "ja",
        "th",
        "lo",
        "km",
        "my",
        "vi",
        "ar",
        "ru",
    }


def test_repetition_is_removed_in_every_language_with_a_pack(declarations: dict[str, tuple[str, str]]) -> None:
    # One passage of some 200 characters twenty times over, as link farms have it, each time with other line breaks.
    junk = []
    for code, text in declarations.values():
        passage = " ".join(text.split())[400:600]
        junk.append((code, "\n".join(f"{i} {passage}" for i in range(20))))
    for name, reasons in zip(declarations, decided(junk), strict=True):
        rules = {reason.rule for reason in reasons.get("filter_repetition", [])}
        assert "duplicate_10gram_char_fraction" in rules, name


# Pages written for these tests, and what stands around such pages: menus, search words, a slogan again and again.
PAGES = Path(__file__).resolve().parents[2] / "fixtures" / "languages"
JUNK = {
    "de": [
        "Startseite | Impressum | Kontakt | Datenschutz | Anmelden | Warenkorb\n" * 12,
        "billig Schuhe kaufen günstig Schuhe kaufen Schuhe online kaufen " * 20,
        "#schuhe #mode #rabatt #sale #neu #trend #stil #angebot " * 12,
    ],
    "zh": [
        "首页|关于我们|联系方式|登录|购物车\n" * 12,
        "便宜手机批发,手机批发价格,手机批发市场。" * 20,
        "点击这里下载……点击更多……\n查看全文……\n" * 12,
    ],
    "ja": [
        "ホーム|会社概要|お問い合わせ|ログイン\n" * 12,
        "激安バッグ通販、激安バッグ専門店、激安バッグ人気。" * 20,
        "続きを読む…\n" * 20,
    ],
    "th": [
        "หน้าแรก | เกี่ยวกับเรา | ติดต่อเรา | เข้าสู่ระบบ\n" * 12,
        "รองเท้าราคาถูก ซื้อรองเท้าออนไลน์ รองเท้าลดราคา " * 20,
        "อ่านต่อ…\n" * 20,
    ],
}


@pytest.mark.parametrize("code", JUNK)
def test_an_ordinary_page_is_kept_and_junk_in_its_language_is_removed(code: str) -> None:
    page = (PAGES / f"{code}.txt").read_text(encoding="utf-8")
    kept, *removed = decided([(code, page), *((code, text) for text in JUNK[code])])
    assert kept == {}
    assert all(removed)


SIMPLIFIED = "东桥时们树则凉钱两门开图画摔边这来过学结总经伤乡发现换栏设计说从样变镇会车还饭馆么担轻"
WRITTEN_TRADITIONALLY = "東橋時們樹則涼錢兩門開圖畫摔邊這來過學結總經傷鄉發現換欄設計說從樣變鎮會車還飯館麼擔輕"


def test_the_chinese_recipe_keeps_a_simplified_page_and_removes_it_in_traditional_script() -> None:
    recipe = resolve_recipe("chinese-web")
    profiles = bounds_for(recipe.recipe, recipe.packs)
    page = (PAGES / "zh.txt").read_text(encoding="utf-8")
    traditional = page.translate(str.maketrans(SIMPLIFIED, WRITTEN_TRADITIONALLY))
    stop_words = StopWords.from_lists({"zh": list(recipe.packs["zh"].stop_words)}, default="zh")
    columns = measure(pa.array([page, traditional]), steps=STEPS, stop_words=stop_words)
    rows = [{name: column[i].as_py() for name, column in columns.items()} for i in range(2)]
    assert decide_plain(profiles, rows[0], language="zh", steps=STEPS) == {}
    removed = decide_plain(profiles, rows[1], language="zh", steps=STEPS)
    assert [reason.rule for reason in removed["filter_quality"]] == ["traditional_char_fraction"]
