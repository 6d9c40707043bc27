"""Sizes on file are those of the built networks; memory and receptive fields are what autograd and the layers say."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines.i3d import BASELINE as I3D
from baselines.parts.inception import ConvBN, Inception, Mixed, Style
from harness.analysis import paper_numbers
from harness.core import registry
from harness.core.contract import BuildSpec
from harness.models import measure
from harness.protocols.scales.paper import SCALE as PAPER

NAMES = {name for name, card in registry.all("baseline").items() if card.at is None}
CASES = [
    (name, scale, classes) for name in sorted(NAMES) for scale, many in measure.CLASSES.items() for classes in many
]
QUICK = [case for case in CASES if case[1:] == ("paper", 400)]
"""What `harness table 1` prints by default."""


def check(name: str, scale: str, classes: int) -> None:
    card = registry.load("baseline", name)
    size = measure.size_of(card, scale=scale, classes=classes)
    assert measure.measure(card, scale=scale, classes=classes) == size


def test_every_size_of_the_built_in_baselines_is_on_file():
    assert {row for row, _ in paper_numbers.table(1)} < NAMES
    keys = {measure._key(registry.load("baseline", name), scale, classes) for name, scale, classes in CASES}
    assert len(CASES) == 3 * len(NAMES) and keys == measure._on_file().keys()
    sources = {"paper": paper_numbers.SOURCES.values(), "micro": ["micro-kinetics"]}
    for scale, names in sources.items():
        assert set(measure.CLASSES[scale]) == {registry.load("dataset", name).num_classes for name in names}


@pytest.mark.parametrize(("name", "scale", "classes"), QUICK)
def test_sizes_that_table_1_prints_are_those_of_the_built_networks(name, scale, classes):
    assert len(QUICK) == len(NAMES)
    check(name, scale, classes)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scale", "classes"), [case for case in CASES if case not in QUICK])
def test_other_sizes_on_file_are_too(name, scale, classes):
    check(name, scale, classes)


def test_a_plan_takes_the_size_with_most_classes():
    assert measure.size_on_file(I3D, scale="paper").parameters == 25_372_576
    assert measure.size_on_file(registry.load("baseline", "c3d"), scale="unknown") is None


def test_memory_is_what_autograd_saves():
    network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.ReLU(), nn.Conv2d(4, 2, 1, bias=False))
    images = torch.empty(5, 3, 8, 8)
    # The first convolution saves the images, ReLU its result, which the second convolution saves as well.
    assert measure.training_bytes(network, images) == 4 * 5 * 64 * (3 + 4)


def test_training_memory_is_measured_without_allocating():
    with torch.device("meta"):
        network = I3D.build(BuildSpec(("rgb",), 400, PAPER))
        one, two = (measure.training_bytes(network, {"rgb": torch.empty(n, 3, 64, 224, 224)}) for n in (1, 2))
    assert 1.0 < one / 2**30 < 1.4, "float32, one clip of 64 x 224 x 224"
    assert 1.9 < two / one <= 2.0


# ------------------------------------------------------------------------------------------------ receptive fields


def geometry(layer: nn.Module) -> tuple[tuple[int, int], tuple[int, int]]:
    """(kernel, stride) in time and space of an endpoint; a module's widest branch counts."""
    if isinstance(layer, Mixed):
        return geometry(layer.b1b)
    kernel, stride = (
        (layer.conv.kernel_size, layer.conv.stride) if isinstance(layer, ConvBN) else (layer.kernel, layer.stride)
    )
    return kernel[:2], stride[:2]


def receptive_fields() -> dict[str, tuple[int, int]]:
    """Endpoint of I3D -> frames, and height or width in px, that one of its numbers depends on."""
    with torch.device("meta"):
        trunk = Inception(3, style=Style(3))
    layers = {name: geometry(layer) for name, layer in trunk.named_children()} | {"pool": ((2, 7), (1, 1))}
    fields, extent, step = {}, (1, 1), (1, 1)
    for name, (kernel, stride) in layers.items():
        extent = (extent[0] + (kernel[0] - 1) * step[0], extent[1] + (kernel[1] - 1) * step[1])
        step = (step[0] * stride[0], step[1] * stride[1])
        fields[name] = extent
    return fields


def test_receptive_fields_are_those_of_the_layers():
    """Figure 3's last two labels, 59 x 219 and 99 x 539, leave out one of five modules: a note of Table 1 says so."""
    expected = {"pool2a": (7, 11), "pool3a": (11, 27), "pool4a": (23, 75), "pool5a": (67, 251), "mixed5c": (99, 379)}
    fields = receptive_fields()
    assert {name: fields[name] for name in expected} == expected
    assert fields["pool"] == (107, 571)
    assert fields["pool"][0] == measure.size_of(I3D, scale="paper", classes=400).frames_seen


def test_a_receptive_field_is_what_a_gradient_reaches():
    """After pool2a, in time and in space: 7 frames, 11 x 11 pixels."""
    trunk = Inception(3, style=Style(3, width=0.01)).eval()
    with torch.no_grad():
        trunk.conv1a.conv.weight.fill_(0.01)
    clip = torch.rand(1, 3, 24, 32, 32, requires_grad=True)
    # Every value of the pool's window counts, not only the largest: sum what the 3x3 window covers.
    trunk.conv1a(clip)[0, 0, 6, 7:10, 7:10].sum().backward()
    reached = clip.grad.abs().sum((0, 1)).nonzero()
    frames, height, width = (reached.amax(0) - reached.amin(0) + 1).tolist()
    assert (frames, height) == (frames, width) == receptive_fields()["pool2a"]
