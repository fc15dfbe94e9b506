"""Which files a run reads, what they are, and whether they keep the input contract, before any work starts.

Every input file is listed and named with its source and format. Footers of Parquet files and a sample of lines of JSON
Lines files are checked here: a renamed column or a column of another type ends the run with the file, the column and
the types (docs/faults.md, F3) instead of becoming NULLs. A damaged file is no breach of contract: it is quarantined,
whole.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import itertools
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.core.errors import InputContractError
from jobs.core.files import DriverFiles, FileInfo, open_for_reading
from jobs.core.json_lines import (
    BadLine,
    DamagedFileError,
    compression_of,
    inflated_blocks,
    lines,
    parse_line,
)

ARCHIVE, JSON_LINES, PARQUET, CRAWL_INDEX = "archive", "jsonl", "parquet", "cc_index"
CRAWL_INDEX_COLUMNS = (
    ("warc_filename", "filename"),
    ("warc_record_offset", "offset"),
    ("warc_record_length", "length"),
)
"""Archive, offset and length in a crawl index: Common Crawl's columnar names, then those of its CDX server."""

_SUFFIX_FORMATS = {
    ".warc": ARCHIVE,
    ".wet": ARCHIVE,
    ".wat": ARCHIVE,
    ".arc": ARCHIVE,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON_LINES,
    ".parquet": PARQUET,
    ".parq": PARQUET,
}
_FORMAT_NAMES = {"warc": ARCHIVE, "wet": ARCHIVE, "arc": ARCHIVE, "json": JSON_LINES, "ndjson": JSON_LINES}
_COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz", ".lz4")
_SAMPLED_LINES = 50
_CHECK_THREADS = 16


@dataclass(frozen=True)
class Fields:
    """The source's own names of the document's fields; None = take none."""

    id: str | None = "id"
    url: str | None = "url"
    text: str | None = "text"
    content: str | None = "content"
    date: str | None = "date"
    content_type: str | None = "content_type"
    language: str | None = None


@dataclass(frozen=True)
class Source:
    """One named source of documents: where it is, how its fields are called, and how it ranks in deduplication."""

    name: str
    paths: tuple[str, ...]
    format: str | None = None
    fields: Fields = field(default_factory=Fields)
    rank: int = 100
    date: str | None = None
    archives: str | None = None


@dataclass(frozen=True)
class InputFile:
    """One input file and, once checked, why it cannot be read at all (``damage``)."""

    info: FileInfo
    source: str
    format: str
    compression: str | None
    damage: str | None = None
    columns: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        """The file's full URI."""
        return self.info.path


def format_of(path: str) -> str | None:
    """The format that a file name promises, None when it promises none."""
    name = path.rsplit("/", 1)[-1].lower()
    for compression in _COMPRESSIONS:
        name = name.removesuffix(compression)
    return next((kind for suffix, kind in _SUFFIX_FORMATS.items() if name.endswith(suffix)), None)


def list_inputs(files: DriverFiles, sources: Sequence[Source]) -> tuple[list[InputFile], list[str]]:
    """All input files of all sources in path order, and the files in input folders that are none.

    A file that two sources name belongs to the first. Raises ``InputContractError`` for a path that is not there, for a
    named file of unknown format, and when nothing is left to read.
    """
    found: dict[str, InputFile] = {}
    skipped: list[str] = []
    for source in sources:
        declared = _FORMAT_NAMES.get(source.format or "", source.format)
        for path in source.paths:
            infos = files.find(path)
            for info in infos:
                kind = declared or format_of(info.path)
                if kind is None:
                    if len(infos) == 1 and info.path.endswith(path.rsplit("/", 1)[-1]):
                        raise InputContractError(
                            f"{info.path}: cannot tell the format from its name (known: {', '.join(_SUFFIX_FORMATS)}); "
                            f"give the source a `format`"
                        )
                    skipped.append(info.path)
                elif info.path not in found:
                    found[info.path] = InputFile(info, source.name, kind, compression_of(info.path))
    if not found:
        named = ", ".join(itertools.chain.from_iterable(source.paths for source in sources)) or "nothing"
        raise InputContractError(f"no input files: {named} holds no archive, JSON Lines or Parquet file")
    return sorted(found.values(), key=lambda file: (file.source, file.path)), sorted(skipped)


def digest_of_inputs(inputs: Iterable[InputFile]) -> str:
    """SHA-256 over (source, path, size, modification time) of all files: what a stage's fingerprint stands on."""
    digest = hashlib.sha256()
    for file in sorted(inputs, key=lambda file: (file.source, file.path)):
        digest.update(f"{file.source}\0{file.path}\0{file.info.size_bytes}\0{file.info.modified_ms}\n".encode())
    return digest.hexdigest()


def check_inputs(inputs: Sequence[InputFile], sources: Sequence[Source]) -> list[InputFile]:
    """Look into every file: mark the damaged ones, learn Parquet columns. Raises ``InputContractError`` naming all
    breaches at once.
    """
    by_name = {source.name: source for source in sources}
    with ThreadPoolExecutor(_CHECK_THREADS) as pool:
        checked = list(pool.map(lambda file: _check(file, by_name[file.source]), inputs))
    breaches = [problem for _, problems in checked for problem in problems]
    if breaches:
        shown = breaches[:20] + ([f"… and {len(breaches) - 20} more"] if len(breaches) > 20 else [])
        raise InputContractError("the input does not keep its contract:\n  " + "\n  ".join(shown))
    return [file for file, _ in checked]


def _check(file: InputFile, source: Source) -> tuple[InputFile, list[str]]:
    if file.format == CRAWL_INDEX:
        return _check_crawl_index(file)
    if file.format == PARQUET:
        return _check_parquet(file, source)
    if file.info.size_bytes == 0:
        return replace(file, damage="empty_file"), []
    if file.format == JSON_LINES:
        return file, _check_json_lines(file, source)
    return file, []


def _check_parquet(file: InputFile, source: Source) -> tuple[InputFile, list[str]]:
    if file.info.size_bytes == 0:
        return replace(file, damage="empty_file"), []
    try:
        with open_for_reading(file.path) as stream:
            schema = pq.read_schema(stream)
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        return replace(file, damage=f"damaged_file: {str(error).splitlines()[0]}"), []
    columns = tuple((name, str(schema.field(name).type)) for name in schema.names)
    return replace(file, columns=columns), _parquet_breaches(file.path, schema, source.fields)


def _check_crawl_index(file: InputFile) -> tuple[InputFile, list[str]]:
    if file.info.size_bytes == 0:
        return replace(file, damage="empty_file"), []
    try:
        with open_for_reading(file.path) as stream:
            if file.path.lower().endswith((".parquet", ".parq")):
                names = list(pq.read_schema(stream).names)
            else:
                names = _names_of_first_line(
                    next(lines(inflated_blocks(stream, file.compression), max_bytes=1 << 20)).data
                )
    except (pa.ArrowInvalid, DamagedFileError, OSError, EOFError, StopIteration) as error:
        return replace(file, damage=f"damaged_file: {(str(error) or 'no first line').splitlines()[0]}"), []
    missing = [either for either in CRAWL_INDEX_COLUMNS if not set(either) & set(names)]
    if not missing:
        return file, []
    return file, [f"{file.path}: no column {_either(missing[0])} of a crawl index; columns: {', '.join(names)}"]


def _names_of_first_line(line: bytes) -> list[str]:
    parsed = parse_line(line)
    if isinstance(parsed, BadLine):
        return next(csv.reader([line.decode("utf-8", "replace")]), [])
    return list(parsed[0])


def _parquet_breaches(path: str, schema: pa.Schema, fields: Fields) -> list[str]:
    breaches = []
    wanted = {name: role for role, name in (("text", fields.text), ("content", fields.content)) if name}
    if not any(name in schema.names for name in wanted):
        breaches.append(
            f"{path}: no column {_either(wanted)}{_nearest(wanted, schema.names)}; columns: {', '.join(schema.names)}"
        )
    for role, name in (("id", fields.id), ("url", fields.url), ("text", fields.text), ("content", fields.content)):
        if name is None or name not in schema.names:
            continue
        kind = schema.field(name).type
        textual = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
        textual = textual or (pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type))
        binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind)
        if not (textual or binary or (role == "id" and pa.types.is_integer(kind))):
            breaches.append(f"{path}: column '{name}' ({role}) is {kind}, not string or binary")
    return breaches


def _check_json_lines(file: InputFile, source: Source) -> list[str]:
    records = []
    try:
        with open_for_reading(file.path) as stream:
            blocks = inflated_blocks(stream, file.compression)
            for line in itertools.islice(lines(blocks, max_bytes=1 << 28), _SAMPLED_LINES):
                parsed = parse_line(line.data) if line.data.strip() and not line.too_long else BadLine("blank", "")
                if not isinstance(parsed, BadLine):
                    records.append(parsed[0])
    except (DamagedFileError, OSError):
        pass  # the reader will say where and why
    wanted = {name: role for role, name in (("text", source.fields.text), ("content", source.fields.content)) if name}
    if not records or any(lookup(record, name) is not None for record in records for name in wanted):
        return []
    names = sorted({name for record in records for name in record})
    if any(name.split(".")[0] in names for name in wanted):
        return []
    return [
        f"{file.path}: no field {_either(wanted)} in its first lines{_nearest(wanted, names)}; "
        f"fields: {', '.join(names)}"
    ]


def lookup(record: dict[str, object], name: str) -> object:
    """A field of a record by name, or by dotted path where no field has the whole name."""
    if name in record or "." not in name:
        return record.get(name)
    value: object = record
    for part in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _either(names: Iterable[str]) -> str:
    return " or ".join(f"'{name}'" for name in names)


def _nearest(wanted: Iterable[str], names: Sequence[str]) -> str:
    lowered = {name.lower(): name for name in names}
    for name in wanted:
        near = lowered.get(name.lower()) or next(iter(difflib.get_close_matches(name, names, 1, 0.7)), None)
        if near:
            return f" (did you mean '{near}'?)"
    return ""
