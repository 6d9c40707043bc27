"""Warnings printed with results whose data set or weights differ from the paper's, and with comparisons of unlike results."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from harness.core import registry
from harness.core.cells import IMPORTED, PUBLISHED, Cell
from harness.core.contract import Dataset
from harness.core.errors import HarnessError, UnknownName
from harness.core.job_specs import JobSpec, NetworkSpec, TrainSpec
from harness.metrics.scores import bounds_pct
from harness.records.record import Record

FOREIGN = "computed by another program, provenance: imported"
ROUNDED = "scored in bfloat16, which moves logits by up to 0.5"


def caveats_of(cell: Cell) -> tuple[str, ...]:
    """Caveats of the scored data set, the source of the weights, imported scores and precision: 'is on TITLE: ...'."""
    caveats = [("is on", caveat_of(cell.dataset)), ("starts from", _published(cell) or caveat_of(cell.source))]
    caveats += [("was", FOREIGN if cell.protocol == IMPORTED else "")]
    caveats += [("was", limited_to(cell.limit))]
    caveats += [("was", ROUNDED if ("scale.eval_precision", "bfloat16") in cell.overrides else "")]
    return tuple(f"{verb} {caveat}" for verb, caveat in caveats if caveat)


def limited_to(limit: int) -> str:
    """'run on ... (--limit N)'; '' for no limit."""
    return f"run on the first {limit} videos of every subset alone (--limit {limit})" if limit else ""


def _published(cell: Cell) -> str:
    """Published weights that the cell starts from, and whether their training videos are known; '' if it starts from none, or
    from an exported folder, which has the ids of its training videos."""
    name = cell.source.removeprefix(PUBLISHED)
    if name == cell.source or name.startswith("/"):
        return ""
    try:
        known = {weights.name: weights.provenance for weights in registry.load("baseline", cell.baseline).weights}
    except UnknownName:
        known = {}
    return f"published weights '{name}', provenance: {known.get(name, 'unknown')}"


def left_out(videos: Collection[str]) -> str:
    """Sentence, without its subject, about training videos that were left out (`--on-bad-video skip`); '' if none was."""
    if not videos:
        return ""
    named = ", ".join(sorted(videos)[:3]) + (", ..." if len(videos) > 3 else "")
    return f"was trained without {len(videos)} {'video' if len(videos) == 1 else 'videos'} that cannot be decoded ({named})"


def caveat_of(name: str) -> str:
    """'TITLE: caveat' of a data set; '' without one, for published weights and if the data set's plug-in is not loaded."""
    if not name or name.startswith(PUBLISHED):
        return ""
    try:
        card = _card(name)
    except UnknownName:
        return ""
    return f"{card.title}: {card.caveat}" if card.caveat else ""


def _card(name: str) -> Dataset:
    try:
        card: Dataset = registry.load("dataset", name)
    except HarnessError:  # a member of a family whose file was removed; its number and its caveat remain
        card = registry.load("dataset", name.partition(":")[0])
    return card


def caveats_of_pair(first: Sequence[Record], second: Sequence[Record]) -> list[str]:
    """Warnings about the comparison of two jobs, in sentences; a side may be the jobs of two streams, fused.

    For each job: videos it was not scored on or could not decode, its data set, weights with unknown training videos.
    For both: differences that are not in the networks and their training.
    """
    of_a, of_b = ([*dict.fromkeys(itertools.chain(*map(caveats_of_job, side)))] for side in (first, second))
    shared = [caveat for caveat in of_a if caveat in of_b]
    sentences = [f"Both: {caveat}." for caveat in shared]
    sentences += [
        f"{name}: {caveat}." for name, own in (("A", of_a), ("B", of_b)) for caveat in own if caveat not in shared
    ]
    unlike = (_unlike(a.spec, b.spec) for a, b in itertools.product(first, second))
    return sentences + [f"A and B differ in {difference}." for difference in dict.fromkeys(itertools.chain(*unlike))]


def caveats_of_job(record: Record) -> list[str]:
    """'scored on 236 of 240 videos, the others are missing from disk; ...'."""
    caveats, counted = [], record.counts
    n, listed, bad = (counted.get(key, 0) for key in ("n", "n_of", "undecodable"))
    if n < listed:
        low, high = bounds_pct(counted)
        caveats.append(
            f"scored on {n} of {listed} videos, the others are missing from disk; on all of them it would have "
            f"{low:.1f} to {high:.1f}%"
        )
    if bad:
        caveats.append(f"{bad} videos cannot be decoded and count as wrong")
    if without := left_out(record.chosen.get("skipped", ())):
        caveats.append(without)
    spec = record.spec
    if limited := limited_to(spec.dataset.limit):
        caveats.append(limited)
    if isinstance(spec, NetworkSpec) and spec.scale.name != "paper":
        caveats.append(f"run at {spec.scale.name} scale, which says nothing about the paper's sizes")
    if isinstance(spec, NetworkSpec) and spec.scale.eval_precision == "bfloat16":
        caveats.append(ROUNDED)
    if caveat := caveat_of(spec.dataset.name):
        caveats.append(f"on {caveat}")
    if record.cell and record.cell.protocol == IMPORTED:
        caveats.append(FOREIGN)
    if record.cell and (published := _published(record.cell)):
        caveats.append(f"starts from {published}")
    elif isinstance(spec, TrainSpec) and spec.pretrained and not spec.pretrained.name.startswith("/"):
        caveats.append(f"starts from published weights '{spec.pretrained.name}', whose training videos may be unknown")
    return caveats


DIFFERENCES = {
    "dataset": "the files of the data set (fingerprint)",
    "split": "split",
    "subset": "the videos that are scored",
    "decoder": "the decoder that frames came from",
    "flow": "how optical flow was computed",
    "precision": "the precision of their arithmetic",
    "code_version": "the version of training and scoring",
}
"""Attribute of a spec -> in words, for a difference that has nothing to do with the networks."""


def _unlike(first: JobSpec, second: JobSpec) -> list[str]:
    """Differences between the videos, frames and arithmetic of two jobs, in words."""
    unlike = []
    if isinstance(first, NetworkSpec) and isinstance(second, NetworkSpec) and first.scale != second.scale:
        fields = [name for name, value in vars(first.scale).items() if value != getattr(second.scale, name)]
        unlike = ["scale" if "name" in fields else f"sizes of the same scale: {', '.join(fields)}"]
    pairs = {name: (getattr(first, name, None), getattr(second, name, None)) for name in DIFFERENCES}
    return unlike + [DIFFERENCES[name] for name, (a, b) in pairs.items() if a and b and a != b]
