"""Files, by any path that Hadoop or Arrow knows: the one place that opens, lists, moves and deletes.

Two sides need files. The driver lists inputs and publishes results: it goes through the Hadoop FileSystem API, which is
what Spark itself uses, so every URI that Spark can read works. Python workers read archives and JSON Lines: they have
no JVM and go through ``pyarrow.fs``; ``WORKER_FILE_SYSTEMS`` names the opener of each scheme.
"""

from __future__ import annotations

import glob
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.fs as pafs

from jobs.core.errors import InputContractError, ResourceError, UsageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Of tables that are read once or twice and thrown away: speed counts, not size. Dictionaries of texts, digests and
# signals are made in vain: hardly a value comes twice.
SCRATCH_OPTIONS: Mapping[str, str] = {"compression": "lz4_raw", "parquet.enable.dictionary": "false"}


@dataclass(frozen=True, order=True)
class FileInfo:
    """One file: its full URI, size in bytes, and modification time in milliseconds since 1970."""

    path: str
    size_bytes: int
    modified_ms: int


# -------------------------------------------------------------------------------------------------------------- workers


def _local(path: str) -> tuple[pafs.FileSystem, str]:
    return pafs.LocalFileSystem(), unquote(urlsplit(path).path) if path.startswith("file:") else path


def _s3(path: str) -> tuple[pafs.FileSystem, str]:
    import os

    parts = urlsplit(path)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    options: dict[str, Any] = {}
    if endpoint:
        options = {"endpoint_override": endpoint, "scheme": urlsplit(endpoint).scheme or "https"}
    return pafs.S3FileSystem(**options), f"{parts.netloc}{parts.path}"


def _by_uri(path: str) -> tuple[pafs.FileSystem, str]:
    return pafs.FileSystem.from_uri(path)


WORKER_FILE_SYSTEMS: dict[str, Callable[[str], tuple[pafs.FileSystem, str]]] = {
    "": _local,
    "file": _local,
    "s3": _s3,
    "s3a": _s3,
    "s3n": _s3,
    "hdfs": _by_uri,
    "viewfs": _by_uri,
    "gs": _by_uri,
    "gcs": _by_uri,
    "abfs": _by_uri,
    "abfss": _by_uri,
}


def scheme_of(path: str) -> str:
    """The scheme of a path or URI, empty for a plain path."""
    head, separator, _ = path.partition(":")
    return head.lower() if separator and head.isalnum() and len(head) > 1 else ""


def local_bytes_are_within(paths: Iterable[str], limit: int) -> bool:
    """Whether files, folders and globs all lie on this machine and have together no more than so many bytes.

    Asked before there is a JVM: what only Hadoop understands (``{a,b}``), and what cannot be read, is not.
    """
    total = 0
    try:
        for path in paths:
            found = glob.glob(_driver_path(path))  # noqa: PTH207 - Path.glob takes no absolute patterns
            if scheme_of(path) not in ("", "file") or not found:
                return False
            for file in itertools.chain.from_iterable(map(_files_under, found)):
                total += file.stat().st_size
                if total > limit:
                    return False
    except OSError:
        return False
    return True


def _driver_path(path: str) -> str:
    return unquote(urlsplit(path).path) if scheme_of(path) else path


def _files_under(path: str) -> Iterator[Path]:
    return iter([Path(path)]) if Path(path).is_file() else Path(path).rglob("*")


def worker_file_system(path: str) -> tuple[pafs.FileSystem, str]:
    """The Arrow file system for ``path`` and the path inside it. Raises ``InputContractError`` for a scheme without an
    opener.
    """
    scheme = scheme_of(path)
    if scheme not in WORKER_FILE_SYSTEMS:
        known = ", ".join(sorted(s for s in WORKER_FILE_SYSTEMS if s))
        raise InputContractError(f"{path}: no opener for scheme '{scheme}:' (known: {known})")
    return WORKER_FILE_SYSTEMS[scheme](path)


def open_for_reading(path: str) -> pa.NativeFile:
    """Open ``path`` for sequential and random reading from any process, driver or worker."""
    file_system, inner = worker_file_system(path)
    return file_system.open_input_file(inner)


# --------------------------------------------------------------------------------------------------------------- driver


class DriverFiles:
    """Hadoop's FileSystem API for the driver: list, look, move, delete, and small text files."""

    def __init__(self, spark: SparkSession) -> None:
        self._jvm = spark._jvm
        self._configuration = spark._jsc.hadoopConfiguration()  # type: ignore[union-attr]

    def _path(self, path: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(path)  # type: ignore[union-attr]

    def _file_system(self, path: str) -> Any:
        try:
            return self._path(path).getFileSystem(self._configuration)
        except Exception as error:
            raise UsageError(f"{path}: no Hadoop file system for this path: {_first_line(error)}") from error

    def qualified(self, path: str) -> str:
        """The full URI of ``path``."""
        file_system = self._file_system(path)
        return str(file_system.makeQualified(self._path(path)).toString())

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder at ``path``."""
        return bool(self._file_system(path).exists(self._path(path)))

    def find(self, pattern: str) -> list[FileInfo]:
        """All files that a path, folder (searched to the bottom) or glob names, in path order; hidden ones left out.

        Raises ``InputContractError`` when nothing is there.
        """
        file_system = self._file_system(pattern)
        statuses = None
        if file_system.exists(self._path(pattern)):
            statuses = [file_system.getFileStatus(self._path(pattern))]
        else:
            statuses = list(file_system.globStatus(self._path(pattern)) or [])
        if not statuses:
            raise InputContractError(f"{pattern}: no such file or folder, and no match as a glob")
        found: list[FileInfo] = []
        for status in statuses:
            if status.isFile():
                found.append(_file_info(status))
            else:
                found.extend(self._walk(file_system, status.getPath()))
        return sorted(set(found))

    def _walk(self, file_system: Any, folder: Any) -> Iterator[FileInfo]:
        for status in file_system.listStatus(folder):
            name = status.getPath().getName()
            if name.startswith(("_", ".")):
                continue
            if status.isFile():
                yield _file_info(status)
            else:
                yield from self._walk(file_system, status.getPath())

    def whole_folder(self, path: str) -> FileInfo:
        """A folder as one: bytes of all that is under it, hidden files too, and when something in it last changed."""
        file_system = self._file_system(path)
        size_bytes, modified_ms, left = 0, 0, [file_system.getFileStatus(self._path(path))]
        while left:
            status = left.pop()
            modified_ms = max(modified_ms, int(status.getModificationTime()))
            if status.isFile():
                size_bytes += int(status.getLen())
            else:
                left.extend(file_system.listStatus(status.getPath()))
        return FileInfo(path, size_bytes, modified_ms)

    def children(self, folder: str) -> list[str]:
        """Names of all entries of a folder, hidden ones too; empty when it does not exist."""
        if not self.exists(folder):
            return []
        return sorted(s.getPath().getName() for s in self._file_system(folder).listStatus(self._path(folder)))

    def make_folder(self, path: str) -> None:
        """Make a folder and its parents. Raises ``ResourceError`` when that is refused."""
        try:
            made = self._file_system(path).mkdirs(self._path(path))
        except Exception as error:
            raise ResourceError(f"{path}: cannot make this folder: {_first_line(error)}") from error
        if not made:
            raise ResourceError(f"{path}: cannot make this folder")

    def delete(self, path: str) -> None:
        """Delete a file or a whole folder; nothing happens when it is not there."""
        self._file_system(path).delete(self._path(path), True)

    def move(self, source: str, target: str) -> None:
        """Rename a file or folder. Raises ``ResourceError`` when the file system refuses."""
        if not self._file_system(source).rename(self._path(source), self._path(target)):
            raise ResourceError(f"cannot move {source} to {target}")

    def read_text(self, path: str) -> str:
        """A small text file, as UTF-8."""
        stream = self._file_system(path).open(self._path(path))
        try:
            return bytes(self._jvm.org.apache.hadoop.io.IOUtils.readFullyToByteArray(stream)).decode("utf-8")  # type: ignore[union-attr]
        finally:
            stream.close()

    def read_from(self, path: str, offset: int) -> bytes:
        """All bytes of a file from an offset on: for the ends of files, which are small."""
        stream = self._file_system(path).open(self._path(path))
        try:
            stream.seek(offset)
            return bytes(self._jvm.org.apache.hadoop.io.IOUtils.readFullyToByteArray(stream))  # type: ignore[union-attr]
        finally:
            stream.close()

    def write_text(self, path: str, text: str, *, overwrite: bool = True) -> bool:
        """Write a small text file in one go; False if ``overwrite`` is off and the file exists."""
        file_system = self._file_system(path)
        exists_error = "FileAlreadyExistsException"
        try:
            stream = file_system.create(self._path(path), overwrite)
        except Exception as error:
            if not overwrite and (exists_error in str(error) or self.exists(path)):
                return False
            raise ResourceError(f"{path}: cannot write: {_first_line(error)}") from error
        try:
            stream.write(text.encode("utf-8"))
        finally:
            stream.close()
        return True

    def read_json(self, path: str) -> Any:
        """A small JSON file."""
        return json.loads(self.read_text(path))

    def size_bytes(self, path: str) -> int:
        """Bytes under a file or folder, 0 when it is not there."""
        if not self.exists(path):
            return 0
        return int(self._file_system(path).getContentSummary(self._path(path)).getLength())

    def atomic_rename(self, path: str) -> bool:
        """Whether renaming a folder at ``path`` is one step: true for local disks and HDFS, not for object stores."""
        return scheme_of(self.qualified(path)) in ("file", "hdfs", "viewfs")


def _file_info(status: Any) -> FileInfo:
    return FileInfo(str(status.getPath().toString()), int(status.getLen()), int(status.getModificationTime()))


def _first_line(error: BaseException) -> str:
    text = str(getattr(error, "java_exception", None) or error)
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__


def join_path(folder: str, *names: str) -> str:
    """Append names to a path or URI."""
    return "/".join([folder.rstrip("/") or "/", *names]) if folder != "/" else "/" + "/".join(names)


def parent_and_name(path: str) -> tuple[str, str]:
    """Split a full URI into its folder and last name."""
    head, _, name = path.rstrip("/").rpartition("/")
    return head, name


def suffixes(path: str) -> tuple[str, ...]:
    """Lower-case suffixes of a path's last name: ``('.warc', '.gz')``."""
    return tuple(s.lower() for s in PurePosixPath(path).suffixes)


def total_bytes(files: Iterable[FileInfo]) -> int:
    """Bytes of all files together."""
    return sum(file.size_bytes for file in files)
