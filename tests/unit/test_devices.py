"""`--device` and `harness.run(device=...)`: planned for and computed on that device, refused where it is unknown or absent."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from harness import api, commands
from harness.core import environment
from harness.core.callbacks import Callback
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.launch.options import LaunchOptions
from harness.launch.run import run_plan
from tests.unit.test_cli import COMMANDS

SELECTION = ("--dataset", "micro-hmdb51", "--protocol", "original", "--baseline", "c3d", "--modality", "rgb")


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    return ["--data", str(tmp_path / "data"), "--results", str(tmp_path / "results")]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> int:
    """PyTorch finds two GPUs."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    return 2


def invoke(*words: str) -> str:
    """The output of a command, or the message of its error."""
    done = CliRunner().invoke(commands.harness, words)
    error = done.exception
    return error.format_message() if isinstance(error, click.ClickException) else str(error or done.output)


def test_the_block_ends_and_blocks_nest() -> None:
    before = environment.device()
    with environment.use_device("cuda:1"):
        with environment.use_device(None):
            assert environment.device() == "cuda:1"
        with environment.use_device("cpu"):
            assert environment.device() == "cpu"
    assert environment.device() == before == "cpu"


def test_a_flag_plans_for_a_gpu_that_is_not_here_and_only_for_one_command(folders: list[str]) -> None:
    assert "GPU-hours" in invoke("plan", *SELECTION, "--device", "cuda", *folders)
    assert "GPU-hours" not in invoke("plan", *SELECTION, *folders)


def test_python_plans_for_it(tmp_path: Path) -> None:
    axes = {"dataset": "micro-hmdb51", "protocol": "original", "data": tmp_path, "results": tmp_path}
    assert api.plan(**axes, device="cuda").gpu_hours > 0 == api.plan(**axes).gpu_hours
    with pytest.raises(HarnessError, match="--device gpu: expected cpu, cuda, or cuda:N"):
        api.plan(**axes, device="gpu")
    with pytest.raises(HarnessError, match="--device gpu"):
        api.load("aaaa", results=tmp_path, device="gpu")


@pytest.mark.parametrize("name", ["tpu", "", "cuda:", "cuda:x", "CPU"])
def test_an_unknown_device_is_refused(name: str, folders: list[str]) -> None:
    assert f"--device {name}: expected cpu, cuda, or cuda:N for GPU number N" in invoke(
        "plan", *SELECTION, "--device", name, *folders
    )


@pytest.mark.parametrize("verb", ["predict", "features"])
def test_a_gpu_that_is_not_here_is_refused_before_a_network_is_opened(
    verb: str, folders: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").touch()
    words = [str(tmp_path / "a.mp4"), "--weights", str(tmp_path), "--device", "cuda", *folders]
    message = invoke(verb, *words, *(["--out", str(tmp_path / "out")] if verb == "features" else []))
    assert "the device cuda is not on this machine: PyTorch finds no GPU; choose another with --device" in message


def test_a_gpu_that_is_not_here_is_refused_before_the_first_job(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "data", tmp_path / "results")
    plan = api.plan(dataset="micro-hmdb51", protocol="original", data=tmp_path, results=tmp_path).plan
    with (
        environment.use_device("cuda:0"),
        pytest.raises(HarnessError, match="the device cuda:0 is not on this machine"),
    ):
        run_plan(plan, workspace, LaunchOptions(), Callback())
    assert not workspace.results.exists()


def test_the_message_counts_the_gpus(gpus: int) -> None:
    environment.check_device("cuda:1")
    with pytest.raises(HarnessError, match="cuda:2 is not on this machine: PyTorch finds 2 GPUs, cuda:0 to cuda:1;"):
        environment.check_device("cuda:2")


def test_jobs_on_other_machines_are_not_checked_here() -> None:
    with environment.use_device("cuda"):
        LaunchOptions("ray").check_device()
        with pytest.raises(HarnessError, match="not on this machine"):
            LaunchOptions("local").check_device()


@pytest.mark.parametrize("verb", ["run", "plan", "tune", "table", "predict", "features", "check", "diagnose"])
def test_every_command_that_computes_takes_it(verb: str) -> None:
    assert "--device" in [flag for option in COMMANDS[f"harness {verb}"].params for flag in option.opts]
