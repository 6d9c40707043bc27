"""How many processes of a job decode videos: not more than shared memory has room for. A full one kills them."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.core.callbacks import Callback
from harness.core.job_specs import ClipsSpec, JobSpec
from harness.data.loader import BATCHES_AHEAD, VideoReader, clip_bytes

SHARED_MEMORY = Path("/dev/shm")
FREE_SHARE = 0.5
"""Share of the free memory there that one job may take."""


def decoding_processes(wanted: int, spec: JobSpec, reader: VideoReader, callback: Callback) -> int:
    """`wanted`, or fewer, with a note, where their batches would fill the shared memory."""
    if not wanted or not isinstance(spec, ClipsSpec) or not SHARED_MEMORY.is_dir():
        return wanted
    schedule, test = getattr(spec, "schedule", None), spec.test_clip
    videos = (schedule.bn_batch or schedule.batch) if schedule else 1
    largest = max(videos * clip_bytes(reader, spec.train_clip), test.count * test.crops * clip_bytes(reader, test))
    room = int(FREE_SHARE * shutil.disk_usage(SHARED_MEMORY).free / (BATCHES_AHEAD * largest))
    if room < wanted:
        callback.note(
            f"{room} instead of {wanted} decoding processes, since {SHARED_MEMORY} has no room for the clips of more; Docker's "
            "--shm-size enlarges it"
        )
    return min(wanted, room)
