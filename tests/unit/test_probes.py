"""The probes that are not trained in steps, against formulas and scikit-learn; choices on held-out groups of the training set."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from baselines.parts.network import LinearHead
from harness.core import registry
from harness.core.callbacks import Callback
from harness.core.contract import Schedule, Video
from harness.core.errors import HarnessError
from harness.data.splits import hold_out
from harness.training import linear_probe
from harness.training.attentive import DECAYS, RATES, AttentiveHead
from harness.training.config import TrainingConfig
from harness.training.evaluation import clip_loss
from harness.training.features import Features, HeadTask
from harness.training.optim import learning_rate

CLASSES, WIDTH, POSITIONS, VIEWS = 3, 5, 2, 2
VIDEOS = tuple(Video(f"v{n:02d}", f"v{n:02d}.avi", n % CLASSES, f"group {n // 6}") for n in range(24))
"""Two videos of each class in each of four groups."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = LinearHead(WIDTH, CLASSES, dropout=0.0)


def features_of(videos=VIDEOS, *, noise=1.5) -> Features:
    generator = torch.Generator().manual_seed(0)
    owners = torch.arange(len(videos)).repeat_interleave(VIEWS)
    centres = 2 * torch.eye(CLASSES, WIDTH)[torch.tensor([video.label for video in videos])]
    train = centres[owners][:, None] + noise * torch.randn(len(owners), POSITIONS, WIDTH, generator=generator)
    test = centres[:, None] + noise * torch.randn(len(videos), POSITIONS, WIDTH, generator=generator)
    return Features(tuple(video.id for video in videos), train, owners, test, torch.arange(len(videos)))


def fitted(name, *, videos=VIDEOS, reduce="mean", config=None, features=None, **params):
    """(the head, what it chose, its task)."""
    card = registry.load("head", name)
    values = {key: parameter.default for key, parameter in card.params.items()} | params
    task = HeadTask(features or features_of(), videos, values, reduce, Callback(), config)
    torch.manual_seed(0)
    network = Network()
    head = card.build(network, CLASSES, values) if card.build else network.head
    result = card.fit(head, task)
    return head.eval(), result.chosen, task


def reduced(features, reduce):
    return features[:, -1] if reduce == "last" else features.mean(1)


@pytest.mark.parametrize("reduce", ["mean", "last"])
def test_neighbours_vote_as_in_dino(reduce):
    """Weights exp(cosine / temperature) of the k nearest videos, counted by class, one video and one neighbour at a time."""
    head, chosen, task = fitted("knn", k=4, reduce=reduce)
    features = task.features
    unit = nn.functional.normalize(reduced(features.train, reduce), dim=1)
    stored = nn.functional.normalize(unit.reshape(len(VIDEOS), VIEWS, WIDTH).sum(1), dim=1)
    with torch.inference_mode():
        shares = head(features.test)[:, 0].exp().numpy()
    for query, own in zip(nn.functional.normalize(reduced(features.test, reduce), dim=1), shares, strict=True):
        cosines = (stored @ query).tolist()
        votes = np.zeros(CLASSES)
        for number in sorted(range(len(VIDEOS)), key=lambda n: -cosines[n])[:4]:
            votes[VIDEOS[number].label] += np.exp(cosines[number] / 0.07)
        np.testing.assert_allclose(own, np.maximum(votes / votes.sum(), 1e-6), atol=1e-5)
    assert chosen["rule"] == "nearest neighbours, k = 4, temperature = 0.07"


def test_more_neighbours_than_a_class_has_videos_are_refused_and_never_the_default():
    _, chosen, _ = fitted("knn")
    assert chosen["rule"].startswith("nearest neighbours, k = 8,"), "eight videos per class, fewer than 20"
    few = tuple(video for video in VIDEOS if video.label != 1 or video.group == "group 0")
    with pytest.raises(HarnessError, match="head.k=3: the class 'number 1' has only 2 training videos; pass 2 or less"):
        fitted("knn", videos=few, k=3)


def test_the_svm_is_scikit_learns_on_features_of_length_one():
    from sklearn.svm import LinearSVC

    head, chosen, task = fitted("svm", c=0.3)
    inputs = nn.functional.normalize(task.features.train.mean(1), dim=1).numpy()
    labels = [VIDEOS[owner].label for owner in task.features.train_video]
    own = LinearSVC(C=0.3, max_iter=linear_probe.ITERATIONS, random_state=0).fit(inputs, labels)
    with torch.inference_mode():
        logits = head(task.features.train)
    assert torch.equal(logits[:, 0], logits[:, 1]), "a clip has one vector, whatever its positions"
    np.testing.assert_allclose(logits[:, 0].numpy(), own.decision_function(inputs), atol=1e-4)
    assert chosen == {"rule": "linear SVM, c = 0.3", "held_out": []}


def losses_by_formula(name, decisions, labels):
    if name == "logreg":
        return float(nn.functional.cross_entropy(decisions, labels))
    sides = torch.where(torch.arange(CLASSES) == labels[:, None], 1.0, -1.0)
    return float((1 - sides * decisions).clamp_min(0).square().sum(1).mean())


@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_c_has_the_smallest_loss_on_held_out_groups_and_all_videos_are_fitted_with_it(name):
    features = features_of(noise=1.5)
    head, chosen, task = fitted(name, features=features)
    rest, held = hold_out(VIDEOS, linear_probe.HELD_OUT)
    assert chosen["held_out"] == [video.id for video in held]
    assert not {video.group for video in rest} & {video.group for video in held}
    labels = torch.tensor([video.label for video in held])
    rows = [row for row, owner in enumerate(task.features.train_video.tolist()) if VIDEOS[owner] in held]
    losses = []
    for c in linear_probe.GRID:
        alone, _, _ = fitted(name, videos=rest, c=c, features=features)
        with torch.inference_mode():
            decisions = alone(task.features.train[rows]).mean(1).reshape(len(held), VIEWS, CLASSES).mean(1)
        losses.append(losses_by_formula(name, decisions, labels))
    best = linear_probe.GRID[losses.index(min(losses))]
    assert 1e-6 < best < 1e4, "neither end of the grid"
    assert chosen["rule"].endswith(f"c = {best:g}, chosen on held-out videos, then fitted on all")
    again, _, _ = fitted(name, c=best, features=features)
    with torch.inference_mode():
        assert torch.equal(again(task.features.test), head(task.features.test))


@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_without_a_second_group_c_is_one(name):
    one_group = tuple(replace(video, group="") for video in VIDEOS[:CLASSES])
    _, chosen, _ = fitted(name, videos=one_group)
    assert "c = 1, since no class has a group to hold out" in chosen["rule"] and not chosen["held_out"]


def config_of(folder, **changes):
    schedule = Schedule(steps=4, batch=8, base_lr=1e-3, optimizer="adamw", weight_decay=0.1, policy="cosine")
    return TrainingConfig(replace(schedule, **changes), "cpu", "float32", "job", folder, clip_loss("reduced", "mean"))


def test_a_head_of_the_grid_is_what_it_would_be_alone(tmp_path, monkeypatch):
    """Its neighbours leave no trace: not their gradients, rates or decays."""
    from harness.training import attentive

    monkeypatch.setattr(attentive, "_best", lambda *_: 0)
    together, chosen, _ = fitted("attentive", blocks=1, config=config_of(tmp_path / "a"))
    monkeypatch.setattr(attentive, "RATES", RATES[:1])
    monkeypatch.setattr(attentive, "DECAYS", DECAYS[:1])
    alone, also_chosen, _ = fitted("attentive", blocks=1, config=config_of(tmp_path / "b"))
    assert "learning rate 0.005, weight decay 0.01, the best of 20" in chosen["rule"]
    assert "learning rate 0.005, weight decay 0.01, the best of 1 " in also_chosen["rule"]
    for name, tensor in alone.state_dict().items():
        torch.testing.assert_close(together.state_dict()[name], tensor, rtol=0, atol=1e-6)


def test_each_head_of_the_grid_has_its_own_rate_and_decay(tmp_path):
    from harness.training.attentive import Grid, _groups

    head = AttentiveHead(WIDTH, CLASSES, blocks=0, heads=1)
    groups = list(_groups(Grid(head, []), [(3.0, 4.0)], config_of(tmp_path).schedule))
    assert [(group["lr_factor"], group["weight_decay"]) for group in groups] == [(3.0, 0.4), (3.0, 0.0)]
    assert sum(len(group["params"]) for group in groups) == len(list(head.parameters()))


def test_the_best_of_the_grid_is_chosen_on_held_out_groups_and_one_that_diverges_never(tmp_path):
    hot = config_of(tmp_path / "hot", base_lr=1e25, optimizer="sgd", steps=3)
    with pytest.raises(HarnessError, match="the loss became"):
        fitted("attentive", blocks=1, config=hot)
    head, chosen, task = fitted("attentive", blocks=1, config=config_of(tmp_path / "a", steps=30))
    _, held = hold_out(VIDEOS, 0.2)
    assert chosen["held_out"] == [video.id for video in held]
    assert "the best of 20 on held-out videos" in chosen["rule"]
    with torch.inference_mode():
        logits = head(task.features.test)
    assert logits.shape == (len(VIDEOS), POSITIONS, CLASSES) and torch.equal(logits[:, 0], logits[:, 1])


def test_without_a_second_group_the_usual_point_of_the_grid_is_taken(tmp_path):
    one_group = tuple(replace(video, group="") for video in VIDEOS[:CLASSES])
    _, chosen, _ = fitted("attentive", blocks=1, videos=one_group, config=config_of(tmp_path, batch=3))
    assert "learning rate 0.001, weight decay 0.1, since no class has a group to hold out" in chosen["rule"]


def test_the_attentive_head_pools_positions_in_any_order():
    torch.manual_seed(0)
    head = AttentiveHead(8, CLASSES, blocks=2, heads=16)
    nn.init.normal_(head.query)
    features = torch.randn(2, 6, 8)
    with torch.inference_mode():
        straight, shuffled = head.eval()(features), head(features[:, torch.randperm(6)])
        changed = head(torch.cat([features[:, :5], features[:, :1]], dim=1))
    torch.testing.assert_close(straight, shuffled, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(straight, changed, atol=1e-5)
    assert all(parameter.requires_grad for parameter in head.parameters())


def test_the_cosine_falls_from_the_whole_rate_to_none():
    schedule = Schedule(steps=10, batch=1, base_lr=2.0, policy="cosine")
    rates = [learning_rate(schedule, step) for step in range(10)]
    assert (
        rates[0] == 2.0 and rates[5] == pytest.approx(1.0) and rates[-1] < 0.06 and rates == sorted(rates, reverse=True)
    )


def test_the_page_has_every_parameter_with_its_default():
    page = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "probes.md").read_text(encoding="utf-8")
    section = page.split("## Parameters\n", 1)[1].split("\n## ", 1)[0]
    rows = {
        tuple(cell.strip(" `") for cell in line.split("|")[1:4]) for line in section.splitlines()[2:] if "head." in line
    }
    cards = [registry.load("protocol", name) for name in ("knn", "logreg", "svm", "attentive")]
    expected = {
        (card.name, f"head.{name}", str(parameter.default))
        for card in cards
        for name, parameter in registry.load("head", card.head).params.items()
    }
    assert {row for row in rows if row[0] in {card.name for card in cards}} == expected
