"""Video classifiers of transformers: what their configurations say, read without transformers.

A repository names sizes and pixel values, and no frame rate: that of the authors' evaluation on Kinetics is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.contract import Clip, Frames, Pixels
from harness.core.errors import HarnessError

SOURCE_FPS = 30.0
"""Frame rate of Kinetics' videos, which the authors count strides in."""


@dataclass(frozen=True)
class Kind:
    """A type of model."""

    title: str
    architecture: str
    """Class with a head for classification."""
    frames_key: str
    """Names of fields of its configuration."""
    side_key: str
    frames: int
    """Defaults of the library, which a configuration may leave out."""
    side_px: int
    stride: Callable[[int], float]
    """Frames of a clip -> the authors' stride between them, in frames of Kinetics."""
    pixels: Mapping[str, Any]
    """Defaults of the library's processor."""
    micro: Mapping[str, Any]
    """Fields of the configuration at micro size."""
    inputs: str = "pixel_values"
    """Argument of the model."""


_HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"shortest_edge": 224}}
_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
MICRO = Clip(window=8, side_px=48)
_SMALL = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "patch_size": 8}
_IMAGE = _SMALL | {"intermediate_size": 128, "image_size": MICRO.side_px, "num_frames": MICRO.window}

KINDS: Mapping[str, Kind] = {
    "videomae": Kind(
        "VideoMAE",
        "VideoMAEForVideoClassification",
        "num_frames",
        "image_size",
        16,
        224,
        stride=lambda frames: 4.0,
        pixels=_IMAGENET | {"size": {"shortest_edge": 224}},
        micro=_IMAGE | {"tubelet_size": 2},
    ),
    "timesformer": Kind(
        "TimeSformer",
        "TimesformerForVideoClassification",
        "num_frames",
        "image_size",
        8,
        224,
        stride=lambda frames: 256 / frames,  # 8x32, 16x16; 96x4 has a longer span
        pixels=_HALF,
        micro=_IMAGE,
    ),
    "vivit": Kind(
        "ViViT",
        "VivitForVideoClassification",
        "num_frames",
        "image_size",
        32,
        224,
        stride=lambda frames: 2.0,
        pixels=_HALF | {"size": {"shortest_edge": 256}, "rescale_factor": 1 / 127.5, "offset": True},
        micro={**_IMAGE, "tubelet_size": [2, 8, 8]},
    ),
    "vjepa2": Kind(
        "V-JEPA 2",
        "VJEPA2ForVideoClassification",
        "frames_per_clip",
        "crop_size",
        64,
        256,
        stride=lambda frames: 4.0 if frames <= 16 else 2.0,
        pixels=_IMAGENET,
        micro={
            **_SMALL,
            "crop_size": MICRO.side_px,
            "frames_per_clip": MICRO.window,
            "mlp_ratio": 2,
            "num_pooler_layers": 1,
            "pred_hidden_size": 24,
            "pred_num_attention_heads": 2,
            "pred_num_hidden_layers": 1,
        },
        inputs="pixel_values_videos",
    ),
}
"""Value of `model_type` -> its kind."""


def kind_of(config: Mapping[str, Any], place: str) -> Kind:
    """The kind of a configuration. Raises HarnessError for one that is not a video classifier or needs code of its own."""
    if config.get("auto_map"):
        raise HarnessError(
            f"{place} brings Python code of its own (auto_map in config.json), which is not run; use a repository of one of "
            f"the types {', '.join(KINDS)}"
        )
    name = str(config.get("model_type", ""))
    if name not in KINDS:
        raise HarnessError(
            f"{place} is not a video classifier: its model_type is '{name}', not one of {', '.join(KINDS)}"
        )
    classes = config.get("architectures") or [KINDS[name].architecture]
    if KINDS[name].architecture not in classes:
        raise HarnessError(
            f"{place} is not a video classifier: its architecture is {', '.join(classes)}, not {KINDS[name].architecture}; use a "
            "repository that was fine-tuned for classification"
        )
    return KINDS[name]


def num_classes(config: Mapping[str, Any]) -> int:
    """Number of classes of the published head; 2 by the library's default."""
    return len(config["id2label"]) if config.get("id2label") else int(config.get("num_labels", 2))


def labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names in the order of the logits; () where the configuration has placeholders."""
    names = {int(number): str(name) for number, name in (config.get("id2label") or {}).items()}
    ordered = tuple(names[number] for number in sorted(names))
    return () if all(name.startswith("LABEL_") for name in ordered) else ordered


def frames_of(config: Mapping[str, Any], processor: Mapping[str, Any], place: str) -> tuple[Clip, Frames]:
    """(clip, frames) of a repository. Raises HarnessError for sizes that the network does not take."""
    kind = kind_of(config, place)
    window = int(config.get(kind.frames_key, kind.frames))
    if window < 1:
        raise HarnessError(
            f"{place} takes clips of {window} frames ({kind.frames_key} in config.json); correct the number"
        )
    side_px = _side(config.get(kind.side_key, kind.side_px), place)
    settings = {**kind.pixels, **processor}
    crop_px = _side(settings.get("crop_size", side_px), place) if settings.get("do_center_crop", True) else side_px
    if crop_px != side_px:
        raise HarnessError(
            f"{place} takes squares of {side_px} px (config.json), but its processor cuts {crop_px} px; "
            "correct preprocessor_config.json in a local copy, or use another repository"
        )
    size = settings.get("size", round(side_px * 256 / 224))
    fixed = isinstance(size, Mapping) and "height" in size
    frames = Frames(
        fps=SOURCE_FPS / kind.stride(window),
        short_side_px=None if fixed else int(size["shortest_edge"] if isinstance(size, Mapping) else size),
        frame_px=(int(size["height"]), int(size["width"])) if fixed else None,
        pixels=pixels_of(settings),
        only=(window, side_px),
    )
    return Clip(window=window, side_px=side_px), frames


def _side(size: Any, place: str) -> int:
    """Side of a square that is given as a number, a pair or {'height', 'width'}."""
    sides = [size] if isinstance(size, int) else list(size.values()) if isinstance(size, Mapping) else list(size)
    if len(set(sides)) != 1:
        raise HarnessError(f"{place} takes pictures of {' x '.join(map(str, sides))} px; only squares are supported")
    return int(sides[0])


def pixels_of(settings: Mapping[str, Any]) -> Pixels:
    """Pixel values that a processor of the library makes: rescaled, then normalised."""
    factor = float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0
    normalises = settings.get("do_normalize", True)
    mean, std = (settings[name] if normalises else [of] * 3 for name, of in (("image_mean", 0.0), ("image_std", 1.0)))
    shift = 1.0 if settings.get("offset") and settings.get("do_rescale", True) else 0.0
    # Rounded, so that 1/255 and 0.00392156862745098 are the same setting.
    return Pixels(tuple(m + shift for m in mean), tuple(map(float, std)), maximum=round(255 * factor, 9))
