"""The records of a results folder as results: scores with the cell that they are of. No plan, no data set, no torch.

Tables look up the jobs of a cell in the plan. Figures read the records alone, so that they show any results folder: of
another machine, of other versions, of data sets that no table of the paper has.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.core import registry
from harness.core.cells import IMPORTED, Cell, upstream_closure
from harness.core.contract import MODALITIES, Baseline, Dataset, Protocol
from harness.core.errors import HarnessError
from harness.core.job_specs import ImportedSpec, NetworkSpec, ScoredSpec
from harness.metrics import statistics
from harness.metrics.fusion import late_fusion
from harness.metrics.scores import Scores, topk_correct
from harness.planning.lookup import scored
from harness.records.record import Record, RunStore

PAPER_ORDER = ("convnet-lstm", "c3d", "two-stream", "fused-3d", "i3d")


@dataclass(frozen=True, eq=False)
class Result:
    """One number of the results folder: a cell, with the scores it is computed from."""

    cell: Cell
    scores: Scores
    """After late fusion, where the streams were scored apart."""
    records: tuple[Record, ...]

    @property
    def baseline(self) -> str:
        return self.cell.baseline

    @property
    def modality(self) -> str:
        return self.cell.modality

    @property
    def setting(self) -> Cell:
        """The cell's axes other than its baseline and modality."""
        return dataclasses.replace(self.cell, baseline="", modality="")

    @property
    def name(self) -> str:
        return f"{title_of(self.baseline)}, {self.modality}"

    @property
    def classes(self) -> tuple[str, ...]:
        return self.records[0].classes

    @property
    def job_ids(self) -> tuple[str, ...]:
        return tuple(record.job_id for record in self.records)

    @functools.cached_property
    def right(self) -> np.ndarray:
        """(n,) bool in the order of `scores.ids`."""
        return topk_correct(self.scores)

    @functools.cached_property
    def interval(self) -> statistics.Interval:
        """Top-1 as a proportion with its 95% interval."""
        return statistics.split_mean([(self.right, statistics.clusters_of(self.scores.ids, self.scores.groups))])


@dataclass(frozen=True)
class Evidence:
    """Everything the page's figures are drawn from."""

    records: Mapping[str, Record]
    """Job id -> record, of one scale or of all, in the order they were finished."""
    results: tuple[Result, ...]

    @property
    def complete(self) -> Evidence:
        """The evidence without jobs that were limited to some videos (`--limit`, `--shots`, `--share`), which no figure of
        accuracies may mix with others."""
        unlimited = self.unlimited
        records = {
            job_id: record
            for job_id, record in unlimited.records.items()
            if not (isinstance(record.spec, ScoredSpec) and (record.spec.shots or record.spec.share))
        }
        return Evidence(records, tuple(result for result in unlimited.results if not result.cell.draw))

    @property
    def unlimited(self) -> Evidence:
        """The evidence without jobs on the first videos of every subset (`--limit`)."""
        records = {job_id: record for job_id, record in self.records.items() if not record.spec.dataset.limit}
        return Evidence(records, tuple(result for result in self.results if not result.cell.limit))

    @property
    def datasets(self) -> tuple[str, ...]:
        """Data sets with results: targets of transfer first, then their sources."""
        names = {result.setting.dataset for result in self.results}
        sources = {result.setting.source for result in self.results}
        return tuple(sorted(names, key=lambda name: (name in sources, name)))

    def of(self, dataset: str) -> tuple[Result, ...]:
        """The results that represent a data set: one per baseline and modality, all under one protocol.

        The protocol that most baselines were run under, preferably a transfer of the whole network; the lowest split and seed; from the first init on the card that
        was run; the paper's backbone where it was run.
        """
        results = [result for result in self.results if result.setting.dataset == dataset]
        if not results:
            return ()
        ran = Counter(protocol for protocol, _ in {(result.cell.protocol, result.baseline) for result in results})
        protocol = max(sorted(ran), key=lambda name: (ran[name], _preference(name)))
        chosen: dict[tuple[str, str], Result] = {}
        for result in sorted((r for r in results if r.cell.protocol == protocol), key=_rank):
            chosen.setdefault((result.baseline, result.modality), result)
        return tuple(sorted(chosen.values(), key=lambda r: (order_of(r.baseline), MODALITIES.index(r.modality))))

    def best_modality(self, dataset: str) -> tuple[Result, ...]:
        """One result of `of(dataset)` per baseline: both streams if they were run, else the single stream."""
        last = {result.baseline: result for result in self.of(dataset)}
        return tuple(last.values())

    def chain(self, records: Iterable[Record]) -> dict[str, Record]:
        """The records and all they build on, of those that are finished."""
        ids = upstream_closure((record.job_id for record in records), self.records)
        return {job_id: self.records[job_id] for job_id in ids}

    def cost_s(self, result: Result) -> float:
        """Wall seconds of the jobs behind a number, pre-training, features and flow included, each once."""
        return self.seconds(result.records)

    def seconds(self, records: Iterable[Record]) -> float:
        """Wall seconds of the records and of all they build on, each once."""
        return sum(record.cost.get("wall_s", 0.0) for record in self.chain(records).values())


def _preference(protocol: str) -> tuple[bool, bool, int]:
    """Highest for a transfer of the whole network, then by the order of the cards; lowest for an unknown plug-in."""
    card: Protocol | None = _card("protocol", protocol)
    if card is None:
        return False, False, -sys.maxsize
    return card.weights_from == "source", card.trained == "all", -card.order


def _rank(result: Result) -> tuple[object, ...]:
    card = card_of(result.baseline)
    inits = card.inits if card else ()
    at = inits.index(result.setting.init) if result.setting.init in inits else len(inits)
    return (result.setting.overrides != (), result.setting.backbone != "", at, result.setting)


def order_of(baseline: str) -> tuple[int, str]:
    """Baselines of the paper in its order, then the others by name."""
    return (PAPER_ORDER.index(baseline) if baseline in PAPER_ORDER else len(PAPER_ORDER), baseline)


def card_of(baseline: str) -> Baseline | None:
    """The baseline's card; None for a plug-in that is not on this machine."""
    return _card("baseline", baseline)


def dataset_of(name: str) -> Dataset | None:
    """The data set's card; None for a plug-in that is not on this machine."""
    return _card("dataset", name)


def _card(kind: str, name: str) -> Any:
    try:
        return registry.load(kind, name)
    except HarnessError:  # not installed, or a member of a family whose file was removed
        return None


def title_of(baseline: str) -> str:
    card = card_of(baseline)
    return card.title if card else baseline


def gather(run_store: RunStore, *, scale: str | None) -> Evidence:
    """The evidence of one scale; None: of all. Where several records score the same cell, the newest counts; damaged ones are
    left out.
    """
    of_jobs = [both for both in run_store.with_scores() if scale is None or scale_of(both[0]) in ("", scale)]
    records = {record.job_id: record for record, _ in of_jobs}
    scores = {record.job_id: of_job for record, of_job in of_jobs if of_job is not None}
    of_scale = [record.job_id for record in records.values() if scale is None or scale_of(record)]
    kept = {job_id: records[job_id] for job_id in upstream_closure(of_scale, records)}
    ordered = sorted(kept.values(), key=lambda record: (record.finished_at, record.job_id))
    return Evidence(records={record.job_id: record for record in ordered}, results=tuple(_results(ordered, scores)))


def scale_of(record: Record) -> str:
    """'' for flow and frame files, which belong to whatever reads them."""
    if isinstance(record.spec, ImportedSpec) and record.cell:
        return record.cell.scale
    return record.spec.scale.name if isinstance(record.spec, NetworkSpec) else ""


def _results(records: list[Record], scores: Mapping[str, Scores]) -> list[Result]:
    single = {
        record.cell: Result(record.cell, scores[record.job_id], (record,))
        for record in scored(records)
        if record.job_id in scores and record.cell is not None
    }
    fused = []
    for cell, result in single.items():
        other = single.get(dataclasses.replace(cell, modality="flow"))
        both = dataclasses.replace(cell, modality="rgb+flow")
        if cell.modality == "rgb" and other is not None and both not in single and _late(cell):
            together = late_fusion(result.scores, other.scores)
            fused.append(Result(both, together, (*result.records, *other.records)))
    return sorted([*single.values(), *fused], key=lambda r: (r.setting, order_of(r.baseline), r.modality))


def _late(cell: Cell) -> bool:
    card = card_of(cell.baseline)
    return cell.protocol == IMPORTED or (card is not None and card.combine == "late")
