"""Scores that another program computed, as the record of a finished job: `harness scores import`.

The rows are matched with the videos of a split, and labels and groups are those of the data set. From then on the record is
as good as any other: tables, tests and late fusion read its scores. Its protocol is 'imported', so it never takes the place
of a number that was computed here, and its provenance is printed with every number.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from harness import __version__
from harness.core import registry
from harness.core.cells import IMPORTED, Cell, Job
from harness.core.contract import MODALITIES, Dataset, Listing, Video, streams_of
from harness.core.errors import HarnessError, unknown
from harness.core.job_specs import DataSpec, ImportedSpec
from harness.core.workspace import Workspace
from harness.data import prepare
from harness.metrics.scores import Scores, check_count, counts
from harness.metrics.summary import summary
from harness.records.record import SCORES, Record, write_record, write_scores
from harness.records.score_files import ScoreTable

NAME = re.compile(r"[\w.:+/-]+")


@dataclass(frozen=True)
class Origin:
    """What the user says about the scores."""

    file: str
    baseline: str
    dataset: str
    modality: str = "rgb"
    split: int = 1
    subset: str | None = None
    """None: the data set's first."""
    seed: int = 0


def import_scores(table: ScoreTable, origin: Origin, workspace: Workspace, *, note: Callable[[str], None]) -> Record:
    """The record of these scores, written unless it exists. Raises HarnessError where they are not those of the split."""
    if not NAME.fullmatch(origin.baseline):
        raise HarnessError(f"--baseline '{origin.baseline}': a name has letters, digits and the signs . : + / - _ only")
    if origin.modality not in MODALITIES:
        raise unknown("modality", origin.modality, MODALITIES)
    card: Dataset = registry.load("dataset", origin.dataset)
    if origin.split not in card.splits:
        raise HarnessError(f"{card.name} has no split {origin.split}; have: {', '.join(map(str, card.splits))}")
    subset = origin.subset or card.subsets[0]
    if subset not in card.subsets:
        raise HarnessError(f"{card.name} has no subset '{subset}' to score; have: {', '.join(card.subsets)}")
    prepared = prepare.open_prepared(card, workspace.data)
    listing = prepared.listing(origin.split)
    scores = matched(table, listing, subset, place=f"split {origin.split} ({subset}) of {card.name}", note=note)
    check_count(scores.n, len(scores.missing), card.counts.get((origin.split, subset)))
    return _record(scores, origin, listing, prepared, subset, workspace)


def matched(table: ScoreTable, listing: Listing, subset: str, *, place: str, note: Callable[[str], None]) -> Scores:
    """The table's scores in the order of the subset's videos and of the data set's classes.

    A row may name a video by its id, its path, or its file's name if no other video has it. Raises HarnessError for rows of
    other videos, for videos without a row, and for other classes.
    """
    videos = listing.subsets[subset]
    absent = listing.missing_of(subset)
    row_of = _rows(table.ids, _names(videos, absent), place)
    missing = [video.id for video in videos if video.id not in row_of]
    if missing:
        raise HarnessError(
            f"{len(missing)} of the {len(videos)} videos of {place} have no scores: {_few(missing)}; "
            "add a row for each, empty for a video without an answer"
        )
    if unusable := len(row_of) - len(videos):
        note(f"{unusable} videos with scores are missing from disk here; they are left out")
    values = table.values[:, _columns(table.classes, listing.classes, place)]
    return Scores(
        ids=tuple(video.id for video in videos),
        logits=np.ascontiguousarray(values[[row_of[video.id] for video in videos]]),
        labels=np.array([video.label for video in videos], np.int64),
        groups=tuple(video.group for video in videos),
        undecodable=tuple(video.id for video in videos if table.ids[row_of[video.id]] in table.unanswered),
        missing=absent,
    )


def _names(videos: Sequence[Video], absent: Sequence[str]) -> dict[str, str]:
    """Everything that names a video -> its id; a file's name counts if it is unique."""
    ids = [*(video.id for video in videos), *absent]
    stems: dict[str, list[str]] = {}
    for video_id in ids:
        stems.setdefault(PurePosixPath(video_id).name, []).append(video_id)
    unique = {stem: owners[0] for stem, owners in stems.items() if len(owners) == 1}
    return unique | {video.path: video.id for video in videos} | {video_id: video_id for video_id in ids}


def _rows(names: Sequence[str], known: dict[str, str], place: str) -> dict[str, int]:
    """Id -> its row."""
    strange = [name for name in names if name not in known]
    if strange:
        example = next(iter(known.values()), "")
        raise HarnessError(
            f"{len(strange)} of {len(names)} rows match no video of {place}: {_few(strange)}; use its video ids, such as "
            f"'{example}', or file names"
        )
    row_of: dict[str, int] = {}
    for row, name in enumerate(names):
        if known[name] in row_of:
            raise HarnessError(
                f"'{name}' and '{names[row_of[known[name]]]}' name the same video of {place}; delete one of the two rows"
            )
        row_of[known[name]] = row
    return row_of


def _columns(names: Sequence[str], classes: Sequence[str], place: str) -> list[int]:
    """The columns in the order of the classes, which they have as names or as indices from 0."""
    if len(names) != len(classes):
        raise HarnessError(
            f"the file has scores of {len(names)} classes, but {place} has {len(classes)}; write one column per class"
        )
    indices = tuple(map(str, range(len(classes))))
    for wanted in (tuple(classes), indices):
        if set(names) == set(wanted):
            return [names.index(name) for name in wanted]
    strange = [name for name in names if name not in set(classes)]
    lacking = [name for name in classes if name not in set(names)]
    raise HarnessError(
        f"the file has columns that are not classes of {place}: {_few(strange)}; it lacks the classes {_few(lacking)}; name the "
        f"columns as the data set does, or 0 to {len(classes) - 1}"
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _record(
    scores: Scores, origin: Origin, listing: Listing, prepared: prepare.Prepared, subset: str, workspace: Workspace
) -> Record:
    card = prepared.dataset
    content = hashlib.sha256(scores.logits.tobytes())
    content.update("\n".join([*scores.ids, "", *scores.undecodable]).encode())
    spec = ImportedSpec(
        dataset=DataSpec(card.name, card.version, prepared.fingerprint),
        code_version=0,
        baseline=origin.baseline,
        streams=streams_of(origin.modality),
        split=origin.split,
        subset=subset,
        seed=origin.seed,
        scores_sha256=content.hexdigest(),
    )
    cell = Cell(
        baseline=origin.baseline,
        modality=origin.modality,
        dataset=card.name,
        split=origin.split,
        subset=subset,
        protocol=IMPORTED,
        init="",
        source="",
        scale="micro" if card.micro else "paper",
        seed=origin.seed,
    )
    job = Job(spec=spec, title=str(cell), cell=cell)
    record = Record(
        job_id=job.id,
        spec=spec,
        title=job.title,
        upstream={},
        cell=cell,
        environment={"harness": __version__},
        fingerprint=prepared.fingerprint,
        metrics=summary(scores),
        counts=counts(scores),
        cost={"wall_s": 0.0},
        classes=listing.classes,
        chosen={"rule": f"imported from {origin.file}; provenance: imported"},
        finished_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    return write_record(workspace.runs, record, fill=lambda folder: write_scores(folder / SCORES, scores))
