"""Records of finished jobs, written by one rename and read strictly; and the run store, the records of a results folder.

A record is a folder ``runs/<job id>/``:

==========================  ===================================================================================
``record.json``             spec, cell, upstream ids, environment, fingerprint, metrics, cost, curves, every file's sha256
``scores.npz``              per-video logits (absent for feature extractions)
``weights.safetensors``     what later jobs start from
``features.safetensors``    features of every view (feature extractions only)
``scores-one-crop.npz``     as ``scores.npz``, of the centre crops alone (only where each clip was scored on several)
==========================  ===================================================================================
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.atomic import atomic_folder, atomic_write, file_sha256, temporary_path
from harness.core.cells import Cell
from harness.core.errors import HarnessError, RecordError
from harness.core.job_specs import JobSpec, ScoredSpec, from_plain, job_id, to_plain
from harness.core.serialization import plain
from harness.records import stored

if TYPE_CHECKING:
    from harness.metrics.scores import Scores

SCHEMA = 2
"""Raised when records change their meaning. Records of an earlier schema are refused: their ids name other specs."""
RECORD, SCORES, WEIGHTS, FEATURES = "record.json", "scores.npz", "weights.safetensors", "features.safetensors"
ONE_CROP = "scores-one-crop.npz"
ADDED = frozenset({"one_crop"})
"""Fields that records of this schema may lack, because they were written before the field was added."""


@dataclass(frozen=True)
class Record:
    """A finished job."""

    job_id: str
    spec: JobSpec
    title: str
    upstream: Mapping[str, str]
    """Role -> job id."""
    cell: Cell | None
    """The cell whose scores it holds, for one network; for a job that scores nothing, the first cell that needed it."""
    environment: Mapping[str, Any]
    """Versions, hardware and commit it ran with."""
    fingerprint: str
    """Fingerprint of the data set it was trained and scored on."""
    metrics: Mapping[str, Mapping[str, Any]]
    """Metric name -> {'value', 'low', 'high', 'drawn_by'}, as `metrics.summary` returns them; {} if nothing was scored."""
    cost: Mapping[str, float]
    """wall_s, cpu_s, device_s, train_s, score_s, samples_per_s, wait_share, peak_memory_bytes, peak_device_bytes."""
    curves: tuple[Mapping[str, Any], ...] = ()
    """{step, name, value} in the order they were measured."""
    classes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Numbers of videos: n, n_of, correct, undecodable, missing, as `scores.counts` returns them."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """Selection rule of the final weights, and its held-out videos: {'rule', 'held_out'}."""
    files: Mapping[str, str] = field(default_factory=dict)
    """File name -> sha256."""
    one_crop: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """As `metrics`, of the centre crops alone; {} if each clip was scored on one crop."""
    finished_at: str = ""
    """ISO 8601, UTC."""
    folder: Path | None = None

    @property
    def kind(self) -> str:
        return self.spec.kind

    @property
    def scored_spec(self) -> ScoredSpec:
        """Its spec. Raises RecordError for a job of a kind that scores no videos."""
        if not isinstance(self.spec, ScoredSpec):
            raise RecordError(
                f"job {self.job_id} ({self.title}, kind '{self.kind}') has no classifier; give the id of a training or head "
                "job, see `harness ls jobs`"
            )
        return self.spec

    def path(self, name: str) -> Path:
        """The file called `name`, checked to be there. Raises RecordError."""
        if self.folder is None or name not in self.files:
            raise RecordError(f"record {self.job_id} ({self.title}) has no {name}")
        path = self.folder / name
        with stored.refused(path, "cannot be read", stored.remedy(self.job_id, self.folder)):
            stored.check_regular(path)
        return path

    def scores(self) -> Scores:
        """Its per-video logits. Raises RecordError if the file is not the one that was written, or not of this record."""
        path = self.path(SCORES)
        remedy = stored.remedy(self.job_id, path.parent)
        with stored.refused(path, "does not hold scores", remedy):
            if file_sha256(path) != self.files[SCORES]:
                raise RecordError(f"{path} is not the recorded file (sha256 differs); {remedy}")
            scores = stored.read_scores(path)
        from harness.metrics.scores import counts

        if scores.logits.shape[1] != len(self.classes) or (self.counts and counts(scores) != self.counts):
            raise RecordError(f"{path} does not give the numbers of {RECORD} next to it: one was edited; {remedy}")
        return scores


def write_scores(path: Path, scores: Scores) -> None:
    """One compressed .npz without pickles."""
    import numpy as np

    np.savez_compressed(
        path,
        ids=np.array(scores.ids, dtype=np.str_),
        logits=scores.logits,
        labels=scores.labels,
        groups=np.array(scores.groups, dtype=np.str_),
        undecodable=np.array(scores.undecodable, dtype=np.str_),
        missing=np.array(scores.missing, dtype=np.str_),
    )


@dataclass(frozen=True)
class RunStore:
    """The finished jobs of a results folder."""

    runs: Path
    damaged: dict[str, RecordError] = field(default_factory=dict, compare=False)
    """Job id -> fault, of the records that `readable` left out. A command prints them (`console.exit_if_damaged`)."""

    def has(self, job_id: str) -> bool:
        return (self.runs / job_id / RECORD).is_file()

    def ids(self) -> list[str]:
        """Ids of all finished jobs, sorted; those whose record is damaged are among them."""
        if not self.runs.is_dir():
            return []
        folders = (path for path in self.runs.iterdir() if not path.name.startswith("."))
        return sorted(path.name for path in folders if _has_record(path))

    def read(self, job_id: str) -> Record:
        """The record of a finished job. Raises RecordError, naming the file and the remedy, if it is missing or damaged."""
        folder = self.runs / job_id
        with stored.refused(folder / RECORD, "is not a record", stored.remedy(job_id, folder)):
            try:
                return _read(folder, (folder / RECORD).stat().st_mtime_ns)
            except FileNotFoundError as error:
                raise RecordError(f"no record at {folder}; `harness ls jobs` lists the records") from error

    def __iter__(self) -> Iterator[Record]:
        """All records. Raises RecordError at a damaged one."""
        return (self.read(job_id) for job_id in self.ids())

    def readable(self, ids: Iterable[str] | None = None) -> Iterator[Record]:
        """The records with these ids (None: all), except damaged ones, which are collected in `damaged`."""
        for name in self.ids() if ids is None else ids:
            with self.collecting(name):
                record = self.read(name)
            if name not in self.damaged:
                yield record

    def with_scores(self, ids: Iterable[str] | None = None) -> Iterator[tuple[Record, Scores | None]]:
        """As `readable`, with the scores of those that have some; a record whose scores cannot be read is damaged."""
        for record in self.readable(ids):
            scores = None
            with self.collecting(record.job_id):
                scores = record.scores() if SCORES in record.files else None
            if record.job_id not in self.damaged:
                yield record, scores

    @contextlib.contextmanager
    def collecting(self, job_id: str) -> Iterator[None]:
        """A RecordError of the block ends it, and is collected as the fault of this job's record."""
        try:
            yield
        except RecordError as error:
            self.damaged.setdefault(job_id, error)

    def find(self, prefix: str) -> Record:
        """The record whose id starts with `prefix`. Raises HarnessError when there is none, or more than one."""
        return self.read(self.id_of(prefix))

    def remove(self, job_id: str) -> None:
        """Delete a record and its files; it disappears by one rename."""
        folder = self.runs / job_id
        doomed = folder.rename(temporary_path(folder))
        if doomed.is_symlink():
            doomed.unlink()
        else:
            shutil.rmtree(doomed)

    def id_of(self, prefix: str) -> str:
        """The id that starts with `prefix`, also of a damaged record. Raises HarnessError for none, or more than one."""
        hits = [job_id for job_id in self.ids() if job_id.startswith(prefix)]
        if len(hits) != 1:
            count = "no job" if not hits else f"{len(hits)} jobs ({', '.join(hits[:5])})"
            raise HarnessError(f"{count} in {self.runs} with an id that starts with '{prefix}'; see `harness ls jobs`")
        return hits[0]


def _has_record(folder: Path) -> bool:
    """Whether there is anything called record.json; True also for a folder that is a broken link, so that it is named."""
    return os.path.lexists(folder / RECORD) or (folder.is_symlink() and not folder.is_dir())


@functools.lru_cache(maxsize=4096)
def _read(folder: Path, stamp: int) -> Record:
    path = folder / RECORD
    remedy = stored.remedy(folder.name, folder)
    fields = stored.read_json(path)
    schema = int(fields.pop("schema"))
    if schema != SCHEMA:
        age, upgrade = ("a newer", "upgrade harness, or ") if schema > SCHEMA else ("an older", "")
        raise RecordError(
            f"{path} was written by {age} version of harness (schema {schema}, this one reads {SCHEMA}); "
            f"{upgrade}name another folder with --results"
        )
    with stored.refused(path, "lacks or adds fields", remedy):
        spec = from_plain(fields.pop("spec"))
        record = Record(spec=spec, **stored.read_fields(_stored_types(), fields, optional=ADDED), folder=folder)
        stored.check_fields(vars(record))
    expected = job_id(record.spec, record.upstream)
    if not folder.name == record.job_id == expected:
        raise RecordError(f"{path} says job {record.job_id} but its spec hashes to {expected}: it was edited; {remedy}")
    return record


@functools.cache
def _stored_types() -> dict[str, Any]:
    """Field of `record.json`, except the spec -> its type."""
    return {name: hint for name, hint in typing.get_type_hints(Record).items() if name not in ("spec", "folder")}


def write_record(runs: Path, record: Record, *, fill: Callable[[Path], None]) -> Record:
    """Write the record's folder by one rename and return the record as read back.

    `fill(folder)` puts the files (scores, weights, ...) into the folder; their sha256 are taken here. If another
    process has finished the same job meanwhile, its record is kept and this one is dropped: they are equal by their id.
    """
    with atomic_folder(runs / record.job_id) as folder:
        fill(folder)
        fields = {field.name: plain(getattr(record, field.name)) for field in dataclasses.fields(record)}
        del fields["folder"]
        files = {path.name: file_sha256(path) for path in folder.iterdir()}
        stored = fields | {"schema": SCHEMA, "spec": to_plain(record.spec), "files": files}
        with atomic_write(folder / RECORD, sync=True) as temporary:
            temporary.write_text(json.dumps(stored, indent=1, allow_nan=False))
    return RunStore(runs).read(record.job_id)
