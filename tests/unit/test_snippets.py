"""TSN and per-frame pooling: the consensus over segments, and what the two can and cannot see of the order of frames."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from baselines import i3d, per_frame, tsn, two_stream
from harness.core.contract import CHANNELS, BuildSpec, Clip
from harness.jobs.predict import _times
from harness.models.precision import autocast
from harness.protocols.scales.micro import SCALE as MICRO
from harness.protocols.scales.paper import SCALE as PAPER
from harness.video.sampling import test_positions as positions_in_testing

TINY = replace(MICRO, width=0.03, dropout=0.0)


def build(card, stream, *, scale=TINY, seed=0):
    torch.manual_seed(seed)
    return card.BASELINE.build(BuildSpec((stream,), 5, scale)).eval()


def clips(card, stream, *, number=2):
    clip = card.BASELINE.train_clip["micro"]
    torch.manual_seed(1)
    return torch.rand(number, CHANNELS[stream], clip.frames(stream), clip.side_px, clip.side_px) * 2 - 1


# ------------------------------------------------------------------------------------------------ TSN


@pytest.mark.parametrize(
    ("stream", "classes", "expected"),
    [
        ("rgb", 101, 5_599_904 + 1025 * 101),
        ("flow", 101, 5_599_904 + 7 * 7 * 64 * 7 + 1025 * 101),
        ("rgb", 400, 5_599_904 + 1025 * 400),
    ],
)
def test_exact_parameter_counts(stream, classes, expected):
    """Inception-v1 as Two-Stream has it (5,599,904 for three channels), with ten channels of flow."""
    for card in (tsn, per_frame):
        if stream in card.BASELINE.modalities:
            with torch.device("meta"):
                network = card.BASELINE.build(BuildSpec((stream,), classes, PAPER))
            assert sum(p.numel() for p in network.parameters()) == expected


def test_clips_take_one_frame_and_five_fields_of_flow_of_each_segment():
    train, test = tsn.BASELINE.train_clip["paper"], tsn.BASELINE.test_clip["paper"]
    assert [(clip.segments, clip.frames("rgb"), clip.frames("flow")) for clip in (train, test)] == [
        (3, 3, 15),
        (25, 25, 125),
    ]


@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_the_consensus_is_the_mean_over_snippets_of_the_same_network(stream):
    network, inputs = build(tsn, stream), clips(tsn, stream)
    each = inputs.shape[2] // 3
    alone = torch.cat([network({stream: part}) for part in inputs.split(each, dim=2)], dim=1)
    assert alone.shape == (2, 3, 5) and alone.std(1).min() > 0
    torch.testing.assert_close(network({stream: inputs}), alone)
    assert tsn.BASELINE.loss == "reduced" and tsn.BASELINE.reduce == "mean", "averaged before the cross-entropy"


def test_snippets_may_change_places_but_not_frames_within_flow():
    network, flow = build(tsn, "flow"), clips(tsn, "flow")
    before = network({"flow": flow}).mean(1)
    places = flow.unflatten(2, (3, 5))[:, :, [2, 0, 1]].flatten(2, 3)
    torch.testing.assert_close(network({"flow": places}).mean(1), before)
    backwards = flow.unflatten(2, (3, 5)).flip(3).flatten(2, 3)
    assert not torch.allclose(network({"flow": backwards}).mean(1), before, atol=1e-5)


def test_with_one_segment_it_is_two_stream():
    network, other = build(tsn, "rgb"), build(two_stream, "rgb", seed=3)
    other.load_state_dict(network.state_dict())
    frame = clips(tsn, "rgb")[:, :, :1]
    assert torch.equal(network({"rgb": frame}), other({"rgb": frame}))


def test_times_of_output_positions_are_those_of_their_segments():
    def times(clip, count, frames=100):
        scorer = SimpleNamespace(streams=("rgb",), scale=SimpleNamespace(fps=25.0))
        return _times(positions_in_testing(frames, clip), count, scorer, clip)

    segmented = Clip(window=5, side_px=8, strides={"rgb": 5}, segments=4)
    starts = [11, 35, 59, 83]
    np.testing.assert_allclose(times(segmented, 4), [[(start + 2.5) / 25 for start in starts]])
    np.testing.assert_allclose(times(segmented, 1), [[(np.mean(starts) + 2.5) / 25]])
    plain = Clip(window=20, side_px=8, count=2)
    np.testing.assert_allclose(times(plain, 2), [[0.2, 0.6], [80 / 25 + 0.2, 80 / 25 + 0.6]])


# ------------------------------------------------------------------------------------------------ per-frame pooling


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("width", [0.03, 0.25])
def test_shuffling_the_frames_changes_not_a_bit_of_the_logits(width, precision):
    network, frames = build(per_frame, "rgb", scale=replace(TINY, width=width)), clips(per_frame, "rgb", number=3)
    with torch.no_grad(), autocast("cpu", precision):
        before = network({"rgb": frames})
        for seed in range(5):
            order = torch.randperm(frames.shape[2], generator=torch.Generator().manual_seed(seed))
            assert torch.equal(network({"rgb": frames[:, :, order]}), before)
        assert torch.equal(network({"rgb": frames.flip(2)}), before)


def test_the_shuffle_would_show_in_a_network_that_sees_order():
    network, frames = build(i3d, "rgb"), clips(i3d, "rgb")
    with torch.no_grad():
        assert not torch.allclose(network({"rgb": frames.flip(2)}).mean(1), network({"rgb": frames}).mean(1), atol=1e-4)


def test_every_frame_counts():
    network, frames = build(per_frame, "rgb"), clips(per_frame, "rgb", number=1).requires_grad_()
    network({"rgb": frames})[0, 0, 0].backward()
    assert (frames.grad.abs().sum((0, 1, 3, 4)) > 0).all()


def test_features_are_averaged_and_not_the_loudest_frame():
    network, frames = build(per_frame, "rgb"), clips(per_frame, "rgb")
    single = torch.stack([network.features({"rgb": frames[:, :, [t]]}) for t in range(frames.shape[2])])
    torch.testing.assert_close(network.features({"rgb": frames}), single.mean(0))
