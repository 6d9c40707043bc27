"""A baseline's network, built and checked: a plug-in's mistake is reported where it was made, not steps later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.core import registry
from harness.core.contract import Baseline, BuildSpec, Scale, streams_of
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


def place(network: nn.Module, device: str) -> nn.Module:
    """The network on the device, its kernels in channels last, the fastest layout of convolutions.

    On a CPU, modules with `plain_on_cpu` keep the contiguous layout.
    """
    import torch

    network.to(device)
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for module in network.modules():
        if device == "cpu" and getattr(module, "plain_on_cpu", False):
            continue
        for parameter in module.parameters(recurse=False):
            if parameter.ndim in formats:
                parameter.data = parameter.data.contiguous(memory_format=formats[parameter.ndim])
    return network


def _call(make: Callable[[BuildSpec], Any], baseline: Baseline, spec: BuildSpec) -> Any:
    try:
        return make(spec)
    except HarnessError:
        raise
    except Exception as error:
        # An error in one of our own cards is a defect of this repository: its traceback helps most.
        if not registry.origin("baseline", baseline.name):
            raise
        message = f"{_title(baseline)} could not be built: {type(error).__name__}: {' '.join(str(error).split())}"
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
