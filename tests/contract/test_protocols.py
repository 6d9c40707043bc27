"""What every protocol keeps: it can be planned, and a step of training changes what it trains and nothing else.

pytest tests/contract/test_protocols.py --plugins FOLDER         on yours as well
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from baselines.c3d import BASELINE
from harness.core import registry
from harness.core.cells import Selection
from harness.core.contract import NOTHING, BuildSpec, Protocol
from harness.core.workspace import Workspace
from harness.models.transfer import freeze, freeze_all_but_head
from harness.planning.plan import make_plan
from harness.planning.selection import cells
from harness.protocols.scales.micro import SCALE
from tests.registered import registered

PROTOCOLS: dict[str, Protocol] = registered("protocol")
TRAINING = {name: card for name, card in PROTOCOLS.items() if card.trained != NOTHING}
every_training = pytest.mark.parametrize("card", TRAINING.values(), ids=TRAINING)


def test_the_suite_sees_every_protocol():
    assert {"original", "fixed", "full-ft", "logreg", "as-published", "last-block", "brief"} <= PROTOCOLS.keys()


@pytest.mark.parametrize("card", PROTOCOLS.values(), ids=PROTOCOLS)
def test_the_card_is_consistent(card):
    assert card.title and card.version >= 1
    assert set(card.schedules) <= set(registry.names("scale"))


@every_training
def test_it_is_planned_with_its_own_training_last(card, example_plugins, tmp_path):
    scale = "micro" if not card.schedules or "micro" in card.schedules else next(iter(card.schedules))
    asked = Selection(("c3d",), ("rgb",), ("micro-hmdb51",), protocols=(card.name,), scale=scale)
    plan = make_plan(cells(asked), Workspace(tmp_path / "data", tmp_path / "results"), dry_run=True)
    assert plan.jobs[-1].kind == ("head" if card.trained == "head" else "train")


def network_of_c3d() -> Any:
    torch.manual_seed(0)
    return BASELINE.build(BuildSpec(("rgb",), 3, replace(SCALE, width=0.03)))


@every_training
def test_a_step_changes_what_is_trained_and_nothing_else(card):
    network = network_of_c3d()
    if card.trained == "head":
        freeze_all_but_head(network)
    else:
        freeze(network.train(), card.trained)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    clip = BASELINE.train_clip["micro"]
    trained = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD([network.get_parameter(name) for name in trained], lr=0.5)
    network({"rgb": torch.rand(4, 3, clip.window, clip.side_px, clip.side_px)}).logsumexp(-1).sum().backward()
    optimizer.step()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    modules = {name.rpartition(".")[0] for name in trained}
    assert any(name.startswith("head.") for name in changed)
    assert {name.rpartition(".")[0] for name in changed} <= modules
    assert (len(trained) == len(list(network.parameters()))) == (card.trained == "all")
