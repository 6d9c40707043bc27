"""What must be said beside a number, because its data set could be taken for another."""

from __future__ import annotations

from harness import discover
from harness.contract import Dataset
from harness.errors import HarnessError
from harness.spec import Cell


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
        card: Dataset = discover.load("dataset", name)
    except HarnessError:  # a member of a family whose file is gone since; its number remains, and so does the caveat
        card = discover.load("dataset", name.partition(":")[0])
    return card
