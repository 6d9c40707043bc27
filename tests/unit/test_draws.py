"""Which clips a training draws: the same for ever, for every seed and step, whatever the number of videos costs.

The digests were computed by this file (`python -m tests.unit.test_draws`) when an epoch's order was still drawn anew for every
step. A change of any of them changes the numbers of every job, under the same job ids.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from harness.core.contract import Clip, Schedule, Video
from harness.core.errors import BrokenVideo
from harness.data import loader
from harness.training.features import Features, feature_steps

CLIP = Clip(window=6, side_px=4, strides={"rgb": 2})
CLIPS = {
    # (videos, seed, batch, every n-th video is broken): digest
    (1, 0, 3, 0): "104acb7a91370853",
    (5, 0, 6, 0): "d9452465e288978e",
    (5, 7, 6, 3): "e386056757a612f1",
    (12, 7, 6, 0): "f88c6ab2306c146d",
    (97, 1, 16, 2): "79e581615b2190b0",
    (997, 0, 6, 0): "a720615f5b34031e",
    (997, 3, 6, 5): "1a6507afc6d00201",
}
HEADS = {
    # (videos, seed, batch): digest
    (1, 0, 4): "e88fb1701f70c8e3",
    (7, 0, 3): "ad79d69a47219f12",
    (50, 2, 16): "1a9138d5c9eb4bd8",
    (997, 5, 128): "fa899751913f28f7",
}
STEPS = (0, 1, 2, 3, 20, 333, 334, 100_003)


def videos(count: int) -> list[Video]:
    return [Video(f"v{number}", f"v{number}.avi", number % 3) for number in range(count)]


@dataclass
class DrawsReader:
    """A reader that notes what is cut, instead of cutting it."""

    every_broken: int
    draws: list[Any] = field(default_factory=list)
    streams = ("rgb", "flow")

    def num_frames(self, video: Video) -> int:
        number = int(video.id[1:])
        if self.every_broken and number % self.every_broken == 0 and number:
            raise BrokenVideo(video.id)
        return 3 + number % 40

    def clip_into(self, video, cut, side, place, out) -> None:
        top, left = place(9, 17)
        self.draws.append([video.id, [cut[stream].tolist() for stream in ("rgb", "flow")], top, left])


def digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def clips_digest(count: int, seed: int, batch: int, every_broken: int) -> str:
    reader: Any = DrawsReader(every_broken)
    how = {"clip": CLIP, "batch": batch, "seed": seed, "flip": True, "skipped": set(), "numbers": STEPS}
    batches = loader.train_batches(reader, videos(count), **how)
    return digest([[[b.ids, b.flips.tolist(), b.labels.tolist(), sorted(b.broken)] for b in batches], reader.draws])


def head_steps(count: int, seed: int, batch: int, first: int = 0, steps: int = 40):
    owners = [number for number in range(count) for _ in range(1 + number % 3)][::-1]
    rows = torch.arange(len(owners), dtype=torch.float32)[:, None, None]
    features = Features(
        tuple(video.id for video in videos(count)), rows, torch.tensor(owners), rows, torch.tensor(owners)
    )
    schedule = Schedule(steps=steps, batch=batch, base_lr=0.1)
    return feature_steps(features, videos(count)[: max(1, count - 2)], schedule, seed=seed, device="cpu")(first)


def head_digest(count: int, seed: int, batch: int) -> str:
    passes = [*head_steps(count, seed, batch), *head_steps(count, seed, batch, 33, 37)]
    return digest([[step.inputs.flatten().tolist(), step.labels.tolist(), list(step.ids)] for step in passes])


@pytest.mark.parametrize(("case", "expected"), CLIPS.items())
def test_the_clips_of_a_training_are_the_same_for_ever(case, expected):
    assert clips_digest(*case) == expected


@pytest.mark.parametrize(("case", "expected"), HEADS.items())
def test_the_views_of_a_head_are_the_same_for_ever(case, expected):
    assert head_digest(*case) == expected


def test_a_clip_costs_the_same_however_many_videos_there_are(monkeypatch):
    """An order is drawn once per epoch, and a clip looks at one entry of it."""
    drawn, looked = [], []

    class Order(list):
        def __getitem__(self, position):
            looked.append(position)
            return super().__getitem__(position)

    class Generator:
        def permutation(self, count):
            order = np.arange(count)
            drawn.append(count)
            return order

    rng_for = loader.rng_for
    monkeypatch.setattr(
        loader, "rng_for", lambda seed, epoch, name: Generator() if name == loader.ORDER else rng_for(seed, epoch, name)
    )
    order_of = loader._epoch_order
    order_of.cache_clear()
    monkeypatch.setattr(loader, "_epoch_order", lambda *key: Order(order_of(*key)))
    reader: Any = DrawsReader(0)
    list(loader.train_batches(reader, videos(500), clip=CLIP, batch=6, seed=0, steps=100))
    order_of.cache_clear()
    assert drawn == [500, 500] and len(looked) == 600


def test_a_step_of_a_head_does_not_draw_its_epoch_again(monkeypatch):
    drawn, randperm = [], torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda count, **how: drawn.append(count) or randperm(count, **how))
    list(head_steps(102, 0, 10, steps=25))
    assert drawn == [100, 100, 100]


def test_a_training_video_that_the_features_job_left_out_is_in_no_batch():
    features = Features(
        ("v0", "v1"),
        torch.zeros(2, 1, 3),
        torch.tensor([0, 0]),
        torch.zeros(0, 1, 3),
        torch.zeros(0, dtype=torch.int64),
    )
    steps = feature_steps(features, videos(2), Schedule(steps=3, batch=1, base_lr=0.1), seed=0, device="cpu")
    assert [list(step.ids) for step in steps(0)] == [["v0"], ["v0"], ["v0"]]


if __name__ == "__main__":
    for case in CLIPS:
        sys.stdout.write(f"{case} {clips_digest(*case)}\n")
    for case in HEADS:
        sys.stdout.write(f"{case} {head_digest(*case)}\n")
