"""The GPU of a job: the one that Ray assigned, in a worker that is reused, and in the processes that the job starts."""

import itertools
import multiprocessing
import os
import shutil
import typing
import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest
import ray.train.torch
import ray.tune
import torch
from ray._private.accelerators.nvidia_gpu import NvidiaGPUAcceleratorManager

from harness.core import environment, processes
from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.core.contract import Clip, Schedule
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.jobs import decoding
from harness.jobs.options import JobOptions
from harness.launch.launchers import local
from harness.launch.ray import driver, tune
from harness.launch.ray.storage import Storage
from harness.launch.ray.task import ATTEMPTS, RayTask
from harness.launch.ray.worker import on_assigned_gpu, run_together
from harness.launch.resources import CPU, MOST_CHOSEN, SMALL_SHARE, Capacity, Decoding, Needs, gpu_share
from harness.models import build
from tests import gpus
from tests.fakejobs import fake_job, plan_of, run_fake
from tests.specs import train_spec

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


def _task(folder, *, gpu_count, members=1, storage=None):
    options = JobOptions(Workspace(folder, folder), device="cuda" if gpu_count else "cpu")
    needs = Needs(cpus=1, gpus=gpu_count, memory_bytes=1)
    return RayTask(fake_job(0), options, run_fake, needs, members, storage)


@pytest.mark.parametrize(
    ("members", "storage", "expected"),
    [
        (8, None, ""),
        (16, None, "16 GPU, 1 for each of 16 processes: all nodes together has 8. Choose a smaller --gpus-per-job"),
        (8, Storage("memory://x"), "8 GPU, 1 for each of 8 processes: one node has 4. Choose a smaller --gpus-per-job"),
    ],
)
def test_a_group_that_the_cluster_has_no_gpus_for_is_reported(tmp_path, members, storage, expected):
    task = _task(tmp_path, gpu_count=1, members=members, storage=storage)
    waits = driver.waiting_for(task, {"CPU": 64, "GPU": 4}, {"CPU": 128, "GPU": 8})
    assert expected in waits and bool(waits) == bool(expected)


class FailingGroup:
    """As Ray Train's TorchTrainer, with a process that fails in each attempt."""

    made: typing.ClassVar[list[dict]] = []
    failure: Exception

    def __init__(self, function, **given):
        self.made.append(given)

    def fit(self):
        raise ray.train.WorkerGroupError("rank 1", {1: self.failure})


@pytest.mark.parametrize(
    ("failure", "attempts"), [(HarnessError("the loss became nan"), 1), (ConnectionError("lost"), 1 + ATTEMPTS)]
)
def test_a_group_is_restarted_for_lost_processes_and_not_for_errors_of_the_job(
    tmp_path, monkeypatch, failure, attempts
):
    monkeypatch.setattr(FailingGroup, "made", [])
    monkeypatch.setattr(FailingGroup, "failure", failure, raising=False)
    monkeypatch.setattr(ray.train.torch, "TorchTrainer", FailingGroup)
    with pytest.raises(HarnessError if attempts == 1 else ray.train.TrainingFailedError):
        run_together(_task(tmp_path, gpu_count=1, members=2), queue=None)
    assert len(FailingGroup.made) == attempts
    for given in FailingGroup.made:
        assert given["run_config"].failure_config.max_failures == 0, "Ray Train would also repeat what cannot succeed"
        assert given["torch_config"].timeout_s > 24 * 3600, "the main process may wait for another command's lock"


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


def test_a_trial_that_cannot_succeed_is_not_repeated_by_tune(tmp_path, monkeypatch):
    def fail(task, queue):
        raise HarnessError("the loss became nan")

    reported: list[dict] = []
    monkeypatch.setattr(tune, "run_task", fail)
    monkeypatch.setattr(ray.tune, "report", reported.append)
    tune._run_trial({"job": "a"}, {"a": _task(tmp_path, gpu_count=0)}, queue=None)
    assert [result[tune.ERROR] for result in reported] == ["the loss became nan"]


@pytest.mark.parametrize("name", ["version", "nvidiactl", "libcuda.so.1"])
def test_the_driver_is_found_by_any_of_its_files(tmp_path, monkeypatch, name):
    monkeypatch.delenv("HARNESS_DEVICE")
    monkeypatch.delenv(VISIBLE, raising=False)
    files = [tmp_path / file for file in ("version", "nvidiactl", "libcuda.so.1")]
    monkeypatch.setattr(environment, "DRIVER_FILES", files)
    assert environment.device() == "cpu"
    (tmp_path / name).touch()
    assert environment.device() == "cuda"
    monkeypatch.setenv(VISIBLE, "-1")
    assert environment.device() == "cpu"


def test_a_driver_that_is_too_old_is_named(monkeypatch):
    def no_gpu():
        warnings.warn("The NVIDIA driver on your system is too old (found version 11040).\nUpdate it.", stacklevel=2)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", no_gpu)
    with pytest.raises(HarnessError, match=r"finds no GPU \(The NVIDIA driver on your system is too old .*11040\).\)"):
        build.place(torch.nn.Linear(1, 1), "cuda")


def on_a_gpu(job: Job) -> Job:
    """A job without CPU threads is one that was planned for a GPU."""
    return replace(job, spec=replace(job.spec, threads=0))


def test_each_gpu_has_a_worker_and_jobs_without_a_gpu_run_next_to_them(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path, tmp_path)
    monkeypatch.setattr(environment, "gpu_ids", lambda device: ["4", "6"])
    jobs = [on_a_gpu(fake_job(number, step_s=0.2)) for number in range(4)] + [fake_job(9, step_s=0.1)]
    options = JobOptions(workspace, device="cuda", cpu_threads=3)
    local.launch(plan_of(jobs, workspace), options, Callback(), run=gpus.run_and_note)
    rows = [line.split() for line in (workspace.results / "gpus").read_text().splitlines()]
    assert len(rows) == 5 and {tuple(row[:2]) for row in rows} == {("cpu", "all"), ("cuda", "4"), ("cuda", "6")}
    for gpu in ("4", "6"):
        times = sorted((float(row[2]), float(row[3])) for row in rows if row[1] == gpu)
        assert all(ended <= began for (_, ended), (began, _) in itertools.pairwise(times)), "one job at a time"


def test_small_jobs_share_a_gpu_and_large_ones_do_not():
    small, large = (
        on_a_gpu(Job(train_spec(scale, train_clip=clip, test_clip=clip), scale))
        for scale, clip in (("micro", Clip(16, 48)), ("paper", Clip(64, 224)))
    )
    assert (gpu_share(small), gpu_share(large)) == (SMALL_SHARE, 1.0)
    capacity = Capacity({"0": 1.0, "1": 1.0, CPU: 1.0}, most=16)
    assert capacity.at_once([large] * 3) == 2 and capacity.at_once([small, large, fake_job(0)] * 20) == 9
    assert [capacity.reserve(job) for job in (large, small, small)] == ["0", "1", "1"]
    assert capacity.reserve(large) is None, "half of a GPU is not enough"
    assert [capacity.reserve(small) for _ in range(3)] == ["1", "1", None]
    capacity.release(large, "0")
    assert capacity.reserve(large) == "0"
    assert [capacity.reserve(fake_job(number)) for number in range(2)] == [CPU, None]


def test_not_more_jobs_than_cores_share_the_gpus():
    capacity = Capacity({"0": 1.0}, most=2)
    small = on_a_gpu(Job(train_spec("micro", train_clip=Clip(16, 48), test_clip=Clip(16, 48)), ""))
    assert [capacity.reserve(small) for _ in range(3)] == ["0", "0", None]


def test_decoding_processes_are_chosen_for_large_jobs_on_a_gpu():
    small, large = (
        on_a_gpu(Job(train_spec(scale, train_clip=clip, test_clip=clip), scale))
        for scale, clip in (("micro", Clip(16, 48)), ("paper", Clip(64, 224)))
    )
    chosen = Decoding(None, cores=16, gpus=2)
    assert [chosen.processes(job) for job in (large, small, Job(train_spec(threads=16), "on a CPU"))] == [7, 0, 0]
    assert chosen.note([small, large]).startswith("decoding processes per job: 7, from 16 cores and 2 GPU(s)")
    assert Decoding(None, cores=128, gpus=1).processes(large) == MOST_CHOSEN
    asked = Decoding(0, cores=16, gpus=2)
    assert asked.processes(large) == 0 and asked.note([large]) == chosen.note([small]) == ""


def test_decoding_processes_fit_into_shared_memory(tmp_path, monkeypatch):
    """Docker gives a container 64 MB; a batch of six clips of the paper has 58 MB."""
    notes: list[str] = []
    spec = train_spec(schedule=Schedule(steps=10, batch=96, base_lr=0.1, bn_batch=6))
    monkeypatch.setattr(decoding, "SHARED_MEMORY", tmp_path)
    reader = SimpleNamespace(streams=("rgb",))

    def allowed(wanted, free):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
        return decoding.decoding_processes(wanted, spec, reader, SimpleNamespace(note=notes.append))

    assert (allowed(14, 64 * 2**20), allowed(14, 2 * 10**9), allowed(4, 2 * 10**9), allowed(0, 0)) == (0, 8, 4, 0)
    assert [note.partition(" decoding")[0] for note in notes] == ["0 instead of 14", "8 instead of 14"]
