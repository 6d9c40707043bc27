"""Frozen values as plain JSON and back: canonical text, its hash, and strict reading by the dataclasses' own types."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

ID_LENGTH = 12
IN_ID = "in_id"
"""Metadata key of a dataclass field; False keeps the field out of `for_id`."""

Value = TypeVar("Value")


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces and plain values only: equal values give equal text, on any machine.

    Raises TypeError for a value that JSON cannot hold, and ValueError for NaN or infinity.
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def digest(value: Any) -> str:
    """The first 12 hex digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:ID_LENGTH]


def is_digest(text: str) -> bool:
    """Whether `digest` could have returned this."""
    return re.fullmatch(rf"[0-9a-f]{{{ID_LENGTH}}}", text) is not None


def plain(value: Any, *, for_id: bool = False) -> Any:
    """Dataclasses, mappings and tuples as dicts and lists; other values unchanged.

    `for_id` drops fields marked IN_ID=False, and fields that have their default, so that a field that is added later, whose
    default means "as before", leaves ids unchanged.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f for f in dataclasses.fields(value) if not for_id or _in_id(f, getattr(value, f.name))]
        return {field.name: plain(getattr(value, field.name), for_id=for_id) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item, for_id=for_id) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item, for_id=for_id) for item in value]
    return value


def _in_id(field: dataclasses.Field[Any], value: Any) -> bool:
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return bool(field.metadata.get(IN_ID, True)) and (default is dataclasses.MISSING or value != default)


def read(kind: type[Value], stored: Any, path: str = "") -> Value:
    """`stored`, as `plain` gives it, as a value of the dataclass `kind`, all the way down.

    Raises ValueError naming the field for a missing or unknown field, or a value of another type.
    """
    return typing.cast(Value, _read(kind, stored, path or kind.__name__))


def _read(kind: Any, stored: Any, path: str) -> Any:
    if kind is Any:
        return stored
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, stored, path)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _read_union(arguments, stored, path)
    if origin is typing.Literal:
        return _check(stored in arguments, stored, path, f"one of {', '.join(map(str, arguments))}")
    if origin is tuple:
        _check(isinstance(stored, list), stored, path, "a list")
        inner = arguments[:1] * len(stored) if arguments[-1] is Ellipsis else arguments
        _check(len(inner) == len(stored), stored, path, f"a list of {len(inner)}")
        return tuple(
            _read(item, value, f"{path}[{n}]") for n, (item, value) in enumerate(zip(inner, stored, strict=True))
        )
    if origin is not None and issubclass(origin, Mapping):
        _check(isinstance(stored, dict), stored, path, "an object")
        return {key: _read(arguments[1], value, f"{path}.{key}") for key, value in stored.items()}
    # A whole number may stand for a float, and stays one: its text is part of ids.
    fine = type(stored) is kind or (kind is float and type(stored) is int)
    return _check(fine, stored, path, f"a value of type {getattr(kind, '__name__', kind)}")


def _read_union(kinds: tuple[Any, ...], stored: Any, path: str) -> Any:
    if stored is None and type(None) in kinds:
        return None
    problems = []
    for kind in (kind for kind in kinds if kind is not type(None)):
        try:
            return _read(kind, stored, path)
        except ValueError as error:
            problems.append(error)
    raise problems[-1]


def _read_dataclass(kind: Any, stored: Any, path: str) -> Any:
    _check(isinstance(stored, dict), stored, path, "an object")
    hints = _hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := sorted(stored.keys() - fields.keys()):
        raise ValueError(f"{path} has the unknown field '{unknown[0]}'")
    required = (
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    if absent := sorted(set(required) - stored.keys()):
        raise ValueError(f"{path} lacks the field '{absent[0]}'")
    return kind(**{name: _read(hints[name], value, f"{path}.{name}") for name, value in stored.items()})


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _check(fine: bool, stored: Any, path: str, expected: str) -> Any:
    if not fine:
        raise ValueError(f"{path} is {stored!r:.60}, not {expected}")
    return stored
