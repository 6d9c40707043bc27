"""Numba: whether it is there, and where what it compiles is kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def numba_works() -> bool:
    """Whether Numba, and the LLVM it brings along, can be imported."""
    try:
        import numba  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def keep_compiled(folder: Path) -> None:
    """Compiled kernels are kept in `folder`, for this process and those it starts, unless NUMBA_CACHE_DIR names another.

    Otherwise each process compiles them anew, which takes about 4 s.
    """
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder))
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]
