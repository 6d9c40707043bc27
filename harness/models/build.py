"""A baseline's network, built and checked: a plug-in's mistake is reported where it was made, not steps later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.core import environment, registry
from harness.core.contract import CHANNELS, Baseline, BuildSpec, Scale, streams_of
from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from torch import nn

INTERFACE = {
    "features": "features(clips)",
    "head": "head",
    "new_head": "new_head(num_classes)",
    "forward": "forward(clips)",
}
"""Attribute that harness.core.contract.Network asks for -> how an error names it."""


def build(baseline: Baseline, spec: BuildSpec) -> nn.Module:
    """The network of `baseline`, freshly initialised.

    Raises HarnessError, naming the plug-in's file, for a network that lacks part of harness.core.contract.Network, and
    for whatever a third-party `build` raises.
    """
    network = _call(baseline.build, baseline, spec)
    if missing := _missing(network):
        raise HarnessError(
            f"{_title(baseline)} builds a network of type {type(network).__name__}, which lacks {' and '.join(missing)}; "
            f"it must be a torch.nn.Module with {', '.join(INTERFACE.values())}: see harness.core.contract.Network"
        )
    return network  # type: ignore[no-any-return]


def build_image(baseline: Baseline, spec: BuildSpec) -> nn.Module:
    """The 2D network of `--init imagenet`. Raises HarnessError for whatever a third-party `build_image` raises."""
    assert baseline.build_image is not None
    return _call(baseline.build_image, baseline, spec)  # type: ignore[no-any-return]


def check_backbone(baseline: Baseline, backbone: str, *, scale: Scale) -> None:
    """Raise UnknownName or HarnessError for a backbone that this baseline cannot be built on. Allocates no weights."""
    import torch

    streams = streams_of(baseline.modalities[-1])
    if baseline.combine == "late":
        streams = streams[:1]
    with torch.device("meta"):
        build(baseline, BuildSpec(streams, num_classes=2, scale=scale, backbone=backbone))


def check_shapes(baseline: Baseline, spec: BuildSpec) -> None:
    """Run two training clips of zeros through a third party's network, on the CPU.

    Raises HarnessError for whatever it raises, and for features or logits of another shape than that of
    harness.core.contract.Network.
    """
    import torch

    clip, network = baseline.train_clip[spec.scale.name], build(baseline, spec).eval()
    sizes = {stream: (2, CHANNELS[stream], clip.frames(stream), clip.side_px, clip.side_px) for stream in spec.streams}
    clips = {stream: torch.zeros(size) for stream, size in sizes.items()}
    with torch.inference_mode():
        features = _call(network.features, baseline, clips, verb="fails in features(clips)")  # type: ignore[arg-type]
        _require_shape(baseline, "features(clips)", features, "(N, P, F)", (2, None, None))
        for classes in (spec.num_classes, spec.num_classes + 1):
            logits = _call(
                network, baseline, clips, verb=f"fails in forward(clips), with features {tuple(features.shape)}"
            )
            expected = (2, features.shape[1], classes)
            _require_shape(baseline, f"forward(clips) with {classes} classes", logits, "(N, P, num_classes)", expected)
            _call(network.new_head, baseline, classes + 1, verb="fails in new_head(num_classes)")  # type: ignore[arg-type]


def _require_shape(baseline: Baseline, function: str, value: Any, words: str, expected: tuple[int | None, ...]) -> None:
    shape = tuple(getattr(value, "shape", ()))
    pairs = zip(shape, expected, strict=False)
    if len(shape) == len(expected) and all(wanted in (None, size) for size, wanted in pairs):
        return
    sizes = ", ".join(name if size is None else str(size) for name, size in zip("NPF", expected, strict=True))
    returned = f"a tensor {shape}" if hasattr(value, "shape") else f"a {type(value).__name__}"
    raise HarnessError(
        f"{_title(baseline)}: {function} must return a tensor {words}, here ({sizes}) for 2 clips; got {returned}: "
        "see harness.core.contract.Network"
    )


def place(network: nn.Module, device: str) -> nn.Module:
    """The network on the device, its kernels in channels last, the fastest layout of convolutions.

    On a CPU, modules with `plain_on_cpu` keep the contiguous layout. Raises HarnessError as `environment.check_device` does.
    """
    import torch

    environment.check_device(device)
    network.to(device)
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for module in network.modules():
        if device == "cpu" and getattr(module, "plain_on_cpu", False):
            continue
        for parameter in module.parameters(recurse=False):
            if parameter.ndim in formats:
                parameter.data = parameter.data.contiguous(memory_format=formats[parameter.ndim])
    return network


def _call(
    function: Callable[[Any], Any], baseline: Baseline, argument: Any, *, verb: str = "could not be built"
) -> Any:
    try:
        return function(argument)
    except HarnessError:
        raise
    except Exception as error:
        # An error in one of our own cards is a defect of this repository: its traceback helps most.
        if not registry.origin("baseline", baseline.name):
            raise
        message = f"{_title(baseline)} {verb}: {type(error).__name__}: {' '.join(str(error).split())}"
        raise HarnessError(message) from error


def _missing(network: Any) -> list[str]:
    """Parts of the interface that the network lacks; torch gives every module a `forward` that only raises."""
    from torch import nn

    if not isinstance(network, nn.Module):
        return list(INTERFACE.values())
    has = {name: hasattr(network, name) for name in INTERFACE}
    has["forward"] = getattr(network.forward, "__func__", None) is not nn.Module.forward
    return [description for name, description in INTERFACE.items() if not has[name]]


def _title(baseline: Baseline) -> str:
    origin = registry.origin("baseline", baseline.name)
    return f"baseline '{baseline.name}'" + (f" ({origin})" if origin else "")
