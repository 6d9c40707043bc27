"""Seconds of a job on a GPU: the longest of computing, starting kernels and decoding, in training and in evaluation.

No rate here has been measured in a whole job on a GPU. Kernels were counted, and decoding was measured on a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.core import job_specs

FLOPS = 790e12 * 0.3
"""bf16 matrix products of one H200, measured, times 0.3, the assumed share that I3D's training reaches."""
KERNEL_S = 6.5e-6
"""Time to start a kernel. A GPU that computes faster than this waits for the next one."""
KERNELS: Mapping[str, int] = {"i3d": 1350, "c3d": 260, "two-stream": 2100, "fused-3d": 2110, "convnet-lstm": 3500}
"""Baseline -> kernels of a training pass: forward, backward, and adding up batch-norm groups."""
OTHER_KERNELS = 1500
FORWARD_SHARE = 0.3
"""Kernels of a forward pass in eval mode, relative to a training pass."""
CORES = 16
"""Cores per GPU that decode."""
FRAMES_PER_S: Mapping[str, float] = {"rgb": 900.0, "flow": 2500.0}
"""Frames of h264, or fields of flow, that a core decodes at the paper's size."""
STORE_SPEED = {"originals": 1.0, "store": 2.0, "raw-store": 4.5}
"""`scale.video_source` -> decoding speed relative to h264 originals."""
PAPER_SIDE_PX = 256


@dataclass(frozen=True)
class Work:
    """What a job with a network computes."""

    macs: float
    """Multiply-accumulates of a training clip."""
    test_macs: float
    """Of all test clips of a video."""
    frames: float
    """Of a training clip."""
    test_frames: float
    """Of all test clips of a video."""
    clips: float
    """Training clips, over all steps."""
    passes: float
    """Training passes, one per batch-norm group."""
    videos: float
    """Evaluated videos: those scored, and held-out ones in each evaluation."""
    trained: bool = True
    """Whether training clips are also passed backward."""

    @property
    def operations(self) -> float:
        return (6 if self.trained else 2) * self.macs * self.clips + 2 * self.test_macs * self.videos


def seconds(work: Work, spec: job_specs.NetworkSpec) -> float:
    """Time of a job on one GPU."""
    clips_spec = spec if isinstance(spec, job_specs.ClipsSpec) else None
    kernels = KERNELS.get(clips_spec.baseline.name, OTHER_KERNELS) if clips_spec else OTHER_KERNELS
    streams = clips_spec.streams if clips_spec else ("rgb",)
    size = (min(spec.scale.short_side_px, PAPER_SIDE_PX) / PAPER_SIDE_PX) ** 2
    frame_s = sum(size / FRAMES_PER_S[stream] for stream in streams) / STORE_SPEED[spec.scale.video_source] / CORES
    pass_s = kernels * KERNEL_S * (1 if work.trained else FORWARD_SHARE)
    training = max(
        (6 if work.trained else 2) * work.macs * work.clips / FLOPS,
        pass_s * work.passes,
        frame_s * work.frames * work.clips,
    )
    evaluation = max(
        2 * work.test_macs * work.videos / FLOPS,
        kernels * KERNEL_S * FORWARD_SHARE * work.videos,
        frame_s * work.test_frames * work.videos,
    )
    return training + evaluation
