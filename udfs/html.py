"""The main text of a page, as a careful person would copy it.

Pages come as bytes with the content type that the server sent. Each becomes text, or a reason why there is none:

    extract_empty               nothing was left of the page
    too_large                   more bytes than `max_page_bytes`
    extract_too_deep            tags nested deeper than `max_depth`: native parsers take quadratic time on them
    extract_too_many_tags       more `<` than `max_tags`
    extract_too_many_attributes more attributes than `max_attributes`
    extract_timeout, extract_crashed, extract_memory, extract_error   what became of the child process that had the page
    extract_no_content          there were no bytes

A scan over the bytes applies the caps before any parser sees the page (one pass, some 10 µs a page); extraction then
runs in a child process (`udfs.sandbox`). Types of plain text are decoded and passed through as they are.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from udfs.decode import decode, utf8_bytes
from udfs.http import media_type
from udfs.kernels import njit
from udfs.page_facts import stated
from udfs.sandbox import SandboxLimits, shared_sandbox

__all__ = ["ENGINES", "RESULT", "ExtractOptions", "extract", "page_extractor", "prescan"]

ENGINES = ("winnow", "resiliparse", "trafilatura", "all_text")

RESULT = pa.struct(
    [
        pa.field("text", pa.string()),
        pa.field("title", pa.string()),
        pa.field("date", pa.string()),
        pa.field("language", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
    ]
)
"""What `extract` gives for a page. `title`, `date` (as the page writes it) and `language` are what the page states."""

_PLAIN_TEXT = {"text/plain", "text/markdown", "text/x-markdown", "text/x-rst", "text/asciidoc"}


@dataclass(frozen=True)
class ExtractOptions:
    """How to extract. Caps are per page; seconds are of processor time; memory is what a child may take past its start.

    `over_limits` says what becomes of a page over a cap: a reason (`quarantine`), or all of its text, tags stripped by
    one scan without a parser (`plain_text`). `sandboxed` false runs the parsers in this process: for pages one trusts,
    and to measure what the sandbox costs.
    """

    engine: str = "winnow"
    max_page_bytes: int = 16 << 20
    max_depth: int = 500
    max_tags: int = 400_000
    max_attributes: int = 80_000
    cpu_seconds: float = 5.0
    wall_seconds: float = 60.0
    memory_bytes: int = 1 << 30
    over_limits: str = "quarantine"
    sandboxed: bool = True

    def __post_init__(self) -> None:
        """Refuse engines that do not exist."""
        if self.engine not in ENGINES:
            raise ValueError(f"no extraction engine {self.engine!r}; there are {', '.join(ENGINES)}")
        if self.over_limits not in ("quarantine", "plain_text"):
            raise ValueError(f"over_limits is quarantine or plain_text, not {self.over_limits!r}")


# --- Caps -------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _name_hash(data: np.ndarray, begin: int, end: int) -> int:
    """A number for a short ASCII tag name, whatever its case: base 64 of the letters."""
    value = 0
    for i in range(begin, min(end, begin + 10)):
        value = value * 64 + (data[i] & 0x1F) + (32 if 48 <= data[i] <= 57 else 0)
    return value


@njit(cache=True, nogil=True)
def _scan(data: np.ndarray, flat: np.ndarray, raw: np.ndarray) -> tuple[int, int, int]:
    """Tags, greatest depth and attributes of one page; `flat` and `raw` are sorted name hashes (see `prescan`)."""
    size = data.size
    tags = depth = deepest = attributes = 0
    i = 0
    while i < size:
        if data[i] != 60:  # <
            i += 1
            continue
        tags += 1
        i += 1
        if i >= size:
            break
        c = data[i]
        if c == 33 and i + 2 < size and data[i + 1] == 45 and data[i + 2] == 45:  # <!-- ... -->
            i += 3
            while i + 2 < size and not (data[i] == 45 and data[i + 1] == 45 and data[i + 2] == 62):
                i += 1
            continue
        closing = c == 47
        if closing:
            i += 1
        name_begin = i
        while i < size and ((97 <= (data[i] | 32) <= 122) or 48 <= data[i] <= 57):
            i += 1
        if i == name_begin or not (97 <= (data[name_begin] | 32) <= 122):
            continue
        name = _name_hash(data, name_begin, i)
        # Attributes: words up to ">" outside quotes.
        quote = 0
        inside = False
        last = 0
        while i < size:
            c = data[i]
            if quote != 0:
                if c == quote:
                    quote = 0
            elif c == 62:
                break
            elif (c == 34 or c == 39) and last == 61:
                quote = c
            elif c == 32 or (9 <= c <= 13) or c == 47:
                inside = False
                i += 1
                continue
            elif not inside and c != 61 and last != 61:
                inside = True
                attributes += 1
            if c != 32:
                last = c
            i += 1
        self_closing = i > 0 and i < size and data[i - 1] == 47
        position = np.searchsorted(flat, name)
        nests = not (position < flat.size and flat[position] == name)
        if closing:
            if nests and depth > 0:
                depth -= 1
            continue
        if nests and not self_closing:
            depth += 1
            deepest = max(deepest, depth)
        position = np.searchsorted(raw, name)
        if position < raw.size and raw[position] == name:
            # Content of script, style and the like is no markup: go to its end tag.
            length = 0
            while length < 10 and name_begin + length < size and 97 <= (data[name_begin + length] | 32) <= 122:
                length += 1
            while i < size:
                if data[i] == 60 and i + 1 + length < size and data[i + 1] == 47:
                    same = True
                    for j in range(length):
                        if (data[i + 2 + j] | 32) != (data[name_begin + j] | 32):
                            same = False
                            break
                    if same:
                        break
                i += 1
    return tags, deepest, attributes


def _hashes(names: str) -> np.ndarray:
    return np.array(sorted(_name_hash(np.frombuffer(n.encode(), np.uint8), 0, len(n)) for n in names.split()), np.int64)


# Elements that hold nothing, and those whose end tag may be left out: a thousand unclosed <p> are flat, not deep.
_FLAT = (
    "area base br col embed hr img input link meta param source track wbr frame keygen bgsound basefont image p li dt "
    "dd td th tr thead tbody tfoot colgroup caption option optgroup rp rt rb rtc html head body"
)
_RAW = "script style textarea title xmp iframe noembed noframes"


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    return _hashes(_FLAT), _hashes(_RAW)


def prescan(content: bytes) -> tuple[int, int, int]:
    """Count the tags (`<`), the greatest depth of nesting and the attributes of a page: a lower bound of a parser's
    work.
    """
    return _scan(np.frombuffer(content, np.uint8), *_tables())


def _over_caps(content: bytes, options: ExtractOptions) -> tuple[str, str] | None:
    if len(content) > options.max_page_bytes:
        return "too_large", f"{len(content)} bytes, the limit is {options.max_page_bytes}"
    tags, depth, attributes = prescan(content)
    for reason, value, limit in (
        ("extract_too_deep", depth, options.max_depth),
        ("extract_too_many_tags", tags, options.max_tags),
        ("extract_too_many_attributes", attributes, options.max_attributes),
    ):
        if value > limit:
            return reason, f"{value}, the limit is {limit}"
    return None


@njit(cache=True, nogil=True)
def _strip(data: np.ndarray, out: np.ndarray) -> int:
    """Text between tags, without scripts, styles and comments; a line end for each tag, repeated white space once."""
    size = data.size
    written = 0
    i = 0
    while i < size:
        c = data[i]
        tag = c == 60 and i + 1 < size and ((97 <= (data[i + 1] | 32) <= 122) or data[i + 1] in (33, 47, 63))
        if tag:
            first = data[i + 1] | 32
            skip = 0
            if first == 115 and i + 3 < size:  # script, style: to the next "</s"
                second = (data[i + 2] | 32, data[i + 3] | 32)
                skip = 1 if second == (99, 114) or second == (116, 121) else 0
            comment = data[i + 1] == 33 and i + 3 < size and data[i + 2] == 45 and data[i + 3] == 45
            if comment:
                i += 4
                while i + 2 < size and not (data[i] == 45 and data[i + 1] == 45 and data[i + 2] == 62):
                    i += 1
                i += 2
            else:
                while i < size and data[i] != 62:
                    i += 1
                while (
                    skip
                    and i < size
                    and not (data[i] == 60 and i + 2 < size and data[i + 1] == 47 and (data[i + 2] | 32) == 115)
                ):
                    i += 1
                if skip:
                    continue
            c = 10
        elif c <= 32:
            c = 10 if c == 10 or c == 13 else 32
        white = c == 10 or c == 32
        if white and written > 0 and (out[written - 1] == 10 or out[written - 1] == 32):
            if c == 10:
                out[written - 1] = 10
            i += 1
            continue
        out[written] = c
        written += 1
        i += 1
    return written


def _stripped(page: bytes, content_type: str | None) -> tuple[str | None, ...] | None:
    data = np.frombuffer(utf8_bytes(page, content_type), np.uint8)
    out = np.empty(data.size + 1, np.uint8)
    text = html.unescape(out[: _strip(data, out)].tobytes().decode("utf-8", "replace")).strip()
    return (_clean(text), None, None, None, None, None) if text else None


# --- Engines ----------------------------------------------------------------------------------------------------------

Extracted = tuple[str, str | None, str | None, str | None]
"""Text, and the title, date and language that the page states."""


def _winnow() -> Callable[[str, str | None], Extracted]:
    """The blocks that `udfs.main_text` chooses."""
    from udfs.blocks import scan
    from udfs.main_text import choose, load_model
    from udfs.page_text import data_tables, render

    model = load_model()

    def run(markup: str, url: str | None) -> Extracted:
        source = markup.encode("utf-8", "replace")
        page = scan(source)
        tables = data_tables(page)
        return render(page, choose(page, tables, model), tables), *stated(page, source)

    run("<html><body><p>Compile the kernels now: later their time would be a page's.</p></body></html>", None)
    return run


def _resiliparse() -> Callable[[str, str | None], Extracted]:
    return _resiliparse_text(main_content=True)


def _all_text() -> Callable[[str, str | None], Extracted]:
    return _resiliparse_text(main_content=False)


def _resiliparse_text(*, main_content: bool) -> Callable[[str, str | None], Extracted]:
    from resiliparse.extract.html2text import extract_plain_text

    from udfs.blocks import scan

    def run(markup: str, url: str | None) -> Extracted:
        text = extract_plain_text(markup, preserve_formatting=True, main_content=main_content)
        source = markup.encode("utf-8", "replace")
        return text, *stated(scan(source), source)

    return run


def _trafilatura() -> Callable[[str, str | None], Extracted]:
    try:
        import trafilatura
    except ImportError as error:
        raise RuntimeError("the engine trafilatura is not installed: pip install winnow-corpus[trafilatura]") from error

    def run(markup: str, url: str | None) -> Extracted:
        found = trafilatura.bare_extraction(markup, url=url, include_tables=True, include_comments=False)
        if found is None:
            return "", None, None, None
        return found.text or "", found.title, found.date, found.language

    return run


_ENGINES = {"winnow": _winnow, "resiliparse": _resiliparse, "trafilatura": _trafilatura, "all_text": _all_text}


class page_extractor:  # noqa: N801 - used as a function: the target of the sandbox
    """Make the function that extracts one page: `(content, content_type, url)` to the fields of `RESULT`."""

    result_type = RESULT

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = ExtractOptions(**options)
        self.engine = _ENGINES[self.options.engine]()

    def __call__(self, content: bytes, content_type: str | None, url: str | None) -> tuple[str | None, ...]:
        """Extract one page. Raises what the parsers raise; the sandbox turns that into a reason."""
        text, title, date, language = self.engine(decode(content, content_type).text, url)
        text = text.strip()
        if not text:
            return None, _clean(title), _clean(date), _clean(language), "extract_empty", None
        return _clean(text), _clean(title), _clean(date), _clean(language), None, None


def _clean(value: str | None) -> str | None:
    """Valid UTF-8 for Arrow: a lone surrogate becomes U+FFFD, a blank value None."""
    if not value or not value.strip():
        return None
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return value


# --- Batches ----------------------------------------------------------------------------------------------------------


def extract(
    content: pa.Array, content_type: pa.Array, url: pa.Array, options: ExtractOptions | None = None
) -> pa.StructArray:
    """The text of each page, as `RESULT`: `text` is null exactly where `reason` is not.

    `content` is binary or large_binary; the arrays are of one length and may hold nulls. Nothing in a page raises.
    Raises SandboxUnusableError when the child process cannot run at all, RuntimeError when the engine is not installed.
    """
    options = options or ExtractOptions()
    rows: list[tuple[str | None, ...] | None] = [None] * len(content)
    pages: list[int] = []
    for row in range(len(content)):
        page = content[row].as_py()
        if not page:
            rows[row] = (None, None, None, None, "extract_no_content", None)
            continue
        kind = content_type[row].as_py()
        if media_type(kind) in _PLAIN_TEXT:
            rows[row] = _pass_through(page, kind, options)
            continue
        over = _over_caps(page, options)
        if over is not None:
            rows[row] = (None, None, None, None, *over)
            if options.over_limits == "plain_text":
                rows[row] = _stripped(page, kind) or rows[row]
            continue
        pages.append(row)
    if pages:
        _extract_pages(pages, content, content_type, url, options, rows)
    fields = [pa.array([row[i] for row in rows], pa.string()) for i in range(RESULT.num_fields)]  # type: ignore[index]
    return pa.StructArray.from_arrays(fields, fields=list(RESULT))


def _pass_through(page: bytes, content_type: str | None, options: ExtractOptions) -> tuple[str | None, ...]:
    if len(page) > options.max_page_bytes:
        detail = f"{len(page)} bytes, the limit is {options.max_page_bytes}"
        return None, None, None, None, "too_large", detail
    text = utf8_bytes(page, content_type).decode("utf-8", "replace")
    if not text.strip():
        return None, None, None, None, "extract_empty", None
    return text, None, None, None, None, None


_ARGUMENTS = (pa.large_binary(), pa.string(), pa.string())


def _extract_pages(
    pages: list[int],
    content: pa.Array,
    content_type: pa.Array,
    url: pa.Array,
    options: ExtractOptions,
    rows: list[tuple[str | None, ...] | None],
) -> None:
    columns = [content, content_type, url]
    if len(pages) < len(content):  # a copy of the bytes, which most batches can spare
        columns = [column.take(pa.array(pages, pa.int64())) for column in columns]
    columns = [column.cast(kind) for column, kind in zip(columns, _ARGUMENTS, strict=True)]
    if not options.sandboxed:
        function = _local_extractor(options)
        for position, row in enumerate(pages):
            rows[row] = function(*[column[position].as_py() for column in columns])
        return
    limits = SandboxLimits(options.cpu_seconds, options.wall_seconds, options.memory_bytes)
    sandbox = shared_sandbox("udfs.html:page_extractor", asdict(options), RESULT, limits)
    result, faults = sandbox.run(columns)
    texts = [column.to_pylist() for column in result.flatten()]
    for position, row in enumerate(pages):
        fault = faults.get(position)
        if fault is not None:
            rows[row] = (None, None, None, None, f"extract_{fault.reason}", fault.detail)
        else:
            rows[row] = tuple(column[position] for column in texts)


@functools.lru_cache(maxsize=4)
def _local_extractor(options: ExtractOptions) -> page_extractor:
    return page_extractor(asdict(options))
