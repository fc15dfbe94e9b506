"""Lists inside installed packages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.core.annotation import annotation_plan
from jobs.core.errors import ConfigurationError
from jobs.core.packaged_lists import path_of
from jobs.core.recipe_file import resolve_recipe
from udfs.annotate import annotate, paths_of


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package that holds lists, and that fails if its code is run."""
    home = tmp_path / "site" / "some_lists"
    (home / "data").mkdir(parents=True)
    (home / "__init__.py").write_text("raise RuntimeError('the package was run')\n")
    (home / "data" / "en.txt").write_text("snollygoster\n")
    (tmp_path / "site" / "secret.txt").write_text("outside\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield home
    assert "some_lists" not in sys.modules


def test_a_path_that_names_no_package_is_left_alone() -> None:
    assert path_of("lists/en.txt") == "lists/en.txt"
    assert path_of("/data/package:of/lists") == "/data/package:of/lists"


def test_a_file_and_a_folder_of_a_package_are_found_without_running_it(package: Path) -> None:
    assert path_of("package:some_lists/data/en.txt") == str(package / "data" / "en.txt")
    assert path_of("package:some_lists/data") == str(package / "data")


def test_what_is_missing_is_named_with_what_there_is(package: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"data/de\.txt.*holds data/"):
        path_of("package:some_lists/data/de.txt")
    with pytest.raises(ConfigurationError, match="no installed package 'no_such_lists'") as refused:
        path_of("package:no_such_lists/en.txt")
    assert "pip install no_such_lists" in str(refused.value.next_step)


@pytest.mark.parametrize("named", ["package:some_lists/../secret.txt", "package:../x", "package:", "package:a.b/c"])
def test_nothing_outside_of_a_package_is_read(package: Path, named: str) -> None:
    with pytest.raises(ConfigurationError):
        path_of(named)


def hits(recipe: Path, texts: list[str]) -> list[int]:
    plan = annotation_plan(resolve_recipe(str(recipe)), ("filter_content",))
    assert not any(path.startswith("package:") for path in paths_of(plan))
    text, nothing = pa.array(texts), pa.nulls(len(texts), pa.string())
    keys = pa.nulls(len(texts), pa.binary())
    measured = annotate(plan, keys, pa.array(texts), nothing, text, None, nothing)
    return [row["lexicon_hits_listed"] for row in measured.field("signals").to_pylist()]


def recipe_of(folder: Path, path: str) -> Path:
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        "recipe: lists\nlanguages: {detect: false}\nsteps:\n  filter_content:\n"
        f"    lexicons: {{listed: {{path: '{path}', language: en}}}}\n    lexicon_fraction_listed: {{max: 0.1}}\n"
    )
    return recipe


def test_a_recipe_takes_its_lexicon_from_a_package(package: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, "package:some_lists/data/en.txt")
    assert hits(recipe, ["That snollygoster, a Snollygoster!", "A senator."]) == [2, 0]


def test_the_list_of_the_extra_is_read_as_it_is_published(tmp_path: Path) -> None:
    if find_spec("safetext") is None:
        pytest.skip("the extra wordlists is not installed")
    listed = Path(str(distribution("safetext").locate_file("safetext/languages/en/words.txt")))
    words = [line for line in listed.read_text(encoding="utf-8").splitlines() if line.isalpha()]
    found = hits(
        recipe_of(tmp_path, "package:safetext/languages/en/words.txt"), [" and ".join(words[:50]), "A garden."]
    )
    assert found == [50, 0]
