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
OWN = Schedule(steps=3, batch=2, base_lr=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trained": "last-block"}, "trained must be 'all', 'head', 'nothing' or 'last-N', such as 'last-1'; got 'last-block'"),
        ({"trained": "last-0"}, "trained must be"),
        ({"weights_from": "kinetics"}, "weights_from must be 'init' or 'source'; got 'kinetics'"),
        ({"trained": "head"}, "head must be the name of a head"),
        ({"head": "linear"}, "head must be"),
        ({"stage": ""}, "stage must be the key of a schedule"),
        ({"train_views": 0}, "train_views must be 1 or more; got 0"),
        ({"train_views": 3}, "train_views must be 1 where trained is not 'head'; got 3"),
        ({"trained": 3}, "trained must be a text in quotes; got 3"),
        ({"trained": "head", "head": "linear", "train_views": 2.5}, "train_views must be a whole number; got 2.5"),
        ({"order": None}, "order must be a whole number; got None"),
        ({"pre_training": "yes"}, "pre_training must be True or False; got 'yes'"),
        ({"pre_training": True}, "pre_training must be False where weights_from is 'source'"),
        ({"schedules": 5}, "schedules must be a mapping; got 5"),
        ({"schedules": {"micro": {"steps": 3}}}, r"schedules\['micro'\] must be a Schedule; got {'steps': 3}"),
        ({"schedules": {"micro": OWN}, "trained": "head", "head": "logreg", "stage": ""}, "schedules must be {} where stage is ''"),
        ({"schedules": {"micro": dataclasses.replace(OWN, steps=-1)}}, r"schedules\['micro'\].steps must be 0 or more; got -1"),
        ({"schedules": {"micro": dataclasses.replace(OWN, batch="2")}}, r"schedules\['micro'\].batch must be a whole number; got '2'"),
        ({"schedules": {"micro": dataclasses.replace(OWN, optimizer="adam")}}, r"schedules\['micro'\].optimizer must be 'sgd' or 'adamw'; got 'adam'"),
    ],
)  # fmt: skip
def test_a_decision_that_is_not_understood_is_refused(change, message):
    with pytest.raises(HarnessError, match=f"protocol 'mine': {message}"):
        dataclasses.replace(GOOD, **change)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("trained='all', stage='nostage'", "'nostage', which scale 'micro' does not have.*schedules={'micro'"),
        ("trained='all', stage='mine', schedules={'mikro': Schedule(steps=1, batch=1, base_lr=1)}",
         "protocol 'mine': schedules: no scale 'mikro'; have: micro, paper; did you mean 'micro'"),
        ("trained='head', head='lineer'", "protocol 'mine': no head 'lineer'; have: .*linear, logreg.*; did you mean 'linear'"),
        ("trained='head', head='linear'", "stage is '', but the head 'linear' is trained in steps: set stage to the key"),
        ("trained='head', head='logreg', stage='fixed'", "stage is 'fixed', but the head 'logreg' follows no schedule"),
        ("trained='all', stage='full-ft', trained_blocks=1", "mine.py, line 2, cannot be read: TypeError"),
        ("trained='last-block', stage='full-ft'", "mine.py, line 2, cannot be read: protocol 'mine': trained must be"),
    ],
)  # fmt: skip
def test_a_name_that_does_not_exist_is_refused_while_planning(fields, message, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        f"from harness import Protocol, Schedule\nPROTOCOL = Protocol(name='mine', title='M', weights_from='source', {fields})\n"
    )
    monkeypatch.setenv(registry.PLUGINS_ENV, str(tmp_path))
    asked = Selection(datasets=("micro-hmdb51",), protocols=("mine",))
    with pytest.raises(HarnessError, match=message):
        cells(asked)


def test_the_schedule_of_a_protocol_comes_before_the_scales():
    from harness.planning.overrides import with_schedules

    scale = with_schedules(registry.load("scale", "micro"), dataclasses.replace(GOOD, schedules={"micro": OWN}))
    assert scale.stages["full-ft"] == OWN
    assert (
        with_schedules(registry.load("scale", "paper"), dataclasses.replace(GOOD, schedules={"micro": OWN})).stages[
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
