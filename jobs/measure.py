"""Write each document's signals: ``winnow measure``.

Takes documents of any format; gives one JSON object a line, ``{"id", "signals": {name: value}}``, in the order of the
files, on standard output or in a file. Without a recipe all text signals are measured and the English lists apply.
Shuffles nothing; signals of a large input should be written to a folder by ``winnow run`` instead, which keeps them in
Parquet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from jobs.core import command
from jobs.core.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.core.recipe_file import Resolved

EXAMPLE = "winnow measure --input documents.jsonl > signals.jsonl"
TEXT_STEPS = ("filter_quality", "filter_repetition")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        return _measure(arguments)

    return command.end_well(body, verbose="--verbose" in (argv or ()))


def _parser() -> command.Parser:
    arguments = command.parser("measure", "Write each document's signals as JSON Lines.", EXAMPLE)
    arguments.add_argument(
        "--input", metavar="PATH", nargs="+", action="extend", required=True, help="files, folders or globs"
    )
    arguments.add_argument("--output", metavar="FILE", help="JSON Lines file to write (default: standard output)")
    arguments.add_argument(
        "--recipe", metavar="R", help="measure what this recipe measures (default: all text signals, English lists)"
    )
    arguments.add_argument(
        "--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[], help="override one key"
    )
    command.add_spark_arguments(arguments)
    command.add_log_arguments(arguments)
    return arguments


def _measure(arguments: Any) -> int:
    from jobs.core.session import spark_session

    resolved = measuring_recipe(arguments.recipe, arguments.overrides, arguments.input)
    settings = command.settings_of(arguments.conf)
    with spark_session("winnow measure", master=arguments.master, settings=settings) as spark:
        rows = measured(spark, resolved, every_text_signal=arguments.recipe is None)
        if arguments.output is None:
            for line in signal_lines(rows):
                sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            return 0
        from jobs.core.files import worker_file_system

        file_system, inner = worker_file_system(arguments.output)
        with file_system.open_output_stream(inner) as out:
            for line in signal_lines(rows):
                out.write(line)
    return 0


def measuring_recipe(name: str | None, overrides: Sequence[str], inputs: Sequence[str]) -> Resolved:
    """The recipe to measure by: the named one, else one that measures every text signal by the English lists."""
    from jobs.core.job import with_inputs
    from jobs.core.recipe_file import resolve_recipe

    if name is not None:
        return with_inputs(resolve_recipe(name, overrides), inputs, ())
    plain = ["languages.detect=false", "languages.default=en", *overrides]
    return with_inputs(resolve_recipe("gopher", plain), inputs, ())


def measured(spark: Any, resolved: Resolved, *, every_text_signal: bool) -> DataFrame:
    """The documents with their ``signals``, in the order of files and positions."""
    from jobs.core import inputs as input_files
    from jobs.core.files import DriverFiles
    from jobs.core.read_rows import ReadLimits
    from jobs.core.readers import read_documents
    from jobs.core.rowwise import reader_sources, row_steps

    sources = reader_sources(resolved.recipe)
    listed, _ = input_files.list_inputs(DriverFiles(spark), sources)
    checked = input_files.check_inputs(listed, sources)
    limits = ReadLimits(max_document_chars=resolved.recipe.ingest.max_document_chars)
    names = ("ingest", "extract_text", *(TEXT_STEPS if every_text_signal else resolved.recipe.steps.names))
    steps = row_steps(resolved, [n for n in names if n == "ingest" or n in resolved.recipe.steps])
    if not any(name in steps.names for name in ("filter_content", *TEXT_STEPS)):
        raise UsageError("this recipe measures nothing", next_step="give one with filter_quality or filter_repetition")
    rows = steps.annotated(read_documents(spark, checked, sources, limits))
    return rows.where("origin.outcome IS NULL").orderBy("origin.file", "origin.offset")


def signal_lines(rows: DataFrame) -> Iterator[bytes]:
    """One JSON line a document; rows come to the driver a partition at a time."""
    for row in rows.select("id", "signals").toLocalIterator(prefetchPartitions=True):
        yield orjson.dumps({"id": row["id"], "signals": row["signals"].asDict() if row["signals"] else {}}) + b"\n"


if __name__ == "__main__":
    sys.exit(main())
