"""Parameters of TV-L1 with their defaults and ranges, shared by every method that computes it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from harness.core.parameters import NOT_NEGATIVE, ONE_OR_MORE, POSITIVE, Parameter, Range, one_of, read_all
from harness.core.plugins import Params


def _setting(default: float, values: Range) -> Any:
    return field(default=default, metadata={"range": values})


@dataclass(frozen=True)
class Settings:
    """Parameters, named as OpenCV's where they mean the same."""

    tau: float = _setting(0.25, POSITIVE)
    """Step of the dual variables, times theta."""
    lambda_: float = _setting(0.15, POSITIVE)
    """Weight of the data term: smaller is smoother. Called 'lambda' outside."""
    theta: float = _setting(0.3, POSITIVE)
    """Tightness: how closely the smooth flow follows the flow that explains the picture."""
    nscales: int = _setting(5, ONE_OR_MORE)
    """Levels of the pyramid; there are fewer where a side would fall below 16 px."""
    scale_step: float = _setting(0.8, Range("from 0.2 to 0.95", lambda value: 0.2 <= value <= 0.95))
    """Size of a level relative to the one before."""
    warps: int = _setting(5, ONE_OR_MORE)
    """Linearisations of the second picture at each level."""
    epsilon: float = _setting(0.01, NOT_NEGATIVE)
    """Iterations end when the flow changed by less, in px, root of the mean square."""
    inner: int = _setting(30, ONE_OR_MORE)
    """Iterations between two median filters, at most."""
    outer: int = _setting(6, ONE_OR_MORE)
    """Median filters a warp, at most. OpenCV's default is 10; with 1, fast motion ends over 1 px from OpenCV's in 5% of pixels."""
    median: int = _setting(5, one_of(1, 3, 5))
    """Side of the median filter: 3 or 5; 1 for none."""
    check_every: int = _setting(10, ONE_OR_MORE)
    """Iterations between two looks at `epsilon`. OpenCV looks at each."""


PARAMETERS = {
    setting.name.rstrip("_"): Parameter(setting.default, setting.metadata["range"])  # type: ignore[arg-type]
    for setting in fields(Settings)
}
"""By the name that `FlowMethod.params` and `--set flow.NAME=VALUE` use."""


def settings_of(params: Params, method: str = "tvl1-own") -> Settings:
    """Parameters by their outside names -> settings. Raises HarnessError, naming `method`, for values out of range."""
    values: dict[str, Any] = read_all(params, PARAMETERS, f"flow method '{method}'")
    return Settings(**{"lambda_" if name == "lambda" else name: value for name, value in values.items()})
