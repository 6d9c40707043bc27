"""Benchmarks of optical flow: our TV-L1 on each of its back ends against OpenCV's, pairs of 224x224, as many threads each.

OpenCV's has its threads within a pair; ours computes pairs in as many processes of one thread, as `harness data prepare`
does, or on the GPU. That the flows are the same is for the tests; here only that none was left out.
"""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.ratios.case import Case, Ready
from benchmarks.ratios.pairing import Both, Machine, Pairing
from harness.core.errors import HarnessError

CPU_TARGET, GPU_TARGET = 10.0, 500.0
SIDE_PX = 224
APART_PX = 0.1
"""The length of a flow, on average over a round's pairs: ours and OpenCV's lie closer on the frames of `videos.scene`."""


def pairings(machine: Machine) -> Iterator[Pairing]:
    """None where OpenCV is missing; without Numba, none of what it compiles."""
    if importlib.util.find_spec("cv2") is None:
        return
    pairs, side_px = (2, 64) if machine.quick else (4, SIDE_PX)
    name = f"{side_px}x{side_px}"
    reference = f"OpenCV's TV-L1, {machine.threads} thread{'s' if machine.threads > 1 else ''}"
    opencv = Case("flow", reader="tvl1", size=pairs, side_px=side_px, threads=machine.threads)
    for method, target in (("tvl1-own", None if machine.quick else CPU_TARGET), ("tvl1-torch", None)):
        if method == "tvl1-own" and importlib.util.find_spec("numba") is None:
            continue
        ours = Case("flow", reader=method, size=pairs, side_px=side_px, batch=machine.threads)
        yield Pairing("flow", f"{method} {name}", reference, Both(ours, machine.threads), opencv, target)
    if machine.device.startswith("cuda"):
        one_core = Case("flow", reader="tvl1", size=32, side_px=side_px)
        on_gpu = Case("flow", reader="tvl1-torch", size=32, side_px=side_px, device="cuda")
        target = None if machine.quick else GPU_TARGET
        yield Pairing("flow", f"tvl1-torch {name} cuda", "OpenCV's TV-L1, 1 thread", on_gpu, one_core, target)


def flow(case: Case) -> Ready:
    """`size` pairs of consecutive frames, or of `batch` shares of them the one with number `part`."""
    import cv2

    from benchmarks.ratios.videos import scene
    from harness.core.contract import FlowMethod
    from harness.video.flow import methods

    cv2.setNumThreads(case.threads)
    params = {"device": case.device} if case.device != "cpu" else {}
    loaded = methods.load(FlowMethod(case.reader, 20.0, case.side_px, params=params))
    share = np.array_split(np.arange(case.size), case.batch)[case.part]
    frames = scene(0)[share[0] : share[-1] + 2]
    row = [cv2.cvtColor(_middle(frame, case.side_px), cv2.COLOR_RGB2GRAY) for frame in frames]

    def step() -> float:
        return float(np.mean([np.linalg.norm(one, axis=-1).mean() for one in loaded.flows(row)]))

    return Ready(step, {"pairs": len(share), "length_px": step()})


def _middle(frame: np.ndarray, side_px: int) -> np.ndarray:
    top, left = ((side - side_px) // 2 for side in frame.shape[:2])
    return np.ascontiguousarray(frame[top : top + side_px, left : left + side_px])


def facts_of(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], ours_s: Sequence[float], theirs_s: Sequence[float]
) -> dict[str, str]:
    """A note with pairs a second. Raises HarnessError if the two did not compute as many, or not the same flow."""
    parts = ours.get("parts", [ours])
    pairs = sum(part["pairs"] for part in parts)
    length_px = sum(part["pairs"] * part["length_px"] for part in parts) / pairs
    if pairs != theirs["pairs"] or abs(length_px - theirs["length_px"]) > APART_PX:
        raise HarnessError(
            f"two methods gave other flow: {pairs} of {length_px:.2f} px on average, and {theirs['pairs']} of "
            f"{theirs['length_px']:.2f} px"
        )
    return {"note": f"{pairs / statistics.median(ours_s):.1f} pairs/s"}


WHATS: Mapping[str, Callable[[Case], Ready]] = {"flow": flow}
