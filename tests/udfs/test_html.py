"""Extraction as callers see it: caps, reasons, engines, hostile pages, and what the sandbox may cost."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.html import ENGINES, RESULT, ExtractOptions, extract, prescan

ARTICLE = """<html lang="en"><head><title>On rivers</title><meta property="article:published_time" content="2024-05-06">
</head><body><nav><a href="/">Home</a><a href="/about">About</a></nav><article><h1>On rivers</h1>
<p>Rivers carry water from the mountains to the sea, and with it sand, silt and seeds of trees that grow far below.</p>
<p>Every river changes its bed in time; the older it is, the wider its bends, until it cuts through one of them.</p>
</article><footer>Copyright, all rights reserved</footer></body></html>"""


def run(pages: list[bytes | None], kind: str | None = "text/html", **options: object) -> list[dict[str, str | None]]:
    contents = pa.array(pages, pa.binary())
    count = len(pages)
    result = extract(
        contents, pa.array([kind] * count, pa.string()), pa.nulls(count, pa.string()), ExtractOptions(**options)  # type: ignore[arg-type]
    )  # fmt: skip
    assert result.type == RESULT
    for row in result.to_pylist():
        assert (row["text"] is None) == (row["reason"] is not None), "no page without text or reason"
    return result.to_pylist()


@pytest.mark.parametrize("engine", ["winnow", "resiliparse", "all_text"])
def test_every_engine_finds_the_article_and_what_the_page_states(engine: str) -> None:
    (row,) = run([ARTICLE.encode()], engine=engine)
    assert "seeds of trees that grow far below" in (row["text"] or "") and "cuts through one of them" in (
        row["text"] or ""
    )
    assert row["title"] == "On rivers" and row["language"] == "en" and (row["date"] or "").startswith("2024-05-06")
    assert ("all rights reserved" in (row["text"] or "")) == (engine == "all_text")


def test_an_unknown_engine_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no extraction engine 'goose'"):
        ExtractOptions(engine="goose")
    assert ENGINES == ("winnow", "resiliparse", "trafilatura", "all_text")


def test_plain_text_is_passed_through_decoded() -> None:
    text = "Zeile eins\n\n  eingerückt <b>kein Markup</b>\n"
    rows = run([text.encode(), text.encode("cp1252")], "text/plain")
    assert [row["text"] for row in rows] == [text, text]
    assert (
        run(["Привет, мир, как дела".encode("koi8-r")], "text/plain; charset=koi8-r")[0]["text"]
        == "Привет, мир, как дела"
    )


def test_pages_without_text_have_a_reason() -> None:
    rows = run([None, b"", b"<html><body><script>x()</script></body></html>", b"   "])
    assert [row["reason"] for row in rows] == [
        "extract_no_content",
        "extract_no_content",
        "extract_empty",
        "extract_empty",
    ]


HOSTILE = {
    "extract_too_deep": b"<div>" * 20_000,
    "extract_too_many_attributes": b"<p " + b" ".join(b"a%d=1" % i for i in range(100_000)) + b">text</p>",
    "extract_too_many_tags": b"<" * 5_000_000,
    "too_large": b"<p>" + b"x" * (17 << 20),
}


def test_each_hostile_page_is_one_quarantined_row_and_the_rest_of_the_batch_is_intact() -> None:
    run([ARTICLE.encode()])
    pages = [ARTICLE.encode()]
    for page in HOSTILE.values():
        pages += [page, ARTICLE.encode()]
    begin = time.process_time()
    rows = run(pages)
    assert time.process_time() - begin < 2.0
    assert [row["reason"] for row in rows[1::2]] == list(HOSTILE)
    assert {row["text"] for row in rows[0::2]} == {rows[0]["text"]} and rows[0]["text"]


def test_pages_over_a_cap_give_their_text_without_tags_where_the_recipe_says_so() -> None:
    deep = b"<div>" * 600 + b"<script>no()</script>Below &amp; deep" + b"</div>" * 600
    (row,) = run([deep], over_limits="plain_text")
    assert row["text"] == "Below & deep"
    assert run([deep])[0]["reason"] == "extract_too_deep"
    assert run([b"<div>" * 600], over_limits="plain_text")[0]["reason"] == "extract_too_deep", "nothing to read"
    with pytest.raises(ValueError, match="over_limits"):
        ExtractOptions(over_limits="drop")


def test_the_recipe_and_the_extractor_have_the_same_defaults() -> None:
    from jobs.core.recipe import ExtractText
    from udfs.pages import _options

    assert _options(ExtractText().model_dump()) == ExtractOptions()


PAGES = sorted((Path(__file__).parents[1] / "fixtures" / "pages").glob("*.html"))


def test_there_are_thirty_pages_with_text_written_by_hand() -> None:
    assert len(PAGES) == 30 and all(page.with_suffix(".txt").exists() for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_text_is_what_a_careful_person_would_copy(page: Path) -> None:
    (row,) = run([page.read_bytes()], sandboxed=False)
    assert row["text"] == page.with_suffix(".txt").read_text(encoding="utf-8").rstrip("\n")


def test_unclosed_paragraphs_and_list_items_are_not_deep() -> None:
    page = b"<body>" + b"<p>word <br>\n<li>item <img src=x>" * 5000
    assert prescan(page)[1] == 0
    assert prescan(b"<ul><li><ul><li><b>x</b></ul></ul><DIV><Span/></DIV>")[1] == 3


def test_the_scan_passes_over_scripts_comments_and_quoted_signs() -> None:
    assert prescan(b"<script>if (a<b) '<div><div>'</script><!-- <div><div> --><p title='<div><div>'>x</p>")[1] == 1
    assert prescan(b"<p a b=c d='e f' g=\"h>\" / i>")[2] == 5
    assert prescan(b"") == (0, 0, 0)


@given(
    st.lists(
        st.sampled_from(["<div>", "</div>", "<p", ">", "'", '"', "=", " a", "<!--", "-->", "<script>", "</script"])
    )
)
def test_the_scan_takes_any_bytes(parts: list[str]) -> None:
    tags, depth, attributes = prescan("".join(parts).encode())
    assert 0 <= tags <= "".join(parts).count("<")
    assert 0 <= depth <= len(parts) and 0 <= attributes <= sum(map(len, parts))


@given(st.binary(max_size=300))
def test_no_bytes_make_extraction_raise(content: bytes) -> None:
    run([content], sandboxed=False)
    run([b"<html><body>" + content], "text/html; charset=gb2312", sandboxed=False)


def test_control_characters_do_not_stop_a_parser() -> None:
    page = ARTICLE.replace("sand, silt", "sand,\0 \x01\x0b\u200b\u202e\u2028 silt").encode()
    assert "cuts through one of them" in (run([page])[0]["text"] or "")


def test_the_sandbox_gives_what_this_process_gives(shared_data: Path) -> None:
    with gzip.open(shared_data / "html" / "readability_js.jsonl.gz", "rt") as lines:
        pages = [json.loads(line)["html"].encode() for line in lines][:40]
    assert run(pages) == run(pages, sandboxed=False)
