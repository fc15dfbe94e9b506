"""`njit` for kernels: without reference counts, and found by what a module says and not by where it lies.

Numba counts references to every array that a function is given, a locked instruction or two for each array at each
call, tuples of arrays one by one. Kernels hand tables and working memory to helpers for every word, and paid for it
each time. They need no counts: an array lives as long as the Python object that was handed in, or as the function that
made it. So only functions that make arrays have them (``allocates=True``; Numba refuses to compile those
that lack it: "NRT required but not enabled"). A kernel without them must not return an array, whose owner would be
forgotten; a test looks for such.

Numba names the folder of a module's compiled functions after the module's path. Winnow is imported from a checkout, an
installed wheel, an archive unpacked by every executor (`udfs.unpack_package`), an image: with one source each would be
compiled again, a minute and a half of it. Numba itself looks whether the source is still the same.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import CacheImpl, UserProvidedCacheLocator

__all__ = ["njit"]

_PACKAGE = Path(__file__).resolve().parent


def njit(*, allocates: bool = False, **options: Any) -> Any:
    """Numba's decorator of this name, for a function that makes arrays or one that does not.

    Args:
        allocates: Whether it makes arrays (`np.empty`, a copy, a slice that is assigned to another).
        options: As Numba takes them.
    """
    decorate: Any = numba.njit  # its type hints do not know the option, which its own code uses
    return decorate(_nrt=allocates, **options)


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
