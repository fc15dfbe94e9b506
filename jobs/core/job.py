"""From a command line to a request: what every job that reads documents and writes an output has in common."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.core import command
from jobs.core.console import say
from jobs.core.errors import UsageError

if TYPE_CHECKING:
    from jobs.core.recipe import Recipe
    from jobs.core.recipe_file import Resolved
    from jobs.core.run import SetStep


@dataclass(frozen=True)
class Job:
    """One command that runs steps of a recipe: its name, the steps it brings, and how it is described."""

    name: str
    summary: str
    example: str
    steps: tuple[str, ...] | None  # None: all steps of the recipe
    set_steps: Mapping[str, SetStep] = field(default_factory=dict)


def job_parser(job: Job) -> command.Parser:
    """The arguments of architecture.md's interface, the same for every job."""
    arguments = command.parser(job.name, job.summary, job.example)
    command.add_recipe_arguments(arguments)
    arguments.add_argument(
        "--input",
        metavar="PATH",
        nargs="+",
        action="extend",
        default=[],
        help="files, folders or globs; replaces the recipe's sources",
    )
    arguments.add_argument(
        "--output", metavar="DIR", required=True, help="where the results appear; must not exist yet"
    )
    arguments.add_argument(
        "--testsets", metavar="PATH", nargs="+", action="extend", default=[], help="test sets to keep out of the corpus"
    )
    arguments.add_argument(
        "--resume", action="store_true", help="go on with an unfinished run: finished stages are skipped"
    )
    arguments.add_argument(
        "--sample", metavar="FRACTION", type=command.fraction, help="clean a sample: documents by key, archives by file"
    )
    arguments.add_argument(
        "--limit", metavar="N", type=command.positive, help="clean the N documents with the smallest keys"
    )
    arguments.add_argument("--dry-run", action="store_true", help="check recipe and inputs, then stop")
    arguments.add_argument(
        "--paranoid", action="store_true", help="decide 1 000 documents again by the plain definitions"
    )
    arguments.add_argument("--run-id", metavar="ID", help="name of this run in the ledger")
    command.add_spark_arguments(arguments)
    command.add_log_arguments(arguments)
    return arguments


def run_job(job: Job, argv: Sequence[str] | None) -> int:
    """Parse, resolve the recipe, run, and report; the exit code."""
    verbose = "--verbose" in (argv or ())

    def body() -> int:
        arguments = job_parser(job).parse_args(argv)
        command.start_logging(arguments)
        return _run(job, arguments)

    return command.end_well(body, verbose=verbose)


def _run(job: Job, arguments: argparse.Namespace) -> int:
    from jobs.core.recipe_file import resolve_recipe

    resolved = resolve_recipe(arguments.recipe, arguments.overrides)
    resolved = with_inputs(resolved, arguments.input, arguments.testsets)
    steps = steps_of(job, resolved.recipe)
    say(f"recipe {resolved.recipe.recipe} ({resolved.sha256[:12]}): {', '.join(steps)}")

    from jobs.core.files import local_bytes_are_within
    from jobs.core.rowwise import reader_sources
    from jobs.core.run import Request, execute, print_funnel
    from jobs.core.session import SHORT_RUN_BYTES, spark_session

    request = Request(
        job=job.name,
        resolved=resolved,
        steps=steps,
        output=arguments.output,
        resume=arguments.resume,
        sample=arguments.sample,
        limit=arguments.limit,
        dry_run=arguments.dry_run,
        run_id=arguments.run_id,
        paranoid=arguments.paranoid,
    )
    started = time.monotonic()
    settings = command.settings_of(arguments.conf)
    paths = [path for source in reader_sources(resolved.recipe) for path in source.paths]
    short = local_bytes_are_within(paths, SHORT_RUN_BYTES)
    with spark_session(f"winnow {job.name}", master=arguments.master, settings=settings, short=short) as spark:
        ledger = execute(spark, request, job.set_steps)
    if arguments.dry_run:
        say("dry run: nothing was written")
        return 0
    print_funnel(ledger)
    _last_lines(ledger, arguments, time.monotonic() - started)
    return 0


def with_inputs(resolved: Resolved, inputs: Sequence[str], testsets: Sequence[str]) -> Resolved:
    """The recipe with what the command line names: ``--input`` is one anonymous source, ``--testsets`` join the
    recipe's.
    """
    from jobs.core import recipe_file
    from jobs.core.recipe import ANONYMOUS_SOURCE, Decontaminate, Source

    recipe: Recipe = resolved.recipe
    if inputs:
        if recipe.sources:
            say(f"--input replaces the recipe's sources ({', '.join(recipe.sources)})")
        source = Source.model_validate({"input": list(inputs)})
        recipe = recipe.model_copy(update={"sources": {ANONYMOUS_SOURCE: source}})
    if testsets:
        step = recipe.steps.decontaminate or Decontaminate()
        merged = Decontaminate.model_validate(
            {**step.model_dump(mode="json"), "testsets": [*(t.model_dump() for t in step.testsets), *testsets]}
        )
        recipe = recipe.model_copy(update={"steps": recipe.steps.with_step("decontaminate", merged)})
    if not recipe.sources:
        raise UsageError(
            "nothing to read: the recipe has no sources", next_step="give --input PATH… or add sources to the recipe"
        )
    if recipe is resolved.recipe:
        return resolved
    return recipe_file.resolved(recipe, resolved.packs, resolved.files)


def steps_of(job: Job, recipe: Recipe) -> tuple[str, ...]:
    """The stages that a job runs: reading always comes first, raw pages become text unless the job only reads."""
    if job.steps is None:
        return ("ingest", *recipe.steps.names)
    missing = [name for name in job.steps if name not in recipe.steps]
    if missing:
        raise UsageError(
            f"recipe {recipe.recipe} has no step {missing[0]}",
            next_step=f"add `{missing[0]}: {{}}` to its steps, or use --set steps.{missing[0]}={{}}",
        )
    text_first = job.steps and "extract_text" not in job.steps and "extract_text" in recipe.steps
    return ("ingest", *(("extract_text",) if text_first else ()), *job.steps)


def _last_lines(ledger: Mapping[str, Any], arguments: argparse.Namespace, seconds: float) -> None:
    if "paranoid" in ledger:
        checked = ledger["paranoid"]
        say(f"paranoid: {checked['agree']} of {checked['checked']} documents decided alike by the plain definitions")
    if arguments.sample and not ledger.get("already_complete"):
        _say_estimate(ledger, arguments.sample)
    sums = ledger["totals"]
    say(
        f"done in {seconds:.0f} s: kept {sums['kept']:,} of {sums['read']:,} records, removed {sums['removed']:,}, "
        f"quarantined {sums['quarantined']:,}; results in {arguments.output}, "
        f"account in {arguments.output.rstrip('/')}/ledger.json"
        + (", report beside it" if ledger.get("job") == "run" else "")
    )


def _say_estimate(ledger: Mapping[str, Any], share: float) -> None:
    sums = ledger["totals"]
    text_bytes = max((stage["facts"].get("kept_text_bytes", 0) for stage in ledger["stages"]), default=0)
    say(
        f"estimate for the whole input: {round(sums['read'] / share):,} records, {round(sums['kept'] / share):,} kept, "
        f"{ledger['seconds'] / share / 60:.1f} minutes on these cores at the most, "
        f"{2 * text_bytes / share / 1e9:.2f} GB of scratch space"
    )
