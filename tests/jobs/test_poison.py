"""The poison corpus: one run over every kind of input that breaks or silently shrinks a corpus elsewhere.

Rows F1 to F24 of docs/faults.md that concern input. Each planted document or file has the outcome that is written
beside it, the harmless ones around it are all kept, and the account adds up. (F3 ends a run before any work and F17
needs a parser that crashes: tests/jobs/core/test_readers.py and tests/udfs/test_sandbox.py.)
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from jobs import pipeline
from jobs.sample.archive import Archive, record_id

MAX_CHARS = 21_500_000
DATE = datetime(2024, 5, 1, tzinfo=UTC)
RECIPE = f"""\
recipe: poison
ingest: {{max_document_chars: {MAX_CHARS}, max_bad_fraction: 0.9}}
languages: {{default: en}}
steps:
  extract_text: {{}}
  filter_quality:
    word_count: {{min: 1, max: 100000}}
  dedup_exact: {{}}
  dedup_near: {{preset: gopher}}
"""


def sentence(number: int) -> str:
    """Words that no other number's sentence shares in order."""
    words = ("river", "town", "bridge", "baker", "boat", "spring", "water", "child", "market", "stone", "light")
    return " ".join(
        words[(number * 7 + place * place * (number + 3)) % len(words)] + str(number) for place in range(30)
    )


def page(text: str) -> bytes:
    return f"<html><body><article><p>{text}</p><p>{text[::-1]}</p></article></body></html>".encode()


# ---------------------------------------------------------------------------------------------------- what is planted

KEPT: dict[str, str] = {
    "f5-same-id": "both documents of one id",
    "f6-bytes": "bytes that are not UTF-8, in a column of bytes",
    "f6-surrogate": "half of a surrogate pair",
    "f14-id": "an id that looks like a number",
    "f21-digits": "nothing but digits",
    "f21-emoji": "nothing but emoji",
    "f22-a": "shorter than a shingle",
    "f22-b": "shorter than a shingle, and another",
    "f23-controls": "NUL, C0, zero width, bidi, U+2028",
    "f19-letters": "50 000 times the letter a",
    "f20-alternating": "300 KB of ab",
}
REMOVED: dict[str, str] = {
    "f1-long": "word_count",  # over 20 million characters: read whole, then judged
    "f4-null": "word_count",
    "f4-empty": "word_count",
    "f4-blank": "word_count",
}


def json_lines() -> bytes:
    """One document a line, some of them no JSON."""

    def line(id_: Any, text: str | None, **more: Any) -> bytes:
        return json.dumps({"id": id_, "text": text, **more}).encode() + b"\n"

    return b"".join(
        [
            line("f1-long", "abcdefghi " * 2_100_000),
            line("f1-too-long", "x" * (MAX_CHARS + 1)),
            b'{"id": "f2-cut", "text": "the line ends he\n',
            b'{"id": "f2-tab", "text": "a raw\ttab"}\n',
            b'{"id": "f2-deep", "text": "deep", "metadata": ' + b"[" * 5000 + b"]" * 5000 + b"}\n",
            line("f4-null", None),
            line("f4-empty", ""),
            line("f4-blank", " \u00a0\t\n "),
            line("f5-same-id", sentence(1)),
            line("f5-same-id", sentence(2)),
            line(None, sentence(3)),
            line(None, sentence(4)),
            b'{"id": "f2-latin1", "text": "caf\xe9"}\n',
            b'{"id": "f6-surrogate", "text": "' + sentence(6).encode() + b' \\ud800"}\n',
            line("f14-id", sentence(7)),
            line("001", sentence(8)),
            line("1e3", sentence(9)),
            line("f19-letters", "a" * 50_000),
            line("f20-alternating", "ab" * 150_000),
            line("f21-digits", "0123456789 " * 30),
            line("f21-emoji", "\U0001f600 \U0001f680 " * 30),
            line("f22-a", "one two three"),
            line("f22-b", "four five six"),
            line("f23-controls", sentence(10) + "\x00\x01\x1f \u200b\u202e\u2066 \u2028\x85 end"),
            *(line(f"f24-{number:03}", sentence(11)) for number in range(300)),
        ]
    )


def archive() -> bytes:
    """Pages of which one is too deep, one inflates without end, one is damaged and one has a wrong length."""
    made = Archive()
    made.add_info("poison", date=DATE)

    def add(url: str, body: bytes, **headers: str) -> None:
        made.add_response(f"http://poison.example/{url}", body, date=DATE, headers=headers)

    add("good-1", page(sentence(20)))
    add("f16-deep", b"<div>" * 20_000 + b"text" + b"</div>" * 20_000)
    add("f18-bomb", gzip.compress(b"\0" * (64 << 20)), **{"Content-Encoding": "gzip"})
    add("f9-damaged", page(sentence(21)))
    made.damage_last()
    add("good-2", page(sentence(22)))
    for name, digest in (("good-length", rb"\g<0>"), ("f9-length", b"\n")):  # with its digest a record can be had back
        add(name, page(sentence(23)))
        record = gzip.decompress(made.members[-1])
        record = re.sub(rb"(\r\nContent-Length: )\d+(\r\n\r\nHTTP)", rb"\g<1>99999\g<2>", record)
        made.members[-1] = gzip.compress(re.sub(rb"\nWARC-Block-Digest: [^\n]*\n", digest, record))
    add("good-3", page(sentence(24)))
    return made.data


def cut_archive() -> bytes:
    made = Archive()
    made.add_response("http://poison.example/good-4", page(sentence(25)), date=DATE)
    made.add_response("http://poison.example/f8-cut", page(sentence(26)), date=DATE)
    return made.data[:-120]


def plant(folder: Path) -> None:
    folder.mkdir()
    (folder / "lines.jsonl").write_bytes(json_lines())
    (folder / "pages.warc.gz").write_bytes(archive())
    (folder / "cut.warc.gz").write_bytes(cut_archive())
    (folder / "empty.jsonl.gz").write_bytes(b"")
    whole = gzip.compress(b"".join(json.dumps({"text": sentence(n)}).encode() + b"\n" for n in range(100, 400)))
    (folder / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    pq.write_table(pa.table({"id": ["row"], "text": [sentence(30)]}), folder / "good.parquet")
    not_utf8 = sentence(5).encode() + b" caf\xe9"
    pq.write_table(pa.table({"id": ["f6-bytes"], "text": pa.array([not_utf8], pa.binary())}), folder / "bytes.parquet")
    data = (folder / "good.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(data[: len(data) // 2])


QUARANTINED = {
    ("lines.jsonl", "too_large"): 1,
    ("lines.jsonl", "invalid_json"): 3,
    ("lines.jsonl", "invalid_utf8"): 1,
    ("pages.warc.gz", "extract_too_deep"): 1,
    ("pages.warc.gz", "inflate_limit"): 1,
    ("pages.warc.gz", "warc_damaged"): 1,
    ("pages.warc.gz", "warc_truncated"): 1,
    ("cut.warc.gz", "warc_truncated"): 1,
    ("empty.jsonl.gz", "empty_file"): 1,
    ("cut.jsonl.gz", "damaged_file"): 1,
    ("cut.parquet", "damaged_file"): 1,
}


# ------------------------------------------------------------------------------------------------------------ the run


@pytest.fixture(scope="module")
def poisoned(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("poison")
    plant(home / "in")
    (home / "poison.yaml").write_text(RECIPE)
    arguments = ["--recipe", str(home / "poison.yaml"), "--input", str(home / "in"), "--output", str(home / "out")]
    assert pipeline.main(arguments) == 0
    return home / "out"


def rows(folder: Path) -> list[dict[str, Any]]:
    return ds.dataset(folder, format="parquet").to_table().to_pylist()


def test_everything_that_was_read_is_accounted_for(poisoned: Path) -> None:
    sums = json.loads((poisoned / "ledger.json").read_text())["totals"]
    assert sums["read"] == sums["kept"] + sums["removed"] + sums["quarantined"] + sums["ignored"]
    assert sums["kept"] == len(rows(poisoned / "kept"))
    assert sums["quarantined"] == len(rows(poisoned / "quarantine")) == sum(QUARANTINED.values())
    documents = json_lines().count(b"\n")
    in_pages, in_cut, whole_files, in_parquet = 8, 2, 3, 2
    assert sums["read"] - sums["ignored"] == documents + in_pages + in_cut + whole_files + in_parquet


def test_each_broken_record_or_file_is_quarantined_for_its_reason_and_place(poisoned: Path) -> None:
    found: dict[tuple[str, str], int] = {}
    for row in rows(poisoned / "quarantine"):
        found[place_and_reason(row)] = found.get(place_and_reason(row), 0) + 1
        assert row["offset"] is not None
    assert found == QUARANTINED


def place_and_reason(row: Mapping[str, Any]) -> tuple[str, str]:
    return Path(row["source"]).name, row["reason"]


def test_documents_that_merely_look_odd_are_kept_and_the_empty_ones_removed(poisoned: Path) -> None:
    kept = [row["id"] for row in rows(poisoned / "kept")]
    assert {id_: kept.count(id_) for id_ in KEPT} == {id_: 1 + (id_ == "f5-same-id") for id_ in KEPT}
    assert kept.count(None) == 2
    assert {"001", "1e3", "row"} <= set(kept)
    good = [record_id(f"http://poison.example/good-{number}") for number in ("1", "2", "3", "4", "length")]
    assert set(good) <= set(kept), "records before and after the damage"
    removed = {row["id"]: row for row in rows(poisoned / "removed")}
    assert {id_: removed[id_]["reasons"][0]["rule"] for id_ in REMOVED} == REMOVED


def test_of_three_hundred_copies_one_is_kept(poisoned: Path) -> None:
    kept = [row for row in rows(poisoned / "kept") if (row["id"] or "").startswith("f24-")]
    removed = [row for row in rows(poisoned / "removed") if (row["id"] or "").startswith("f24-")]
    assert len(kept) == 1
    assert len(removed) == 299
    assert {row["duplicate_of"] for row in removed} == {kept[0]["id"]}


def test_texts_pass_through_unchanged_but_for_what_is_no_unicode(poisoned: Path) -> None:
    kept = {row["id"]: row for row in rows(poisoned / "kept")}
    assert kept["f23-controls"]["text"] == sentence(10) + "\x00\x01\x1f \u200b\u202e\u2066 \u2028\x85 end"
    assert kept["f6-bytes"]["text"] == sentence(5) + " caf\ufffd"
    assert kept["f6-surrogate"]["text"] == sentence(6) + " \ufffd"
    assert kept["f21-digits"]["language"] == kept["f21-emoji"]["language"] == "und"
    repaired = json.loads((poisoned / "ledger.json").read_text())["stages"][0]["facts"]["repaired_utf8"]
    assert repaired == 2
