"""What the paper found, as pairs of its printed numbers: which cells to hold against which, and what the paper had there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.analysis import paper_numbers
from harness.core import registry
from harness.core.contract import Baseline
from harness.core.errors import HarnessError
from harness.core.spec import Cell, Selection
from harness.planning import selection

ONE, ALL = (1,), (1, 2, 3)


@dataclass(frozen=True)
class Number:
    """One printed accuracy, by what it was measured of."""

    baseline: str
    modality: str
    dataset: str
    """The paper's; `paper.stand_in` says which one stands for it at another scale."""
    protocol: str
    init: str
    splits: tuple[int, ...]
    """Table 5 prints means over three."""


@dataclass(frozen=True)
class Pair:
    """A against B."""

    a: Number
    b: Number
    sign: int = 1
    """-1 where the pair's gain is taken away: a gain on one data set less that on another."""


Bundle = tuple[Pair, ...]
"""Pairs that make one difference together: one, or a gain here and the gain there that it is compared with."""


@dataclass(frozen=True)
class Part:
    """One thing that a finding says."""

    name: str
    """Such as 'over 3D-ConvNet'."""
    bundles: tuple[Bundle, ...]
    answers: str = "top1"
    """'top1': the right class first of all; 'order': above its own reverse, on classes that have one."""


@dataclass(frozen=True)
class Finding:
    """A statement of the paper that must hold in all its parts."""

    name: str
    statement: str
    where: str
    """In the paper."""
    parts: tuple[Part, ...]
    tables: tuple[int, ...]
    """Those of the paper whose numbers it compares."""
    impossible: str = ""
    """Why it cannot be tested at this scale ('' : it can)."""


def all_findings(scale: str) -> tuple[Finding, ...]:
    """Every finding that is tested, in the paper's order."""
    return (_best(), _both_streams(), _imagenet(), _transfer(), _smaller_set(), _order_of_time(scale))


def _best() -> Finding:
    """Same data set, protocol and init; same modality where both are printed, else all streams that I3D has, as in Table 4."""
    rivals = [name for name in dict.fromkeys(number.baseline for number in printed()) if name != "i3d"]
    parts = []
    for rival in rivals:
        pairs = [(_i3d_like(number), number) for number in printed() if number.baseline == rival]
        parts.append(Part(f"over {_title(rival)}", tuple((Pair(ours, its),) for ours, its in pairs if ours)))
    return Finding(
        name="i3d-best",
        statement="I3D is better than each of the four other architectures",
        where="Tables 2, 3 and 4",
        parts=tuple(parts),
        tables=(2, 3, 4),
    )


def _i3d_like(number: Number) -> Number | None:
    same = replace(number, baseline="i3d")
    whole = replace(same, modality="rgb+flow")
    return same if same in printed() else whole if whole in printed() else None


def _both_streams() -> Finding:
    parts = tuple(
        Part(f"over {title}", _differing("modality", "rgb+flow", stream))
        for stream, title in (("rgb", "RGB"), ("flow", "Flow"))
    )
    return Finding(
        name="both-streams",
        statement="RGB and flow together are better than either alone",
        where="Tables 2, 3 and 5",
        parts=parts,
        tables=(2, 3, 5),
    )


def _imagenet() -> Finding:
    return Finding(
        name="imagenet-helps",
        statement="Starting from ImageNet is better than starting from scratch",
        where="Tables 3, 4 and 5",
        parts=(Part("ImageNet over scratch", _differing("init", "imagenet", "scratch")),),
        tables=(3, 4, 5),
    )


def _transfer() -> Finding:
    parts = tuple(
        Part(f"{title} over Original", _differing("protocol", protocol, "original"))
        for protocol, title in (("fixed", "Fixed"), ("full-ft", "Full-FT"))
    )
    return Finding(
        name="transfer-helps",
        statement="Transfer from Kinetics is better than training on the small data set alone, fixed or fine-tuned",
        where="Table 4",
        parts=parts,
        tables=(4,),
    )


def _smaller_set() -> Finding:
    bundles = []
    for protocol in ("fixed", "full-ft"):
        for (gain,) in _differing("protocol", protocol, "original"):
            there = Pair(replace(gain.a, dataset="ucf101"), replace(gain.b, dataset="ucf101"), sign=-1)
            if gain.a.dataset == "hmdb51" and {there.a, there.b} <= printed().keys():
                bundles.append((gain, there))
    return Finding(
        name="smaller-gains-more",
        statement="Transfer adds more points on the smaller data set, HMDB-51, than on UCF-101",
        where="Table 4",
        parts=(Part("gain on HMDB-51 less gain on UCF-101", tuple(bundles)),),
        tables=(4,),
    )


def _order_of_time(scale: str) -> Finding:
    """A network of single frames (Two-Stream's RGB, which averages frames without order) against two that see motion."""
    parts = []
    for name, moving in (
        ("Two-Stream's flow over its single frames", ("two-stream", "flow")),
        ("I3D's RGB over Two-Stream's single frames", ("i3d", "rgb")),
    ):
        pairs = [
            Pair(replace(still, baseline=moving[0], modality=moving[1]), still)
            for still in printed()
            if (still.baseline, still.modality) == ("two-stream", "rgb") and _has_reverses(still, scale)
        ]
        parts.append(Part(name, tuple((pair,) for pair in pairs if pair.a in printed()), answers="order"))
    return Finding(
        name="order-needs-motion",
        statement="What differs only in the direction of time (opening, closing) is told apart by motion, not by single frames",
        where="section 2.1",
        parts=tuple(parts),
        tables=(2,),
        impossible=""
        if all(part.bundles for part in parts)
        else "no data set of this scale names classes that are each other's reverse; the embedded ones (--scale micro) do",
    )


def _has_reverses(number: Number, scale: str) -> bool:
    return "reversal" in registry.load("dataset", paper_numbers.stand_in(number.dataset, scale)).class_groups


def _differing(axis: str, better: str, worse: str) -> tuple[Bundle, ...]:
    """Every pair of printed numbers that differ in one axis alone."""
    found = []
    for number in printed():
        changed: dict[str, Any] = {axis: worse}
        other = replace(number, **changed)
        if getattr(number, axis) == better and other in printed():
            found.append((Pair(number, other),))
    return tuple(found)


# ---------------------------------------------------------------------------------------------------- numbers


@functools.cache
def printed() -> dict[Number, float]:
    """Every accuracy in Tables 2 to 5 that one of the five architectures has, once, with its value in percent."""
    readers: dict[int, Callable[[str, str], Number | None]] = {2: _in_2, 3: _in_3, 4: _in_4, 5: _in_5}
    found: dict[Number, float] = {}
    for table, reader in readers.items():
        for (row, column), value in paper_numbers.table(table).items():
            number = reader(row, column)
            if number:
                found.setdefault(number, value.value)
    return found


def _in_2(row: str, column: str) -> Number:
    dataset, modality = column.split("/")
    return Number(row, modality, dataset, "original", _card(row).inits[0], ONE)


def _in_3(row: str, column: str) -> Number | None:
    init, modality, top = column.split("/")
    return (
        Number(row, modality, paper_numbers.SOURCES[paper_numbers.KINETICS], "original", init, ONE)
        if top == "top1"
        else None
    )


def _in_4(row: str, column: str) -> Number:
    dataset, protocol, init = column.split("/")
    return Number(row, _card(row).modalities[0], dataset, protocol, init, ONE)


def _in_5(row: str, column: str) -> Number | None:
    if row.startswith("quoted/"):
        return None
    baseline, modality, init = row.split("/")
    return Number(baseline, modality, column, "full-ft", init, ALL)


def _card(name: str) -> Baseline:
    card: Baseline = registry.load("baseline", name)
    return card


def _title(name: str) -> str:
    return _card(name).title


def cells_of(pair: Pair, scale: str) -> list[tuple[Cell, Cell]]:
    """(A, B) for every split; test videos where the data set has them, else its first subset. seed 0."""
    return list(zip(_cells(pair.a, scale), _cells(pair.b, scale), strict=True))


@functools.lru_cache(maxsize=1024)
def _cells(number: Number, scale: str) -> tuple[Cell, ...]:
    return tuple(
        selection.cells(
            Selection(
                baselines=(number.baseline,),
                modalities=(number.modality,),
                datasets=(paper_numbers.stand_in(number.dataset, scale),),
                splits=number.splits,
                protocols=(number.protocol,),
                inits=(number.init,),
                scale=scale,
            )
        )
    )


def paper_points(part: Part) -> float | None:
    """The part's effect by the paper's own numbers, in points; None for what it printed no number of."""
    if part.answers != "top1":
        return None
    gains = [sum(pair.sign * (printed()[pair.a] - printed()[pair.b]) for pair in bundle) for bundle in part.bundles]
    return sum(gains) / len(gains) if gains else None


def all_cells(findings: Sequence[Finding], scale: str) -> list[Cell]:
    """Every cell that the findings compare, each once. Raises HarnessError at a scale that has no tables."""
    if scale not in paper_numbers.STAND_INS:
        raise HarnessError(
            f"the paper's findings are tested at the scales {', '.join(paper_numbers.STAND_INS)}, not '{scale}'"
        )
    pairs = [pair for finding in findings for part in finding.parts for bundle in part.bundles for pair in bundle]
    return list(dict.fromkeys(cell for pair in pairs for both in cells_of(pair, scale) for cell in both))
