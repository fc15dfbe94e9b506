"""Readers: what becomes a document, what is quarantined and where it stood, and inputs that break their contract."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.core.errors import InputContractError
from jobs.core.files import DriverFiles
from jobs.core.inputs import Fields, Source, check_inputs, format_of, list_inputs
from jobs.core.read_rows import ReadLimits
from jobs.core.readers import plan_chunks, read_documents
from udfs.document_key import document_key


def read(spark: Any, *paths: Path, fields: Fields | None = None, **limits: int) -> list[dict[str, Any]]:
    source = Source("s", tuple(str(path) for path in paths), fields=fields or Fields())
    listed, _ = list_inputs(DriverFiles(spark), [source])
    frame = read_documents(spark, check_inputs(listed, [source]), [source], ReadLimits(**limits))
    rows = [row.asDict(recursive=True) for row in frame.collect()]
    return sorted(rows, key=lambda row: (row["origin"]["file"], row["origin"]["offset"]))


def write_lines(path: Path, *lines: bytes | dict[str, Any]) -> Path:
    data = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines) + b"\n"
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_broken_lines_are_quarantined_with_line_and_offset_and_the_rest_is_read(spark: Any, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl.gz", {"id": "1", "text": "one"}, b'{"id": "2", "te', {"id": 3, "text": "x"})
    rows = read(spark, path)
    assert [row["origin"]["outcome"] for row in rows] == [None, "quarantined", None]
    assert rows[1]["origin"]["reason"] == "invalid_json"
    assert rows[1]["origin"]["detail"].startswith("line 2: ")
    assert rows[1]["origin"]["offset"] == len('{"id": "1", "text": "one"}\n')
    assert rows[1]["origin"]["file"].endswith("a.jsonl.gz")
    assert [rows[0]["id"], rows[2]["id"]] == ["1", "3"]


def test_fields_are_mapped_and_the_others_ride_along_as_metadata(spark: Any, tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "a.jsonl", {"doc": "d", "meta": {"link": "http://x.example"}, "body": "t", "score": 3}
    )
    (row,) = read(spark, path, fields=Fields(id="doc", url="meta.link", text="body"))
    assert (row["id"], row["url"], row["text"]) == ("d", "http://x.example", "t")
    assert json.loads(row["metadata"])["score"] == 3


def test_a_compressed_file_that_is_cut_short_is_wholly_out(spark: Any, tmp_path: Path) -> None:
    whole = write_lines(tmp_path / "a.jsonl.gz", *({"id": str(i), "text": "t" * i} for i in range(500)))
    whole.write_bytes(whole.read_bytes()[:-20])
    (row,) = read(spark, whole)
    assert row["origin"]["outcome"] == "quarantined"
    assert row["origin"]["reason"] == "damaged_file"


def test_keys_are_the_same_whatever_the_format(spark: Any, tmp_path: Path) -> None:
    record = {"id": "i", "url": "http://a.example/", "text": "Grüße \U0001f600"}
    lines = write_lines(tmp_path / "a.jsonl", record)
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "b.parquet")
    from jobs.core.recipe_file import resolve_recipe
    from jobs.core.rowwise import row_steps

    steps = row_steps(resolve_recipe("gopher"), ("ingest",))
    expected = document_key(b"i", b"http://a.example/", record["text"].encode())
    for path in (lines, tmp_path / "b.parquet"):
        source = Source("s", (str(path),))
        listed, _ = list_inputs(DriverFiles(spark), [source])
        frame = read_documents(spark, check_inputs(listed, [source]), [source], ReadLimits())
        assert [bytes(row["key"]) for row in steps.with_keys(frame).collect()] == [expected]


def test_parquet_columns_of_the_user_ride_along_and_binary_text_is_repaired(spark: Any, tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int64()),
            "text": pa.array([b"fine", b"bad \xff byte"], pa.binary()),
            "quality": pa.array([0.5, 0.25]),
            "source": pa.array(["theirs", "theirs"]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    rows = read(spark, tmp_path / "a.parquet")
    assert [row["text"] for row in rows] == ["fine", "bad \ufffd byte"]
    assert [row["origin"]["repaired"] for row in rows] == [0, 1]
    assert [row["quality"] for row in rows] == [0.5, 0.25]
    assert {row["source"] for row in rows} == {"s"}
    assert {row["original_source"] for row in rows} == {"theirs"}


def test_a_text_over_the_limit_is_quarantined_in_every_format(spark: Any, tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", {"id": "1", "text": "x" * 50}, {"id": "2", "text": "y"})
    pq.write_table(pa.table({"id": ["3", "4"], "text": ["x" * 50, "y"]}), tmp_path / "b.parquet")
    rows = read(spark, tmp_path, max_document_chars=20)
    assert [(row["id"], row["origin"]["reason"]) for row in rows] == [
        ("1", "too_large"),
        ("2", None),
        ("3", "too_large"),
        ("4", None),
    ]


def test_damaged_parquet_and_empty_files_are_quarantined_whole(spark: Any, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"] * 100}), tmp_path / "good.parquet")
    data = (tmp_path / "good.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) // 2])
    (tmp_path / "none.jsonl.gz").write_bytes(b"")
    rows = read(spark, tmp_path)
    bad = {Path(row["origin"]["file"]).name: row["origin"]["reason"] for row in rows if row["origin"]["outcome"]}
    assert bad == {"cut.parquet": "damaged_file", "none.jsonl.gz": "empty_file"}
    assert sum(row["origin"]["outcome"] is None for row in rows) == 100


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"Text": ["a"]}, "did you mean 'Text'"),
        ({"text": [1, 2]}, "column 'text' \\(text\\) is int64"),
    ],
)
def test_a_renamed_or_retyped_column_ends_the_run_and_names_file_and_column(
    spark: Any, tmp_path: Path, table: dict[str, Any], message: str
) -> None:
    pq.write_table(pa.table({"text": ["fine"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table(table), tmp_path / "b.parquet")
    with pytest.raises(InputContractError, match=message) as raised:
        read(spark, tmp_path)
    assert "b.parquet" in str(raised.value)


def test_lines_without_the_text_field_end_the_run(spark: Any, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"id": "1", "Text": "a"}, {"id": "2", "Text": "b"})
    with pytest.raises(InputContractError, match="did you mean 'Text'"):
        read(spark, path)


def test_a_path_that_is_not_there_is_said(spark: Any, tmp_path: Path) -> None:
    with pytest.raises(InputContractError, match=r"nowhere\.jsonl"):
        read(spark, tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.warc.gz", "archive"),
        ("CC-MAIN-1.warc.wet.gz", "archive"),
        ("a.arc", "archive"),
        ("a.jsonl.zst", "jsonl"),
        ("part-0.zstd.parquet", "parquet"),
        ("README.md", None),
    ],
)
def test_formats_are_told_by_name(name: str, kind: str | None) -> None:
    assert format_of(f"file:/data/{name}") == kind


def test_a_plain_file_that_is_split_gives_each_line_once(spark: Any, tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl"
    with path.open("w") as out:
        for number in range(20_000):
            out.write(json.dumps({"id": str(number), "text": "word " * 100}) + "\n")
    source = Source("s", (str(path),))
    listed, _ = list_inputs(DriverFiles(spark), [source])
    assert sum(len(task) for task in plan_chunks(listed, 2)) > 1
    rows = read(spark, path)
    assert sorted(int(row["id"]) for row in rows) == list(range(20_000))


def warc_record(number: int, body: bytes = b"") -> bytes:
    """A gzip member with one response record."""
    page = body or b"<p>page %d</p>" % number + os.urandom(3000).hex().encode()
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:r:{number}>\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
        f"WARC-Target-URI: http://a.example/{number}\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(http)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + http + b"\r\n\r\n", 1)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, int]]]:
    """An archive of 3 000 pages, some 12 MB, and where its records lie."""
    path = tmp_path_factory.mktemp("crawl") / "a.warc.gz"
    records = [warc_record(number) for number in range(3000)]
    path.write_bytes(b"".join(records))
    ends = list(itertools.accumulate(map(len, records)))
    return path, [(end - len(record), len(record)) for end, record in zip(ends, records, strict=True)]


def test_a_large_archive_is_split_and_gives_each_record_once(spark: Any, archive: tuple[Path, Any]) -> None:
    path, places = archive
    source = Source("s", (str(path),))
    listed = check_inputs(list_inputs(DriverFiles(spark), [source])[0], [source])
    tasks = plan_chunks(listed, cores=2)
    assert len(tasks) > 1
    rows = read(spark, path)
    assert [row["id"] for row in rows] == [f"<urn:r:{number}>" for number in range(3000)]
    assert [row["origin"]["offset"] for row in rows] == [offset for offset, _ in places]


@pytest.mark.parametrize("layout", ["parquet", "jsonl", "csv"])
def test_a_crawl_index_names_the_records_that_are_read(
    layout: str, spark: Any, archive: tuple[Path, Any], tmp_path: Path
) -> None:
    path, places = archive
    wanted = [2, 7, 2500]
    rows = [{"filename": path.name, "offset": places[n][0], "length": places[n][1]} for n in wanted]
    rows.append({"filename": "gone.warc.gz", "offset": 0, "length": 9})
    index = tmp_path / f"index.{layout}"
    if layout == "parquet":
        renamed = [
            {"warc_filename": r["filename"], **{f"warc_record_{k}": r[k] for k in ("offset", "length")}} for r in rows
        ]
        pq.write_table(pa.Table.from_pylist(renamed), index)
    elif layout == "jsonl":
        write_lines(index, *({name: str(value) for name, value in row.items()} for row in rows), b"{not json")
    else:
        index.write_text("\n".join(["filename,offset,length"] + [",".join(map(str, row.values())) for row in rows]))
    source = Source("s", (str(index),), format="cc_index", archives=str(path.parent))
    listed, _ = list_inputs(DriverFiles(spark), [source])
    frame = read_documents(spark, check_inputs(listed, [source]), [source], ReadLimits())
    got = [row.asDict(recursive=True) for row in frame.collect()]
    pages = sorted((row for row in got if row["origin"]["outcome"] is None), key=lambda row: row["origin"]["offset"])
    assert [(row["id"], row["origin"]["offset"]) for row in pages] == [(f"<urn:r:{n}>", places[n][0]) for n in wanted]
    lost = sorted(row["origin"]["reason"] for row in got if row["origin"]["outcome"] == "quarantined")
    assert lost == (["bad_index_row", "missing_file"] if layout == "jsonl" else ["missing_file"])


def test_a_crawl_index_without_offsets_ends_the_run(spark: Any, tmp_path: Path) -> None:
    index = write_lines(tmp_path / "index.jsonl", {"filename": "a.warc.gz", "length": 5})
    source = Source("s", (str(index),), format="cc_index")
    listed, _ = list_inputs(DriverFiles(spark), [source])
    with pytest.raises(InputContractError, match="no column 'warc_record_offset' or 'offset' of a crawl index"):
        check_inputs(listed, [source])
