"""Numba: whether it is there, and where what it compiles is kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def numba_works() -> bool:
    """Whether Numba, and the LLVM it brings along, can be imported."""
    try:
        import numba  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def kernel(signature: Any, *, fastmath: bool = False) -> Any:
    """A decorator: compiled as its module is imported, for these arguments alone, so that no call can fail to compile or to be
    kept. One thread, without the interpreter's lock.

    What is compiled is kept only where somebody has named a folder (`keep_compiled`): Numba's own choice would be the
    package itself.
    """
    from numba import config, njit

    return njit(signature, fastmath=fastmath, nogil=True, error_model="numpy", cache=bool(config.CACHE_DIR))


def keep_compiled(folder: Path) -> None:
    """Compiled kernels are kept in `folder`, for this process and those it starts, unless NUMBA_CACHE_DIR names another.

    Otherwise each process compiles them anew, which takes about 4 s.
    """
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder))
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]
