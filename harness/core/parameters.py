"""Which values a setting or a parameter takes, and the words for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.core.errors import HarnessError


class Range(NamedTuple):
    """The values that a setting takes."""

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
    """A parameter of a plug-in, such as a flow method or a head."""

    default: float | str
    """Its value by default; gives its type."""
    allowed: Range = ANYTHING

    @property
    def words(self) -> str:
        """The range in words: 'a whole number, 1 or more'."""
        number = {int: "a whole number, ", float: "a number, "}.get(type(self.default), "")
        return self.allowed.words if self.allowed.words.startswith("one of") else number + self.allowed.words

    def read(self, stored: float | str) -> float | str:
        """The value in the parameter's type. Raises ValueError for a value out of range."""
        value = type(self.default)(stored)
        if not self.allowed.has(value) or (not isinstance(stored, str) and value != stored):
            raise ValueError(stored)
        return value


def read_all(
    params: Mapping[str, float | str], parameters: Mapping[str, Parameter], owner: str
) -> dict[str, float | str]:
    """The values of `params` in their types. Raises HarnessError, naming the `owner`, for a value out of range."""
    values = {}
    for name, given in params.items():
        try:
            values[name] = parameters[name].read(given)
        except ValueError as error:
            text = f"'{given}'" if isinstance(given, str) else given
            raise HarnessError(
                f"invalid value {text} for parameter '{name}' of {owner}: expected {parameters[name].words}"
            ) from error
    return values
