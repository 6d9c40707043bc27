"""The memory allocator of the process that runs jobs: faster training steps, same numbers."""

from __future__ import annotations

import ctypes
import functools
import os
import platform

SWITCH = "HARNESS_MALLOC"
"""Environment variable; 'plain' leaves the allocator unchanged."""

# From glibc's malloc.h: the numbers of these parameters for mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEEP_BYTES = 2**31 - 1
"""Free memory at the top of the heap that is not returned to the system: the maximum of mallopt."""
_HEAP_BYTES = 2**30
"""Blocks up to this size are allocated on the heap, larger ones are mapped individually."""
_GROW_BYTES = 64 * 2**20


@functools.cache
def keep_freed_memory() -> bool:
    """Make glibc keep large freed blocks for the next step; True if it does. Call once per process, before it allocates.

    By default glibc maps every block of some megabytes when it is allocated and unmaps it when it is freed, so that
    each training step pays for mapping and zeroing its activations again: a tenth of the time and more for a 3D network
    of the paper's size (docs/how-to/performance.md). Numbers do not change. False on other systems and with HARNESS_MALLOC=plain.
    """
    if os.environ.get(SWITCH) == "plain" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_MMAP_THRESHOLD, _HEAP_BYTES), (_TRIM_THRESHOLD, _KEEP_BYTES), (_TOP_PAD, _GROW_BYTES))
    return all(mallopt(name, value) == 1 for name, value in settings)
