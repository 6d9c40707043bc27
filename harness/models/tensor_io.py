"""Tensors in files: those of others read without running code, ours written as safetensors."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.core.errors import HarnessError
from harness.models import sharded
from harness.models.array_pickle import read_arrays
from harness.models.name_maps import DATA, INDEX
from harness.models.tf_checkpoint import read_checkpoint

WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net")
MAGIC = (b"PK\x03\x04", b"\x80")
"""First bytes of a file by torch.save: a zip, or before torch 1.6 a pickle."""
PREFIXES = ("module.", "_orig_mod.", "backbone.", "model.", "network.")


def save_tensors(tensors: Mapping[str, Tensor], path: Path, *, metadata: Mapping[str, str]) -> None:
    """Write contiguous CPU tensors by name, with `metadata`. Raises OSError if the file cannot be written.

    The library writes several metadata in random order, so only files with one are equal for equal content.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(dict(tensors), path, metadata=dict(metadata))
    except SafetensorError as error:
        # The library gives the system's error number only in its message.
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Name -> tensor of a safetensors file, a PyTorch file, the files of an index (`harness.models.sharded`), a .pkl file of
    arrays (Caffe2), or a TensorFlow checkpoint (its prefix or .index file).

    No code in the file is run. Wrappers ({"state_dict": ...}) and prefixes that all names share ("module.") are removed.
    Raises HarnessError for a file that would run code, holds no tensors, or cannot be read.
    """
    prefix = _tensorflow_prefix(path)
    if Path(f"{prefix}{INDEX}").is_file():
        return {name: torch.from_numpy(array.copy()) for name, array in read_checkpoint(prefix).items()}
    if not path.is_file():
        message = (
            f"no file {path}; give a .safetensors, .pt, .pth, .bin or .pkl file, or a TensorFlow checkpoint's prefix"
        )
        raise HarnessError(message)
    if path.suffix == ".pkl":
        return {name: torch.from_numpy(array.copy()) for name, array in read_arrays(path).items()}
    tensors: dict[str, Tensor] = {}
    origins: dict[str, str] = {}
    for file in sharded.files_of(path):
        part = _unwrap(_read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file), file)
        tensors |= part
        origins |= dict.fromkeys(part, file.name)
    if path.name.endswith(sharded.INDEX):
        sharded.check_map(path, origins)
    return _strip(tensors)


def hash_of(path: Path) -> str:
    """SHA-256 of the file, of the files of an index, or of a TensorFlow checkpoint's data."""
    prefix = _tensorflow_prefix(path)
    return sharded.sha256_of(Path(f"{prefix}{DATA}") if Path(f"{prefix}{INDEX}").is_file() else path)


def _tensorflow_prefix(path: Path) -> Path:
    return path.with_suffix("") if path.suffix == INDEX else path


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise HarnessError(f"{path} cannot be read as safetensors ({error}); download it again") from error


def _read_pickle(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(24)
    if not start.startswith(MAGIC):
        content = f"it starts with {start!r}" if start else "it is empty"
        raise HarnessError(
            f"{path} is not a PyTorch or safetensors file ({content}); give a .pt, .pth or .bin file, one whose name ends in "
            ".safetensors, or a TensorFlow checkpoint's prefix"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "nsupported" in str(error) or "WeightsUnpickler" in str(error):
            match = re.search(r"GLOBAL (\S+)", str(error))
            function = f" ({match[1]})" if match else ""
            raise HarnessError(
                f"{path} is refused: reading it would not only load tensors but run code{function}, which the file contains. If you "
                "trust its author, load it elsewhere and save its state_dict as safetensors"
            ) from error
        raise HarnessError(f"{path} cannot be read ({str(error)[:200]}); download it again") from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, IndexError) as error:
        message = f"{path} cannot be read as a PyTorch file ({str(error)[:200]}); download it again"
        raise HarnessError(message) from error


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    for _ in range(3):
        if not isinstance(content, Mapping):
            break
        tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if tensors and len(tensors) == len(content):
            return tensors
        inner = next((content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if inner is None and tensors:
            return tensors
        content = inner
    raise HarnessError(f"{path} contains no state_dict, neither at the top level nor under {', '.join(WRAPPERS)}")


def _strip(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = next((prefix for prefix in PREFIXES if tensors and all(name.startswith(prefix) for name in tensors)), None)
    return tensors if prefix is None else _strip({name.removeprefix(prefix): t for name, t in tensors.items()})
