"""Scoring: the logits of a video's views, and the progress that is reported."""

import numpy as np
import pytest
import torch

from harness.core.callbacks import Callback
from harness.core.contract import Video
from harness.core.errors import HarnessError
from harness.training.evaluation import make_scores, video_logits


class Counting(Callback):
    def __init__(self):
        self.done = []

    def advance(self, count=1, note=""):
        self.done.append(count)


def test_a_video_is_the_mean_of_its_views_and_counts_once():
    views = [
        (torch.tensor([[[1.0, 0.0]], [[3.0, 0.0]]]), ["a", "a"]),
        (torch.tensor([[[5.0, 0.0]], [[0.0, 7.0]]]), ["a", "b"]),
    ]
    callback = Counting()
    network = torch.nn.Identity()
    logits = video_logits(network, views, reduce="mean", device="cpu", precision="float32", callback=callback)
    np.testing.assert_array_equal(logits["a"], np.float32([3.0, 0.0]))
    np.testing.assert_array_equal(logits["b"], np.float32([0.0, 7.0]))
    assert callback.done == [1, 1], "of two videos, not of four views"
    assert network.training


def test_scored_undecodable_and_missing_videos_are_as_many_as_the_card_expects():
    videos = [Video(name, f"{name}.avi", number % 2) for number, name in enumerate("abc")]
    logits = {name: np.zeros(2, np.float32) for name in "ab"}
    how = {"num_classes": 2, "undecodable": ["c"], "missing": iter(["d"])}
    assert make_scores(logits, videos, **how, expected=4).n_of == 4
    assert make_scores(logits, videos, **how | {"missing": ["d"]}).missing == ("d",)
    with pytest.raises(HarnessError, match=r"name 4 videos \(3 on disk, 1 missing\), the data set's card expects 5"):
        make_scores(logits, videos, **how | {"missing": ["d"]}, expected=5)
