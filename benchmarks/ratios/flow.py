"""Optical flow: our TV-L1 on each of its back ends against OpenCV's, pairs of 224x224 px, as many threads each.

OpenCV threads within a pair. Ours computes pairs in as many processes of one thread, as `harness data prepare` does,
or on the GPU. Tests compare the flows themselves; here only the number of pairs and the mean length are checked.
"""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.ratios.case import Builders, Case, Machine, Pair, Parallel, Ready
from harness.core.errors import HarnessError

CPU_TARGET, GPU_TARGET = 10.0, 500.0
SIDE_PX = 224
APART_PX = 0.1
"""Allowed difference of the mean length of a round's flow: ours and OpenCV's are closer on the frames of `videos.scene`."""


def pairs(machine: Machine) -> Iterator[Pair]:
    """None without OpenCV; without Numba, none of `tvl1-own`."""
    if importlib.util.find_spec("cv2") is None:
        return
    count, side_px = (2, 64) if machine.quick else (4, SIDE_PX)
    size = f"{side_px}x{side_px}"
    reference = f"OpenCV's TV-L1, {machine.threads} thread{'s' if machine.threads > 1 else ''}"
    opencv = Case("flow", reader="tvl1", size=count, side_px=side_px, threads=machine.threads)
    for method, target in (("tvl1-own", None if machine.quick else CPU_TARGET), ("tvl1-torch", None)):
        if method == "tvl1-own" and importlib.util.find_spec("numba") is None:
            continue
        ours = Case("flow", reader=method, size=count, side_px=side_px, batch=machine.threads)
        yield Pair("flow", f"{method} {size}", reference, Parallel(ours, machine.threads), opencv, target)
    if machine.device.startswith("cuda"):
        one_core = Case("flow", reader="tvl1", size=32, side_px=side_px)
        on_gpu = Case("flow", reader="tvl1-torch", size=32, side_px=side_px, device="cuda")
        target = None if machine.quick else GPU_TARGET
        yield Pair("flow", f"tvl1-torch {size} cuda", "OpenCV's TV-L1, 1 thread", on_gpu, one_core, target)


def flow(case: Case) -> Ready:
    """Share number `part` of `batch` shares of `size` pairs of consecutive frames."""
    import cv2

    from benchmarks.ratios.videos import scene
    from harness.core.contract import FlowMethod
    from harness.video.flow import estimation

    cv2.setNumThreads(case.threads)
    params = {"device": case.device} if case.device != "cpu" else {}
    method = estimation.load(FlowMethod(case.reader, 20.0, case.side_px, params=params))
    share = np.array_split(np.arange(case.size), case.batch)[case.part]
    frames = scene(0)[share[0] : share[-1] + 2]
    grey = [cv2.cvtColor(center(frame, case.side_px), cv2.COLOR_RGB2GRAY) for frame in frames]

    def step() -> float:
        return float(np.mean([np.linalg.norm(field, axis=-1).mean() for field in method.flows(grey)]))

    return Ready(step, {"pairs": len(share), "length_px": step()})


def center(frame: np.ndarray, side_px: int) -> np.ndarray:
    top, left = ((side - side_px) // 2 for side in frame.shape[:2])
    return np.ascontiguousarray(frame[top : top + side_px, left : left + side_px])


def facts_of(
    ours: Mapping[str, Any], other: Mapping[str, Any], ours_s: Sequence[float], other_s: Sequence[float]
) -> dict[str, str]:
    """A note with pairs per second. Raises HarnessError if the two did not compute as many, or not the same flow."""
    parts = ours.get("parts", [ours])
    count = sum(part["pairs"] for part in parts)
    length_px = sum(part["pairs"] * part["length_px"] for part in parts) / count
    if count != other["pairs"] or abs(length_px - other["length_px"]) > APART_PX:
        raise HarnessError(
            f"two methods computed different flow: {count} pairs of {length_px:.2f} px on average, and {other['pairs']} of "
            f"{other['length_px']:.2f} px"
        )
    return {"note": f"{count / statistics.median(ours_s):.1f} pairs/s"}


BUILDERS: Builders = {"flow": flow}
