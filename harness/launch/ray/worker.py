"""The functions that Ray runs for each job: alone in a worker, or in a group of processes on several GPUs.

A group is started by Ray Train's TorchTrainer, and shares the replicas of a step. Gradients are averaged by
`replicas.Replicas` and batch norm stays within a replica, so the record equals that of one process.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
from dataclasses import replace
from typing import Any

from harness.core import environment
from harness.core.callbacks import Callback
from harness.core.errors import HarnessError
from harness.launch.events import logging_to
from harness.launch.ray.task import ATTEMPTS, RayTask, event_sender, run_on_node

GROUP_TIMEOUT_S = 7 * 24 * 3600
"""Longest wait for another process of a group, while the main process waits for a lock, evaluates or writes a record. Ray Train
notices a lost process at once, so nothing waits this long in vain."""
LEAK_BYTES = 64 * 2**20
"""GPU memory that a finished job may leave allocated before the user is warned."""


def run_task(task: RayTask, queue: Any, *upstream: str) -> str:
    """The job's id, once its record is written and the queue has all its events.

    `upstream` is not read: results of other tasks as arguments are how Ray knows the order.
    """
    import ray

    if task.members > 1:
        run_together(task, queue)
    else:
        _run_alone(task, queue)
    # Ray keeps the order of one caller's calls: when this one is answered, all events have arrived.
    ray.get(queue.flushed.remote())
    return task.job.id


def _run_alone(task: RayTask, queue: Any) -> None:
    os.environ["OMP_NUM_THREADS"] = str(task.options.cpu_threads)  # Ray sets it to the number of CPUs requested
    callback = event_sender(task, queue)
    with logging_to(callback):
        run_on_node(on_assigned_gpu(task), callback)
    leaked = _free_gpu()
    if leaked > LEAK_BYTES:
        callback.note(
            f"{task.job.title} left {leaked / 2**20:.0f} MiB allocated on its GPU, which the next job there cannot use"
        )


def on_assigned_gpu(task: RayTask) -> RayTask:
    """The task with the GPU that Ray assigned to it as its device ('cuda:2'). A task that asks for no GPU is unchanged."""
    import ray

    assigned = [str(gpu_id) for gpu_id in ray.get_gpu_ids()]
    if not task.needs.gpus or not assigned:
        return task
    visible = environment.visible_gpus()
    number = visible.index(assigned[0]) if visible else assigned[0]
    return replace(task, options=replace(task.options, device=f"cuda:{number}"))


def _free_gpu() -> int:
    """Bytes still allocated on the GPU after freeing all that can be. The worker runs the next job too: a fresh process
    for each would leave the GPU idle for a second."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0
    gc.collect()
    torch.cuda.empty_cache()
    return int(torch.cuda.memory_allocated())


def run_together(task: RayTask, queue: Any) -> None:
    """Run the job in `task.members` processes. If one is lost, all restart from the last checkpoint, up to `ATTEMPTS` times.

    Raises the HarnessError of the process that failed, without another attempt: it would fail again.
    """
    # A group waits for resources of a busy cluster, then imports torch: Ray Train allows a minute for both.
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "86400")
    from ray import train

    for attempt in range(1 + ATTEMPTS):
        try:
            _run_group(task, queue)
            return
        except train.TrainingFailedError as error:
            failures = getattr(error, "worker_failures", {}).values()
            own = next((failure for failure in failures if isinstance(failure, HarnessError)), None)
            if own or attempt == ATTEMPTS:
                raise own or error from None


def _run_group(task: RayTask, queue: Any) -> None:
    """One attempt. Raises ray.train.TrainingFailedError."""
    from ray import train
    from ray.train.torch import TorchConfig, TorchTrainer

    needs = task.needs
    resources = {"CPU": needs.cpus} | ({"GPU": needs.gpus} if needs.gpus else {})
    # Train requires a folder of its own; the job's checkpoints are in the results folder.
    folder = task.options.workspace.jobs / f".{task.job.id}-group"
    trainer = TorchTrainer(
        _run_member,
        train_loop_config={"task": task, "queue": queue},
        scaling_config=train.ScalingConfig(
            num_workers=task.members,
            use_gpu=bool(needs.gpus),
            resources_per_worker=resources,
            # Without a shared folder, only processes of one node find each other's checkpoints and record.
            placement_strategy="STRICT_PACK" if task.storage else "PACK",
        ),
        torch_config=TorchConfig(timeout_s=GROUP_TIMEOUT_S),
        run_config=train.RunConfig(name=task.job.id, storage_path=str(folder)),
    )
    try:
        trainer.fit()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_member(config: dict[str, Any]) -> None:
    """Function of each process: the job, for which only rank 0 sends events and writes a record."""
    import ray
    from ray import train

    task: RayTask = config["task"]
    os.environ["OMP_NUM_THREADS"] = str(task.options.cpu_threads)  # before torch reads it
    is_main = train.get_context().get_world_rank() == 0
    # All processes of a node see all its GPUs.
    task = on_assigned_gpu(task)
    if is_main:
        with logging_to(event_sender(task, config["queue"])) as callback:
            run_on_node(task, callback)
    else:
        run_on_node(task, Callback())
    ray.get(config["queue"].flushed.remote())
