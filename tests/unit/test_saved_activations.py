"""A training pass that saves less for its backward pass: the same numbers, bit for bit, from half the memory."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from baselines.parts.inception import ConvBN, Mixed, Style
from harness.core import registry
from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.core.contract import CHANNELS, BuildSpec, Schedule
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.jobs.context import JobContext
from harness.jobs.options import JobOptions
from harness.models import build, measure, saved_activations
from harness.models.activation_checkpointing import recompute_stages
from harness.models.precision import autocast
from harness.models.saved_activations import recompute_cheap_activations
from tests.specs import train_spec

MICRO = registry.load("scale", "micro")
PAPER = registry.load("scale", "paper")
NETWORKS = [("i3d", ("rgb",)), ("c3d", ("rgb",)), ("two_stream", ("flow",)), ("fused_3d", ("rgb", "flow"))]


def tensors_of(network):
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    return gradients | dict(network.state_dict(keep_vars=False))


def trained(name, streams, context, steps=3):
    """(losses, gradients and weights) after steps on random clips of the micro scale's sizes."""
    card = registry.load("baseline", name)
    torch.manual_seed(0)
    network = build.place(build.build(card, BuildSpec(streams, 5, MICRO)), "cpu").train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    clip, losses = card.train_clip["micro"], []
    for _ in range(steps):
        clips = {
            stream: torch.rand(2, clip.frames(stream), clip.side_px, clip.side_px, CHANNELS[stream]).permute(
                0, 4, 1, 2, 3
            )
            for stream in streams
        }
        optimizer.zero_grad(set_to_none=True)
        with context():
            logits = network(clips)
        loss = F.cross_entropy(logits.mean(1), torch.tensor([0, 1]))
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses, tensors_of(network)


@pytest.mark.parametrize(("name", "streams"), NETWORKS)
def test_losses_gradients_and_statistics_are_the_same_bit_for_bit(name, streams):
    plain, less = (trained(name, streams, context) for context in (contextlib.nullcontext, recompute_cheap_activations))
    torch.testing.assert_close(less, plain, rtol=0, atol=0, equal_nan=False)


def saved_bytes(monkeypatch, forward):
    """Bytes that a forward pass saves within `recompute_cheap_activations`, parameters and buffers not counted."""
    sizes = {}
    keep = saved_activations._Recorder.pack

    def spy(recorder, tensor):
        packed = keep(recorder, tensor)
        for kept in tensors_in(packed):
            sizes[kept.untyped_storage()._cdata] = kept
        return packed

    monkeypatch.setattr(saved_activations._Recorder, "pack", spy)
    with recompute_cheap_activations():
        result = forward()
    monkeypatch.undo()
    del result
    return {key: tensor.untyped_storage().nbytes() for key, tensor in sizes.items()}


def tensors_in(packed):
    """The tensors that a packed value holds: itself, narrow positions, or the sources of a recipe."""
    if isinstance(packed, saved_activations._Whole):
        return [packed.tensor]
    if isinstance(packed, saved_activations._Narrow):
        return [packed.positions]
    own = [value for value in getattr(packed.function, "args", ()) if isinstance(value, torch.Tensor)]
    return own + [tensor for source in packed.sources for tensor in tensors_in(source)]


def test_i3d_saves_half_as_much(monkeypatch):
    with torch.device("meta"):
        network = registry.load("baseline", "i3d").build(BuildSpec(("rgb",), 400, PAPER)).train()
        clips = {"rgb": torch.empty(1, 3, 64, 224, 224)}
        before = measure.training_bytes(network, clips)
        own = {tensor.untyped_storage()._cdata for tensor in (*network.parameters(), *network.buffers())}
        sizes = saved_bytes(monkeypatch, lambda: network(clips))
    after = sum(size for key, size in sizes.items() if key not in own)
    assert after < before / 2, f"{after / 2**20:.0f} of {before / 2**20:.0f} MiB"


class Layers(nn.Module):
    """Two convolutions; `between` changes the activation that the second one saves, `before` what ReLU reads."""

    def __init__(self, between=lambda x: x, before=lambda x: x):
        super().__init__()
        self.between, self.before = between, before
        self.first, self.norm, self.second = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3)

    def forward(self, x):
        return self.second(self.between(F.relu(self.before(self.norm(self.first(x))))))


def gradients(network, context, *, passes=1):
    torch.manual_seed(1)
    with context():
        loss = network(torch.randn(2, 3, 8, 8)).square().sum()
    for _ in range(passes):
        loss.backward(retain_graph=True)
    return [parameter.grad for parameter in network.parameters()]


@pytest.mark.parametrize(
    "between",
    [
        lambda x: x * x,
        lambda x: x.flip(0),
        lambda x: x[:, :8],
        lambda x: torch.cat([x[:, :4], x[:, 4:]], 1),
        lambda x: F.max_pool2d(x, 3, 1, 1) + F.pad(x, [1, 0, 1, 0])[..., 1:, 1:],
        lambda x: F.pad(F.pad(x, [1, 1]), [-1, -1]),
        lambda x: torch.cat([x, x], 1)[:, 4:12] + x,
    ],
)
@pytest.mark.parametrize("passes", [1, 2])
def test_whatever_follows_the_activation_its_gradient_is_the_same(between, passes):
    results = []
    for context in (contextlib.nullcontext, recompute_cheap_activations):
        torch.manual_seed(0)
        results.append(gradients(Layers(between), context, passes=passes))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)


@pytest.mark.parametrize("before", [lambda x: x.add_(1), lambda x: x.mul(2), lambda x: x.relu_(), torch.sigmoid])
def test_a_result_that_was_changed_in_place_is_not_taken_for_the_original(before):
    results = []
    for context in (contextlib.nullcontext, recompute_cheap_activations):
        torch.manual_seed(0)
        results.append(gradients(Layers(before=before), context))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    "saved", [lambda x: x.pow(2), torch.sigmoid, nn.BatchNorm2d(3), lambda x: F.pad(x, [1, 1]).pow(2)]
)
@pytest.mark.parametrize("of", ["the result", "its input"])
def test_a_saved_tensor_that_is_changed_later_is_an_error_and_never_a_wrong_gradient(saved, of):
    weight = torch.ones(2, 3, 4, 4, requires_grad=True)
    outcomes = []
    for context in (contextlib.nullcontext, recompute_cheap_activations):
        weight.grad = None
        with context():
            x = weight * 2
            y = saved(x)
            (y if of == "the result" else x).add_(1)
        try:
            y.sum().backward()
        except (RuntimeError, HarnessError) as error:
            outcomes.append("in" in str(error) and "place" in str(error))
        else:
            outcomes.append(weight.grad.tolist())
    assert outcomes[0] == outcomes[1]


def test_a_clip_that_is_changed_after_it_was_padded_is_an_error():
    clip, kernel = torch.ones(1, 3, 4, 4), torch.ones(2, 3, 3, 3, requires_grad=True)
    with recompute_cheap_activations():
        y = F.conv2d(F.pad(clip, [0, 1, 0, 1]), kernel)
        clip.add_(1)
    with pytest.raises(HarnessError, match=r"\(1, 3, 4, 4\).*in place; remove"):
        y.sum().backward()


@pytest.mark.parametrize(
    ("pool", "size"), [(F.max_pool2d, (4, 500, 300)), (F.max_pool3d, (2, 9, 200, 300)), (F.max_pool2d, (1, 1, 5, 5))]
)
def test_positions_of_pools_keep_their_values(pool, size):
    grads = []
    for context in (contextlib.nullcontext, recompute_cheap_activations):
        torch.manual_seed(0)
        x = torch.randn(size, requires_grad=True)
        with context():
            y = pool(x, 3, 2, 1)
        y.square().sum().backward()
        grads.append(x.grad)
    torch.testing.assert_close(grads[1], grads[0], rtol=0, atol=0)


def test_a_view_of_the_same_size_is_not_taken_for_the_activation():
    torch.manual_seed(0)
    numbers, grads = torch.randn(5, 5), []
    for context in (contextlib.nullcontext, recompute_cheap_activations):
        norm = nn.BatchNorm1d(5)
        with context():
            y = F.relu(norm(numbers))
            z = y @ y.t()
        z[0].sum().backward()
        grads.append(norm.weight.grad)
    torch.testing.assert_close(grads[1], grads[0], rtol=0, atol=0)


def test_bfloat16_and_float32_side_by_side():
    """Two inception modules on two frames; convolutions whose every output sees padding are computed in float32."""
    results = []
    for context in (contextlib.nullcontext, recompute_cheap_activations):
        torch.manual_seed(0)
        modules = [Mixed(size, (8, 8, 8, 8, 8, 8), style=Style(3)) for size in (8, 32)]
        network = nn.Sequential(ConvBN(3, 8, style=Style(3), kernel=3), *modules).train()
        with context(), autocast("cpu", "bfloat16"):
            loss = network(torch.randn(2, 3, 2, 5, 5)).float().square().sum()
        loss.backward()
        results.append(tensors_of(network))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)


def test_the_activation_is_freed_after_the_forward_pass():
    network, alive = Layers(), []
    network.second.register_forward_pre_hook(
        lambda module, inputs: alive.append(
            torch.multiprocessing.reductions.StorageWeakRef(inputs[0].untyped_storage())
        )
    )
    for context, freed in ((contextlib.nullcontext, False), (recompute_cheap_activations, True)):
        with context():
            result = network(torch.randn(2, 3, 8, 8))
        assert alive.pop().expired() is freed
        del result


def test_a_dropped_graph_frees_what_its_recipes_hold():
    network = Layers()
    held = []
    network.norm.register_forward_pre_hook(
        lambda module, inputs: held.append(torch.multiprocessing.reductions.StorageWeakRef(inputs[0].untyped_storage()))
    )
    with recompute_cheap_activations():
        result = network(torch.randn(2, 3, 8, 8))
    assert not held[0].expired()
    del result
    assert held[0].expired()


def test_frozen_layers_keep_their_statistics_and_gradients():
    results = []
    for context in (contextlib.nullcontext, recompute_cheap_activations):
        torch.manual_seed(0)
        network = Layers().train()
        network.norm.eval()
        network.norm.requires_grad_(False)
        results.append((gradients(network, context), network.norm.running_mean))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)


def test_activation_checkpointing_decides_within_its_stages(monkeypatch):
    """Its stages' activations are no recipes, which would hold what it drops."""
    scale = dataclasses.replace(MICRO, dropout=0.0)
    clips, results = {"rgb": torch.rand(1, 3, 16, 48, 48)}, []
    for context in (contextlib.nullcontext, recompute_cheap_activations):
        torch.manual_seed(0)
        network = build.build(registry.load("baseline", "i3d"), BuildSpec(("rgb",), 5, scale)).train()
        recompute_stages(network)
        with context():
            loss = network(clips).square().sum()
        loss.backward()
        results.append(tensors_of(network))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
    less = sum(saved_bytes(monkeypatch, lambda: network(clips)).values())
    assert 0 < less <= measure.training_bytes(network, clips)


@pytest.mark.parametrize(("scale", "saves_less"), [("paper", True), ("micro", False)])
def test_only_trainings_on_large_clips_save_less(tmp_path: Path, scale: str, saves_less: bool) -> None:
    job = Job(train_spec(scale, train_clip=registry.load("baseline", "i3d").train_clip[scale]), "a training")
    context = JobContext(job, JobOptions(Workspace(tmp_path, tmp_path)), Callback())
    config = context.training_config(Schedule(1, 1, 0.1), lambda logits, labels: logits.sum())
    assert config.recompute_activations is saves_less
