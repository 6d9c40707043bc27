"""torchvision's video networks with their published weights: `--baseline torchvision:NAME`.

harness run --baseline torchvision:r3d_18 --dataset micro-hmdb51 --protocol full-ft        a micro size, minutes on two cores
harness run --baseline torchvision:s3d --dataset hmdb51 --protocol fixed                   published weights, one H200

The weights are downloaded from torchvision's own address and checked against the SHA-256 in their file names. Frame rate,
sizes and pixel values are theirs; docs/tutorials/published-network.md has a table.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

from baselines.parts.families.recipes import TRANSFORMER
from baselines.parts.families.torchvision_facts import LARGER, MEMBERS, MVIT, SWIN, URL, Member, kinetics400
from harness.core.contract import Baseline, BuildSpec, Clip, Frames, Weights
from harness.core.errors import HarnessError, unknown

MICRO = {"s3d": Clip(window=16, side_px=48, centre="round")}
"""Micro clips that differ: S3D halves time three times."""


def build(name: str, spec: BuildSpec) -> Any:
    """The member `name`; at micro size unless the scale's width is 1."""
    from baselines.parts.families.torchvision_video import network

    return network(name, _at(name).train_clip["micro"], spec)


def rename(head: str, name: str) -> str:
    """torchvision's name of a tensor -> that in our network."""
    from baselines.parts.families.torchvision_video import head_and_trunk

    return head_and_trunk(head, name)


def _at(argument: str) -> Baseline:
    """The card of a member. Raises HarnessError for a name that torchvision does not have."""
    name = argument.lower().replace("-", "_")
    if name not in MEMBERS:
        raise unknown("video network of torchvision", argument, MEMBERS)
    member, kind = MEMBERS[name], MEMBERS[name].kind
    squash = kind.resize if isinstance(kind.resize, tuple) else None
    clip = Clip(window=kind.frames, side_px=kind.side_px, centre="round")
    micro = MICRO.get(name, Clip(window=8, side_px=48, centre="round"))
    return dataclasses.replace(
        BASELINE,
        name=f"torchvision:{name}",
        title=member.title,
        train_clip={"paper": clip, "micro": micro},
        test_clip={
            "paper": dataclasses.replace(clip, count=kind.clips),
            "micro": dataclasses.replace(micro, count=2),
        },
        frames={
            "paper": Frames(
                fps=kind.fps,
                short_side_px=None if isinstance(kind.resize, tuple) else kind.resize,
                frame_px=squash,
                pixels=kind.pixels,
                only=(kind.frames, kind.side_px) if kind.fixed else None,
            ),
            "micro": Frames(
                fps=None if name in MICRO else 12.5,
                pixels=kind.pixels,
                only=(micro.window, micro.side_px) if kind.fixed else None,
            ),
        },
        build=partial(build, name),
        weights=tuple(_weights(name, item) for item in (member, LARGER.get(name)) if item),
        source=f"published:{name}",
        parameters=member.parameters,
        gmacs=member.gmacs,
        schedules=TRANSFORMER if kind in (MVIT, SWIN) else {},
        at=None,
        members=(),
        how_to_list="",
    )


def _weights(name: str, member: Member) -> Weights:
    kind = member.kind
    size = "x".join(map(str, kind.resize)) if isinstance(kind.resize, tuple) else f"short side {kind.resize}"
    level = "one clip" if kind.clips == 1 else f"{kind.clips} clips, their softmax averaged"
    return Weights(
        name=name if member is MEMBERS[name] else f"{name}.{member.weights.lower()}",
        stream="rgb",
        trained_on="Kinetics-400" + (", from ImageNet-22k" if "22k" in member.file else ""),
        classes=400,
        layout="own",
        url=URL.format(member.file),
        licence="BSD-3-Clause (torchvision); Kinetics' terms for its videos",
        preprocessing=f"{kind.fps:g} fps, {size} bilinear, {kind.side_px} px crop; mean {kind.pixels.mean}, std {kind.pixels.std}",
        sha256=member.file.rpartition("-")[2],
        accuracy={"kinetics400": member.top1_pct},
        views=f"{level}, centre crop",
        labels=kinetics400(),
        rename=partial(rename, kind.head),
    )


def _family(spec: BuildSpec) -> Any:
    raise HarnessError(
        f"'torchvision' is a family of networks: name one, such as torchvision:r3d_18, of {', '.join(MEMBERS)}"
    )


BASELINE = Baseline(
    name="torchvision",
    title="torchvision's video networks",
    modalities=("rgb",),
    combine="late",
    inits=("scratch",),
    train_clip={},
    test_clip={},
    build=_family,
    loss="reduced",
    reduce="mean",
    paper="not in the paper",
    at=_at,
    members=tuple(MEMBERS),
    how_to_list="harness ls baselines torchvision",
    choices={
        "averaging": "logits over clips, as elsewhere here; torchvision's reference averages their softmax",
        "micro size": "convolutional networks with a quarter of the channels; transformers of four blocks, trained for "
        "three times the scale's steps; no published weights fit",
        "centre crop": "rounded as torchvision does",
    },
)
