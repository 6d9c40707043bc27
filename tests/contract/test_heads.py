"""What every head must do with features; a third-party one (plugins/nearest_mean.py) included.

pytest tests/contract/test_heads.py --plugins FOLDER         on yours as well
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from baselines.parts.network import JointHead, LinearHead
from harness.core.callbacks import Callback
from harness.core.contract import Listing, Schedule, Video
from harness.core.plugins import Head
from harness.training.config import TrainingConfig
from harness.training.evaluation import clip_loss
from harness.training.features import Features, HeadTask
from tests.registered import registered

HEADS: dict[str, Head] = registered("head")
CLASSES, WIDTH, POSITIONS = 3, 6, 2
SCHEDULE = Schedule(steps=10, batch=8, base_lr=0.5, policy="constant", checkpoint_every=100)
VIDEOS = tuple(Video(f"v{number:02d}", f"v{number:02d}.avi", number % CLASSES) for number in range(24))

every_head = pytest.mark.parametrize("card", HEADS.values(), ids=HEADS)


class Network(nn.Module):
    """As far as a head asks: the head of a network of one stream, or of two."""

    def __init__(self, *, joint: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        parts = {"rgb": 2, "flow": WIDTH - 2}
        self.head = JointHead(parts, CLASSES, dropout=0.0) if joint else LinearHead(WIDTH, CLASSES, dropout=0.0)


def params_of(card: Head) -> dict[str, float | str]:
    return {name: parameter.default for name, parameter in card.params.items()}


def head_of(card: Head, network: Network) -> nn.Module:
    return card.build(network, CLASSES, params_of(card)) if card.build else network.head


def task_of(card: Head, folder, videos=VIDEOS) -> HeadTask:
    """Three well separated clouds; of each video two views in training and one in testing."""
    generator = torch.Generator().manual_seed(1)
    centres = 3 * torch.eye(CLASSES, WIDTH)
    labels = torch.tensor([video.label for video in VIDEOS])
    owners = torch.arange(len(VIDEOS)).repeat_interleave(2)
    train = centres[labels[owners]][:, None] + 0.5 * torch.randn(2 * len(VIDEOS), POSITIONS, WIDTH, generator=generator)
    test = centres[labels][:, None] + 0.5 * torch.randn(len(VIDEOS), POSITIONS, WIDTH, generator=generator)
    features = Features(tuple(video.id for video in VIDEOS), train, owners, test, torch.arange(len(VIDEOS)))
    config = TrainingConfig(SCHEDULE, "cpu", "float32", "job", folder, clip_loss("reduced", "mean"))
    return HeadTask(features, videos, params_of(card), "mean", Callback(), config)


def fitted(card: Head, folder, *, joint: bool = False, videos=VIDEOS) -> tuple[nn.Module, HeadTask]:
    task, head = task_of(card, folder, videos), head_of(card, Network(joint=joint))
    torch.manual_seed(0)
    card.fit(head, task)
    return head.eval(), task


def logits_of(head: nn.Module, task: HeadTask) -> torch.Tensor:
    with torch.inference_mode():
        return head(task.features.test)


def test_the_built_in_heads_and_the_example_are_registered():
    assert set(HEADS) >= {"attentive", "knn", "linear", "logreg", "svm", "nearest-mean"}


@every_head
@pytest.mark.parametrize("joint", [False, True], ids=["one stream", "two streams"])
def test_it_learns_what_can_be_separated(card, joint, tmp_path):
    head, task = fitted(card, tmp_path, joint=joint)
    logits = logits_of(head, task)
    assert logits.shape == (len(VIDEOS), POSITIONS, CLASSES) and logits.isfinite().all()
    right = logits.mean(1).argmax(1) == torch.tensor([video.label for video in VIDEOS])
    assert right.float().mean() > 0.9


@every_head
def test_the_same_features_give_the_same_head_whose_weights_are_all_there_is(card, tmp_path):
    """Fitted again, or built anew with the saved state, it gives the same logits: what a record keeps is enough to predict."""
    head, task = fitted(card, tmp_path / "a")
    logits = logits_of(head, task)
    assert torch.equal(logits, logits_of(*fitted(card, tmp_path / "b")))
    again = head_of(card, Network()).eval()
    again.load_state_dict(head.state_dict(), strict=True)
    assert torch.equal(logits_of(again, task), logits)


@every_head
def test_test_features_and_held_out_videos_are_not_read(card, tmp_path):
    """The head knows nothing but the training views of its own videos."""
    used = VIDEOS[:18]
    head, task = fitted(card, tmp_path / "a", videos=used)
    blind = task_of(card, tmp_path / "b", used)
    spoilt = blind.features.train.clone()
    spoilt[2 * len(used) :] = 1e6
    features = dataclasses.replace(blind.features, train=spoilt, test=torch.full_like(blind.features.test, torch.nan))
    other = head_of(card, Network())
    torch.manual_seed(0)
    card.fit(other, dataclasses.replace(blind, features=features))
    assert torch.equal(logits_of(head, task), logits_of(other.eval(), task))


@every_head
def test_its_parameters_take_their_defaults(card):
    for name, parameter in card.params.items():
        assert parameter.read(str(parameter.default)) == parameter.default, name


@every_head
def test_its_defaults_fit_a_single_video_per_class(card, tmp_path):
    """As under `--shots 1`: nothing can be held out, and no class has a second video."""
    one_each = VIDEOS[:CLASSES]
    if card.check:
        card.check(params_of(card), Listing(tuple("abc"), {"train": one_each}))
    head, task = fitted(card, tmp_path, videos=one_each)
    assert logits_of(head, task).isfinite().all()
