"""The errors a person is meant to read: each names the value that is wrong and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class HarnessError(Exception):
    """Something the user can mend. The command line prints it as one paragraph and leaves with code 2."""


class UnknownName(HarnessError):
    """A name that no plug-in answers to."""


class DataMissing(HarnessError):
    """A data set, or part of it, is not where it was looked for."""


class Fault(NamedTuple):
    """One thing that is wrong with a data set's lists."""

    kind: str
    """'unreadable line' | 'wrong label' | 'unknown class' | 'empty class' | 'leaves the root' | 'listed twice' |
    'in two subsets' | 'unreadable name'."""
    text: str
    """What and where, with the remedy, in a sentence or two."""


class BadLists(HarnessError):
    """Annotation files that cannot be trusted. The message tells the first fault, `faults` every one that was found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        more = f" ({len(faults) - 1} more: see `harness data verify`.)" if len(faults) > 1 else ""
        super().__init__(faults[0].text + more)

    def __reduce__(self) -> tuple[object, ...]:
        """For another process: the faults, where an exception would send its message."""
        return type(self), (self.faults,), self.__dict__


class BrokenVideo(HarnessError):
    """A file that is there but cannot be decoded; the message names the file and the cause."""


class RecordError(HarnessError):
    """A record or checkpoint that cannot be trusted: torn, edited, or of a newer version."""


def unknown(kind: str, name: str, have: Iterable[str]) -> UnknownName:
    """The error for a wrong name: what was asked for, what there is, and the nearest guess."""
    names = sorted(have)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"; did you mean '{close[0]}'?" if close else ""
    return UnknownName(f"no {kind} '{name}'; have: {', '.join(names) or 'none'}{guess}")
