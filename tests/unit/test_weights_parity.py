"""Parity by transplant: torchvision's GoogLeNet, its weights in our 2D network, equal logits.

Kaiming's weights, and batch-norm statistics from a pass over data: with the default random start the logits hardly
depend on the picture, and a wrong padding would pass.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines import i3d
from harness.core.contract import BuildSpec
from harness.models import importing
from harness.protocols.scales.paper import SCALE as PAPER

SIDE_PX = 96


@pytest.fixture(scope="module")
def googlenet():
    from torchvision.models import googlenet

    torch.manual_seed(0)
    network = googlenet(weights=None, aux_logits=False, init_weights=False, num_classes=40, dropout=0.0).double()
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu" if isinstance(module, nn.Conv2d) else "linear")
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.2, 0.2)
    with torch.no_grad():
        network.train()(torch.rand(6, 3, SIDE_PX, SIDE_PX, dtype=torch.float64) * 2 - 1)
    return network.eval()


@pytest.fixture(scope="module")
def ours(googlenet):
    network = i3d.BASELINE.build_image(BuildSpec(("rgb",), 40, PAPER)).double()
    state, report = importing.convert(googlenet.state_dict(), target=network.state_dict(), layout="torchvision")
    assert report.complete
    network.load_state_dict(state)
    return network.eval()


@pytest.fixture(scope="module")
def pictures():
    torch.manual_seed(1)
    return torch.rand(2, 3, SIDE_PX, SIDE_PX, dtype=torch.float64) * 2 - 1


def difference(googlenet, ours, pictures):
    with torch.no_grad():
        theirs = googlenet(pictures)
        assert theirs.std() > 0.1, "logits that hardly move prove nothing"
        return float((ours({"rgb": pictures.unsqueeze(2)})[:, 0] - theirs).abs().max())


def test_equal_in_float64(googlenet, ours, pictures):
    assert difference(googlenet, ours, pictures) <= 1e-9


def test_a_wrong_first_padding_fails(googlenet, ours, pictures):
    ours.trunk.conv1a.conv.symmetric = False
    try:
        assert difference(googlenet, ours, pictures) > 1e-2
    finally:
        ours.trunk.conv1a.conv.symmetric = True


def test_equal_in_float32(googlenet, ours, pictures):
    try:
        assert difference(googlenet.float(), ours.float(), pictures.float()) <= 1e-4
    finally:
        googlenet.double(), ours.double()
