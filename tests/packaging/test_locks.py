"""What is installed is what is locked: exact versions, hashed, within the bounds that the project states."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements-build.lock", "requirements.lock", "requirements-dev.lock")


def project() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def pins(lock: str) -> dict[str, list[Requirement]]:
    """Name → its pins (several where they differ by Python version)."""
    found: dict[str, list[Requirement]] = {}
    for line in (ROOT / lock).read_text().splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            requirement = Requirement(line.rstrip("\\").strip())
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_is_exact_and_hashed(lock: str) -> None:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / lock).read_text().strip())
    assert blocks
    for block in blocks:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_where_packages_come_from(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host", text)


def test_the_locks_hold_what_the_project_asks_for_within_its_bounds() -> None:
    declared = project()["project"]
    assert isinstance(declared, dict)
    runtime = [Requirement(text) for text in declared["dependencies"]]
    development = [Requirement(text) for text in declared["optional-dependencies"]["dev"]]
    for lock, requirements in {"requirements.lock": runtime, "requirements-dev.lock": runtime + development}.items():
        locked = pins(lock)
        for requirement in requirements:
            versions = [
                Version(str(pin.specifier).removeprefix("==")) for pin in locked[canonicalize_name(requirement.name)]
            ]
            assert versions
            assert all(version in requirement.specifier for version in versions), (lock, requirement)


def test_every_dependency_has_a_lower_and_an_upper_bound() -> None:
    declared = project()["project"]
    assert isinstance(declared, dict)
    groups = {"dependencies": declared["dependencies"], **declared["optional-dependencies"]}
    for group, texts in groups.items():
        for text in texts:
            operators = {specifier.operator for specifier in Requirement(text).specifier}
            assert ">=" in operators, (group, text)
            assert "<" in operators, (group, text)


def test_development_and_runtime_agree_on_versions() -> None:
    runtime, development = pins("requirements.lock"), pins("requirements-dev.lock")
    for name, requirements in runtime.items():
        assert {str(r.specifier) for r in requirements} == {str(r.specifier) for r in development[name]}, name


def test_a_run_needs_no_pandas() -> None:
    assert "pandas" not in pins("requirements.lock")
