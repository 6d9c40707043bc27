"""The axes of a selection as users write them, on the command line, in a selection file or in Python -> Selection."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.core.cells import PUBLISHED, Selection
from harness.core.errors import HarnessError, unknown
from harness.core.registry import dashed
from harness.core.workspace import given

AXES = (
    "baseline",
    "modality",
    "dataset",
    "split",
    "subset",
    "protocol",
    "init",
    "source",
    "scale",
    "seed",
    "backbone",
    "limit",
    "shots",
    "share",
)
SINGLE = ("subset", "source", "scale", "backbone", "limit")
"""Axes that take one value; in Python, several values make several selections."""
NUMBERS = re.compile(r"(\d{1,15})(?:-(\d{1,15}))?", re.ASCII)
"""A whole number, or a range such as 0-4 with both its ends."""
LONGEST_RANGE = 1000


def selection_of(values: Mapping[str, Any]) -> Selection:
    """A Selection of texts by axis, and of `overrides`, pairs of texts. They override the selection file `file`.

    Raises HarnessError for a file that cannot be read and for numbers that are none.
    """
    chosen = _from_file(values["file"]) if values.get("file") else {}
    chosen |= {axis: values[axis] for axis in AXES if values.get(axis)}
    overrides = dict((*chosen.get("overrides", ()), *values.get("overrides", ())))
    source, scale = chosen.get("source"), chosen.get("scale")

    def names(axis: str) -> tuple[str, ...]:
        return tuple(dashed(name) for name in chosen.get(axis, ()))

    return Selection(
        baselines=names("baseline"),
        modalities=tuple(chosen.get("modality", ())),
        datasets=names("dataset"),
        splits=numbers("split", chosen.get("split", ("1",)), everything="all"),
        subset=chosen.get("subset"),
        protocols=names("protocol"),
        inits=names("init"),
        source=_source(source),
        scale=dashed(scale) if scale else None,
        seeds=numbers("seed", chosen.get("seed", ("0",))),
        backbone=chosen.get("backbone", ""),
        limit=_limit(chosen.get("limit")),
        overrides=tuple(overrides.items()),
        shots=_shots(chosen.get("shots", ())),
        shares=_shares(chosen.get("share", ())),
    )


def _source(text: str | None) -> str | None:
    """The canonical form: 'published:/absolute/path' of a folder that `harness weights export` wrote."""
    if text and is_path(text):
        return f"{PUBLISHED}{given(text, flag='--source')}"
    return dashed(text) if text and not text.startswith(PUBLISHED) else text


def is_path(text: str) -> bool:
    """Whether a source is the path of a folder: names of data sets have no '/' before their ':'."""
    return "/" in text.partition(":")[0] or text[:1] in (".", "~")


def selections_of(axes: Mapping[str, Any], *, file: str | None = None) -> list[Selection]:
    """The selections of Python values: by axis a value or several, None for the default; `set` is a mapping.

    One selection, unless an axis of `SINGLE` has several values. Raises HarnessError as `selection_of` does, and for an
    axis with no value.
    """
    values = {axis: several(axis, value) for axis, value in axes.items() if axis != "set" and value is not None}
    overrides = _overrides(axes.get("set") or {}, "set")
    single = [axis for axis in SINGLE if axis in values]
    return [
        selection_of(values | dict(zip(single, choice, strict=True)) | {"overrides": overrides, "file": file})
        for choice in itertools.product(*(values[axis] for axis in single))
    ]


def several(axis: str, value: object) -> tuple[str, ...]:
    """The texts of one value or of several. Raises HarnessError for none."""
    values = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    if not values:
        raise HarnessError(f"{axis}={value!r} has no value; name at least one, or leave {axis} out for its default")
    return tuple(map(str, values))


def numbers(axis: str, words: tuple[str, ...], *, everything: str = "") -> tuple[int, ...]:
    """The whole numbers of '0-2,7', each once; () if the words are `everything` alone. Raises HarnessError for other words."""
    if everything and tuple(words) == (everything,):
        return ()
    parts = [part.strip() for word in words for part in str(word).split(",")]
    ranges = [_range(part) for part in parts]
    if not all(ranges):
        raise HarnessError(
            f"--{axis} {' '.join(map(str, words))}: expected whole numbers from 0, or ranges of up to {LONGEST_RANGE:,} of "
            f"them, such as --{axis} {'1-2' if axis == 'split' else '0-2,7'}{f', or {everything!r}' if everything else ''}"
        )
    return tuple(dict.fromkeys(itertools.chain.from_iterable(ranges)))


def _range(word: str) -> range:
    """'3' or '0-4' as a range; an empty one for anything else."""
    ends = NUMBERS.fullmatch(word)
    if ends is None:
        return range(0)
    first = int(ends[1])
    numbers = range(first, int(ends[2] or first) + 1)
    return numbers if len(numbers) <= LONGEST_RANGE else range(0)


def _limit(value: object) -> int:
    """0 for None. Raises HarnessError for anything but a whole number from 1."""
    if value is None:
        return 0
    text = str(value)
    if not (text.isdecimal() and len(text) < 16 and int(text)):
        raise HarnessError(f"--limit {text}: expected a number of videos, 1 or more")
    return int(text)


def _shots(words: tuple[str, ...]) -> tuple[int, ...]:
    """Whole numbers from 1. Raises HarnessError for other words."""
    values = numbers("shots", words)
    if 0 in values:
        raise HarnessError("--shots 0: expected whole numbers from 1, such as --shots 1,5,10")
    return values


def _shares(words: tuple[str, ...]) -> tuple[float, ...]:
    """Numbers above 0, at most 1. Raises HarnessError for other words."""
    shares = []
    for word in words:
        try:
            shares.append(float(word))
        except ValueError:
            shares.append(0.0)
        if not 0 < shares[-1] <= 1:
            raise HarnessError(f"--share {word}: expected numbers above 0 and at most 1, such as --share 0.01,0.1")
    return tuple(shares)


def _from_file(path: str) -> dict[str, Any]:
    """A selection file, read strictly: axes as keys, with a value or a list of values; `set` is a table."""
    try:
        stored = tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise HarnessError(f"{path}: {error.strerror}; name a selection file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HarnessError(f"{path} is not TOML: {error}") from error
    overrides = _overrides(stored.pop("set", {}), path)
    for key, value in stored.items():
        if key not in AXES:
            raise HarnessError(f"{path}: {unknown('axis', key, (*AXES, 'set'))}")
        if key in SINGLE and key != "limit" and not isinstance(value, str):
            raise HarnessError(f"{path}: {key} = {value!r}: expected one value in quotes")
    axes: dict[str, Any] = {
        key: value if key in SINGLE else tuple(map(str, value if isinstance(value, list) else [value]))
        for key, value in stored.items()
    }
    return axes | {"overrides": overrides}


def _overrides(settings: object, where: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a mapping of settings, nested or with dotted keys. Raises HarnessError for anything else."""
    if not isinstance(settings, Mapping):
        example = (
            "set={'train.base_lr': 0.01}" if where == "set" else "[set] and below it lines such as train.base_lr = 0.01"
        )
        raise HarnessError(f"{where}: set = {settings!r} is not a table; write {example}")
    return tuple(
        (key, str(value).lower() if isinstance(value, bool) else str(value)) for key, value in _dotted(settings)
    )


def _dotted(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """{'train': {'base_lr': 1}} -> [('train.base_lr', 1)]."""
    pairs: list[tuple[str, Any]] = []
    for key, value in table.items():
        pairs += _dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(prefix + str(key), value)]
    return pairs
