"""What is measured on one document: kernels over Arrow buffers. No SparkSession, no files of the data set, no
configuration.

Importing the package says where compiled kernels are cached, before Numba is loaded: a folder of the user's cache (or
under ``NUMBA_CACHE_DIR`` where that is set), so that it works when the install folder is read-only and nobody
compiles twice. Imported from an archive (``--py-files winnow.zip``), the package unpacks itself into the same folder,
named by its content, since tables and compiled kernels need files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from zipimport import zipimporter

# What is compiled into kernels of other files: modules whose kernels or constants others import, and tables. Numba
# recompiles a kernel when its own file changes, not when one of these does, so the folder's name carries their digest.
# A test keeps the list complete.
SHARED_KERNEL_FILES = (
    "blocks.py",
    "code.py",
    "digests.py",
    "han.py",
    "kernels.py",
    "lexicon.py",
    "lines.py",
    "nfc.py",
    "ngram_index.py",
    "quality.py",
    "repetition.py",
    "shingles.py",
    "substrings.py",
    "tokens.py",
    "unicode.py",
    "nfc_tables.npz",
    "unicode_tables.npz",
)
_FOLDER_PREFIX = "winnow-kernels-"
_CODE_PREFIX = "winnow-code-"


def _own_folder(path: Path) -> bool:
    """Make `path` if needed; say whether it is a folder of this user that can be written (cache files are code)."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = path.stat().st_uid
    except OSError:
        return False
    return os.access(path, os.W_OK | os.X_OK) and (not hasattr(os, "getuid") or owner == os.getuid())


def _cache_folder(name: str) -> Path:
    """The folder of that name in the first place that can be written; else one that lives as long as the process."""
    bases = []
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        # A child process inherits the folder that its parent chose.
        bases.append(Path(given).parent if Path(given).name.startswith(_FOLDER_PREFIX) else Path(given))
    bases.append(Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()))
    bases.append(Path(tempfile.gettempdir()) / f"winnow-{os.getuid() if hasattr(os, 'getuid') else 'user'}")
    folder = next((base / name for base in bases if _own_folder(base / name)), None)
    return folder or Path(tempfile.mkdtemp(prefix=name))


def unpack_package(archive: str) -> Path:
    """The package's files, taken out of the archive it is imported from; executors of one machine share them.

    The folder is named by the content and filled by one rename, so that a process killed meanwhile leaves nothing
    that looks complete, and two that start at once both find it whole.
    """
    with zipfile.ZipFile(archive) as package:
        members = sorted(name for name in package.namelist() if name.startswith("udfs/"))
        digest = hashlib.blake2b(digest_size=8)
        for name in members:
            digest.update(f"{name} {package.getinfo(name).CRC:08x}\n".encode())
        home = _cache_folder(_CODE_PREFIX + digest.hexdigest())
        if not (home / "udfs").is_dir():
            partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=home))
            package.extractall(partial, members)
            try:
                (partial / "udfs").rename(home / "udfs")
            except OSError:
                if not (home / "udfs").is_dir():
                    raise
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return home / "udfs"


def place_kernel_cache() -> Path | None:
    """Choose the folder of compiled kernels and hand it to Numba; return it, or None where the sources cannot be read.

    The first that can be written of: ``NUMBA_CACHE_DIR``, ``XDG_CACHE_HOME`` (``~/.cache``), the temporary folder.
    Where none can, a folder that lives as long as the process, so that kernels still compile.
    """
    here = Path(__path__[0])
    digest = hashlib.blake2b(digest_size=8)
    try:
        for name in SHARED_KERNEL_FILES:
            digest.update((here / name).read_bytes())
    except OSError:  # the sources cannot be read: Numba's own rules hold
        return None
    folder = _cache_folder(_FOLDER_PREFIX + digest.hexdigest())
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return folder


if isinstance(__spec__.loader, zipimporter):
    __path__ = [str(unpack_package(__spec__.loader.archive))]
place_kernel_cache()
