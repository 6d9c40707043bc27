"""One thing to be timed, as it travels to the process that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One thing to be timed, as it is told to the process that does it."""

    what: str
    """A name of `worker.builders`."""
    baseline: str = "i3d"
    streams: tuple[str, ...] = ("rgb",)
    scale: str = "paper"
    batch: int = 1
    frames: int = 0
    """Frames of a clip; 0: the card's training clip."""
    side_px: int = 0
    """0: the card's."""
    layout: str = "channels last"
    """'channels last', or 'plain' (NCDHW)."""
    precision: str = "float32"
    without: str = ""
    """A key of `cases.DEFAULTS`: what of our own doing is switched off."""
    malloc: str = "kept"
    """'kept': as jobs run (harness.core.allocator); 'plain': as the system has it."""
    threads: int = 1
    device: str = "cpu"
    repeat: int = 1
    """Times a round runs it; the round's seconds are divided by this."""
    size: int = 0
    """Of ceilings and loops: what it means is theirs."""
    reader: str = ""
    """Of clips: a key of `readers.READERS`; of flow: the method."""
    corpus: str = ""
    """Of clips: which files, in words of `videos.files_of`."""
    folder: str = ""
    """Of clips: where they lie; filled in when the pair is run."""
    part: int = 0
    """Which of the processes that share a pairing's work this is."""


@dataclass(frozen=True)
class Ready:
    """A case, built and ready to run."""

    step: Callable[[], Any]
    facts: Mapping[str, Any]
