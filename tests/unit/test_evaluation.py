"""Scoring: the logits of a video's views, and the progress that is reported."""

import numpy as np
import torch

from harness.core.callbacks import Callback
from harness.training.evaluation import video_logits


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
