"""Optical flow by torchvision's RAFT (Teed and Deng, 2020), a network, with weights that lie on this machine.

Nothing is ever downloaded. Weights are a file that parameter `weights` names, or torchvision's default ones where torch
keeps what it has downloaded (`TORCH_HOME/hub/checkpoints`). Their SHA-256 is part of every key. It is another flow than
TV-L1, and networks trained on TV-L1 have not been scored on it here.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.core.environment import package_version
from harness.core.errors import HarnessError
from harness.planning.ranges import ANYTHING, ONE_OR_MORE, Parameter, one_of

if TYPE_CHECKING:
    from torch import Tensor

PATH = "weights"
"""The parameter that says where weights lie. Keys hold their hash in its place."""
FILES = {"large": "raft_large_C_T_SKHT_V2-ff5fadd5.pth", "small": "raft_small_C_T_V2-01064c6d.pth"}
"""torchvision's default weights of each model: for real scenes, trained on Chairs, Things, Sintel, KITTI and HD1K; for
the small one, on Chairs and Things. Behind the dash the first digits of their SHA-256."""
PARAMETERS = {
    "model": Parameter("large", one_of("large", "small")),
    PATH: Parameter("", ANYTHING),
    "updates": Parameter(12, ONE_OR_MORE),
}
"""What `FlowMethod.params` may name. Updates, how often the flow is refined: torchvision's default."""
STEP_PX, LEAST_PX = 8, 128
"""Sides must be multiples of the one; below the other, the coarsest correlations have nothing to look at."""

Params = Mapping[str, float | str]


def library(params: Params) -> str:
    """What computes it: model, libraries, and the hash of the weights. Raises HarnessError if they are not here."""
    versions = ", ".join(f"{name} {package_version(name) or 'missing'}" for name in ("torchvision", "torch"))
    return f"raft {_model(params)}, {versions}, weights sha256 {_hash(weights_file(params))}"


def weights_file(params: Params) -> Path:
    """The file that is named, or the model's default one in torch's cache.

    Raises HarnessError where there is none, with the command that brings it, and for a cached one that is damaged.
    """
    model = _model(params)
    if PATH in params:
        path = Path(str(params[PATH])).expanduser()
        if not path.is_file():
            raise HarnessError(f"no weights of flow method 'raft' at {path}, which its parameter '{PATH}' names")
        return path
    path = cache() / FILES[model]
    if not path.is_file():
        raise HarnessError(
            f"flow method 'raft' needs weights, which are never downloaded unasked, and {path} is not there. To fetch "
            f"torchvision's, run python -c \"from torchvision.models.optical_flow import raft_{model}; "
            f"raft_{model}(weights='DEFAULT')\"; or name a file of yours with parameter '{PATH}'"
        )
    (digits,) = re.findall(r"-([0-9a-f]{8})\.pth$", path.name)
    if not _hash(path).startswith(digits):
        raise HarnessError(
            f"{path} is not what torchvision published: its SHA-256 begins with {_hash(path)[:8]}, not {digits}. Remove "
            "it and fetch it again"
        )
    return path


def cache() -> Path:
    """Where torch keeps downloaded weights; found as torch does it, without importing it."""
    home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", str(Path(home) / "torch"))).expanduser() / "hub" / "checkpoints"


def function(params: Params, *, device: str) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
    """Parameters -> (N + 1 frames in a row, uint8 RGB (H, W, 3)) -> N flows, float32 (H, W, 2) px, x then y.

    Raises HarnessError for weights that are missing or do not fit, and where torch does not see the device.
    """
    import torch
    from torchvision.models import optical_flow

    from harness.models.importing import read_tensors

    updates = int(params.get("updates", PARAMETERS["updates"].default))
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise HarnessError(f"flow method 'raft' was asked for device '{device}', and torch sees no GPU; leave it out")
    model, path = _model(params), weights_file(params)
    network = {"large": optical_flow.raft_large, "small": optical_flow.raft_small}[model](weights=None).eval()
    try:
        network.load_state_dict(read_tensors(path))
    except RuntimeError as error:
        raise HarnessError(f"{path} does not hold weights of torchvision's raft_{model}: {str(error)[:300]}") from error
    network.to(device)

    def flows(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        row = torch.from_numpy(np.stack(frames)).to(device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        height, width = row.shape[-2:]
        row, top, left = padded(row)
        with torch.inference_mode():
            found = network(row[:-1], row[1:], num_flow_updates=updates)[-1]
        inside = found[..., top : top + height, left : left + width]
        return list(inside.permute(0, 2, 3, 1).contiguous().cpu().numpy())

    return flows


def padded(pictures: Tensor) -> tuple[Tensor, int, int]:
    """(N, C, H, W) -> borders repeated to sides that RAFT takes, and how many rows above and columns to the left are new."""
    from torch.nn.functional import pad

    top, bottom = _rims(pictures.shape[-2])
    left, right = _rims(pictures.shape[-1])
    return pad(pictures, (left, right, top, bottom), mode="replicate"), top, left


def _rims(side_px: int) -> tuple[int, int]:
    more = max(LEAST_PX, -(-side_px // STEP_PX) * STEP_PX) - side_px
    return more // 2, more - more // 2


def _model(params: Params) -> str:
    return str(params.get("model", PARAMETERS["model"].default))


def _hash(path: Path) -> str:
    state = path.stat()
    return _hash_of(path, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _hash_of(path: Path, size: int, changed_ns: int) -> str:
    from harness.core.atomic import file_sha256

    return file_sha256(path)
