"""Which values the settings of a schedule, a scale and a flow method take."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.contract import FlowMethod, Scale, Schedule
from harness.core.errors import HarnessError
from harness.core.parameters import (
    ABOVE_NOTHING,
    ANYTHING,
    BELOW_ONE,
    NOT_NEGATIVE,
    ONE_OR_MORE,
    POSITIVE,
    Parameter,
    Range,
    one_of,
)

__all__ = ["ANYTHING", "NOT_NEGATIVE", "OF", "ONE_OR_MORE", "POSITIVE", "Parameter", "Range", "one_of", "read"]


def read(params: Mapping[str, float | str], parameters: Mapping[str, Parameter], method: str) -> dict[str, float | str]:
    """The parameters of flow method `method` in their types. Raises HarnessError for values that make no sense."""
    found = {}
    for name, said in params.items():
        try:
            found[name] = parameters[name].read(said)
        except ValueError as error:
            told = f"'{said}'" if isinstance(said, str) else said
            raise HarnessError(
                f"{name} {told} of flow method '{method}' makes no sense; give {parameters[name].words}"
            ) from error
    return found


OF: Mapping[type, Mapping[str, Range]] = {
    Schedule: {
        "steps": NOT_NEGATIVE,
        "batch": ONE_OR_MORE,
        "base_lr": NOT_NEGATIVE,
        "bn_batch": NOT_NEGATIVE,
        "momentum": BELOW_ONE,
        "weight_decay": NOT_NEGATIVE,
        "logreg_c": POSITIVE,
        "held_out": BELOW_ONE,
        "eval_every": NOT_NEGATIVE,
        "patience": ONE_OR_MORE,
        "checkpoint_every": ONE_OR_MORE,
        "label_smoothing": BELOW_ONE,
    },
    Scale: {
        "width": POSITIVE,
        "fps": POSITIVE,
        "short_side_px": ONE_OR_MORE,
        "bn_momentum": ABOVE_NOTHING,
        "dropout": BELOW_ONE,
        "bn_eps": POSITIVE,
        "cpu_threads": NOT_NEGATIVE,
        "precise_bn_clips": NOT_NEGATIVE,
    },
    FlowMethod: {"bound_px": POSITIVE, "short_side_px": ONE_OR_MORE},
}
"""Field -> what it takes, for every field that is a number."""
