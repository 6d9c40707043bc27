"""The errors a person is meant to read: each names the value that is wrong and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """Something the user can mend. The command line prints it as one paragraph and leaves with code 2."""


class UnknownName(HarnessError):
    """A name that no plug-in answers to."""


class DataMissing(HarnessError):
    """A data set, or part of it, is not where it was looked for."""


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
