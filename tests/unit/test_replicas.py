"""A step of several replicas: the same whether it is one pass, several in turn, or several processes side by side."""

import itertools
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from harness.core.callbacks import Callback
from harness.core.contract import Listing, Schedule, Video
from harness.core.errors import HarnessError
from harness.jobs import common
from harness.models.activation_checkpointing import recompute_stages
from harness.models.precision import autocast
from harness.training.checkpoint import TrainingState, save_checkpoint
from harness.training.config import Step, TrainingConfig, TrainingResult
from harness.training.evaluation import clip_loss
from harness.training.group import Group
from harness.training.optim import Plateau, make_optimizer
from harness.training.replicas import Replicas
from harness.training.trainer import train

SCHEDULE = Schedule(steps=5, batch=8, base_lr=0.1, policy="constant", checkpoint_every=100)
NETWORKS = {"plain": lambda: [], "norm": lambda: [nn.BatchNorm1d(16)], "dropout": lambda: [nn.Dropout(0.4)]}


class OnePosition(nn.Module):
    def __init__(self, *extra, shift=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(6, 16), *extra, nn.ReLU(), nn.Linear(16, 3)).double()
        with torch.no_grad():
            self.body[0].bias += shift

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


def config_in(folder, schedule):
    return TrainingConfig(
        schedule,
        "cpu",
        "float32",
        "job",
        folder,
        lambda logits, labels: clip_loss("reduced", "mean")(logits.double(), labels),
    )


def trained(folder, schedule, *extra, shift=0.0):
    module = OnePosition(*extra, shift=shift).train()
    result = train(module, passes(schedule), config_in(folder, schedule), callback=Callback())
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


IN_PARTS = replace(SCHEDULE, bn_batch=2)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What two processes return from each function of `SCENARIOS`: (name, rank) -> value."""
    folder = tmp_path_factory.mktemp("pair")
    torch.multiprocessing.spawn(_one_of_two, (folder,), nprocs=2)
    return {(name, rank): torch.load(folder / f"{name}{rank}.pt") for name in SCENARIOS for rank in (0, 1)}


def _one_of_two(rank, folder):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for name, scenario in SCENARIOS.items():
        torch.save(scenario(folder / name), folder / f"{name}{rank}.pt")
    torch.distributed.destroy_process_group()


def train_every_network(folder):
    return {name: trained(folder / name, IN_PARTS, *extra())[0] for name, extra in NETWORKS.items()}


def resume_where_only_the_main_process_sees_the_checkpoint(folder):
    """Neither do both start with the same weights, as on processors of two types."""
    rank = Group.current().rank
    if rank == 0:
        stored = OnePosition()
        state = TrainingState(stored, make_optimizer(stored, IN_PARTS), Plateau(1), TrainingResult(steps=2))
        save_checkpoint(config_in(folder / "0", IN_PARTS), state)
    resumed, result = trained(folder / str(rank), IN_PARTS, shift=rank)
    fresh, _ = trained(folder / f"fresh{rank}", IN_PARTS, shift=rank)
    return resumed, result.samples, fresh


def evaluate_in_shares(folder):
    """(ids that this process reads, held-out loss, ids with their logits, ids that cannot be decoded)."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(common, "expected_count", lambda context: None)
        share = Group.current().share(VIDEOS)
        loss = common.loss_on(CONTEXT, nn.Identity(), views(share), VIDEOS)
        broken = [video.id for video in share if video in BROKEN]
        scores, _ = common.score(CONTEXT, nn.Identity(), views(share), VIDEOS, LISTING, broken)
    ids = [video.id for video in share]
    return ids, loss, dict(zip(scores.ids, scores.logits.tolist(), strict=True)), list(scores.undecodable)


SCENARIOS = {
    function.__name__: function
    for function in (train_every_network, resume_where_only_the_main_process_sees_the_checkpoint, evaluate_in_shares)
}
VIDEOS = [Video(f"v{number}", f"v{number}.avi", number % 3) for number in range(7)]
BROKEN = [VIDEOS[2], VIDEOS[5]]
LISTING = Listing(("a", "b", "c"), {"test": tuple(VIDEOS)})
CONTEXT = SimpleNamespace(
    baseline=SimpleNamespace(reduce="mean"),
    device="cpu",
    eval_precision="float32",
    callback=Callback(),
    spec=SimpleNamespace(subset="test"),
)


def views(videos):
    """One per video, with logits that depend on its number; none of those that cannot be decoded."""
    for video in videos:
        if video not in BROKEN:
            yield torch.tensor([[[float(video.id[1:]), 1.0, 2.0]]]), [video.id]


def test_two_processes_give_what_one_gives(pair, tmp_path):
    for name, alone in train_every_network(tmp_path).items():
        for rank in (0, 1):
            torch.testing.assert_close(pair["train_every_network", rank][name], alone, rtol=0, atol=1e-7)


def test_processes_agree_on_weights_and_on_the_step_that_they_resume_at(pair):
    main, other = (pair["resume_where_only_the_main_process_sees_the_checkpoint", rank] for rank in (0, 1))
    assert main[1] == other[1] == (SCHEDULE.steps - 2) * SCHEDULE.batch
    torch.testing.assert_close(main, other, rtol=0, atol=0)


def test_each_process_evaluates_its_share_and_all_know_the_result(pair):
    every, *alone = evaluate_in_shares(None)
    assert every == list(alone[1]) and alone[2] == ["v2", "v5"]
    (share, *main), (others_share, *other) = (pair["evaluate_in_shares", rank] for rank in (0, 1))
    assert sorted(share + others_share) == every and 3 <= len(share) <= 4
    assert main == other == alone


def test_what_does_not_divide_is_refused():
    with pytest.raises(HarnessError, match=r"batch of 8 .* batch-norm groups of 3"):
        Replicas.of(replace(SCHEDULE, bn_batch=3))


def test_every_pass_falls_to_exactly_one_process():
    shares = [list(Replicas(6, Group(rank, 3)).micro_steps(2, 4)) for rank in range(3)]
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
