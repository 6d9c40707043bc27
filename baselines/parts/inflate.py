"""Inflation: any 2D network of supported layers as a 3D network (paper section 2.4).

    from baselines.parts.inflate import inflate
    network_3d = inflate(timm.create_model("resnet50", pretrained=True))     # (N, 3, T, H, W) -> (N, 1000)

With replicate padding in time, a clip that repeats one image gives what the 2D network gives for the image: tests check
it for every family of `FAMILIES`. Parameter names do not change. Kernels N x N become N x N x N; time is strided where
the inflated Inception strides it, at 1/2, 1/16 and 1/32 of the image's size; pools that stride only in space see one
frame; layers whose kernel equals their stride (patches) take as many frames as they stride over; of a 1x7 and 7x1 pair
one sees time; squeeze-and-excite averages over space, frame by frame.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from baselines.parts import layers3d
from baselines.parts.inception import Inception
from baselines.parts.init_from_2d import Method, inflate_state
from baselines.parts.same_padding import TimePadding
from harness.core.errors import HarnessError

FAMILIES: Mapping[str, str] = {
    "resnet": "resnet18",
    "resnet-d": "resnet18d",
    "resnext": "resnext50_32x4d",
    "wide_resnet": "wide_resnet50_2",
    "seresnet": "seresnet18",
    "res2net": "res2net50_26w_4s",
    "resnetv2 (batch norm)": "resnetv2_50",
    "regnetx": "regnetx_002",
    "regnety": "regnety_002",
    "densenet": "densenet121",
    "vgg": "vgg11_bn",
    "mobilenetv2": "mobilenetv2_035",
    "mobilenetv3": "mobilenetv3_small_050",
    "mnasnet": "mnasnet_050",
    "efficientnet": "efficientnet_b0",
    "tf_efficientnet": "tf_efficientnet_b0",
    "inception_v4": "inception_v4",
    "inception_resnet_v2": "inception_resnet_v2",
    "convnext": "convnext_atto",
    "xception": "xception41",
    "dla": "dla34",
    "dpn": "dpn68",
    "cspresnet": "cspresnet50",
    "darknet": "darknet53",
    "repvgg": "repvgg_a0",
    "selecsls": "selecsls42b",
    "vovnet": "ese_vovnet19b_dw",
    "rexnet": "rexnet_100",
}
"""timm family -> its member that the tests inflate. Others may work; an unsupported layer raises an error naming it."""

TIME_STRIDES: Mapping[int, int] = {2: 2, 4: 1, 8: 1, 16: 2, 32: 2}
"""Total downscaling in space after a strided layer -> the layer's stride in time, as in the inflated Inception."""


def inflate(
    network_2d: nn.Module, *, method: Method = "repeat", time_padding: TimePadding = "zeros", side_px: int = 224
) -> nn.Module:
    """A 3D network with the weights of `network_2d`, which is not changed.

    `method`: 'repeat' the kernels and divide by their number, or put them in the 'centre' slice. `time_padding`: 'zeros' as
    in the paper's networks, or 'replicate'. `side_px`: image size at which downscaling is measured.
    Raises HarnessError naming a layer that it cannot inflate.
    """
    if isinstance(network_2d, Inception):
        network_3d: nn.Module = _inflate_inception(network_2d, time_padding)
    else:
        plan = _Plan(time_padding, _shrinkage(network_2d, side_px))
        network_3d = _convert(copy.deepcopy(network_2d), "", plan)
    network_3d.load_state_dict(inflate_state(network_2d.state_dict(), network_3d.state_dict(), method=method))
    return network_3d.train(network_2d.training)


def _inflate_inception(trunk: Inception, time_padding: TimePadding) -> Inception:
    weight = trunk.conv1a.conv.weight
    style = replace(trunk.style, dims=3, time_padding=time_padding)
    return Inception(weight.shape[1], style=style).to(device=weight.device, dtype=weight.dtype)


@dataclass(frozen=True)
class _Plan:
    """Settings of an inflation that the conversion of a layer needs."""

    time_padding: TimePadding
    shrinkage: Mapping[str, tuple[int, int]]
    """Path of a layer -> downscaling of the image before and after it."""

    def time_stride(self, path: str, stride: int) -> int:
        if stride == 1 or path not in self.shrinkage:
            return 1
        before, after = self.shrinkage[path]
        steps = range(round(math.log2(before)) + 1, round(math.log2(after)) + 1)
        return math.prod(TIME_STRIDES.get(2**step, 1) for step in steps)


def _shrinkage(network: nn.Module, side_px: int) -> dict[str, tuple[int, int]]:
    """Path of every convolution and pool -> downscaling before and after it; measured on the meta device."""
    factors: dict[str, tuple[int, int]] = {}
    meta = copy.deepcopy(network).to("meta").eval()

    def make_hook(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            sizes = (inputs[0].shape[-1], output.shape[-1])
            before, after = (2 ** round(math.log2(side_px / max(size, 1))) for size in sizes)
            factors[path] = (before, after)

        return hook

    first = None
    for path, module in meta.named_modules():
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            first = first or module
            module.register_forward_hook(make_hook(path))
    channels = first.in_channels if isinstance(first, nn.Conv2d) else 3
    dtype = next(meta.parameters()).dtype
    with torch.no_grad():
        meta(torch.empty(1, channels, side_px, side_px, device="meta", dtype=dtype))
    return factors


def _convert(module: nn.Module, path: str, plan: _Plan) -> nn.Module:
    """The module in 3D; containers are changed in place. Raises HarnessError for an unsupported type."""
    kind = f"{type(module).__module__}.{type(module).__qualname__}"
    converter = CONVERTERS.get(kind)
    if converter is not None:
        return converter(module, path, plan)
    if kind.startswith("torch.nn.modules.activation.") or kind in UNCHANGED:
        return module
    if kind not in CONTAINERS:
        raise HarnessError(
            f"cannot inflate layer '{path or 'the network itself'}' of type {kind}: it has no 3D counterpart here; "
            f"supported families: {', '.join(FAMILIES)}"
        )
    for name, child in _children(module, path, plan).items():
        module._modules[name] = child
    return module


def _children(module: nn.Module, path: str, plan: _Plan) -> dict[str, nn.Module]:
    prefix = f"{path}." if path else ""
    return {name: _convert(child, prefix + name, plan) for name, child in module.named_children()}


def _convolution(conv: Any, path: str, plan: _Plan) -> nn.Module:
    if isinstance(conv.padding, str) or conv.padding_mode != "zeros":
        raise HarnessError(
            f"cannot inflate convolution '{path}' with padding={conv.padding!r} and padding_mode={conv.padding_mode!r}; "
            "the padding must be numbers, its mode 'zeros'"
        )
    height, stride = conv.kernel_size[0], conv.stride[0]
    time_stride = plan.time_stride(path, stride)
    patch = height == stride and height > 1
    return layers3d.Conv3dFrom2d(
        conv,
        time=time_stride if patch else height,
        time_stride=time_stride,
        time_padding=plan.time_padding,
        same=type(conv).__name__ == "Conv2dSame",
    )


def _pool(pool: Any, path: str, plan: _Plan) -> nn.Module:
    if getattr(pool, "divisor_override", None):
        raise HarnessError(f"cannot inflate pool '{path}': it has a divisor_override")
    kernel, stride = (value if isinstance(value, int) else value[0] for value in (pool.kernel_size, pool.stride))
    time_stride = plan.time_stride(path, stride)
    sees_time = stride == 1 or time_stride > 1
    return layers3d.Pool3d(pool, time=kernel if sees_time else 1, time_stride=time_stride)


def _batch_norm(norm: Any, path: str, plan: _Plan) -> nn.Module:
    inflated = nn.BatchNorm3d(norm.num_features, eps=norm.eps, momentum=norm.momentum, affine=norm.affine)
    return inflated.to(_like(norm))


def _batch_norm_act(norm: Any, path: str, plan: _Plan) -> nn.Module:
    children = _children(norm, path, plan)
    return layers3d.BatchNormAct3d(norm, children["drop"], children["act"]).to(_like(norm))


def _layer_norm(norm: Any, path: str, plan: _Plan) -> nn.Module:
    return layers3d.LayerNorm3d(norm.normalized_shape, eps=norm.eps).to(_like(norm))


def _squeeze(order: tuple[str, ...]) -> Callable[..., nn.Module]:
    def convert(module: Any, path: str, plan: _Plan) -> nn.Module:
        if getattr(module, "add_maxpool", False):
            raise HarnessError(f"cannot inflate '{path}': squeeze-and-excite with an added max-pool")
        return layers3d.Squeeze3d(_children(module, path, plan), order, "gate")

    return convert


def _convnext_block(block: Any, path: str, plan: _Plan) -> nn.Module:
    return layers3d.ConvNeXtBlock3d(_children(block, path, plan), block.gamma, conv_mlp=block.use_conv_mlp)


def _conv_mlp(mlp: Any, path: str, plan: _Plan) -> nn.Module:
    children = {name: child for name, child in mlp.named_children() if name not in ("fc1", "fc2")}
    for name in ("fc1", "fc2"):
        layer = mlp.get_submodule(name)
        children[name] = layers3d.Conv3dFrom2d(layer, time=1, time_stride=1, time_padding=plan.time_padding)
    return layers3d.ConvMlp3d(children)


def _global_pool(pool: Any, path: str, plan: _Plan) -> nn.Module:
    if pool.pool_type == "":
        return nn.Identity()
    if pool.pool_type not in ("avg", "fast", "fastavg"):
        raise HarnessError(
            f"cannot inflate '{path}': global pooling of type '{pool.pool_type}' is not supported; supported: avg, fast, none"
        )
    flattens = getattr(pool.pool, "flatten", False) is True or isinstance(pool.flatten, nn.Flatten)
    return layers3d.MeanPool3d(flattens)


def _like(module: nn.Module) -> torch.Tensor:
    return next(module.parameters())


CONVERTERS: Mapping[str, Callable[[Any, str, _Plan], nn.Module]] = {
    "torch.nn.modules.conv.Conv2d": _convolution,
    "timm.layers.conv2d_same.Conv2dSame": _convolution,
    "torch.nn.modules.pooling.MaxPool2d": _pool,
    "torch.nn.modules.pooling.AvgPool2d": _pool,
    "torch.nn.modules.batchnorm.BatchNorm2d": _batch_norm,
    "timm.layers.norm_act.BatchNormAct2d": _batch_norm_act,
    "timm.layers.norm.LayerNorm2d": _layer_norm,
    "timm.layers.squeeze_excite.SEModule": _squeeze(("fc1", "bn", "act", "fc2")),
    "timm.layers.squeeze_excite.EffectiveSEModule": _squeeze(("fc",)),
    "timm.models._efficientnet_blocks.SqueezeExcite": _squeeze(("conv_reduce", "act1", "conv_expand")),
    "timm.models.convnext.ConvNeXtBlock": _convnext_block,
    "timm.models.vgg.ConvMlp": _conv_mlp,
    "timm.layers.adaptive_avgmax_pool.SelectAdaptivePool2d": _global_pool,
}
"""Class -> function (layer, path, plan) -> its 3D counterpart, whose parameters are filled later."""


def _types(names: Mapping[str, str]) -> frozenset[str]:
    """Module -> class names separated by spaces, as full names."""
    return frozenset(f"{module}.{name}" for module, classes in names.items() for name in classes.split())


UNCHANGED = _types(
    {
        "torch.nn.modules.linear": "Identity Linear",
        "torch.nn.modules.dropout": "Dropout",
        "torch.nn.modules.flatten": "Flatten",
        "torch.nn.modules.normalization": "LayerNorm",
        "timm.layers.norm": "LayerNorm",
        "timm.layers.drop": "DropPath",
        "timm.layers.activations": "GELU Sigmoid Swish Mish HardSwish HardSigmoid",
    }
)
"""Layers that work for any number of dimensions."""

CONTAINERS = _types(
    {
        "torch.nn.modules.container": "Sequential ModuleList",
        "baselines.parts.backbones": "TimmTrunk",
        "timm.layers.conv_bn_act": "ConvNormAct",
        "timm.layers.mlp": "Mlp",
        "timm.layers.classifier": "ClassifierHead NormMlpClassifierHead",
        "timm.layers.separable_conv": "SeparableConvNormAct",
        "timm.models.resnet": "ResNet BasicBlock Bottleneck",
        "timm.models.res2net": "Bottle2neck",
        "timm.models.resnetv2": "ResNetV2 ResNetStage PreActBottleneck DownsampleConv",
        "timm.models.regnet": "RegNet RegStage Bottleneck",
        "timm.models.densenet": "DenseNet DenseBlock DenseLayer DenseTransition",
        "timm.models.vgg": "VGG",
        "timm.models.efficientnet": "EfficientNet",
        "timm.models.mobilenetv3": "MobileNetV3",
        "timm.models._efficientnet_blocks": "DepthwiseSeparableConv InvertedResidual ConvBnAct",
        "timm.models.inception_v4": "InceptionV4 Mixed3a Mixed4a Mixed5a InceptionA ReductionA InceptionB ReductionB InceptionC",
        "timm.models.inception_resnet_v2": "InceptionResnetV2 Mixed_5b Mixed_6a Mixed_7a Block35 Block17 Block8",
        "timm.models.convnext": "ConvNeXt ConvNeXtStage",
        "timm.models.xception_aligned": "XceptionAligned XceptionModule SeparableConv2d",
        "timm.models.dla": "DLA DlaTree DlaBasic DlaRoot",
        "timm.models.dpn": "DPN DualPathBlock BnActConv2d BnAct",
        "timm.models.cspnet": "CspNet CrossStage BottleneckBlock DarkStage DarkBlock",
        "timm.models.byobnet": "ByobNet RepVggBlock",
        "timm.models.selecsls": "SelecSls SelectSeq SequentialList SelecSlsBlock",
        "timm.models.vovnet": "VovNet OsaStage OsaBlock SequentialAppendList",
        "timm.models.rexnet": "RexNet LinearBottleneck",
    }
)
"""Modules whose forward works for any number of dimensions, as the tests show."""
