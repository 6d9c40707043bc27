"""Short trainings: on both devices, repeated, resumed, and shared by two processes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.gpu.session import Session, batch_of, difference, micro_flow, micro_scale, network
from harness.core.callbacks import Callback
from harness.data.batch import to_network
from harness.models.build import place
from harness.training.config import Step, TrainingConfig
from harness.training.evaluation import clip_loss
from harness.training.prefetch import prefetch_to_device
from harness.training.replicas import Replicas
from harness.training.trainer import train

BATCH = 16


class Killed(Exception):
    """Ends a training in the middle."""


@dataclasses.dataclass(frozen=True)
class Training:
    """A training of micro I3D on noise, in float32."""

    folder: Path
    device: str
    steps: int
    bn_batch: int = 0
    checkpoint_every: int = 1000
    killed_after: int = 0
    """Steps; 0: it ends normally."""

    def run(self) -> Tensor:
        """All weights and statistics in one float64 vector."""
        original = micro_scale().stages["original"]
        schedule = dataclasses.replace(
            original, steps=self.steps, batch=BATCH, bn_batch=self.bn_batch, checkpoint_every=self.checkpoint_every
        )
        module = place(network("i3d", ("rgb",)), self.device).train()
        torch.manual_seed(7)
        replicas = Replicas.of(schedule)

        def batches(first: int) -> Iterator[Step]:
            for number in replicas.micro_steps(first, schedule.steps):
                if self.killed_after and number == self.killed_after * replicas.count:
                    raise Killed
                batch = batch_of("i3d", ("rgb",), BATCH // replicas.count, seed=number)
                labels = torch.as_tensor(batch.labels, device=self.device)
                yield Step(to_network(batch, self.device, micro_flow()), labels, batch.ids)

        config = TrainingConfig(
            schedule=schedule,
            device=self.device,
            precision="float32",
            job_id="gpu",
            checkpoints=self.folder,
            loss=clip_loss("reduced", "mean"),
        )
        with contextlib.suppress(Killed):
            train(
                module,
                lambda first: prefetch_to_device(
                    batches(first), self.device, lambda step: [*step.inputs.values(), step.labels]
                ),
                config,
                callback=Callback(),
            )
        tensors = (tensor for tensor in module.state_dict().values() if tensor.is_floating_point())
        return torch.cat([tensor.double().flatten().cpu() for tensor in tensors])


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """What torch offers for equal results, in the block."""
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = True, False


def trainings(session: Session) -> None:
    """The same training on both devices; twice as jobs run; twice and resumed with torch's deterministic algorithms."""
    steps = 3 if session.small else 12
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = True, False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        on_cpu = Training(folder / "cpu", "cpu", steps).run()
        first, again = (Training(folder / part, session.device, steps).run() for part in ("first", "again"))
        session.note(f"weights after {steps} steps: difference from the CPU's", difference(first, on_cpu))
        session.note("training repeated as jobs run: difference", difference(again, first))
        with deterministic():
            first, again = (Training(folder / part, session.device, steps).run() for part in ("third", "fourth"))
            session.note("training repeated, deterministic: difference", difference(again, first))
            broken = Training(folder / "broken", session.device, steps, checkpoint_every=2, killed_after=steps - 1)
            broken.run()
            resumed = dataclasses.replace(broken, killed_after=0).run()
            session.note("training resumed, deterministic: difference", difference(resumed, first))


def processes(session: Session) -> None:
    """Batch-norm groups shared by two processes of one device, which gloo connects: NCCL requires a GPU for each."""
    with tempfile.TemporaryDirectory() as folder:
        alone = _of_groups(Path(folder) / "alone", session.device)
        torch.multiprocessing.spawn(_one_of_two, (folder, session.device), nprocs=2)
        first, second = (torch.load(f"{folder}/{rank}.pt") for rank in (0, 1))
        session.note("two processes: weights equal", torch.equal(first, second))
        session.note("two processes: difference from one", difference(first, alone))


def _of_groups(folder: Path, device: str) -> Tensor:
    torch.backends.cudnn.allow_tf32 = False
    with deterministic():
        return Training(folder, device, steps=2, bn_batch=4).run()


def _one_of_two(rank: int, folder: str, device: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(_of_groups(Path(folder) / str(rank), device), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()
