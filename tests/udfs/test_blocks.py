"""Blocks of a page: the single pass against the tree of a whole parser, and on what no parser would accept."""

from __future__ import annotations

import html

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from udfs.blocks import BEGIN, END, NODE, TAG, TAGS, WORDS, scan
from udfs.html import _strip
from udfs.main_text import _trees, keep, load_model, probabilities
from udfs.reference.blocks import block_texts


def texts(markup: str) -> list[str]:
    page = scan(markup.encode())
    return [html.unescape(page.text[row[BEGIN] : row[END]].tobytes().decode()) for row in page.blocks]


_WORDS = st.sampled_from(["word", " two words ", "a, b.", "\n", " ", "x &amp; y", "größer", "字 字", "&lt;b&gt;", "1"])
_INLINE = st.recursive(
    _WORDS,
    lambda inner: st.builds(
        lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag.split()[0]}>",
        st.sampled_from(["b", "i", "span", "em class=x", "code"]),
        st.lists(inner, max_size=3),
    ),
    max_leaves=4,
)
_FLOW = st.recursive(
    st.one_of(_INLINE, st.lists(_INLINE, max_size=3).map(lambda parts: f"<p>{''.join(parts)}</p>")),
    lambda inner: st.one_of(
        st.builds(
            lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag.split()[0]}>",
            st.sampled_from(["div", "section class='main'", "article", "blockquote", "nav", "aside"]),
            st.lists(inner, max_size=4),
        ),
        st.lists(inner, max_size=3).map(lambda parts: "<ul>" + "".join(f"<li>{p}</li>" for p in parts) + "</ul>"),
        st.lists(inner, max_size=3).map(
            lambda parts: "<table><tbody><tr>" + "".join(f"<td>{p}</td>" for p in parts) + "</tr></tbody></table>"
        ),
        inner.map(lambda part: f"{part}<script>if (a<b) '<p>no</p>'</script><!-- <p> -->"),
    ),
    max_leaves=12,
)


@given(st.lists(_FLOW, max_size=5).map("".join))
def test_the_blocks_are_those_of_a_whole_parser(markup: str) -> None:
    page = f"<html><body>{markup}</body></html>"
    assert texts(page) == block_texts(page)


@given(st.binary(max_size=200), st.lists(st.sampled_from([b"<", b"<p>", b"</div>", b"<a href=", b"&nbsp;", b"<br>"])))
def test_any_bytes_are_a_page(noise: bytes, parts: list[bytes]) -> None:
    page = scan(noise.join(parts) if parts else noise)
    assert (page.blocks[:, WORDS] > 0).all() and (page.blocks[:, BEGIN] < page.blocks[:, END]).all()
    assert (page.blocks[1:, BEGIN] >= page.blocks[:-1, END]).all()
    assert ((page.blocks[:, NODE] >= 0) & (page.blocks[:, NODE] < len(page.nodes))).all()
    assert len(probabilities(page, load_model())) == len(page.blocks)


def test_end_tags_that_may_be_left_out_are_implied() -> None:
    page = scan(b"<ul><li>a<li>b<ul><li>c</ul><li>d</ul><p>e<p>f<div>g</div><table><tr><td>h<td>i<tr><td>j</table>")
    parents = [TAGS[page.nodes[page.nodes[row[NODE], 0], TAG]] for row in page.blocks]
    assert parents == ["ul", "ul", "ul", "ul", "body", "body", "body", "tr", "tr", "tr"]


def test_a_line_end_between_letters_of_a_script_without_spaces_is_no_space() -> None:
    assert texts("<p>木匠\n用旧房梁</p><p>one\ntwo 字\n字 字</p>") == ["木匠用旧房梁", "one two 字字 字"]


def test_two_line_breaks_end_a_block_and_one_ends_a_line() -> None:
    assert texts("a<br>b<br/>\n<br>c") == ["a\nb", "c"]


def test_the_trees_add_up_as_their_numbers_say() -> None:
    starts, feature, value, left, right = load_model().first
    rows = np.random.default_rng(1).normal(size=(20, int(feature.max()) + 1)).astype(np.float32)
    for row, found in zip(rows, _trees(rows, starts, feature, value, left, right), strict=True):
        total = 0.0
        for start in starts:
            node = start
            while feature[node] >= 0:
                node = start + (left if row[feature[node]] <= value[node] else right)[node]
            total += value[node]
        assert abs(found - 1 / (1 + np.exp(-total))) < 1e-6


def test_the_bar_is_the_one_that_promises_the_best_f() -> None:
    page = scan(b"<p>" + b"</p><p>".join(b"word " * n for n in (30, 20, 5, 40, 8)) + b"</p>")
    chance = np.array([0.9, 0.5, 0.3, 0.05, 0.6])
    words = page.blocks[:, WORDS]

    def promise(bar: float) -> float:
        kept = chance >= bar
        return (words * chance)[kept].sum() / (1.3 * words[kept].sum() + (words * chance).sum())

    best = max(chance, key=promise)
    assert (keep(page, np.zeros(len(page.nodes), np.int64), chance) == (chance >= best)).all()


def test_plain_stripping_leaves_text_lines_without_tags_scripts_and_comments() -> None:
    page = np.frombuffer(b"<p>a  b</p><SCRIPT>x<p></script><style>y</style><!-- > <b> -->c < d<br>e", np.uint8)
    out = np.empty(page.size + 1, np.uint8)
    assert out[: _strip(page, out)].tobytes().split() == [b"a", b"b", b"c", b"<", b"d", b"e"]
