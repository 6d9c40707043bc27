"""`python -m benchmarks` on a GPU, with pretended tensors on it, since no GPU is needed to mix up devices."""

import json

import click
import pytest
import torch
from click.testing import CliRunner
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from benchmarks.__main__ import main
from benchmarks.gpu import command
from benchmarks.ratios import loops, measure, worker
from benchmarks.ratios.case import Case
from benchmarks.ratios.suites import builder
from harness.core.errors import HarnessError
from tests.unit.test_bench import paired


class Numbers(TorchFunctionMode):
    """Pretended tensors have no values: every number read from one is 1."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return 1.0 if func in (torch.Tensor.item, torch.Tensor.__float__) else func(*args, **(kwargs or {}))


class OnlyHead(torch.nn.Module):
    def __init__(self, device):
        super().__init__()
        self.head = torch.nn.Sequential()
        self.head.fc = torch.nn.Linear(8, 400, device=device)

    def features(self, inputs):
        return inputs["rgb"]


@pytest.mark.parametrize("name", ["loop", "bare loop", "fixed, cached", "fixed, uncached"])
def test_every_tensor_of_a_case_is_on_its_device(monkeypatch, name):
    monkeypatch.setattr(loops, "placed", lambda case: OnlyHead(case.device))
    monkeypatch.setattr(loops, "clips", lambda case, device: {"rgb": torch.ones(case.batch, 1, 8, device=device)})
    monkeypatch.setattr(loops, "EPOCHS", 2)
    monkeypatch.setattr(torch.Tensor, "backward", lambda loss: None)  # which needs a real GPU
    used = set()

    class Devices(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and func is torch.nn.functional.linear:
                used.add(result.device.type)
            return result

    with Numbers(), FakeTensorMode(), Devices():
        builder(name)(Case(name, device="cuda", size=2, batch=2)).step()
    assert used == {"cuda"}


@pytest.mark.parametrize(("precision", "tf32"), [("float32", False), ("bfloat16", True)])
def test_float32_is_as_exact_as_in_jobs(monkeypatch, precision, tf32):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", not tf32)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    worker.configure(Case("training", precision=precision, threads=torch.get_num_threads()))
    assert torch.backends.cudnn.allow_tf32 is tf32


def test_a_pair_that_fails_does_not_stop_the_others(tmp_path, monkeypatch):
    def measured(pair, rounds):
        if "linear head" in pair.name:
            raise HarnessError("exited with 1")
        return paired(pair.name)

    monkeypatch.setattr(measure, "measure_pair", measured)
    words = ["--quick", "--only", "loop,startup", "--results", str(tmp_path)]
    done = CliRunner().invoke(main, words, standalone_mode=False)
    assert done.return_value == 1
    assert "harness --help" in done.stdout and "failed: 200 steps of a linear head" in done.stderr
    assert "linear head" not in done.stdout


def rehearse(suite, folder, *only):
    """(exit status, values) of `python -m benchmarks gpu SUITE` on the CPU at tiny shapes."""
    words = ["gpu", suite, "--small", "--device", "cpu", "--out", str(folder)]
    done = CliRunner().invoke(main, [*words, *(["--only", ",".join(only)] if only else [])], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, json.loads((folder / f"gpu-{suite}.json").read_text())


def test_a_gpu_is_compared_with_the_cpu(tmp_path):
    status, found = rehearse("correct", tmp_path, "machine", "inputs")
    assert status == 0 and found["torch, CUDA, cuDNN"][0] == torch.__version__
    assert [found[f"inputs {stream}: equal"] for stream in ("rgb", "flow")] == [True, True]


@pytest.mark.slow
@pytest.mark.parametrize("suite", command.SUITES)
def test_every_section_can_be_rehearsed_on_a_cpu(tmp_path, suite):
    status, found = rehearse(suite, tmp_path)
    assert status == 0 and not [name for name, value in found.items() if "Error" in str(value)]
    same = {name: value for name, value in found.items() if name.endswith(": equal") or "float32" in name}
    if suite == "correct":
        assert same and all(value is True or value == 0 for value in same.values()), "the device is the CPU itself"


def test_a_section_that_fails_is_named_and_the_next_one_starts(tmp_path, monkeypatch):
    def fail(session):
        raise RuntimeError("out of memory")

    sections = {"first": fail, "second": lambda session: session.note("done", True)}
    monkeypatch.setattr(command, "sections", lambda suite: sections)
    assert rehearse("speed", tmp_path) == (1, {"done": True})
    with pytest.raises(click.UsageError, match="no section third in speed; have: first, second"):
        rehearse("speed", tmp_path, "third")
