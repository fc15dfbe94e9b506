"""Refresh a corpus: clean what is new, hold it against all that was kept before, publish a new version or nothing.

Takes the input files that the corpus has not consumed yet; gives a version of its Delta table (`jobs.core.corpus`) with
the documents that are new. The batch goes through the recipe like any run. Before each deduplication step its documents
are held against the history (`jobs.core.against_history`), and only what the history does not stand for is deduplicated
among itself: older documents win, so the kept set is a function of the ordered batches.

Shuffled: what the steps shuffle for the batch, and the shingle sets of batch documents with near hits in the history;
nothing for the history, of which one column a step is scanned: 16 bytes a document for digests, 5 a band. Published: by
one commit, after all files are in place. docs/refresh.md tells the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from jobs.core import command
from jobs.core.console import say
from jobs.core.errors import UsageError
from jobs.core.job import steps_of, with_inputs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from jobs.core.against_history import HistoryFile
    from jobs.core.corpus import Corpus, DataFile, Head, Manifest
    from jobs.core.corpus_edit import Edit
    from jobs.core.files import DriverFiles
    from jobs.core.inputs import InputFile
    from jobs.core.inputs_ledger import ChangedPolicy
    from jobs.core.recipe import Recipe
    from jobs.core.recipe_file import Resolved
    from jobs.core.run import SetResult, SetStep
    from jobs.core.run_folder import StageFolder

NAME = "refresh"
EXAMPLE = "winnow refresh --recipe gopher --corpus corpus --input crawl/ --run-id 2026-11-24"
ROW_GROUP_BYTES = 16 << 20  # of kept documents: what is read to verify one of them
REPLACED = "superseded"  # table of a refresh: documents of the history that newer versions replace
_PLAN = "_publish.json"

Frozen = list[tuple["InputFile", str]]
VersionsPolicy = Literal["drop", "replace"]
VERSIONS_POLICIES: tuple[VersionsPolicy, ...] = ("drop", "replace")


@dataclass(frozen=True)
class RefreshRequest:
    """One refresh: a recipe with its sources, a corpus, and how to deal with surprises."""

    resolved: Resolved
    corpus: str
    run_id: str
    changed_files: ChangedPolicy = "refuse"
    newer_versions: VersionsPolicy = "drop"
    allowed_gates: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return self.resolved.recipe

    def history(self, head: Head | None) -> str:
        """What the batch is held against, and how: results that were made under another name do not count."""
        name = head.name if head else "none"
        return name if self.newer_versions == "drop" else f"{name}, newer versions {self.newer_versions}"


def refresh(spark: SparkSession, request: RefreshRequest) -> dict[str, Any]:
    """Carry out a refresh; what became of it: ``published`` (a version, or None), ``read``, ``kept``, ``documents``.

    Raises the ``WinnowError`` that says why nothing was published.
    """
    from jobs.core.corpus import Corpus
    from jobs.core.faultpoint import reach
    from jobs.core.files import DriverFiles
    from jobs.core.state import refuse_other_parameters, state_parameters

    files = DriverFiles(spark)
    corpus = Corpus(files, request.corpus)
    parameters = state_parameters(request.recipe)
    if request.newer_versions == "replace" and "dedup_url" not in request.recipe.steps:
        raise UsageError("--newer-versions replace: versions of a page are known by their URL, and dedup_url is off")
    head = corpus.head()
    reach("started")
    if head is not None:
        if request.run_id in head.manifest.done:
            say(f"nothing new: version {head.version} of {corpus.path} has run {request.run_id} already")
            _clean_up(corpus, request.run_id)
            return _outcome(None, head)
        refuse_other_parameters(head.manifest.parameters, parameters)
    frozen = _frozen_inputs(corpus, request, head)
    if not frozen:
        say(f"nothing new: every input file is in {corpus.path} already")
        _clean_up(corpus, request.run_id)
        return _outcome(None, head)
    reach("inputs-frozen")
    ledger = _run_batch(spark, corpus, request, head, frozen)
    reach("steps-done")
    manifest = _next_manifest(request, head, ledger, parameters)
    _refuse_moving_inputs(files, request, frozen)
    corpus.refuse_if_moved(head, manifest)
    reach("gates-passed")
    version = _publish(spark, corpus, request, head, manifest, frozen)
    _clean_up(corpus, request.run_id)
    reach("cleaned-up")
    return {**_outcome(version, corpus.head()), "ledger": ledger}


def _outcome(version: int | None, head: Head | None) -> dict[str, Any]:
    return {
        "published": version,
        "version": head.version if head else None,
        "documents": head.manifest.documents if head else 0,
        **({"totals": dict(head.manifest.ledger)} if head and version is not None else {}),
    }


# ----------------------------------------------------------------------------------------------------------- the inputs


def _listed(files: DriverFiles, request: RefreshRequest) -> list[InputFile]:
    from jobs.core.inputs import list_inputs
    from jobs.core.rowwise import reader_sources

    listed, not_read = list_inputs(files, reader_sources(request.recipe))
    for path in not_read:
        say(f"not read (no known format): {path}")
    return listed


def _frozen_inputs(corpus: Corpus, request: RefreshRequest, head: Head | None) -> Frozen:
    """The files that this run id reads: settled once, before work starts."""
    from jobs.core.inputs_ledger import difference, from_frozen, frozen_text, read_tables, refuse_moving_files

    path = corpus.at("work", request.run_id, "inputs.json")
    listed = _listed(corpus.files, request)
    consumed = read_tables(corpus.at("state", name) for name in (head.manifest.inputs if head else ()))
    if corpus.files.exists(path):
        # Another refresh may have consumed some of them since.
        gone = {(record["path"], record["fingerprint"]) for record in consumed}
        frozen = [one for one in from_frozen(corpus.files.read_text(path)) if (one[0].path, one[1]) not in gone]
        refuse_moving_files(frozen, listed)
        return frozen
    found = difference(listed, consumed, request.changed_files)
    for changed in found.changed:
        say(f"changed since it was consumed ({request.changed_files}): {changed}", changed_file=changed)
    say(f"{len(found.new)} input files are new, {found.known} are in the corpus", new=len(found.new), known=found.known)
    if found.new:
        corpus.write_once(path, frozen_text(found.new))
    return list(found.new)


def _refuse_moving_inputs(files: DriverFiles, request: RefreshRequest, frozen: Frozen) -> None:
    from jobs.core.inputs_ledger import refuse_moving_files

    refuse_moving_files(frozen, _listed(files, request))


# ------------------------------------------------------------------------------------------------------------ the batch


def _run_batch(
    spark: SparkSession, corpus: Corpus, request: RefreshRequest, head: Head | None, frozen: Frozen
) -> dict[str, Any]:
    """Run the recipe on the batch, each dedup step after a look into the history; the ledger.

    The results are published into ``runs/RUN_ID``, which is not yet the corpus.
    """
    from jobs import pipeline
    from jobs.core.forgotten import FORGET_STEP, forget_step, forgotten_of
    from jobs.core.run import Request, execute

    history = _history_files(corpus, head)
    forgotten = forgotten_of(corpus, head.manifest.forgotten if head else ())
    set_steps: dict[str, SetStep] = {
        name: _after_history(name, step, request, history) for name, step in pipeline.JOB.set_steps.items()
    }
    steps = steps_of(pipeline.JOB, request.recipe)
    if forgotten:
        set_steps[FORGET_STEP] = forget_step(forgotten)
        place = next((i for i, name in enumerate(steps) if name in pipeline.JOB.set_steps), len(steps))
        steps = (*steps[:place], FORGET_STEP, *steps[place:])
    output = corpus.at("runs", request.run_id)
    _set_aside_other_results(corpus, output, request, head)
    return execute(
        spark,
        Request(
            job=NAME,
            resolved=request.resolved,
            steps=steps,
            output=output,
            resume=True,
            run_id=request.run_id,
            files=[file for file, _ in frozen],
            history=request.history(head),
            allowed_gates=request.allowed_gates,
            row_group_bytes=ROW_GROUP_BYTES,
        ),
        set_steps,
    )


def _history_files(corpus: Corpus, head: Head | None) -> list[HistoryFile]:
    from jobs.core.against_history import HistoryFile

    if head is None:
        return []
    return [
        HistoryFile(corpus.at("documents", file.path), corpus.at("state", file.state))
        for file in corpus.data_files(head.manifest)
    ]


def _after_history(name: str, step: SetStep, request: RefreshRequest, history: Sequence[HistoryFile]) -> SetStep:
    """A step that first removes what the history stands for, or has it beside the batch; other steps as they are."""
    from jobs.core.against_history import beside_history, find_known
    from jobs.core.outcome import decisions_of, without_removed
    from jobs.core.state import STATE_STEPS

    replacing = request.newer_versions == "replace"
    if name not in STATE_STEPS or not history:
        return step
    if name == "dedup_url" and replacing:
        return _replacing_versions(step, request.recipe, history)

    def replaced(documents: DataFrame, folder: StageFolder) -> DataFrame | None:
        path = folder.beside("dedup_url").table(REPLACED)
        return documents.sparkSession.read.parquet(path) if replacing else None

    def with_history(documents: DataFrame, parameters: Any, folder: StageFolder) -> SetResult:
        gone = replaced(documents, folder)
        both = beside_history(documents, request.recipe, history, folder.table("history"), gone)
        found = step(both.documents, parameters, folder)
        return replace(found, facts={**found.facts, **both.facts})

    def after_history(documents: DataFrame, parameters: Any, folder: StageFolder) -> SetResult:
        gone = replaced(documents, folder)
        known = find_known(documents, name, request.recipe, history, folder.table("history"), gone)
        found = step(without_removed(documents, known.decisions), parameters, folder)
        columns = [field for field in decisions_of(found.decisions, name).columns if field != "stage"]
        decisions = decisions_of(known.decisions, name).select(*columns)
        both = decisions.unionByName(decisions_of(found.decisions, name).select(*columns))
        return replace(found, decisions=both, facts={**found.facts, **known.facts})

    return with_history if name == "dedup_substring" else after_history


def _replacing_versions(step: SetStep, recipe: Recipe, history: Sequence[HistoryFile]) -> SetStep:
    """URL deduplication that settles which version of a page in the batch is the one, and then whether it replaces that
    of the history. What is replaced is out of the history for the steps that follow.
    """
    from jobs.core.against_history import find_versions
    from jobs.core.outcome import decisions_of, resolve_representatives, without_removed

    def replacing(documents: DataFrame, parameters: Any, folder: StageFolder) -> SetResult:
        found = step(documents, parameters, folder)
        mine = decisions_of(found.decisions, "dedup_url")
        versions = find_versions(without_removed(documents, mine), recipe, history, folder.table("history"))
        both = resolve_representatives([mine, decisions_of(versions.known, "dedup_url")])
        assert both is not None
        tables = {**found.tables, REPLACED: versions.replaced}
        return replace(found, decisions=both.drop("stage"), tables=tables, facts={**found.facts, **versions.facts})

    return replacing


def _set_aside_other_results(corpus: Corpus, output: str, request: RefreshRequest, head: Head | None) -> None:
    """Results under this run id that were made against another version: of a loser, or of a run since rolled back."""
    ledger = f"{output}/ledger.json"
    if not corpus.files.exists(ledger):
        return
    before = corpus.files.read_json(ledger)
    if before.get("history") == request.history(head) and before.get("recipe_sha256") == request.resolved.sha256:
        return
    kept_as = f"{output}.superseded-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    say(f"results of an earlier attempt, made against another version or recipe, are set aside as {kept_as}")
    corpus.files.move(output, kept_as)


# ----------------------------------------------------------------------------------------------------------- publishing


def _next_manifest(
    request: RefreshRequest,
    head: Head | None,
    ledger: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> Manifest:
    """The manifest of the version to come, without its snapshot. Raises ``GateError`` when signals have drifted."""
    from jobs.core.corpus import Manifest
    from jobs.core.drift import DRIFT_SNAPSHOTS
    from jobs.core.gates import refuse_tripped, signals_that_drifted

    before = head.manifest if head else Manifest(NAME, request.run_id, None)
    means = ledger["signal_means"]
    last = [snapshot.signal_means for snapshot in before.snapshots[-DRIFT_SNAPSHOTS:]]
    refuse_tripped(signals_that_drifted(means, last, request.recipe.gates), request.allowed_gates)
    return before.following(
        NAME,
        request.run_id,
        head.version if head else None,
        recipe=request.recipe.recipe,
        recipe_sha256=request.resolved.sha256,
        parameters=parameters,
        done=[*before.done, request.run_id],
        ledger={**ledger["totals"], "signal_means": means},
        allowed_gates=request.allowed_gates,
    )


def _publish(
    spark: SparkSession,
    corpus: Corpus,
    request: RefreshRequest,
    head: Head | None,
    manifest: Manifest,
    frozen: Frozen,
) -> int:
    """Put every file in its place, then commit; the version."""
    from jobs.core.corpus import Snapshot
    from jobs.core.faultpoint import reach
    from jobs.core.inputs_ledger import as_table, write_table
    from jobs.core.state import write_state

    run_id = request.run_id
    files = _move_documents(corpus, run_id)
    reach("documents-moved")
    version = head.version + 1 if head else 1  # in the names, for a run id may run again after a rollback
    edit = _without_replaced(spark, corpus, request, head, f"{run_id}-v{version}")
    pairs = [(corpus.at("documents", file.path), corpus.at("state", file.state)) for file in files]
    state_bytes = sum(write_state(spark, pairs, request.recipe).values()) if pairs else 0
    listing = f"{run_id}/files-v{version}.json"
    corpus.write_list(listing, files)
    reach("state-written")
    inputs = f"{run_id}/inputs-v{version}.parquet"
    write_table(as_table(frozen), corpus.at("state", inputs))
    reach("inputs-recorded")
    snapshots = list(edit.snapshots)
    ledger = {**manifest.ledger, "state_bytes": state_bytes, "superseded": edit.documents}
    means = ledger.pop("signal_means")
    if files:
        documents, size = sum(file.rows for file in files), sum(file.bytes for file in files)
        snapshots.append(Snapshot(run_id, listing, documents, size, manifest.created, means))
    whole = replace(manifest, snapshots=snapshots, inputs=[*manifest.inputs, inputs], ledger=ledger)
    return corpus.publish(head, whole, [*files, *edit.added], edit.removed)


def _without_replaced(
    spark: SparkSession, corpus: Corpus, request: RefreshRequest, head: Head | None, name: str
) -> Edit:
    """The history without the documents that newer versions replace."""
    from jobs.core.corpus_edit import Edit, list_stranded, without_rows

    table = corpus.at("runs", request.run_id, REPLACED)
    snapshots = head.manifest.snapshots if head else ()
    if head is None or not corpus.files.exists(table):
        return Edit(snapshots, (), (), 0)
    replaced = spark.read.parquet(table)
    edit = without_rows(spark, corpus, snapshots, replaced, name)
    list_stranded(spark, corpus, head, replaced, name)
    return replace(edit, snapshots=[snapshot for snapshot in edit.snapshots if snapshot.documents])


def _move_documents(corpus: Corpus, run_id: str) -> list[DataFile]:
    """Move the kept documents under the table; what is where is planned first, so that a second attempt finds it."""
    import json

    import pyarrow.parquet as pq

    from jobs.core.corpus import SNAPSHOT, DataFile
    from jobs.core.faultpoint import reach
    from jobs.core.files import open_for_reading

    output, kept = corpus.at("runs", run_id), corpus.at("runs", run_id, "kept")
    plan = f"{output}/{_PLAN}"
    if corpus.files.exists(plan):
        files = [DataFile(**record) for record in corpus.files.read_json(plan)]
    else:
        files = []
        for info in corpus.files.find(kept):
            with open_for_reading(info.path) as stream:
                rows = pq.read_metadata(stream).num_rows
            name = info.path.rpartition("/")[2]
            if rows:
                files.append(DataFile(f"{SNAPSHOT}={run_id}/{name}", f"{run_id}/{name}", rows, info.size_bytes))
        corpus.write_once(plan, json.dumps([asdict(file) for file in files]))
    reach("plan-written")
    if files:
        corpus.files.make_folder(corpus.at("documents", f"{SNAPSHOT}={run_id}"))
    for place, file in enumerate(files):
        target = corpus.at("documents", file.path)
        if not corpus.files.exists(target):
            corpus.files.move(f"{kept}/{file.path.rpartition('/')[2]}", target)
        if place == 0:
            reach("first-document-moved")
    corpus.files.delete(kept)
    return files


def _clean_up(corpus: Corpus, run_id: str) -> None:
    corpus.files.delete(corpus.at("work", run_id))


# ----------------------------------------------------------------------------------------------------- the command line


def _parser() -> command.Parser:
    from jobs.core.inputs_ledger import CHANGED_POLICIES

    arguments = command.parser(
        NAME,
        "Clean the input files that a corpus has not seen, and publish a new version of it: all or nothing.\n\n"
        "exit codes: 0 published or nothing new, 2 usage, 3 input contract or other parameters, 4 a gate tripped,\n"
        "5 another refresh was faster, 6 resources, 130 interrupted",
        EXAMPLE,
    )
    command.add_recipe_arguments(arguments)
    arguments.add_argument("--corpus", metavar="DIR", required=True, help="the corpus; made if it is not there")
    arguments.add_argument(
        "--input", metavar="PATH", nargs="+", action="extend", default=[], help="files, folders or globs to look in"
    )
    arguments.add_argument(
        "--testsets", metavar="PATH", nargs="+", action="extend", default=[], help="test sets to keep out of the batch"
    )
    arguments.add_argument(
        "--run-id", metavar="ID", help="name of this refresh, from the schedule: the same id never publishes twice"
    )
    arguments.add_argument(
        "--changed-files",
        choices=CHANGED_POLICIES,
        default="refuse",
        help="what to do with consumed files that have changed (default: refuse, exit 3)",
    )
    arguments.add_argument(
        "--newer-versions",
        choices=VERSIONS_POLICIES,
        default="drop",
        help="pages of a URL that the corpus has: drop them, or let those that are another text and not older replace "
        "the old ones (default: drop)",
    )
    arguments.add_argument(
        "--allow", metavar="GATE", action="append", default=[], help="publish although this gate trips; recorded"
    )
    command.add_spark_arguments(arguments)
    command.add_log_arguments(arguments)
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        from jobs.core.corpus import check_run_id
        from jobs.core.gates import check_gate_names
        from jobs.core.ledger import funnel
        from jobs.core.recipe_file import resolve_recipe
        from jobs.core.session import spark_session

        resolved = with_inputs(
            resolve_recipe(arguments.recipe, arguments.overrides), arguments.input, arguments.testsets
        )
        request = RefreshRequest(
            resolved,
            arguments.corpus,
            check_run_id(arguments.run_id or f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{resolved.sha256[:8]}"),
            arguments.changed_files,
            arguments.newer_versions,
            check_gate_names(arguments.allow),
        )
        settings = command.settings_of(arguments.conf)
        with spark_session(f"winnow {NAME}", master=arguments.master, settings=settings) as spark:
            outcome = refresh(spark, request)
        if outcome["published"] is not None:
            print(funnel(outcome["ledger"]["stages"]))
            totals = outcome["totals"]
            gone = f", {totals['superseded']:,} older versions replaced" if totals["superseded"] else ""
            say(
                f"published version {outcome['version']} of {arguments.corpus}: {totals['kept']:,} new documents of "
                f"{totals['read']:,} read{gone}, {outcome['documents']:,} in all"
            )
        return 0

    return command.end_well(body, verbose="--verbose" in (argv or ()))


if __name__ == "__main__":
    sys.exit(main())
