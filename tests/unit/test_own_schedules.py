"""Schedules on a baseline's card: instead of the scale's, also for its pre-training; `--set` and a protocol's own come first."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from baselines import hf
from baselines.parts.families.torchvision_facts import MEMBERS
from harness.core import registry
from harness.core.cells import Job, Selection
from harness.core.contract import Baseline, Schedule
from harness.core.workspace import Workspace
from harness.planning.plan import Planner
from harness.planning.selection import cells
from harness.protocols.scales.micro import SCALE as MICRO

OWN = Schedule(steps=7, batch=4, base_lr=0.5, optimizer="adamw", policy="constant")


@pytest.fixture(autouse=True)
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """C3D with schedules of its own for pre-training and Full-FT at micro size."""
    real = registry.load
    own = dataclasses.replace(real("baseline", "c3d"), schedules={"micro": {"source": OWN, "full-ft": OWN}})
    monkeypatch.setattr(
        registry, "load", lambda kind, name: own if (kind, name) == ("baseline", "c3d") else real(kind, name)
    )


def planned(tmp_path: Path, protocol: str, **overrides: str) -> list[Job]:
    """The jobs of one cell, the scored one last."""
    planner = Planner(Workspace(data=tmp_path / "data", results=tmp_path / "results"), dry_run=True)
    settings = tuple((name.replace("__", "."), value) for name, value in overrides.items())
    (cell,) = cells(
        Selection(("c3d",), datasets=("micro-hmdb51",), protocols=(protocol,), inits=("scratch",), overrides=settings)
    )
    planner.jobs_of(cell)
    return list(planner.jobs.values())


def test_a_training_and_its_source_follow_the_cards_schedules(tmp_path: Path) -> None:
    source, target = planned(tmp_path, "full-ft")
    assert source.spec.schedule == target.spec.schedule == OWN  # type: ignore[attr-defined]
    assert target.cell and not target.cell.overrides, "the card's own schedule is no change of a setting"
    (original,) = planned(tmp_path, "original")
    assert original.spec.schedule == MICRO.stages["original"]  # type: ignore[attr-defined]


def test_a_setting_changes_the_cards_schedule(tmp_path: Path) -> None:
    *_, target = planned(tmp_path, "full-ft", train__steps="9")
    assert target.spec.schedule == dataclasses.replace(OWN, steps=9)  # type: ignore[attr-defined]
    assert target.cell and target.cell.overrides == (("full-ft.steps", "9"),)


def test_a_protocols_own_schedule_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, theirs = registry.load, dataclasses.replace(OWN, steps=11)
    protocol = dataclasses.replace(real("protocol", "full-ft"), schedules={"micro": theirs})
    monkeypatch.setattr(
        registry, "load", lambda kind, name: protocol if (kind, name) == ("protocol", "full-ft") else real(kind, name)
    )
    *_, target = planned(tmp_path, "full-ft")
    assert target.spec.schedule == theirs  # type: ignore[attr-defined]


@pytest.mark.parametrize("baseline", [hf.BASELINE, *(registry.load("baseline", f"torchvision:{n}") for n in MEMBERS)])
def test_transformers_train_longer_at_micro_size_and_their_heads_do_not(baseline: Baseline) -> None:
    stages = baseline.adapted(MICRO).stages
    times = {stage: stages[stage].steps / MICRO.stages[stage].steps for stage in MICRO.stages}
    longer = 3 if baseline.name == "hf" or baseline.title.startswith(("MViT", "Video Swin")) else 1
    assert times == {"images": 1, "source": longer, "original": longer, "full-ft": longer, "fixed": 1}
    paper = registry.load("scale", "paper")
    assert baseline.adapted(paper).stages == paper.stages
