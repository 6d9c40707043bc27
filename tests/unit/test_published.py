"""The protocol as-published: whose classes the weights have, what is refused, and rows of the head by name."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harness.core import registry
from harness.core.cells import Selection
from harness.core.contract import BuildSpec
from harness.core.errors import HarnessError
from harness.models.pretrained import rows_of
from harness.models.transfer import load_published
from harness.planning.selection import cells

LABELS = ("Brush hair", "cart-wheel", "catch", "chew")


def test_classes_are_matched_by_name_whatever_their_case_and_punctuation():
    assert rows_of(["catch", "brush_hair"], LABELS, 4) == [2, 0]
    assert rows_of(["a", "b"], (), 2) == [0, 1]
    with pytest.raises(HarnessError, match=r"do not include climb, .*--protocol fixed"):
        rows_of(["catch", "climb"], LABELS, 4)
    with pytest.raises(HarnessError, match="2 classes without names, and the data set 3"):
        rows_of(["a", "b", "c"], (), 2)


def test_the_head_keeps_the_rows_of_the_classes():
    card, scale = registry.load("baseline", "c3d"), dataclasses.replace(registry.load("scale", "micro"), width=0.03)
    published, network = (card.build(BuildSpec(("rgb",), classes, scale)).eval() for classes in (4, 2))
    load_published(network, published.state_dict(), [2, 0], 4)
    clip = card.train_clip["micro"]
    clips = {"rgb": torch.randn(2, 3, clip.window, clip.side_px, clip.side_px)}
    with torch.no_grad():
        torch.testing.assert_close(network(clips), published(clips)[..., [2, 0]])


def asked(**changes) -> Selection:
    defaults = {"baselines": ("torchvision:r3d_18",), "datasets": ("hmdb51",), "protocols": ("as-published",)}
    return Selection(**defaults | changes)


def test_kinetics_is_scored_by_the_weights_that_name_its_classes():
    (cell,) = cells(asked(datasets=("kinetics400",)))
    assert (cell.protocol, cell.source) == ("as-published", "published:r3d_18")


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"datasets": ("micro-hmdb51",)}, "micro-kinetics is a data set; pass --source published:NAME --scale paper"),
        ({"baselines": ("c3d",)}, "kinetics400 is a data set; pass --source published:NAME"),
        ({"baselines": ("i3d",), "source": "published:pytorch-i3d"}, "have 400 classes and hmdb51 has 51"),
    ],
)
def test_what_cannot_be_scored_as_published_is_refused_while_planning(changes, message):
    with pytest.raises(HarnessError, match=message):
        cells(asked(**changes))
