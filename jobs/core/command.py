"""The command line that all jobs share: arguments, logging, and how a command ends.

Exit codes (docs/faults.md): 0 done, 1 bug, 2 usage or configuration, 3 input contract, 4 gate, 5 conflict, 6 resources,
130 interrupted. The last line on stderr says what happened and what to do next; a traceback goes to the log file, and
to the screen with ``--verbose``.
"""

from __future__ import annotations

import argparse
import logging
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jobs.core.console import log, log_file, set_up_logging
from jobs.core.errors import ConfigurationError, ResourceError, UsageError, WinnowError

INTERRUPTED = 130
BUG = 1

# What the JVM says when a machine runs out of something: the cause as a person would say it.
_RESOURCE_SIGNS = (
    (re.compile(r"No space left on device"), "the disk is full"),
    (re.compile(r"java\.lang\.OutOfMemoryError|Java heap space"), "the JVM ran out of memory"),
    (re.compile(r"Cannot allocate memory|MemoryError"), "a worker ran out of memory"),
    (re.compile(r"Permission denied|Read-only file system"), "a folder cannot be written"),
)
# A context that is stopped while it is being made fails in one of several ways, by how far it has come: some part of it
# is null by then, or says that it has ended.
_MASTER_SIGN = re.compile(
    r"All masters are unresponsive|[Ss]topped SparkContext|SparkContext was shut down|RpcEnv(?: already)? stopped"
    r'|return value of "org\.apache\.spark\.Spark(?:Context|Env)[\w.$]*\(\)" is null|on a running MetricsSystem'
)
_VERSION_SIGN = re.compile(r"PYTHON_VERSION_MISMATCH\] (.*?\d\.\d+.*?\d\.\d+)")
_IMPORT_SIGN = re.compile(r"ModuleNotFoundError: (No module named '[\w.]+')")


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints end like all others: exit code 2 and one line that says what to do."""

    def error(self, message: str) -> Any:
        """Raise ``UsageError`` with the usage line."""
        raise UsageError(message, next_step=f"see `{self.prog} --help`")


def parser(name: str, description: str, example: str) -> Parser:
    """A parser for ``winnow NAME`` with an example at the end of its help."""
    return Parser(
        prog=f"winnow {name}",
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_recipe_arguments(arguments: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """``--recipe`` and ``--set``."""
    arguments.add_argument(
        "--recipe",
        metavar="R",
        default=default,
        required=default is None,
        help="recipe: a name (gopher, fineweb) or a path",
    )
    arguments.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override one key, e.g. steps.filter_quality.word_count.min=40 (may be repeated)",
    )


def add_spark_arguments(arguments: argparse.ArgumentParser) -> None:
    """``--master`` and ``--conf``."""
    arguments.add_argument(
        "--master", metavar="M", help="Spark master (default: the one of spark-submit, else all local cores)"
    )
    arguments.add_argument(
        "--conf", metavar="K=V", action="append", default=[], help="a Spark setting (may be repeated)"
    )


def add_log_arguments(arguments: argparse.ArgumentParser) -> None:
    """``--log-format`` and ``--verbose``."""
    arguments.add_argument("--log-format", choices=("text", "json"), default="text", help="how the log on stderr looks")
    arguments.add_argument("--verbose", action="store_true", help="show tracebacks and debug lines on the screen too")


def fraction(text: str) -> float:
    """A share in (0, 1]."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a number") from None
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not in (0, 1]")
    return value


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return int(text)


def settings_of(pairs: Sequence[str]) -> dict[str, str]:
    """``K=V`` pairs as a mapping."""
    settings = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UsageError(f"--conf {pair}: not of the form KEY=VALUE")
        settings[key] = value
    return settings


def end_well(command: Callable[[], int | None], *, verbose: bool = False) -> int:
    """Run a command and turn whatever happens into an exit code and one last line on stderr."""
    try:
        signal.signal(signal.SIGTERM, _terminate)
        return command() or 0
    except WinnowError as error:
        return _end(error, error.message, error.next_step, error.exit_code, verbose)
    except KeyboardInterrupt:
        print("interrupted: nothing was published; run again with --resume to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        found = _environment_problem(error)
        if found is not None:
            return _end(error, found.message, found.next_step, found.exit_code, verbose)
        summary = f"{type(error).__name__}: {_first_line(error)}"
        return _end(error, f"this is a bug: {summary}", "report it with the log file", BUG, verbose)


def _terminate(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _end(error: BaseException, message: str, next_step: str, code: int, verbose: bool) -> int:
    log.debug("traceback", exc_info=error, extra={"file_only": True})
    where = next((h.baseFilename for h in log.handlers if isinstance(h, logging.FileHandler)), None)
    parts = [f"error: {message}"]
    if next_step:
        parts.append(f"next: {next_step}")
    if where and code in (BUG, ResourceError.exit_code):
        parts.append(f"log: {where}")
    print("\n".join(parts) if "\n" in message else "; ".join(parts), file=sys.stderr)
    return code


def _environment_problem(error: BaseException) -> WinnowError | None:
    text = f"{type(error).__name__}: {error}"
    missing = _IMPORT_SIGN.search(text)
    if missing and "Python" in text:
        return ConfigurationError(
            f"a Spark worker lacks a package: {missing.group(1)}",
            next_step="install Winnow for the workers' Python, or ship it with --archives (docs/deploy.md)",
        )
    if other := _VERSION_SIGN.search(text):
        return ConfigurationError(
            f"the workers run another Python: {other.group(1)}",
            next_step="point PYSPARK_PYTHON at the driver's minor version on every machine (docs/deploy.md)",
        )
    if _MASTER_SIGN.search(text):
        return ResourceError(
            "Spark's master cannot be reached, refused this job or ended it",
            next_step="see that the master runs and that _SPARK_AUTH_SECRET is its secret; then run with --resume",
        )
    for sign, meaning in _RESOURCE_SIGNS:
        if sign.search(text) or (isinstance(error, OSError) and sign.search(str(error))):
            return ResourceError(meaning, next_step="free or enlarge it and run again with --resume")
    return None


def _first_line(error: BaseException) -> str:
    text = str(getattr(error, "java_exception", None) or error)
    return text.strip().splitlines()[0][:300] if text.strip() else ""


def start_logging(arguments: argparse.Namespace) -> None:
    """Logging as the arguments ask for it."""
    set_up_logging(log_format=arguments.log_format, verbose=arguments.verbose, log_file=log_file())
