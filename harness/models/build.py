"""A card's network, built and looked at: what somebody else's `build` did wrong is said where it was done, not steps later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.core import registry
from harness.core.contract import Baseline, BuildSpec
from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from torch import nn

ANSWERS = {
    "features": "features(clips)",
    "head": "head",
    "new_head": "new_head(num_classes)",
    "forward": "forward(clips)",
}


def build(baseline: Baseline, spec: BuildSpec) -> nn.Module:
    """The network of `baseline`, freshly initialised.

    Raises HarnessError, naming the plug-in's file, where it has not all that harness.core.contract.Network asks for, and for
    whatever a `build` from outside raises.
    """
    network = _made(baseline.build, baseline, spec)
    if lacking := _lacking(network):
        raise HarnessError(
            f"{_named(baseline)} builds a network of type {type(network).__name__}, which lacks {' and '.join(lacking)}; "
            f"it must be a torch.nn.Module that answers {', '.join(ANSWERS.values())}: see harness.core.contract.Network"
        )
    return network  # type: ignore[no-any-return]


def build_image(baseline: Baseline, spec: BuildSpec) -> nn.Module:
    """The 2D network of `--init imagenet`. Raises HarnessError for whatever a `build_image` from outside raises."""
    assert baseline.build_image is not None
    return _made(baseline.build_image, baseline, spec)  # type: ignore[no-any-return]


def _made(make: Any, baseline: Baseline, spec: BuildSpec) -> Any:
    try:
        return make(spec)
    except HarnessError:
        raise
    except Exception as error:
        # What our own cards raise is a defect of this repository: its traceback is what helps.
        if not registry.origin("baseline", baseline.name):
            raise
        raise HarnessError(
            f"{_named(baseline)} could not be built: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


def _lacking(network: Any) -> list[str]:
    """What of the contract the network has not; torch gives every module a `forward`, which only raises."""
    from torch import nn

    if not isinstance(network, nn.Module):
        return list(ANSWERS.values())
    has = {name: hasattr(network, name) for name in ANSWERS}
    has["forward"] = getattr(network.forward, "__func__", None) is not nn.Module.forward
    return [told for name, told in ANSWERS.items() if not has[name]]


def _named(baseline: Baseline) -> str:
    where = registry.origin("baseline", baseline.name)
    return f"baseline '{baseline.name}'" + (f" ({where})" if where else "")
