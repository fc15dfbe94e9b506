"""Lists and models inside installed Python packages: ``package:NAME/PATH`` wherever a recipe takes a path for one.

No third-party list is part of Winnow. One that is published as a package comes with its licence, by name and version,
like any other dependency (the extra ``wordlists``), and is only read: nothing of the package is run.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from jobs.core.errors import ConfigurationError

SCHEME = "package:"


def path_of(named: str) -> str:
    """The path on this machine of what a recipe names; paths that name no package are given back as they are.

    Raises ``ConfigurationError`` where the package, or the file in it, is not there.
    """
    if not named.startswith(SCHEME):
        return named
    package, _, inside = named.removeprefix(SCHEME).partition("/")
    home = _home_of(package)
    if home is None:
        raise ConfigurationError(
            f"{named}: there is no installed package '{package}'",
            next_step=f"install it where the driver runs (pip install {package or 'NAME'})",
        )
    path = (home / inside).resolve()
    if not path.is_relative_to(home.resolve()) or not path.exists():
        raise ConfigurationError(
            f"{named}: nothing of that name is in the package, which holds {_contents(home)}",
            next_step="name a file or folder in it",
        )
    return str(path)


def _home_of(package: str) -> Path | None:
    """The folder of a package; it is looked for, not imported."""
    found = find_spec(package) if package.isidentifier() else None
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) if places else None


def _contents(home: Path) -> str:
    names = sorted(f"{p.name}/" if p.is_dir() else p.name for p in home.iterdir() if p.name[0] not in "._")
    return ", ".join(name for name in names if not name.endswith(".py")) or "code only"
