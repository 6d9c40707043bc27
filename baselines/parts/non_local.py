"""The non-local block of Wang et al. (arXiv 1711.07971): every position of a map reads all others, weighted by similarity.

y = x + BN(out(softmax(theta(x) . phi(pool(x)) / sqrt(d)) g(pool(x))))
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

DEVIATION = 0.01
"""Of the Gaussian that its convolutions start from."""


class NonLocal(nn.Module):
    """Softmax of products at half the channels, over keys max-pooled by 2 in space; the batch norm's scale starts at zero."""

    def __init__(self, channels: int, *, eps: float, momentum: float):
        super().__init__()
        self.inner = channels // 2
        self.theta, self.phi, self.g = (nn.Conv3d(channels, self.inner, 1) for _ in range(3))
        self.out = nn.Conv3d(self.inner, channels, 1)
        self.bn = nn.BatchNorm3d(channels, eps=eps, momentum=momentum)

    def begin_as_identity(self) -> None:
        """Fresh convolutions, and a scale of zero: the block returns its input."""
        for convolution in (self.theta, self.phi, self.g, self.out):
            nn.init.normal_(convolution.weight, std=DEVIATION)
            nn.init.zeros_(convolution.bias)
        nn.init.zeros_(self.bn.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, T, H, W) float -> (N, channels, T, H, W) float."""
        # ceil_mode keeps the odd edge of small maps; those of 224 px are even.
        pooled = F.max_pool3d(x, (1, 2, 2), ceil_mode=True)
        query, key, value = (part.flatten(2) for part in (self.theta(x), self.phi(pooled), self.g(pooled)))
        weights = (query.transpose(1, 2) @ key * self.inner**-0.5).softmax(-1)
        read = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.bn(self.out(read))
