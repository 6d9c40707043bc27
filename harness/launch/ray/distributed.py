"""A job on several GPUs: Ray Train's TorchTrainer brings the processes up, the training shares its replicas among them.

Gradients are averaged by `replicas.Replicas`, batch norm stays within a replica, so the record is that of one process.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

from harness.core.callbacks import Callback
from harness.core.errors import HarnessError
from harness.launch.ray.worker import TRIES, RayTask, do_on_node, teller_of


def run_together(task: RayTask, box: Any) -> None:
    """Run the job in `errand.members` processes; a lost one restarts them all, from the last checkpoint.

    Raises HarnessError with the words of the member that failed.
    """
    from ray import train
    from ray.train.torch import TorchTrainer

    needs = task.needs
    share = {"CPU": needs.cpus} | ({"GPU": needs.gpus} if needs.gpus else {})
    # Train insists on a folder of its own; checkpoints are the job's, in the results folder.
    folder = task.options.places.jobs / f".{task.job.id}-group"
    trainer = TorchTrainer(
        _member,
        train_loop_config={"errand": task, "box": box},
        scaling_config=train.ScalingConfig(
            num_workers=task.members,
            use_gpu=bool(needs.gpus),
            resources_per_worker=share,
            # Without a folder that all nodes see, only processes of one node find each other's checkpoints and record.
            placement_strategy="STRICT_PACK" if task.storage else "PACK",
        ),
        run_config=train.RunConfig(
            name=task.job.id, storage_path=str(folder), failure_config=train.FailureConfig(max_failures=TRIES)
        ),
    )
    try:
        trainer.fit()
    except train.TrainingFailedError as error:
        causes = [one for one in getattr(error, "worker_failures", {}).values() if isinstance(one, HarnessError)]
        raise causes[0] if causes else error from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _member(config: dict[str, Any]) -> None:
    """What each process does: the job, of which only the first tells and leaves a record."""
    import ray
    from ray import train

    task: RayTask = config["errand"]
    os.environ.update(task.settings)
    if task.needs.gpus:
        import torch
        from ray.train.torch import get_device

        # A node's members see all its GPUs.
        torch.cuda.set_device(get_device())
    leads = train.get_context().get_world_rank() == 0
    callback = teller_of(task, config["box"]) if leads else Callback()
    do_on_node(task, callback)
    ray.get(config["box"].flushed.remote())
