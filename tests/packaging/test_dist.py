"""``make dist``: what a cluster is given works where it is unpacked, without the checkout and without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow  # it installs all dependencies into a new environment


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that ``make dist`` fills, made from a copy of the checkout."""
    if shutil.which("make") is None or not (Path(sys.prefix) / "bin" / "venv-pack").exists():
        pytest.skip("make or venv-pack is not installed (requirements-dev.lock)")
    copy = tmp_path_factory.mktemp("dist") / "winnow"
    names = shutil.ignore_patterns(".git", ".venv", "__pycache__", "build", "dist", "demo", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=names, symlinks=True)
    # The environment of this test is up to date for make: it is not what is tested.
    command = ["make", "dist", f"VENV={sys.prefix}", f"-o{sys.prefix}/.winnow-development"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "dist"


def test_there_are_a_wheel_a_zip_of_it_and_an_environment(dist: Path) -> None:
    (wheel,) = dist.glob("winnow_corpus-*.whl")
    assert (dist / "winnow.zip").read_bytes() == wheel.read_bytes()
    assert sorted(path.name for path in dist.iterdir()) == sorted(["environment.tar.gz", "winnow.zip", wheel.name])


def test_the_environment_runs_where_it_is_unpacked(dist: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "-xzf", str(dist / "environment.tar.gz"), "-C", str(tmp_path)], check=True)
    script = (
        "import jobs, udfs, pyarrow, pyspark; from jobs.core.preflight import environment_facts as facts\n"
        "from jobs.core.recipe_file import resolve_recipe as resolve\n"
        "print(jobs.__file__); print('absent' in facts().values()); print(resolve('gopher').recipe.recipe)\n"
    )
    done = subprocess.run(
        [str(tmp_path / "bin" / "python"), "-I", "-c", script], cwd="/", capture_output=True, text=True, check=True
    )
    where, absent, recipe = done.stdout.splitlines()
    assert where.startswith(str(tmp_path))
    assert (absent, recipe) == ("False", "gopher")
