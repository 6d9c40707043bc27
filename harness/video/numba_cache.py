"""Numba: whether it works, and where compiled code is stored."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def numba_works() -> bool:
    """Whether Numba, with its LLVM, can be imported."""
    try:
        import numba  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def kernel(signature: Any, *, fastmath: bool = False) -> Any:
    """A decorator: compiles a function for these arguments when its module is imported, so that no call can fail to compile.
    One thread, without the interpreter's lock.

    Compiled code is stored only after `keep_compiled`: Numba's own choice of a folder would be the package itself.
    """
    from numba import config, njit

    return njit(signature, fastmath=fastmath, nogil=True, error_model="numpy", cache=bool(config.CACHE_DIR))


def keep_compiled(folder: Path) -> None:
    """Store compiled kernels in `folder`, for this process and those it starts, unless NUMBA_CACHE_DIR names another.

    Otherwise each process compiles them again, which takes about 4 s.
    """
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder))
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]
