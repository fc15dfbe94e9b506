"""Kernels compile once per machine: warming, the cache's folder, and what must be in its name."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import udfs
from udfs.kernels import _ByContent
from udfs.warm import WARMERS, _dispatchers, warm

PACKAGE = Path(udfs.__file__).parent
WARM = "from udfs.warm import warm; print(*warm({kernels})[:2])"


def warmed(kernels: list[str] | None = None, *, root: Path = PACKAGE.parent, **environment: str) -> tuple[int, int]:
    """Kernels (loaded, compiled) by another process."""
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    ran = subprocess.run(
        [sys.executable, "-B", "-c", WARM.format(kernels=kernels)],
        env=kept | {"PYTHONPATH": str(root)} | environment,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    loaded, compiled = ran.stdout.split()
    return int(loaded), int(compiled)


def kernel_modules() -> dict[str, set[str]]:
    """Modules with compiled functions, and the names of those functions."""
    found = {}
    for path in sorted(PACKAGE.glob("*.py")):
        functions = {
            node.name
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef) and any("njit" in ast.unparse(one) for one in node.decorator_list)
        }
        if functions:
            found[path.name] = functions
    return found


def test_no_kernel_without_reference_counts_returns_an_array():
    warm()
    found = {
        (kernel.py_func.__module__, kernel.py_func.__name__, kernel.targetoptions["_nrt"]): compiled
        for kernel in _dispatchers()
        for compiled in (str(of.signature.return_type) for of in kernel.overloads.values())
    }
    assert len(found) > 50
    assert any(counts and "array" in returned.lower() for (*_, counts), returned in found.items())
    assert not [name for (*name, counts), returned in found.items() if not counts and "array" in returned.lower()]


def test_a_second_process_compiles_nothing():
    warmed()
    loaded, compiled = warmed()
    assert compiled == 0
    assert loaded >= len(WARMERS)


def test_a_read_only_install_folder_is_not_written_and_the_cache_serves_what_says_the_same_anywhere(tmp_path):
    install, elsewhere = tmp_path / "install", tmp_path / "elsewhere"
    for place in (install, elsewhere):
        shutil.copytree(PACKAGE, place / "udfs", ignore=shutil.ignore_patterns("__pycache__", "reference"))
    before = sorted(install.rglob("*"))
    for path in [install, *before]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": ""}
    try:
        assert warmed(["tokens"], root=install, **home)[1] > 0
        assert warmed(["tokens"], root=install, **home)[1] == 0
        assert warmed(["tokens"], root=elsewhere, **home)[1] == 0
        assert sorted(install.rglob("*")) == before
    finally:
        for path in [install, *before]:
            path.chmod(0o755)
    (cache,) = (tmp_path / "home" / ".cache").glob("winnow-kernels-*")
    module = elsewhere / "udfs" / "tokens.py"
    named = [path.name for path in cache.glob("tokens-*")]
    assert named == [_ByContent.get_suitable_cache_subpath(str(module))]
    module.write_text(module.read_text() + "# something else")
    assert named != [_ByContent.get_suitable_cache_subpath(str(module))]


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """The process's environment, put back after the test with Numba's own setting."""
    from numba.core import config

    monkeypatch.setattr(config, "CACHE_DIR", config.CACHE_DIR)
    monkeypatch.setenv("NUMBA_CACHE_DIR", "unset")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return monkeypatch


def test_the_folder_that_the_user_names_comes_first_and_children_inherit_it(environment, tmp_path):
    environment.setenv("NUMBA_CACHE_DIR", str(tmp_path / "named"))
    folder = udfs.place_kernel_cache()
    assert folder is not None
    assert folder.parent == tmp_path / "named"
    assert udfs.place_kernel_cache() == folder


def test_where_no_home_can_be_written_kernels_are_cached_in_the_temporary_folder(environment, tmp_path):
    (tmp_path / "file").write_text("no folder can be made below this")
    environment.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    environment.setattr("tempfile.tempdir", str(tmp_path))
    folder = udfs.place_kernel_cache()
    assert folder is not None
    assert folder.is_relative_to(tmp_path)
    assert folder.stat().st_mode & 0o077 == 0


def test_the_cache_folder_is_named_after_every_file_that_is_compiled_into_kernels_of_others():
    modules = kernel_modules()
    shared = {"kernels.py", *(path.name for path in PACKAGE.glob("*.npz"))}
    for name in modules:
        for node in ast.parse((PACKAGE / name).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("udfs."):
                source = node.module.removeprefix("udfs.") + ".py"
                imported = {alias.name for alias in node.names}
                if modules.get(source, set()) & imported or any(each.isupper() for each in imported):
                    shared.add(source)
    assert shared == set(udfs.SHARED_KERNEL_FILES)


def test_every_module_with_kernels_is_warmed():
    reached = subprocess.run(
        [sys.executable, "-c", "import sys; from udfs.warm import warm; warm(); print(*sys.modules)"],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    missing = {name for name in kernel_modules() if f"udfs.{name.removesuffix('.py')}" not in reached}
    assert not missing
