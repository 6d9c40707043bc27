"""The Fixed protocol on cached features: what the un-cached run gives, and scikit-learn's solution where it is asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from baselines.parts.network import JointHead, LinearHead, WithHead
from harness.core.callbacks import Callback
from harness.core.contract import Schedule, Video
from harness.core.errors import HarnessError
from harness.models.tensor_io import save_tensors
from harness.models.transfer import freeze_all_but_head
from harness.training.config import Step, TrainingConfig
from harness.training.evaluation import clip_loss
from harness.training.features import Features, HeadTask, feature_steps
from harness.training.heads import logreg
from harness.training.trainer import train

SCHEDULE = Schedule(steps=12, batch=6, base_lr=0.5, policy="constant", checkpoint_every=100)
VIDEOS = tuple(Video(f"v{i:02d}", f"v{i:02d}.avi", i % 3) for i in range(18))
VIEWS = 2


class Tiny(WithHead):
    """Clips (N, 4, T) -> features (N, T, 5), through batch norm and dropout that Fixed must leave alone."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(lambda classes: LinearHead(5, classes, dropout=0.0), 3)
        self.trunk = nn.Sequential(nn.Conv1d(4, 5, 1), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.5))

    def features(self, clips):
        return self.trunk(clips).transpose(1, 2)


def clip(row):
    """The clip of a view; rows of view 0 and 1 of video 0, 1, ..."""
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(row)) + VIDEOS[row // VIEWS].label


def cached(network):
    freeze_all_but_head(network)
    rows = torch.arange(len(VIDEOS) * VIEWS)
    with torch.inference_mode():
        features = network.features(torch.stack([clip(row) for row in rows.tolist()])).clone()
    owners = rows // VIEWS
    return Features(tuple(video.id for video in VIDEOS), features, owners, features, owners)


def fit(module, steps_from, folder):
    config = TrainingConfig(SCHEDULE, "cpu", "float32", "job", folder, clip_loss("reduced", "mean"))
    train(module, steps_from, config, callback=Callback())


def fit_logistic_regression(head, features, videos, *, c, reduce):
    return logreg.fit(head, HeadTask(features, videos, {"c": c}, reduce, Callback()))


def test_a_head_on_cached_features_is_the_head_of_the_frozen_network(tmp_path):
    """The same views through the whole network at every step: same head, and nothing else has moved."""
    whole, network = Tiny(), Tiny()
    features = cached(network)
    head = network.head.train()
    fit(head, feature_steps(features, VIDEOS, SCHEDULE, seed=5, device="cpu"), tmp_path / "cached")

    numbered = replace(features, train=torch.arange(len(VIDEOS) * VIEWS).float()[:, None, None])
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    freeze_all_but_head(whole)

    def steps_from(first):
        for step in feature_steps(numbered, VIDEOS, SCHEDULE, seed=5, device="cpu")(first):
            rows = step.inputs[:, 0, 0].int().tolist()
            yield Step(torch.stack([clip(row) for row in rows]), step.labels, step.ids)

    fit(whole, steps_from, tmp_path / "whole")
    for name, tensor in head.state_dict().items():
        torch.testing.assert_close(whole.state_dict()[f"head.{name}"], tensor, rtol=0, atol=1e-6)
        assert (tensor - before[f"head.{name}"]).abs().max() > 1e-2
    for name, tensor in whole.state_dict().items():
        if not name.startswith("head."):
            torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("reduce", ["mean", "last"])
def test_logistic_regression_is_scikit_learns(reduce):
    from sklearn.linear_model import LogisticRegression

    features = cached(Tiny())
    head = LinearHead(5, 3, dropout=0.5)
    fit_logistic_regression(head, features, VIDEOS[:12], c=0.3, reduce=reduce)
    rows = [row for row, owner in enumerate(features.train_video.tolist()) if owner < 12]
    inputs = {"mean": features.train.mean(1), "last": features.train[:, -1]}[reduce].numpy()
    labels = [VIDEOS[features.train_video[row]].label for row in rows]
    own = LogisticRegression(C=0.3, max_iter=2000).fit(inputs[rows], labels)
    with torch.inference_mode():
        ours = head.eval()(torch.from_numpy(inputs)).softmax(-1).numpy()
    np.testing.assert_allclose(ours, own.predict_proba(inputs), atol=1e-5)


def test_it_fits_a_head_of_two_streams_and_of_two_classes():
    features, two = cached(Tiny()), tuple(replace(video, label=video.label % 2) for video in VIDEOS)
    head = JointHead({"rgb": 2, "flow": 3}, 2, dropout=0.5)
    fit_logistic_regression(head, features, two, c=1.0, reduce="mean")
    from sklearn.linear_model import LogisticRegression

    inputs = features.train.mean(1).numpy()
    own = LogisticRegression(max_iter=2000).fit(inputs, [two[owner].label for owner in features.train_video])
    with torch.inference_mode():
        ours = head.eval()(torch.from_numpy(inputs)).softmax(-1).numpy()
    np.testing.assert_allclose(ours, own.predict_proba(inputs), atol=1e-5)


def test_what_is_not_linear_or_lacks_a_class_is_refused():
    features = cached(Tiny())
    bent = nn.Sequential(nn.Linear(5, 3), nn.ReLU())
    with pytest.raises(HarnessError, match="not one linear map"):
        fit_logistic_regression(bent, features, VIDEOS, c=1.0, reduce="mean")
    with pytest.raises(HarnessError, match="no training video has label 2"):
        without = tuple(video for video in VIDEOS if video.label < 2)
        fit_logistic_regression(LinearHead(5, 3, dropout=0.0), features, without, c=1.0, reduce="mean")


def test_what_cannot_be_written_is_an_error_of_the_system(tmp_path):
    """A full disk is reported as such: safetensors has only its own error for everything."""
    with pytest.raises(FileNotFoundError):
        save_tensors({"a": torch.zeros(2)}, tmp_path / "no" / "such" / "folder", metadata={})
