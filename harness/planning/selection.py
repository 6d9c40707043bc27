"""Selection -> cells. Omitted axes take the defaults of the cards; impossible cells are refused before any work."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from harness.core import registry
from harness.core.cells import PUBLISHED, Cell, Selection
from harness.core.contract import MODALITIES, NOTHING, Baseline, Dataset, Frames, Protocol, Scale, Weights, streams_of
from harness.core.errors import HarnessError, unknown
from harness.data.splits import TRAINED_ON
from harness.models import catalog, pretrained
from harness.planning import tuned
from harness.planning.overrides import HEAD, VIEWS, Overrides
from harness.planning.training import Training, pre_training, trainings_of

INITS = ("imagenet", "scratch")
PAPER = "paper"
BACKBONE = re.compile(r"timm/[^\s/]+")
"""Form of a backbone. The name is checked later, because that needs timm, which loads torch."""


def cells(selection: Selection) -> list[Cell]:
    """Every cell of the selection, in its order. Raises HarnessError for unknown or impossible cells."""
    if not selection.datasets:
        raise HarnessError(f"no data set given; pass --dataset with one of: {', '.join(registry.names('dataset'))}")
    chosen = []
    for name, dataset_name in itertools.product(selection.baselines or ("i3d",), selection.datasets):
        baseline, dataset = _network(name), _video_dataset(dataset_name)
        axes = itertools.product(
            selection.modalities or baseline.modalities[:1],
            selection.splits or dataset.splits,
            _protocols(selection, dataset),
            selection.inits or baseline.inits[:1],
            selection.seeds,
            _draws(selection),
        )
        chosen += [_cell(selection, baseline, dataset, axis) for axis in axes]
    _refuse_unread(selection.overrides, chosen)
    return list(dict.fromkeys(chosen))


def _network(name: str) -> Baseline:
    baseline: Baseline = registry.load("baseline", name)
    if baseline.library and importlib.util.find_spec(baseline.library) is None:
        raise HarnessError(
            f"{baseline.name} needs {baseline.library}, which is not installed: pip install 'quovadis-harness[{baseline.extra}]'"
        )
    if baseline.at is not None:
        raise HarnessError(
            f"'{baseline.name}' is a family of networks; name one, such as --baseline {baseline.name}:"
            f"{baseline.members[0] if baseline.members else 'NAME'} ({baseline.how_to_list})"
        )
    return baseline


def _video_dataset(name: str) -> Dataset:
    dataset: Dataset = registry.load("dataset", name)
    if dataset.kind != "video":
        raise HarnessError(f"'{dataset.name}' contains images for --init imagenet; pass a data set of videos")
    return dataset


def _protocols(selection: Selection, dataset: Dataset) -> tuple[str, ...]:
    if selection.protocols:
        return selection.protocols
    if dataset.source is None:
        return (pre_training().name,)
    raise HarnessError(f"no protocol given; pass --protocol with one of: {', '.join(registry.names('protocol'))}")


def _cell(
    selection: Selection, baseline: Baseline, dataset: Dataset, axes: tuple[str, int, str, str, int, tuple[int, float]]
) -> Cell:
    modality, split, protocol_name, init, seed, (shots, share) = axes
    protocol: Protocol = registry.load("protocol", protocol_name)
    scale: Scale = registry.load("scale", _scale_name(selection, dataset))
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
    if protocol.weights_from == "source" and not _asked_source(selection, baseline, dataset):
        raise HarnessError(
            f"{dataset.name} is a data set for pre-training, so --protocol {protocol.name} has no default data set to start "
            f"from: pass --source, or --protocol {pre_training().name}"
        )
    if selection.backbone and not BACKBONE.fullmatch(selection.backbone):
        raise HarnessError(f"--backbone {selection.backbone} is not of the form timm/NAME, such as timm/resnet18")
    subset = selection.subset or dataset.subsets[0]
    if subset not in dataset.subsets:
        raise HarnessError(f"{dataset.name} has no subset '{subset}' to score; have: {', '.join(dataset.subsets)}")
    if scale.name not in baseline.train_clip or scale.name not in baseline.test_clip:
        have = ", ".join(name for name in baseline.train_clip if name in baseline.test_clip)
        raise HarnessError(f"{baseline.name} lacks train_clip or test_clip for scale '{scale.name}'; have: {have}")
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
        limit=selection.limit,
        shots=shots,
        share=share,
    )
    _check_draw(cell, dataset, protocol)
    for training in _trainings(cell):
        _check(training)
    return cell


def _draws(selection: Selection) -> list[tuple[int, float]]:
    """(shots, share) of each size of the training set; (0, 0.0): all training videos, as is a share of 1."""
    sizes = [(shots, 0.0) for shots in selection.shots] + [
        (0, share if share < 1 else 0.0) for share in selection.shares
    ]
    return sizes or [(0, 0.0)]


def _check_draw(cell: Cell, dataset: Dataset, protocol: Protocol) -> None:
    """Raise HarnessError for more shots than the classes have on average, and for a draw under a protocol without training."""
    flag = f"--share {cell.share:g}" if cell.share else f"--shots {cell.shots}"
    if cell.draw and protocol.trained == NOTHING:
        raise HarnessError(f"{flag} has no effect under {protocol.title}, which trains nothing; leave it out")
    videos = min(dataset.counts.get((cell.split, "train"), 0), cell.limit or sys.maxsize)
    if 0 < videos < cell.shots * dataset.num_classes:
        raise HarnessError(
            f"{flag}: {dataset.name} has {videos} training videos of {dataset.num_classes} classes in split {cell.split}; pass "
            f"--shots {videos // dataset.num_classes} or less, or --share"
        )


def _trainings(cell: Cell) -> list[Training]:
    """Trainings of the cell's networks; with the scale's rate instead of a tuned rate."""
    overrides = tuned.without(cell.overrides) if tuned.asked_for(cell.overrides) else cell.overrides
    return list(trainings_of(dataclasses.replace(cell, overrides=overrides)))


def _check(training: Training) -> None:
    """Raise HarnessError for invalid combinations of settings."""
    scale, baseline = training.scale, training.baseline
    own = scale.stages[training.stage] if training.stage else None
    if own and own.retrain_on_all and not (own.policy == "plateau" and own.held_out and own.eval_every):
        raise HarnessError(
            "retrain_on_all needs a schedule that finds its learning-rate drops on held-out videos, and the schedule of "
            f"'{training.stage}' does not; leave it out, or also pass --set train.policy=plateau --set train.held_out=0.1 "
            "--set train.eval_every=250"
        )
    # A head has no batch norm.
    for stage in training.stages[1:] if training.head and own else training.stages:
        batch, replica = scale.stages[stage].batch, scale.stages[stage].bn_batch
        if replica and batch % replica:
            raise HarnessError(
                f"a batch of {batch} is not a multiple of bn_batch, {replica}; change --set {stage}.batch or "
                f"--set {stage}.bn_batch"
            )
    _check_frames(training)
    for which, clips in (("train_clip", baseline.train_clip), ("test_clip", baseline.test_clip)):
        side, short = clips[scale.name].side_px, scale.short_side_px
        if side > short:
            raise HarnessError(
                f"{baseline.name} crops squares of {side} px ({which}), but the short side of videos is {short} px at scale "
                f"'{scale.name}'; give its card a side_px of {short} or less, or pass --set scale.short_side_px={side}"
            )


def _check_frames(training: Training) -> None:
    """Raise HarnessError for clips or frames that the network does not take."""
    scale, baseline = training.scale, training.baseline
    own = baseline.frames.get(scale.name, Frames())
    for clip in (baseline.train_clip[scale.name], baseline.test_clip[scale.name]):
        if own.only and (clip.window, clip.side_px) != own.only:
            raise HarnessError(
                f"{baseline.name} takes clips of {own.only[0]} frames of {own.only[1]} px and no others, but its card cuts "
                f"{clip.window} frames of {clip.side_px} px at scale '{scale.name}'; correct train_clip or test_clip"
            )
        if clip.dense and (clip.count > 1 or clip.crops > 1):
            raise HarnessError(
                f"{baseline.name} is applied to the whole video at scale '{scale.name}', so it takes no views; leave out "
                "--set views.count and --set views.crops"
            )
    if scale.frame_px and (scale.short_side_px != min(scale.frame_px) or scale.video_source != "originals"):
        height, width = scale.frame_px
        raise HarnessError(
            f"{baseline.name} resizes frames to {width}x{height} px whatever their aspect, so scale.short_side_px and the "
            "frame store have no meaning; leave out --set scale.short_side_px and --set scale.video_source"
        )


def _refuse_unread(overrides: Overrides, cells: Iterable[Cell]) -> None:
    """Raise HarnessError for a `--set` that no job of these cells reads."""
    cells = list(cells)
    trainings = [training for cell in cells for training in _trainings(cell)]
    followed = {stage: None for training in trainings for stage in training.stages}
    own = {training.stage for training in trainings if training.stage}
    for key, text in overrides:
        section = key.partition(".")[0]
        if section == "flow" and not any("flow" in streams_of(cell.modality) for cell in cells):
            raise HarnessError(
                f"--set {key}={text} has no effect: no network of this selection reads flow; leave it out, or "
                "pass --modality flow"
            )
        if section == HEAD and not any(training.head for training in trainings):
            raise HarnessError(
                f"--set {key}={text} has no effect: no protocol of this selection trains a head on features; leave it out, "
                "or pass --protocol with one that does (`harness ls protocols`)"
            )
        if section not in (*(["train"] if own else []), "scale", "flow", HEAD, VIEWS, *followed):
            raise HarnessError(
                f"--set {key}={text} has no effect: no training of this selection follows the schedule '{section}', "
                f"only {', '.join(followed)}; leave it out, or set one of those"
            )


def without_source(selection: Selection) -> list[str]:
    """Titles of the protocols for which `--source` has no meaning, in a selection that also has others."""
    cards = _cards(selection) if selection.source else []
    titles = [card.title for card in cards if card.weights_from != "source"]
    return titles if len(titles) < len(cards) else []


def _cards(selection: Selection) -> list[Protocol]:
    return [registry.load("protocol", name) for name in selection.protocols]


def _asked_source(selection: Selection, baseline: Baseline, dataset: Dataset) -> str:
    """`--source`, or its default: the baseline's at paper scale, else the data set's; '' if none has one."""
    own = baseline.source if _scale_name(selection, dataset) == PAPER else ""
    return selection.source or own or dataset.source or ""


def _scale_name(selection: Selection, dataset: Dataset) -> str:
    return selection.scale or ("micro" if dataset.micro else PAPER)


def _source(selection: Selection, baseline: Baseline, dataset: Dataset, protocol: Protocol) -> str:
    if protocol.weights_from != "source":
        if selection.source and not any(card.weights_from == "source" for card in _cards(selection)):
            raise HarnessError(
                f"--source {selection.source} has no effect under {protocol.title}, which starts from --init; leave it out"
            )
        return ""
    name = _asked_source(selection, baseline, dataset)
    if name.startswith(PUBLISHED):
        published = name.removeprefix(PUBLISHED)
        if catalog.is_folder(published):
            _check_exported(Path(published), baseline, _scale_name(selection, dataset))
        offers = pretrained.offered(baseline, published)
        if not offers:
            names = (weights.name for weights in baseline.weights)
            raise unknown("published weights", published, names, of=f" for {baseline.name}")
        if protocol.trained == NOTHING:
            _check_classes(offers[0], dataset)
        return name
    if protocol.trained == NOTHING:
        raise HarnessError(
            f"--protocol {protocol.name} scores published weights unchanged, and {name} is a data set; pass --source "
            f"published:NAME{' --scale paper' if dataset.micro else ''} (`harness weights list`)"
        )
    return _video_dataset(name).name


def _check_exported(folder: Path, baseline: Baseline, scale: str) -> None:
    """Raise HarnessError for an exported network that is not this one, or does not say what it was trained on."""
    exported = catalog.exported(folder)
    if (exported.baseline, exported.scale) != (baseline.name, scale):
        raise HarnessError(
            f"--source {folder} is {exported.baseline} at {exported.scale} scale, and this selection trains {baseline.name} at "
            f"{scale} scale; pass --baseline {exported.baseline} --scale {exported.scale}, or another --source"
        )
    if not (folder / TRAINED_ON).is_file():
        raise HarnessError(
            f"{folder} has no {TRAINED_ON}, so it cannot be ruled out that it was trained on the videos to score; export the job "
            "again"
        )


def _check_classes(weights: Weights, dataset: Dataset) -> None:
    """Raise HarnessError for weights whose head cannot score the data set. The planner compares names of classes."""
    fewer = dataset.num_classes < weights.classes and weights.labels
    if dataset.num_classes != weights.classes and not fewer:
        raise HarnessError(
            f"the weights '{weights.name}' have {weights.classes} classes and {dataset.name} has {dataset.num_classes}, so they "
            "cannot be scored as published; pass --protocol fixed, which trains a new head"
        )
