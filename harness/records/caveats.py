"""What must be said beside a number, because its data set could be taken for another; and beside two that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.core import registry
from harness.core.contract import Dataset
from harness.core.errors import HarnessError
from harness.core.spec import Cell
from harness.metrics.scores import bounds_pct
from harness.records.record import Record


def caveats_of(cell: Cell) -> tuple[str, ...]:
    """Of the data set that is scored and of the one that weights come from: 'is on TITLE: ...', 'starts from TITLE: ...'."""
    said = [("is on", caveat_of(cell.dataset)), ("starts from", caveat_of(cell.source))]
    return tuple(f"{how} {caveat}" for how, caveat in said if caveat)


def caveat_of(name: str) -> str:
    """'TITLE: caveat' of a data set; '' for one without, and for weights that are no data set."""
    if not name or name.startswith("published:"):
        return ""
    card = _card(name)
    return f"{card.title}: {card.caveat}" if card.caveat else ""


def _card(name: str) -> Dataset:
    try:
        card: Dataset = registry.load("dataset", name)
    except HarnessError:  # a member of a family whose file is gone since; its number remains, and so does the caveat
        card = registry.load("dataset", name.partition(":")[0])
    return card


# ---------------------------------------------------------------------------------------------- two finished jobs


def caveats_of_pair(first: Record, second: Record) -> list[str]:
    """What a reader must know of two jobs that are held against each other, in sentences.

    Of each: videos it was not scored on or could not decode, its data set, weights that nobody knows the training
    videos of. Of both: what differs beside the networks and their training.
    """
    a, b = caveats_of_job(first), caveats_of_job(second)
    shared = [said for said in a if said in b]
    told = [f"Both: {said}." for said in shared]
    told += [f"{name}: {said}." for name, own in (("A", a), ("B", b)) for said in own if said not in shared]
    return told + [f"A and B differ in {what}." for what in _unlike(first.spec, second.spec)]


def caveats_of_job(record: Record) -> list[str]:
    """'scored on 236 of 240 videos, the others are missing from disk; ...'."""
    found, counted = [], record.counts
    n, listed, bad = (counted.get(key, 0) for key in ("n", "n_of", "undecodable"))
    if n < listed:
        low, high = bounds_pct(counted)
        found.append(
            f"scored on {n} of {listed} videos, the others are missing from disk; on all of them it would have "
            f"{low:.1f} to {high:.1f}%"
        )
    if bad:
        found.append(f"{bad} videos cannot be decoded and count as wrong")
    spec = record.spec
    if spec["scale"]["name"] != "paper":
        found.append(f"run at {spec['scale']['name']} scale, which says nothing about the paper's sizes")
    if said := caveat_of(spec["dataset"]["name"]):
        found.append(f"on {said}")
    if "published" in spec:
        found.append(
            f"starts from published weights '{spec['published']['name']}', whose training videos may be unknown"
        )
    return found


def _unlike(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """What two jobs' specs say differently of videos, frames and numbers, in words."""
    found = []
    for key, words in (
        ("scale", "scale"),
        ("dataset", "the files of the data set (fingerprint)"),
        ("split", "split"),
        ("subset", "the videos that are scored"),
        ("decoder", "the decoder that frames came from"),
        ("flow", "how optical flow was computed"),
        ("precision", "the precision of their arithmetic"),
        ("code", "the version of training and scoring"),
    ):
        one, other = first.get(key), second.get(key)
        if one and other and one != other:
            if key == "scale" and one["name"] == other["name"]:
                one = {name: value for name, value in one.items() if value != other.get(name)}
                found.append(f"sizes of the same scale: {', '.join(one)}")
            else:
                found.append(words)
    return found
