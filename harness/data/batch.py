"""A batch of clips, and its way to the network: pixels stay uint8 until they are on the device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.contract import FlowMethod, Pixels, Video
from harness.video.flow import codec

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Clips of N views of videos, as uint8."""

    clips: Mapping[str, Any]
    """stream -> uint8 (N, T, H, W, C): RGB pictures, or flow codes. NumPy arrays, or torch tensors from workers."""
    flips: np.ndarray
    """bool (N,): mirror this one left to right, in every stream."""
    labels: np.ndarray
    """int64 (N,)."""
    ids: tuple[str, ...]
    """Ids of the videos."""
    views: np.ndarray
    """int64 (N,): which view of its video, counted from 0."""
    broken: tuple[str, ...] = ()
    """Ids of videos that should have been here and cannot be decoded (training with `skipped`)."""

    def pin_memory(self) -> Batch:
        """A copy with its clips in pinned memory; called by torch's loader."""
        return replace(self, clips={stream: clip.pin_memory() for stream, clip in self.clips.items()})


@dataclass(frozen=True)
class View:
    """One clip of one video."""

    video: Video
    number: int
    flip: bool
    clips: Mapping[str, np.ndarray]


def stacked(views: Sequence[View]) -> dict[str, np.ndarray]:
    return {stream: np.stack([np.asarray(view.clips[stream]) for view in views]) for stream in views[0].clips}


def batch_of(views: Sequence[View], clips: Mapping[str, np.ndarray], broken: Iterable[str] = ()) -> Batch:
    return Batch(
        clips=clips,
        flips=np.array([view.flip for view in views], bool),
        labels=np.array([view.video.label for view in views], np.int64),
        ids=tuple(view.video.id for view in views),
        views=np.array([view.number for view in views], np.int64),
        broken=tuple(broken),
    )


def to_network(batch: Batch, device: Any, method: FlowMethod, pixels: Pixels | None = None) -> dict[str, Tensor]:
    """stream -> float32 (N, C, T, H, W) in [-1, 1] on `device`, in channels_last_3d memory, flips applied.

    With `pixels`, RGB has the values that these say. Clips are copied as uint8, a quarter of the bytes. In a mirrored flow
    the x component is negated.
    """
    from torch.profiler import record_function

    with record_function("harness.convert clips"):
        return {
            stream: _floats(stream, clip, batch.flips, device, method, pixels) for stream, clip in batch.clips.items()
        }


def _floats(
    stream: str, clip: Any, flips: np.ndarray, device: Any, method: FlowMethod, pixels: Pixels | None
) -> Tensor:
    import torch

    codes = torch.as_tensor(clip).to(device, non_blocking=True)
    mirrored = torch.as_tensor(np.flatnonzero(flips), device=codes.device)
    if len(mirrored):
        # As bytes, a quarter of the size of floats; in a copy, since the batch belongs to the caller.
        codes = codes.index_copy(0, mirrored, codes[mirrored].flip(3))
    values = _decoded_flow(codes, method) if stream == "flow" else _colours(codes, pixels)
    if stream == "flow" and len(mirrored):
        values[..., 0].mul_(1.0 - 2.0 * torch.as_tensor(flips, device=values.device).float().view(-1, 1, 1, 1))
    # (N, T, H, W, C) in memory is channels_last_3d: the permutation moves nothing.
    return values.permute(0, 4, 1, 2, 3)


def _colours(codes: Tensor, pixels: Pixels | None) -> Tensor:
    if pixels is None:
        return codes.float().mul_(1 / 127.5).sub_(1)
    values = (codes.flip(-1) if pixels.order == "bgr" else codes).float()
    # Divided as torchvision and transformers do, for the same last bits.
    values.div_(255).mul_(pixels.maximum)
    return values.sub_(values.new_tensor(pixels.mean)).div_(values.new_tensor(pixels.std))


def _decoded_flow(codes: Tensor, method: FlowMethod) -> Tensor:
    import torch

    table = torch.from_numpy(codec.decode_table(method.quantization).copy()).to(codes.device)
    # Four times as fast as table[codes].
    return table.index_select(0, codes.flatten().int()).view(codes.shape)
