"""facebookresearch/pytorchvideo's i3d_r50 with the same weights: equal logits.

    pip install --no-deps --target pytorchvideo pytorchvideo fvcore iopath yacs portalocker termcolor parameterized
    HARNESS_PYTORCHVIDEO=pytorchvideo pytest -m parity tests/parity

Its published weights are not needed: both networks get random ones.
"""

from __future__ import annotations

import os
import sys

import pytest
import torch
from torch import nn

from baselines import i3d_r50
from harness.core.contract import BuildSpec
from harness.models import importing
from harness.protocols.scales.paper import SCALE as PAPER

FOLDER = "HARNESS_PYTORCHVIDEO"

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def peer() -> nn.Module:
    folder = os.environ.get(FOLDER)
    if not folder:
        pytest.skip(f"needs pytorchvideo in a folder; point {FOLDER} at it")
    sys.path.append(folder)
    from pytorchvideo.models.hub import i3d_r50 as build

    torch.manual_seed(0)
    network = build(pretrained=False).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


def test_logits_of_a_clip(peer):
    network = i3d_r50.BASELINE.build(BuildSpec(("rgb",), 400, PAPER)).eval()
    state, report = importing.convert(peer.state_dict(), target=network.state_dict())
    assert report.layout == "pytorchvideo" and report.complete
    network.load_state_dict(state)
    clip = torch.rand(1, 3, 8, 224, 224)
    with torch.no_grad():
        expected = peer((clip - 0.45) / 0.225)
        logits = network({"rgb": clip * 2 - 1})[:, 0]
        assert expected.std() > 1
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
        network.trunk.pixels.standard[0] += 0.1
        wrong = network({"rgb": clip * 2 - 1})[:, 0]
    assert (wrong - expected).abs().max() > 1e-3 * expected.abs().max(), "a wrong mean must show"
