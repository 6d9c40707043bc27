"""Settings that a finished job was trained with, next to those of the cards: the causes of a gap that scoring cannot show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core import registry
from harness.core.contract import Baseline, Scale
from harness.core.errors import UnknownName
from harness.core.serialization import plain
from harness.records.record import Record

OF_SCHEDULE = (
    "steps batch bn_batch base_lr optimizer momentum weight_decay policy milestones held_out retrain_on_all "
    "label_smoothing"
)
OF_SCALE = "width fps short_side_px bn_momentum bn_eps bn_scale dropout flip precise_bn_clips"
PAPER = "paper"


@dataclass(frozen=True)
class SettingDiff:
    """One value of a training."""

    name: str
    """As `--set` takes it, where it can be set: 'train.batch', 'scale.width', 'train_clip.window'."""
    job: Any
    card: Any
    """Present value for the job's scale and baseline; None if the card has no such setting."""
    paper: Any
    """At paper scale."""

    @property
    def differs(self) -> bool:
        return bool(self.job != self.card)


def compare_settings(record: Record) -> list[SettingDiff]:
    """Every setting of a training, those that differ from the card first. Raises UnknownName for a card that is gone."""
    spec = record.scored_spec
    baseline: Baseline = registry.load("baseline", spec.baseline.name)
    stage, name = spec.stage, spec.scale.name
    clips = {"train_clip": plain(spec.train_clip), "test_clip": plain(spec.test_clip)}
    schedule = plain(getattr(spec, "schedule", None)) or {}
    job = _flat(schedule, plain(spec.scale), clips, plain(spec.flow))
    card, paper = _of_card(baseline, name, stage), _of_card(baseline, PAPER, stage)
    settings = [SettingDiff(key, value, card.get(key), paper.get(key)) for key, value in job.items()]
    return sorted(settings, key=lambda setting: not setting.differs)


def _of_card(baseline: Baseline, scale_name: str, stage: str) -> dict[str, Any]:
    scale: Scale = baseline.adapted(registry.load("scale", scale_name))
    if stage not in scale.stages:
        raise UnknownName(f"the scale '{scale_name}' has no schedule for '{stage}'; have: {', '.join(scale.stages)}")
    clips = {
        which: plain(getattr(baseline, which)[scale_name])
        for which in ("train_clip", "test_clip")
        if scale_name in getattr(baseline, which)
    }
    flow = {"method": plain(scale.flow)}
    return _flat(plain(scale.stages[stage]), plain(scale), clips, flow)


def _flat(
    schedule: Mapping[str, Any], scale: Mapping[str, Any], clips: Mapping[str, Any], flow: Mapping[str, Any] | None
) -> dict[str, Any]:
    settings = {f"train.{name}": schedule[name] for name in OF_SCHEDULE.split() if name in schedule}
    settings |= {f"scale.{name}": scale[name] for name in OF_SCALE.split() if name in scale}
    for which, clip in clips.items():
        settings |= {f"{which}.{name}": value for name, value in clip.items()}
    if flow:
        settings |= {f"flow.{name}": value for name, value in flow["method"].items()}
    return settings
