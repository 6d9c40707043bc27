"""The paper's claims as paired tests on the records, valid at any scale. `harness claims` prints them.

A claim is tested on every pair of numbers that the paper prints for it (Tables 2 to 5): the same videos, classified by A
and by B. A claim with several assertions (better than each of four others) has several *parts*, and all must hold: the
effect, interval and p of the claim are those of its weakest part. p is two-sided, and 1 if the effect has the opposite
sign. It is corrected by Holm over all claims that could be tested.

=============  ===================================================================================================
supported      in every part A is ahead of B, with a corrected p below 0.05
not supported  the 95% interval of some part is below one point: if the claim holds here at all, then by less. For the
               order of time also: single frames distinguish the two directions, so motion is not what they need
undecided      neither: these videos cannot decide
not run        no pair of numbers has records for some part
=============  ===================================================================================================

Intervals are sampled over videos, by group. With one seed, a claim is about these particular trainings. With several,
answers are averaged over seeds, and the standard deviation over seeds widens the interval.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.analysis.claim_definitions import ClaimDefinition, ClaimPart, Comparison, cells_of, claims_at, paper_points
from harness.core import registry
from harness.core.cells import Cell
from harness.metrics import statistics
from harness.metrics.pooling import Contrast, Pooled, pool
from harness.metrics.scores import CellResult, Scores, aligned, topk_correct
from harness.planning.lookup import Lookup

ALPHA = 0.05
WORTH_POINTS = 1.0
"""A claim that holds by less than this is not called supported."""
ORDER = "reversal"
"""Class group in which every second class is the previous one played backwards."""

Verdict = Literal["supported", "not supported", "undecided", "not run"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The result of testing one claim. Effects in points of top-1."""

    name: str
    statement: str
    paper: str
    """Place in the paper."""
    effect_points: float | None = None
    """Effect of the weakest part: mean over its pairs of A's accuracy minus B's. None if it was not run."""
    low: float | None = None
    """95% interval of the effect."""
    high: float | None = None
    p_value: float | None = None
    p_corrected: float | None = None
    """Corrected by Holm over the claims that were run."""
    verdict: Verdict
    detail: str
    """Every part with its effect, the number of the paper's pairs behind it, and caveats."""
    cells: tuple[tuple[Cell, Cell], ...]
    """(A, B) of every pair with records."""
    paper_points: float | None = None
    """The same effect computed from the paper's printed numbers; it has no interval."""


@dataclass(frozen=True)
class _PartResult:
    """One part, measured."""

    part: ClaimPart
    pooled: Pooled | None
    """Shares, not points; None where no pair is finished."""
    differences: int
    """Number of pairs that are finished."""
    cells: tuple[tuple[Cell, Cell], ...]

    @property
    def p_value(self) -> float:
        """In the direction of the claim."""
        return self.pooled.p_value if self.pooled and self.pooled.effect > 0 else 1.0


@dataclass(frozen=True)
class _Answers:
    """Whether each video was answered right, videos in the order of their ids."""

    ids: tuple[str, ...]
    right: NDArray[np.float64]
    clusters: tuple[str, ...]

    def contrast(self, cell: Cell, gains: NDArray[np.float64], weight: float) -> Contrast:
        """`gains` of these videos on the cell's data set."""
        return Contrast(
            gains=gains,
            videos=[(cell.dataset, video) for video in self.ids],
            clusters=[(cell.dataset, cluster) for cluster in self.clusters],
            strata=cell.dataset,
            weight=weight,
        )


@dataclass(frozen=True)
class _Source:
    """Source of the numbers of a test."""

    lookup: Lookup
    scale: str
    seeds: tuple[int, ...]


def all_claims(lookup: Lookup, *, scale: str, seeds: tuple[int, ...] = (0,)) -> tuple[Claim, ...]:
    """Every claim of the paper, tested on the results of `lookup` at this scale.

    Raises HarnessError where the two numbers of a pair were scored on different videos.
    """
    source = _Source(functools.cache(lookup), scale, seeds)  # every number occurs in several claims
    measured = [(claim, [_measure(part, source) for part in claim.parts]) for claim in claims_at(scale)]
    run = [(claim, parts) for claim, parts in measured if parts and all(part.pooled for part in parts)]
    p_values = statistics.holm([_weakest(parts).p_value for _, parts in run]) if run else []
    corrected = {claim.name: p for (claim, _), p in zip(run, p_values, strict=True)}
    return tuple(
        _result(claim, parts, corrected[claim.name], source)
        if claim.name in corrected
        else _not_run(claim, parts, source)
        for claim, parts in measured
    )


def _weakest(parts: Sequence[_PartResult]) -> _PartResult:
    return max(parts, key=lambda part: (part.p_value, -(part.pooled.effect if part.pooled else 0.0)))


def _measure(part: ClaimPart, source: _Source) -> _PartResult:
    """The finished pairs of the part, each difference weighing the same."""
    finished = [pairs for comparison in part.comparisons if (pairs := _finished(comparison, source))]
    if not finished:
        return _PartResult(part, None, 0, ())
    weighted = [pair for pairs in finished for pair in pairs]

    def contrasts(seeds: tuple[int, ...]) -> list[Contrast]:
        of_seeds = replace(source, seeds=seeds)
        return [_contrast(a, b, of_seeds, part.answers, weight / len(finished)) for a, b, weight in weighted]

    cells = tuple((a, b) for a, b, _ in weighted)
    return _PartResult(part, _over_seeds(contrasts, source.seeds), len(finished), cells)


def _over_seeds(contrasts: Any, seeds: tuple[int, ...]) -> Pooled:
    """Answers averaged over seeds; their standard deviation over seeds is a variance of its own."""
    if len(seeds) == 1:
        return pool(contrasts(seeds))
    each = [pool(contrasts((seed,))).effect for seed in seeds]
    spread = statistics.spread(each).deviation
    return pool(contrasts(seeds), extra_variance=spread * spread / len(seeds), degrees=len(seeds) - 1)


def _finished(comparison: Comparison, source: _Source) -> list[tuple[Cell, Cell, float]] | None:
    """(A, B, weight) of every pair of cells, at seed 0; None unless all of their jobs are finished."""
    cells = []
    for pair in comparison:
        for a, b in cells_of(pair, source.scale):
            if not all(source.lookup(replace(cell, seed=seed)) for cell in (a, b) for seed in source.seeds):
                return None
            cells.append((a, b, pair.sign / len(pair.a.splits)))
    return cells


def _contrast(a: Cell, b: Cell, source: _Source, answers: str, weight: float) -> Contrast:
    first = _answers(a, source, answers)
    second = _answers(b, source, answers, ids=first.ids)
    return first.contrast(a, first.right - second.right, weight)


def _answers(cell: Cell, source: _Source, answers: str, ids: tuple[str, ...] | None = None) -> _Answers:
    """Mean over seeds, of `ids` if given. Raises HarnessError where the cell, or one of its seeds, scored other videos."""
    results = [result for seed in source.seeds if (result := source.lookup(replace(cell, seed=seed)))]
    reverse = _reverses(results[0]) if answers == "order" else None
    every = [_subset(result.scores, reverse) for result in results]
    same = [aligned(scores, ids or sorted(every[0].ids)) for scores in every]
    right = [topk_correct(scores) if reverse is None else _above_reverse(scores, reverse) for scores in same]
    return _Answers(same[0].ids, np.mean(right, axis=0), statistics.clusters_of(same[0].ids, same[0].groups))


def _subset(scores: Scores, reverse: dict[int, int] | None) -> Scores:
    """The videos of classes that have a reverse; all where none are asked for."""
    if reverse is None:
        return scores
    labels = scores.labels.tolist()
    return aligned(
        scores, [video for video, label in zip(scores.ids, labels, strict=True) if label in reverse], part=True
    )


def _above_reverse(scores: Scores, reverse: dict[int, int]) -> NDArray[np.bool_]:
    """Whether the true class is above its reverse. Chance is one half."""
    rows, against = np.arange(scores.n), np.array([reverse[label] for label in scores.labels.tolist()])
    above: NDArray[np.bool_] = scores.logits[rows, scores.labels] > scores.logits[rows, against]
    return above & scores.decodable


def _reverses(result: CellResult) -> dict[int, int]:
    """Label -> label of the class that is the same played backwards."""
    record = result.records[0]
    names = registry.load("dataset", record.spec.dataset.name).class_groups[ORDER]
    labels = [record.classes.index(name) for name in names]
    pairs = list(zip(labels[::2], labels[1::2], strict=True))
    return dict(pairs) | {second: first for first, second in pairs}


def _frames_alone(claim: ClaimDefinition, source: _Source) -> Pooled | None:
    """Accuracy of single frames above chance on pairs of reverses; None for claims not about the order of time."""
    pairs = [pair for part in claim.parts if part.answers == "order" for pairs in part.comparisons for pair in pairs]
    cells = dict.fromkeys(b for pair in pairs for _, b in cells_of(pair, source.scale) if source.lookup(b))
    if not cells:
        return None
    answers = {cell: _answers(cell, source, "order") for cell in cells}
    return pool([frames.contrast(cell, frames.right - 0.5, 1 / len(cells)) for cell, frames in answers.items()])


def _result(claim: ClaimDefinition, parts: Sequence[_PartResult], corrected: float, source: _Source) -> Claim:
    weakest, frames = _weakest(parts), _frames_alone(claim, source)
    assert weakest.pooled is not None
    notes = [_note(part) for part in parts]
    if frames:
        notes.append(
            f"single frames distinguish the directions in {50 + 100 * frames.effect:.1f}% of the videos (chance 50%)"
        )
    notes.append(f"{weakest.pooled.videos} videos in {weakest.pooled.groups} groups")
    notes.append("one training each" if len(source.seeds) == 1 else f"{len(source.seeds)} seeds")
    return _claim(
        claim,
        parts,
        effect_points=100 * weakest.pooled.effect,
        low=100 * weakest.pooled.low,
        high=100 * weakest.pooled.high,
        p_value=weakest.p_value,
        p_corrected=corrected,
        verdict=judge([part.pooled for part in parts if part.pooled], corrected, frames),
        detail="; ".join(notes),
        paper_points=paper_points(weakest.part),
    )


def _claim(claim: ClaimDefinition, parts: Sequence[_PartResult], **result: Any) -> Claim:
    cells = tuple(dict.fromkeys(pair for part in parts for pair in part.cells))
    return Claim(name=claim.name, statement=claim.statement, paper=claim.where, cells=cells, **result)


def judge(parts: Sequence[Pooled], corrected: float, frames: Pooled | None = None) -> Verdict:
    """The verdict on parts that were all measured, by the rule at the top of this file."""
    if frames and frames.low > 0:
        return "not supported"
    if all(part.effect > 0 for part in parts) and corrected < ALPHA:
        return "supported"
    if any(100 * part.high < WORTH_POINTS for part in parts):
        return "not supported"
    return "undecided"


def _note(measured: _PartResult) -> str:
    """'over C3D +12.3 [8.0, 16.6] (5 of 7 pairs)'."""
    pooled, part = measured.pooled, measured.part
    assert pooled is not None
    effect = f"{100 * pooled.effect:+.1f} [{100 * pooled.low:+.1f}, {100 * pooled.high:+.1f}]"
    return f"{part.name} {effect} ({measured.differences} of {len(part.comparisons)} pairs)"


def _not_run(claim: ClaimDefinition, parts: Sequence[_PartResult], source: _Source) -> Claim:
    missing = [measured.part.name for measured in parts if measured.pooled is None]
    flags = "".join(f" --seed {seed}" for seed in source.seeds) if source.seeds != (0,) else ""
    runs = [f"`harness table {number} --scale {source.scale}{flags} --run`" for number in claim.tables]
    detail = claim.impossible or f"no records for a pair of numbers: {', '.join(missing)}. Run {' and '.join(runs)}"
    return _claim(claim, parts, verdict="not run", detail=detail)
