"""Which blocks of a page are its main text: measures of each block, and two stages of small trees over them.

The measures describe a block itself (length, links, marks, tag), the blocks beside it, the elements around it (text,
links and hints in their class names, at several levels), blocks of the same make elsewhere on the page (Gopher,
arXiv 2112.11446, appendix A.1: sets of tags at the same level hold the salient text), and its place relative to where
most running text is. The first stage gives each block a probability; the second sees also what the first said of the
blocks beside, around and of the same make. The trees are numbers in `main_text.json`, written by
`benchmarks/train_extraction.py`.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from udfs.blocks import HINTS, TAGS, Blocks
from udfs.kernels import njit

__all__ = ["FEATURES", "STAGE_FEATURES", "Model", "choose", "features", "load_model", "probabilities", "stage_features"]

_ROLES = ("main", "article", "nav", "header", "footer", "aside", "hidden")
_LISTED = ("form", "table", "ul", "ol", "dl", "blockquote", "section", "figure", "li", "pre")
_LEVELS = (0, 1, 2, 3, 4, 6)
_NEAR = (-2, -1, 1, 2)

FEATURES: tuple[str, ...] = (
    "words", "chars", "chars_per_word", "link_share", "commas", "stops", "digits", "capitals", "links", "breaks",
    "kept", "ends_sentence", "is_p", "heading", "is_li", "is_cell", "is_definition", "is_container", "copyright",
    "tag", "depth",
    "place_words", "place_blocks", "words_before", "words_after", "after_h1", "from_heading", "equal_texts",
    *(f"hint_{name}" for name in HINTS), "hint_body",
    *(f"role_{name}" for name in _ROLES),
    *(f"in_{name}" for name in _LISTED),
    *(f"{what}_{level}" for level in _LEVELS for what in ("words", "links", "blocks", "mass", "mean")),
    "make_count", "make_mean", "make_links", "make_mass",
    "repeat_count", "repeat_levels", "repeat_words", "repeat_links", "repeat_mass",
    "top_inside", "top_levels", "half_levels", "three_quarters_levels", "nine_tenths_levels", "top_mass", "top_links",
    *(f"{what}_{offset:+d}" for offset in _NEAR for what in ("words", "links", "tag", "sentence")),
    "mass_before", "mass_after",
    "page_words", "page_links", "page_blocks", "page_mass", "page_articles", "page_main", "page_items",
    "page_paragraphs", "page_repeat_mass", "page_h1",
)  # fmt: skip
"""Names of the measures, in the order of the columns of `features`."""

STAGE_FEATURES: tuple[str, ...] = (
    "first", "first_-3", "first_-2", "first_-1", "first_+1", "first_+2", "first_+3", "window", "same_parent",
    "around_1", "around_2", "around_3", "around_5", "same_make", "repeat", "page", "heading_above", "best_around",
)  # fmt: skip
"""What the second stage sees besides, in the order of the columns of `stage_features`."""

_H1 = TAGS.index("h1")
_TAGGED = ("p", "li", "td", "th", "dt", "dd", "div", "section", "article", "body", "ul")
_TAG = {name: TAGS.index(name) for name in _TAGGED}
_T_P, _T_LI, _T_TD, _T_TH, _T_DT, _T_DD = (_TAG[name] for name in ("p", "li", "td", "th", "dt", "dd"))
_T_DIV, _T_SECTION, _T_ARTICLE, _T_BODY, _T_UL = (_TAG[n] for n in ("div", "section", "article", "body", "ul"))
_LISTED_TAGS = np.array([TAGS.index(name) for name in _LISTED], np.int64)
_LEVEL_STEPS = np.array(_LEVELS, np.int64)
_NEAR_STEPS = np.array(_NEAR, np.int64)
_HINT_COUNT = len(HINTS)
COMPANY_BAR = 0.15
"""The least probability with which a heading, term or table is kept because of the block that it goes with."""
KEPT_WEIGHT = 1.3
"""What a word that is kept weighs against a word of the main text: see `keep`."""


@njit(cache=True, nogil=True)
def _levels_to(node: int, on_path: np.ndarray, nodes: np.ndarray, target_depth: int) -> int:
    """How far below the deepest common ancestor with `target` the target is; 0 for what is inside the target."""
    while not on_path[node]:
        node = nodes[node, 0]
    return target_depth - nodes[node, 2]


@njit(allocates=True, cache=True, nogil=True)
def _groups(keys: np.ndarray) -> np.ndarray:
    """For each row the number of its group of equal keys."""
    order = np.argsort(keys)
    group = np.empty(keys.size, np.int64)
    number = -1
    for place in range(keys.size):
        row = order[place]
        if place == 0 or keys[row] != keys[order[place - 1]]:
            number += 1
        group[row] = number
    return group


@njit(allocates=True, cache=True, nogil=True)
def _measure(
    text: np.ndarray,
    nodes: np.ndarray,
    blocks: np.ndarray,
    listed: np.ndarray,
    levels: np.ndarray,
    near: np.ndarray,
    hint_count: int,
    tags: np.ndarray,
    out: np.ndarray,
    make: np.ndarray,
    repeat: np.ndarray,
) -> None:
    n = blocks.shape[0]
    m = nodes.shape[0]
    words = np.zeros(m)
    linked = np.zeros(m)
    count = np.zeros(m)
    mass = np.zeros(m)
    score = np.zeros(m)
    good = np.zeros(n)
    make_key = np.empty(n, np.int64)
    equal_key = np.empty(n, np.int64)
    total = 0.0
    total_links = 0.0
    in_items = 0.0
    in_paragraphs = 0.0
    first_h1 = -1
    h1s = 0
    for i in range(n):
        node = blocks[i, 0]
        w = float(blocks[i, 3])
        lw = float(blocks[i, 4])
        total += w
        total_links += lw
        words[node] += w
        linked[node] += lw
        count[node] += 1
        tag = nodes[node, 1]
        if w >= 8 and lw < 0.4 * w:
            good[i] = w - lw
            mass[node] += good[i]
            weight = good[i] + 5.0 * blocks[i, 6]
            parent = nodes[node, 0]
            score[node] += weight * (0.3 if tag == tags[0] else 1.0)
            if parent >= 0:
                score[parent] += weight * (1.0 if tag == tags[0] else 0.5)
                if nodes[parent, 0] >= 0:
                    score[nodes[parent, 0]] += weight * 0.4
        if tag == tags[1]:
            in_items += w
        if tag == tags[0]:
            in_paragraphs += w
        if tag == tags[11]:
            h1s += 1
            if first_h1 < 0:
                first_h1 = i
        key = nodes[node, 5]
        parent = nodes[node, 0]
        if parent >= 0:
            key = key * 1000003 ^ nodes[parent, 5]
            if nodes[parent, 0] >= 0:
                key = key * 1000003 ^ nodes[nodes[parent, 0], 5]
        make_key[i] = key
        h = np.uint64(14695981039346656037)
        for k in range(blocks[i, 1], blocks[i, 2]):
            h = (h ^ np.uint64(text[k])) * np.uint64(1099511628211)
        equal_key[i] = np.int64(h >> np.uint64(1))
    for node in range(m - 1, 0, -1):
        parent = nodes[node, 0]
        words[parent] += words[node]
        linked[parent] += linked[node]
        count[parent] += count[node]
        mass[parent] += mass[node]
    whole_mass = max(1.0, mass[0])
    # Hints and roles: how near the nearest element with one is.
    width = hint_count + 1 + 7 + listed.size
    hint = np.zeros((m, width), np.float32)
    articles = 0
    mains = 0
    for node in range(m):
        parent = nodes[node, 0]
        bits = nodes[node, 3]
        role = nodes[node, 4]
        tag = nodes[node, 1]
        if role & 2:
            articles += 1
        if role & 1:
            mains = 1
        if parent >= 0:
            for b in range(width):
                value = hint[parent, b]
                if value > 1:
                    hint[node, b] = value - 1
        if bits:
            for b in range(hint_count):
                if (bits >> b) & 1:
                    hint[node, b] = 20.0
            if bits & (1 << 30):
                hint[node, hint_count] = 20.0
        if role:
            for b in range(7):
                if (role >> b) & 1:
                    hint[node, hint_count + 1 + b] = 20.0
        for b in range(listed.size):
            if tag == listed[b]:
                hint[node, hint_count + 8 + b] = 20.0
    # The element with most running text, and the innermost ones with a half, three quarters, nine tenths of it.
    top = 0
    best = -1.0
    for node in range(m):
        s = score[node] * (1.0 - linked[node] / max(1.0, words[node]))
        if s > best:
            best = s
            top = node
    cover = np.zeros(4, np.int64)
    cover[0] = top
    heaviest = np.full(m, -1, np.int64)
    for node in range(m - 1, 0, -1):
        parent = nodes[node, 0]
        if heaviest[parent] < 0 or mass[node] >= mass[heaviest[parent]]:
            heaviest[parent] = node
    for c in range(1, 4):
        need = mass[0] * (0.5 if c == 1 else (0.75 if c == 2 else 0.9))
        node = 0
        while heaviest[node] >= 0 and mass[heaviest[node]] >= need and mass[heaviest[node]] > 0:
            node = heaviest[node]
        cover[c] = node
    on_path = np.zeros((4, m), np.bool_)
    for c in range(4):
        node = cover[c]
        while node >= 0:
            on_path[c, node] = True
            node = nodes[node, 0]
    # Elements of the same make under one parent.
    key = np.empty(m, np.int64)
    for node in range(m):
        key[node] = nodes[node, 5] * 1000003 ^ (nodes[node, 0] * 7919)
    sibling = _groups(key)
    sibling_count = np.zeros(m)
    sibling_words = np.zeros(m)
    sibling_links = np.zeros(m)
    sibling_mass = np.zeros(m)
    for node in range(1, m):
        g = sibling[node]
        if count[node] >= 1:
            sibling_count[g] += 1
            sibling_words[g] += words[node]
            sibling_links[g] += linked[node]
            sibling_mass[g] += mass[node]
    around = np.zeros(m, np.int64)  # the nearest element around that is one of three or more with two blocks each
    repeat_mass = 0.0
    for node in range(1, m):
        g = sibling[node]
        if count[node] >= 2 and sibling_count[g] >= 3:
            around[node] = node
            repeat_mass = max(repeat_mass, sibling_mass[g])
        else:
            around[node] = around[nodes[node, 0]]
    # Blocks of the same make.
    same = _groups(make_key)
    same_count = np.zeros(n)
    same_words = np.zeros(n)
    same_links = np.zeros(n)
    same_mass = np.zeros(n)
    equal = _groups(equal_key)
    equal_count = np.zeros(n)
    for i in range(n):
        g = same[i]
        same_count[g] += 1
        same_words[g] += blocks[i, 3]
        same_links[g] += blocks[i, 4]
        same_mass[g] += good[i]
        equal_count[equal[i]] += 1
        make[i] = g
        repeat[i] = around[blocks[i, 0]]
    before = 0.0
    since_heading = 50
    running = np.zeros(n + 1)
    for i in range(n):
        running[i + 1] = running[i] + good[i]
    for i in range(n):
        row = out[i]
        node = blocks[i, 0]
        w = float(blocks[i, 3])
        lw = float(blocks[i, 4])
        chars = max(1.0, float(blocks[i, 5]))
        tag = nodes[node, 1]
        level = tag - tags[11] + 1 if tags[11] <= tag <= tags[11] + 5 else 0
        f = 0
        row[0] = np.log1p(w)
        row[1] = np.log1p(chars)
        row[2] = chars / w
        row[3] = lw / w
        row[4] = blocks[i, 6] / w
        row[5] = blocks[i, 7] / w
        row[6] = blocks[i, 8] / chars
        row[7] = blocks[i, 9] / w
        row[8] = blocks[i, 10]
        row[9] = blocks[i, 11]
        row[10] = blocks[i, 12]
        row[11] = blocks[i, 13]
        row[12] = tag == tags[0]
        row[13] = level
        row[14] = tag == tags[1]
        row[15] = tag == tags[2] or tag == tags[3]
        row[16] = 1 if tag == tags[4] else (2 if tag == tags[5] else 0)
        row[17] = tag == tags[6] or tag == tags[7] or tag == tags[8] or tag == tags[9]
        for k in range(blocks[i, 1], blocks[i, 2] - 1):
            if text[k] == 0xC2 and text[k + 1] == 0xA9:
                row[18] = 1
                break
            if text[k] == 38 and text[k + 1] == 99 and k + 4 < blocks[i, 2] and text[k + 4] == 121:  # &copy
                row[18] = 1
                break
        row[19] = tag
        row[20] = nodes[node, 2]
        row[21] = before / max(1.0, total)
        row[22] = i / n
        row[23] = np.log1p(before)
        row[24] = np.log1p(max(0.0, total - before - w))
        row[25] = 0 if first_h1 < 0 else max(-60, min(60, i - first_h1 + (1 if i >= first_h1 else 0)))
        if level > 0:
            since_heading = 0
        else:
            since_heading = min(50, since_heading + 1)
        row[26] = since_heading
        row[27] = np.log1p(equal_count[equal[i]])
        f = 28
        for b in range(width):
            row[f] = hint[node, b]
            f += 1
        up = node
        reached = 0
        for k in range(levels.size):
            while reached < levels[k] and nodes[up, 0] >= 0:
                up = nodes[up, 0]
                reached += 1
            row[f] = np.log1p(words[up])
            row[f + 1] = linked[up] / max(1.0, words[up])
            row[f + 2] = np.log1p(count[up])
            row[f + 3] = mass[up] / whole_mass
            row[f + 4] = words[up] / max(1.0, count[up])
            f += 5
        g = same[i]
        row[f] = np.log1p(same_count[g])
        row[f + 1] = same_words[g] / same_count[g]
        row[f + 2] = same_links[g] / max(1.0, same_words[g])
        row[f + 3] = same_mass[g] / whole_mass
        f += 4
        unit = around[node]
        if unit > 0:
            g = sibling[unit]
            row[f] = sibling_count[g]
            row[f + 1] = nodes[node, 2] - nodes[unit, 2]
            row[f + 2] = sibling_words[g] / sibling_count[g]
            row[f + 3] = sibling_links[g] / max(1.0, sibling_words[g])
            row[f + 4] = sibling_mass[g] / whole_mass
        f += 5
        outside = _levels_to(node, on_path[0], nodes, nodes[top, 2])
        row[f] = outside == 0
        row[f + 1] = outside if outside > 0 else nodes[top, 2] - nodes[node, 2]
        for c in range(1, 4):
            target = nodes[cover[c], 2]
            outside = _levels_to(node, on_path[c], nodes, target)
            row[f + 1 + c] = outside if outside > 0 else target - nodes[node, 2]
        row[f + 5] = mass[top] / whole_mass
        row[f + 6] = linked[top] / max(1.0, words[top])
        f += 7
        for k in range(near.size):
            j = i + near[k]
            if 0 <= j < n:
                row[f] = np.log1p(float(blocks[j, 3]))
                row[f + 1] = blocks[j, 4] / blocks[j, 3]
                row[f + 2] = nodes[blocks[j, 0], 1]
                row[f + 3] = blocks[j, 13]
            else:
                row[f] = -1
                row[f + 1] = -1
                row[f + 2] = -1
                row[f + 3] = -1
            f += 4
        row[f] = np.log1p(running[i] - running[max(0, i - 5)])
        row[f + 1] = np.log1p(running[min(n, i + 6)] - running[i + 1])
        f += 2
        row[f] = np.log1p(total)
        row[f + 1] = total_links / max(1.0, total)
        row[f + 2] = np.log1p(n)
        row[f + 3] = mass[0] / max(1.0, total)
        row[f + 4] = min(articles, 50)
        row[f + 5] = mains
        row[f + 6] = in_items / max(1.0, total)
        row[f + 7] = in_paragraphs / max(1.0, total)
        row[f + 8] = repeat_mass / whole_mass
        row[f + 9] = h1s
        before += w


_TAG_CODES = np.array(
    [_T_P, _T_LI, _T_TD, _T_TH, _T_DT, _T_DD, _T_DIV, _T_SECTION, _T_ARTICLE, _T_BODY, _T_UL, _H1], np.int64
)


class Measured(NamedTuple):
    """The measures of a page's blocks, and the groups that the second stage takes means over."""

    values: np.ndarray
    """float32[blocks, FEATURES]."""
    make: np.ndarray
    """int64[blocks]: blocks of the same make have the same number, below the number of blocks."""
    repeat: np.ndarray
    """int64[blocks]: the repeated element around the block, a node; 0 for none."""


def features(page: Blocks) -> Measured:
    """The measures of each block of a page."""
    n = len(page.blocks)
    out = np.zeros((n, len(FEATURES)), np.float32)
    make = np.zeros(n, np.int64)
    repeat = np.zeros(n, np.int64)
    _measure(
        page.text, page.nodes, page.blocks, _LISTED_TAGS, _LEVEL_STEPS, _NEAR_STEPS, _HINT_COUNT, _TAG_CODES, out, make,
        repeat,
    )  # fmt: skip
    return Measured(out, make, repeat)


@njit(allocates=True, cache=True, nogil=True)
def _stage(nodes: np.ndarray, blocks: np.ndarray, first: np.ndarray, make: np.ndarray, repeat: np.ndarray, h1: int,
           out: np.ndarray) -> None:  # fmt: skip
    n = blocks.shape[0]
    m = nodes.shape[0]
    own_weight = np.zeros(m)
    own_sum = np.zeros(m)
    weight = np.zeros(m)
    total = np.zeros(m)
    make_weight = np.zeros(n)
    make_sum = np.zeros(n)
    for i in range(n):
        w = np.sqrt(float(blocks[i, 3]))
        node = blocks[i, 0]
        own_weight[node] += w
        own_sum[node] += w * first[i]
        make_weight[make[i]] += w
        make_sum[make[i]] += w * first[i]
    weight[:] = own_weight
    total[:] = own_sum
    for node in range(m - 1, 0, -1):
        weight[nodes[node, 0]] += weight[node]
        total[nodes[node, 0]] += total[node]
    child_weight = np.zeros(m)  # of a node's own blocks and those of its children
    child_sum = np.zeros(m)
    for node in range(m):
        child_weight[node] += own_weight[node]
        child_sum[node] += own_sum[node]
        if node > 0:
            child_weight[nodes[node, 0]] += own_weight[node]
            child_sum[nodes[node, 0]] += own_sum[node]
    heading = -1.0
    for i in range(n):
        row = out[i]
        node = blocks[i, 0]
        row[0] = first[i]
        f = 1
        for offset in (-3, -2, -1, 1, 2, 3):
            j = i + offset
            row[f] = first[j] if 0 <= j < n else -1.0
            f += 1
        s = 0.0
        c = 0.0
        for j in range(max(0, i - 8), min(n, i + 9)):
            w = np.sqrt(float(blocks[j, 3]))
            s += w * first[j]
            c += w
        row[7] = s / c
        parent = max(0, nodes[node, 0])
        row[8] = child_sum[parent] / max(1e-9, child_weight[parent])
        up = node
        reached = 0
        f = 9
        highest = 0.0
        for level in (1, 2, 3, 5):
            while reached < level and nodes[up, 0] >= 0:
                up = nodes[up, 0]
                reached += 1
            row[f] = total[up] / max(1e-9, weight[up])
            highest = max(highest, row[f])
            f += 1
        row[13] = make_sum[make[i]] / make_weight[make[i]]
        unit = repeat[i]
        row[14] = total[unit] / max(1e-9, weight[unit]) if unit > 0 else -1.0
        row[15] = total[0] / max(1e-9, weight[0])
        tag = nodes[node, 1]
        row[16] = heading
        if h1 <= tag <= h1 + 5:
            heading = first[i]
        row[17] = highest


def stage_features(page: Blocks, measured: Measured, first: np.ndarray) -> np.ndarray:
    """What the second stage sees besides the measures: float32[blocks, STAGE_FEATURES]."""
    out = np.zeros((len(page.blocks), len(STAGE_FEATURES)), np.float32)
    _stage(page.nodes, page.blocks, first, measured.make, measured.repeat, _H1, out)
    return out


# --- Trees ------------------------------------------------------------------------------------------------------------


class Model(NamedTuple):
    """Two stages of trees."""

    first: tuple[np.ndarray, ...]
    second: tuple[np.ndarray, ...]


def arrays(stage: list[dict[str, list[float]]]) -> tuple[np.ndarray, ...]:
    """The trees of a stage as arrays: where each starts, feature (-1: a leaf), threshold or value, left, right."""
    starts = np.cumsum([0] + [len(tree["feature"]) for tree in stage[:-1]]).astype(np.int64)
    joined = {name: [x for tree in stage for x in tree[name]] for name in ("feature", "value", "left", "right")}
    return (
        starts,
        np.array(joined["feature"], np.int32),
        np.array(joined["value"], np.float64),
        np.array(joined["left"], np.int32),
        np.array(joined["right"], np.int32),
    )


@functools.cache
def load_model() -> Model:
    """The model beside this file."""
    content = json.loads(Path(__file__).with_name("main_text.json").read_text(encoding="utf-8"))
    if tuple(content["features"]) != FEATURES + STAGE_FEATURES:
        raise RuntimeError("main_text.json was made for other measures: run benchmarks/train_extraction.py")
    return Model(arrays(content["first"]), arrays(content["second"]))


@njit(allocates=True, cache=True, nogil=True)
def _trees(rows: np.ndarray, starts: np.ndarray, feature: np.ndarray, value: np.ndarray, left: np.ndarray,
           right: np.ndarray) -> np.ndarray:  # fmt: skip
    out = np.empty(rows.shape[0], np.float32)
    for i in range(rows.shape[0]):
        total = 0.0
        for start in starts:
            node = start
            while feature[node] >= 0:
                node = start + (left[node] if rows[i, feature[node]] <= value[node] else right[node])
            total += value[node]
        out[i] = 1.0 / (1.0 + np.exp(-total))
    return out


def probabilities(page: Blocks, model: Model) -> np.ndarray:
    """For each block the probability that it is main text: float32[blocks]."""
    if not len(page.blocks):
        return np.zeros(0, np.float32)
    measured = features(page)
    first = _trees(measured.values, *model.first)
    seen = np.concatenate([measured.values, stage_features(page, measured, first)], axis=1)
    return _trees(seen, *model.second)


def choose(page: Blocks, tables: np.ndarray, model: Model) -> np.ndarray:
    """Which blocks are the main text: bool[blocks]. A data table (`udfs.page_text`) is kept or left as one."""
    return keep(page, tables, probabilities(page, model))


def keep(page: Blocks, tables: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Which blocks are kept at these probabilities: those above the bar that promises the best F of words.

    With probabilities p and words w, keeping the set K promises sum_K(w p) / (c sum_K(w) + sum(w p)); the best set is
    all blocks above some bar, which is high on pages that are clear and low where all is uncertain. At c = 1 it is F1;
    c = 1.3 (F-beta with beta 0.88) gives as much F1 on unseen pages of seven types and more on news.
    """
    if not len(chance):
        return np.zeros(0, np.bool_)
    chance = chance.astype(np.float64)
    words = page.blocks[:, 3].astype(np.float64)
    table = tables[page.blocks[:, 0]]
    if table.any():
        weight = np.sqrt(words)
        total = np.bincount(table, weight * chance)
        count = np.bincount(table, weight)
        chance = np.where(table > 0, total[table] / np.maximum(count[table], 1e-9), chance)
    order = np.argsort(-chance, kind="stable")
    expected = np.cumsum((words * chance)[order])
    promise = expected / (KEPT_WEIGHT * np.cumsum(words[order]) + expected[-1])
    kept: np.ndarray = chance >= chance[order[int(np.argmax(promise))]]
    # A heading goes with what it heads: the labelled sets disagree whether a page's title is part of its text. So do a
    # term with its definition, and a data table with the text right before it.
    tag = page.nodes[page.blocks[:, 0], 1]
    leads = ((tag >= _H1) & (tag <= _H1 + 5)) | (tag == _T_DT)
    for place in np.flatnonzero(leads[:-1] & ~kept[:-1] & (chance[:-1] >= COMPANY_BAR))[::-1]:
        kept[place] = kept[place + 1]
    for place in np.flatnonzero((table[1:] > 0) & ~kept[1:] & (chance[1:] >= COMPANY_BAR)) + 1:
        kept[place] = kept[place - 1]
    return kept
