"""What is measured on one document: kernels over Arrow buffers. No SparkSession, no files of the data set, no
configuration.

Importing the package says where compiled kernels are cached, before Numba is loaded: a folder of the user's cache (or
under ``NUMBA_CACHE_DIR`` where that is set), so that it works when the install folder is read-only and nobody
compiles twice.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

# Modules whose kernels are compiled into those of other modules. Numba recompiles a kernel when its own file changes,
# not when one it calls does, so the folder's name carries their digest. A test keeps the list complete.
SHARED_KERNEL_MODULES = (
    "code.py",
    "digests.py",
    "lines.py",
    "nfc.py",
    "ngram_index.py",
    "quality.py",
    "repetition.py",
    "shingles.py",
    "tokens.py",
    "unicode.py",
)
_FOLDER_PREFIX = "winnow-kernels-"


def _own_folder(path: Path) -> bool:
    """Make `path` if needed; say whether it is a folder of this user that can be written (cache files are code)."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = path.stat().st_uid
    except OSError:
        return False
    return os.access(path, os.W_OK | os.X_OK) and (not hasattr(os, "getuid") or owner == os.getuid())


def place_kernel_cache() -> Path | None:
    """Choose the folder of compiled kernels and hand it to Numba; return it, or None where the sources cannot be read.

    The first that can be written of: ``NUMBA_CACHE_DIR``, ``XDG_CACHE_HOME`` (``~/.cache``), the temporary folder.
    Where none can, a folder that lives as long as the process, so that kernels still compile.
    """
    here = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=8)
    try:
        for name in SHARED_KERNEL_MODULES:
            digest.update((here / name).read_bytes())
    except OSError:  # imported from an archive: Numba's own rules hold
        return None
    bases = []
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        # A child process inherits the folder that its parent chose.
        bases.append(Path(given).parent if Path(given).name.startswith(_FOLDER_PREFIX) else Path(given))
    bases.append(Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()))
    bases.append(Path(tempfile.gettempdir()) / f"winnow-{os.getuid() if hasattr(os, 'getuid') else 'user'}")
    name = _FOLDER_PREFIX + digest.hexdigest()
    folder = next((base / name for base in bases if _own_folder(base / name)), None)
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX))
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return folder


place_kernel_cache()
