"""timm networks as trunks: `--backbone timm/NAME` instead of Inception-v1."""

from __future__ import annotations

import copy
import difflib

import torch
from torch import Tensor, nn

from baselines.parts.inflate import inflate
from harness.core.errors import HarnessError, UnknownName

PREFIX = "timm/"
SIDE_PX = 224
"""Side of the image that shapes are measured with."""


class TimmTrunk(nn.Module):
    """A timm network up to its last feature map, in 2D or inflated to 3D.

    A norm that timm applies after its final pool (ConvNeXt) is applied at every position here. Layers that only the
    classifier would use are dropped, so that every parameter gets a gradient.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        norm = getattr(getattr(model, "head", None), "norm", None)
        self.norm = norm if norm is not None and any(True for _ in norm.parameters()) else nn.Identity()
        if norm is self.norm:
            model.head = nn.Identity()
        self._expect(next(m for m in model.modules() if isinstance(m, nn.Conv2d)).in_channels)
        self.out_channels = self._drop_unused()

    def _expect(self, channels: int) -> None:
        """Set factor and shift from [-1, 1] to the mean and standard deviation of the network's weights; flow is not changed."""
        config = self.model.pretrained_cfg if channels == 3 else {}
        mean, deviation = (torch.tensor(config.get(k, (0.5,) * channels)) for k in ("mean", "std"))
        self.register_buffer("factor", 0.5 / deviation, persistent=False)
        self.register_buffer("shift", (0.5 - mean) / deviation, persistent=False)

    def _drop_unused(self) -> int:
        """Replace children that the feature map does not pass through; returns its channels. Runs on the meta device."""
        meta = copy.deepcopy(self).to("meta").eval()
        used: set[str] = set()
        for name, child in meta.model.named_children():
            for module in child.modules():
                module.register_forward_hook(lambda *_, name=name: used.add(name))
        stem = next(m for m in meta.modules() if isinstance(m, nn.Conv2d))
        maps = meta(torch.empty(1, stem.in_channels, SIDE_PX, SIDE_PX, device="meta", dtype=stem.weight.dtype))
        for name in [name for name, _ in self.model.named_children() if name not in used]:
            setattr(self.model, name, nn.Identity())
        return maps.shape[1]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) float in [-1, 1] -> (N, out_channels, h, w); inflated: (N, C, T, H, W) -> (N, out_channels, t, h, w)."""
        around = (-1,) + (1,) * (x.dim() - 2)
        return self.norm(self.model.forward_features(x * self.factor.view(around) + self.shift.view(around)))


def timm_name(backbone: str) -> str:
    """'timm/NAME' -> 'NAME'. Raises UnknownName for a name that timm does not have."""
    import timm

    name = backbone.removeprefix(PREFIX)
    if not backbone.startswith(PREFIX) or not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=1)
        guess = f"; did you mean '{PREFIX}{close[0]}'?" if close else ""
        raise UnknownName(f"no backbone '{backbone}'; write timm/NAME, with a name that timm knows{guess}")
    return name


def timm_trunk(backbone: str, *, channels: int) -> TimmTrunk:
    """The 2D trunk `timm/NAME`, freshly initialised, reading `channels`.

    Raises UnknownName for a name that timm does not have, HarnessError for one without a map (a transformer).
    """
    import timm

    model = timm.create_model(timm_name(backbone), pretrained=False, in_chans=channels, num_classes=0)
    if not all(hasattr(model, method) for method in ("forward_features", "forward_head")):
        raise HarnessError(f"backbone '{backbone}' has no feature map; use a convolutional network")
    return TimmTrunk(model)


def inflated_trunk(backbone: str, *, channels: int) -> nn.Module:
    """`timm/NAME` inflated: (N, channels, T, H, W) -> (N, out_channels, T / 8, h, w). Raises as `inflate` does."""
    return inflate(timm_trunk(backbone, channels=channels))
