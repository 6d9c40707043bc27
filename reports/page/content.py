"""The content of the page as values, before any of it is written."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness import __version__
from harness.analysis import claims, paper_numbers
from harness.core.contract import Dataset
from harness.core.serialization import digest
from harness.core.workspace import Workspace
from harness.planning.lookup import lookup_in
from harness.records.record import RunStore
from reports import results, tables
from reports.evidence import Evidence, dataset_of, gather
from reports.figures import accuracy, curves, filters, low_shot, matrices, pictures
from reports.figures.drawing import Figure
from reports.page.jobs import JobView, views
from reports.units import duration

INLINE_JOBS_BYTES = 1_200_000
"""Up to this size the page holds the details of all jobs; beyond it, each job has a page of its own."""
HEADINGS = {
    "classes": (
        "By class and by stream",
        "Analysis of the accuracy: hard classes, and the contributions of RGB and flow.",
    ),
    "confusion": ("Confusions", "Confusion matrices of each baseline, with all streams that it was run with."),
    "mistakes": ("Surest mistakes", "Videos that the network gets wrong with high probability."),
    "agreement": (
        "Agreement between baselines",
        "Whether the architectures fail on the same videos or on different ones.",
    ),
    "low-shot": ("Few training videos", "Accuracy with a few training videos per class."),
    "curves": ("Learning curves", "The loss during training."),
    "cost": ("Accuracy against cost", "The compute time behind each number."),
    "inside": ("Inside the network", "The filters of the first layer, before and after training."),
}
"""Section -> its title and lead."""


@dataclass(frozen=True)
class Section:
    """Figures under a heading, with the question they answer."""

    name: str
    title: str
    lead: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class DataCard:
    """A data set as the page shows it."""

    card: Dataset
    fingerprints: tuple[str, ...]
    """Fingerprints of the scored data."""
    figure: Figure | None

    @property
    def counts(self) -> str:
        """'70 train, 280 test in each of 3 splits'."""
        card = self.card
        first = [f"{n} {subset}" for (split, subset), n in card.counts.items() if split == card.splits[0]]
        return ", ".join(first) + (f" in each of {len(card.splits)} splits" if len(card.splits) > 1 else "")


@dataclass(frozen=True)
class Content:
    """The whole report."""

    scale: str
    version: str
    """Version of this program."""
    run_store: str
    """Hash of the ids of all jobs shown."""
    tables: tuple[tables.Table, ...]
    """The paper's, then that of all results."""
    claims: tuple[claims.Claim, ...]
    overview: Figure | None
    sections: tuple[Section, ...]
    data: tuple[DataCard, ...]
    jobs: tuple[JobView, ...]
    facts: Mapping[str, str]
    """The numbers at the top of the page: label -> value."""
    without_frames: tuple[str, ...]
    """Data sets that were scored and whose videos are not on this machine."""

    @property
    def figures(self) -> tuple[Figure, ...]:
        figures = [self.overview] if self.overview else []
        figures += [figure for section in self.sections for figure in section.figures]
        return tuple(figures + [entry.figure for entry in self.data if entry.figure])


def collect(workspace: Workspace, run_store: RunStore, *, scale: str) -> Content:
    """Read the records and draw everything. Needs no data set, but shows frames of those on this machine.

    Damaged records are left out; `run_store.damaged` then names them.
    """
    # Tables and claims ask for many cells twice, and planning one takes milliseconds.
    lookup = functools.cache(lookup_in(workspace, run_store))
    # A plug-in's scale has no data sets that represent the paper's, so it has jobs and figures alone.
    numbers = tables.NUMBERS if scale in paper_numbers.STAND_INS else ()
    built = tuple(tables.build(number, lookup, tables.Question(scale=scale)) for number in numbers)
    evidence = gather(run_store, scale=scale)
    built += (results.build(evidence).table,) if evidence.results else ()
    footage = {
        name: pictures.footage(name, workspace.data, fingerprint=prints[-1])
        for name, prints in _fingerprints(evidence).items()
    }
    drawn = evidence.complete
    tested = claims.all_claims(lookup, scale=scale) if numbers else ()
    jobs = views(evidence)
    return Content(
        scale=scale,
        version=__version__,
        run_store=digest(sorted(evidence.records)),
        tables=built,
        claims=tested,
        overview=accuracy.overview(drawn) if drawn.results else None,
        sections=tuple(_sections(drawn, footage, low_shot.low_shot(evidence.unlimited))),
        data=tuple(_data(evidence, footage)),
        jobs=jobs,
        facts=_facts(built, evidence, tested, jobs),
        without_frames=tuple(name for name in drawn.datasets if footage.get(name) is None),
    )


def _fingerprints(evidence: Evidence) -> dict[str, tuple[str, ...]]:
    """Data set -> fingerprints that its jobs recorded, the newest last."""
    by_name: dict[str, dict[str, None]] = {}
    for record in evidence.records.values():
        prints = by_name.setdefault(record.spec.dataset.name, {})
        prints.pop(record.fingerprint, None)
        prints[record.fingerprint] = None
    return {name: tuple(prints) for name, prints in by_name.items()}


def _sections(
    evidence: Evidence, footage: Mapping[str, pictures.Footage | None], few_videos: Figure | None
) -> Iterator[Section]:
    """The sections that have a figure; `few_videos` is that of draws of the training videos, which `evidence` lacks."""
    names = evidence.datasets
    drawn: dict[str, list[Figure | None]] = {
        "classes": [accuracy.streams(evidence), matrices.classes(evidence)],
        "confusion": [matrices.confusions(evidence, name) for name in names],
        "mistakes": [pictures.mistakes(evidence, name, footage.get(name)) for name in names],
        "agreement": [matrices.agreement(evidence)],
        "low-shot": [few_videos],
        "curves": [curves.curves(evidence)],
        "cost": [accuracy.cost(evidence)],
        "inside": [filters.filters(evidence)],
    }
    for name, (title, lead) in HEADINGS.items():
        if shown := tuple(figure for figure in drawn[name] if figure is not None and figure.panels):
            yield Section(name, title, lead, shown)


def _data(evidence: Evidence, footage: Mapping[str, pictures.Footage | None]) -> list[DataCard]:
    cards = []
    for name, prints in sorted(_fingerprints(evidence).items()):
        card, files = dataset_of(name), footage.get(name)
        classes = next((record.classes for record in evidence.records.values() if record.spec.dataset.name == name), ())
        if card is not None:
            cards.append(DataCard(card, prints, pictures.samples(name, classes, files) if files else None))
    return cards


def _facts(
    built: Sequence[tables.Table], evidence: Evidence, tested: Sequence[claims.Claim], jobs: Sequence[JobView]
) -> dict[str, str]:
    wanted = [cell for table in built if (table.number or 0) > 1 for cell in table.cells.values() if cell.wanted]
    done = sum(cell.ours is not None for cell in wanted)
    supported = sum(claim.verdict == "supported" for claim in tested)
    run = sum(claim.verdict != "not run" for claim in tested)
    of_the_paper = {
        "numbers in Tables 2–5": f"{done} of {len(wanted)}",
        "claims supported": f"{supported} of {run} tested" if run else "none tested yet",
    }
    return (of_the_paper if any(table.number for table in built) else {}) | {
        "finished jobs": str(len(jobs)),
        "videos scored": f"{sum(record.counts.get('n', 0) for record in evidence.records.values()):,}",
        "compute time": duration(sum(job.wall_s for job in jobs)),
    }
