"""`njit` for kernels, whose compiled code is found by what a module says and not by where it lies.

Numba names the folder of a module's compiled functions after the module's path. Winnow is imported from a checkout, an
installed wheel, an archive unpacked by every executor (`udfs.unpack_package`), an image: with one source each would be
compiled again, a minute and a half of it. Numba itself looks whether the source is still the same.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from numba import njit
from numba.core.caching import CacheImpl, UserProvidedCacheLocator

__all__ = ["njit"]

_PACKAGE = Path(__file__).resolve().parent


class _ByContent(UserProvidedCacheLocator):
    """Where the compiled functions of a module of this package are kept: below the folder of `place_kernel_cache`."""

    @classmethod
    def from_function(cls, py_func: object, py_file: str) -> _ByContent | None:
        if Path(py_file).resolve().parent != _PACKAGE:
            return None  # another program's: as Numba does it
        located: _ByContent | None = super().from_function(py_func, py_file)
        return located

    @classmethod
    def get_suitable_cache_subpath(cls, py_file: str) -> str:
        module = Path(py_file)
        return f"{module.stem}-{hashlib.sha256(module.read_bytes()).hexdigest()[:16]}"


CacheImpl._locator_classes.insert(0, _ByContent)
