"""Which values a setting takes, and the words for it: of a schedule, a scale, a flow method and its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.core.contract import FlowMethod, Scale, Schedule
from harness.core.errors import HarnessError


class Range(NamedTuple):
    """The values that make sense."""

    words: str
    """After 'expected': '0 or more'."""
    holds: Callable[[Any], bool]

    def has(self, value: float | str) -> bool:
        """Whether it is one of them. Infinity and NaN never are."""
        return not (isinstance(value, float) and not math.isfinite(value)) and self.holds(value)


def one_of(*choices: float | str) -> Range:
    return Range(f"one of {', '.join(map(str, choices))}", lambda value: value in choices)


POSITIVE = Range("more than 0", lambda value: value > 0)
NOT_NEGATIVE = Range("0 or more", lambda value: value >= 0)
ONE_OR_MORE = Range("1 or more", lambda value: value >= 1)
BELOW_ONE = Range("0 or more, and below 1", lambda value: 0 <= value < 1)
ABOVE_NOTHING = Range("more than 0, and at most 1", lambda value: 0 < value <= 1)
ANYTHING = Range("anything", lambda value: True)


@dataclass(frozen=True)
class Parameter:
    """One of a flow method's parameters."""

    default: float | str
    """What it is where nobody says; tells its type."""
    allowed: Range = ANYTHING

    @property
    def words(self) -> str:
        """What to give: 'a whole number, 1 or more'."""
        number = {int: "a whole number, ", float: "a number, "}.get(type(self.default), "")
        return self.allowed.words if self.allowed.words.startswith("one of") else number + self.allowed.words

    def read(self, said: float | str) -> float | str:
        """The value in the parameter's type. Raises ValueError for one that makes no sense."""
        value = type(self.default)(said)
        if not self.allowed.has(value) or (not isinstance(said, str) and value != said):
            raise ValueError(said)
        return value


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
