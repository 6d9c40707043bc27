"""The GPU of a job: the one that Ray assigned, in a worker that is reused, and in the processes that the job starts."""

import multiprocessing
import os

import pytest
import ray
import torch
from ray._private.accelerators.nvidia_gpu import NvidiaGPUAcceleratorManager

from harness.core import environment, processes
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.launch.ray import driver
from harness.launch.ray.task import RayTask
from harness.launch.ray.worker import on_assigned_gpu
from harness.launch.resources import Needs
from tests import gpus
from tests.fakejobs import fake_job, run_fake

VISIBLE = environment.VISIBLE_GPUS


@pytest.fixture(autouse=True)
def new_process(monkeypatch):
    """As in a process that has not used CUDA yet."""
    monkeypatch.setattr(processes, "child_variables", {})
    gpus.visible_at_first.cache_clear()
    for name, value in driver.ON_ALL_GPUS["env_vars"].items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("visible", [None, "4,5,6,7", "GPU-a,GPU-b,GPU-c,GPU-d"])
def test_a_reused_ray_worker_computes_on_the_gpu_of_each_task(tmp_path, monkeypatch, visible):
    """Ray calls its accelerator manager before each task; CUDA reads the variable at the first."""
    monkeypatch.setenv(VISIBLE, visible) if visible else monkeypatch.delenv(VISIBLE, raising=False)
    ids = visible.split(",") if visible else list("0123")
    for assigned in (ids[2], ids[0], ids[3], ids[2]):
        NvidiaGPUAcceleratorManager.set_current_process_visible_accelerator_ids([assigned])
        monkeypatch.setattr(ray, "get_gpu_ids", lambda assigned=assigned: [assigned])
        task = on_assigned_gpu(_task(tmp_path, gpu_count=1))
        assert gpus.physical_gpu(task.options.device) == assigned


def test_a_task_without_a_gpu_keeps_its_device(tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "get_gpu_ids", list)
    task = _task(tmp_path, gpu_count=0)
    assert on_assigned_gpu(task) is task


def _task(folder, *, gpu_count):
    options = JobOptions(Workspace(folder, folder), device="cuda" if gpu_count else "cpu")
    return RayTask(fake_job(0), options, run_fake, Needs(cpus=1, gpus=gpu_count, memory_bytes=1))


@pytest.mark.parametrize(("visible", "expected"), [(None, "2"), ("4,5,6", "6")])
def test_processes_that_a_job_starts_see_only_its_gpu(monkeypatch, visible, expected):
    monkeypatch.setenv(VISIBLE, visible) if visible else monkeypatch.delenv(VISIBLE, raising=False)
    current = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    environment.select_gpu("cuda:2")
    assert current == ["cuda:2"]
    with processes.starting():
        pool = multiprocessing.get_context("spawn").Pool(1)
    with pool:
        assert pool.apply(os.getenv, (VISIBLE,)) == expected
    assert os.environ.get(VISIBLE) == visible, "this process reads it again for its next job"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_device_without_a_number_selects_nothing(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "set_device", pytest.fail)
    environment.select_gpu(device)
    assert processes.child_variables == {}
