"""Job specs for tests that need some spec and not a plan."""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.core import registry
from harness.core.cells import Cell
from harness.core.contract import Clip, FlowMethod, Schedule
from harness.core.job_specs import CardSpec, DataSpec, FlowFilesSpec, FlowSpec, ProtocolSpec, TrainSpec
from harness.planning.spec_builder import scale_spec

CELL = Cell("i3d", "rgb", "hmdb51", 1, "test", "original", "imagenet", "", "paper", 0)


def train_spec(of_scale: str = "paper", **changes: Any) -> TrainSpec:
    """The training of I3D's RGB stream on HMDB-51, split 1, with changes."""
    spec = TrainSpec(
        dataset=DataSpec("hmdb51", 1, "aa"),
        code_version=1,
        backbone="",
        scale=scale_spec(registry.load("scale", of_scale)),
        seed=0,
        decoder={"decoder": "pyav 18.1.0"},
        precision="float32",
        threads=1,
        baseline=CardSpec("i3d", 1),
        streams=("rgb",),
        train_clip=Clip(64, 224),
        test_clip=Clip(64, 224),
        flow=None,
        split=1,
        subset="test",
        init="imagenet",
        protocol=ProtocolSpec("original", 1, "all"),
        stage="original",
        schedule=Schedule(steps=10, batch=2, base_lr=0.1),
        pretrained=None,
    )
    return dataclasses.replace(spec, **changes)


def flow_spec(**params: str) -> FlowFilesSpec:
    """Optical flow of HMDB-51, split 1, by a method with these parameters."""
    return FlowFilesSpec(
        dataset=DataSpec("hmdb51", 1, "aa"),
        code_version=1,
        split=1,
        subset="test",
        fps=25.0,
        flow=FlowSpec(FlowMethod("tvl1", 20.0, 256, params=params), "opencv 5"),
        decoder={"decoder": "pyav 18.1.0"},
    )
