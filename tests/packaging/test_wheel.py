"""The wheel holds the code and the configuration, and finds both from wherever it is installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="the build tools are not installed (requirements-build.lock)")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=300)
    return next(folder.glob("winnow_corpus-*.whl"))


def test_the_wheel_carries_every_module_and_every_configuration_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, home in (("jobs", "jobs"), ("udfs", "udfs"), ("conf", "jobs/_conf")):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"{home}/{path.relative_to(ROOT / folder).as_posix()}" in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "docs/"))]


def test_an_installed_wheel_finds_its_recipes_outside_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, timeout=300)
    # Dependencies come from this environment, the code from the target.
    script = (
        f"import sys; sys.path.insert(0, {str(target)!r})\n"
        "import jobs, jobs.core.recipe_file as recipes\n"
        "print(jobs.__file__)\n"
        "print(recipes.resolve_recipe('gopher').recipe.recipe)\n"
        "print(*recipes.shipped_languages())\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    where, recipe, languages = done.stdout.splitlines()
    assert where.startswith(str(target))
    assert recipe == "gopher"
    assert "en" in languages.split()


def test_an_editable_install_reads_the_checkouts_configuration() -> None:
    from jobs.core.recipe_file import conf_path

    assert Path(str(conf_path("recipes"))) == ROOT / "conf" / "recipes"
