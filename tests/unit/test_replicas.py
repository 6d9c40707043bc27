"""A step of several replicas: the same whether it is one pass, several in turn, or several processes side by side."""

import itertools
import os
from dataclasses import replace

import pytest
import torch
from torch import nn

from harness.core.callbacks import Callback
from harness.core.contract import Schedule
from harness.core.errors import HarnessError
from harness.models.activation_checkpointing import recompute_stages
from harness.models.precision import autocast
from harness.training.config import Step, TrainingConfig
from harness.training.evaluation import clip_loss
from harness.training.replicas import Replicas
from harness.training.trainer import train

SCHEDULE = Schedule(steps=5, batch=8, base_lr=0.1, policy="constant", checkpoint_every=100)
NETWORKS = {"plain": lambda: [], "norm": lambda: [nn.BatchNorm1d(16)], "dropout": lambda: [nn.Dropout(0.4)]}


class OnePosition(nn.Module):
    def __init__(self, *extra):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(6, 16), *extra, nn.ReLU(), nn.Linear(16, 3)).double()

    def forward(self, x):
        return self.body(x)[:, None]


def passes(schedule):
    replicas = Replicas.of(schedule)
    size = schedule.batch // replicas.count

    def steps_from(first):
        for number in replicas.micro_steps(first, schedule.steps):
            step, part = divmod(number, replicas.count)
            x = torch.randn(8, 6, generator=torch.Generator().manual_seed(step)).double()
            rows = slice(part * size, (part + 1) * size)
            yield Step(x[rows], x[rows, :3].argmax(1), [f"v{step}-{i}" for i in range(8)][rows])

    return steps_from


def trained(folder, schedule, *extra):
    module = OnePosition(*extra).train()
    config = TrainingConfig(
        schedule,
        "cpu",
        "float32",
        "job",
        folder,
        lambda logits, labels: clip_loss("reduced", "mean")(logits.double(), labels),
    )
    result = train(module, passes(schedule), config, callback=Callback())
    return module.state_dict(), result


def test_two_replicas_of_four_are_one_batch_of_eight(tmp_path):
    whole, result = trained(tmp_path, SCHEDULE)
    halves, result_halves = trained(tmp_path, replace(SCHEDULE, bn_batch=4))
    for name, tensor in whole.items():
        torch.testing.assert_close(halves[name], tensor, rtol=0, atol=1e-7)
    assert [value for *_, value in result.curves] == pytest.approx(
        [value for *_, value in result_halves.curves], abs=1e-6
    )
    assert result.samples == result_halves.samples == 40


def test_batch_norm_is_taken_within_a_replica(tmp_path):
    whole, _ = trained(tmp_path, SCHEDULE, nn.BatchNorm1d(16))
    halves, _ = trained(tmp_path, replace(SCHEDULE, bn_batch=4), nn.BatchNorm1d(16))
    assert (whole["body.0.weight"] - halves["body.0.weight"]).abs().max() > 1e-4


def test_moving_statistics_are_the_mean_over_replicas(tmp_path):
    schedule = replace(SCHEDULE, steps=1, bn_batch=4)
    norm = nn.BatchNorm1d(16)
    state, _ = trained(tmp_path, schedule, norm)
    first = OnePosition().body[0]
    hidden = [first(step.inputs) for step in passes(schedule)(0)]
    expected = sum(0.9 * 0 + 0.1 * h.mean(0) for h in hidden) / 2
    torch.testing.assert_close(state["body.1.running_mean"], expected, rtol=0, atol=1e-7)


def test_two_processes_give_what_one_gives(tmp_path):
    schedule = replace(SCHEDULE, bn_batch=2)
    torch.multiprocessing.spawn(_one_of_two, (tmp_path, schedule), nprocs=2)
    for name, extra in NETWORKS.items():
        alone, _ = trained(tmp_path, schedule, *extra())
        for rank in (0, 1):
            torch.testing.assert_close(torch.load(tmp_path / f"{name}{rank}.pt"), alone, rtol=0, atol=1e-7)


def _one_of_two(rank, folder, schedule):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for name, extra in NETWORKS.items():
        state, _ = trained(folder, schedule, *extra())
        torch.save(state, folder / f"{name}{rank}.pt")
    torch.distributed.destroy_process_group()


def test_what_does_not_divide_is_refused():
    with pytest.raises(HarnessError, match=r"batch of 8 .* batch-norm groups of 3"):
        Replicas.of(replace(SCHEDULE, bn_batch=3))


def test_every_pass_falls_to_exactly_one_process():
    shares = [list(Replicas(6, rank, 3).micro_steps(2, 4)) for rank in range(3)]
    assert sorted(itertools.chain(*shares)) == list(range(12, 24))
    assert shares[1] == [13, 16, 19, 22]


class Stages(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        stage = [
            lambda: nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.ReLU()) for _ in range(3)
        ]
        self.trunk = nn.Sequential(*(make() for make in stage))

    def forward(self, x):
        return self.trunk(x)


def saved_by(forward):
    """(what it gives, how many numbers it keeps for the backward pass)."""
    sizes = []

    def pack(tensor):
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        return forward(), sum(sizes)


def test_recomputing_changes_memory_and_nothing_else():
    x = torch.randn(4, 6)
    results = []
    for again in (False, True):
        network = Stages().train()
        names = list(network.state_dict())
        if again:
            assert recompute_stages(network) == 3
        torch.manual_seed(3)
        loss, saved = saved_by(lambda network=network: network(x).square().sum())
        loss.backward()
        assert list(network.state_dict()) == names
        gradients = {name: p.grad for name, p in network.named_parameters()}
        buffers = {name: b for name, b in network.named_buffers() if "tracked" not in name}
        results.append((gradients, buffers, saved))
    (plain, moving, saved_plain), (again, moving_again, saved_again) = results
    torch.testing.assert_close(again, plain, rtol=0, atol=0)
    torch.testing.assert_close(moving_again, moving, rtol=0, atol=0)
    assert saved_again < saved_plain / 2


def test_recomputing_keeps_to_the_precision_of_each_layer():
    """Two frames under a 3x3x3 kernel: float32 amid bfloat16, the second time too."""
    clips, gradients = torch.randn(4, 16, 2, 3, 3), []
    for again in (False, True):
        torch.manual_seed(0)
        layers = [nn.Sequential(nn.Conv3d(16, 16, 3, padding=1), nn.BatchNorm3d(16)) for _ in range(2)]
        network = nn.Sequential(nn.Sequential(*layers)).train()
        if again:
            assert recompute_stages(network) == 2
        with autocast("cpu", "bfloat16"):
            loss = network(clips).float().square().sum()
        loss.backward()
        gradients.append([p.grad for p in network.parameters()])
    torch.testing.assert_close(*gradients, rtol=0, atol=0)
