"""Published schedules by name: `--set source.schedule=released`.

released     the Kinetics models of google-deepmind/kinetics-i3d, from its README: 64 replicas of 6 clips, RGB 115k steps, flow
             155k with a second start at 115k. For networks of one stream.
charades     the authors' fine-tuning recipe, quoted in piergiaj/pytorch-i3d#14: 65k steps, one drop at 45k.
"""

from __future__ import annotations

from harness.core.contract import Schedule
from harness.core.errors import HarnessError, unknown


def _steps(steps: int, milestones: tuple[int, ...], rates: tuple[float, ...] = (), *, decay: float = 1e-7) -> Schedule:
    return Schedule(
        steps=steps,
        batch=384,
        bn_batch=6,
        base_lr=0.1,
        weight_decay=decay,
        policy="steps",
        milestones=milestones,
        lr_factors=rates,
        checkpoint_every=1_000,
    )


NAMED: dict[str, dict[str, Schedule]] = {
    "released": {
        "rgb": _steps(115_000, (97_000, 108_000)),
        "flow": _steps(155_000, (97_000, 104_500, 115_000, 140_000, 150_000), (0.1, 0.01, 1.0, 0.1, 0.01)),
    },
    "charades": dict.fromkeys(("rgb", "flow"), _steps(65_000, (45_000,), decay=1e-6)),
}


def named(name: str, streams: tuple[str, ...]) -> Schedule:
    """The schedule called `name` of a network that reads `streams`.

    Raises HarnessError for an unknown name, and for streams trained jointly if the schedule differs between them.
    """
    if name not in NAMED:
        raise unknown("schedule", name, NAMED)
    schedules = {NAMED[name][stream] for stream in streams}
    if len(schedules) != 1:
        raise HarnessError(
            f"schedule '{name}' differs between {' and '.join(streams)}, and this network trains them jointly; pass --modality "
            "with one of them"
        )
    return schedules.pop()


def name_of(schedule: Schedule, streams: tuple[str, ...]) -> str:
    """The named schedule with this one's milestones and factors, for networks that read `streams`. Raises HarnessError."""
    drops = (schedule.milestones, schedule.lr_factors)
    for name, by_stream in NAMED.items():
        if drops in [(by_stream[stream].milestones, by_stream[stream].lr_factors) for stream in streams]:
            return name
    raise HarnessError(
        f"a schedule with drops at steps {schedule.milestones} cannot be given by --set; only these named schedules can: "
        f"{', '.join(NAMED)}"
    )
