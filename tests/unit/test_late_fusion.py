"""Late fusion: alignment by id, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.core.errors import HarnessError
from harness.metrics.fusion import late_fusion
from harness.metrics.scores import Scores, topk_correct


def stream(logits: list[list[float]], *, seed: int = 0) -> Scores:
    n = len(logits)
    labels = np.arange(n, dtype=np.int64) % len(logits[0])
    return Scores(tuple(f"v{k}" for k in range(n)), np.array(logits, np.float32), labels, ("g",) * n)


RGB = stream([[3.0, 0.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
FLOW = stream([[0.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.5, 0.0]])


def shuffled(scores: Scores, order: list[int]) -> Scores:
    return replace(
        scores,
        ids=tuple(scores.ids[k] for k in order),
        logits=scores.logits[order],
        labels=scores.labels[order],
        groups=tuple(scores.groups[k] for k in order),
    )


def test_logits_are_summed_and_the_order_of_the_second_stream_does_not_matter() -> None:
    fused = late_fusion(RGB, FLOW)
    assert np.array_equal(fused.logits, RGB.logits + FLOW.logits)
    again = late_fusion(RGB, shuffled(FLOW, [2, 0, 1]))
    assert again.ids == RGB.ids
    assert np.array_equal(again.logits, fused.logits)


def test_fusion_rights_what_a_stream_alone_has_wrong() -> None:
    assert topk_correct(RGB).tolist() == [True, False, True]
    assert topk_correct(FLOW).tolist() == [False, True, False]
    assert topk_correct(late_fusion(RGB, FLOW)).all()


def test_a_video_either_stream_could_not_decode_is_wrong() -> None:
    fused = late_fusion(replace(RGB, undecodable=("v0",)), replace(FLOW, undecodable=("v2",)))
    assert fused.undecodable == ("v0", "v2")
    assert topk_correct(fused).tolist() == [False, True, False]


@pytest.mark.parametrize(
    "other, said",
    [
        (replace(FLOW, ids=("v0", "v1", "v9")), "v2, v9"),
        (replace(FLOW, missing=("gone",)), "1 missing videos are in only one of them: gone"),
        (replace(FLOW, labels=np.array([0, 2, 2])), r"true label of 1 videos \(for example v1\)"),
        (stream([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), "scores of 3 classes with scores of 2"),
    ],
)
def test_streams_of_different_videos_are_refused(other: Scores, said: str) -> None:
    with pytest.raises(HarnessError, match=said):
        late_fusion(RGB, other)
