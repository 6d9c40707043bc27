"""Weights that a card brings in their own names, of one stream or of a network that reads both."""

from __future__ import annotations

import re
import textwrap

import pytest
import torch
from safetensors.torch import save_file

from harness.core import registry
from harness.core.cells import Selection
from harness.core.contract import BuildSpec
from harness.core.errors import HarnessError, UnknownName
from harness.core.workspace import Workspace
from harness.jobs.restore import open_published
from harness.models import pretrained
from harness.planning.plan import Planner
from harness.planning.selection import cells

PLUGIN = """
from dataclasses import replace

from baselines import two_stream
from harness import Weights

PUBLISHED = Weights("theirs", {stream!r}, "Kinetics", 7, {layout!r}, "https://example.org/w.pth", "MIT", "as ours"{rename})


def build(spec):
    return two_stream.BASELINE.build(replace(spec, scale=replace(spec.scale, width=0.03)))


BASELINE = replace(two_stream.BASELINE, name="own-names", modalities=({stream!r},), build=build, weights=(PUBLISHED,))
"""
RENAMED = ', rename=lambda name: None if name == "epoch" else name.replace("net/", "").replace("/", ".")'


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Function (stream, rename, layout) -> the card of a plug-in with published weights."""

    def write(stream="rgb", rename="", layout="own"):
        (tmp_path / "plugins").mkdir()
        text = PLUGIN.format(stream=stream, rename=rename, layout=layout)
        (tmp_path / "plugins" / "own_names.py").write_text(textwrap.dedent(text))
        monkeypatch.setenv(registry.PLUGINS_ENV, str(tmp_path / "plugins"))
        return registry.load("baseline", "own-names")

    return write


def network_of(card):
    torch.manual_seed(1)
    streams = tuple(card.modalities[0].split("+"))
    network = card.build(BuildSpec(streams, 7, registry.load("scale", "paper")))
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(0.01 * torch.rand_like(tensor))
    return network


@pytest.mark.parametrize("stream", ["rgb", "rgb+flow"])
@pytest.mark.parametrize("rename", ["", RENAMED])
def test_weights_in_their_own_names_are_imported_planned_and_used(plugin, tmp_path, stream, rename):
    card, workspace = plugin(stream, rename), Workspace(data=tmp_path / "data", results=tmp_path / "results")
    network = network_of(card)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    if rename:
        state = {f"net/{name.replace('.', '/')}": tensor for name, tensor in state.items()} | {"epoch": torch.ones(1)}
    save_file(state, tmp_path / "w.safetensors")
    assert "0 missing, 0 unexpected" in pretrained.import_file(
        "theirs", tmp_path / "w.safetensors", workspace, stream=None
    )
    asked = Selection(
        ("own-names",), datasets=("hmdb51",), protocols=("full-ft",), source="published:theirs", inits=("scratch",)
    )
    planner = Planner(workspace, dry_run=True)
    (job_id,) = planner.jobs_of(*cells(asked))
    assert planner.jobs[job_id].spec.pretrained.stream == stream
    scorer = open_published("theirs", card, stream, workspace)
    assert scorer.streams == tuple(stream.split("+"))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, scorer.network.state_dict()[name])


def test_an_unknown_layout_is_named_with_the_known_ones(plugin, tmp_path):
    plugin(layout="ovn")
    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors")
    workspace = Workspace(data=tmp_path / "data", results=tmp_path / "results")
    with pytest.raises(UnknownName, match=re.escape("'ovn'") + ".*did you mean 'own'"):
        pretrained.import_file("theirs", tmp_path / "w.safetensors", workspace, stream=None)


def test_a_tensor_that_fits_nothing_is_refused(plugin, tmp_path):
    card = plugin()
    state = dict(network_of(card).state_dict())
    save_file(
        {name: t.contiguous() for name, t in state.items()} | {"other": torch.ones(1)}, tmp_path / "w.safetensors"
    )
    workspace = Workspace(data=tmp_path / "data", results=tmp_path / "results")
    with pytest.raises(HarnessError, match="unexpected: other"):
        pretrained.import_file("theirs", tmp_path / "w.safetensors", workspace, stream=None)
