"""Activation checkpointing: stages of a network are computed again in the backward pass, for less memory."""

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
    """Make every stage of the network save only its inputs while training; returns the number of stages.

    A stage is a child, with parameters, of the first module on the way down that has several. Parameter names do not
    change, dropout draws the same numbers again, and moving statistics are updated once.
    """
    stages = [stage for part in stages_of(network) for stage in part]
    for stage in stages:
        stage.forward = partial(_forward, stage, stage.forward)  # type: ignore[method-assign]
    return len(stages)


def stages_of(network: nn.Module) -> list[list[nn.Module]]:
    """The stages of each trunk, in the order of its children."""
    return [[stage for stage in part.children() if _has_parameters(stage)] for part in _branching(network)]


def _branching(module: nn.Module) -> list[nn.Module]:
    """The modules whose children are stages: one per trunk, however it is wrapped."""
    if hasattr(module, "trunks"):
        return [branching for trunk in module.trunks.values() for branching in _branching(trunk)]
    if hasattr(module, "trunk"):
        return _branching(module.trunk)
    children = [child for child in module.children() if _has_parameters(child)]
    return _branching(children[0]) if len(children) == 1 else [module]


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _forward(stage: nn.Module, forward: Any, *inputs: Any) -> Any:
    if not stage.training:
        return forward(*inputs)
    contexts = contextlib.nullcontext(), _recompute(stage, precision.autocast_for_recompute())
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=lambda: contexts)


@contextlib.contextmanager
def _recompute(stage: nn.Module, autocast: contextlib.AbstractContextManager[Any]) -> Iterator[None]:
    """The context of the second pass: same arithmetic, but moving statistics are not updated again."""
    norms = [module for module in stage.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        with autocast:
            yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
