"""Settings of the process that executes jobs which change its speed and nothing else."""

from __future__ import annotations

import ctypes
import functools
import os
import platform

SWITCH = "HARNESS_MALLOC"
"""Environment variable; 'plain' leaves the allocator as the system has it."""

# From glibc's malloc.h: the names that mallopt(3) gives these parameters.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEPT_BYTES = 2**31 - 1
"""Free memory at the top of the heap that is not given back: the most that mallopt can be told."""
_FROM_THE_HEAP_BYTES = 2**30
"""Blocks up to this size are cut from the heap, larger ones are mapped one by one."""
_GROW_BYTES = 64 * 2**20


@functools.cache
def keep_freed_memory() -> bool:
    """Have glibc keep large freed blocks for the next step; says whether it does. Once a process, before large allocations.

    By default glibc maps every block of some megabytes anew and returns it when freed, so that each training step pays
    for having its activations mapped and zeroed again: a 3D network of the paper's size loses a tenth and more of its
    time to that (docs/performance.md). Numbers do not change. False on other systems and where HARNESS_MALLOC=plain.
    """
    if os.environ.get(SWITCH) == "plain" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_MMAP_THRESHOLD, _FROM_THE_HEAP_BYTES), (_TRIM_THRESHOLD, _KEPT_BYTES), (_TOP_PAD, _GROW_BYTES))
    return all(mallopt(name, value) == 1 for name, value in settings)
