"""What a plug-in hands over: frozen values that the rest of the house reads and never changes.

A plug-in is one file with one value of these in it. Nothing here imports torch: cards are read by `harness ls`,
by planning and by rendering, which must start at once. Functions on a card import what they need when called.

Tensors, everywhere:

==========  ======================  =====================================================================
stream      one clip                values
==========  ======================  =====================================================================
``rgb``     (3, T, H, W) float32    [-1, 1], red first
``flow``    (2, T, H, W) float32    x then y displacement in px / ``FlowMethod.bound_px``, clipped to [-1, 1]
==========  ======================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol as TypingProtocol

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from torch import Tensor, nn

STREAMS = ("rgb", "flow")
MODALITIES = ("rgb", "flow", "rgb+flow")
CHANNELS = {"rgb": 3, "flow": 2}


def streams_of(modality: str) -> tuple[str, ...]:
    """'rgb+flow' -> ('rgb', 'flow')."""
    return tuple(modality.split("+"))


# ---------------------------------------------------------------------------------------------------- clips


@dataclass(frozen=True)
class Clip:
    """What a network cuts out of a video. Counted in frames of the 25 fps timeline (paper section 2.5)."""

    window: int
    """Frames the clip spans, before any stride (I3D in training: 64)."""
    side_px: int
    """Height and width of the square crop."""
    strides: Mapping[str, int] = field(default_factory=dict)
    """Per stream: keep one of this many frames, the first included (ConvNet+LSTM: {"rgb": 5}). Unsaid: 1."""
    count: int = 1
    """Clips a video, at uniform positions, whose logits are averaged (Two-Stream in testing: 25)."""
    dense: bool = False
    """The clip covers the video from its first frame on, the network running convolutionally in time. Videos longer
    than `window` are cut into consecutive windows that are averaged."""

    def stride(self, stream: str) -> int:
        return self.strides.get(stream, 1)

    def frames(self, stream: str) -> int:
        """Frames of this stream that the network sees: ceil(window / stride)."""
        return -(-self.window // self.stride(stream))


# ---------------------------------------------------------------------------------------------------- data


@dataclass(frozen=True)
class Video:
    """A file with a label."""

    id: str
    """Unique in its data set and stable across machines: the path below the root, without its suffix."""
    path: str
    """Relative to the data set's root, with '/'."""
    label: int
    """0-based position of the class in `Listing.classes`."""
    group: str = ""
    """Videos that were cut from one source share it ('' : not known). Never on both sides of a held-out part."""


@dataclass(frozen=True)
class Listing:
    """A data set as its annotation files tell it, for one split."""

    classes: tuple[str, ...]
    subsets: Mapping[str, tuple[Video, ...]]
    """'train', and 'test' or 'val'."""
    missing: tuple[str, ...] = ()
    """Ids that the lists name and the disk does not have; they are not in `subsets`."""
    missing_from: Mapping[str, str] = field(default_factory=dict)
    """Missing id -> the subset that has lost it."""
    unused: tuple[str, ...] = ()
    """Ids that the lists name and put in no subset (HMDB-51's flag 0); files of theirs are not strangers."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Id -> how long the video is, where the lists say so (Kinetics: time_end - time_start)."""

    def missing_of(self, subset: str) -> tuple[str, ...]:
        """Ids that this subset has lost; those that nobody said a subset of count for each."""
        return tuple(name for name in self.missing if self.missing_from.get(name, subset) == subset)


@dataclass(frozen=True)
class Dataset:
    """The card of a data set: its facts, and how its annotation files are read."""

    name: str
    title: str
    """As printed in tables."""
    kind: Literal["video", "images"]
    num_classes: int
    splits: tuple[int, ...]
    subsets: tuple[str, ...]
    """Those that can be scored; the first is scored unless another is named."""
    counts: Mapping[tuple[int, str], int]
    """Expected number of videos for (split, subset)."""
    read: Callable[[Path, int], Listing]
    """(root, split) -> Listing. Raises DataMissing naming what was looked for where; never drops a video silently."""
    layout: str
    """The files expected under the root, as a person would draw them."""
    download: str
    """Where to get it, and what to do with it."""
    licence: str
    version: int = 1
    """Raised when the content or the reading changes, so that job ids change with it."""
    render: Callable[..., None] | None = None
    """Embedded data sets: render(root, progress=None) writes the whole layout below root. None: must be downloaded."""
    source: str | None = None
    """Data set that transfer to this one starts from, unless `--source` says otherwise. None: this is a source itself."""
    image_source: str | None = None
    """Data set of images that `--init imagenet` trains on at this scale; None: published ImageNet weights."""
    notes: tuple[str, ...] = ()
    """What makes numbers on this data set disagree."""
    class_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Named sets of classes that reports break results down by."""
    folder: str = ""
    """Where it lies: a folder below the data root ('' : the one with its name), or an absolute path."""
    at: Callable[[str], Dataset] | None = None
    """A family of data sets: the card of NAME:ARGUMENT (`folder:/path`). None: there is only the one."""
    caveat: str = ""
    """Said beside every number on this data set that could be taken for another one's ('' : none)."""

    @property
    def micro(self) -> bool:
        """True for the embedded data sets, which are rendered on the spot and imply `--scale micro`."""
        return self.render is not None


# ---------------------------------------------------------------------------------------------------- scales


@dataclass(frozen=True)
class FlowMethod:
    """How optical flow is computed and stored. All of it is part of the key: two methods never mix."""

    name: str
    """A registered flow method: 'tvl1' (OpenCV's Dual TV-L1), or another of `harness.video.flow.methods`."""
    bound_px: float
    """Displacements are clipped to +-bound and divided by it (the paper's models: 20)."""
    short_side_px: int
    """Frames are resized to this short side before flow is computed."""
    quantization: Literal["zero-exact", "released-256"] = "zero-exact"
    """8-bit code of a stored component. 'zero-exact': round(f * 127 / bound) + 128. 'released-256': the authors' linear
    [-bound, bound] -> [0, 255] (kinetics-i3d#24), whose zero falls between 127 and 128."""
    params: Mapping[str, float | str] = field(default_factory=dict)
    """Parameters of the method that differ from its library's defaults."""
    version: int = 1
    """Raised when our code around the method changes its numbers."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a training runs. Everything is counted in optimizer steps."""

    steps: int
    batch: int
    """Global batch: videos per optimizer step, over all devices and accumulations."""
    base_lr: float
    bn_batch: int = 0
    """Videos of one forward pass, which share their batch-norm statistics. A batch is a whole number of these, done one
    after the other on one device or side by side on many, with the same result. 0: the whole batch in one pass."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 0.0
    policy: Literal["plateau", "one-cycle", "steps", "constant"] = "plateau"
    """'plateau': ten-fold drops when the held-out loss saturates (paper section 2.5)."""
    milestones: tuple[int, ...] = ()
    """Steps of the ten-fold drops under policy 'steps'."""
    lr_factors: tuple[float, ...] = ()
    """Share of base_lr from each milestone on, where they are not ten-fold drops (the released flow model starts over)."""
    held_out: float = 0.0
    """Share of the training videos held out, by class and group, to choose drops on. 0 where nothing is chosen."""
    eval_every: int = 0
    """Steps between looks at the held-out part; 0: never."""
    patience: int = 3
    """Looks without improvement before a drop, under 'plateau'."""
    retrain_on_all: bool = False
    """Train a second time, on all training videos, dropping the rate where the first time found its plateaus."""
    checkpoint_every: int = 500
    """Steps between checkpoints: the most that a kill can cost."""
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class Scale:
    """The size of the experiment: 'paper', or 'micro', the same experiment small enough for two CPU cores."""

    name: str
    version: int
    width: float
    """Multiplier on the channels of every network."""
    fps: float
    """Timeline that videos are resampled to."""
    short_side_px: int
    """Videos are resized to this short side before cropping."""
    bn_momentum: float
    """PyTorch's convention: running = (1 - momentum) * running + momentum * batch. TF's decay 0.999 is 0.001 here."""
    dropout: float
    """Probability of dropping, before the head."""
    flow: FlowMethod
    stages: Mapping[str, Schedule]
    """By stage: 'images' (the 2D network of `--init imagenet`), 'source', 'original', 'fixed', 'full-ft'."""
    bn_eps: float = 1e-3
    """Sonnet's and TF-slim's default, which the released models use."""
    bn_scale: bool = True
    """Learn a scale (gamma) in batch norm. The released models have none."""
    flip: bool = True
    """Random left-right flip in training, one decision a video (paper section 2.5)."""
    cpu_threads: int = 0
    """Threads of one job on a CPU; 0: as many as the machine has. With 1, job ids and numbers are the same on any
    number of cores, and the launcher runs as many jobs side by side as there are cores, which uses them better than
    sharing one small network among them."""
    video_source: Literal["originals", "store", "raw-store"] = "originals"
    """What training and scoring decode: the files as they came, or what `harness data prepare --store` (or `--raw-store`)
    made of them."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the networks' arithmetic: 'bfloat16' is autocast, 'float32' rounds nothing else (no TF32 on a GPU either); 'auto':
    bfloat16 where the device has instructions for it. Resolved when planning, for the device the plan is made for."""
    compile: bool = False
    """torch.compile the network. Needs a C++ compiler; other kernels, so other last bits."""
    activation_checkpointing: bool = False
    """Keep only the borders of the network's stages for the backward pass and compute the rest again: about a third
    more time for a fraction of the memory."""
    precise_bn_clips: int = 0
    """Training clips over which batch-norm statistics are re-estimated after the last step; 0: keep the moving ones.
    A short training at the released decay scores at chance in eval mode with a training loss of 0.1."""


# ---------------------------------------------------------------------------------------------------- protocols


@dataclass(frozen=True)
class Protocol:
    """A few decisions: whose weights a run starts from, which of them are trained, and with which head (paper section 4).

    Raises HarnessError for a decision that is not understood.
    """

    name: str
    title: str
    """As in the paper: 'Original', 'Fixed', 'Full-FT'."""
    weights_from: Literal["init", "source"]
    trained: str
    """'all'; 'head': a head on features of the frozen network; 'last-N': the network's own head and its last N blocks, on
    clips. What is not trained is frozen, moving statistics included."""
    stage: str = ""
    """Key of the schedule that trains it, in the scale or in `schedules`; '' for a head that is not trained in steps."""
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    """Scale name -> the protocol's own schedule, in place of the scale's."""
    head: str = ""
    """Where `trained` is 'head': name of the registered head."""
    train_views: int = 1
    """Where `trained` is 'head': views of each training video whose features the head is trained on."""
    order: int = 100
    """Place among the columns of a table, lowest first."""
    version: int = 1

    def __post_init__(self) -> None:
        if self.weights_from not in ("init", "source"):
            raise self._invalid("weights_from", self.weights_from, "'init' or 'source'")
        if self.trained not in ("all", "head") and not self.trained_blocks:
            raise self._invalid("trained", self.trained, "'all', 'head' or 'last-N', such as 'last-1'")
        if bool(self.head) != (self.trained == "head"):
            raise self._invalid("head", self.head, "the name of a head where trained is 'head', and '' elsewhere")
        if not self.stage and self.trained != "head":
            raise self._invalid("stage", self.stage, "the key of a schedule, such as 'full-ft'")
        if self.train_views < 1:
            raise self._invalid("train_views", self.train_views, "1 or more")

    @property
    def trained_blocks(self) -> int:
        """N of 'last-N'; 0 otherwise."""
        last, _, number = self.trained.partition("-")
        return int(number) if last == "last" and number.isdecimal() else 0

    def _invalid(self, name: str, value: object, expected: str) -> HarnessError:
        return HarnessError(f"protocol '{self.name}': {name} must be {expected}; got {value!r}")


# ---------------------------------------------------------------------------------------------------- networks


class Network(TypingProtocol):
    """What `Baseline.build` gives: a torch module that answers three questions, and its own `forward` from two of them.

    ``clips`` maps stream -> (N, C, T, H, W). ``features(clips)`` -> (N, P, F) float: F numbers at each of P output
    positions in time, before dropout. ``head`` is a module (N, P, F) -> (N, P, num_classes), dropout included;
    its parameters are named ``head.*``. ``new_head(num_classes)`` replaces it by a freshly initialised one.
    ``forward(clips)`` is ``head(features(clips))``; torch gives no module one, so it has to be written.
    """

    head: nn.Module

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips[stream] (N, C, T, H, W) float32 in [-1, 1] -> (N, P, F) float."""
        ...

    def new_head(self, num_classes: int) -> None: ...

    def forward(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips[stream] (N, C, T, H, W) float32 in [-1, 1] -> logits (N, P, num_classes) float."""
        ...


@dataclass(frozen=True)
class Weights:
    """Published weights that a baseline can load, with everything needed to use them as they were meant."""

    name: str
    """As in `--source published:NAME`."""
    stream: str
    trained_on: str
    """Data set and how it was initialised, in words."""
    classes: int
    layout: str
    """Name of the reader in harness.models.importing ('pytorch-i3d', 'kinetics-i3d-pytorch', 'tf', 'torchvision', 'timm')."""
    url: str
    licence: str
    preprocessing: str
    sha256: str = ""
    """'' where nobody has published one: the report says so, and the hash of what was imported is recorded."""
    provenance: str = "unknown"
    """Whether the ids it was trained on are known; 'unknown' is printed beside every number that rests on it."""


@dataclass(frozen=True)
class BuildSpec:
    """What a baseline needs to know to build its network."""

    streams: tuple[str, ...]
    """The streams this network reads: one, or both where the baseline trains them jointly."""
    num_classes: int
    scale: Scale
    backbone: str = ""
    """'' : the paper's Inception-v1; 'timm/NAME': that network instead."""


@dataclass(frozen=True)
class Baseline:
    """The card of an architecture: the facts of the paper, the choices where it is silent, and how to build it."""

    name: str
    title: str
    """As printed in tables."""
    modalities: tuple[str, ...]
    """Those it can run; the first is the default."""
    combine: Literal["late", "joint"]
    """How 'rgb+flow' comes about: 'late' sums the logits of two networks trained apart, 'joint' trains one network."""
    inits: tuple[str, ...]
    """'imagenet' and/or 'scratch'; the first is the default."""
    train_clip: Mapping[str, Clip]
    """By scale name."""
    test_clip: Mapping[str, Clip]
    """By scale name."""
    build: Callable[[BuildSpec], Any]
    """-> Network with freshly initialised weights."""
    loss: Literal["reduced", "every"]
    """Cross-entropy of the reduced logits, or at every output position (ConvNet+LSTM)."""
    reduce: Literal["mean", "last"]
    """How the logits of P positions become those of the clip."""
    paper: str
    """Where the paper describes it."""
    build_image: Callable[[BuildSpec], Any] | None = None
    """-> 2D Network over {"rgb": (N, 3, 1, H, W)}, what `--init imagenet` trains on images at micro scale and loads
    published weights into at paper scale. None: the baseline cannot start from images."""
    image_name: str = ""
    """Names the 2D network in job ids: baselines that share it share its training."""
    bootstrap: Callable[[Any, Mapping[str, Any], BuildSpec], None] | None = None
    """(network, state of the 2D network, spec) -> None: inflate, or copy, into the network. Strict."""
    source: str = "kinetics400"
    """Where transferred weights come from at paper scale, unless the data set or `--source` says otherwise."""
    weights: tuple[Weights, ...] = ()
    choices: Mapping[str, str] = field(default_factory=dict)
    """Where the paper is silent: question -> what we chose, and why."""
    learning_rate: Mapping[str, float] = field(default_factory=dict)
    """Stage -> factor on the scale's base_lr, where one value does not fit all."""
    version: int = 1
    """Raised when the network changes its numbers."""
