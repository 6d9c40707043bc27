"""Weights in several files, as large networks have them on the Hugging Face Hub: an index names the file of each tensor.

`model.safetensors.index.json` is {"weight_map": {"encoder.weight": "model-00001-of-00002.safetensors", ...}}; its files
are in the same folder. All functions take a single file too. None of them loads torch.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.atomic import file_sha256
from harness.core.errors import HarnessError

INDEX = ".index.json"
"""End of an index's name."""


def weight_map(index: Path) -> dict[str, str]:
    """Tensor -> name of its file. Raises HarnessError for an index that is damaged, or names a file in another folder."""
    try:
        names = {str(tensor): str(file) for tensor, file in json.loads(index.read_text("utf-8"))["weight_map"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(
            f"{index} is no index of weights ({type(error).__name__}: {error}); download it again"
        ) from error
    for name in names.values():
        if name in ("", ".", "..") or Path(name).name != name:
            raise HarnessError(
                f"{index} names the file '{name}', which is not next to it; use another copy of the weights"
            )
    return names


def files_of(path: Path) -> tuple[Path, ...]:
    """The files with tensors: `path` itself, or those that an index names. Raises HarnessError for one that is missing."""
    if not path.name.endswith(INDEX):
        return (path,)
    files = tuple(path.parent / name for name in sorted(set(weight_map(path).values())))
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise HarnessError(
            f"{path} names {', '.join(absent)}, which {path.parent} does not have; download all of its files"
        )
    return files


def sha256_of(path: Path) -> str:
    """SHA-256 of the file; of an index: that of the output of `sha256sum` for its files, in the order of their names."""
    if not path.name.endswith(INDEX):
        return file_sha256(path)
    lines = "".join(f"{file_sha256(file)}  {file.name}\n" for file in files_of(path))
    return hashlib.sha256(lines.encode()).hexdigest()


def check_map(index: Path, tensors: Mapping[str, str]) -> None:
    """Raise HarnessError unless the files hold the tensors that the index names, no others; `tensors`: name -> file."""
    expected = weight_map(index)
    wrong = sorted(name for name in expected.keys() | tensors.keys() if expected.get(name) != tensors.get(name))
    if wrong:
        name = wrong[0]
        raise HarnessError(
            f"{index} says that {name} is in {expected.get(name, 'no file')}, but it is in {tensors.get(name, 'no file')}; "
            "download the index and all files that it names again"
        )


def header_of(file: Path) -> dict[str, Any]:
    """Tensor -> its dtype, shape and place, from the first bytes of a safetensors file. Raises HarnessError if it is damaged."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            return dict(json.loads(stream.read(length)))
    except (struct.error, ValueError, OverflowError, MemoryError) as error:
        raise HarnessError(f"{file} cannot be read as safetensors ({error}); download it again") from error
