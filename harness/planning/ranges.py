"""Valid ranges of the settings of schedules, scales and flow methods."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.contract import FlowMethod, Scale, Schedule
from harness.core.parameters import ABOVE_NOTHING, BELOW_ONE, NOT_NEGATIVE, ONE_OR_MORE, POSITIVE, Range

OF: Mapping[type, Mapping[str, Range]] = {
    Schedule: {
        "steps": NOT_NEGATIVE,
        "batch": ONE_OR_MORE,
        "base_lr": NOT_NEGATIVE,
        "bn_batch": NOT_NEGATIVE,
        "momentum": BELOW_ONE,
        "weight_decay": NOT_NEGATIVE,
        "held_out": BELOW_ONE,
        "eval_every": NOT_NEGATIVE,
        "patience": ONE_OR_MORE,
        "checkpoint_every": ONE_OR_MORE,
        "label_smoothing": BELOW_ONE,
    },
    Scale: {
        "width": POSITIVE,
        "fps": POSITIVE,
        "short_side_px": ONE_OR_MORE,
        "bn_momentum": ABOVE_NOTHING,
        "dropout": BELOW_ONE,
        "bn_eps": POSITIVE,
        "cpu_threads": NOT_NEGATIVE,
        "precise_bn_clips": NOT_NEGATIVE,
    },
    FlowMethod: {"bound_px": POSITIVE, "short_side_px": ONE_OR_MORE},
}
"""Numeric field -> its valid range."""
