"""Cards: the frozen values that describe baselines, data sets, protocols and scales.

A plug-in is one file that holds one such value. Nothing here imports torch: `harness ls`, planning and reports read
cards and must start quickly. Functions on a card import what they need when they are called.

Tensors, everywhere:

==========  ======================  =====================================================================
stream      one clip                values
==========  ======================  =====================================================================
``rgb``     (3, T, H, W) float32    [-1, 1], red first, unless the card's `Frames.pixels` says otherwise
``flow``    (2, T, H, W) float32    x then y displacement in px / ``FlowMethod.bound_px``, clipped to [-1, 1]
==========  ======================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol as TypingProtocol

from harness.core.errors import HarnessError
from harness.core.parameters import (
    ABOVE_NOTHING,
    BELOW_ONE,
    NOT_NEGATIVE,
    ONE_OR_MORE,
    POSITIVE,
    Range,
    check_fields,
)
from harness.core.settings import (
    Clip as Clip,
    FlowMethod as FlowMethod,
    Frames as Frames,
    Pixels as Pixels,
    Resize as Resize,
    Schedule as Schedule,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

STREAMS = ("rgb", "flow")
MODALITIES = ("rgb", "flow", "rgb+flow")
CHANNELS = {"rgb": 3, "flow": 2}
NOTHING = "nothing"
"""`Protocol.trained` of a protocol that scores published weights unchanged."""


def streams_of(modality: str) -> tuple[str, ...]:
    """'rgb+flow' -> ('rgb', 'flow')."""
    return tuple(modality.split("+"))


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
    """Videos cut from the same source share it; '': unknown. A group is held out entirely or not at all."""


@dataclass(frozen=True)
class Listing:
    """One split of a data set, as its annotation files define it."""

    classes: tuple[str, ...]
    subsets: Mapping[str, tuple[Video, ...]]
    """'train', and 'test' or 'val'."""
    missing: tuple[str, ...] = ()
    """Listed ids without a file on disk; they are not in `subsets`."""
    missing_from: Mapping[str, str] = field(default_factory=dict)
    """Missing id -> its subset."""
    unused: tuple[str, ...] = ()
    """Listed ids in no subset (HMDB-51's flag 0); their files are not reported as unexpected."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Id -> length of the video, where the lists give it (Kinetics: time_end - time_start)."""

    def missing_of(self, subset: str) -> tuple[str, ...]:
        """Missing ids of this subset; ids without a known subset count as missing from every subset."""
        return tuple(name for name in self.missing if self.missing_from.get(name, subset) == subset)


@dataclass(frozen=True)
class Dataset:
    """The card of a data set: its facts, and the reader of its annotation files."""

    name: str
    title: str
    """As printed in tables."""
    kind: Literal["video", "images"]
    num_classes: int
    splits: tuple[int, ...]
    subsets: tuple[str, ...]
    """Subsets that can be scored; the first is the default."""
    counts: Mapping[tuple[int, str], int]
    """Expected number of videos for (split, subset)."""
    read: Callable[[Path, int], Listing]
    """(root, split) -> Listing. Raises DataMissing, naming what is expected where; never drops a video silently."""
    layout: str
    """The files expected under the root, as a drawing."""
    download: str
    """Source of the files, and how to unpack them."""
    licence: str
    version: int = 1
    """Raised when the content or the reader changes; part of job ids."""
    render: Callable[..., None] | None = None
    """Micro data sets: render(root, progress=None) writes the whole layout below root. None: must be downloaded."""
    source: str | None = None
    """Default of `--source` for transfer to this data set. None: this is a source itself."""
    image_source: str | None = None
    """Data set of images that `--init imagenet` trains on at this scale; None: published ImageNet weights."""
    notes: tuple[str, ...] = ()
    """Why published numbers on this data set disagree."""
    class_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name -> classes, for results by group of classes."""
    folder: str = ""
    """Its folder: below the data root ('': its name), or an absolute path."""
    at: Callable[[str], Dataset] | None = None
    """For a family of data sets: argument -> the card of NAME:ARGUMENT (`folder:/path`). None: not a family."""
    caveat: str = ""
    """Printed with every number on this data set that could be taken for one on another; '': none."""

    @property
    def micro(self) -> bool:
        """True for the micro data sets, which are rendered when needed and imply `--scale micro`."""
        return self.render is not None


@dataclass(frozen=True)
class Scale:
    """The size of an experiment: 'paper', or 'micro', small enough for two CPU cores."""

    RANGES: ClassVar[Mapping[str, Range]] = {
        "width": POSITIVE,
        "fps": POSITIVE,
        "short_side_px": ONE_OR_MORE,
        "bn_momentum": ABOVE_NOTHING,
        "dropout": BELOW_ONE,
        "bn_eps": POSITIVE,
        "cpu_threads": NOT_NEGATIVE,
        "precise_bn_clips": NOT_NEGATIVE,
    }

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
    """Probability, before the head."""
    flow: FlowMethod
    stages: Mapping[str, Schedule]
    """By stage: 'images' (the 2D network of `--init imagenet`), 'source', 'original', 'fixed', 'full-ft'."""
    bn_eps: float = 1e-3
    """Default of Sonnet and TF-slim, which the released models use."""
    bn_scale: bool = True
    """Learn a scale (gamma) in batch norm. The released models have none."""
    flip: bool = True
    """Random left-right flip in training, one decision per video (paper section 2.5)."""
    cpu_threads: int = 0
    """Threads of one job on a CPU; 0: all cores. With 1, job ids and numbers do not depend on the number of cores, and the
    launcher runs one job per core, which uses them better than one small network on all of them."""
    video_source: Literal["originals", "store", "raw-store"] = "originals"
    """Files that training and scoring decode: the originals, or the store that `harness data prepare --store` (or
    `--raw-store`) made."""
    features: Literal["auto", "stored", "computed"] = "auto"
    """Features that heads are trained on: stored by one job for all heads, or computed by each head's job as it needs them;
    'auto': stored up to `harness.planning.features_size.LARGEST`."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of training: 'bfloat16' is autocast, 'float32' excludes TF32; 'auto': bfloat16 where the device has
    instructions for it. Resolved in planning, for the device of the plan."""
    eval_precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of scoring, features and predictions, whatever `precision` a network was trained in: bfloat16 moves the logits of
    released networks by up to 0.5. Numbers that were scored in bfloat16 are marked."""
    compile: bool = False
    """torch.compile the network. Needs a C++ compiler, and changes the last digits of numbers."""
    activation_checkpointing: bool = False
    """Keep only the activations between the network's stages for the backward pass and recompute the others: about a
    third more time for a fraction of the memory."""
    precise_bn_clips: int = 0
    """Training clips to re-estimate batch-norm statistics on before scoring, and before each evaluation of the held-out
    videos; 0: keep the moving averages, unless the training was too short for them: with the released decay it would
    score at chance, or give NaN, in eval mode."""
    frame_px: tuple[int, int] | None = None
    """(height, width) that frames are resized to, whatever their aspect, as some published networks expect; None:
    `short_side_px`, the aspect kept."""

    @property
    def resize(self) -> Resize:
        """Size that frames are resized to before cropping."""
        return self.frame_px or self.short_side_px


@dataclass(frozen=True)
class Protocol:
    """A few decisions: which weights a run starts from, which of them are trained, and with which head (paper section 4).

    Raises HarnessError for an invalid decision.
    """

    RANGES: ClassVar[Mapping[str, Range]] = {"train_views": ONE_OR_MORE}

    name: str
    title: str
    """As in the paper: 'Original', 'Fixed', 'Full-FT'."""
    weights_from: Literal["init", "source"]
    trained: str
    """'all'; 'head': a head on features of the frozen network; 'last-N': the network's own head and its last N blocks, on
    clips; 'nothing': published weights are scored unchanged. What is not trained is frozen, moving statistics included."""
    stage: str = ""
    """Key of the schedule that trains it, in the scale or in `schedules`; '' for a head that is not trained in steps."""
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    """Scale name -> the protocol's own schedule, instead of the scale's."""
    head: str = ""
    """Name of the registered head, if `trained` is 'head'."""
    train_views: int = 1
    """Views per training video whose features the head is trained on, if `trained` is 'head'."""
    pre_training: bool = False
    """True for the protocol under which the sources of transfer are trained; the first by `order` counts."""
    order: int = 100
    """Place among the columns of a table, lowest first."""
    version: int = 1

    def __post_init__(self) -> None:
        try:
            check_fields(self)
        except ValueError as error:
            raise HarnessError(f"protocol '{self.name}': {error}") from error
        trains_head = self.trained == "head"
        trains_nothing = self.trained == NOTHING
        if self.trained not in ("all", "head", NOTHING) and not self.trained_blocks:
            raise self._invalid("trained", "'all', 'head', 'nothing' or 'last-N', such as 'last-1'")
        if trains_nothing and (self.stage or self.weights_from != "source"):
            raise HarnessError(
                f"protocol '{self.name}': trained='nothing' requires stage='' and weights_from='source'; "
                f"got stage={self.stage!r}, weights_from={self.weights_from!r}"
            )
        if bool(self.head) != trains_head:
            raise self._invalid("head", "the name of a head where trained is 'head', and '' elsewhere")
        if not self.stage and not trains_head and not trains_nothing:
            raise self._invalid("stage", "the key of a schedule, such as 'full-ft'")
        if self.schedules and not self.stage:
            raise self._invalid("schedules", "{} where stage is ''")
        if self.train_views != 1 and not trains_head:
            raise self._invalid("train_views", "1 where trained is not 'head'")
        if self.pre_training and self.weights_from == "source":
            raise self._invalid("pre_training", "False where weights_from is 'source'")

    @property
    def trained_blocks(self) -> int:
        """N of 'last-N'; 0 otherwise."""
        last, _, number = self.trained.partition("-")
        return int(number) if last == "last" and number.isdecimal() else 0

    def _invalid(self, name: str, expected: str) -> HarnessError:
        return HarnessError(f"protocol '{self.name}': {name} must be {expected}; got {getattr(self, name)!r:.60}")


class Network(TypingProtocol):
    """The torch module that `Baseline.build` returns: features, head, and a `forward` made of both.

    ``clips`` maps stream -> (N, C, T, H, W). ``features(clips)`` -> (N, P, F) float: F numbers at each of P output
    positions in time, before dropout. ``head`` is a module (N, P, F) -> (N, P, num_classes), dropout included;
    its parameters are named ``head.*``. ``new_head(num_classes)`` replaces it with a newly initialised one.
    ``forward(clips)`` is ``head(features(clips))``.
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
    """Published weights that a baseline can load, with everything needed to use them correctly."""

    name: str
    """As in `--source published:NAME`."""
    stream: str
    """'rgb', 'flow', 'rgb+flow' of a network that reads both, or 'image' of a 2D network."""
    trained_on: str
    """Data set and initialisation, in words."""
    classes: int
    layout: str
    """Name of the reader in harness.models.importing ('pytorch-i3d', 'kinetics-i3d-pytorch', 'tf', 'torchvision', 'timm');
    'own': the names are those of the network, after `rename`."""
    url: str
    licence: str
    preprocessing: str
    sha256: str = ""
    """'': none is published; reports mention it, and the hash of the imported file is recorded."""
    provenance: str = "unknown"
    """Whether the training videos are known; 'unknown' is printed with every number that depends on these weights."""
    repository: str = ""
    """Repository of the Hugging Face Hub that has the file called `url`; '': `url` is an address."""
    alternatives: tuple[str, ...] = ()
    """Names of the file in repositories that have none called `url`, the preferred one first."""
    revision: str = ""
    """Commit of the repository; '': the newest when it is downloaded, and then recorded."""
    accuracy: Mapping[str, float] = field(default_factory=dict)
    """Data set -> published top-1 accuracy in %, printed next to ours."""
    views: str = ""
    """Views per video of the published accuracy, in words."""
    labels: tuple[str, ...] = ()
    """Class names in the order of the logits; (): not published."""
    rename: Callable[[str], str | None] | None = None
    """For the layout 'own': name in the file -> name in the network; None: the tensor is not needed. Default: unchanged."""
    read: Callable[[Path], Mapping[str, Any]] | None = None
    """Reader of the file, strict against it, instead of `harness.models.tensor_io.read_tensors`."""


@dataclass(frozen=True)
class BuildSpec:
    """Arguments of `Baseline.build`."""

    streams: tuple[str, ...]
    """Streams this network reads: one, or both for a baseline that trains them jointly."""
    num_classes: int
    scale: Scale
    backbone: str = ""
    """'' : the paper's Inception-v1; 'timm/NAME': that network instead."""


@dataclass(frozen=True)
class Baseline:
    """The card of an architecture: facts of the paper, our choices where it gives none, and how to build it."""

    name: str
    title: str
    """As printed in tables."""
    modalities: tuple[str, ...]
    """Modalities it can run; the first is the default."""
    combine: Literal["late", "joint"]
    """'rgb+flow' is the sum of the logits of two separate networks ('late'), or one network ('joint')."""
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
    """Reduction of the logits of P positions to those of the clip."""
    paper: str
    """Place in the paper."""
    build_image: Callable[[BuildSpec], Any] | None = None
    """-> 2D Network on {"rgb": (N, 3, 1, H, W)}: `--init imagenet` trains it on images at micro scale, and loads published
    weights into it at paper scale. None: the baseline cannot start from images."""
    image_name: str = ""
    """Name of the 2D network in job ids: baselines with the same 2D network share its training."""
    bootstrap: Callable[[Any, Mapping[str, Any], BuildSpec], None] | None = None
    """(network, state of the 2D network, spec) -> None: inflates or copies it into the network, strictly."""
    weights: tuple[Weights, ...] = ()
    choices: Mapping[str, str] = field(default_factory=dict)
    """Details that the paper does not give: question -> our choice and its reason."""
    schedules: Mapping[str, Mapping[str, Schedule]] = field(default_factory=dict)
    """Scale name -> stage -> the schedule that this network needs, instead of the scale's."""
    version: int = 1
    """Raised when a change of the network changes its numbers."""
    source: str = ""
    """Default of `--source` at paper scale, such as 'published:NAME'; '': the data set's."""
    frames: Mapping[str, Frames] = field(default_factory=dict)
    """By scale name: frame rate, sizes and pixel values that the network was made for. Default: those of the scale."""
    parameters: int = 0
    """Parameters at paper scale, as published; 0: not published."""
    gmacs: float = 0.0
    """1e9 multiply-accumulates of one clip at paper scale, as published; 0: not published."""
    at: Callable[[str], Any] | None = None
    """For a family of baselines: argument -> the card of NAME:ARGUMENT (`torchvision:r3d_18`). None: not a family."""
    members: tuple[str, ...] = ()
    """Arguments of a family whose members can be listed."""
    how_to_list: str = ""
    """How to find the members of a family."""
    library: str = ""
    """Module that the network needs beyond the harness's own requirements."""
    extra: str = ""
    """Extra of the harness that installs it: `pip install 'quovadis-harness[EXTRA]'`."""
    content: str = ""
    """Digest of what defines a member of a family that is named by a path or a repository; part of job ids."""

    def adapted(self, scale: Scale) -> Scale:
        """The scale with the frame rate, sizes and schedules that this network was made for."""
        own = self.frames.get(scale.name, Frames())
        return replace(
            scale,
            fps=own.fps or scale.fps,
            short_side_px=min(own.frame_px) if own.frame_px else own.short_side_px or scale.short_side_px,
            frame_px=own.frame_px or scale.frame_px,
            stages={**scale.stages, **self.schedules.get(scale.name, {})},
        )
