"""`--set key=value`: the settings, a scale with them applied, and the schedule of a protocol."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from typing import Any

from harness.core import registry
from harness.core.contract import Baseline, Clip, FlowMethod, Protocol, Scale, Schedule
from harness.core.errors import HarnessError, unknown
from harness.core.parameters import ANYTHING
from harness.core.plugins import Head
from harness.planning import schedules
from harness.video.flow import estimation

Overrides = tuple[tuple[str, str], ...]
HEAD = "head"
"""Section of the parameters of a protocol's head: `--set head.c=0.1`."""
VIEWS = "views"
"""Section of the views that a video is scored on: `--set views.count=10 --set views.crops=3`."""


def with_schedules(scale: Scale, protocol: Protocol) -> Scale:
    """The scale with the protocol's own schedule, if it has one.

    Raises HarnessError if neither has the schedule, or if the protocol has one for a scale that does not exist.
    """
    for name in protocol.schedules.keys() - set(registry.names("scale")):
        raise HarnessError(f"protocol '{protocol.name}': schedules: {unknown('scale', name, registry.names('scale'))}")
    own = {protocol.stage: protocol.schedules[scale.name]} if scale.name in protocol.schedules else {}
    stages = {**scale.stages, **own}
    if protocol.stage and protocol.stage not in stages:
        raise HarnessError(
            f"protocol '{protocol.name}' uses the schedule '{protocol.stage}', which scale '{scale.name}' does not "
            f"have; in the protocol's card, either add schedules={{'{scale.name}': Schedule(...)}} or set stage to one of: "
            f"{', '.join(stages)}"
        )
    return dataclasses.replace(scale, stages=stages)


def apply_overrides(
    scale: Scale, stage: str, overrides: tuple[tuple[str, str], ...], *, streams: tuple[str, ...] = ()
) -> Scale:
    """The scale with every `--set key=value` applied, in order, for a network of `streams`.

    Keys: ``train.FIELD`` (the schedule of the cell's own training), ``STAGE.FIELD`` (any stage by name),
    ``scale.FIELD``, ``flow.FIELD`` (see `_flow`). ``STAGE.schedule=NAME`` takes a whole schedule of
    `harness.planning.schedules`. `head_params` handles ``head.NAME``, `with_views` ``views.NAME``. Raises HarnessError for unknown keys, with
    the nearest guess, and for invalid values.
    """
    for key, text in overrides:
        section, _, name = key.partition(".")
        if section in (HEAD, VIEWS):
            continue
        if section == "scale":
            scale = _replace(scale, name, text, key)
            continue
        if section == "flow":
            scale = dataclasses.replace(scale, flow=_flow(scale.flow, name, text, key))
            continue
        target = stage if section == "train" else section
        if section == "train" and not stage:
            raise HarnessError(f"--set {key}={text} has no effect: this protocol trains a head, without a schedule")
        if target not in scale.stages and target in {card.stage for card in registry.all("protocol").values()}:
            continue  # the stage of a protocol that brings its own schedule, in a selection of several protocols
        if target not in scale.stages:
            raise unknown("--set section", section, ("train", "scale", "flow", HEAD, VIEWS, *scale.stages))
        if name == "schedule":
            changed = schedules.named(text, streams)
        else:
            changed = _replace(scale.stages[target], name, text, key)
        scale = dataclasses.replace(scale, stages={**scale.stages, target: changed})
    return scale


def with_views(baseline: Baseline, scale: str, overrides: Overrides) -> Baseline:
    """The card with every `--set views.count=N` and `--set views.crops=N` applied to its test clip at this scale.

    Raises HarnessError as `apply_overrides` does.
    """
    for key, text in overrides:
        section, _, name = key.partition(".")
        if section != VIEWS:
            continue
        if name not in ("count", "crops"):
            raise HarnessError(f"--set {key}={text}: no such setting; have: count, crops")
        clip = _replace(baseline.test_clip[scale], name, text, key)
        baseline = dataclasses.replace(baseline, test_clip={**baseline.test_clip, scale: clip})
    return baseline


def _flow(method: FlowMethod, name: str, text: str, key: str) -> FlowMethod:
    """The flow method with one field or parameter changed. A new name starts from that method's own defaults."""
    if name == "name":
        return estimation.checked(dataclasses.replace(method, name=text, params={}))
    if name in ("quantization", "bound_px", "short_side_px"):
        return _replace(method, name, text, key)
    parameter = estimation.parameter(method.name, name)
    try:
        value = parameter.read(text)
    except ValueError as error:
        raise HarnessError(f"--set {key}={text}: expected {parameter.words}") from error
    return dataclasses.replace(method, params={**method.params, name: value})


def head_params(head: Head, overrides: Overrides) -> dict[str, float | int | str]:
    """The head's parameters with every `--set head.NAME=VALUE` applied. Raises HarnessError as `apply_overrides` does."""
    values = {name: parameter.default for name, parameter in head.params.items()}
    for key, text in overrides:
        section, _, name = key.partition(".")
        if section != HEAD:
            continue
        if name not in head.params:
            raise HarnessError(f"--set {key}={text}: {unknown('parameter', name, head.params)}")
        try:
            values[name] = head.params[name].read(text)
        except ValueError as error:
            raise HarnessError(f"--set {key}={text}: expected {head.params[name].words}") from error
    return values


_Value = typing.TypeVar("_Value", Schedule, Scale, FlowMethod, Clip)


def _replace(value: _Value, name: str, text: str, key: str) -> _Value:
    plain = {
        f.name: type(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name not in ("name", "version")
    }
    plain = {field: kind for field, kind in plain.items() if kind in (int, float, str, bool)}
    if name not in plain:
        close = difflib.get_close_matches(name, plain, n=1)
        guess = f"; did you mean '{close[0]}'?" if close else ""
        raise HarnessError(f"--set {key}={text}: no such setting; have: {', '.join(sorted(plain))}{guess}")
    parsed = _parse(plain[name], text, key)
    choices = typing.get_args(typing.get_type_hints(type(value))[name])
    if choices and parsed not in choices:
        raise HarnessError(f"--set {key}={text}: expected one of {', '.join(map(str, choices))}")
    allowed = type(value).RANGES.get(name, ANYTHING)
    if not allowed.has(parsed):
        raise HarnessError(f"--set {key}={text}: expected {allowed.words}")
    return dataclasses.replace(value, **{name: parsed})  # type: ignore[arg-type]


def _parse(kind: type, text: str, key: str) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (ValueError, KeyError) as error:
        raise HarnessError(f"--set {key}={text}: expected {kind.__name__}, such as {_EXAMPLES[kind]}") from error


_EXAMPLES = {int: "500", float: "0.01", bool: "true", str: "sgd"}
