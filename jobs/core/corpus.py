"""A corpus that grows: a Delta table of documents, and what belongs to each of its versions.

```
CORPUS/documents/    the Delta table: every engine that reads Delta reads it; partitioned by ``snapshot``
CORPUS/state/        per data file of documents one file of digests and band hashes, row by row (`jobs.core.state`)
CORPUS/manifests/    per version one JSON file: its snapshots, parameters, consumed inputs, forgotten documents
CORPUS/runs/         per refresh the audit: removed, quarantine, signals, ledger
CORPUS/forgotten/    take-downs, remembered for good
```

All files are immutable and written before the commit. A version is published by one entry of the Delta log, which
``deltalake`` puts there only if no other version has that number: readers see it at once or not at all, and of two
writers one loses. The entry names its manifest, the manifest names the rest; so state and documents never part.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.core.errors import ConflictError, InputContractError, ResourceError, UsageError
from jobs.core.faultpoint import reach
from jobs.core.files import DriverFiles, join_path, open_for_reading, scheme_of
from jobs.core.ledger import code_version

MANIFEST_FORMAT = 1
SNAPSHOT = "snapshot"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TABLE_SETTINGS = {"delta.logRetentionDuration": "interval 36500 days"}  # the log is the history: it stays


def check_run_id(run_id: str) -> str:
    """A run id is a folder's name. Raises ``UsageError`` when it cannot be one."""
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(f"--run-id {run_id}: letters, digits, '.', '_' and '-' only, at most 100, no sign first")
    return run_id


@dataclass(frozen=True)
class DataFile:
    """One file of documents with its state: names relative to ``documents/`` and ``state/``."""

    path: str
    state: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class Snapshot:
    """What one refresh brought: ``files`` names the JSON list of its data files."""

    id: str
    files: str
    documents: int
    bytes: int
    created: str
    signal_means: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """All that a version consists of besides its documents."""

    operation: str
    run_id: str
    parent_version: int | None
    recipe: str = ""
    recipe_sha256: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    snapshots: Sequence[Snapshot] = ()
    done: Sequence[str] = ()  # refreshes that this version knows of, those without documents and expired ones too
    inputs: Sequence[str] = ()  # tables of consumed input files
    forgotten: Sequence[str] = ()
    ledger: Mapping[str, Any] = field(default_factory=dict)
    allowed_gates: Sequence[str] = ()
    created: str = ""
    code_version: str = ""
    format: int = MANIFEST_FORMAT

    @property
    def documents(self) -> int:
        """Documents in this version."""
        return sum(snapshot.documents for snapshot in self.snapshots)

    def following(self, operation: str, run_id: str, version: int | None, **changes: Any) -> Manifest:
        """The manifest of the version that comes after this one."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        fresh = {"ledger": {}, "allowed_gates": (), "created": now, "code_version": code_version(), **changes}
        return replace(self, operation=operation, run_id=run_id, parent_version=version, **fresh)


@dataclass(frozen=True)
class Head:
    """The version that readers see, with its manifest."""

    version: int
    manifest: Manifest
    name: str


def table_uri(corpus: str) -> str:
    """Where the Delta table of a corpus is, as ``deltalake`` names it."""
    uri = join_path(corpus.rstrip("/"), "documents")
    if scheme_of(uri) == "file":
        return unquote(urlsplit(uri).path)
    return re.sub(r"^s3[an]://", "s3://", uri)


def published_versions(corpus: str) -> list[dict[str, Any]]:
    """What the log says of all versions that Winnow published, the newest first. Needs no Spark."""
    uri = table_uri(corpus)
    if not DeltaTable.is_deltatable(uri):
        return []
    # The log's own numbering counts from the version that was opened, so that of a moving table may be wrong by some.
    entries = [entry for entry in DeltaTable(uri).history() if "manifest" in entry]
    return [{**entry, "version": int(entry["corpus_version"])} for entry in entries]


class Corpus:
    """The corpus at a path; nothing is created before the first publication."""

    def __init__(self, files: DriverFiles, path: str) -> None:
        self.files = files
        self.path = files.qualified(path).rstrip("/")

    def at(self, *names: str) -> str:
        """The path of something in the corpus."""
        return join_path(self.path, *names)

    # ---------------------------------------------------------------------------------------------------------- reading

    @property
    def _uri(self) -> str:
        return table_uri(self.path)

    def table(self, version: int | None = None) -> DeltaTable | None:
        """The Delta table as it is now or was at a version, None where there is none yet."""
        if not DeltaTable.is_deltatable(self._uri):
            return None
        try:
            return DeltaTable(self._uri, version=version)
        except DeltaError as error:
            raise InputContractError(f"{self.path} has no version {version}: {_first_line(error)}") from error

    def head(self, version: int | None = None) -> Head | None:
        """The newest version (or a given one); None before the first publication.

        Raises ``InputContractError`` when another tool has changed which files belong to the table.
        """
        table = self.table(version)
        if table is None:
            return None
        named = next((entry for entry in self.history() if entry["version"] <= table.version()), None)
        if named is None:
            return None
        manifest = self.read_manifest(named["manifest"], named["manifest_sha256"])
        head = Head(table.version(), manifest, named["manifest"])
        if table.version() != named["version"]:
            self._refuse_foreign_changes(table, head)
        return head

    def existing_head(self) -> Head:
        """The newest version. Raises ``UsageError`` when nothing was ever published."""
        head = self.head()
        if head is None:
            raise UsageError(f"{self.path} is no corpus", next_step="make one with `winnow refresh --corpus`")
        return head

    def _refuse_foreign_changes(self, table: DeltaTable, head: Head) -> None:
        listed = {file.path for file in self.data_files(head.manifest)}
        if listed != set(_paths(table)):
            raise InputContractError(
                f"version {head.version} of {self.path} was not written by Winnow: its files are not those that "
                f"manifest {head.name} lists, so state and documents have parted",
                next_step=f"undo it with `winnow rollback --corpus {self.path} --to VERSION`",
            )

    def read_manifest(self, name: str, sha256: str) -> Manifest:
        """A manifest. Raises ``InputContractError`` when it is not the one that was committed."""
        path = self.at("manifests", name)
        if not self.files.exists(path):
            raise InputContractError(f"manifest {name} of {self.path} is gone: its version was vacuumed")
        text = self.files.read_text(path)
        if hashlib.sha256(text.encode()).hexdigest() != sha256:
            raise InputContractError(f"manifest {name} of {self.path} is damaged", next_step="restore it from a copy")
        data = json.loads(text)
        if data["format"] != MANIFEST_FORMAT:
            raise InputContractError(
                f"{self.path} was written by Winnow {data['code_version']} (manifest format {data['format']})",
                next_step="use that version, or make a new corpus",
            )
        return Manifest(**{**data, "snapshots": tuple(Snapshot(**snapshot) for snapshot in data["snapshots"])})

    def data_files(self, manifest: Manifest) -> Iterator[DataFile]:
        """All files of documents of a version, in the order of its snapshots."""
        for snapshot in manifest.snapshots:
            yield from self.files_of(snapshot)

    def files_of(self, snapshot: Snapshot) -> list[DataFile]:
        """The files of one snapshot."""
        return [DataFile(**record) for record in self.files.read_json(self.at("state", snapshot.files))]

    def documents(self, spark: SparkSession, files: Sequence[DataFile]) -> DataFrame:
        """Documents of some files, with their addresses: ``file`` (relative) and ``row``."""
        paths = [self.at("documents", file.path) for file in files]
        frame = spark.read.option("mergeSchema", "true").option("basePath", self.at("documents")).parquet(*paths)
        # The last two parts of the path: what Spark puts before them differs by version, and is percent-encoded.
        parts = F.slice(F.split(F.col("_metadata.file_path"), "/"), -2, 2)
        return frame.withColumns({"file": F.array_join(parts, "/"), "row": F.col("_metadata.row_index")})

    def history(self) -> list[dict[str, Any]]:
        """All versions that Winnow published, the newest first, as the log tells them."""
        return published_versions(self.path)

    def current_paths(self) -> list[str]:
        """The files that the table has now, whoever put them there."""
        table = self.table()
        return _paths(table) if table else []

    def last_published(self) -> Head:
        """The manifest of the newest version that Winnow published, with the number of the newest version of all."""
        table, entry = self.table(), next(iter(self.history()), None)
        if table is None or entry is None:
            raise UsageError(f"{self.path} is no corpus", next_step="make one with `winnow refresh --corpus`")
        manifest = self.read_manifest(entry["manifest"], entry["manifest_sha256"])
        return Head(table.version(), manifest, entry["manifest"])

    # ------------------------------------------------------------------------------------------------------- publishing

    def write_list(self, name: str, files: Sequence[DataFile]) -> None:
        """Write the list of a snapshot's files (under ``state/``)."""
        self.write_once(self.at("state", name), json.dumps([asdict(file) for file in files]))

    def write_once(self, path: str, text: str) -> None:
        """Write a small file so that it is never there by half."""
        temporary = f"{path}.{uuid.uuid4().hex[:8]}.tmp"
        self.files.write_text(temporary, text)
        self.files.delete(path)
        self.files.move(temporary, path)

    def publish(
        self, parent: Head | None, manifest: Manifest, added: Iterable[DataFile], removed: Iterable[DataFile]
    ) -> int:
        """Publish a version on top of ``parent``; its number.

        Raises ``ConflictError`` naming the winner when another version was published in the meantime.
        """
        added = [file for file in added if file.rows]
        text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        name = f"{manifest.run_id}-{sha256[:16]}.json"
        self.write_once(self.at("manifests", name), text)
        reach("manifest-written")
        table = self._table_to_write(parent, manifest, added)
        facts = {
            "corpus_version": str(table.version() + 1),
            "run_id": manifest.run_id,
            "winnow_operation": manifest.operation,
            "manifest": name,
            "manifest_sha256": sha256,
            "recipe": manifest.recipe,
            "recipe_sha256": manifest.recipe_sha256,
            "parent_version": str(manifest.parent_version),
            "documents": str(manifest.documents),
            "ledger": json.dumps(manifest.ledger),
            "allowed_gates": ",".join(manifest.allowed_gates),
        }
        actions: list[AddAction | RemoveAction] = [_add_action(file) for file in added]
        actions += [_remove_action(file) for file in removed]
        try:
            table.create_write_transaction(
                actions,
                "append",
                table.schema(),
                partition_by=[SNAPSHOT],
                commit_properties=CommitProperties(
                    custom_metadata=facts,
                    max_commit_retries=0,
                    app_transactions=[Transaction(f"winnow:{manifest.run_id}", table.version() + 1)],
                ),
            )
        except (DeltaError, OSError) as error:
            self._settle(manifest, name, error)
        reach("committed")
        return table.version() + 1

    def schema_path(self, file: DataFile) -> str:
        """Full path of a file of documents."""
        return self.at("documents", file.path)

    def _settle(self, manifest: Manifest, name: str, error: Exception) -> None:
        """A commit that failed, or seemed to: what the log says decides (docs/faults.md, F33)."""
        newest = next(iter(self.history()), None)
        if newest is not None and newest["manifest"] == name:
            return
        if newest is not None and newest["version"] > (manifest.parent_version or 0):
            raise ConflictError(
                f"{newest['winnow_operation']} {newest['run_id']} published version {newest['version']} of {self.path} "
                f"while {manifest.operation} {manifest.run_id} was working; nothing of this one was published",
                next_step="run it again: it will start from the new version",
            ) from error
        raise ResourceError(
            f"{self.path}: cannot commit: {_first_line(error)}", next_step="run it again with the same --run-id"
        ) from error

    def refuse_if_moved(self, parent: Head | None, manifest: Manifest) -> None:
        """Raise ``ConflictError`` early when another version has been published since ``parent``."""
        newest = next(iter(self.history()), None)
        if newest is not None and (parent is None or newest["manifest"] != parent.name):
            self._settle(manifest, "", RuntimeError("the corpus has moved on"))

    def _table_to_write(self, parent: Head | None, manifest: Manifest, added: Sequence[DataFile]) -> DeltaTable:
        """The table at the parent's version; made, or given new columns, where needed."""
        table = self.table(parent.version if parent else None)
        if not added:
            if table is None:
                raise UsageError("there is nothing to publish: no document was kept and there is no corpus yet")
            return table
        schema = _arrow_schema(self.schema_path(added[0]))
        if table is None:
            table = DeltaTable.create(
                self._uri,
                schema=Schema.from_arrow(schema),
                mode="ignore",
                partition_by=[SNAPSHOT],
                configuration=_TABLE_SETTINGS,
            )
        elif parent is None and table.version() > 0:
            self.refuse_if_moved(None, manifest)
        known = {column.name: column.type for column in table.schema().fields}
        wanted = {column.name: column for column in Schema.from_arrow(schema).fields}
        changed = [name for name, column in wanted.items() if name in known and known[name] != column.type]
        if changed:
            raise InputContractError(
                f"column '{changed[0]}' is {wanted[changed[0]].type} in this batch, {known[changed[0]]} in the corpus",
                next_step="change the input or the recipe so that the types agree",
            )
        new = [column for name, column in wanted.items() if name not in known]
        if new:
            table.alter.add_columns(new)
            table = DeltaTable(self._uri)
            self.refuse_if_moved(parent, manifest)
        return table


def _paths(table: DeltaTable) -> list[str]:
    return [unquote(path) for path in pa.table(table.get_add_actions(flatten=True)).column("path").to_pylist()]


def _arrow_schema(path: str) -> pa.Schema:
    with open_for_reading(path) as stream:
        schema = pq.read_schema(stream).remove_metadata()
    return schema.append(pa.field(SNAPSHOT, pa.string()))


def _add_action(file: DataFile) -> AddAction:
    partition = {SNAPSHOT: snapshot_of(file.path)}
    stats = json.dumps({"numRecords": file.rows})
    return AddAction(quote(file.path, safe="/=._-"), file.bytes, partition, int(time.time() * 1000), True, stats)


def _remove_action(file: DataFile) -> RemoveAction:
    return RemoveAction(
        quote(file.path, safe="/=._-"),
        True,
        int(time.time() * 1000),
        size=file.bytes,
        partition_values={SNAPSHOT: snapshot_of(file.path)},
    )


def snapshot_of(path: str) -> str:
    """The snapshot that a file of documents belongs to."""
    return path.partition("/")[0].removeprefix(f"{SNAPSHOT}=")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
