"""The package imported from an archive, as ``spark-submit --py-files winnow.zip`` hands it to workers."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMPORT = (
    "import udfs, udfs.unicode, udfs.han; print(udfs.__path__[0]); print(udfs.unicode.load_tables().__class__.__name__)"
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "winnow.zip"
    with zipfile.ZipFile(path, "w") as package:
        for file in sorted((ROOT / "udfs").rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                package.write(file, file.relative_to(ROOT))
    return path


def imported(archive: Path, cache: Path) -> Path:
    """The folder that another process finds the package in."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"PYTHONPATH": str(archive), "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-P", "-c", IMPORT]
    done = subprocess.run(command, env=environment, cwd=archive.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder, tables = done.stdout.splitlines()
    assert tables == "Tables"
    return Path(folder)


def test_tables_are_read_and_later_processes_share_the_unpacked_files(archive: Path, tmp_path: Path) -> None:
    folder = imported(archive, tmp_path)
    assert folder.parent.parent == tmp_path
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if "__pycache__" not in path.parts}
    assert imported(archive, tmp_path) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if "__pycache__" not in path.parts} == before
    assert [path.name for path in folder.parent.iterdir()] == ["udfs"]


def test_other_code_is_unpacked_into_another_folder(archive: Path, tmp_path: Path) -> None:
    changed = tmp_path / "winnow.zip"
    changed.write_bytes(archive.read_bytes())
    with zipfile.ZipFile(changed, "a") as package:
        package.writestr("udfs/another.py", "")
    assert imported(changed, tmp_path / "cache") != imported(archive, tmp_path / "cache")


def test_processes_that_start_at_once_both_find_the_package_whole(archive: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(archive), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)
    command = [sys.executable, "-P", "-c", IMPORT]
    started = [subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(120) for process in started] == [0, 0, 0, 0]
    (home,) = tmp_path.glob("winnow-code-*")
    assert [path.name for path in home.iterdir()] == ["udfs"]
