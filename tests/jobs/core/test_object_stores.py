"""Object stores without a JVM: what Python workers and Delta tables do on S3, against a local server (moto)."""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from jobs.core.files import open_for_reading, worker_file_system
from jobs.core.inputs import ARCHIVE, JSON_LINES, Fields
from jobs.core.read_rows import ReadLimits
from jobs.core.readers import Chunk, read_chunk
from jobs.sample.archive import Archive

BUCKET = "corpus"


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The endpoint of a server with one empty bucket."""
    reason = "moto and flask are not installed (requirements-dev.lock)"
    server = pytest.importorskip("moto.server", reason=reason)
    serving = pytest.importorskip("werkzeug.serving", reason=reason)
    made = serving.make_server("127.0.0.1", 0, server.DomainDispatcherApplication(server.create_backend_app), True)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.port}"
    made.shutdown()
    thread.join(10)


@pytest.fixture(autouse=True)
def credentials(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def put() -> Any:
    """(name, bytes) → the object's path."""

    def upload(name: str, data: bytes) -> str:
        file_system, _ = worker_file_system(f"s3a://{BUCKET}/")
        options = {"allow_bucket_creation": True, "endpoint_override": file_system_endpoint()}
        pa.fs.S3FileSystem(**options, scheme="http").create_dir(BUCKET)
        with file_system.open_output_stream(f"{BUCKET}/{name}", compression=None) as stream:
            stream.write(data)
        return f"s3a://{BUCKET}/{name}"

    return upload


def file_system_endpoint() -> str:
    import os

    return os.environ["AWS_ENDPOINT_URL_S3"].removeprefix("http://")


def limits() -> ReadLimits:
    return ReadLimits(max_document_chars=10**6, max_record_bytes=10**7, max_page_bytes=10**7, max_inflate_ratio=1000)


def chunk(path: str, kind: str, compression: str | None, size: int) -> Chunk:
    return Chunk(path, kind, compression, "s", 0, -1, size)


@pytest.mark.parametrize("scheme", ["s3", "s3a", "s3n"])
def test_an_object_is_read_by_any_of_its_schemes_from_any_offset(put: Any, scheme: str) -> None:
    path = put("plain/a.bin", bytes(range(256)) * 1000).replace("s3a:", f"{scheme}:")
    with open_for_reading(path) as stream:
        assert stream.size() == 256_000
        stream.seek(255_999)
        assert stream.read() == b"\xff"


def test_json_lines_and_archives_are_read_from_a_store_as_from_a_disk(put: Any) -> None:
    lines = gzip.compress(b"".join(json.dumps({"id": str(n), "text": f"text {n}"}).encode() + b"\n" for n in range(9)))
    fields = Fields(id="id", text="text", url="url", date="date", language=None, content=None, content_type=None)
    path = put("crawl/a b.jsonl.gz", lines)
    rows = list(read_chunk(chunk(path, JSON_LINES, ".gz", len(lines)), fields, limits()))
    assert [(row.id, row.text) for row in rows] == [(str(n), f"text {n}") for n in range(9)]

    made = Archive()
    for number in range(3):
        made.add_conversion(f"http://a.example/{number}", f"page {number}", date=datetime(2024, 5, 1, tzinfo=UTC))
    path = put("crawl/a.warc.wet.gz", made.data)
    rows = list(read_chunk(chunk(path, ARCHIVE, ".gz", len(made.data)), fields, limits()))
    assert [row.text for row in rows] == ["page 0", "page 1", "page 2"]


def test_an_object_that_is_not_there_is_an_error_that_names_it(put: Any) -> None:
    put("something", b"x")
    with pytest.raises(FileNotFoundError, match="nowhere"), open_for_reading(f"s3a://{BUCKET}/nowhere"):
        pass


def test_a_delta_table_is_written_and_read_on_a_store(put: Any, store: str) -> None:
    deltalake = pytest.importorskip("deltalake")
    put("something", b"x")
    options = {
        "AWS_ENDPOINT_URL": store,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_S3_ALLOW_UNSAFE_RENAME": "true",  # one writer; moto's conditional puts are not what is tested
    }
    uri = f"s3://{BUCKET}/table-{sys.version_info.minor}"
    for part in (["a", "b"], ["c"]):
        deltalake.write_deltalake(uri, pa.table({"id": part}), mode="append", storage_options=options)
    table = deltalake.DeltaTable(uri, storage_options=options)
    assert table.version() == 1
    assert sorted(table.to_pyarrow_table()["id"].to_pylist()) == ["a", "b", "c"]
    assert deltalake.DeltaTable(uri, version=0, storage_options=options).to_pyarrow_table().num_rows == 2
