"""Numbers of the device compared with those of the CPU: inputs, logits, gradients, optical flow."""

from __future__ import annotations

import itertools
import os
import platform
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu.session import NETWORKS, Session, batch_of, difference, micro_flow, network
from harness.core import environment, registry
from harness.data.batch import to_network
from harness.models.build import place
from harness.models.precision import autocast
from harness.training.evaluation import clip_loss


def machine(session: Session) -> None:
    """Versions and hardware."""
    session.note("torch, CUDA, cuDNN", [torch.__version__, torch.version.cuda, torch.backends.cudnn.version()])
    session.note("driver files", [str(path) for path in environment.DRIVER_FILES if path.exists()])
    session.note("processor, cores", [environment.cpu_model() or platform.processor(), environment.cpu_threads()])
    shared = Path("/dev/shm")
    if shared.is_dir():
        stat = os.statvfs(shared)
        session.note("shared memory, GiB", round(stat.f_blocks * stat.f_frsize / 2**30, 1))
    if session.cuda:
        memory = round(torch.cuda.mem_get_info()[1] / 2**30)
        session.note("GPU, number, GiB", [torch.cuda.get_device_name(), torch.cuda.device_count(), memory])


def inputs(session: Session) -> None:
    """Inputs of networks must be bit-identical on both devices, flipped clips and flow included."""
    batch = batch_of("fused-3d", ("rgb", "flow"), 4)
    here, there = (to_network(batch, device, micro_flow()) for device in ("cpu", session.device))
    for stream in here:
        session.note(f"inputs {stream}: equal", torch.equal(here[stream], there[stream].cpu()))
        last = there[stream].is_contiguous(memory_format=torch.channels_last_3d)
        session.note(f"inputs {stream}: channels last", last)


def logits(session: Session) -> None:
    """Relative differences from the CPU's float32.

    We expect up to 1e-4 in float32, 1e-3 for gradients. In bfloat16, only logits in eval mode can be compared: we expect up to 0.06.
    Batch norm over four clips of noise multiplies rounding errors, so that gradients on the CPU differ by 0.5 to 1.
    """
    for baseline, streams in NETWORKS.items():
        reference = _results(baseline, streams, "cpu", "float32")
        for precision in ("float32", "bfloat16"):
            results = _results(baseline, streams, session.device, precision)
            for name, tensor in results.items():
                session.note(f"{baseline} {precision}, {name}: difference", difference(tensor, reference[name]))


def _results(baseline: str, streams: tuple[str, ...], device: str, precision: str) -> dict[str, torch.Tensor]:
    """Logits of a training pass, its gradient, and logits in eval mode."""
    card, batch = registry.load("baseline", baseline), batch_of(baseline, streams, 4)
    torch.backends.cudnn.allow_tf32 = precision != "float32"
    module = place(network(baseline, streams, dropout=0.0), device).train()
    clips = to_network(batch, device, micro_flow())
    with autocast(device, precision):
        outputs = module(clips).float()
    clip_loss(card.loss, card.reduce)(outputs, torch.as_tensor(batch.labels, device=device)).backward()
    gradient = torch.cat([p.grad.float().flatten().cpu() for p in module.parameters() if p.grad is not None])
    module.eval()
    with torch.inference_mode(), autocast(device, precision):
        scores = module(clips).float().cpu()
    return {"training logits": outputs.detach().cpu(), "gradient": gradient, "eval logits": scores}


def flow(session: Session) -> None:
    """TV-L1 on tensors: close to the CPU's, equal when repeated, and equal for any number of pairs at once."""
    from harness.video.flow import tvl1_torch
    from harness.video.flow.tvl1_settings import settings_of

    settings = settings_of({}, "tvl1-torch")
    pictures = torch.from_numpy(grey_frames(7, 64 if session.small else 224))
    on_cpu = tvl1_torch.flows_between(pictures[:-1], pictures[1:], settings)
    there = pictures.to(session.device)
    first, again = (tvl1_torch.flows_between(there[:-1], there[1:], settings).cpu() for _ in range(2))
    distance = (first - on_cpu).norm(dim=-1)
    quantile = distance.flatten().quantile(0.99)
    session.note("flow, px from the CPU's: mean, 99%", [float(f"{value:.2g}") for value in (distance.mean(), quantile)])
    session.note("flow, repeated: equal", torch.equal(first, again))
    single = [tvl1_torch.flows_between(a[None], b[None], settings).cpu() for a, b in itertools.pairwise(there[:4])]
    session.note("flow, one pair at a time: equal", torch.equal(torch.cat(single), first[:3]))


def grey_frames(count: int, side_px: int) -> np.ndarray:
    """uint8 (count, side_px, side_px): the centre of consecutive frames of a rendered scene."""
    import cv2

    from benchmarks.ratios.flow import center
    from benchmarks.ratios.videos import scene

    return np.stack([cv2.cvtColor(center(frame, side_px), cv2.COLOR_RGB2GRAY) for frame in scene(0)[:count]])
