"""Running a recipe, or one step of it: read, decide row by row in one pass, find duplicates, publish at once.

A run has three parts. The *row-wise pass* reads all inputs, measures, decides and writes every row once, partitioned by
outcome. Each *set step* (deduplication) reads what is kept so far and writes decisions. *Publishing* turns both into
``kept``, ``removed``, ``quarantine``, ``signals`` and the ledger, which appear by one rename. Jobs hand in the set
steps they bring; the pipeline hands in all.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from jobs.core import inputs as input_files
from jobs.core.console import log, name_run, progress, rates, say, speed
from jobs.core.definitions import DEFINITION_VERSIONS
from jobs.core.documents import IGNORED, KEPT, QUARANTINED, REMOVED, with_copy
from jobs.core.errors import ConfigurationError, InputContractError, ResourceError, UsageError
from jobs.core.executors import peak_worker_bytes
from jobs.core.files import SCRATCH_OPTIONS, DriverFiles, join_path, total_bytes, worker_file_system
from jobs.core.finished_run import FinishedRun
from jobs.core.gates import refuse_tripped, signal_means
from jobs.core.inputs import InputFile
from jobs.core.ledger import StageAccount, check_accounts, code_version, funnel, stage_record, totals
from jobs.core.outcome import (
    EDIT_COLUMNS,
    Edits,
    decisions_of,
    in_sample,
    kept_documents,
    quarantined_rows,
    removed_documents,
    resolve_representatives,
    signal_rows,
    with_edits,
    without_dictionaries,
    without_removed,
)
from jobs.core.published_files import FILE_SCHEMA, FILES, PublishedFile, as_row, look_at_all, table_records
from jobs.core.quantiles import exact_quantiles
from jobs.core.read_rows import ReadLimits
from jobs.core.readers import read_documents
from jobs.core.recipe import Recipe
from jobs.core.recipe_file import Resolved
from jobs.core.rowwise import ROW_STEPS, RowSteps, reader_sources, row_steps
from jobs.core.run_folder import RunFolder, StageFolder, fingerprint
from jobs.core.shipped_files import digest_of_lists
from jobs.core.source_shares import losses_by_source, sources_that_lose_too_much

REPORTED_JOBS = ("run", "refresh")  # whole recipes: a single step's output has its funnel and `winnow report`
NULLABLE = ("text", "url", "date")  # columns that documents may lack, counted for ``gates.max_null_fraction``


@dataclass(frozen=True)
class SetResult:
    """What a set step found: one decision per removed document, tables for the output, facts for the ledger; ``edits``
    (key, copy, text, cuts) where the step cuts texts.

    Edits that a table of the step's own folder holds already are not written again: ``edits_in`` is the path of it,
    whose rows with ``gone`` are decisions, not edits.
    """

    decisions: DataFrame
    edits: DataFrame | None = None
    edits_in: str | None = None
    tables: Mapping[str, DataFrame] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


SetStep = Callable[[DataFrame, Any, StageFolder], SetResult]
"""(documents still kept, the step's part of the recipe, its own folder) -> decisions."""


@dataclass(frozen=True)
class Request:
    """One command: what to run on what, into where."""

    job: str
    resolved: Resolved
    steps: tuple[str, ...]
    output: str
    resume: bool = False
    sample: float | None = None
    limit: int | None = None
    dry_run: bool = False
    run_id: str | None = None
    paranoid: bool = False
    files: Sequence[InputFile] | None = None  # what to read, where it was settled before; else what the sources name
    history: str | None = None  # the version of the corpus that set steps look at, for a refresh
    allowed_gates: tuple[str, ...] = ()
    row_group_bytes: int | None = None  # of the kept documents; None: Spark's default

    @property
    def recipe(self) -> Recipe:
        """The recipe, with the command line's inputs and overrides."""
        return self.resolved.recipe

    @property
    def recipe_sha256(self) -> str:
        """The digest of all that the recipe says."""
        return self.resolved.sha256


@dataclass
class Context:
    """What the parts of one run share."""

    spark: SparkSession
    files: DriverFiles
    request: Request
    folder: RunFolder
    inputs: list[InputFile]
    inputs_digest: str
    steps: RowSteps
    accounts: list[StageAccount] = field(default_factory=list)


def execute(spark: SparkSession, request: Request, set_steps: Mapping[str, SetStep]) -> dict[str, Any]:
    """Carry out a request; the ledger. Raises the ``WinnowError`` that says how it ended otherwise."""
    _refuse_unknown_steps(request, set_steps)
    files = DriverFiles(spark)
    run_id = request.run_id or _new_run_id(request)
    name_run(run_id)
    started = time.time()
    listed, not_read = _inputs(files, request)
    say(f"{len(listed)} input files, {total_bytes(f.info for f in listed):,} bytes", files=len(listed))
    for path in not_read:
        say(f"not read (no known format): {path}")
    checked = input_files.check_inputs(listed, reader_sources(request.recipe))
    folder = RunFolder(files, request.output, run_id)
    context = Context(
        spark,
        files,
        request,
        folder,
        checked,
        input_files.digest_of_inputs(checked),
        row_steps(request.resolved, request.steps),
    )
    _fit_shuffles(spark, total_bytes(file.info for file in checked))
    if request.dry_run:
        return _dry_run(context)
    finished = _finished_already(context)
    if finished is not None:
        return finished
    folder.open(resume=request.resume)
    try:
        return _run(context, set_steps, run_id, started)
    finally:
        folder.close()


def _inputs(files: DriverFiles, request: Request) -> tuple[list[InputFile], list[str]]:
    if request.files is not None:
        return list(request.files), []
    return input_files.list_inputs(files, reader_sources(request.recipe))


def _run(context: Context, set_steps: Mapping[str, SetStep], run_id: str, started: float) -> dict[str, Any]:
    _resolve_quantiles(context)
    rows = _row_pass(context)
    done: list[DoneStep] = []
    for name in context.request.steps:
        if name in set_steps:
            done.append(_set_step(context, name, set_steps[name], rows, done))
    check_accounts(context.accounts)
    _check_gates(context, rows, done)
    ledger = _ledger(context, run_id, started)
    _publish(context, rows, done, ledger)
    return ledger


def _refuse_unknown_steps(request: Request, set_steps: Mapping[str, SetStep]) -> None:
    """A step that nothing carries out must not be passed over in silence."""
    unknown = [name for name in request.steps if name not in ("ingest", *ROW_STEPS, *set_steps)]
    if unknown:
        raise ConfigurationError(
            f"nothing in this version carries out the step {', '.join(unknown)}",
            next_step=f"turn it off in the recipe: --set steps.{unknown[0]}=off",
        )


def _fit_shuffles(spark: SparkSession, input_bytes: int) -> None:
    """Shuffle partitions by the size of the input, unless the user chose: 200 cost a small run more than its work."""
    if "spark.sql.shuffle.partitions" in dict(spark.sparkContext.getConf().getAll()):
        return
    cores = max(1, spark.sparkContext.defaultParallelism)
    spark.conf.set("spark.sql.shuffle.partitions", str(max(cores, min(10_000, input_bytes * 4 // (64 << 20)))))


# ---------------------------------------------------------------------------------------------------- the row-wise pass


def _row_parts(context: Context) -> Any:
    """The fingerprint of the row-wise pass."""
    request = context.request
    return fingerprint(
        inputs=context.inputs_digest,
        recipe=context.steps.part(),
        steps=context.steps.names,
        sampling=[request.sample, request.limit],
        lists=digest_of_lists(context.steps.plan),
        scores=_files_of_scores(context),
        definitions={name: DEFINITION_VERSIONS[name] for name in context.steps.names},
        code=code_version(),
    )


def _files_of_scores(context: Context) -> list[Any]:
    """The tables of scores that the pass reads besides documents: (path, size, modification time)."""
    tables = context.request.recipe.signals.external.values()
    return [[info.path, info.size_bytes, info.modified_ms] for each in tables for info in context.files.find(each.path)]


def _resolve_quantiles(context: Context) -> None:
    """Measure the bounds that are quantiles: documents are then read and measured twice."""
    wanted = context.steps.rules.profiles.quantiles(context.steps.names)
    if not wanted:
        return

    def work(folder: StageFolder) -> dict[str, Any]:
        columns = {name: "language_score" if name == "language_score" else f"signals.`{name}`" for name, _ in wanted}
        rows = context.steps.annotated(_read_all(context)).where(F.col("stage").isNull())
        with progress(context.spark, "quantiles"):
            chosen = rows.select(*[F.col(column).alias(name) for name, column in columns.items()])
            chosen.write.parquet(folder.table("values"))
            found = exact_quantiles(context.spark.read.parquet(folder.table("values")), wanted)
        return {"quantiles": [[name, quantile, value] for (name, quantile), value in found.items()]}

    _, facts = context.folder.stage("quantiles", _row_parts(context), work)
    for name, quantile, value in facts["quantiles"]:
        say(f"{quantile} of {name} is {value:g}", signal=name, quantile=quantile, value=value)
    values = {(name, quantile): float(value) for name, quantile, value in facts["quantiles"]}
    context.steps = replace(context.steps, quantiles=values)


def _row_pass(context: Context) -> DataFrame:
    """Run the row-wise pass, or find it done; its committed rows."""
    parts = _row_parts(context)

    def work(folder: StageFolder) -> dict[str, Any]:
        observation, began = Observation(), time.monotonic()
        rows = _build_rows(context, observation)
        with progress(context.spark, "rows"):
            rows.write.partitionBy("outcome").options(**SCRATCH_OPTIONS).parquet(folder.table("rows"))
            committed = context.spark.read.schema(rows.schema).parquet(folder.table("rows"))
            counts = _count_rows(committed, context.steps)
        observed = observation.get
        _say_speed(int(observed["read"]), total_bytes(f.info for f in context.inputs), time.monotonic() - began)
        return {
            "read": int(observed["read"]),
            "repaired": int(observed["repaired"] or 0),
            "schema": rows.schema.json(),
            **counts,
        }

    folder, facts = context.folder.stage("rows", parts, work)
    accounts = _row_accounts(context, facts)
    for account in accounts:
        _say_account(account)
    context.accounts.extend(accounts)
    # The schema is stated: a pass without a single row leaves no file to learn it from.
    schema = StructType.fromJson(json.loads(facts["schema"]))
    return context.spark.read.schema(schema).parquet(folder.table("rows"))


def _say_speed(documents: int, input_bytes: int, seconds: float) -> None:
    words = f"{documents:,} records of {input_bytes:,} bytes in {seconds:.1f} s"
    say(f"rows: {words}, {speed(documents, input_bytes, seconds)}", **rates(documents, input_bytes, seconds))


def _build_rows(context: Context, observation: Observation) -> DataFrame:
    documents = _read_all(context).observe(
        observation, F.count(F.lit(1)).alias("read"), F.sum("origin.repaired").alias("repaired")
    )
    return context.steps.apply(documents)


def _read_all(context: Context) -> DataFrame:
    """The documents as the readers give them, sampled where the request says so."""
    request, recipe = context.request, context.request.recipe
    limits = ReadLimits(
        max_document_chars=recipe.ingest.max_document_chars,
        max_record_bytes=recipe.ingest.max_record_bytes,
        max_page_bytes=recipe.ingest.max_page_bytes,
        max_inflate_ratio=recipe.ingest.max_inflate_ratio,
    )
    chosen = _sampled_archives(context.inputs, request.sample)
    documents = read_documents(context.spark, chosen, reader_sources(recipe), limits)
    documents = context.steps.with_keys(documents) if request.sample or request.limit else documents
    if request.sample:
        readable = F.col("origin.outcome").isNull() & ~F.col("_from_archive")
        documents = documents.withColumn("_from_archive", _is_archive_row(context)).where(
            ~readable | in_sample(F.col("key"), request.sample)
        )
        documents = documents.drop("_from_archive")
    if request.limit:
        documents = documents.orderBy(F.col("key").asc_nulls_first()).limit(request.limit)
    return documents


def _is_archive_row(context: Context) -> Any:
    archives = [f.path for f in context.inputs if f.format == input_files.ARCHIVE]
    return F.col("origin.file").isin(archives) if archives else F.lit(False)


def _sampled_archives(inputs: Sequence[InputFile], sample: float | None) -> list[InputFile]:
    """Archives are sampled by file: all records of a file come from one stream. At least one is read."""
    if sample is None:
        return list(inputs)
    import hashlib

    def place(file: InputFile) -> float:
        return int.from_bytes(hashlib.blake2b(file.path.encode(), digest_size=6).digest(), "big") / float(1 << 48)

    archives = sorted((f for f in inputs if f.format == input_files.ARCHIVE), key=place)
    taken = {f.path for i, f in enumerate(archives) if i == 0 or place(f) < sample}
    return [f for f in inputs if f.format != input_files.ARCHIVE or f.path in taken]


def _count_rows(committed: DataFrame, steps: RowSteps) -> dict[str, Any]:
    """Counts of what was committed, in one small job over a few columns: by outcome and stage, and by rule."""
    outcome = F.col("outcome")
    reasons = F.when(outcome == REMOVED, F.col("reasons.rule")).when(outcome != KEPT, F.array(F.col("origin.reason")))
    # A document stands once for each of its reasons; the first of them stands for the document.
    counted = committed.select(
        "outcome",
        "stage",
        steps.rules.unsupported_language(F.col("language")).alias("unsupported_language"),
        *[F.col(name).isNull().alias(f"no_{name}") for name in NULLABLE],
        F.posexplode_outer(reasons).alias("place", "rule"),
    )
    document = F.coalesce(F.col("place") == 0, F.lit(True))
    facts = ("unsupported_language", *(f"no_{name}" for name in NULLABLE))
    by_rule = [
        row.asDict()  # outcomes × stages × rules: bounded by the recipe
        for row in counted.groupBy("outcome", "stage", "rule")
        .agg(
            F.count_if(F.col("place").isNotNull()).alias("count"),
            F.count_if(document).alias("documents"),
            *[F.count_if(document & F.col(fact)).alias(fact) for fact in facts],
        )
        .collect()
    ]
    by_stage: dict[tuple[str, str | None], dict[str, Any]] = {}
    for row in by_rule:
        start = {"outcome": row["outcome"], "stage": row["stage"], **dict.fromkeys(("documents", *facts), 0)}
        sums = by_stage.setdefault((row["outcome"], row["stage"]), start)
        for name in ("documents", *facts):
            sums[name] += row[name]
    told = [{name: row[name] for name in ("outcome", "stage", "rule", "count")} for row in by_rule if row["count"]]
    return {"by_stage": list(by_stage.values()), "by_rule": told}


def _row_accounts(context: Context, facts: Mapping[str, Any]) -> list[StageAccount]:
    """The chain of row-wise stages: each reads what the one before kept, the first what the readers delivered."""
    by_stage = {(row["stage"], row["outcome"]): row for row in facts["by_stage"]}
    kept_rows = by_stage.get((None, KEPT), {"documents": 0})
    accounts: list[StageAccount] = []
    remaining = facts["read"]
    for name in context.steps.names:
        rows = {outcome: by_stage.get((name, outcome), {"documents": 0}) for outcome in (REMOVED, QUARANTINED, IGNORED)}
        removed, quarantined, ignored = (int(rows[o]["documents"]) for o in (REMOVED, QUARANTINED, IGNORED))
        account = StageAccount(
            stage=name,
            read=remaining,
            kept=remaining - removed - quarantined - ignored,
            removed=removed,
            quarantined=quarantined,
            ignored=ignored,
            rules=_rules(facts["by_rule"], name, REMOVED),
            seconds=facts["seconds"],
            shared_pass=list(context.steps.names),
        )
        for outcome in (QUARANTINED, IGNORED):
            if counted := _rules(facts["by_rule"], name, outcome):
                account.facts[outcome] = counted
        accounts.append(account)
        remaining = account.kept
    if remaining != int(kept_rows["documents"]):
        # Not derivable from one another: `read` was observed at the readers, the rest counted in committed files.
        accounts[-1].kept = int(kept_rows["documents"])
    accounts[0].bytes = total_bytes(f.info for f in context.inputs)
    accounts[0].facts["repaired_utf8"] = facts["repaired"]
    if context.steps.quantiles:
        accounts[0].facts["quantiles"] = {f"{at} of {name}": v for (name, at), v in context.steps.quantiles.items()}
    judged = [row for row in facts["by_stage"] if row["outcome"] in (KEPT, REMOVED)]
    for fact in ("unsupported_language", *(f"no_{name}" for name in NULLABLE)):
        accounts[0].facts[fact] = sum(row[fact] for row in judged)
    return accounts


def _rules(by_rule: Sequence[Mapping[str, Any]], stage: str, outcome: str) -> dict[str, int]:
    found = {
        r["rule"] or "unknown": int(r["count"]) for r in by_rule if r["stage"] == stage and r["outcome"] == outcome
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _say_account(account: StageAccount) -> None:
    parts = [f"read {account.read:,}", f"kept {account.kept:,}"]
    parts += [
        f"{name} {getattr(account, name):,}" for name in ("removed", "quarantined", "ignored") if getattr(account, name)
    ]
    say(f"{account.stage}: {', '.join(parts)}", **stage_record(account))


# ------------------------------------------------------------------------------------------------------------ set steps


@dataclass(frozen=True)
class DoneStep:
    """A set step whose decisions are committed."""

    name: str
    folder: StageFolder
    facts: Mapping[str, Any]

    def table(self, spark: SparkSession, name: str) -> DataFrame:
        """One of the tables that the step has written."""
        return spark.read.parquet(self.folder.table(name))

    def edits(self, spark: SparkSession) -> Edits | None:
        """The texts that the step has cut, None where it cuts none."""
        if self.facts["edits"] is None:
            return None
        return Edits(_edits_in(spark, self.folder.table(self.facts["edits"]["table"])), self.facts["edits"]["count"])


def _set_step(context: Context, name: str, step: SetStep, rows: DataFrame, before: Sequence[DoneStep]) -> DoneStep:
    recipe = context.request.recipe
    parameters = getattr(recipe.steps, name, None)  # None: a step that a command brings itself
    parts = fingerprint(
        rows=context.steps.part(),
        inputs=context.inputs_digest,
        sampling=[context.request.sample, context.request.limit],
        recipe=_settings(recipe, name),
        before=[(one.name, _settings(recipe, one.name)) for one in before],
        history=context.request.history,
        testsets=_files_of_testsets(context.files, parameters),
        definition=DEFINITION_VERSIONS.get(name),
        code=code_version(),
    )

    def work(folder: StageFolder) -> dict[str, Any]:
        with progress(context.spark, name):
            result = step(_still_kept(context, rows, before), parameters, folder)
            decisions_of(result.decisions, name).write.parquet(folder.table("decisions"))
            edits = None if result.edits is None else _committed_edits(context.spark, result, folder)
            for table, frame in result.tables.items():
                frame.write.parquet(folder.table(table))
            decisions = context.spark.read.parquet(folder.table("decisions"))
            removed, rules = decisions.count(), _rules_of_decisions(decisions)
        return {
            "removed": removed,
            "rules": rules,
            "tables": sorted(result.tables),
            "edits": edits,
            "facts": dict(result.facts),
        }

    folder, facts = context.folder.stage(name, parts, work)
    previous = context.accounts[-1]
    account = StageAccount(
        stage=name,
        read=previous.kept,
        kept=previous.kept - facts["removed"],
        removed=facts["removed"],
        rules=facts["rules"],
        seconds=facts["seconds"],
        facts=dict(facts["facts"]),
    )
    _say_account(account)
    context.accounts.append(account)
    return DoneStep(name, folder, facts)


def _committed_edits(spark: SparkSession, result: SetResult, folder: StageFolder) -> dict[str, Any]:
    """The table in the step's folder that holds the texts it has cut, and how many they are."""
    assert result.edits is not None
    path = result.edits_in or folder.table("edits")
    if result.edits_in is None:
        result.edits.select(*EDIT_COLUMNS).write.parquet(path)
    return {"table": path.removeprefix(folder.table("")), "count": _edits_in(spark, path).count()}


def _edits_in(spark: SparkSession, path: str) -> DataFrame:
    table = spark.read.parquet(path)
    return (table.where(~F.col("gone")) if "gone" in table.columns else table).select(*EDIT_COLUMNS)


def _settings(recipe: Recipe, name: str) -> Any:
    parameters = getattr(recipe.steps, name, None)
    return None if parameters is None else parameters.model_dump(mode="json")


def _rules_of_decisions(decisions: DataFrame) -> dict[str, int]:
    """How many documents each rule removes, the most frequent first."""
    rules = F.coalesce(F.col("reasons.rule"), F.array(F.regexp_replace("stage", "^dedup_", "duplicate_")))
    counted = decisions.select(F.explode(rules).alias("rule")).groupBy("rule").count().collect()  # a row a rule
    found = {row["rule"]: int(row["count"]) for row in counted}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _files_of_testsets(files: DriverFiles, parameters: Any) -> list[Any]:
    """The test sets that a step reads besides documents, as (path, size, modification time)."""
    return [
        [info.path, info.size_bytes, info.modified_ms]
        for testset in getattr(parameters, "testsets", ())
        for info in files.find(testset.path)
    ]


def _still_kept(context: Context, rows: DataFrame, before: Sequence[DoneStep]) -> DataFrame:
    """Documents that are kept so far, as the steps before left them, with (key, copy) and the rank of their source."""
    removed = [one.table(context.spark, "decisions") for one in before]
    decisions = functools.reduce(lambda a, b: a.unionByName(b), removed) if removed else None
    documents = without_removed(with_copy(rows.where(F.col("outcome") == KEPT)), decisions)
    documents = with_edits(documents, _edits(context, before))
    return context.steps.with_source_facts(documents, context.request.recipe)


def _edits(context: Context, done: Sequence[DoneStep]) -> list[Edits]:
    return [edits for one in done if (edits := one.edits(context.spark)) is not None]


# ------------------------------------------------------------------------------------------------ gates, ledger, output


def _check_gates(context: Context, rows: DataFrame, done: Sequence[DoneStep]) -> None:
    recipe, sums = context.request.recipe, totals(context.accounts)
    read, bad = sums["read"], context.accounts[0].quarantined
    if read and bad / read > recipe.ingest.max_bad_fraction:
        worst = context.accounts[0].facts.get(QUARANTINED, {})
        raise InputContractError(
            f"{bad} of {read} records are unreadable, more than ingest.max_bad_fraction = "
            f"{recipe.ingest.max_bad_fraction:g} "
            f"allows: {', '.join(f'{reason} ({count})' for reason, count in worst.items())}",
            next_step="look at the input, or raise ingest.max_bad_fraction",
        )
    tripped = []
    gates = recipe.gates
    documents = read - sums["ignored"] - bad
    if gates.min_documents is not None and documents < gates.min_documents:
        tripped.append(f"min_documents: {documents} documents were read, at least {gates.min_documents} are asked for")
    if gates.max_documents is not None and documents > gates.max_documents:
        tripped.append(f"max_documents: {documents} documents were read, at most {gates.max_documents} are allowed")
    if gates.min_kept_documents is not None and sums["kept"] < gates.min_kept_documents:
        tripped.append(
            f"min_kept_documents: {sums['kept']} documents were kept, at least {gates.min_kept_documents} are asked for"
        )
    if documents >= max(1, gates.min_share_documents):
        share = sums["removed"] / documents
        if gates.max_removed_fraction is not None and share > gates.max_removed_fraction:
            tripped.append(
                f"max_removed_fraction: {share:.4f} of the documents were removed, "
                f"{gates.max_removed_fraction:g} is allowed"
            )
        tripped += _null_gates(context, documents)
        tripped += _stage_gates(context)
        if gates.max_source_removed_fraction is not None or (done and gates.max_source_duplicate_fraction is not None):
            losses = losses_by_source(rows, [one.table(context.spark, "decisions") for one in done])
            tripped += sources_that_lose_too_much(losses, gates)
    refuse_tripped(tripped, context.request.allowed_gates)


def _null_gates(context: Context, documents: int) -> list[str]:
    limit, facts = context.request.recipe.gates.max_null_fraction, context.accounts[0].facts
    if limit is None:
        return []
    return [
        f"max_null_fraction: {facts[f'no_{name}']} of {documents} documents have no {name}, "
        f"a share of {limit:g} is allowed"
        for name in NULLABLE
        if facts[f"no_{name}"] / documents > limit
    ]


def _stage_gates(context: Context) -> list[str]:
    gates, tripped = context.request.recipe.gates, []
    for account in context.accounts:
        if not account.read:
            continue
        share = account.removed / account.read
        limit = gates.max_stage_removed_fraction.get(account.stage)
        if limit is not None and share > limit:
            tripped.append(
                f"max_stage_removed_fraction.{account.stage}: {share:.4f} were removed, {limit:g} is allowed"
            )
        for fact, name in (
            ("near_unresolved", "max_near_unresolved_fraction"),
            ("largest_cluster", "max_cluster_fraction"),
            ("contaminated", "max_contaminated_fraction"),
        ):
            gate = getattr(gates, name)
            value = account.facts.get(fact)
            if gate is not None and isinstance(value, int | float) and value / account.read > gate:
                tripped.append(
                    f"{name}: {fact} of {account.stage}: {value} of {account.read} documents, "
                    f"a share of {gate:g} is allowed"
                )
    return tripped


def _ledger(context: Context, run_id: str, started: float) -> dict[str, Any]:
    request = context.request
    peak = peak_worker_bytes(context.spark)
    say(f"a Python worker held {peak / 1e6:,.0f} MB of memory at most", peak_worker_bytes=peak)
    return {
        "run_id": run_id,
        "job": request.job,
        "recipe": dict(request.resolved.as_dict),
        "recipe_sha256": request.recipe_sha256,
        "code_version": code_version(),
        "definition_versions": {
            name: DEFINITION_VERSIONS[name] for name in request.steps if name in DEFINITION_VERSIONS
        },
        "inputs": _inputs_by_source(context.inputs),
        "inputs_sha256": context.inputs_digest,
        "sample": request.sample,
        "limit": request.limit,
        "history": request.history,
        "allowed_gates": list(request.allowed_gates),
        "totals": totals(context.accounts),
        "stages": [stage_record(account) for account in context.accounts],
        "spark": {
            "application_id": context.spark.sparkContext.applicationId,
            "version": context.spark.version,
            "master": context.spark.sparkContext.master,
            "parallelism": context.spark.sparkContext.defaultParallelism,
            "peak_worker_bytes": peak,
        },
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 3),
    }


def _inputs_by_source(inputs: Sequence[InputFile]) -> list[dict[str, Any]]:
    """One record per source; the list of files itself is the table ``inputs``."""
    records = []
    for source in sorted({file.source for file in inputs}):
        files = [file for file in inputs if file.source == source]
        records.append(
            {
                "source": source,
                "files": len(files),
                "bytes": total_bytes(file.info for file in files),
                "sha256": input_files.digest_of_inputs(files),
                "formats": sorted({file.format for file in files}),
            }
        )
    return records


def _publish(context: Context, rows: DataFrame, done: Sequence[DoneStep], ledger: dict[str, Any]) -> None:
    spark, recipe = context.spark, context.request.recipe
    decisions = resolve_representatives([one.table(spark, "decisions") for one in done])
    edits = _edits(context, done)
    out = StageFolder(context.folder.staging)
    content = recipe.keep_content or context.request.job == "ingest"
    with progress(spark, "publish"):
        kept = kept_documents(rows, decisions, edits, keep_signals=recipe.keep_signals, keep_content=content)
        row_groups = context.request.row_group_bytes
        sized = {"parquet.block.size": str(row_groups)} if row_groups else {}
        kept.write.options(**without_dictionaries(kept), **sized).parquet(out.table("kept"))
        removed = removed_documents(rows, decisions, recipe.audit, keep_content=content)
        removed.write.options(**without_dictionaries(removed)).parquet(out.table("removed"))
        quarantined_rows(rows).coalesce(1).write.parquet(out.table("quarantine"))
        measured = signal_rows(rows, decisions)
        measured.write.options(**without_dictionaries(measured)).parquet(out.table("signals"))
        _input_table(context).write.parquet(out.table("inputs"))
        for one in done:
            for table in one.facts["tables"]:
                one.table(spark, table).write.parquet(out.table(table))
        signals = spark.read.parquet(out.table("signals"))
        _fill_bytes(context.accounts, signals)
        if context.request.history is not None:
            ledger["signal_means"] = signal_means(signals)
    ledger["stages"] = [stage_record(account) for account in context.accounts]
    ledger["tables"] = _record_files(context, out)
    _check_published(ledger)
    if context.request.paranoid:
        ledger["paranoid"] = context.steps.re_decide(rows)
    ledger["seconds"] = round(time.time() - datetime.fromisoformat(ledger["started"]).timestamp(), 3)
    if context.request.job in REPORTED_JOBS:
        _write_report(context, out.path, ledger)
    context.folder.publish(ledger)


def _write_report(context: Context, folder: str, ledger: Mapping[str, Any]) -> None:
    """``report.html`` beside the tables. A run of hours is not lost for its report: it can be written again later."""
    from jobs.core.report_page import report_page

    try:
        with progress(context.spark, "report"):
            # Through JSON, so that it says to the byte what `winnow report` says of the published ledger.
            run = FinishedRun(folder, json.loads(json.dumps(ledger)), *worker_file_system(folder))
            run.write("report.html", report_page(run).encode("utf-8"))
    except Exception as error:
        log.debug("the report failed", exc_info=True, extra={"file_only": True})
        output = context.request.output
        say(f"report.html was not written ({type(error).__name__}: {error}); `winnow report {output}` tries again")


def _record_files(context: Context, out: StageFolder) -> dict[str, Any]:
    """Write the table ``files``, which lists every file of the output; the ledger's account of each table."""
    files, root = context.files, context.files.qualified(out.path)
    listed = _published_files(files, root, [name for name in files.children(root) if name[0] not in "._"])
    rows = context.spark.createDataFrame([as_row(file) for file in listed], FILE_SCHEMA)
    rows.coalesce(1).write.parquet(out.table(FILES))
    return table_records([*listed, *_published_files(files, root, [FILES])])


def _published_files(files: DriverFiles, root: str, tables: Sequence[str]) -> list[PublishedFile]:
    found = [info for table in tables for info in files.find(join_path(root, table))]
    records, damaged = look_at_all(
        ((info.path.removeprefix(root).lstrip("/"), info.path, info.size_bytes) for info in found), files.read_from
    )
    if damaged:
        raise ResourceError(f"what was just written cannot be read: {damaged}", next_step="run again with --resume")
    return records


def _fill_bytes(accounts: Sequence[StageAccount], signals: DataFrame) -> None:
    """Text bytes and words that each stage reads and keeps, from the written signals: one small job, no text read."""
    has_words = "signals" in signals.columns and "word_count" in signals.select("signals.*").columns
    words = F.sum("signals.word_count") if has_words else F.lit(None).cast("long")
    sums = signals.groupBy("stage").agg(F.sum("text_bytes").alias("bytes"), words.alias("words")).collect()
    lost = {row["stage"]: (int(row["bytes"] or 0), int(row["words"] or 0)) for row in sums}  # a row a stage
    kept_bytes, kept_words = lost.get(None, (0, 0))
    for account in reversed(accounts):
        account.facts["kept_text_bytes"], account.words = kept_bytes, kept_words
        removed_bytes, removed_words = lost.get(account.stage, (0, 0))
        kept_bytes, kept_words = kept_bytes + removed_bytes, kept_words + removed_words
        if account is not accounts[0]:
            account.bytes = kept_bytes


def _check_published(ledger: Mapping[str, Any]) -> None:
    """What was written is what the ledger says, counted in the footers of the written files."""
    for table, name in (("kept", "kept"), ("removed", "removed"), ("quarantine", "quarantined")):
        written = ledger["tables"].get(table, {"rows": 0})["rows"]
        if written != ledger["totals"][name]:
            raise AssertionError(f"{table} holds {written} rows, the ledger says {ledger['totals'][name]}")


def _input_table(context: Context) -> DataFrame:
    schema = "source string, path string, format string, size_bytes long, modified_ms long, damage string"
    listed = [(f.source, f.path, f.format, f.info.size_bytes, f.info.modified_ms, f.damage) for f in context.inputs]
    return context.spark.createDataFrame(listed, schema).coalesce(1)


# --------------------------------------------------------------------------------------------------------- around a run


def _new_run_id(request: Request) -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{request.recipe_sha256[:8]}"


def _finished_already(context: Context) -> dict[str, Any] | None:
    """With ``--resume``, a complete output of the same recipe and inputs is the answer; another one is refused."""
    published = context.folder.published()
    if published is None or not context.request.resume:
        return None
    same = (
        published.get("recipe_sha256") == context.request.recipe_sha256
        and published.get("inputs_sha256") == context.inputs_digest
        and published.get("job") == context.request.job
        and published.get("history") == context.request.history
    )
    if not same:
        changed = [k for k, v in (("recipe", context.request.recipe_sha256),) if published.get("recipe_sha256") != v]
        changed += ["inputs"] if published.get("inputs_sha256") != context.inputs_digest else []
        raise UsageError(
            f"{context.folder.output} is complete and was made from something else: "
            f"{', '.join(changed) or 'another job'} changed",
            next_step="choose another --output",
        )
    say(f"already complete: run {published['run_id']}", finished=True)
    return {**published, "already_complete": True}


def _dry_run(context: Context) -> dict[str, Any]:
    say("dry run: inputs are listed and checked, nothing is read or written")
    for record in _inputs_by_source(context.inputs):
        say(
            f"  source {record['source']}: {record['files']} files, {record['bytes']:,} bytes "
            f"({', '.join(record['formats'])})"
        )
    say(f"  steps: {', '.join(context.request.steps)}")
    return {"dry_run": True, "inputs": _inputs_by_source(context.inputs), "steps": list(context.request.steps)}


def print_funnel(ledger: Mapping[str, Any]) -> None:
    """The ledger's stages as a table on standard output."""
    print(funnel(ledger["stages"]))
