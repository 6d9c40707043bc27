"""The allocator's setting: on where glibc is, off by one variable, and the same numbers."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch

from baselines.parts.same_padding import SameConv
from harness.core import allocator

FAULTS = """
import resource, sys
from harness.core import allocator
kept = allocator.keep_freed_memory()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2): bytearray(b"x") * 2**26
before = faults()
for _ in range(5): bytearray(b"x") * 2**26
print(kept, faults() - before)
"""

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")


def _child(**variables):
    """(whether memory is kept, page faults of five blocks of 64 MiB made and dropped) in a process of its own."""
    answer = subprocess.run(
        [sys.executable, "-c", FAULTS], env=os.environ | variables, capture_output=True, text=True, check=True
    ).stdout.split()
    return answer[0] == "True", int(answer[1])


@on_glibc
def test_large_blocks_are_kept_for_the_next_step_unless_switched_off():
    kept, few = _child()
    plain, many = _child(**{allocator.SWITCH: "plain"})
    assert kept and not plain
    assert many > 5 * 2**26 // 4096 // 600, "huge pages at most: every block is mapped anew"
    assert few * 20 < many


@pytest.mark.parametrize("clips", [1, 2])
@pytest.mark.parametrize("channels", [8, 64])
def test_convolutions_answer_in_the_layout_they_were_asked_in(clips, channels):
    """torch picks another kernel for one small clip, whose answer would turn the rest of the network to the slow layout."""
    conv = SameConv(channels, 16, (3, 3, 3))
    conv.weight.data = conv.weight.data.contiguous(memory_format=torch.channels_last_3d)
    clip = torch.randn(clips, channels, 8, 6, 6)
    fast = conv(clip.contiguous(memory_format=torch.channels_last_3d))
    assert fast.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(fast, conv(clip), atol=1e-5, rtol=1e-5)
