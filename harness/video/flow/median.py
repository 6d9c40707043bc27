"""The median filter of OpenCV on tensors, by comparisons of whole planes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

_EXCHANGES = {
    3: ((0, 2), (0, 1), (1, 2)),
    5: ((0, 3), (1, 4), (0, 2), (1, 3), (0, 1), (2, 4), (1, 2), (3, 4), (2, 3)),
}
"""Comparisons that sort 3 or 5 values."""


def median(planes: Tensor, side: int) -> Tensor:
    """(A, B, H, W) -> the median of each square of `side` (1, 3, 5) px, borders repeated: cv2.medianBlur's answer.

    By minima and maxima of whole planes: columns are sorted once for all squares that share them, then the rows of each
    square. The median is then among the few values with neither too many larger nor too many smaller ones.
    """
    if side == 1:
        return planes.clone()
    rim, (height, width) = side // 2, planes.shape[-2:]
    padded = pad(planes, (rim, rim, rim, rim), mode="replicate")
    columns = _sorted([padded[..., y : y + height, :] for y in range(side)])
    rows = [_sorted([column[..., x : x + width] for x in range(side)]) for column in columns]
    half = side * side // 2
    return _middle(
        [
            rows[y][x]
            for y in range(side)
            for x in range(side)
            if (y + 1) * (x + 1) <= half + 1 and (side - y) * (side - x) <= half + 1
        ]
    )


def _sorted(planes: list[Tensor]) -> list[Tensor]:
    planes = list(planes)
    for low, high in _EXCHANGES[len(planes)]:
        planes[low], planes[high] = _exchanged(planes[low], planes[high])
    return planes


def _middle(planes: list[Tensor]) -> Tensor:
    """The median of an odd number of planes: of any n // 2 + 2 of them it is neither the least nor the greatest."""
    candidates, waiting = planes[: len(planes) // 2 + 2], planes[len(planes) // 2 + 2 :]
    while len(candidates) > 1:
        for a in range(len(candidates) // 2):
            candidates[a], candidates[-1 - a] = _exchanged(candidates[a], candidates[-1 - a])
        half = len(candidates) // 2
        for a in range(1, len(candidates) - half):
            candidates[0], candidates[a] = _exchanged(candidates[0], candidates[a])
        for a in range(half, len(candidates) - 1):
            candidates[a], candidates[-1] = _exchanged(candidates[a], candidates[-1])
        candidates = candidates[1:-1] + waiting[:1]
        waiting = waiting[1:]
    return candidates[0]


def _exchanged(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    return torch.minimum(left, right), torch.maximum(left, right)
