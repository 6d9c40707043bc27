"""Heads on a clip's features as one vector of length 1: the linear map of `svm`, and the votes of `knn`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from harness.training.evaluation import reduce_positions
from harness.training.features import Views

LEAST_SHARE = 1e-6
"""Share of the votes of a class without any, so that its logit is finite."""


def feature_size(network: Any) -> int:
    """F of the network's features, by its own head."""
    return sum(module.in_features for module in network.head.modules() if isinstance(module, nn.Linear))


class UnitHead(nn.Module):
    """(N, P, F) -> (N, P, classes): the logits of the features' reduction over positions, the same at every position."""

    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.tensor(False))

    def set_reduction(self, reduce: str) -> None:
        """'mean' or 'last': how features of P positions become those of the clip."""
        self.last.fill_(reduce == "last")

    def unit(self, features: Tensor) -> Tensor:
        """(N, P, F) -> (N, F) of length 1."""
        return nn.functional.normalize(reduce_positions(features, "last" if self.last else "mean"), dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """features (N, P, F) float -> logits (N, P, classes) float."""
        return self.logits(self.unit(features))[:, None].expand(-1, features.shape[1], -1)

    def logits(self, vectors: Tensor) -> Tensor:
        """(N, F) of length 1 -> (N, classes)."""
        raise NotImplementedError


class UnitLinear(UnitHead):
    """One linear map."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, classes)

    def logits(self, vectors: Tensor) -> Tensor:
        return self.fc(vectors)  # type: ignore[no-any-return]


class NearestNeighbours(UnitHead):
    """Log shares of the votes: a neighbour with cosine similarity s has exp(s / temperature) of them."""

    vectors: Tensor
    """(videos, F): the training videos."""
    labels: Tensor
    """(videos,) int64."""
    k: Tensor

    def __init__(self, classes: int, *, temperature: float) -> None:
        super().__init__()
        self.classes, self.temperature = classes, temperature
        self.register_buffer("k", torch.tensor(0))
        self.register_buffer("vectors", torch.zeros(0, 0))
        self.register_buffer("labels", torch.zeros(0, dtype=torch.int64))
        self.register_load_state_dict_pre_hook(_as_many_videos)

    def remember(self, views: Views, k: int) -> None:
        """Vote among the videos of these views from now on."""
        owners, videos = views.owners.unique(return_inverse=True)
        sums = torch.zeros(len(owners), views.inputs.shape[1])
        sums.index_add_(0, videos, nn.functional.normalize(views.inputs, dim=1))
        labels = torch.zeros(len(owners), dtype=torch.int64).index_copy_(0, videos, views.labels)
        self.vectors = nn.functional.normalize(sums, dim=1).to(self.vectors.device)
        self.labels = labels.to(self.vectors.device)
        self.k.fill_(k)

    def logits(self, vectors: Tensor) -> Tensor:
        near, videos = (vectors @ self.vectors.T).float().topk(int(self.k), dim=1)
        shares = near.new_zeros(len(near), self.classes)
        shares.scatter_add_(1, self.labels[videos], (near / self.temperature).softmax(dim=1))
        return shares.clamp_min(LEAST_SHARE).log()


def _as_many_videos(head: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Before loading: room for the stored videos, whose number a new head does not know."""
    for name in ("vectors", "labels"):
        if prefix + name in state:
            setattr(head, name, torch.empty_like(state[prefix + name], device=getattr(head, name).device))
