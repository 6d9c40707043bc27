"""Contract of every architecture: run on all that are installed, and on a plug-in of the tests.

pytest tests/contract/test_baselines.py --plugins FOLDER         on yours as well
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.core import registry
from harness.core.contract import CHANNELS, MODALITIES, STREAMS, Baseline, BuildSpec, Clip, streams_of
from harness.core.errors import HarnessError
from harness.models.build import place
from harness.models.precision import autocast
from harness.protocols.scales.micro import SCALE as MICRO
from harness.protocols.scales.paper import SCALE as PAPER
from tests.registered import FOLDERS, registered
from tests.tiny_hf import CONFIGS, HERE, REASON, write_config

HUB = Path(tempfile.mkdtemp(prefix="harness-hub-"))
"""Folders of tiny configurations, for the family `hf`."""
TINY = replace(MICRO, width=0.03)
CLASSES = 4
NORM = nn.modules.batchnorm._BatchNorm


def installed() -> dict[str, Baseline]:
    cards = registered("baseline")
    members = {f"{card.name}:{name}": card.at(name) for card in cards.values() if card.at for name in card.members}
    members |= {f"hf:{kind}": cards["hf"].at(str(write_config(HUB / kind, kind))) for kind in CONFIGS if HERE}
    return {name: card for name, card in cards.items() if not card.at} | members


BASELINES = installed()
shutil.rmtree(HUB)
BUILDS = [
    pytest.param(baseline, streams_of(modality), id=f"{name}-{modality}")
    for name, baseline in BASELINES.items()
    for modality in baseline.modalities
    if baseline.combine == "joint" or "+" not in modality
]
every_build = pytest.mark.parametrize("baseline,streams", BUILDS)
every_baseline = pytest.mark.parametrize("baseline", [pytest.param(b, id=name) for name, b in BASELINES.items()])


def build(baseline: Baseline, streams, *, classes=CLASSES, scale=TINY, seed=0) -> nn.Module:
    torch.manual_seed(seed)
    return baseline.build(BuildSpec(tuple(streams), classes, scale))


def clips(streams, clip: Clip, *, number: int, seed: int = 1, device: str = "cpu"):
    torch.manual_seed(seed)
    sizes = {s: (number, CHANNELS[s], clip.frames(s), clip.side_px, clip.side_px) for s in streams}
    return {
        s: torch.empty(size, device="meta") if device == "meta" else torch.rand(size) * 2 - 1
        for s, size in sizes.items()
    }


def head_names(network: nn.Module) -> set[str]:
    return {name for name, _ in network.named_parameters() if name.startswith("head.")}


def reduced(baseline: Baseline, logits: torch.Tensor) -> torch.Tensor:
    return logits[:, -1] if baseline.reduce == "last" else logits.mean(1)


def loss_of(baseline: Baseline, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    if baseline.loss == "every":
        return F.cross_entropy(logits.flatten(0, 1), labels.repeat_interleave(logits.shape[1]))
    return F.cross_entropy(reduced(baseline, logits), labels)


# ------------------------------------------------------------------------------------------------ cards


def test_the_suite_sees_every_network_and_the_plug_in():
    assert {"convnet-lstm", "c3d", "two-stream", "fused-3d", "i3d", "first-last"} <= BASELINES.keys()
    assert {"i3d-r50", "i3d-r50-nl", "tsn", "per-frame", "space-time"} <= BASELINES.keys()
    assert len(BUILDS) >= 28 and len([name for name in BASELINES if name.startswith("torchvision:")]) == 9


@pytest.mark.skipif(not HERE, reason=REASON)
def test_the_suite_sees_every_kind_of_classifier_of_transformers():
    assert {f"hf:{kind}" for kind in CONFIGS} <= BASELINES.keys() and len(CONFIGS) == 4


@every_baseline
def test_the_card_is_consistent(baseline):
    assert baseline.modalities and set(baseline.modalities) <= set(MODALITIES)
    assert baseline.inits and set(baseline.inits) <= {"imagenet", "scratch"}
    assert (baseline.build_image is not None) == ("imagenet" in baseline.inits) == (baseline.bootstrap is not None)
    assert bool(baseline.image_name) == ("imagenet" in baseline.inits)
    assert baseline.train_clip.keys() == baseline.test_clip.keys() and baseline.train_clip
    for clip in (*baseline.train_clip.values(), *baseline.test_clip.values()):
        assert clip.window > 0 and clip.side_px > 0 and clip.count > 0 and set(clip.strides) <= set(STREAMS)
        assert not (clip.dense and (clip.count > 1 or clip.crops > 1))
    assert baseline.title and baseline.paper and baseline.version >= 1
    assert all(question and answer for question, answer in baseline.choices.items())
    for name, stages in baseline.schedules.items():
        scale = registry.load("scale", name)
        assert stages.keys() <= scale.stages.keys() and baseline.adapted(scale).stages == {**scale.stages, **stages}


def test_cards_are_read_without_torch():
    program = "import sys\nfrom harness.core import registry\nregistry.all('baseline')\nassert 'torch' not in sys.modules, 'torch'"
    environment = os.environ | {registry.PLUGINS_ENV: FOLDERS}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2], env=environment)


def test_a_card_holds_values_only():
    assert all(
        field.default is not None or field.name in ("build_image", "bootstrap", "at") for field in fields(Baseline)
    )


# ------------------------------------------------------------------------------------------------ the three questions


@every_build
def test_features_head_and_forward(baseline, streams):
    network = build(baseline, streams).eval()
    for clip in (baseline.train_clip["micro"], baseline.test_clip["micro"]):
        inputs = clips(streams, clip, number=2)
        with torch.no_grad():
            features = network.features(inputs)
            assert features.dim() == 3 and len(features) == 2 and features.dtype == torch.float32
            logits = network(inputs)
            assert logits.shape == (*features.shape[:2], CLASSES)
            torch.testing.assert_close(network.head(features), logits)


@every_build
def test_the_papers_clips_fit_the_papers_network(baseline, streams):
    with torch.device("meta"):
        network = baseline.build(BuildSpec(streams, 51, PAPER))
    for clip in (baseline.train_clip["paper"], baseline.test_clip["paper"]):
        logits = network(clips(streams, clip, number=2, device="meta"))
        assert logits.dim() == 3 and logits.shape[::2] == (2, 51)


@every_build
def test_under_bfloat16_gradients_point_where_they_did(baseline, streams):
    """Kernel by kernel, with statistics fixed: what batch norm makes of eight clips depends on their last bits. All of one
    class, or gradients are differences of nearly equal numbers."""
    gradients = []
    for precision in ("float32", "bfloat16"):
        network = place(build(baseline, streams).eval(), "cpu")
        with autocast("cpu", precision):
            logits = network(clips(streams, baseline.train_clip["micro"], number=8))
        loss_of(baseline, logits.float(), torch.zeros(8, dtype=torch.long)).backward()
        gradients.append([p.grad.flatten() for p in network.parameters() if p.grad is not None and p.ndim > 1])
    assert all(torch.isfinite(rounded).all() for rounded in gradients[1])
    likeness = [
        float(F.cosine_similarity(whole, rounded, dim=0))
        for whole, rounded in zip(*gradients, strict=True)
        if whole.norm() > 0
    ]
    assert min(likeness) > 0.4 and sum(likeness) / len(likeness) > 0.95


@every_build
def test_a_new_head_changes_the_head_alone(baseline, streams):
    network = build(baseline, streams)
    before = copy.deepcopy(network.state_dict())
    assert head_names(network)
    network.new_head(CLASSES + 3)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before if not name.startswith("head."))
    assert network.eval()(clips(streams, baseline.train_clip["micro"], number=2)).shape[-1] == CLASSES + 3


@every_build
def test_every_trainable_parameter_gets_a_gradient(baseline, streams):
    """What a scale of zero holds back at the start, a residual branch or a non-local block, gets its own after one step."""
    network = build(baseline, streams).train()
    inputs = clips(streams, baseline.train_clip["micro"], number=4)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    idle = {name for name, p in network.named_parameters() if p.requires_grad}
    held_back = any(not p.any() for name, p in network.named_parameters() if name.endswith("bn.weight"))
    for _ in range(2 if held_back else 1):
        optimizer.zero_grad()
        loss_of(baseline, network(inputs), torch.tensor([0, 1, 2, 3])).backward()
        idle -= {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.requires_grad)
        optimizer.step()
    assert not idle


@every_build
def test_eval_mode_scores_each_clip_by_itself_and_moves_nothing(baseline, streams):
    network = build(baseline, streams)
    network.train()(clips(streams, baseline.train_clip["micro"], number=4))
    before = copy.deepcopy(network.eval().state_dict())
    batch = clips(streams, baseline.test_clip["micro"], number=3, seed=2)
    with torch.no_grad():
        together = network(batch)
        alone = torch.cat([network({s: x[i : i + 1] for s, x in batch.items()}) for i in range(3)])
        order = torch.tensor([2, 0, 1])
        shuffled = network({s: x[order] for s, x in batch.items()})
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together[order], shuffled, atol=1e-4, rtol=1e-4)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@every_build
def test_accumulating_two_by_four_is_eight_at_once(baseline, streams):
    """With batch-norm statistics held still, which a batch's size would change; float64."""
    network = build(baseline, streams).double()
    batch = {s: x.double() for s, x in clips(streams, baseline.train_clip["micro"], number=8).items()}
    network.train()(batch)
    network.eval()
    labels = torch.arange(8) % CLASSES

    def gradients(parts):
        network.zero_grad()
        for part in parts:
            share = {s: x[part] for s, x in batch.items()}
            (loss_of(baseline, network(share), labels[part]) * len(labels[part]) / 8).backward()
        return {name: p.grad.clone() for name, p in network.named_parameters() if p.requires_grad}

    whole, halves = gradients([slice(0, 8)]), gradients([slice(0, 4), slice(4, 8)])
    for name, gradient in whole.items():
        torch.testing.assert_close(halves[name], gradient, atol=1e-10, rtol=1e-8, msg=name)


@every_build
def test_the_state_survives_a_file(baseline, streams, tmp_path):
    from safetensors.torch import load_file, save_file

    network, other = build(baseline, streams), build(baseline, streams, seed=9)
    network.train()(clips(streams, baseline.train_clip["micro"], number=4))
    save_file({name: t.contiguous() for name, t in network.state_dict().items()}, tmp_path / "w.safetensors")
    other.load_state_dict(load_file(tmp_path / "w.safetensors"))
    inputs = clips(streams, baseline.test_clip["micro"], number=2)
    with torch.no_grad():
        assert torch.equal(network.eval()(inputs), other.eval()(inputs))


@every_build
def test_the_same_seed_gives_the_same_network(baseline, streams):
    first, second, third = (build(baseline, streams, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], third[name]) for name in first)


# ------------------------------------------------------------------------------------------------ images

BOOTSTRAPPED = [parameter for parameter in BUILDS if "imagenet" in parameter.values[0].inits]


@pytest.mark.parametrize("baseline,streams", BOOTSTRAPPED)
def test_bootstrapping_fills_the_trunks_from_the_image_network_strictly(baseline, streams):
    spec = BuildSpec(streams, CLASSES, TINY)
    torch.manual_seed(3)
    image = baseline.build_image(BuildSpec(("rgb",), 9, TINY))
    picture = {"rgb": torch.rand(2, 3, 1, 48, 48)}
    assert image.train()(picture).shape == (2, 1, 9)
    network, untouched = build(baseline, streams), build(baseline, streams)
    state = image.state_dict()
    baseline.bootstrap(network, state, spec)
    means = {name.rsplit(".", 1)[0] for name in state if name.endswith("running_mean")}
    filled = network.state_dict()
    for name in means:
        copies = [ours for ours in filled if ours.endswith(f"{name.removeprefix('trunk.')}.running_mean")]
        assert len(copies) == len(streams), name
        assert all(torch.equal(filled[ours], state[f"{name}.running_mean"]) for ours in copies)
    same = [
        n
        for n, p in network.named_parameters()
        if torch.equal(p, untouched.get_parameter(n)) and n.endswith("conv.weight")
    ]
    assert not same, "a convolution was left at its random start"
    assert all(
        torch.equal(p, untouched.get_parameter(n)) for n, p in network.named_parameters() if n.startswith("head.")
    )
    layer = next(name for name in state if name.startswith("trunk."))
    with pytest.raises(HarnessError, match=re.escape(layer.removeprefix("trunk."))):
        baseline.bootstrap(network, {name: tensor for name, tensor in state.items() if name != layer}, spec)


@pytest.mark.parametrize("baseline,streams", BOOTSTRAPPED)
def test_a_timm_backbone_takes_the_place_of_inception(baseline, streams):
    spec = BuildSpec(streams, CLASSES, TINY, backbone="timm/resnet10t")
    if baseline.image_name != "inception-v1":
        for make in (baseline.build, baseline.build_image):
            with pytest.raises(HarnessError, match="leave out --backbone"):
                make(spec)
        return
    network, image = baseline.build(spec), baseline.build_image(replace(spec, streams=("rgb",)))
    baseline.bootstrap(network, image.state_dict(), spec)
    inputs = clips(streams, baseline.train_clip["micro"], number=2)
    loss = loss_of(baseline, network.train()(inputs), torch.tensor([0, 1]))
    loss.backward()
    assert all(p.grad is not None for p in network.parameters())
