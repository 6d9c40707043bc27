"""A long file takes no more memory than a short one: scoring all its views, recoding it, computing its flow.

Arrays are counted (tracemalloc), at sizes that take seconds; what whole processes take at 1920x1080 stands in
docs/how-to/performance.md.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from harness.core import registry
from harness.core.contract import Clip, Dataset, FlowMethod, Listing, Video
from harness.data import frame_store, loader, prepare
from harness.data.flow_store import FlowRecipe, flow_store
from harness.jobs.context import SCORE_BATCH
from tests import videos

MIB = 2**20
SCALE = replace(
    registry.load("scale", "micro"), short_side_px=48, flow=FlowMethod("dis", 20.0, 48, params={"preset": 0})
)
CLIP = Clip(window=50, side_px=40, dense=True)
LENGTHS = {"short": 300, "long": 600}
ROOM = 4 * MIB
"""For both: the views of one MiB that are held together, a batch of them, and what a library holds for a moment."""


def listing(root: Path, split: int) -> Listing:
    return Listing(("a", "b"), {"train": (), "test": tuple(Video(name, f"{name}.avi", 0) for name in LENGTHS)})


CARD = Dataset(
    name="lengths",
    title="Lengths",
    kind="video",
    num_classes=2,
    splits=(1,),
    subsets=("test",),
    counts={},
    read=listing,
    layout="",
    download="From nowhere.",
    licence="none",
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> prepare.Prepared:
    root = tmp_path_factory.mktemp("long")
    second = videos.numbered(100)
    for name, length in LENGTHS.items():
        videos.write(root / "lengths" / f"{name}.avi", np.concatenate([second] * (length // 100)), codec="mpeg4")
    return prepare.open_prepared(CARD, root)


def peaks(context: Callable[[Video], None], prepared: prepare.Prepared) -> dict[str, int]:
    """Bytes of arrays at the worst moment, by video."""
    found = {}
    context(prepared.listing(1).subsets["test"][0])  # what is imported is not of the video
    for video in prepared.listing(1).subsets["test"]:
        tracemalloc.start()
        context(video)
        found[video.id] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return found


def check(found: dict[str, int]) -> None:
    assert found["long"] < ROOM, found
    assert found["long"] < 1.25 * found["short"] + MIB / 4, f"grows with the file: {found}"


@pytest.mark.parametrize("streams", [("rgb",), ("rgb", "flow")], ids="+".join)
def test_scoring_every_view(prepared, monkeypatch, streams):
    monkeypatch.setattr(loader, "WHOLE_VIEWS_BYTES", MIB)
    monkeypatch.setattr(loader, "BATCH_BYTES", MIB)
    everything = list(prepared.listing(1).subsets["test"])
    flows = flow_store(prepared, SCALE.flow, videos=everything, fps=25.0) if "flow" in streams else None
    reader = loader.VideoReader(prepared, streams=streams, scale=SCALE, flow_store=flows, cache_bytes=0)
    seen: set[tuple[str, int]] = set()

    def score(video: Video) -> None:
        for batch in loader.test_batches(reader, [video], clip=CLIP, batch=16):
            assert sum(clip.nbytes for clip in batch.clips.values()) <= MIB
            seen.update(zip(batch.ids, batch.views.tolist(), strict=True))

    check(peaks(score, prepared))
    assert seen == {(name, view) for name, length in LENGTHS.items() for view in range(length // 50)}


def views_per_batch(clip: Clip, *streams: str) -> int:
    return loader.BATCH_BYTES // loader.clip_bytes(SimpleNamespace(streams=streams), clip)


def test_a_batch_has_one_view_of_250_frames_and_16_at_micro_size():
    """The first layers of I3D need 1 GiB per view of 250x224x224. At micro size, another batch would change the last bits of scores."""
    i3d = registry.load("baseline", "i3d").test_clip["paper"]
    assert [views_per_batch(i3d, stream) for stream in ("rgb", "flow")] == [1, 1]
    micro = [card.test_clip["micro"] for card in registry.all("baseline").values() if "micro" in card.test_clip]
    assert micro and all(views_per_batch(clip, "rgb", "flow") >= SCORE_BATCH for clip in micro)


RECIPES = [
    frame_store.StoreRecipe(25.0, 48, "mpeg4-store"),
    frame_store.StoreRecipe(25.0, 48, "raw"),
    FlowRecipe(SCALE.flow, 25.0),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=["frames", "raw frames", "flow"])
def test_making_what_is_stored(prepared, tmp_path, recipe):
    made = {}

    def make(video: Video) -> None:
        made[video.id] = recipe.make(prepared.path(video), tmp_path / video.id)

    check(peaks(make, prepared))
    assert made == LENGTHS
