"""Cases to time, and the cases they are compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.core import environment


@dataclass(frozen=True)
class Case:
    """One thing to time; sent as JSON to the process that does it."""

    builder: str
    """A key of `suites.BUILDERS`."""
    baseline: str = "i3d"
    streams: tuple[str, ...] = ("rgb",)
    scale: str = "paper"
    batch: int = 1
    """Clips; for flow: processes that share the pairs."""
    frames: int = 0
    """Frames per clip; 0: the card's training clip."""
    side_px: int = 0
    """0: the card's."""
    layout: str = "channels last"
    """'channels last', or 'plain' (NCDHW)."""
    precision: str = "float32"
    without: str = ""
    """A key of `networks.DEFAULTS`: the optimization that is switched off."""
    malloc: str = "kept"
    """'kept': as in jobs (harness.core.allocator); 'plain': the system's default."""
    threads: int = 1
    device: str = "cpu"
    size: int = 0
    """For ceilings, loops, clips and flow; each builder says what it means."""
    reader: str = ""
    """For clips: a key of `readers.READERS`; for flow: the method."""
    corpus: str = ""
    """For clips: which files, as `videos.files_of` takes it."""
    folder: str = ""
    """For clips: the folder of the files; filled in when the pair is run."""
    part: int = 0
    """Which of the processes of a `Parallel` this is."""


@dataclass(frozen=True)
class Ready:
    """A case, built and ready to run."""

    step: Callable[[], Any]
    facts: Mapping[str, Any]


Builders = Mapping[str, Callable[[Case], Ready]]


@dataclass(frozen=True)
class Parallel:
    """A case done by several processes at once, each its part."""

    case: Case
    processes: int = 2

    @property
    def parts(self) -> list[Case]:
        return [dataclasses.replace(self.case, part=number) for number in range(self.processes)]


@dataclass(frozen=True)
class Command:
    """A whole process of this interpreter, from start to end."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Two ways of doing the same."""

    suite: str
    name: str
    reference: str
    """`other` in words."""
    ours: Case | Command | Parallel
    other: Case | Command | Parallel
    target: float | None = None
    """Ratio to reach; None: no target."""


@dataclass(frozen=True)
class Machine:
    """Device and time limits of the benchmarks."""

    device: str
    threads: int
    quick: bool
    """Small sizes: minutes instead of half an hour."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """float32, and bfloat16 where the device computes in it."""
        return ("float32", "bfloat16") if environment.computes_bfloat16(self.device) else ("float32",)


Suite = Callable[[Machine], Iterator[Pair]]
