"""Parameters of TV-L1 with their defaults and ranges, shared by every method that computes it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from harness.core.parameters import NOT_NEGATIVE, ONE_OR_MORE, POSITIVE, Parameter, Range, one_of, read_all
from harness.core.plugins import Params


@dataclass(frozen=True)
class Settings:
    """Parameters, named as OpenCV's where they mean the same."""

    tau: float = 0.25
    """Step of the dual variables, times theta."""
    lambda_: float = 0.15
    """Weight of the data term: smaller is smoother. Called 'lambda' outside."""
    theta: float = 0.3
    """Tightness: how closely the smooth flow follows the flow that explains the picture."""
    nscales: int = 5
    """Levels of the pyramid; there are fewer where a side would fall below 16 px."""
    scale_step: float = 0.8
    """Size of a level relative to the one before."""
    warps: int = 5
    """Linearisations of the second picture at each level."""
    epsilon: float = 0.01
    """Iterations end when the flow changed by less, in px, root of the mean square."""
    inner: int = 30
    """Iterations between two median filters, at most."""
    outer: int = 6
    """Median filters a warp, at most. OpenCV's default is 10; with 1, fast motion ends over 1 px from OpenCV's in 5% of pixels."""
    median: int = 5
    """Side of the median filter: 3 or 5; 1 for none."""
    check_every: int = 10
    """Iterations between two looks at `epsilon`. OpenCV looks at each."""


_RANGES = {
    "tau": POSITIVE,
    "lambda": POSITIVE,
    "theta": POSITIVE,
    "nscales": ONE_OR_MORE,
    "scale_step": Range("from 0.2 to 0.95", lambda value: 0.2 <= value <= 0.95),
    "warps": ONE_OR_MORE,
    "epsilon": NOT_NEGATIVE,
    "inner": ONE_OR_MORE,
    "outer": ONE_OR_MORE,
    "median": one_of(1, 3, 5),
    "check_every": ONE_OR_MORE,
}
PARAMETERS = {
    (name := field.name.rstrip("_")): Parameter(field.default, _RANGES[name])  # type: ignore[arg-type]
    for field in fields(Settings)
}
"""By the name that `FlowMethod.params` and `--set flow.NAME=VALUE` use."""


def settings_of(params: Params, method: str = "tvl1-own") -> Settings:
    """Parameters by their outside names -> settings. Raises HarnessError, naming `method`, for values out of range."""
    values: dict[str, Any] = read_all(params, PARAMETERS, f"flow method '{method}'")
    return Settings(**{"lambda_" if name == "lambda" else name: value for name, value in values.items()})
