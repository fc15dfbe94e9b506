"""The texts of a page's blocks by the tree that a whole HTML parser builds: what `udfs.blocks` finds without one.

The two agree on pages whose tags are nested rightly. On others the parser moves elements about (tables, formatting) as
the standard asks, which the single pass does not.
"""

from __future__ import annotations

import re
from typing import Any

import turbohtml

from udfs.blocks import _KINDS, BLOCK, RAW, SKIP

__all__ = ["block_texts"]

_BLOCKS = {name for kind, names in _KINDS.items() if kind & BLOCK for name in names.split()}
_NO_TEXT = {name for kind, names in _KINDS.items() if kind & (RAW | SKIP) for name in names.split()}

# A line end in the source between two letters of a script without spaces is no space.
_NO_SPACE = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uff7f])[ \t\f\v\r]*\n\s*(?=[\u3000-\u9fff\uff00-\uff7f])")


def block_texts(markup: str) -> list[str]:
    """The texts between edges of block elements in the page's order, white space collapsed save in `<pre>`."""
    texts: list[str] = []
    run: list[tuple[str, bool]] = []  # pieces of the block, and whether their white space is kept

    def finish() -> None:
        kept = any(keep for _, keep in run)
        text = "".join(piece for piece, _ in run)
        if not kept:
            text = "\n".join(" ".join(_NO_SPACE.sub("", line).split()) for line in text.split("\0"))
        texts.extend([text.rstrip() if kept else text.strip()] if text.strip() else [])
        run.clear()

    def visit(node: Any, keep: bool) -> None:
        if isinstance(node, turbohtml.Text):
            text = node.text
            run.append((text if keep else text.replace("\0", ""), keep))
            return
        if not isinstance(node, turbohtml.Element) or node.tag in _NO_TEXT:
            return
        if node.tag == "br":
            run.append(("\n" if keep else "\0", keep))
            return
        edge = node.tag in _BLOCKS
        if edge:
            finish()
        for child in node.children:
            visit(child, keep or node.tag == "pre")
        if edge:
            finish()

    for child in turbohtml.parse(markup).children:
        visit(child, False)
    finish()
    return texts
