"""Everything the page shows, as values, before any of it is written."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness import __version__
from harness.analysis import claims
from harness.core.contract import Dataset
from harness.core.spec import digest
from harness.core.units import duration
from harness.core.workspace import Workspace
from harness.planning.lookup import lookup_in
from harness.records.record import RunStore
from reports import tables
from reports.evidence import Evidence, dataset_of, gather
from reports.figures import accuracy, answers, curves, filters, pictures, receptive
from reports.figures.drawing import Figure
from reports.page.jobs import JobView, views

INLINE_JOBS_BYTES = 1_200_000
"""Details of jobs stay in the page up to this; those of larger ledgers go into a file each beside it."""


@dataclass(frozen=True)
class Section:
    """Figures under a heading, with what they answer."""

    name: str
    title: str
    lead: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class DataCard:
    """What the page tells of a data set."""

    card: Dataset
    fingerprints: tuple[str, ...]
    """Of the data that was scored."""
    figure: Figure | None


@dataclass(frozen=True)
class Content:
    """The whole report."""

    scale: str
    version: str
    """Of this program."""
    run_store: str
    """Hash of the ids of all jobs shown."""
    tables: tuple[tables.Table, ...]
    claims: tuple[claims.Claim, ...]
    overview: Figure | None
    sections: tuple[Section, ...]
    data: tuple[DataCard, ...]
    jobs: tuple[JobView, ...]
    facts: Mapping[str, str]
    """The numbers at the head: label -> value."""
    without_frames: tuple[str, ...]
    """Data sets that were scored and whose videos are not here."""

    @property
    def figures(self) -> tuple[Figure, ...]:
        found = [self.overview] if self.overview else []
        found += [figure for section in self.sections for figure in section.figures]
        return tuple(found + [entry.figure for entry in self.data if entry.figure])


def collect(workspace: Workspace, *, scale: str) -> Content:
    """Read the ledger and draw everything. Needs no data set, but shows frames of those that are here."""
    # Tables and findings ask for many cells twice, and planning one takes milliseconds.
    lookup = functools.cache(lookup_in(workspace))
    found = tuple(tables.build(number, lookup, tables.Question(scale=scale)) for number in tables.NUMBERS)
    evidence = gather(RunStore(workspace.runs), scale=scale, preferred=_ids(found))
    footage = {
        name: pictures.footage(name, workspace.data, fingerprint=prints[-1])
        for name, prints in _fingerprints(evidence).items()
    }
    tested = claims.all_claims(lookup, scale=scale)
    jobs = views(evidence)
    return Content(
        scale=scale,
        version=__version__,
        run_store=digest(sorted(evidence.records)),
        tables=found,
        claims=tested,
        overview=accuracy.overview(evidence) if evidence.results else None,
        sections=tuple(_sections(evidence, footage)),
        data=tuple(_data(evidence, footage)),
        jobs=jobs,
        facts=_facts(found, evidence, tested, jobs),
        without_frames=tuple(name for name in evidence.datasets if footage.get(name) is None),
    )


def _ids(found: Iterable[tables.Table]) -> set[str]:
    return {job for table in found for cell in table.cells.values() for job in cell.job_ids}


def _fingerprints(evidence: Evidence) -> dict[str, tuple[str, ...]]:
    """Data set -> fingerprints of what its jobs saw, in the order they were finished; the last is the newest."""
    found: dict[str, dict[str, None]] = {}
    for record in evidence.records.values():
        seen = found.setdefault(record.spec["dataset"]["name"], {})
        seen.pop(record.fingerprint, None)
        seen[record.fingerprint] = None
    return {name: tuple(prints) for name, prints in found.items()}


def _sections(evidence: Evidence, footage: Mapping[str, pictures.Footage | None]) -> list[Section]:
    names = evidence.datasets
    inside = [receptive.receptive(), filters.filters(evidence)]
    if not evidence.results:
        return [
            _section(
                "inside", "Inside the network", "What one number sees, and what the first layer looks for.", inside
            )
        ]
    sections = [
        _section(
            "classes",
            "By class and by stream",
            "Where the accuracy comes from: which classes are hard, and what RGB and flow each contribute.",
            [accuracy.streams(evidence), accuracy.classes(evidence)],
        ),
        _section(
            "confusion",
            "What is taken for what",
            "Confusion matrices of each baseline, all streams that it was run with.",
            [answers.confusions(evidence, name) for name in names],
        ),
        _section(
            "mistakes",
            "The worst mistakes",
            "Videos that the network is wrong about and sure of.",
            [pictures.mistakes(evidence, name, footage.get(name)) for name in names],
        ),
        _section(
            "agreement",
            "Agreement between baselines",
            "Whether the architectures fail on the same videos or on different ones.",
            [answers.agreement(evidence)],
        ),
        _section("curves", "Learning curves", "How the trainings went.", [curves.curves(evidence)]),
        _section("cost", "Accuracy against cost", "What a number took to make.", [accuracy.cost(evidence)]),
        _section("inside", "Inside the network", "What one number sees, and what the first layer looks for.", inside),
    ]
    return [section for section in sections if section.figures]


def _section(name: str, title: str, lead: str, figures: Sequence[Figure | None]) -> Section:
    return Section(name, title, lead, tuple(figure for figure in figures if figure is not None))


def _data(evidence: Evidence, footage: Mapping[str, pictures.Footage | None]) -> list[DataCard]:
    cards = []
    for name, prints in sorted(_fingerprints(evidence).items()):
        card, found = dataset_of(name), footage.get(name)
        classes = next(
            (record.classes for record in evidence.records.values() if record.spec["dataset"]["name"] == name), ()
        )
        if card is not None:
            cards.append(DataCard(card, prints, pictures.samples(name, classes, found) if found else None))
    return cards


def _facts(
    found: Sequence[tables.Table], evidence: Evidence, tested: Sequence[claims.Claim], jobs: Sequence[JobView]
) -> dict[str, str]:
    cells = [cell for table in found if table.number > 1 for cell in table.cells.values() if cell.command]
    wanted = [cell for cell in cells if cell.ours is not None or cell.verdict == "not run"]
    done = sum(cell.ours is not None for cell in wanted)
    supported = sum(claim.verdict == "supported" for claim in tested)
    ran = sum(claim.verdict != "not run" for claim in tested)
    return {
        "numbers in Tables 2–5": f"{done} of {len(wanted)}",
        "findings supported": f"{supported} of {ran} tested" if ran else "none tested yet",
        "finished jobs": str(len(jobs)),
        "videos scored": f"{sum(record.counts.get('n', 0) for record in evidence.records.values()):,}",
        "computing": duration(sum(job.wall_s for job in jobs)),
    }
