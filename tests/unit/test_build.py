"""The network that a card's `build` returns is checked before anything is trained with it."""

import dataclasses

import pytest
from torch import nn

from harness.core import registry
from harness.core.contract import BuildSpec
from harness.core.errors import HarnessError, UnknownName
from harness.models import build as models

MICRO = registry.load("scale", "micro")
SPEC = BuildSpec(("rgb",), 3, MICRO)


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.new_head(3)

    def features(self, clips):
        return clips["rgb"].mean((-2, -1)).transpose(1, 2)

    def new_head(self, num_classes):
        self.head = nn.Linear(3, num_classes)

    def forward(self, clips):
        return self.head(self.features(clips))


class Forwardless(nn.Module):
    features, new_head = Whole.features, Whole.new_head
    head = nn.Identity()


class Headless(nn.Module):
    features, forward = Whole.features, Whole.forward


def broken(spec):
    raise TypeError("no such\nargument 'width'")


@pytest.fixture
def plugin_card(monkeypatch):
    """Makes a card from outside of a `build`."""
    monkeypatch.setattr(registry, "origin", lambda kind, name: "/plugins/extra.py" if name == "extra" else "")
    card = registry.load("baseline", "c3d")
    return lambda build, name="extra": dataclasses.replace(card, name=name, build=build, build_image=build)


def test_a_whole_network_is_handed_on(plugin_card):
    assert isinstance(models.build(plugin_card(lambda spec: Whole()), SPEC), Whole)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Forwardless, r"builds a network of type Forwardless, which lacks forward\(clips\); "),
        (Headless, r"builds a network of type Headless, which lacks head and new_head\(num_classes\); "),
        (object, r"builds a network of type object, which lacks features\(clips\) and head and "),
    ],
)
def test_what_a_network_lacks_is_named_with_the_file(plugin_card, kind, message):
    with pytest.raises(HarnessError, match=r"^baseline 'extra' \(/plugins/extra\.py\) " + message):
        models.build(plugin_card(lambda spec: kind()), SPEC)


class Flat(Whole):
    def features(self, clips):
        return clips["rgb"].mean((-3, -2, -1))


class Swapped(Whole):
    def features(self, clips):
        return clips["rgb"].mean((-2, -1))


class Averaged(Whole):
    def forward(self, clips):
        return super().forward(clips).mean(1)


class Stubborn(Whole):
    def new_head(self, num_classes):
        self.head = nn.Linear(3, 3)


class Listed(Whole):
    def features(self, clips):
        return [clips["rgb"]]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Flat, r": features\(clips\) must return a tensor \(N, P, F\), here \(2, P, F\) for 2 clips; got a tensor \(2, 3\)"),
        (Swapped, r" fails in forward\(clips\), with features \(2, 3, 16\): RuntimeError: .*mat1 and mat2 shapes cannot be multiplied"),
        (Averaged, r": forward\(clips\) with 3 classes must return .* here \(2, 16, 3\) for 2 clips; got a tensor \(2, 3\)"),
        (Stubborn, r": forward\(clips\) with 4 classes must return .* here \(2, 16, 4\) for 2 clips; got a tensor \(2, 16, 3\)"),
        (Listed, r": features\(clips\) must return .*; got a list"),
    ],
)  # fmt: skip
def test_shapes_of_a_network_from_outside_are_checked_before_it_is_trained(plugin_card, kind, message):
    models.check_shapes(plugin_card(lambda spec: Whole()), SPEC)
    with pytest.raises(HarnessError, match=r"^baseline 'extra' \(/plugins/extra\.py\)" + message) as caught:
        models.check_shapes(plugin_card(lambda spec: kind()), SPEC)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("build", [models.build, models.build_image])
def test_what_a_build_from_outside_raises_is_one_sentence_and_keeps_its_cause(plugin_card, build):
    words = r"^baseline 'extra' \(/plugins/extra\.py\) could not be built: TypeError: no such argument 'width'$"
    with pytest.raises(HarnessError, match=words) as caught:
        build(plugin_card(broken), SPEC)
    assert isinstance(caught.value.__cause__, TypeError)


def test_our_own_cards_defects_keep_their_traceback(plugin_card):
    with pytest.raises(TypeError, match="no such"):
        models.build(plugin_card(broken, name="c3d"), SPEC)


def test_a_backbone_is_checked_without_allocating_its_weights():
    i3d = registry.load("baseline", "i3d")
    models.check_backbone(i3d, "timm/resnet18", scale=MICRO)
    with pytest.raises(UnknownName, match="did you mean 'timm/resnet50'"):
        models.check_backbone(i3d, "timm/resnet5O", scale=MICRO)
    with pytest.raises(HarnessError, match="inception_v3"):
        models.check_backbone(i3d, "timm/inception_v3", scale=MICRO)
