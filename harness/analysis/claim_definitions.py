"""The claims of the paper, as pairs of its printed numbers: which cells to compare, and the paper's numbers for them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

from harness.analysis import paper_numbers
from harness.core import registry
from harness.core.cells import Cell, Selection
from harness.core.contract import Baseline
from harness.metrics.registered import PRIMARY
from harness.planning import selection

ONE, ALL = (1,), (1, 2, 3)


@dataclass(frozen=True)
class PrintedAccuracy:
    """The axes of one accuracy that the paper prints."""

    baseline: str
    modality: str
    dataset: str
    """The paper's data set; `paper_numbers.stand_in` gives the data set of another scale."""
    protocol: str
    init: str
    splits: tuple[int, ...]
    """Table 5 prints means over three."""


@dataclass(frozen=True)
class AccuracyPair:
    """A against B."""

    a: PrintedAccuracy
    b: PrintedAccuracy
    sign: int = 1
    """-1 where the gain of the pair is subtracted: the gain on one data set minus the gain on another."""


Comparison = tuple[AccuracyPair, ...]
"""Pairs that form one difference: a single pair, or a gain and the gain on another data set that it is compared with."""


@dataclass(frozen=True)
class ClaimPart:
    """One assertion of a claim."""

    name: str
    """Such as 'over 3D-ConvNet'."""
    comparisons: tuple[Comparison, ...]
    answers: str = "top1"
    """'top1': the true class has the highest score; 'order': a higher score than its reverse, for classes that have one."""


@dataclass(frozen=True)
class ClaimDefinition:
    """A claim of the paper. All its parts must hold."""

    name: str
    statement: str
    where: str
    """Place in the paper."""
    parts: tuple[ClaimPart, ...]
    tables: tuple[int, ...]
    """Tables of the paper whose numbers it compares."""
    impossible: str = ""
    """Why it cannot be tested at this scale; '' if it can."""


def claims_at(scale: str) -> tuple[ClaimDefinition, ...]:
    """Every claim that is tested, in the paper's order."""
    return (
        _best(),
        ClaimDefinition(
            name="both-streams",
            statement="RGB and flow together are better than either alone",
            where="Tables 2, 3 and 5",
            parts=(
                ClaimPart("over RGB", _differing("modality", "rgb+flow", "rgb")),
                ClaimPart("over Flow", _differing("modality", "rgb+flow", "flow")),
            ),
            tables=(2, 3, 5),
        ),
        ClaimDefinition(
            name="imagenet-helps",
            statement="Starting from ImageNet is better than starting from scratch",
            where="Tables 3, 4 and 5",
            parts=(ClaimPart("ImageNet over scratch", _differing("init", "imagenet", "scratch")),),
            tables=(3, 4, 5),
        ),
        ClaimDefinition(
            name="transfer-helps",
            statement="Transfer from Kinetics is better than training on the small data set alone, fixed or fine-tuned",
            where="Table 4",
            parts=(
                ClaimPart("Fixed over Original", _differing("protocol", "fixed", "original")),
                ClaimPart("Full-FT over Original", _differing("protocol", "full-ft", "original")),
            ),
            tables=(4,),
        ),
        _smaller_set(),
        _order_of_time(scale),
    )


def _best() -> ClaimDefinition:
    """Same data set, protocol and init. Same modality if both are printed, else all streams of I3D, as in Table 4."""
    rivals = [name for name in dict.fromkeys(number.baseline for number in printed()) if name != "i3d"]
    parts = []
    for rival in rivals:
        pairs = [(_i3d_like(number), number) for number in printed() if number.baseline == rival]
        comparisons = tuple((AccuracyPair(i3d, other),) for i3d, other in pairs if i3d)
        parts.append(ClaimPart(f"over {_card(rival).title}", comparisons))
    return ClaimDefinition(
        name="i3d-best",
        statement="I3D is better than each of the four other architectures",
        where="Tables 2, 3 and 4",
        parts=tuple(parts),
        tables=(2, 3, 4),
    )


def _i3d_like(number: PrintedAccuracy) -> PrintedAccuracy | None:
    same = replace(number, baseline="i3d")
    whole = replace(same, modality="rgb+flow")
    return same if same in printed() else whole if whole in printed() else None


def _smaller_set() -> ClaimDefinition:
    comparisons = []
    for protocol in ("fixed", "full-ft"):
        for (gain,) in _differing("protocol", protocol, "original"):
            on_ucf101 = AccuracyPair(replace(gain.a, dataset="ucf101"), replace(gain.b, dataset="ucf101"), sign=-1)
            if gain.a.dataset == "hmdb51" and {on_ucf101.a, on_ucf101.b} <= printed().keys():
                comparisons.append((gain, on_ucf101))
    return ClaimDefinition(
        name="smaller-gains-more",
        statement="Transfer adds more points on the smaller data set, HMDB-51, than on UCF-101",
        where="Table 4",
        parts=(ClaimPart("gain on HMDB-51 minus gain on UCF-101", tuple(comparisons)),),
        tables=(4,),
    )


def _order_of_time(scale: str) -> ClaimDefinition:
    """A network of single frames (Two-Stream's RGB, which averages frames without order) and two networks that see motion."""
    parts = []
    for name, moving in (
        ("Two-Stream's flow over its single frames", ("two-stream", "flow")),
        ("I3D's RGB over Two-Stream's single frames", ("i3d", "rgb")),
    ):
        pairs = [
            AccuracyPair(replace(still, baseline=moving[0], modality=moving[1]), still)
            for still in printed()
            if (still.baseline, still.modality) == ("two-stream", "rgb")
            and "reversal" in registry.load("dataset", paper_numbers.stand_in(still.dataset, scale)).class_groups
        ]
        parts.append(ClaimPart(name, tuple((pair,) for pair in pairs if pair.a in printed()), answers="order"))
    return ClaimDefinition(
        name="order-needs-motion",
        statement="Motion, not single frames, distinguishes classes that differ only in the direction of time (opening, closing)",
        where="section 2.1",
        parts=tuple(parts),
        tables=(2,),
        impossible=""
        if all(part.comparisons for part in parts)
        else "no data set of this scale has classes that are each other's reverse; the micro data sets (--scale micro) have",
    )


def _differing(axis: str, better: str, worse: str) -> tuple[Comparison, ...]:
    """Every pair of printed numbers that differ in this axis only."""
    comparisons: list[Comparison] = []
    for number in printed():
        changes: dict[str, Any] = {axis: worse}
        other = replace(number, **changes)
        if getattr(number, axis) == better and other in printed():
            comparisons.append((AccuracyPair(number, other),))
    return tuple(comparisons)


@functools.cache
def printed() -> dict[PrintedAccuracy, float]:
    """Every accuracy of the five architectures in Tables 2 to 5, each once, with its value in percent."""
    accuracies: dict[PrintedAccuracy, float] = {}
    for table in (2, 3, 4, 5):
        for (row, column), value in paper_numbers.table(table).items():
            number = _accuracy(table, row, column)
            if number:
                accuracies.setdefault(number, value.value)
    return accuracies


def _accuracy(table: int, row: str, column: str) -> PrintedAccuracy | None:
    """The axes of a printed number; None for one of another metric, or that the paper quotes."""
    protocol = paper_numbers.PROTOCOLS.get(table, "")
    if table == 2:
        dataset, modality = column.split("/")
        return PrintedAccuracy(row, modality, dataset, protocol, _card(row).inits[0], ONE)
    if table == 3:
        init, modality, metric = column.split("/")
        source = paper_numbers.SOURCES[paper_numbers.KINETICS]
        return PrintedAccuracy(row, modality, source, protocol, init, ONE) if metric == PRIMARY else None
    if table == 4:
        dataset, protocol, init = column.split("/")
        return PrintedAccuracy(row, _card(row).modalities[0], dataset, protocol, init, ONE)
    if row.startswith("quoted/"):
        return None
    baseline, modality, init = row.split("/")
    return PrintedAccuracy(baseline, modality, column, protocol, init, ALL)


def _card(name: str) -> Baseline:
    card: Baseline = registry.load("baseline", name)
    return card


def cells_of(pair: AccuracyPair, scale: str) -> list[tuple[Cell, Cell]]:
    """(A, B) for every split, at seed 0. Test videos if the data set has them, else its first subset."""
    return list(zip(_cells(pair.a, scale), _cells(pair.b, scale), strict=True))


@functools.lru_cache(maxsize=1024)
def _cells(number: PrintedAccuracy, scale: str) -> tuple[Cell, ...]:
    selected = Selection(
        baselines=(number.baseline,),
        modalities=(number.modality,),
        datasets=(paper_numbers.stand_in(number.dataset, scale),),
        splits=number.splits,
        protocols=(number.protocol,),
        inits=(number.init,),
        scale=scale,
    )
    return tuple(selection.cells(selected))


def paper_points(part: ClaimPart) -> float | None:
    """The effect of the part computed from the paper's numbers, in points. None if the paper prints no such number."""
    if part.answers != "top1":
        return None
    gains = [
        sum(pair.sign * (printed()[pair.a] - printed()[pair.b]) for pair in comparison)
        for comparison in part.comparisons
    ]
    return sum(gains) / len(gains) if gains else None
