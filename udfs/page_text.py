"""The chosen blocks of a page as text: what a careful person would copy.

Headings and paragraphs stand apart by a blank line. List items are lines with `- ` or their number, indented below the
item that holds them; further blocks of an item follow on lines of their own. Rows of tables are lines, cells apart by
` | `, also where a cell holds several blocks; a table that lays out a page (another table, `<pre>`, long or single
cells in it) is read as blocks. `<pre>` keeps its lines and indentation.
"""

from __future__ import annotations

import html

import numpy as np

from udfs.blocks import BEGIN, END, KEPT, NODE, ORDINAL, PARENT, TAG, TAGS, WORDS, Blocks, tag_code

__all__ = ["data_tables", "render"]

_LI, _TR, _TD, _TH, _TABLE, _DD, _DT, _PRE, _CAPTION, _DL = (
    tag_code(name) for name in ("li", "tr", "td", "th", "table", "dd", "dt", "pre", "caption", "dl")
)
_CELLS = (_TD, _TH)
_LONG_CELL = 120  # words: a cell of more is a column of a layout


def data_tables(page: Blocks) -> np.ndarray:
    """For each node the data table around it, a node; 0 for none. Tables that lay out a page are not data."""
    nodes = page.nodes
    tags = nodes[:, TAG]
    if not (tags == _TABLE).any():
        return np.zeros(len(nodes), np.int64)
    parents = nodes[:, PARENT].tolist()
    names = tags.tolist()
    inner = [0] * len(names)  # the innermost table around a node, itself included
    cell = [0] * len(names)
    layout: set[int] = set()
    columns: dict[int, int] = {}
    for node in range(1, len(names)):
        parent, name = parents[node], names[node]
        inner[node], cell[node] = inner[parent], cell[parent]
        if name == _TABLE:
            if inner[parent]:
                layout.add(inner[parent])
            inner[node], cell[node] = node, 0
        elif name in _CELLS:
            cell[node] = node
            columns[parent] = columns.get(parent, 0) + 1
        elif name == _PRE and inner[node]:
            layout.add(inner[node])
    wide = {inner[row] for row, count in columns.items() if count > 1}
    words: dict[int, int] = {}
    for node, count in zip(page.blocks[:, NODE].tolist(), page.blocks[:, WORDS].tolist(), strict=True):
        if inner[node] and cell[node]:
            words[cell[node]] = words.get(cell[node], 0) + count
    layout.update(inner[node] for node, count in words.items() if count > _LONG_CELL)
    return np.array([table if table in wide and table not in layout else 0 for table in inner], np.int64)


def _text(page: Blocks, row: np.ndarray) -> str:
    raw = page.text[row[BEGIN] : row[END]].tobytes().decode("utf-8", "replace")
    if "&" in raw:
        raw = html.unescape(raw)
    if "\xa0" in raw:
        raw = raw.replace("\xa0", " ")
    if row[KEPT]:
        lines = [line.rstrip() for line in raw.split("\n")]
        while lines and not lines[0]:
            del lines[0]
        return "\n".join(lines)
    if "  " in raw or "\t" in raw:
        raw = "\n".join(" ".join(line.split()) for line in raw.split("\n"))
    return raw.strip()


def render(page: Blocks, chosen: np.ndarray, tables: np.ndarray) -> str:
    """The text of the blocks whose place in `chosen` is true; `tables` is of `data_tables`."""
    parents = page.nodes[:, PARENT].tolist()
    names = page.nodes[:, TAG].tolist()
    ordinals = page.nodes[:, ORDINAL].tolist()
    cells: dict[int, list[int]] = {}  # of a row of a data table
    if tables.any():
        for node, name in enumerate(names):
            if name in _CELLS and tables[node]:
                cells.setdefault(parents[node], []).append(node)
    parts: list[str] = []
    begun: set[int] = set()  # list items that have their mark
    last_list = last_table = last_terms = 0
    row_cells: dict[int, list[str]] = {}
    open_row = 0

    def close_row() -> None:
        nonlocal open_row
        if open_row:
            line = " | ".join(" ".join(row_cells.get(cell, ())) for cell in cells.get(open_row, ()))
            parts.append(line.rstrip())
            row_cells.clear()
            open_row = 0

    for place in np.flatnonzero(chosen).tolist():
        block = page.blocks[place]
        text = _text(page, block)
        if not text:
            continue
        node = int(block[NODE])
        table = int(tables[node])
        items: list[int] = []
        terms = definition = cell = row = 0
        up = node
        while up > 0:
            name = names[up]
            if name == _LI:
                items.append(up)
            elif name in _CELLS and not cell and tables[up]:
                cell, row = up, parents[up]
            elif name == _DL and not terms:
                terms = up
            elif name == _DD and not terms:
                definition = up
            up = parents[up]
        if table and cell and names[row] == _TR:
            if row != open_row:
                close_row()
                if parts:
                    parts.append("\n" if table == last_table else "\n\n")
                open_row = row
            row_cells.setdefault(cell, []).append(" ".join(text.split()))
            last_table, last_list, last_terms = table, 0, 0
            continue
        close_row()
        outer = items[-1] if items else 0
        root = parents[outer] if outer else 0
        if parts:
            near = (root and root == last_list) or (terms and terms == last_terms) or (table and table == last_table)
            parts.append("\n" if near else "\n\n")
        indent = "  " if definition else ""
        marks = ""
        for item in reversed(items):
            mark = f"{ordinals[item]}. " if ordinals[item] or names[parents[item]] == _OL else "- "
            if item in begun:
                indent += " " * len(mark)
            elif item == items[0]:
                marks = mark
            else:
                indent += " " * len(mark)
            begun.add(item)
        follow = "\n" + indent + " " * len(marks)
        parts.append(indent + marks + text.replace("\n", follow))
        last_list, last_terms, last_table = root, terms, table
    close_row()
    return "".join(parts)


_OL = TAGS.index("ol")
