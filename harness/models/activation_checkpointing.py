"""Less memory for more time: stages of a network whose insides are computed again in the backward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from harness.models import precision


def recompute_stages(network: nn.Module) -> int:
    """Have every stage of the network keep its inputs alone while training; returns how many there are.

    A stage is a child, with parameters, of the first module on the way down that has several. Names and numbers stay as
    they are: what is drawn is drawn the same again, and moving statistics move once.
    """
    stages = [stage for part in _branching(network) for stage in part.children() if _learns(stage)]
    for stage in stages:
        stage.forward = partial(_forward, stage, stage.forward)  # type: ignore[method-assign]
    return len(stages)


def _branching(module: nn.Module) -> list[nn.Module]:
    """The modules whose children are stages: one a trunk, whatever it is wrapped in."""
    if hasattr(module, "trunks"):
        return [part for trunk in module.trunks.values() for part in _branching(trunk)]
    if hasattr(module, "trunk"):
        return _branching(module.trunk)
    learning = [child for child in module.children() if _learns(child)]
    return _branching(learning[0]) if len(learning) == 1 else [module]


def _learns(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _forward(stage: nn.Module, forward: Any, *inputs: Any) -> Any:
    if not stage.training:
        return forward(*inputs)
    same = precision.autocast_for_recompute()
    return checkpoint(
        forward, *inputs, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), _still(stage, same))
    )


@contextlib.contextmanager
def _still(stage: nn.Module, same: contextlib.AbstractContextManager[Any]) -> Iterator[None]:
    """Arithmetic and batch norm as in the first pass, but for the moving statistics: that one has moved them."""
    norms = [module for module in stage.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        with same:
            yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
