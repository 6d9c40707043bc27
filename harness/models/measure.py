"""Sizes of a baseline's networks: parameters, operations, memory, frames seen. Those of the built-in baselines are on file.

    python -m harness.models.measure        rewrites sizes.json, after a card's version was raised

Networks are built on PyTorch's meta device, which allocates nothing. With the file, tables and plans do not load torch.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.core import registry
from harness.core.contract import CHANNELS, Baseline, BuildSpec, Scale, streams_of

if TYPE_CHECKING:
    from torch import Tensor, nn

FILE = Path(__file__).with_name("sizes.json")
CLASSES: Mapping[str, tuple[int, ...]] = {"micro": (14,), "paper": (213, 400)}
"""Scale -> numbers of classes that are on file: those of the data sets that baselines are pre-trained on."""
NARROW = 0.05
"""Width of the networks whose temporal extent is measured: it does not depend on the width."""
LONG = 192
"""Frames, more than any of the paper's networks sees from one position in time."""


class Size(NamedTuple):
    """Size of a baseline's networks, over all its streams."""

    parameters: int
    """Trainable ones."""
    macs: int
    """Multiply-accumulates of one training clip, forward."""
    memory_bytes: int
    """float32 numbers that the forward pass of one training clip saves for the backward pass."""
    frames_seen: int
    """Frames from first to last that reach one output position, of the stream that sees most."""


def size_of(card: Baseline, *, scale: str, classes: int) -> Size:
    """The size on file for this version of card and scale, else measured (seconds, loads torch)."""
    sizes = _on_file()
    key = _key(card, scale, classes)
    return sizes[key] if key in sizes else measure(card, scale=scale, classes=classes)


def size_on_file(card: Baseline, *, scale: str) -> Size | None:
    """The size on file or on the card for this version of card and scale, with any number of classes; None if there is none."""
    if card.parameters and scale == "paper":
        return Size(card.parameters, round(card.gmacs * 1e9), 0, 0)
    keys = (_key(card, scale, classes) for classes in CLASSES.get(scale, ()))
    sizes = [_on_file()[key] for key in keys if key in _on_file()]
    return max(sizes, default=None)


def _key(card: Baseline, scale: str, classes: int) -> str:
    """'i3d 1, micro 2, 14 classes'."""
    return f"{card.name} {card.version}, {scale} {registry.load('scale', scale).version}, {classes} classes"


@functools.cache
def _on_file() -> dict[str, Size]:
    return {key: Size(*values) for key, values in json.loads(FILE.read_text("utf-8")).items()}


def write_file(names: Iterable[str]) -> None:
    """Measure these baselines at every scale and number of classes that is on file."""
    cases = [(registry.load("baseline", name), scale, n) for name in names for scale in CLASSES for n in CLASSES[scale]]
    sizes = {_key(card, scale, n): measure(card, scale=scale, classes=n) for card, scale, n in cases}
    lines = [f" {json.dumps(key)}: {json.dumps(size)}" for key, size in sorted(sizes.items())]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def measure(card: Baseline, *, scale: str, classes: int) -> Size:
    """Size of the card's default modality at this scale, measured on built networks."""
    streams = streams_of(card.modalities[0])
    parameters = macs = memory = frames = 0
    for network_streams in [(stream,) for stream in streams] if card.combine == "late" else [streams]:
        spec = BuildSpec(network_streams, classes, registry.load("scale", scale))
        network, clips = _on_meta_device(card, spec)
        memory += training_bytes(network, clips) // 2
        macs += _macs(network, clips)
        parameters += _trainable(network)
        frames = max(frames, frames_seen(card, network_streams, spec.scale))
    return Size(parameters, macs, memory, frames)


def count(card: Baseline, spec: BuildSpec) -> tuple[int, int]:
    """(trainable parameters, multiply-accumulates of one training clip, forward) of one network. Loads torch.

    Raises whatever the network raises on PyTorch's meta device.
    """
    network, clips = _on_meta_device(card, spec)
    return _trainable(network), _macs(network, clips)


def _on_meta_device(card: Baseline, spec: BuildSpec) -> tuple[nn.Module, dict[str, Tensor]]:
    """The network and two training clips: batch norm in training mode needs more than one value per channel."""
    import torch

    from harness.models.build import build

    clip = card.train_clip[spec.scale.name]
    with torch.device("meta"):
        sizes = {
            stream: (2, CHANNELS[stream], clip.frames(stream), clip.side_px, clip.side_px) for stream in spec.streams
        }
        return build(card, spec), {stream: torch.empty(size) for stream, size in sizes.items()}


def _macs(network: nn.Module, clips: Mapping[str, Tensor]) -> int:
    """Multiply-accumulates per clip of a forward pass of two clips."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(clips)
    return int(counter.get_total_flops()) // 4


def _trainable(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def training_bytes(network: nn.Module, clips: Mapping[str, Tensor]) -> int:
    """Bytes that one forward pass saves for the backward pass, without parameters and buffers.

    On the meta device nothing is allocated: build the network and the clips there.
    """
    import torch

    own = {tensor.untyped_storage()._cdata for tensor in (*network.parameters(), *network.buffers())}
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            saved[storage._cdata] = storage.nbytes()
        return tensor

    was_training = network.training
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = network.train()(clips)
    network.train(was_training)
    del logits
    return sum(saved.values())


def frames_seen(baseline: Baseline, streams: tuple[str, ...], scale: Scale) -> int:
    """Frames of the 25 fps timeline, from first to last, that reach one output position of the network.

    Measured: the gradient of that position's features is non-zero for exactly those frames. A network that runs
    convolutionally in time gets a clip longer than it can see, and its middle position is used; any other gets its
    training clip, and the last position is used.
    """
    import torch

    clip = baseline.train_clip[scale.name]
    dense = baseline.test_clip[scale.name].dense
    if dense:
        clip = dataclasses.replace(clip, window=LONG, side_px=32)
    narrow = dataclasses.replace(scale, width=NARROW, dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = baseline.build(BuildSpec(streams, 2, narrow)).double().eval()
        sizes = {stream: (1, CHANNELS[stream], clip.frames(stream), clip.side_px, clip.side_px) for stream in streams}
        clips = {s: torch.randn(size, dtype=torch.float64, requires_grad=True) for s, size in sizes.items()}
        features = network.features(clips)
        features[:, features.shape[1] // 2 if dense else -1].abs().sum().backward()
    spans = []
    for stream, inputs in clips.items():
        reached = inputs.grad.abs().sum((0, 1, 3, 4)).nonzero().flatten()
        spans.append(int(reached[-1] - reached[0]) * clip.stride(stream) + 1)
    return max(spans)


if __name__ == "__main__":
    built_in = {name: card for name, card in registry.all("baseline").items() if not registry.origin("baseline", name)}
    write_file(name for name, card in built_in.items() if card.at is None)
