"""Schedules of transformers at micro size: three times the steps of the scale.

Without convolutions, a network has to learn that neighbouring pixels belong together. Original, Fixed and Full-FT of a micro
VideoMAE on micro-hmdb51, where chance is 7.1%:

    harness run --baseline hf:FOLDER --protocol original,fixed,full-ft --dataset micro-hmdb51

=================  =======================================================
the scale's steps  12.1 [7.6, 18.9]   11.1 [7.1, 16.8]   17.9 [11.6, 26.4]
three times those  14.6 [9.6, 21.6]   15.4 [10.5, 21.9]  13.9 [8.7, 21.5]
=================  =======================================================

It learns how objects look, and hardly how they move. Full-FT of Swin-T rose from 9.6 [5.2, 17.2] to 12.9 [7.9, 20.2], and of MViTv2-S
from 12.1 [7.9, 18.3] to 13.9 [9.0, 20.9], whose pre-training rose from 20.7 to 39.3. MViTv2-S stays at chance under Fixed: 7.9 [4.4, 13.5].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from harness.core.contract import Schedule
from harness.protocols.scales.micro import SCALE

TIMES = 3


def _longer(schedule: Schedule) -> Schedule:
    return dataclasses.replace(schedule, steps=TIMES * schedule.steps)


TRANSFORMER: Mapping[str, Mapping[str, Schedule]] = {
    SCALE.name: {stage: _longer(SCALE.stages[stage]) for stage in ("source", "original", "full-ft")}
}
"""`Baseline.schedules` of a transformer."""
