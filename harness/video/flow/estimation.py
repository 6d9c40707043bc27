"""Frames -> optical flow, by a method that is found by name (`harness.video.flow.methods`).

A method is never replaced by another while it computes: where something it needs is missing, it raises. Only a method that
stands for others, 'tvl1-auto', is resolved, once, when a job is planned; keys and jobs hold the method it was resolved to.
Everything that a number could depend on is in `method_key`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from harness.core import registry
from harness.core.contract import FlowMethod
from harness.core.errors import unknown
from harness.core.parameters import Parameter, read_all
from harness.core.plugins import FlowAlgorithm, FlowEstimator


def algorithm(name: str) -> FlowAlgorithm:
    """The flow method called `name`. Raises UnknownName."""
    value: FlowAlgorithm = registry.load("flow-method", name)
    return value


def parameter(method: str, name: str) -> Parameter:
    """Parameter `name` of the method called `method`. Raises UnknownName for either."""
    known = algorithm(method).parameters
    if name not in known:
        raise unknown("parameter", name, known, of=f" of flow method '{method}'")
    return known[name]


def checked(method: FlowMethod) -> FlowMethod:
    """`method`, with the registered spelling of its name. Raises UnknownName for a name or a parameter that does not exist,
    HarnessError for a value that is out of range."""
    for name in method.params:
        parameter(method.name, name)
    known = algorithm(method.name)
    read_all(method.params, known.parameters, f"flow method '{known.name}'")
    return replace(method, name=known.name)


def resolved(method: FlowMethod) -> FlowMethod:
    """The method that this machine computes `method` by: itself, unless its name stands for others. Raises as `checked`."""
    method = checked(method)
    resolve = algorithm(method.name).resolve
    if resolve is None:
        return method
    name, params = resolve(method.params)
    return replace(method, name=name, params=params)


def load(method: FlowMethod) -> FlowEstimator:
    """The method, ready to compute. Raises HarnessError where something it needs is missing."""
    method = resolved(method)
    known = algorithm(method.name)
    return known.load(read_all(method.params, known.parameters, f"flow method '{known.name}'"))


def max_workers(method: FlowMethod) -> int | None:
    """Processes that may compute it at the same time; None: as many as there are cores."""
    return algorithm(method.name).max_workers(method.params)


def method_key(method: FlowMethod) -> dict[str, Any]:
    """Everything that decides the stored codes: method, parameters, quantization, and what computes it, with versions."""
    method = resolved(method)
    return {**asdict(method), "library": algorithm(method.name).library(method.params)}


def compute(frames: np.ndarray, method: FlowMethod) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 RGB -> (T, H, W, 2) float32 px, x then y, forward; the last is repeated.

    A single frame has no motion: zeros. Raises UnknownName for a method, or a parameter of it, that does not exist.
    """
    flows = list(iter_flow(iter(frames), method))
    return np.stack(flows) if flows else np.zeros((*frames.shape[:3], 2), np.float32)


def iter_flow(frames: Iterator[np.ndarray], method: FlowMethod) -> Iterator[np.ndarray]:
    """`compute`, frame by frame, so that a long video never has to fit into memory. Frames may share their memory."""
    import cv2

    # One thread, whatever the process: a pool above this has one process per core, and results must not depend on it.
    cv2.setNumThreads(1)
    estimator = load(method)
    picture: np.ndarray | None = None
    flow: np.ndarray | None = None
    row: list[np.ndarray] = []
    for frame in frames:
        picture = frame.copy() if estimator.rgb else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        row.append(picture)
        if len(row) > estimator.batch_pairs:
            for flow in estimator.flows(row):
                yield flow
            row = row[-1:]
    if len(row) > 1:
        for flow in estimator.flows(row):
            yield flow
    if flow is not None:
        yield flow
    elif picture is not None:
        yield np.zeros((*picture.shape[:2], 2), np.float32)
