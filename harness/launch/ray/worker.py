"""The function that Ray runs for each job."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

from harness.launch.ray.distributed import run_together
from harness.launch.ray.task import RayTask, event_sender, run_on_node

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
    os.environ.update(task.variables)
    callback = event_sender(task, queue)
    run_on_node(task, callback)
    leaked = _free_gpu()
    if leaked > LEAK_BYTES:
        callback.note(
            f"{task.job.title} left {leaked / 2**20:.0f} MiB allocated on its GPU, which the next job there cannot use"
        )


def _free_gpu() -> int:
    """Bytes still allocated on the GPU after freeing all that can be. The worker runs the next job too: a fresh process
    for each would leave the GPU idle for a second."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0
    gc.collect()
    torch.cuda.empty_cache()
    return int(torch.cuda.memory_allocated())
