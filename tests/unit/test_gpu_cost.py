"""Estimates of jobs on a GPU: the slowest of computing, starting kernels and decoding, with evaluations."""

from dataclasses import replace

import pytest

from harness.core.contract import Schedule
from harness.planning import gpu_cost
from harness.planning.cost import predicted_s
from harness.planning.gpu_cost import Work
from tests.specs import train_spec

SPEC = train_spec(threads=0)
WORK = Work(macs=1e11, test_macs=4e11, frames=64, test_frames=250, clips=1e5, passes=1e5 / 6, videos=0)


def test_a_large_network_is_limited_by_decoding_or_by_computing():
    decoding = gpu_cost.seconds(WORK, SPEC)
    assert decoding == pytest.approx(1e5 * 64 / 900 / gpu_cost.CORES)
    stored = replace(SPEC, scale=replace(SPEC.scale, video_source="raw-store"))
    computing = gpu_cost.seconds(WORK, stored)
    assert computing == pytest.approx(6 * 1e11 * 1e5 / gpu_cost.FLOPS) and computing < decoding


def test_a_small_network_is_limited_by_starting_kernels():
    small = replace(WORK, macs=1e8, frames=1)
    kernels = gpu_cost.KERNELS["i3d"] * gpu_cost.KERNEL_S
    assert gpu_cost.seconds(small, SPEC) == pytest.approx(kernels * small.passes)
    assert gpu_cost.seconds(replace(small, passes=1e5), SPEC) == pytest.approx(kernels * 1e5)


@pytest.mark.parametrize("threads", [0, 8], ids=["gpu", "cpu"])
def test_evaluations_of_held_out_videos_are_counted(threads):
    schedule = Schedule(steps=1000, batch=96, base_lr=0.1, held_out=0.1)
    without, with_evaluations = (
        predicted_s(train_spec(threads=threads, schedule=replace(schedule, eval_every=every)), 1e11)
        for every in (0, 250)
    )
    assert without < with_evaluations < 2 * without
