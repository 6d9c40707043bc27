"""Which values a card's field, a setting or a parameter takes, and the words for them."""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import math
import types
import typing
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


WORDS = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "True or False"}
"""Type of a field -> the words for it."""


def check_fields(value: Any, path: str = "") -> None:
    """Check the types, choices and ranges of a dataclass's fields, down through the values that they hold.

    `RANGES` of its class gives the ranges of numbers, by field. Raises ValueError: 'steps must be 0 or more; got -1'.
    """
    card: Any = type(value)
    ranges: Mapping[str, Range] = getattr(card, "RANGES", {})
    for name, kind in _kinds(card).items():
        item = getattr(value, name)
        _check(kind, item, path + name)
        _require(name not in ranges or ranges[name].has(item), path + name, ranges.get(name, ANYTHING).words, item)


@functools.cache
def _kinds(card: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(card)
    return {field.name: hints[field.name] for field in dataclasses.fields(card)}


def _check(kind: Any, item: Any, path: str) -> None:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        _check_union(arguments, item, path)
    elif origin is typing.Literal:
        _require(item in arguments, path, " or ".join(map(repr, arguments)), item)
    elif origin is collections.abc.Callable:
        _require(callable(item), path, "a function", item)
    elif origin is not None:
        _require(isinstance(item, origin), path, f"a {origin.__name__.lower()}", item)
        parts = item.items() if isinstance(item, Mapping) else enumerate(item)
        for key, part in parts:
            _check(arguments[1 if isinstance(item, Mapping) else 0], part, f"{path}[{key!r}]")
    elif kind is not Any:
        # A whole number may stand for a float. True and False are not numbers.
        kinds = (int, float) if kind is float else kind
        fine = isinstance(item, kinds) and (kind in (bool, object) or not isinstance(item, bool))
        _require(fine, path, WORDS.get(kind, f"a {kind.__name__}"), item)
        if dataclasses.is_dataclass(item):
            check_fields(item, f"{path}.")


def _check_union(kinds: tuple[Any, ...], item: Any, path: str) -> None:
    """Raises the error of the first kind if the item is of none."""
    errors = []
    for kind in kinds:
        try:
            return _check(kind, item, path)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def _require(fine: bool, path: str, expected: str, item: Any) -> None:
    if not fine:
        raise ValueError(f"{path} must be {expected}; got {item!r:.60}")
