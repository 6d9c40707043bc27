"""Pickles of NumPy arrays, as Caffe2 networks were published, read without running code from the file."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import HarnessError

ALLOWED: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # Python 3 writes bytes as Latin-1 text in files that Python 2 can read.
    ("_codecs", "encode"): lambda text, encoding: text.encode("latin1"),
    # The rebuilding function of arrays, under its names before and since NumPy 2.
    **{(f"numpy.{core}.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0] for core in ("core", "_core")},
}
"""(module, name) of everything that such a file may refer to."""


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise HarnessError(f"it refers to {module}.{name}, which is not an array")
        return ALLOWED[module, name]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Name -> array of a pickled dict, or of its entry 'blobs'; other entries are dropped.

    Raises HarnessError for a file that refers to anything but arrays, holds none, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            # Python 2 wrote these files: its strings are bytes.
            content = _Arrays(file, encoding="latin1").load()
    except HarnessError as error:
        raise HarnessError(f"{path} is refused: reading it would run code, not only load arrays ({error})") from error
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise HarnessError(
            f"{path} cannot be read as a pickle of arrays ({str(error)[:200]}); download it again"
        ) from error
    blobs = content.get("blobs", content) if isinstance(content, dict) else {}
    arrays = {str(name): value for name, value in blobs.items() if isinstance(value, np.ndarray)}
    if not arrays:
        raise HarnessError(f"{path} contains no arrays, neither at the top level nor under blobs")
    return arrays
