"""Values that a plug-in hands over, next to the cards of `harness.core.contract`.

Each is found by name (`harness.core.registry`): one file holds one value. Planning and `--help` load all of them, so
that nothing here imports numpy or torch, and neither may the file of a plug-in; its functions import what they need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from harness.core.parameters import Parameter

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Metric:
    """One number computed from the per-video scores of a test set (`harness.metrics.scores.Scores`).

    Give `shares` for a mean over videos or classes: it gets a 95% interval drawn by group of videos. Give `value` for any
    other formula: it has no interval. Over seeds, the share of each video is averaged, or else the value; splits weigh
    the same.
    """

    name: str
    """Key in records, JSON and MLflow, and the name that `--metric` takes."""
    title: str
    """As in a sentence: 'top-1 accuracy'."""
    short: str
    """Head of a column: 'top-1'."""
    shares: Callable[[Any], Any] | None = None
    """Scores -> (n,) numbers in [0, 1], where each video is between `worst` and `best`: 1 for a right answer, 0 for a
    wrong one. Videos that cannot be decoded count as 0 whatever is returned for them."""
    mean_over: str = "ids"
    """Field of Scores whose values weigh the same: 'ids' for a mean over videos, 'labels' for one over classes."""
    value: Callable[[Any], float] | None = None
    """Scores -> the metric in `unit`, where it is not a mean of shares."""
    needs: tuple[str, ...] = ("logits", "labels")
    """Fields of Scores that it reads. Left out where one is not known, such as 'groups' of a data set without groups."""
    unit: str = "%"
    worst: float = 0.0
    best: float = 100.0
    decimals: int = 1
    order: int = 100
    """Place among the metrics, lowest first."""


@dataclass(frozen=True)
class LauncherOption:
    """A command-line option that a launcher adds to the commands that run jobs."""

    name: str
    """As a Python name, 'gpus_per_job' for --gpus-per-job. Launchers that mean the same thing use the same name."""
    help: str
    """One sentence for --help."""
    metavar: str
    """Placeholder of its value in --help: 'URL'."""
    type: Callable[[str], object] = str
    """Text -> value; raises ValueError for text that is not one."""
    default: object = None
    """Value if the option is not given."""


@dataclass(frozen=True)
class Launcher:
    """A way to run the jobs of a plan."""

    name: str
    title: str
    """A few words for --help."""
    launch: Callable[..., int]
    """`launch(plan, options, callback, *, run, **values)`, with the values of `options` -> number of jobs run.

    Calls `run(job, options, callback)` (`harness.launch.entry.run_job` by default) once for each job of `plan.to_do`,
    after the jobs it needs, and reports to `callback.for_job(job)`. An error that a job raises is raised here; finished
    jobs keep their records. `tests/contract/test_launchers.py` holds every launcher to this.
    """
    options: tuple[LauncherOption, ...] = ()
    on_this_machine: bool = False
    """Whether all jobs run on the machine of the command, whose devices can then be checked before the first job."""


class Frames(Protocol):
    """The decoded frames of one open file. What a frame is, only its decoder knows."""

    errors: tuple[type[Exception], ...]
    """Exceptions that decoding a broken file raises."""

    def decode(self, start: int | None = None) -> Iterator[tuple[int | None, Any]]:
        """(timestamp in ticks of the stream, or None where there is none; frame), in the order they are shown, from the
        current position on. A frame is valid until the one after the next is asked for. Frames that end before the one
        shown at `start` may be left out."""

    def seek(self, stamp: int) -> bool:
        """Go to a key frame, at or before `stamp` if there is one. False: no seeking in this file."""

    def close(self) -> None: ...

    def size(self, frame: Any) -> tuple[int, int]:
        """(height, width) in px as decoded, before rotation."""

    def turns(self, frame: Any) -> int:
        """Quarter turns counter-clockwise, 0 to 3, that set the picture upright."""

    def planes(self, frame: Any) -> list[np.ndarray] | None:
        """Luma and the two chroma planes, uint8 (rows, columns or more), of a yuv420p picture of limited range with even
        sides, as nearly all are; None for any other."""

    def rgb(self, frame: Any) -> np.ndarray:
        """uint8 (H, W, 3) as decoded, before rotation."""


@dataclass(frozen=True)
class Decoder:
    """A library that decodes the frames of a video file. Headers, times and conversion are the same for all decoders."""

    name: str
    version: Callable[[], str]
    """Version of the library, without importing it: a part of job ids. Raises HarnessError, naming the remedy, where it is
    not installed."""
    open: Callable[[Any], Frames]
    """An open `harness.video.file.VideoFile`, whose header has been read -> its frames. Raises HarnessError where the library
    cannot be loaded, BrokenVideo for a file it cannot open."""


Params = Mapping[str, float | str]
"""Values of a flow method's parameters that differ from their defaults, by name."""


@dataclass(frozen=True)
class FlowEstimator:
    """A flow method that is ready to compute."""

    flows: Callable[[Sequence[np.ndarray]], Iterable[np.ndarray]]
    """N + 1 consecutive pictures, uint8, one size -> N flows, float32 (H, W, 2) px, x then y: where each pixel of a picture
    goes in the next."""
    batch_pairs: int = 1
    """Pairs to compute at a time for the best speed. Flows do not depend on it."""
    rgb: bool = False
    """Whether pictures are RGB (H, W, 3), not grey (H, W)."""

    @staticmethod
    def of_pairs(between: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> FlowEstimator:
        """One that computes (grey picture, the next one) -> flow."""
        return FlowEstimator(lambda row: (between(grey, after) for grey, after in pairwise(row)))


@dataclass(frozen=True)
class FlowAlgorithm:
    """A method of optical flow. `harness.core.contract.FlowMethod` names it, with parameters, size and quantization."""

    name: str
    parameters: Mapping[str, Parameter]
    """By name: what `FlowMethod.params` and `--set flow.NAME=VALUE` may set."""
    library: Callable[[Params], str]
    """Parameters -> what computes it, with versions: everything that could change its numbers and is not a parameter. A part of
    job ids; imports nothing large."""
    load: Callable[[Params], FlowEstimator]
    """Parameters, in their types and ranges -> ready to compute. Raises HarnessError where something it needs is missing."""
    resolve: Callable[[Params], tuple[str, Params]] | None = None
    """For a name that stands for several methods: parameters -> (name, parameters) of the one for this machine."""
    max_workers: Callable[[Params], int | None] = lambda params: None
    """Parameters -> processes that may compute it at the same time; None: as many as there are cores."""


@dataclass(frozen=True)
class Head:
    """A probe: a head that is trained on the features of a frozen network."""

    name: str
    title: str
    fit: Callable[..., Any]
    """fit(head, task) -> `harness.training.config.TrainingResult`: train `head` in place on the features of a
    `harness.training.features.HeadTask`. Raises HarnessError for features or a head that it cannot be fitted to."""
    build: Callable[[Any, int, Mapping[str, float | int | str]], Any] | None = None
    """build(network, num_classes, params) -> torch module (N, P, F) -> (N, P, classes). None: the network's own head."""
    params: Mapping[str, Parameter] = field(default_factory=dict)
    """By name, for `--set head.NAME=VALUE`."""
    check: Callable[[Mapping[str, float | int | str], Any], None] | None = None
    """check(params, listing): raise HarnessError for parameters that the training videos of this `contract.Listing` do not
    allow. Called before anything runs, where the data set is on disk."""
    in_steps: bool = False
    """Whether it is trained in optimizer steps; the `stage` of its protocol then names the schedule."""
    version: int = 1
    """Raised when its numbers change."""
