"""Settings that cards hold and job ids include: clips, optical flow, schedules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from harness.core.errors import HarnessError
from harness.core.parameters import BELOW_ONE, NOT_NEGATIVE, ONE_OR_MORE, POSITIVE, Range, one_of

Resize = int | tuple[int, int]
"""Size of resized frames in px: of the short side, the aspect kept; or (height, width), whatever the aspect."""

_THREE = Range("three numbers, one per channel", lambda value: len(value) == 3)
_THREE_POSITIVE = Range("three numbers > 0, one per channel", lambda value: len(value) == 3 and min(value) > 0)
_POSITIVE_OR_NONE = Range("more than 0", lambda value: value is None or value > 0)
_SIZE_OR_NONE = Range("two numbers of 1 or more", lambda value: value is None or (len(value) == 2 and min(value) > 0))


@dataclass(frozen=True)
class Clip:
    """The part of a video that is a network's input, in frames of the scale's timeline: 25 fps (paper section 2.5) unless
    the card's `Frames` says otherwise."""

    RANGES: ClassVar[Mapping[str, Range]] = {
        "window": ONE_OR_MORE,
        "side_px": ONE_OR_MORE,
        "count": ONE_OR_MORE,
        "step": NOT_NEGATIVE,
        "crops": one_of(1, 3, 5),
        "segments": ONE_OR_MORE,
    }

    window: int
    """Frames the clip spans, before any stride (I3D in training: 64); with `segments`, frames of each segment's snippet."""
    side_px: int
    """Height and width of the square crop."""
    strides: Mapping[str, int] = field(default_factory=dict)
    """Per stream: keep one of this many frames, the first included (ConvNet+LSTM: {"rgb": 5}). Default: 1."""
    count: int = 1
    """Clips per video, at uniform positions, whose logits are averaged (Two-Stream in testing: 25)."""
    crops: int = 1
    """Squares per clip in testing, whose logits are averaged too: 1 (the centre), 3 (along the longer side) or 5 (with the
    corners). A published protocol of 10x3 views is `count=10, crops=3`."""
    centre: Literal["floor", "round"] = "floor"
    """Rounding of the centre's position where the margin is odd; 'round': as Python rounds, and torchvision crops."""
    dense: bool = False
    """The clip covers the video from its first frame, and the network is applied convolutionally in time. Videos longer
    than `window` are split into consecutive windows whose logits are averaged."""
    segments: int = 1
    """Equal parts of the video, each of which gives the clip one snippet of `window` frames (TSN in training: 3)."""

    step: int = 0
    """Frames from the start of a clip to that of the next, in testing, so that clips cover the video; 0: `count` clips, or
    consecutive windows if `dense`."""

    def __post_init__(self) -> None:
        if self.step and self.segments > 1:
            raise HarnessError(
                f"a clip of {self.segments} segments covers the whole video, so clips cannot start every {self.step} frames; "
                "leave out `step` (--stride)"
            )
        if self.dense and self.segments > 1:
            raise HarnessError(
                f"a dense clip covers the whole video and cannot come from {self.segments} segments; leave out `dense`, or "
                "set `segments` to 1"
            )

    @property
    def span(self) -> int:
        """Frames of the video that the clip covers, before any stride: those of all its snippets."""
        return self.segments * self.window

    def stride(self, stream: str) -> int:
        return self.strides.get(stream, 1)

    def frames(self, stream: str) -> int:
        """Frames of this stream that the network sees: segments * ceil(window / stride)."""
        return self.segments * -(-self.window // self.stride(stream))


@dataclass(frozen=True)
class Pixels:
    """Values of RGB pictures as a network expects them: a pixel, `maximum` at its brightest, minus mean, divided by std."""

    RANGES: ClassVar[Mapping[str, Range]] = {"mean": _THREE, "std": _THREE_POSITIVE, "maximum": POSITIVE}

    mean: tuple[float, ...]
    """Per channel, in the network's order."""
    std: tuple[float, ...]
    """Per channel, in the network's order."""
    maximum: float = 1.0
    """Value of the brightest pixel before the mean is subtracted: 1, or 255 (networks of Caffe)."""
    order: Literal["rgb", "bgr"] = "rgb"
    """Order of the channels."""


@dataclass(frozen=True)
class Frames:
    """Frames as a network's authors fed them. None: as the scale has it."""

    RANGES: ClassVar[Mapping[str, Range]] = {
        "fps": _POSITIVE_OR_NONE,
        "short_side_px": _POSITIVE_OR_NONE,
        "frame_px": _SIZE_OR_NONE,
        "only": _SIZE_OR_NONE,
    }

    fps: float | None = None
    """Frame rate that clips count frames at. Another rate costs accuracy without any error."""
    short_side_px: int | None = None
    """Short side that frames are resized to before cropping."""
    frame_px: tuple[int, int] | None = None
    """(height, width) that frames are resized to, whatever their aspect, instead of `short_side_px`."""
    pixels: Pixels | None = None
    """None: [-1, 1], red first."""
    only: tuple[int, int] | None = None
    """(frames, side in px) of the only clips that the network takes, as one with learned positions; None: any."""


@dataclass(frozen=True)
class FlowMethod:
    """Method, parameters and storage of optical flow. All of it is part of job ids and of the store's name."""

    RANGES: ClassVar[Mapping[str, Range]] = {"bound_px": POSITIVE, "short_side_px": ONE_OR_MORE}

    name: str
    """A registered flow method, such as 'tvl1' (OpenCV's Dual TV-L1)."""
    bound_px: float
    """Displacements in px are clipped to [-bound, bound] and divided by it (the paper's models: 20)."""
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
    """Length, batch and learning rate of a training, counted in optimizer steps."""

    RANGES: ClassVar[Mapping[str, Range]] = {
        "steps": NOT_NEGATIVE,
        "batch": ONE_OR_MORE,
        "base_lr": NOT_NEGATIVE,
        "bn_batch": NOT_NEGATIVE,
        "momentum": BELOW_ONE,
        "weight_decay": NOT_NEGATIVE,
        "held_out": BELOW_ONE,
        "eval_every": NOT_NEGATIVE,
        "patience": ONE_OR_MORE,
        "checkpoint_every": ONE_OR_MORE,
        "label_smoothing": BELOW_ONE,
    }

    steps: int
    batch: int
    """Global batch: videos per optimizer step, over all devices and accumulations."""
    base_lr: float
    bn_batch: int = 0
    """Videos of one forward pass, which share their batch-norm statistics. A batch is a whole number of these, one after
    another on one device or in parallel on several, with the same result. 0: the whole batch in one pass."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 0.0
    policy: Literal["plateau", "one-cycle", "cosine", "steps", "constant"] = "plateau"
    """'plateau': ten-fold drops when the held-out loss saturates (paper section 2.5)."""
    milestones: tuple[int, ...] = ()
    """Steps of the ten-fold drops under policy 'steps'."""
    lr_factors: tuple[float, ...] = ()
    """Share of base_lr from each milestone, instead of ten-fold drops (the released flow model raises it again)."""
    held_out: float = 0.0
    """Share of the training videos held out, by class and group, to choose drops on. 0: none."""
    eval_every: int = 0
    """Steps between evaluations of the held-out part; 0: never."""
    patience: int = 3
    """Evaluations without improvement before a drop, under policy 'plateau'."""
    retrain_on_all: bool = False
    """Train a second time, on all training videos, with drops at the steps that the first training chose."""
    checkpoint_every: int = 500
    """Steps between checkpoints: the most that are lost with a killed process."""
    label_smoothing: float = 0.0
