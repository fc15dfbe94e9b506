"""Look at an input before cleaning it: ``winnow inspect INPUT``.

Reads the first documents of each file (no Spark), says what the files and fields are, how long the texts are, how many
are empty, which languages they seem to be in, and writes a starter recipe with the field map guessed.
"""

from __future__ import annotations

import itertools
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.core import command
from jobs.core.errors import InputContractError, UsageError

EXAMPLE = "winnow inspect data/*.jsonl.gz --output my-recipe.yaml"
SAMPLED_FILES = 20
SAMPLED_RECORDS = 200
SAMPLED_CHARS = 5000  # of each text: enough to tell its language and whether it is HTML

# Names that datasets give to a document's fields, in order of preference.
USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "doc_id", "document_id", "uuid", "_id", "key", "warc_record_id", "record_id", "sha1", "hash"),
    "url": ("url", "uri", "link", "source_url", "page_url", "warc_target_uri", "href"),
    "text": ("text", "body", "content", "raw_content", "document", "article", "passage", "plain_text", "cleaned_text"),
    "content": ("html", "raw_html", "page", "raw"),
    "date": ("date", "timestamp", "published", "publish_date", "created", "crawl_date", "date_download", "warc_date"),
}


@dataclass
class Findings:
    """What a sample of records showed."""

    records: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    types: dict[str, Counter[str]] = field(default_factory=dict)
    chars: dict[str, list[int]] = field(default_factory=dict)
    blank: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one record."""
        self.records += 1
        for name, value in record.items():
            if value is None:
                continue
            self.fields[name] += 1
            kind = type(value).__name__
            self.types.setdefault(name, Counter())[kind] += 1
            if isinstance(value, str | bytes):
                self.chars.setdefault(name, []).append(len(value))
                self.blank[name] += not value.strip()
                if isinstance(value, str):
                    self.samples.setdefault(name, []).append(value[:SAMPLED_CHARS])


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        return _inspect(arguments)

    return command.end_well(body, verbose="--verbose" in (argv or ()))


def _parser() -> command.Parser:
    arguments = command.parser("inspect", "Look at an input and write a starter recipe.", EXAMPLE)
    arguments.add_argument("inputs", metavar="INPUT", nargs="*", help="files, folders or globs")
    arguments.add_argument(
        "--input", metavar="PATH", nargs="+", action="extend", default=[], help="the same, as in other commands"
    )
    arguments.add_argument("--output", metavar="RECIPE", help="recipe to write (default: printed)")
    command.add_log_arguments(arguments)
    return arguments


def _inspect(arguments: Any) -> int:
    paths = [*arguments.inputs, *arguments.input]
    if not paths:
        raise UsageError("nothing to inspect", next_step=f"name a file, e.g. {EXAMPLE}")
    files = [(path, kind) for path, kind in _listed(paths) if kind is not None]
    if not files:
        raise InputContractError(f"{', '.join(paths)}: no archive, JSON Lines or Parquet file there")
    print(
        f"{len(files)} files: " + ", ".join(f"{count} {kind}" for kind, count in Counter(k for _, k in files).items())
    )
    findings = Findings()
    for path, kind in _spread(files, SAMPLED_FILES):
        for record in _records(path, kind, findings):
            findings.add(record)
    mapped = guess_fields(findings)
    _show(findings, mapped)
    recipe = starter_recipe(paths, mapped)
    if arguments.output is None:
        print("\nstarter recipe:\n\n" + recipe, end="")
    else:
        Path(arguments.output).write_text(recipe, encoding="utf-8")
        print(f"\nwrote {arguments.output}; next: winnow run --recipe {arguments.output} --output corpus")
    return 0


def _listed(paths: Sequence[str]) -> list[tuple[str, str | None]]:
    """Files under paths with their formats, through Arrow's file systems; a glob is expanded in its folder."""
    import fnmatch

    import pyarrow.fs as pafs

    from jobs.core.files import worker_file_system
    from jobs.core.inputs import format_of

    found: dict[str, str | None] = {}
    for path in paths:
        file_system, inner = worker_file_system(path)
        pattern = any(sign in inner for sign in "*?[")
        root = inner.split("*")[0].split("?")[0].split("[")[0].rpartition("/")[0] or "." if pattern else inner
        info = file_system.get_file_info(root)
        if info.type == pafs.FileType.NotFound:
            raise InputContractError(f"{path}: no such file or folder")
        if info.type == pafs.FileType.File:
            found[path] = format_of(path)
            continue
        prefix = path[: len(path) - len(inner)]
        for entry in file_system.get_file_info(pafs.FileSelector(root, recursive=True)):
            hidden = any(part.startswith(("_", ".")) for part in entry.path[len(root) :].split("/") if part)
            matches = not pattern or fnmatch.fnmatch(entry.path, inner)
            if entry.type == pafs.FileType.File and matches and not hidden:
                found[prefix + entry.path] = format_of(entry.path)
    return sorted(found.items())


def _spread(files: Sequence[tuple[str, str | None]], count: int) -> list[tuple[str, str]]:
    step = max(1, len(files) // count)
    return [(path, kind) for path, kind in files[::step][:count] if kind is not None]


def _records(path: str, kind: str, findings: Findings) -> Iterator[dict[str, Any]]:
    from jobs.core.inputs import ARCHIVE, JSON_LINES

    reader = {ARCHIVE: _archive_records, JSON_LINES: _json_records}.get(kind, _parquet_records)
    return itertools.islice(reader(path, findings), SAMPLED_RECORDS)


def _json_records(path: str, findings: Findings) -> Iterator[dict[str, Any]]:
    from jobs.core.files import open_for_reading
    from jobs.core.json_lines import BadLine, DamagedFileError, compression_of, inflated_blocks, lines, parse_line

    try:
        with open_for_reading(path) as stream:
            for line in lines(inflated_blocks(stream, compression_of(path)), max_bytes=1 << 28):
                parsed = parse_line(line.data) if line.data.strip() else None
                if isinstance(parsed, BadLine):
                    findings.unreadable[parsed.reason] += 1
                elif parsed is not None:
                    yield parsed[0]
    except DamagedFileError:
        findings.unreadable["damaged_file"] += 1


def _parquet_records(path: str, findings: Findings) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from jobs.core.files import open_for_reading

    try:
        with open_for_reading(path) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(batch_size=SAMPLED_RECORDS):
                yield from batch.to_pylist()
    except (pa.ArrowInvalid, OSError):
        findings.unreadable["damaged_file"] += 1


def _archive_records(path: str, findings: Findings) -> Iterator[dict[str, Any]]:
    from jobs.core.files import open_for_reading
    from udfs.warc import ArchiveLimits, Page, Skipped, read_archive

    with open_for_reading(path) as stream:
        for item in read_archive(stream, size=None, limits=ArchiveLimits()):
            if isinstance(item, Page):
                yield {"id": item.id, "url": item.url, "date": item.date, "text": item.text, "content": item.content}
            elif isinstance(item, Skipped):
                findings.unreadable[item.reason] += 1


def guess_fields(findings: Findings) -> dict[str, str | None]:
    """Document field → source field: a usual name, else for the text the longest string field."""
    lowered = {name.lower(): name for name in findings.fields}
    mapped: dict[str, str | None] = {}
    for role, usual in USUAL_NAMES.items():
        mapped[role] = next(
            (lowered[name] for name in usual if name in lowered and lowered[name] not in mapped.values()), None
        )
    if mapped["text"] is None and mapped["content"] is None:
        strings = {
            name: statistics.fmean(sizes) for name, sizes in findings.chars.items() if name not in mapped.values()
        }
        mapped["text"] = max(strings, key=lambda name: strings[name]) if strings else None
    text = mapped["text"]
    if text is not None and mapped["content"] is None and _looks_like_html(findings.samples.get(text, [])):
        mapped["content"], mapped["text"] = text, None
    return mapped


def _looks_like_html(samples: Sequence[str]) -> bool:
    tagged = sum(1 for sample in samples if "<html" in sample[:2000].lower() or "<body" in sample[:5000].lower())
    return bool(samples) and tagged > len(samples) / 2


def _show(findings: Findings, mapped: Mapping[str, str | None]) -> None:
    print(f"\n{findings.records} records looked at")
    for reason, count in findings.unreadable.most_common():
        print(f"  unreadable: {reason} ({count})")
    width = max(map(len, findings.fields), default=4)
    for name, count in findings.fields.most_common():
        kinds = ", ".join(sorted(findings.types[name]))
        sizes = findings.chars.get(name)
        length = f", length {min(sizes)} … {int(statistics.median(sizes))} … {max(sizes)}" if sizes else ""
        role = next((f"  <- {role}" for role, source in mapped.items() if source == name), "")
        print(f"  {name.ljust(width)}  {count} of {findings.records} ({kinds}{length}){role}")
    texts = findings.samples.get(mapped["text"] or "", [])[:: max(1, findings.records // 1000)]
    if texts:
        name = mapped["text"] or ""
        empty = findings.records - findings.fields[name] + findings.blank[name]
        print(f"texts: {empty} empty, languages {', '.join(f'{code} {count}' for code, count in _languages(texts))}")


def _languages(texts: Sequence[str]) -> list[tuple[str, int]]:
    import pyarrow as pa

    from udfs.language import detect

    return Counter(detect(pa.array(texts, pa.string())).language.to_pylist()).most_common(8)


def starter_recipe(paths: Sequence[str], mapped: Mapping[str, str | None]) -> str:
    """A recipe that extends gopher and reads these paths with these fields, as YAML."""
    import io

    from ruamel.yaml import YAML

    differing = {
        role: source for role, source in mapped.items() if source != role and (source or role in ("text", "content"))
    }
    source: dict[str, Any] = {"input": list(paths)}
    if differing:
        source["fields"] = differing
    recipe = {"recipe": "my-recipe", "extends": "gopher", "sources": {"main": source}}
    out = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(recipe, out)
    return "# Written by `winnow inspect`: check the field map, then add or change steps.\n" + out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
