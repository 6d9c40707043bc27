"""A protocol's decisions: what is not understood is refused, and what a protocol trains is what it says."""

import dataclasses

import pytest
import torch
from torch import nn

from baselines.parts.network import LinearHead, WithHead
from harness.core import registry
from harness.core.cells import Selection
from harness.core.contract import Protocol, Schedule
from harness.core.errors import HarnessError
from harness.models.transfer import freeze
from harness.planning.selection import cells

GOOD = Protocol(name="mine", title="Mine", weights_from="source", trained="all", stage="full-ft")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trained": "last-block"}, "trained must be 'all', 'head' or 'last-N', such as 'last-1'; got 'last-block'"),
        ({"trained": "last-0"}, "trained must be"),
        ({"weights_from": "kinetics"}, "weights_from must be 'init' or 'source'; got 'kinetics'"),
        ({"trained": "head"}, "head must be the name of a head"),
        ({"head": "linear"}, "head must be"),
        ({"stage": ""}, "stage must be the key of a schedule"),
        ({"train_views": 0}, "train_views must be 1 or more; got 0"),
    ],
)
def test_a_decision_that_is_not_understood_is_refused(change, message):
    with pytest.raises(HarnessError, match=f"protocol 'mine': {message}"):
        dataclasses.replace(GOOD, **change)


def test_a_stage_that_has_no_schedule_is_refused_while_planning(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from harness import Protocol\n"
        "PROTOCOL = Protocol(name='mine', title='M', weights_from='source', trained='all', stage='nostage')\n"
    )
    monkeypatch.setenv(registry.PLUGINS_ENV, str(tmp_path))
    asked = Selection(datasets=("micro-hmdb51",), protocols=("mine",))
    with pytest.raises(HarnessError, match="'nostage', which scale 'micro' does not have.*schedules={'micro'"):
        cells(asked)


def test_the_schedule_of_a_protocol_comes_before_the_scales():
    from harness.planning.overrides import with_schedules

    own = Schedule(steps=3, batch=2, base_lr=0.5)
    scale = with_schedules(registry.load("scale", "micro"), dataclasses.replace(GOOD, schedules={"micro": own}))
    assert scale.stages["full-ft"] == own
    assert (
        with_schedules(registry.load("scale", "paper"), dataclasses.replace(GOOD, schedules={"micro": own})).stages[
            "full-ft"
        ]
        == registry.load("scale", "paper").stages["full-ft"]
    )


class Three(WithHead):
    """Three blocks of convolution and batch norm."""

    def __init__(self) -> None:
        super().__init__(lambda classes: LinearHead(4, classes, dropout=0.0), 2)
        blocks = [nn.Sequential(nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4), nn.ReLU()) for _ in range(3)]
        self.trunk = nn.Sequential(*blocks)

    def features(self, clips):
        return self.trunk(clips).transpose(1, 2)


def test_frozen_blocks_have_no_gradient_and_no_moving_statistics():
    torch.manual_seed(0)
    network = Three()
    freeze(network, "last-1")
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        network.zero_grad()
        network(torch.randn(8, 4, 5)).square().mean().backward()
        optimizer.step()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.split(".")[0] for name in changed} == {"trunk", "head"}
    assert {name.split(".")[1] for name in changed if name.startswith("trunk")} == {"2"}
    assert any("running_mean" in name for name in changed)


def test_more_blocks_than_there_are_cannot_be_trained():
    with pytest.raises(HarnessError, match="the network has 3 blocks; train that many at most"):
        freeze(Three(), "last-4")
