"""Schedules of transformers at micro size: three times the steps of the scale.

Without convolutions, a network has to learn that neighbouring pixels belong together. A micro VideoMAE, measured once each:

==============================  ==========  ============
accuracy in %, chance is 7.1    560 or 220  1680 or 660
==============================  ==========  ============
micro-kinetics                        28.6          31.1
micro-hmdb51, Original                10.7          16.1
micro-hmdb51, Fixed                    8.2          13.2
micro-hmdb51, Full-FT                 13.2          17.1
==============================  ==========  ============

What it learns is mostly the appearance of objects, hardly any motion.
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
