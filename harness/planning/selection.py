"""Selection -> cells: unsaid axes take the card's value, and whatever cannot be run is refused before any work."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import re
import typing
from collections.abc import Iterable
from typing import Any

from harness.core import registry
from harness.core.contract import MODALITIES, Baseline, Dataset, FlowMethod, Protocol, Scale, Schedule, streams_of
from harness.core.errors import HarnessError, unknown
from harness.core.parameters import ANYTHING
from harness.core.spec import Cell, Selection
from harness.planning import ranges, schedules, tuned
from harness.video.flow import estimation

INITS = ("imagenet", "scratch")
PUBLISHED = "published:"
BACKBONE = re.compile(r"timm/[^\s/]+")
"""The form alone: which names timm has, only timm knows, and it loads torch."""


def cells(selection: Selection) -> list[Cell]:
    """Every cell the selection asks for, in the order asked. Raises HarnessError on unknown or impossible ones."""
    if not selection.datasets:
        raise HarnessError(f"no data set named; pass --dataset with one of: {', '.join(registry.names('dataset'))}")
    found = []
    for name, dataset_name in itertools.product(selection.baselines or ("i3d",), selection.datasets):
        baseline, dataset = registry.load("baseline", name), _video_dataset(dataset_name)
        axes = itertools.product(
            selection.modalities or baseline.modalities[:1],
            selection.splits or dataset.splits,
            _protocols(selection, dataset),
            selection.inits or baseline.inits[:1],
            selection.seeds,
        )
        found += [_cell(selection, baseline, dataset, *axis) for axis in axes]
    _refuse_unread(selection, found)
    return list(dict.fromkeys(found))


def _video_dataset(name: str) -> Dataset:
    dataset: Dataset = registry.load("dataset", name)
    if dataset.kind != "video":
        raise HarnessError(f"'{dataset.name}' holds images: it only serves --init imagenet; name a data set of videos")
    return dataset


def _protocols(selection: Selection, dataset: Dataset) -> tuple[str, ...]:
    if selection.protocols:
        return selection.protocols
    if dataset.source is None:
        return ("original",)
    raise HarnessError(f"no protocol named; pass --protocol with one of: {', '.join(registry.names('protocol'))}")


def _cell(
    selection: Selection,
    baseline: Baseline,
    dataset: Dataset,
    modality: str,
    split: int,
    protocol_name: str,
    init: str,
    seed: int,
) -> Cell:
    protocol: Protocol = registry.load("protocol", protocol_name)
    scale_name = selection.scale or ("micro" if dataset.micro else "paper")
    scale: Scale = registry.load("scale", scale_name)
    if modality not in MODALITIES:
        raise unknown("modality", modality, MODALITIES)
    if modality not in baseline.modalities:
        raise HarnessError(
            f"{baseline.name} has no modality '{modality}'; it runs {', '.join(baseline.modalities)} (Table 2 of the paper)"
        )
    if split not in dataset.splits:
        raise HarnessError(f"{dataset.name} has no split {split}; have: {', '.join(map(str, dataset.splits))}, all")
    if init not in INITS:
        raise unknown("init", init, INITS)
    if init not in baseline.inits:
        raise HarnessError(f"{baseline.name} cannot start from '{init}'; pass --init {' or '.join(baseline.inits)}")
    if protocol.weights_from == "source" and dataset.source is None and selection.source is None:
        raise HarnessError(
            f"{dataset.name} is what others transfer from; on it only --protocol original means something "
            f"(or name where its weights come from with --source)"
        )
    if selection.backbone and not BACKBONE.fullmatch(selection.backbone):
        raise HarnessError(
            f"--backbone {selection.backbone} is not a backbone; they are written timm/NAME, such as timm/resnet18"
        )
    subset = selection.subset or dataset.subsets[0]
    if subset not in dataset.subsets:
        raise HarnessError(f"{dataset.name} has no subset '{subset}' to score; have: {', '.join(dataset.subsets)}")
    if scale.name not in baseline.train_clip or scale.name not in baseline.test_clip:
        have = [name for name in baseline.train_clip if name in baseline.test_clip]
        raise HarnessError(f"{baseline.name} has no clip for scale '{scale.name}'; have: {', '.join(have)}")
    cell = Cell(
        baseline=baseline.name,
        modality=modality,
        dataset=dataset.name,
        split=split,
        subset=subset,
        protocol=protocol.name,
        init=init,
        source=_source(selection, baseline, dataset, protocol),
        scale=scale.name,
        seed=seed,
        backbone=selection.backbone,
        overrides=selection.overrides,
    )
    stage, overrides = stage_of(protocol, dataset), cell.overrides
    if tuned.asked_for(overrides):
        overrides = tuned.without(overrides)
    of_networks = stages_of(cell)[1:] if protocol.trained == "head" else stages_of(cell)  # a head has no batch norm
    for streams in networks_of(baseline, modality):
        changed = apply_overrides(scale, stage, overrides, streams=streams)
        _check(changed.stages[stage], protocol, stage)
        _check_batches(changed, of_networks)
        _check_crops(changed, baseline)
    return cell


def _check(schedule: Schedule, protocol: Protocol, stage: str) -> None:
    """Raises HarnessError for a schedule that this protocol cannot follow."""
    if schedule.optimizer == "logreg" and protocol.trained != "head":
        raise HarnessError(
            f"logistic regression trains a head on cached features; {protocol.title} moves the whole network: leave out "
            "--set head.solver=logreg, or pass --protocol fixed"
        )
    if schedule.retrain_on_all and not (schedule.policy == "plateau" and schedule.held_out and schedule.eval_every):
        raise HarnessError(
            f"retrain_on_all repeats a schedule whose drops were found on a held-out part, and that of {stage} finds none; "
            "leave it out, or also pass --set train.policy=plateau --set train.held_out=0.1 --set train.eval_every=250"
        )


def _check_batches(scale: Scale, stages: Iterable[str]) -> None:
    """Raises HarnessError for a batch that is not a whole number of replicas."""
    for stage in stages:
        batch, replica = scale.stages[stage].batch, scale.stages[stage].bn_batch
        if replica and batch % replica:
            raise HarnessError(
                f"a batch of {batch} is not a whole number of replicas of {replica}; change --set {stage}.batch or "
                f"--set {stage}.bn_batch"
            )


def _check_crops(scale: Scale, baseline: Baseline) -> None:
    """Raises HarnessError for a network that cuts squares larger than the scale's videos."""
    for which, clips in (("train_clip", baseline.train_clip), ("test_clip", baseline.test_clip)):
        side, short = clips[scale.name].side_px, scale.short_side_px
        if side > short:
            raise HarnessError(
                f"{baseline.name} cuts squares of {side} px ({which}), and the short side of videos is {short} px at scale "
                f"'{scale.name}'; give its card a side_px of {short} or less, or pass --set scale.short_side_px={side}"
            )


def _refuse_unread(selection: Selection, found: Iterable[Cell]) -> None:
    """Raises HarnessError for a `--set` that no job of these cells would notice."""
    cells = list(found)
    followed = {stage: None for cell in cells for stage in stages_of(cell)}
    for key, text in selection.overrides:
        section = key.partition(".")[0]
        stage = ALIASES.get(section, section)
        if section == "flow" and not any("flow" in streams_of(cell.modality) for cell in cells):
            raise HarnessError(
                f"--set {key}={text} has no meaning here: no network of this selection reads flow; leave it out, or "
                "pass --modality flow"
            )
        if stage not in ("train", "scale", "flow", *followed):
            raise HarnessError(
                f"--set {key}={text} has no meaning here: no training of this selection follows the schedule '{stage}', "
                f"only {', '.join(followed)}; leave it out, or set one of those"
            )


def networks_of(baseline: Baseline, modality: str) -> list[tuple[str, ...]]:
    """The streams of each network behind a modality: one network a stream for late fusion, else one that reads all."""
    streams = streams_of(modality)
    return [(stream,) for stream in streams] if baseline.combine == "late" else [streams]


def _source(selection: Selection, baseline: Baseline, dataset: Dataset, protocol: Protocol) -> str:
    if protocol.weights_from != "source":
        if selection.source:
            raise HarnessError(
                f"--source {selection.source} has no meaning under {protocol.title}, which starts from --init"
            )
        return ""
    name = selection.source or (dataset.source if dataset.micro else baseline.source) or ""
    if name.startswith(PUBLISHED):
        published = name.removeprefix(PUBLISHED)
        if published not in {weights.name for weights in baseline.weights}:
            raise unknown(f"published weights of {baseline.name}", published, (w.name for w in baseline.weights))
        return name
    return _video_dataset(name).name


def stage_of(protocol: Protocol, dataset: Dataset) -> str:
    """Key of the schedule that trains this protocol on this data set."""
    return "source" if dataset.source is None and protocol.weights_from == "init" else protocol.stage


def stages_of(cell: Cell) -> list[str]:
    """Keys of every schedule that the cell's jobs follow: its own, its source's, and that of the images."""
    found = [stage_of(registry.load("protocol", cell.protocol), registry.load("dataset", cell.dataset))]
    if cell.source.startswith(PUBLISHED):
        return found
    if cell.source:
        found.append(stage_of(registry.load("protocol", "original"), registry.load("dataset", cell.source)))
    stages = registry.load("scale", cell.scale).stages
    return found + (["images"] if cell.init == "imagenet" and "images" in stages else [])


# ---------------------------------------------------------------------------------------------------- --set


def apply_overrides(
    scale: Scale, stage: str, overrides: tuple[tuple[str, str], ...], *, streams: tuple[str, ...] = ()
) -> Scale:
    """The scale with every `--set key=value` applied, in order, for a network of `streams`.

    Keys: ``train.FIELD`` (the schedule of the cell's own training), ``STAGE.FIELD`` (any stage by name; ``head`` is
    ``fixed``), ``scale.FIELD``, ``flow.FIELD`` (see `_flow`). ``solver`` is another word for ``optimizer``;
    ``STAGE.schedule=NAME`` takes a whole schedule of harness.planning.schedules. Raises HarnessError naming unknown keys with the
    nearest guess, and values that the field does not take.
    """
    for key, text in overrides:
        head, _, name = key.partition(".")
        head, name = ALIASES.get(head, head), ALIASES.get(name, name)
        if head == "scale":
            scale = _replace(scale, name, text, key)
            continue
        if head == "flow":
            scale = dataclasses.replace(scale, flow=_flow(scale.flow, name, text, key))
            continue
        target = stage if head == "train" else head
        if target not in scale.stages:
            raise unknown("--set section", head, ("train", "scale", "flow", *scale.stages))
        if name == "schedule":
            changed = schedules.named(text, streams)
        else:
            changed = _replace(scale.stages[target], name, text, key)
        scale = dataclasses.replace(scale, stages={**scale.stages, target: changed})
    return scale


def _flow(method: FlowMethod, name: str, text: str, key: str) -> FlowMethod:
    """How flow is computed and stored, with a field changed: its name, code, bound or size, or else a parameter of it.

    Another name starts from its own defaults: parameters of one method mean nothing to the next.
    """
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


ALIASES = {"head": "fixed", "solver": "optimizer"}

_Value = typing.TypeVar("_Value", Schedule, Scale, FlowMethod)


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
    allowed = ranges.OF[type(value)].get(name, ANYTHING)
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
