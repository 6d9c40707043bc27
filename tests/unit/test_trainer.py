"""The loop: it learns, it resumes bit for bit, it stops on nonsense, and its rates are the ones declared."""

import itertools
import subprocess
import sys
import typing
from dataclasses import replace

import pytest
import torch
from torch import nn

from harness.core.callbacks import Callback
from harness.core.contract import Schedule
from harness.core.errors import HarnessError
from harness.planning.schedules import named
from harness.training.checkpoint import TrainingState, checkpoints_of, read_newest, restore, save_checkpoint
from harness.training.config import Step, TrainingConfig, TrainingResult
from harness.training.evaluation import clip_loss, reduce_positions
from harness.training.optim import OPTIMIZERS, POLICIES, Plateau, eager, learning_rate
from harness.training.trainer import buffers_restored, reestimate_batch_norm, train

SCHEDULE = Schedule(steps=30, batch=8, base_lr=0.05, policy="one-cycle", checkpoint_every=10)


class Killed(Exception):
    pass


class Kill(Callback):
    """Raises after so many steps, as a kill would."""

    def __init__(self, after):
        self.remaining = after

    def advance(self, count=1, note=""):
        self.remaining -= count
        if self.remaining < 0:
            raise Killed


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


class OnePosition(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return self.body(x)[:, None]


def steps_from(first):
    for number in itertools.count(first):
        x = torch.randn(8, 6, generator=torch.Generator().manual_seed(number))
        yield Step(x, x[:, :3].argmax(1), [f"v{number}-{i}" for i in range(8)])


def config(tmp_path, schedule=SCHEDULE):
    return TrainingConfig(schedule, "cpu", "float32", "job", tmp_path / "job", clip_loss("reduced", "mean"))


def trained(tmp_path, schedule=SCHEDULE, callback=None, **more):
    module = OnePosition(network())
    torch.manual_seed(7)
    module.train()
    result = train(module, steps_from, config(tmp_path, schedule), callback=callback or Callback(), **more)
    return module, result


def test_it_learns(tmp_path):
    module, result = trained(tmp_path, Schedule(steps=300, batch=8, base_lr=0.1, policy="one-cycle"))
    losses = [value for _, name, value in result.curves if name == "train/loss"]
    assert sum(losses[-5:]) / 5 < 0.7 * losses[0]
    module.eval()
    tests = list(itertools.islice(steps_from(10_000), 20))
    right = [(module(step.inputs)[:, 0].argmax(1) == step.labels).float().mean() for step in tests]
    assert sum(right) / len(right) > 0.8


@pytest.mark.parametrize("killed_after", [3, 10, 14, 29])
def test_a_killed_training_ends_bit_for_bit_like_an_unbroken_one(tmp_path, killed_after):
    whole, result = trained(tmp_path / "whole")
    with pytest.raises(Killed):
        trained(tmp_path / "broken", callback=Kill(killed_after))
    resumed, result_again = trained(tmp_path / "broken")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert result.curves == result_again.curves and result.steps == result_again.steps == 30


EVALUATED = Schedule(steps=30, batch=8, base_lr=0.05, policy="plateau", checkpoint_every=10, eval_every=10)


class HeldOut:
    """Held-out losses 1, 2, 3, ...; the evaluation number `killed_at` does not return."""

    def __init__(self, killed_at=None):
        self.calls, self.killed_at = 0, killed_at

    def __call__(self, steps):
        self.calls += 1
        if self.calls == self.killed_at:
            raise Killed
        return float(self.calls)


def test_a_training_killed_in_an_evaluation_resumes_with_that_evaluation(tmp_path):
    whole, result = trained(tmp_path / "whole", EVALUATED, held_out_loss=HeldOut())
    with pytest.raises(Killed):
        trained(tmp_path / "broken", EVALUATED, held_out_loss=HeldOut(killed_at=2))
    assert [path.name for path in checkpoints_of(tmp_path / "broken" / "job")] == ["00000010.ckpt", "00000020.ckpt"]
    held_out = HeldOut()
    held_out.calls = 1
    resumed, result_again = trained(tmp_path / "broken", EVALUATED, held_out_loss=held_out)
    assert all(torch.equal(tensor, resumed.state_dict()[name]) for name, tensor in whole.state_dict().items())
    assert result.curves == result_again.curves and result.drops == result_again.drops


def test_a_finished_evaluation_is_not_repeated(tmp_path):
    with pytest.raises(Killed):
        trained(tmp_path, EVALUATED, callback=Kill(25), held_out_loss=(before := HeldOut()))
    trained(tmp_path, EVALUATED, held_out_loss=(after := HeldOut()))
    assert (before.calls, after.calls) == (2, 1)


def test_a_checkpoint_of_a_machine_with_other_gpus_can_be_resumed(tmp_path, monkeypatch):
    """Eight GPUs when it was written, one when it is read."""
    restored = []
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [torch.tensor([n]) for n in range(8)])
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.tensor([int(device.partition(":")[2])]))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda value, device: restored.append((int(value), device)))
    module = OnePosition(network())
    state = TrainingState(module, torch.optim.SGD(module.parameters(), 0.1), Plateau(1), TrainingResult(steps=4))
    save_checkpoint(replace(config(tmp_path), device="cuda:5"), state)
    here = replace(config(tmp_path), device="cuda")
    restore(read_newest(here.checkpoints, Callback()), here, state)
    assert restored == [(5, "cuda")]


def test_a_torn_checkpoint_is_set_aside_for_the_one_before(tmp_path):
    with pytest.raises(Killed):
        trained(tmp_path, callback=Kill(25))
    newest = checkpoints_of(tmp_path / "job")[-1]
    assert newest.name == "00000020.ckpt"
    newest.write_bytes(newest.read_bytes()[:1000])
    notes = []
    callback = Callback()
    callback.note = notes.append
    resumed, _ = trained(tmp_path, callback=callback)
    whole, _ = trained(tmp_path / "whole")
    assert "cannot be read" in notes[0]
    assert all(torch.equal(t, resumed.state_dict()[n]) for n, t in whole.state_dict().items())


def test_at_most_two_checkpoints_are_kept(tmp_path):
    trained(tmp_path)
    assert [path.name for path in checkpoints_of(tmp_path / "job")] == ["00000020.ckpt", "00000030.ckpt"]


def test_a_loss_that_is_not_finite_stops_and_names_the_videos(tmp_path):
    def poisoned(first):
        for step in steps_from(first):
            yield step._replace(inputs=step.inputs * float("nan"))

    with pytest.raises(HarnessError, match="v0-0.*train.base_lr"):
        train(OnePosition(network()), poisoned, config(tmp_path), callback=Callback())


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_an_optimizer_steps_as_torchs_own(optimizer):
    ended = []
    for kind in (optimizer, eager(optimizer)):
        torch.manual_seed(0)
        layer = nn.Linear(5, 3)
        stepping = kind(layer.parameters(), lr=0.1, weight_decay=0.01)
        for _ in range(3):
            stepping.zero_grad()
            layer(torch.randn(4, 5)).square().sum().backward()
            stepping.step()
            stepping.load_state_dict(stepping.state_dict())
        ended.append(layer.weight.detach())
    assert torch.equal(*ended) and torch.is_grad_enabled()


def test_training_does_not_load_a_compiler():
    program = (
        "import sys, torch\n"
        "from harness.training.optim import eager\n"
        "weight = torch.nn.Parameter(torch.ones(3))\n"
        "for kind in (torch.optim.SGD, torch.optim.AdamW):\n"
        "    optimizer = eager(kind)([weight], lr=0.1)\n"
        "    weight.sum().backward(); optimizer.step(); optimizer.zero_grad(); optimizer.state_dict()\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_name_of_a_schedule_has_its_builder():
    hints = typing.get_type_hints(Schedule)
    assert set(typing.get_args(hints["optimizer"])) == set(OPTIMIZERS)
    assert set(typing.get_args(hints["policy"])) == set(POLICIES)


def test_rates():
    plateau = Schedule(steps=100, batch=1, base_lr=0.1)
    assert [learning_rate(plateau, 50, drops=d) for d in (0, 1, 2)] == pytest.approx([0.1, 0.01, 0.001])
    steps = Schedule(steps=100, batch=1, base_lr=0.1, policy="steps", milestones=(10, 20))
    assert [learning_rate(steps, s) for s in (9, 10, 20)] == pytest.approx([0.1, 0.01, 0.001])
    cycle = Schedule(steps=100, batch=1, base_lr=0.1, policy="one-cycle")
    rates = [learning_rate(cycle, s) for s in range(100)]
    assert rates.index(max(rates)) == 14 and max(rates) == pytest.approx(0.1) and rates[-1] < 1e-4


def test_plateau_drops_after_patience_looks_and_training_ends_after_the_last_drop(tmp_path):
    rule = Plateau(patience=2)
    assert [rule.saturated(v) for v in (1.0, 0.9, 0.95, 0.93, 0.94, 0.96)] == [False, False, False, True, False, True]
    schedule = Schedule(steps=1000, batch=8, base_lr=0.1, policy="plateau", eval_every=5, patience=1)
    _, result = trained(tmp_path, schedule, held_out_loss=lambda steps: 1.0 + steps)
    assert result.drops == [10, 15, 20] and result.steps == 20
    losses = [value for _, name, value in result.curves if name == "held_out/loss"]
    assert losses == [6.0, 11.0, 16.0, 21.0]


def test_a_held_out_loss_that_is_not_finite_ends_the_training(tmp_path):
    schedule = Schedule(steps=10, batch=8, base_lr=0.1, policy="plateau", eval_every=5)
    with pytest.raises(HarnessError, match=r"held-out videos became nan after 5 steps; lower --set train\.base_lr"):
        trained(tmp_path, schedule, held_out_loss=lambda steps: float("nan"))


def test_loss_at_every_position_differs_from_the_reduced_one():
    logits = torch.tensor([[[4.0, 0.0], [0.0, 4.0]]])
    labels = torch.tensor([0])
    assert clip_loss("reduced", "mean")(logits, labels) == pytest.approx(torch.log(torch.tensor(2.0)).item())
    every = clip_loss("every", "last")(logits, labels)
    assert every == pytest.approx(nn.functional.cross_entropy(logits[0], torch.tensor([0, 0])).item())
    assert reduce_positions(logits, "last").tolist() == [[0.0, 4.0]]
    assert reduce_positions(logits, "mean").tolist() == [[2.0, 2.0]]


def test_statistics_that_are_estimated_for_an_evaluation_do_not_stay():
    module = nn.Sequential(nn.BatchNorm1d(4, momentum=0.001), nn.Linear(4, 2)).train()
    module(torch.randn(8, 4) + 3)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with buffers_restored(module):
        reestimate_batch_norm(module, [torch.randn(8, 4) + 3], device="cpu", precision="float32")
        assert not torch.equal(module[0].running_mean, before["0.running_mean"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert module.training and module[0].momentum == 0.001


def test_short_trainings_need_their_batch_norm_reestimated():
    """The trap of field lore: at the released decay, a short training scores at chance in eval mode."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.BatchNorm1d(4, momentum=0.001), nn.Linear(4, 2))
    data = [torch.randn(64, 4) * 3 + 10 for _ in range(20)]
    module.train()
    for batch in data:
        module(batch)
    stale = module[0].running_mean.clone()
    reestimate_batch_norm(module, data, device="cpu", precision="float32")
    assert stale.abs().max() < 1, "the moving mean is still near its start"
    assert (module[0].running_mean - 10).abs().max() < 0.5
    assert module[0].momentum == 0.001 and module.training


def test_checkpoint_holds_only_plain_values(tmp_path):
    """torch.load(weights_only=True) must be able to read it: no pickled code."""
    module = OnePosition(network())
    optimizer = torch.optim.AdamW(module.parameters())
    result = TrainingResult(steps=4, curves=[(1, "a", 2.0)])
    save_checkpoint(config(tmp_path), TrainingState(module, optimizer, Plateau(1), result))
    state = torch.load(tmp_path / "job" / "00000004.ckpt", weights_only=True)
    assert state["trained"]["curves"] == [(1, "a", 2.0)]


def test_the_released_flow_schedule_starts_over():
    """Section D of the facts about the paper: 0.1 to 97k, 0.01 to 104.5k, 0.001 to 115k, 0.1 to 140k, 0.01 to 150k, 0.001."""
    schedule = named("released", ("flow",))
    at = (0, 96_999, 97_000, 104_500, 114_999, 115_000, 139_999, 140_000, 150_000, 154_999)
    rates = [learning_rate(schedule, step) for step in at]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.001, 0.1, 0.1, 0.01, 0.001, 0.001])
    assert [learning_rate(named("released", ("rgb",)), s) for s in (0, 97_000, 108_000)] == pytest.approx(
        [0.1, 0.01, 0.001]
    )
    assert (schedule.steps, schedule.batch // schedule.bn_batch) == (155_000, 64)
