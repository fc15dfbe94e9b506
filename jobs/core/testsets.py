"""Reading test sets: JSON Lines, JSON, CSV, Parquet or plain text in, one table of items out.

A *layout* (``conf/testsets/*.yaml``) says which fields of a benchmark's records are question, answer and context. It is
told from the fields and from the file's name, so that a person points at downloaded files and nothing else. Whatever
cannot be read ends with an error that names the file, the place and the reason: a test set that is passed over in
silence is a leak nobody looks for.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import re2
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from jobs.core.errors import ConfigurationError, InputContractError
from jobs.core.files import open_for_reading, worker_file_system
from jobs.core.json_lines import BadLine, DamagedFileError, compression_of, inflated_blocks, lines, parse_line
from jobs.core.recipe import Names, Part, TestSet
from jobs.core.recipe_file import conf_path
from udfs.ngram_index import ITEM_SCHEMA

MAX_LINE_BYTES = 1 << 28
PLAIN_LAYOUT = "items"
_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".parq": "parquet",
    ".txt": "text",
    ".tokens": "text",
    ".raw": "text",
}
_SPLITS = {
    "test": "test",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "dev",
    "train": "train",
}
_NOT_A_NAME = {*_SPLITS, "data", "questions", "part", "of", "jsonl"}


class Layout(Part):
    """Where the parts of an item stand in a record.

    Field paths are dotted; a step into a list visits all of it, or one entry by its number. ``text`` is a field that
    holds the whole item; ``records`` is where the records lie inside one JSON object; ``columns`` are those of a CSV
    file without a header; ``group`` goes before the id; records whose question matches ``skip`` are no items.
    """

    dataset: str | None
    files: Names
    requires: Names
    question: Names
    answer: Names = ()
    context: Names = ()
    text: Names = ()
    id: str | None = None
    group: str | None = None
    group_by_file: bool = False
    records: str | None = None
    columns: Names = ()
    skip: str | None = None


@dataclass(frozen=True)
class TestSets:
    """All items as ``ITEM_SCHEMA``, and of each file its path, sha256, bytes, layout, data sets and number of items."""

    __test__ = False

    items: pa.Table
    inputs: tuple[Mapping[str, Any], ...]


@cache
def layouts() -> Mapping[str, Layout]:
    """The layouts under ``conf/testsets`` by name. Raises ``ConfigurationError`` for one that cannot be used."""
    found = {}
    for entry in sorted(conf_path("testsets").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".yaml"):
            try:
                found[entry.name[:-5]] = Layout.model_validate(
                    YAML(typ="safe", pure=True).load(entry.read_text("utf-8"))
                )
            except (ValueError, YAMLError) as error:
                raise ConfigurationError(f"conf/testsets/{entry.name} is no layout of a test set: {error}") from error
    return found


def read_testsets(testsets: Iterable[str | TestSet]) -> TestSets:
    """Read test sets: files, or folders that are searched to the bottom.

    Raises ``InputContractError`` for a path that is not there, a folder without any file of a known format, a file
    that is empty, damaged or malformed, and records that no layout describes.
    """
    tables: list[pa.Table] = []
    inputs: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    for testset in testsets:
        chosen = TestSet(path=testset) if isinstance(testset, str) else testset
        for path in _files(chosen.path):
            if path in seen:
                continue
            seen.add(path)
            table, described = _read_file(path, chosen)
            tables.append(table)
            inputs.append(described)
    if not tables:
        raise InputContractError(
            "no test sets were given", next_step="name them by --testsets PATH… or steps.decontaminate.testsets"
        )
    return TestSets(pa.concat_tables(tables), tuple(inputs))


def _files(path: str) -> list[str]:
    file_system, inner = worker_file_system(path)
    info = file_system.get_file_info(inner)
    if info.type == pafs.FileType.NotFound:
        raise InputContractError(f"{path}: there is no such test set")
    if info.type == pafs.FileType.File:
        return [path]
    below = file_system.get_file_info(pafs.FileSelector(inner, recursive=True))
    prefix = path[: len(path) - len(inner)] if path.endswith(inner) else ""
    names = sorted(
        entry.path
        for entry in below
        if entry.type == pafs.FileType.File
        and _format_of(entry.path) is not None
        and not any(part.startswith((".", "_")) for part in Path(entry.path[len(inner) :]).parts)
    )
    if not names:
        raise InputContractError(f"{path}: this folder holds no test set ({', '.join(_SUFFIXES)}, compressed or not)")
    return [prefix + name for name in names]


def _format_of(path: str) -> str | None:
    name = path.rsplit("/", 1)[-1].lower()
    if compression := compression_of(name):
        name = name.removesuffix(compression)
    return next((kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)), None)


def _read_file(path: str, testset: TestSet) -> tuple[pa.Table, dict[str, Any]]:
    kind = _format_of(path)
    if kind is None:
        raise InputContractError(
            f"{path}: cannot tell the format of this test set from its name ({', '.join(_SUFFIXES)})"
        )
    with open_for_reading(path) as stream:
        data = bytes(stream.read())
    digest = hashlib.sha256(data).hexdigest()
    try:
        content = b"".join(inflated_blocks(io.BytesIO(data), compression_of(path)))
    except DamagedFileError as error:
        raise InputContractError(f"{path}: damaged test set: {error.detail} (byte {error.offset})") from error
    records = _parsed(path, kind, content, testset)
    if not records:
        raise InputContractError(
            f"{path}: this test set holds no items", next_step="remove it from the test sets, or fetch it again"
        )
    name, layout = _layout_for(path, records[0][1], testset)
    rows = [row for place, record in records for row in _items_of(path, place, record, layout, testset)]
    if not rows:
        raise InputContractError(f"{path}: no record of this test set is an item by layout {name}")
    described = {"path": path, "sha256": digest, "bytes": len(data), "layout": name, "items": len(rows)}
    return pa.Table.from_pylist(rows, ITEM_SCHEMA), {**described, "datasets": sorted({row["dataset"] for row in rows})}


Record = tuple[str, dict[str, Any]]  # where it stands, what it says


def _parsed(path: str, kind: str, content: bytes, testset: TestSet) -> list[Record]:
    if kind == "parquet":
        try:
            table = pq.read_table(io.BytesIO(content))
        except (pa.ArrowException, OSError) as error:
            raise InputContractError(f"{path}: damaged test set: {error}") from error
        return [(f"row {number}", record) for number, record in enumerate(table.to_pylist())]
    if kind == "csv":
        return list(_csv_records(path, content, testset))
    if kind == "text":
        return [
            (f"line {n}", {"text": line})
            for n, line in enumerate(_decoded(path, content).splitlines(), 1)
            if line.strip()
        ]
    if kind == "json":
        try:
            whole = orjson.loads(content)
        except orjson.JSONDecodeError:
            return list(_json_lines(path, content))  # many benchmarks call JSON Lines .json
        return list(_json_records(path, whole, testset))
    return list(_json_lines(path, content))


def _json_lines(path: str, content: bytes) -> Iterator[Record]:
    for line in lines(iter([content]), max_bytes=MAX_LINE_BYTES):
        if not line.data.strip():
            continue
        parsed = parse_line(line.data)
        if line.too_long or isinstance(parsed, BadLine):
            detail = "longer than 256 MB" if line.too_long or not isinstance(parsed, BadLine) else parsed.detail
            raise InputContractError(f"{path}, line {line.number}: no record of a test set: {detail}")
        yield f"line {line.number}", parsed[0]


def _json_records(path: str, whole: Any, testset: TestSet) -> Iterator[Record]:
    """Records of one JSON value: a list, or an object in which a layout knows where they are, or one record."""
    if isinstance(whole, dict):
        named = layouts().get(testset.layout or "")
        known = [named] if named else list(layouts().values())
        homes = {layout.records for layout in known if layout.records}
        for home in sorted(homes, key=len, reverse=True):
            found = list(_nested(whole, home.split("."), {}))
            if found:
                yield from ((f"{home} {number}", record) for number, record in enumerate(found))
                return
        whole = [whole]
    if not isinstance(whole, list):
        raise InputContractError(f"{path}: a {type(whole).__name__}, not records of a test set")
    for number, record in enumerate(whole):
        if not isinstance(record, dict):
            raise InputContractError(f"{path}, record {number}: a {type(record).__name__}, not an object")
        yield f"record {number}", record


def _nested(node: Any, steps: list[str], inherited: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Records at a path of lists, each with the plain fields of all that it lies in."""
    if not steps:
        for record in node if isinstance(node, list) else []:
            if isinstance(record, dict):
                yield {**inherited, **record}
        return
    for parent in node if isinstance(node, list) else [node]:
        if isinstance(parent, dict) and steps[0] in parent:
            plain = {key: value for key, value in parent.items() if isinstance(value, str | int | float)}
            yield from _nested(parent[steps[0]], steps[1:], {**inherited, **plain})


def _csv_records(path: str, content: bytes, testset: TestSet) -> Iterator[Record]:
    csv.field_size_limit(MAX_LINE_BYTES)
    text = _decoded(path, content)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t" if ".tsv" in path.lower() else ","))
    if not rows:
        return
    named = layouts().get(testset.layout or "")
    headless = [layout for layout in ([named] if named else layouts().values()) if layout.columns]
    header, first = rows[0], 1
    for layout in headless:
        if (
            len(header) == len(layout.columns)
            and (named or _name_matches(path, layout))
            and header != list(layout.columns)
        ):
            header, first = list(layout.columns), 0
    for number, row in enumerate(rows[first:], first + 1):
        if not row:
            continue
        if len(row) != len(header):
            raise InputContractError(f"{path}, row {number}: {len(row)} fields where {len(header)} are expected")
        yield f"row {number}", dict(zip(header, row, strict=True))


def _decoded(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputContractError(f"{path}: byte {error.start} of this test set is not UTF-8") from error


# ------------------------------------------------------------------------------------------------------------ layouts


def _layout_for(path: str, record: Mapping[str, Any], testset: TestSet) -> tuple[str, Layout]:
    if testset.layout is not None:
        if testset.layout not in layouts():
            raise ConfigurationError(f"no layout of test sets is called {testset.layout}: {', '.join(layouts())}")
        return testset.layout, layouts()[testset.layout]
    if isinstance(record.get("dataset"), str) and isinstance(record.get("text"), str):
        return PLAIN_LAYOUT, layouts()[PLAIN_LAYOUT]
    fitting = {
        name: (_name_matches(path, layout), len(layout.requires), name == PLAIN_LAYOUT)
        for name, layout in layouts().items()
        if all(_at(record, field.split(".")) is not None for field in layout.requires)
    }
    if not fitting:
        raise InputContractError(
            f"{path}: no known layout of a test set has the fields {', '.join(sorted(record)) or '(none)'}",
            next_step="rename the fields to text, or question and answer, or add a layout to conf/testsets",
        )
    name = max(fitting, key=lambda name: (fitting[name], name))
    return name, layouts()[name]


def _name_matches(path: str, layout: Layout) -> bool:
    """Whether the last three names of the path say that it is this benchmark."""
    tail = "/".join(path.lower().split("/")[-3:])
    return any(re.search(rf"(?<![a-z]){re.escape(name)}(?![a-z])", tail) for name in layout.files)


def _at(node: Any, steps: Sequence[str]) -> Any:
    """The value at a dotted path, None where there is none; of a list the values of all entries, or one by number."""
    for place, step in enumerate(steps):
        if isinstance(node, list):
            if step.isdigit():
                node = node[int(step)] if int(step) < len(node) else None
                continue
            found = [_at(entry, steps[place:]) for entry in node]
            return [value for value in found if value is not None]
        if not isinstance(node, Mapping):
            return None
        node = node.get(step)
    return node


def _items_of(
    path: str, place: str, record: Mapping[str, Any], layout: Layout, testset: TestSet
) -> Iterator[dict[str, str]]:
    if layout.requires and all(_at(record, field.split(".")) is None for field in layout.requires):
        raise InputContractError(
            f"{path}, {place}: none of the fields {', '.join(layout.requires)} is there "
            f"(it has {', '.join(sorted(record)) or 'none'})"
        )
    question = _part(path, place, record, layout.question)
    answer = _part(path, place, record, layout.answer)
    text = _part(path, place, record, layout.text)
    if layout.text:
        question, answer = _split_text(text, question, answer)
    if layout.skip is not None and re2.search(layout.skip, question):
        return
    group = _part(path, place, record, [layout.group]) if layout.group else _stem(path) if layout.group_by_file else ""
    own_id = _scalar(_at(record, layout.id.split("."))) if layout.id else ""
    identity = own_id or f"{_stem(path)}/{place}"
    yield {
        "dataset": testset.dataset or _scalar(record.get("dataset")) or _dataset_of(path, layout),
        "split": _scalar(record.get("split")) or _split_of(path),
        "id": f"{group}/{identity}" if group and not identity.startswith(group) else identity,
        "question": question,
        "answer": answer,
        "context": _part(path, place, record, layout.context),
    }


def _split_text(text: str, question: str, answer: str) -> tuple[str, str]:
    """Question and answer of a record whose ``text`` is the whole item or the question alone."""
    if question and text.startswith(question):
        rest = text[len(question) :].strip("\n")
        return question, rest if answer in rest else f"{rest}\n{answer}"
    return text, "" if answer in text else answer


def _part(path: str, place: str, record: Mapping[str, Any], fields: Iterable[str]) -> str:
    texts: list[str] = []
    for field in fields:
        value = _at(record, field.split("."))
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, Mapping | list):
                raise InputContractError(f"{path}, {place}: field {field} is not text but {type(entry).__name__}")
            if entry is not None and str(entry).strip():
                texts.append(str(entry))
    return "\n".join(texts)


def _scalar(value: Any) -> str:
    return "" if value is None or isinstance(value, Mapping | list) else str(value)


def _stem(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    while (suffix := Path(name).suffix) and (suffix.lower() in _SUFFIXES or compression_of(suffix)):
        name = name[: -len(suffix)]
    return name


def _split_of(path: str) -> str:
    for name in (_stem(path), path.rsplit("/", 2)[-2] if "/" in path else ""):
        for word in re.split(r"[^a-z]+", name.lower()):
            if word in _SPLITS:
                return _SPLITS[word]
    return ""


def _dataset_of(path: str, layout: Layout) -> str:
    """The benchmark's name if the path names it, else the file's or, where that names only a split, its folder's."""
    if layout.dataset and _name_matches(path, layout):
        return layout.dataset
    for name in [_stem(path), *reversed(path.split("/")[:-1])]:
        words = [word for word in re.split(r"[^\w]+|_|\d+", name.lower()) if word]
        if words and not all(word in _NOT_A_NAME for word in words):
            return name
    return layout.dataset or "testset"
