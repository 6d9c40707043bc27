"""Weights carry the ids and groups they were trained on; scoring on an overlap is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.core.contract import Video
from harness.core.errors import HarnessError

TRAINED_ON = "trained_on.json"
TrainedOn = dict[str, list[str]]
"""Data set -> ids and group keys."""


def refuse(
    name: str, training: Sequence[Video], scored: Sequence[Video], *, before: Mapping[str, list[str]]
) -> TrainedOn:
    """What weights have been trained on after `training` on the data set `name`, given what they were trained on before.

    Raises HarnessError if a video to be scored, or its group, is among it.
    """
    known = {*before.get(name, ()), *(video.id for video in training), *filter(None, map(group_key, training))}
    leaked = [video.id for video in scored if video.id in known or group_key(video) in known]
    if leaked:
        raise HarnessError(
            f"{len(leaked)} of the {len(scored)} videos to be scored, {leaked[0]} among them, were trained on (themselves "
            "or their group) by these weights or those they start from; choose another --source or --split"
        )
    return {**before, name: sorted(known)}


def group_key(video: Video) -> str:
    """Marks a group among ids; '' where the group is not known."""
    return f"group:{video.label}:{video.group}" if video.group else ""


def merged(files: Iterable[Path]) -> TrainedOn:
    """What the records behind several roles were trained on, together."""
    found: TrainedOn = {}
    for path in files:
        for name, ids in json.loads(path.read_text()).items():
            found[name] = sorted({*found.get(name, ()), *ids})
    return found
