"""Blocks of a page: one pass over its bytes gives the tree of block elements and the runs of text between their edges.

A block is the text between two edges of block elements (`<p>`, `<li>`, `<td>` …, an empty line made by two `<br>`).
The tree holds block elements only; inline elements are passed over, and `<a href>` is a state. End tags that may be
left
out are implied as the HTML standard has it (13.1.2.4: `li`, `p`, `td` …); an end tag without its start is passed over.
Scripts, styles, comments, `<svg>`, `<template>`, `<select>` and form fields are no text.

The pass takes time linear in the bytes (the search of an end tag's start is bounded by the depth, which is capped), and
memory of a small multiple of them. Character references are left as they are: `udfs.html` replaces them in what is
kept.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from udfs.kernels import njit

__all__ = ["BLOCK", "HINTS", "TAGS", "Blocks", "attribute", "name_hash", "scan", "tag_code"]

# --- Tags -------------------------------------------------------------------------------------------------------------

BLOCK, VOID, RAW, SKIP, CLOSES_P, HEADING = 1, 2, 4, 8, 16, 32

_KINDS = {
    BLOCK | CLOSES_P: "address article aside blockquote center details dialog dir div dl fieldset figcaption figure "
    "footer "
    "form header hgroup hr main menu nav ol p pre search section summary table ul listing plaintext",
    BLOCK | CLOSES_P | HEADING: "h1 h2 h3 h4 h5 h6",
    BLOCK: "li dt dd caption tbody thead tfoot tr td th legend button noscript video audio object canvas label",
    VOID: "area base br col embed img input link meta param source track wbr frame",
    RAW: "script style textarea iframe noembed noframes title xmp",
    SKIP: "svg template select datalist optgroup option map",
    0: "a html head body code time",
}

TAGS: tuple[str, ...] = ("", *sorted(name for names in _KINDS.values() for name in names.split()))
"""Names of elements; the place is the code. Code 0 is every element that is not named here."""


def tag_code(name: str) -> int:
    """The code of an element that `TAGS` names."""
    return TAGS.index(name)


HINTS: dict[str, str] = {
    "navigation": "nav navbar navigation menu menubar topnav subnav breadcrumb breadcrumbs crumb crumbs pagination "
    "pager "
    "paging submenu mainmenu navi toolbar tabs steps",
    "header": "header head masthead topbar branding logo titlebar",
    "footer": "footer foot bottom copyright colophon legal impressum disclaimer",
    "side": "sidebar aside side rail widget widgets secondary complementary sidenav",
    "comments": "comment comments disqus reply replies respond discussion responses commentlist kommentar kommentare",
    "related": "related recommended recommendation recommendations more trending popular similar suggest suggested "
    "suggestions latest recent upsell upsells crosssell readmore morefrom mostread alsolike next prev previous also",
    "share": "share sharing social facebook twitter follow addtoany sharedaddy socials whatsapp pinterest sharer "
    "teilen",
    "advert": "ad ads adv advert advertisement advertising sponsor sponsored promo promotion promotions dfp adsense "
    "taboola "
    "outbrain anzeige affiliate",
    "overlay": "cookie cookies consent gdpr modal popup overlay lightbox notice alert toast drawer dialog onetrust "
    "privacy "
    "tooltip dropdown flyout",
    "subscribe": "newsletter subscribe subscription signup login signin register paywall cta optin mailchimp donate "
    "download",
    "byline": "meta byline author authors date time timestamp published posted bio avatar readtime reading info data",
    "label": "tag tags category categories topics label labels badge keywords",
    "content": "content article post entry story body text main blog single description prose markdown copy richtext "
    "wysiwyg readme inhalt artikel contenido rte paragraph",
    "product": "product products price prices sku spec specs specification specifications features shop cart "
    "variant stock "
    "shipping delivery",
    "forum": "message messages thread topic forum postbody quote signature bbp bbcode posts user username profile "
    "member "
    "answer question votes",
    "hidden": "hidden hide sr invisible visuallyhidden offscreen noprint collapsed srOnly screenreader skip",
    "card": "card cards grid tile tiles item items list results listing listings row col collection feed teaser "
    "teasers "
    "loop",
    "caption": "caption figcaption credit credits gallery image images photo photos video player media slider "
    "carousel swiper "
    "slide slideshow",
    "faq": "faq faqs accordion tab panel toggle collapse expand expandable",
    "contents": "toc contents tableofcontents outline index sitemap",
    "form": "form search searchform filter filters sort button buttons btn field input facet facets",
    "hero": "hero banner jumbotron intro lead lede headline title subtitle summary excerpt teaser abstract standfirst",
    "review": "review reviews rating ratings testimonial testimonials stars",
    "document": "docs doc documentation api reference guide tutorial section chapter wiki",
}
"""Words of class names, ids and roles, by what they hint at. A hint is a bit: the place in this mapping."""

_ELEMENT_HINTS = {
    "nav": "navigation",
    "header": "header",
    "footer": "footer",
    "aside": "side",
    "form": "form",
    "button": "form",
    "label": "form",
    "figure": "caption",
    "figcaption": "caption",
    "dialog": "overlay",
    "noscript": "hidden",
}
BODY_BIT = 1 << 30  # a class name such as entry-content or article__body, itemprop="articleBody"
ROLE_BITS = {"main": 1, "article": 2, "nav": 4, "header": 8, "footer": 16, "aside": 32, "hidden": 64}


@njit(cache=True, nogil=True)
def name_hash(data: np.ndarray, begin: int, end: int) -> int:
    """A number for an ASCII word, whatever its case (FNV-1a over the letters in lower case)."""
    value = np.uint64(14695981039346656037)
    for i in range(begin, end):
        c = data[i]
        if 65 <= c <= 90:
            c |= 32
        value = (value ^ np.uint64(c)) * np.uint64(1099511628211)
    return np.int64(value >> np.uint64(1))  # type: ignore[return-value]


@functools.cache  # of names in this code, never of a page's
def _hash(word: str) -> int:
    return int(name_hash(np.frombuffer(word.encode(), np.uint8), 0, len(word)))


class _Tables(NamedTuple):
    tag_hashes: np.ndarray
    tag_codes: np.ndarray
    flags: np.ndarray
    element_hints: np.ndarray
    roles: np.ndarray
    hint_hashes: np.ndarray
    hint_bits: np.ndarray
    names: np.ndarray


# Attribute names and values, and elements, that the pass knows by number.
_NAMES = [
    "class",
    "id",
    "role",
    "itemprop",
    "hidden",
    "style",
    "href",
    "aria-hidden",
    "start",
    "main",
    "navigation",
    "banner",
    "contentinfo",
    "complementary",
    "article",
    "dialog",
    "articlebody",
    "a",
    "br",
    "hr",
    "li",
    "ul",
    "ol",
    "menu",
    "dir",
    "dl",
    "dt",
    "dd",
    "p",
    "td",
    "th",
    "tr",
    "table",
    "caption",
    "thead",
    "tbody",
    "tfoot",
    "pre",
    "title",
    "meta",
    "time",
    "html",
    "script",
    "head",
    "body",
    "textarea",
    "button",
    "h1",
    "listing",
    "label",
    "true",
]


@functools.cache
def _tables() -> _Tables:
    hashes = {_hash(name): code for code, name in enumerate(TAGS) if name}
    order = sorted(hashes)
    flags = np.zeros(len(TAGS), np.int64)
    for kind, names in _KINDS.items():
        for name in names.split():
            flags[TAGS.index(name)] = kind
    bits = {name: 1 << place for place, name in enumerate(HINTS)}
    element_hints = np.zeros(len(TAGS), np.int64)
    for name, hint in _ELEMENT_HINTS.items():
        element_hints[TAGS.index(name)] = bits[hint]
    roles = np.zeros(len(TAGS), np.int64)
    for name, bit in ROLE_BITS.items():
        if name in TAGS:
            roles[TAGS.index(name)] = bit
    words: dict[int, int] = {}
    for hint, text in HINTS.items():
        for word in text.split():
            words[_hash(word)] = words.get(_hash(word), 0) | bits[hint]
    word_order = sorted(words)
    known = np.array([TAGS.index(n) if n in TAGS else -1 for n in _NAMES] + [_hash(n) for n in _NAMES], np.int64)
    return _Tables(
        np.array(order, np.int64),
        np.array([hashes[h] for h in order], np.int64),
        flags,
        element_hints,
        roles,
        np.array(word_order, np.int64),
        np.array([words[h] for h in word_order], np.int64),
        known,
    )


_N = len(_NAMES)
(
    _CLASS, _ID, _ROLE, _ITEMPROP, _HIDDEN, _STYLE, _HREF, _ARIA_HIDDEN, _START,
    _MAIN, _NAVIGATION, _BANNER, _CONTENTINFO, _COMPLEMENTARY, _ARTICLE, _DIALOG, _ARTICLEBODY,
    _A, _BR, _HR, _LI, _UL, _OL, _MENU, _DIR, _DL, _DT, _DD, _P, _TD, _TH, _TR, _TABLE, _CAPTION, _THEAD, _TBODY,
    _TFOOT,
    _PRE, _TITLE, _META, _TIME, _HTML, _SCRIPT, _HEAD, _BODY, _TEXTAREA, _BUTTON, _H1, _LISTING, _LABEL, _TRUE,
) = range(_N)  # fmt: skip
_CONTENT_BIT = 1 << list(HINTS).index("content")
_OVERLAY_BIT = 1 << list(HINTS).index("overlay")
_HIDDEN_BIT = 1 << list(HINTS).index("hidden")

# --- The tree and the blocks ------------------------------------------------------------------------------------------

PARENT, TAG, DEPTH, HINT, ROLE, SIGNATURE, ORDINAL = range(7)
"""Columns of `Blocks.nodes`: parent (-1 for the root), tag code, depth, hint bits, role bits, a number for tag and
class, and for a list item its number (0 in a list without numbers)."""

(
    NODE, BEGIN, END, WORDS, LINK_WORDS, CHARS, COMMAS, STOPS, DIGITS, CAPITALS, LINKS, BREAKS, KEPT, ENDS_SENTENCE,
) = range(14)  # fmt: skip
"""Columns of `Blocks.blocks`: the innermost node, the bytes of `Blocks.text`, and counts over them. KEPT: white "
"space is
kept (`<pre>`). A word is a run between white space, or one letter of a script without spaces."""


class Blocks(NamedTuple):
    """A page in blocks, in the page's order."""

    text: np.ndarray
    """uint8: the texts of the blocks, UTF-8, white space collapsed save in `<pre>`; character references unreplaced."""
    nodes: np.ndarray
    """int64[nodes, 7]; node 0 is the root; a parent comes before its children."""
    blocks: np.ndarray
    """int64[blocks, 14]."""
    marks: np.ndarray
    """int64[marks, 3]: tag code and byte range in the page of `html`, `title`, `meta`, `time` and `script` elements."""


@njit(cache=True, nogil=True)
def _find(sorted_hashes: np.ndarray, value: int) -> int:
    low, high = 0, sorted_hashes.size
    while low < high:
        middle = (low + high) >> 1
        if sorted_hashes[middle] < value:
            low = middle + 1
        else:
            high = middle
    if low < sorted_hashes.size and sorted_hashes[low] == value:
        return low
    return -1


@njit(cache=True, nogil=True)
def _hint_words(data: np.ndarray, begin: int, end: int, hashes: np.ndarray, bits: np.ndarray) -> int:
    """Hints of the words in a class name: runs of letters, parted at capitals (`relatedPosts`)."""
    found = 0
    start = begin
    i = begin
    names = 0  # bits of the name so far, to see names of two parts
    while i <= end:
        c = data[i] if i < end else 32
        letter = 97 <= (c | 32) <= 122
        capital = 65 <= c <= 90
        parts = not letter or (capital and i > start and 97 <= data[i - 1] <= 122)
        if parts:
            if i > start:
                place = _find(hashes, name_hash(data, start, i))
                if place >= 0:
                    if (names & _CONTENT_BIT) and (bits[place] & _CONTENT_BIT):
                        found |= BODY_BIT
                    names |= bits[place]
                    found |= bits[place]
            start = i if letter else i + 1
        if c == 32 or (9 <= c <= 13):
            names = 0
        i += 1
    return found


@njit(cache=True, nogil=True)
def _next_attribute(data: np.ndarray, i: int, limit: int) -> tuple[int, int, int, int, int]:
    """One attribute from `i` on: the ends of its name, of its value, and where to go on; the name is empty at the end
    of the tag, and `next` is then after `>`."""
    while i < limit and (data[i] == 32 or (9 <= data[i] <= 13) or data[i] == 47):
        i += 1
    if i >= limit:
        return i, i, i, i, limit
    if data[i] == 62:
        return i, i, i, i, i + 1
    name_begin = i
    i += 1
    while i < limit and not (data[i] == 32 or (9 <= data[i] <= 13) or data[i] == 47 or data[i] == 62 or data[i] == 61):
        i += 1
    name_end = i
    j = i
    while j < limit and (data[j] == 32 or (9 <= data[j] <= 13)):
        j += 1
    if j >= limit or data[j] != 61:
        return name_begin, name_end, i, i, i
    j += 1
    while j < limit and (data[j] == 32 or (9 <= data[j] <= 13)):
        j += 1
    if j >= limit:
        return name_begin, name_end, j, j, j
    if data[j] == 34 or data[j] == 39:
        quote = data[j]
        begin = j + 1
        j = begin
        while j < limit and data[j] != quote:
            j += 1
        return name_begin, name_end, begin, j, min(limit, j + 1)
    begin = j
    while j < limit and not (data[j] == 32 or (9 <= data[j] <= 13) or data[j] == 62):
        j += 1
    return name_begin, name_end, begin, j, j


@njit(cache=True, nogil=True)
def _attribute(data: np.ndarray, begin: int, end: int, name: int) -> tuple[int, int]:
    i = begin
    while i < end:
        name_begin, name_end, value_begin, value_end, i = _next_attribute(data, i, end)
        if name_begin == name_end:
            break
        if name_hash(data, name_begin, name_end) == name:
            return value_begin, value_end
    return -1, -1


def attribute(data: np.ndarray, begin: int, end: int, name: str) -> str | None:
    """The value of an attribute in the tag whose attributes start at `begin`, as it is written; None without it."""
    first, last = _attribute(data, begin, end, _hash(name))
    return None if first < 0 else data[first:last].tobytes().decode("utf-8", "replace")


@njit(cache=True, nogil=True)
def _contains(data: np.ndarray, begin: int, end: int, word: np.ndarray) -> bool:
    for i in range(begin, end - word.size + 1):
        same = True
        for j in range(word.size):
            if (data[i + j] | 32) != word[j]:
                same = False
                break
        if same:
            return True
    return False


@njit(cache=True, nogil=True)
def _skip_raw(data: np.ndarray, i: int, name_begin: int, length: int) -> int:
    """Where the end tag `</name` starts, from `i` on; the end of the page without one."""
    size = data.size
    while i < size:
        if data[i] == 60 and i + 1 + length < size and data[i + 1] == 47:
            same = True
            for j in range(length):
                if (data[i + 2 + j] | 32) != (data[name_begin + j] | 32):
                    same = False
                    break
            if same:
                return i
        i += 1
    return size


@njit(cache=True, nogil=True)
def _finish(blocks: np.ndarray, count: int, text: np.ndarray, begin: int, end: int) -> tuple[int, int]:
    """Close the block that `text[begin:end]` holds, and start the next; white space at the end goes."""
    while end > begin and (text[end - 1] == 32 or text[end - 1] == 10):
        end -= 1
    row = blocks[count]
    if end == begin or row[WORDS] == 0:
        row[:] = 0
        return count, begin
    row[BEGIN] = begin
    row[END] = end
    last = text[end - 1]
    k = end
    while k > begin + 1 and (last == 34 or last == 41 or last == 39 or last == 93):
        k -= 1
        last = text[k - 1]
    sentence = last == 46 or last == 33 or last == 63 or last == 58
    if end - begin >= 3 and last >= 128:
        a, b, c = text[end - 3], text[end - 2], text[end - 1]
        sentence = (
            (a == 0xE3 and b == 0x80 and (c == 0x82 or c == 0x8D))
            or (a == 0xEF and b == 0xBC and (c == 0x81 or c == 0x9F or c == 0x9A))
            or (a == 0xE2 and b == 0x80 and (c == 0x9D or c == 0xA6 or c == 0x99))
            or (a == 0xE0 and b == 0xA5 and c == 0xA4)
            or (b == 0xD8 and c == 0x9F)
        )
    row[ENDS_SENTENCE] = 1 if sentence else 0
    return count + 1, end


@njit(cache=True, nogil=True)
def _scan(
    data: np.ndarray,
    tag_hashes: np.ndarray,
    tag_codes: np.ndarray,
    flags: np.ndarray,
    element_hints: np.ndarray,
    roles: np.ndarray,
    hint_hashes: np.ndarray,
    hint_bits: np.ndarray,
    names: np.ndarray,
    none_word: np.ndarray,
    text: np.ndarray,
    nodes: np.ndarray,
    blocks: np.ndarray,
    marks: np.ndarray,
    stack: np.ndarray,
) -> tuple[int, int, int, int]:
    n = names.size // 2
    size = data.size
    node_count = 1
    nodes[0, PARENT] = -1
    nodes[0, TAG] = names[_BODY]
    top = 0  # place on the stack of the innermost open block element
    stack[0] = 0
    block_count = 0
    mark_count = 0
    out = 0
    begin = 0
    pending = False  # white space is owed before the next character
    breaks = 0
    link = False
    link_depth = 0
    keep = 0  # open <pre>
    in_word = False
    newline = False  # the pending white space holds a line end
    wide = False  # the last character is of a script without spaces
    skipping = -1
    skip_depth = 0
    i = 0
    while i < size:
        c = data[i]
        if c != 60:
            # --- text
            if skipping >= 0:
                i += 1
                continue
            width = 1
            white = c == 32 or (9 <= c <= 13)
            if c == 0xC2 and i + 1 < size and data[i + 1] == 0xA0:
                white = True
                width = 2
            elif c == 38 and i + 5 < size and data[i + 1] == 110:  # &nbsp;
                if data[i + 2] == 98 and data[i + 3] == 115 and data[i + 4] == 112 and data[i + 5] == 59:
                    white = True
                    width = 6
            elif c == 0xE2 and i + 2 < size and data[i + 1] == 0x80 and (data[i + 2] == 0x8B or data[i + 2] == 0xA8):
                white = data[i + 2] == 0xA8
                width = 3
                if not white:  # zero width space
                    i += 3
                    continue
            elif c == 0:
                i += 1
                continue
            if white:
                in_word = False
                if keep > 0:
                    if out > begin or c == 32 or c == 9 or width > 1:
                        text[out] = c if width == 1 and c != 13 else 32
                        if c == 13:
                            text[out] = 10
                            if i + 1 < size and data[i + 1] == 10:
                                width = 2
                        out += 1
                elif out > begin:
                    pending = True
                    newline |= c == 10
                i += width
                continue
            row = blocks[block_count]
            starts_wide = 0xE3 <= c <= 0xE9 or (c == 0xEF and i + 1 < size and 0xBC <= data[i + 1] <= 0xBD)
            if pending:
                # A line end in the source between two Han letters is no space.
                if text[out - 1] != 10 and text[out - 1] != 32 and not (newline and wide and starts_wide):
                    text[out] = 32
                    out += 1
                pending = False
            newline = False
            if c < 0x80 or c >= 0xC0:
                wide = starts_wide
            breaks = 0
            if row[WORDS] == 0:
                row[NODE] = stack[top]
                row[KEPT] = 1 if keep > 0 else 0
            # a word: a run, or one letter of a script without spaces
            alone = False
            if c >= 0xE3 and c <= 0xE9 and i + 2 < size:
                alone = not (c == 0xE3 and data[i + 1] == 0x80)
            elif c == 0xE0 and i + 1 < size and data[i + 1] >= 0xB8 and data[i + 1] <= 0xBB:
                alone = True
            if alone:
                row[WORDS] += 1
                if link:
                    row[LINK_WORDS] += 1
                in_word = False
            elif not in_word and not (0x80 <= c < 0xC0):
                row[WORDS] += 1
                if link:
                    row[LINK_WORDS] += 1
                in_word = True
            if c < 0x80 or c >= 0xC0:
                row[CHARS] += 1
            if c == 44 or c == 59:
                row[COMMAS] += 1
            elif c == 46 or c == 33 or c == 63:
                row[STOPS] += 1
            elif 48 <= c <= 57:
                row[DIGITS] += 1
            elif 65 <= c <= 90:
                row[CAPITALS] += 1
            elif c == 0xE3 and i + 2 < size and data[i + 1] == 0x80:
                if data[i + 2] == 0x81:
                    row[COMMAS] += 1
                elif data[i + 2] == 0x82:
                    row[STOPS] += 1
            elif c == 0xEF and i + 2 < size and data[i + 1] == 0xBC:
                if data[i + 2] == 0x8C:
                    row[COMMAS] += 1
                elif data[i + 2] == 0x81 or data[i + 2] == 0x9F:
                    row[STOPS] += 1
            elif c == 0xD8 and i + 1 < size and data[i + 1] == 0x8C:
                row[COMMAS] += 1
            text[out] = c
            out += 1
            i += 1
            continue
        # --- markup
        i += 1
        if i >= size:
            break
        c = data[i]
        if c == 33 or c == 63:
            if c == 33 and i + 2 < size and data[i + 1] == 45 and data[i + 2] == 45:
                i += 3
                if i < size and data[i] == 62:
                    i += 1
                    continue
                while i + 2 < size and not (data[i] == 45 and data[i + 1] == 45 and data[i + 2] == 62):
                    i += 1
                i = min(size, i + 3)
            else:
                while i < size and data[i] != 62:
                    i += 1
                i += 1
            continue
        closing = c == 47
        if closing:
            i += 1
        name_begin = i
        if i >= size or not (97 <= (data[i] | 32) <= 122):
            if closing:
                while i < size and data[i] != 62:
                    i += 1
                i += 1
            elif skipping < 0:  # a lone "<" is text
                row = blocks[block_count]
                if pending:
                    text[out] = 32
                    out += 1
                    pending = False
                if row[WORDS] == 0:
                    row[NODE] = stack[top]
                    row[KEPT] = 1 if keep > 0 else 0
                if not in_word:
                    row[WORDS] += 1
                    in_word = True
                text[out] = 60
                out += 1
            continue
        while i < size and not (data[i] == 32 or (9 <= data[i] <= 13) or data[i] == 47 or data[i] == 62):
            i += 1
        place = _find(tag_hashes, name_hash(data, name_begin, i))
        code = tag_codes[place] if place >= 0 else 0
        kind = flags[code]
        # --- attributes
        attributes_begin = i
        hints = element_hints[code]
        role = roles[code]
        signature = np.int64(code)
        href = False
        start = 1
        name_length = i - name_begin
        while i < size:
            a, b, value, value_end, i = _next_attribute(data, i, size)
            if a == b:
                break
            if closing or skipping >= 0:
                continue
            if code == names[_A]:
                if b - a == 4 and name_hash(data, a, b) == names[n + _HREF]:
                    href = True
                continue
            if not kind & BLOCK:
                continue
            name = name_hash(data, a, b)
            if name == names[n + _CLASS] or name == names[n + _ID]:
                found = _hint_words(data, value, value_end, hint_hashes, hint_bits)
                hints |= found
                if name == names[n + _CLASS]:
                    signature = (signature * 1000003) ^ name_hash(data, value, value_end)
            elif name == names[n + _ROLE]:
                what = name_hash(data, value, value_end)
                if what == names[n + _MAIN]:
                    role |= 1
                elif what == names[n + _ARTICLE]:
                    role |= 2
                elif what == names[n + _NAVIGATION]:
                    role |= 4
                elif what == names[n + _BANNER]:
                    role |= 8
                elif what == names[n + _CONTENTINFO]:
                    role |= 16
                elif what == names[n + _COMPLEMENTARY]:
                    role |= 32
                elif what == names[n + _DIALOG]:
                    hints |= _OVERLAY_BIT
            elif name == names[n + _ITEMPROP]:
                if name_hash(data, value, value_end) == names[n + _ARTICLEBODY]:
                    hints |= BODY_BIT
            elif name == names[n + _HIDDEN]:
                role |= 64
            elif name == names[n + _ARIA_HIDDEN]:
                if name_hash(data, value, value_end) == names[n + _TRUE]:
                    role |= 64
            elif name == names[n + _STYLE]:
                if _contains(data, value, value_end, none_word):
                    role |= 64
            elif name == names[n + _START]:
                number = 0
                for k in range(value, min(value_end, value + 8)):
                    if 48 <= data[k] <= 57:
                        number = number * 10 + data[k] - 48
                start = number
        self_closing = i >= 2 and data[i - 1] == 62 and data[i - 2] == 47
        # --- subtrees that are no text
        if skipping >= 0:
            if code == skipping:
                if closing:
                    skip_depth -= 1
                    if skip_depth == 0:
                        skipping = -1
                elif not self_closing:
                    skip_depth += 1
            continue
        if kind & SKIP:
            if not closing and not self_closing:
                skipping = code
                skip_depth = 1
            continue
        if kind & RAW:
            if closing:
                continue
            content_begin = i
            i = _skip_raw(data, i, name_begin, name_length)
            if mark_count < marks.shape[0] and (code == names[_TITLE] or code == names[_SCRIPT]):
                marks[mark_count, 0] = code
                marks[mark_count, 1] = content_begin if code == names[_TITLE] else attributes_begin
                marks[mark_count, 2] = i
                mark_count += 1
            continue
        if code == names[_META] or code == names[_TIME] or code == names[_HTML]:
            if not closing and mark_count < marks.shape[0]:
                marks[mark_count, 0] = code
                marks[mark_count, 1] = attributes_begin
                marks[mark_count, 2] = i
                mark_count += 1
            continue
        if code == names[_BR]:
            in_word = False
            if out > begin:
                breaks += 1
                pending = False
                if keep == 0 and breaks >= 2:
                    block_count, begin = _finish(blocks, block_count, text, begin, out)
                    out = begin
                    breaks = 0
                    row = blocks[block_count]
                    row[:] = 0
                elif text[out - 1] != 10 or keep > 0:
                    if text[out - 1] == 32 and keep == 0:
                        out -= 1
                    text[out] = 10
                    out += 1
                    blocks[block_count, BREAKS] += 1
            continue
        if code == names[_A]:
            if closing:
                link = False
            elif href:
                link = True
                link_depth = top
                blocks[block_count, LINKS] += 1
            continue
        if not kind & BLOCK:
            continue
        # --- edges of block elements
        block_count, begin = _finish(blocks, block_count, text, begin, out)
        out = begin
        pending = False
        in_word = False
        breaks = 0
        blocks[block_count, :] = 0
        if closing:
            cell = code == names[_TD] or code == names[_TH] or code == names[_TR]
            cell = cell or code == names[_TBODY] or code == names[_THEAD] or code == names[_TFOOT]
            k = top
            while k > 0:
                tag = nodes[stack[k], TAG]
                if tag == code or (kind & HEADING and flags[tag] & HEADING):
                    break
                if tag == names[_TABLE] and code != names[_TABLE]:
                    k = 0
                    break
                inside_cell = tag == names[_TD] or tag == names[_TH] or tag == names[_CAPTION]
                if inside_cell and not cell and code != names[_TABLE]:
                    k = 0
                    break
                if code == names[_LI] and (tag == names[_UL] or tag == names[_OL]):
                    k = 0
                    break
                if code == names[_P] and tag != names[_BUTTON] and tag != names[_LABEL]:
                    k = 0
                    break
                k -= 1
            if k > 0:
                top = k - 1
        else:
            k = top
            if kind & CLOSES_P:
                while k > 0:
                    tag = nodes[stack[k], TAG]
                    if tag == names[_P]:
                        top = k - 1
                        break
                    if kind & HEADING and flags[tag] & HEADING:
                        top = k - 1
                        break
                    if tag != names[_LABEL]:
                        break
                    k -= 1
            ends = -1
            if code == names[_LI]:
                ends = 1
            elif code == names[_DT] or code == names[_DD]:
                ends = 2
            elif code == names[_TD] or code == names[_TH]:
                ends = 3
            elif code == names[_TR]:
                ends = 4
            elif code == names[_TBODY] or code == names[_THEAD] or code == names[_TFOOT]:
                ends = 5
            if ends > 0:
                k = top
                target = -1
                while k > 0:
                    tag = nodes[stack[k], TAG]
                    if ends == 1:
                        if tag == names[_LI]:
                            target = k
                            break
                        if tag == names[_UL] or tag == names[_OL] or tag == names[_MENU] or tag == names[_DIR]:
                            break
                        if tag == names[_TD] or tag == names[_TH]:
                            break
                    elif ends == 2:
                        if tag == names[_DT] or tag == names[_DD]:
                            target = k
                            break
                        if tag == names[_DL]:
                            break
                    else:
                        if tag == names[_TABLE]:
                            break
                        if (
                            tag == names[_TD]
                            or tag == names[_TH]
                            or (tag == names[_TR] and ends >= 4)
                            or (ends == 5 and (tag == names[_TBODY] or tag == names[_THEAD] or tag == names[_TFOOT]))
                        ):
                            target = k
                    k -= 1
                if target > 0:
                    top = target - 1
            parent = stack[top]
            if code != names[_HR] and node_count < nodes.shape[0] and top + 1 < stack.size:
                node = nodes[node_count]
                node[PARENT] = parent
                node[TAG] = code
                node[DEPTH] = nodes[parent, DEPTH] + 1
                node[HINT] = hints
                node[ROLE] = role
                node[SIGNATURE] = signature
                node[ORDINAL] = 0
                if code == names[_OL]:
                    node[ORDINAL] = start
                elif code == names[_LI] and nodes[parent, TAG] == names[_OL]:
                    node[ORDINAL] = nodes[parent, ORDINAL]
                    nodes[parent, ORDINAL] += 1
                top += 1
                stack[top] = node_count
                node_count += 1
        if link and link_depth > top:
            link = False
        keep = 0
        k = top
        while k > 0:
            tag = nodes[stack[k], TAG]
            if tag == names[_PRE] or tag == names[_LISTING]:
                keep = 1
                break
            if not (tag == names[_P] or tag == names[_LABEL] or tag == names[_LI] or top - k < 3):
                break
            k -= 1
    block_count, begin = _finish(blocks, block_count, text, begin, out)
    return node_count, block_count, mark_count, begin


def scan(page: bytes | np.ndarray) -> Blocks:
    """The blocks of a page in UTF-8. Any bytes are a page; nothing raises."""
    data = np.frombuffer(page, np.uint8) if isinstance(page, bytes) else page
    tags = int(np.count_nonzero(data == 60))
    text = np.empty(data.size + tags + 2, np.uint8)
    nodes = np.zeros((tags + 2, 7), np.int64)
    blocks = np.zeros((tags + 2, 14), np.int64)
    marks = np.empty((min(tags, 600), 3), np.int64)
    node_count, block_count, mark_count, size = _scan(
        data, *_tables(), np.frombuffer(b"none", np.uint8), text, nodes, blocks, marks, np.zeros(1024, np.int64)
    )
    return Blocks(text[:size], nodes[:node_count], blocks[:block_count], marks[:mark_count])
