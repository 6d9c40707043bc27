"""What a ledger holds, as results: a number's scores with everything it was measured under. No plan, no data set, no torch.

Tables ask the plan which jobs make a cell. Figures ask the records what they are, so that they show any ledger: of
another machine, of other versions, of data sets that no table of the paper has.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.core import registry
from harness.core.contract import MODALITIES, Baseline, Dataset, streams_of
from harness.core.errors import HarnessError, UnknownName
from harness.core.registry import dashed
from harness.metrics import statistics
from harness.metrics.fusion import late_fusion
from harness.metrics.scores import Scores, topk_correct
from harness.records.record import SCORES, Record, RunStore

PROTOCOLS = ("full-ft", "fixed", "original")
"""The order in which one is chosen to stand for a data set, where several have been run for as many baselines."""
PAPER_ORDER = ("convnet-lstm", "c3d", "two-stream", "fused-3d", "i3d")


@dataclass(frozen=True, order=True)
class Setting:
    """What a number was measured under, but for the network."""

    dataset: str
    split: int
    subset: str
    protocol: str
    init: str
    source: str
    """Data set, or 'published:NAME', that transferred weights come from; '' under Original."""
    seed: int
    backbone: str = ""

    def __str__(self) -> str:
        words = [self.dataset, f"split {self.split}", self.protocol, self.init]
        words += [self.subset] if self.subset != "test" else []
        words += [self.backbone] if self.backbone else []
        words += [f"seed {self.seed}"] if self.seed else []
        return " · ".join(words)


@dataclass(frozen=True, eq=False)
class Result:
    """One number of the ledger: a baseline and modality under a setting, with the scores it is computed from."""

    baseline: str
    modality: str
    setting: Setting
    scores: Scores
    """After late fusion, where the streams were scored apart."""
    records: tuple[Record, ...]

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
        return statistics.group_bootstrap(self.right, statistics.clusters_of(self.scores.ids, self.scores.groups))

    def in_order(self, ids: tuple[str, ...]) -> np.ndarray:
        """Rows of `scores` in the order of `ids`."""
        if ids == self.scores.ids:
            return np.arange(len(ids))
        row = {video: k for k, video in enumerate(self.scores.ids)}
        return np.array([row[video] for video in ids])


@dataclass(frozen=True)
class Evidence:
    """Everything the page's figures are drawn from."""

    records: Mapping[str, Record]
    """Job id -> record, of one scale, in the order they were finished."""
    results: tuple[Result, ...]

    @property
    def datasets(self) -> tuple[str, ...]:
        """Those with results: targets of transfer first, then what they are transferred from."""
        names = {result.setting.dataset for result in self.results}
        sources = {result.setting.source for result in self.results}
        return tuple(sorted(names, key=lambda name: (name in sources, name)))

    def of(self, dataset: str) -> tuple[Result, ...]:
        """The results that stand for a data set: per baseline and modality one, all under one protocol.

        The protocol that most baselines were run under; the lowest split and seed; from the first init on the card that
        was run; the paper's backbone where it was run.
        """
        found = [result for result in self.results if result.setting.dataset == dataset]
        ran: Counter[str] = Counter()
        for protocol, _ in {(result.setting.protocol, result.baseline) for result in found}:
            ran[protocol] += 1
        if not ran:
            return ()
        known = [*PROTOCOLS, *sorted(set(ran) - set(PROTOCOLS))]
        protocol = max(ran, key=lambda name: (ran[name], -known.index(name)))
        chosen: dict[tuple[str, str], Result] = {}
        for result in sorted((r for r in found if r.setting.protocol == protocol), key=_rank):
            chosen.setdefault((result.baseline, result.modality), result)
        return tuple(sorted(chosen.values(), key=lambda r: (order_of(r.baseline), MODALITIES.index(r.modality))))

    def best_modality(self, dataset: str) -> tuple[Result, ...]:
        """Of `of(dataset)`, one a baseline: both streams where they were run, else the one that was."""
        last = {result.baseline: result for result in self.of(dataset)}
        return tuple(last.values())

    def chain(self, records: Iterable[Record]) -> dict[str, Record]:
        """The records and all they build on, as far as the ledger has them."""
        found: dict[str, Record] = {}
        waiting = list(records)
        while waiting:
            record = waiting.pop()
            if record.job_id not in found:
                found[record.job_id] = record
                waiting += [self.records[up] for up in record.upstream.values() if up in self.records]
        return found

    def cost_s(self, result: Result) -> float:
        """Wall seconds of the jobs behind a number, pre-training, features and flow included, each once."""
        return sum(record.cost["wall_s"] for record in self.chain(result.records).values())


def _rank(result: Result) -> tuple[object, ...]:
    card = card_of(result.baseline)
    inits = card.inits if card else ()
    at = inits.index(result.setting.init) if result.setting.init in inits else len(inits)
    return (result.setting.backbone != "", at, result.setting)


def order_of(baseline: str) -> tuple[int, str]:
    """Baselines of the paper in its order, then the others by name."""
    return (PAPER_ORDER.index(baseline) if baseline in PAPER_ORDER else len(PAPER_ORDER), baseline)


def card_of(baseline: str) -> Baseline | None:
    """The baseline's card; None for a plug-in that is not on this machine."""
    try:
        return registry.load("baseline", baseline)  # type: ignore[no-any-return]
    except UnknownName:
        return None


def dataset_of(name: str) -> Dataset | None:
    """The data set's card; None for a plug-in that is not on this machine."""
    try:
        return registry.load("dataset", name)  # type: ignore[no-any-return]
    except UnknownName:
        return None


def title_of(baseline: str) -> str:
    card = card_of(baseline)
    return card.title if card else baseline


# ------------------------------------------------------------------------------------------------ reading


def gather(run_store: RunStore, *, scale: str, preferred: Iterable[str] = ()) -> Evidence:
    """The evidence of one scale. Where several jobs have the same setting (`--set`), those in `preferred` count."""
    records = {record.job_id: record for record in run_store if scale_of(record) in ("", scale)}
    kept = {job_id: record for job_id, record in records.items() if scale_of(record) == scale}
    for record in list(kept.values()):
        kept |= {up: records[up] for up in _ancestors(record, records)}
    ordered = sorted(kept.values(), key=lambda record: (record.finished_at, record.job_id))
    return Evidence(
        records={record.job_id: record for record in ordered},
        results=tuple(_results(ordered, frozenset(preferred))),
    )


def scale_of(record: Record) -> str:
    """'' for flow, which belongs to whatever reads it."""
    return str(record.spec.get("scale", {}).get("name", ""))


def _ancestors(record: Record, records: Mapping[str, Record]) -> set[str]:
    found: set[str] = set()
    waiting = [record]
    while waiting:
        for up in waiting.pop().upstream.values():
            if up in records and up not in found:
                found.add(up)
                waiting.append(records[up])
    return found


def _results(records: list[Record], preferred: frozenset[str]) -> list[Result]:
    by_id = {record.job_id: record for record in records}
    single: dict[tuple[str, str, Setting], Result] = {}
    for record in sorted(records, key=lambda record: (record.job_id not in preferred, record.job_id)):
        if record.kind in ("train", "head") and SCORES in record.files:
            result = _result(record, by_id)
            single.setdefault((result.baseline, result.modality, result.setting), result)
    fused = []
    for (baseline, modality, setting), result in single.items():
        other = single.get((baseline, "flow", setting))
        if (
            modality == "rgb"
            and other is not None
            and (baseline, "rgb+flow", setting) not in single
            and _late(baseline)
        ):
            fused.append(_fused(result, other))
    return sorted([*single.values(), *fused], key=lambda r: (r.setting, order_of(r.baseline), r.modality))


def _result(record: Record, by_id: Mapping[str, Record]) -> Result:
    spec = record.spec
    modality = "+".join(spec["streams"])
    if streams_of(modality) != tuple(spec["streams"]):
        raise HarnessError(f"record {record.job_id} has streams {spec['streams']}, which no modality is made of")
    setting = Setting(
        dataset=spec["dataset"]["name"],
        split=int(spec["split"]),
        subset=spec["subset"],
        protocol=spec["protocol"]["name"],
        init=spec["init"],
        source=_source(record, by_id),
        seed=int(spec["seed"]),
        backbone=spec["backbone"],
    )
    return Result(dashed(spec["baseline"]["name"]), modality, setting, record.scores(), (record,))


def _source(record: Record, by_id: Mapping[str, Record]) -> str:
    """The data set that the weights come from, or the published weights; '' where they come from init."""
    if "published" in record.spec and record.spec["published"]["stream"] != "image":
        return f"published:{record.spec['published']['name']}"
    up = record.upstream.get("source") or record.upstream.get("features")
    if up is None or up not in by_id:
        return ""
    found = by_id[up]
    return _source(found, by_id) if found.kind == "features" else str(found.spec["dataset"]["name"])


def _late(baseline: str) -> bool:
    card = card_of(baseline)
    return card is not None and card.combine == "late"


def _fused(rgb: Result, flow: Result) -> Result:
    return dataclasses.replace(
        rgb,
        modality="rgb+flow",
        scores=late_fusion(rgb.scores, flow.scores),
        records=(*rgb.records, *flow.records),
    )
