"""Cell -> result: the scores of its finished jobs, fused if its streams were scored separately.

A record holds the cell it scores, so finding a number is a filter over records. Of several records of a cell the
newest counts, among those made with the present versions of the cards and the files now on disk.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable

from harness.core import registry
from harness.core.cells import Cell
from harness.core.errors import HarnessError, UnknownName
from harness.core.job_specs import CardSpec, ClipsSpec, HeadSpec, NetworkSpec, ScoredSpec, WithScores
from harness.core.workspace import Workspace
from harness.data import prepare
from harness.metrics.fusion import late_fusion
from harness.metrics.scores import CellResult, Scores
from harness.planning.plan import Planner
from harness.planning.spec_builder import CODE_VERSION
from harness.records.record import Record, RunStore

Lookup = Callable[[Cell], CellResult | None]


def result_of(job_ids: tuple[str, ...], run_store: RunStore) -> CellResult | None:
    """The result of a cell; None while one of its jobs is not finished."""
    if not all(run_store.has(job_id) for job_id in job_ids):
        return None
    records = tuple(map(run_store.read, job_ids))
    return _fused(records, lambda job_id: run_store.read(job_id) if run_store.has(job_id) else None)


def lookup_in(workspace: Workspace, run_store: RunStore | None = None) -> Lookup:
    """Function cell -> its result in the results folder, or None. The data sets need not be on disk.

    Damaged records count as absent; a caller that passes `run_store` can name them by its `damaged`.
    """
    records = Records(workspace, run_store or RunStore(workspace.runs))

    @functools.cache  # tables look up the same cell several times, and each lookup reads and hashes files
    def lookup(cell: Cell) -> CellResult | None:
        try:
            trainings = records.planner.trainings(cell)
        except HarnessError:
            # A table looks up every cell of the paper; a cell that cannot be planned here has no result.
            return None
        newest = [records.newest(training.cell, training.head) for training in trainings]
        if not all(newest):
            return None
        return _fused(tuple(record for record in newest if record), records.by_id.get, records.scores_of)

    return lookup


def skipped_videos(records: Iterable[Record], read: Callable[[str], Record | None]) -> tuple[str, ...]:
    """Ids of videos that these jobs, or those they build on, left out because they cannot be decoded.

    `read` gives the record of a job, None if there is none.
    """
    waiting, skipped = list(records), set()
    while waiting:
        record = waiting.pop()
        skipped.update(record.chosen.get("skipped", ()))
        waiting += filter(None, map(read, record.upstream.values()))
    return tuple(sorted(skipped))


def _fused(
    records: tuple[Record, ...],
    read: Callable[[str], Record | None],
    scores_of: Callable[[Record], Scores] = Record.scores,
) -> CellResult:
    scores = scores_of(records[0])
    for record in records[1:]:
        scores = late_fusion(scores, scores_of(record))
    job_ids = tuple(record.job_id for record in records)
    return CellResult(scores=scores, job_ids=job_ids, records=records, skipped=skipped_videos(records, read))


class Records:
    """The scored records of a results folder, by cell."""

    def __init__(self, workspace: Workspace, run_store: RunStore) -> None:
        self.planner = Planner(workspace, dry_run=True)
        self.run_store = run_store
        self._scores: dict[str, Scores] = {}
        self._fingerprints: dict[str, str] = {}
        self._counted: dict[str, bool] = {}

    def newest(self, cell: Cell, head: HeadSpec | None = None) -> Record | None:
        """The record of the cell of one network, with scores that can be read; None if no record counts.

        `head`: the head on features, since the default of a parameter, which the cell does not have, may change.
        """
        of_cell = (record for record in self._by_cell.get(_key(cell), ()) if getattr(record.spec, "head", None) == head)
        records = sorted(of_cell, key=lambda record: (record.finished_at, record.job_id))
        return next((record for record in reversed(records) if self.counts(record) and self._has_scores(record)), None)

    def scores_of(self, record: Record) -> Scores:
        """Its scores, read once. Raises RecordError."""
        if record.job_id not in self._scores:
            self._scores[record.job_id] = record.scores()
        return self._scores[record.job_id]

    def _has_scores(self, record: Record) -> bool:
        with self.run_store.collecting(record.job_id):
            self.scores_of(record)
        return record.job_id in self._scores

    def counts(self, record: Record) -> bool:
        """True if the record and its upstream records were made with the present cards and files."""
        if record.job_id not in self._counted:
            upstream = (self.by_id[up] for up in record.upstream.values() if up in self.by_id)
            self._counted[record.job_id] = self._is_present(record) and all(self.counts(up) for up in upstream)
        return self._counted[record.job_id]

    def _is_present(self, record: Record) -> bool:
        spec = record.spec
        try:
            versions = [(registry.load(kind, card.name).version, card.version) for kind, card in _cards(record)]
        except UnknownName:  # of a plug-in that is not loaded
            return False
        return (
            spec.code_version == CODE_VERSION
            and spec.dataset.fingerprint == self._fingerprint(spec.dataset.name)
            and all(present == recorded for present, recorded in versions)
        )

    def _fingerprint(self, name: str) -> str:
        """Fingerprint of the data set on disk; if it is not on disk, that of its newest record."""
        if name not in self._fingerprints:
            card = registry.load("dataset", name)
            here = prepare.expected_fingerprint(card, self.planner.workspace.data)
            self._fingerprints[name] = here or self._last_fingerprints.get(name, "")
        return self._fingerprints[name]

    @functools.cached_property
    def by_id(self) -> dict[str, Record]:
        """Job id -> record, of every record that can be read."""
        return {record.job_id: record for record in self.run_store.readable()}

    @functools.cached_property
    def _by_cell(self) -> dict[Cell, list[Record]]:
        by_cell: dict[Cell, list[Record]] = {}
        for record in scored(self.by_id.values()):
            assert record.cell is not None
            by_cell.setdefault(_key(record.cell), []).append(record)
        return by_cell

    @functools.cached_property
    def _last_fingerprints(self) -> dict[str, str]:
        by_age = sorted(self.by_id.values(), key=lambda record: record.finished_at)
        return {record.spec.dataset.name: record.spec.dataset.fingerprint for record in by_age}


def scored(records: Iterable[Record]) -> list[Record]:
    """The records with the scores of a cell, without trials of `harness tune`."""
    return [
        record
        for record in records
        if isinstance(record.spec, WithScores)
        and getattr(record.spec, "validation_share", None) is None
        and record.cell is not None
    ]


def _key(cell: Cell) -> Cell:
    """A folder of videos is identified by its content, not its path."""
    return dataclasses.replace(cell, dataset=cell.dataset.partition(":")[0])


def _cards(record: Record) -> list[tuple[str, CardSpec]]:
    spec = record.spec
    cards = [("dataset", CardSpec(spec.dataset.name, spec.dataset.version))]
    if isinstance(spec, NetworkSpec):
        cards.append(("scale", CardSpec(spec.scale.name, spec.scale.version)))
    if isinstance(spec, ClipsSpec):
        cards.append(("baseline", spec.baseline))
    if isinstance(spec, ScoredSpec):
        cards.append(("protocol", CardSpec(spec.protocol.name, spec.protocol.version)))
    return cards
