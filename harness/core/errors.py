"""Errors for the user: each names the wrong value and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class HarnessError(Exception):
    """Something the user can fix. The command line prints it as one paragraph and exits with status 2."""


class UnknownName(HarnessError):
    """A name that no plug-in has."""


class DataMissing(HarnessError):
    """A data set, or part of it, is not where it was expected."""


class Fault(NamedTuple):
    """One fault in the annotation files of a data set."""

    kind: str
    """'unreadable line' | 'wrong label' | 'unknown class' | 'empty class' | 'leaves the root' | 'listed twice' |
    'in two subsets' | 'unreadable name'."""
    text: str
    """The fault, its place and the remedy, in a sentence or two."""


class BadLists(HarnessError):
    """Annotation files that cannot be trusted. The message is the first fault, `faults` has all of them."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        more = f" ({len(faults) - 1} more: see `harness data verify`.)" if len(faults) > 1 else ""
        super().__init__(faults[0].text + more)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled by its faults: by default an exception is pickled by its message."""
        return type(self), (self.faults,), self.__dict__


class BrokenVideo(HarnessError):
    """A file that cannot be decoded; the message names the file and the cause."""


class RecordError(HarnessError):
    """A record or checkpoint that cannot be trusted: damaged, edited, or of another version."""


def unknown(kind: str, name: str, available: Iterable[str], *, of: str = "", remedy: str = "") -> UnknownName:
    """The error for a name that does not exist, with the available names and the closest of them, or else a remedy.

    `of`: ' for i3d'.
    """
    names = sorted(set(available))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"; did you mean '{close[0]}'?" if close else remedy and f"; {remedy}"
    return UnknownName(f"no {kind} '{name}'{of}; have: {', '.join(names) or 'none'}{guess}")
