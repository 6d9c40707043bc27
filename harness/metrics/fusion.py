"""Late fusion: the scores of two streams become those of 'rgb+flow'. Arithmetic on finished scores, no network."""

from __future__ import annotations

from typing import Literal

import numpy as np

from harness.core.errors import HarnessError
from harness.metrics.scores import Scores, aligned, log_softmax


def late_fusion(scores_a: Scores, scores_b: Scores, *, how: Literal["logits", "probabilities"] = "logits") -> Scores:
    """The fused Scores, in the order of `scores_a`; `scores_b` is aligned by id.

    'logits' adds them with equal weight, as the released I3D does. 'probabilities' averages the two softmaxes; its
    "logits" are the logarithm of that average, so a softmax gives it back. The paper says only that predictions are
    averaged (section 2.4). A video that either stream could not decode counts as wrong.
    Raises HarnessError when the two were not scored on the same videos with the same labels.
    """
    other = _aligned(scores_a, scores_b).logits
    if how == "logits":
        fused = scores_a.logits.astype(np.float64) + other
    elif how == "probabilities":
        fused = np.logaddexp(log_softmax(scores_a.logits), log_softmax(other)) - np.log(2.0)
    else:
        raise HarnessError(f"no way of fusing '{how}'; have: logits, probabilities")
    bad = set(scores_a.undecodable) | set(scores_b.undecodable)
    return Scores(
        ids=scores_a.ids,
        logits=fused.astype(np.float32),
        labels=scores_a.labels,
        groups=scores_a.groups,
        undecodable=tuple(video for video in scores_a.ids if video in bad),
        missing=scores_a.missing,
    )


def _aligned(scores_a: Scores, scores_b: Scores) -> Scores:
    """`scores_b` in the order of `scores_a`, of which everything but the logits must be the same."""
    for name in ("ids", "missing"):
        ours, theirs = set(getattr(scores_a, name)), set(getattr(scores_b, name))
        if ours != theirs:
            odd = sorted(ours ^ theirs)
            what = "videos" if name == "ids" else "missing videos"
            raise HarnessError(
                f"two streams can be fused only on the same videos; {len(odd)} {what} are in one of them alone: "
                f"{', '.join(odd[:5])}{' ...' if len(odd) > 5 else ''}. Score both streams on the same split."
            )
    if scores_a.logits.shape[1] != scores_b.logits.shape[1]:
        raise HarnessError(f"cannot fuse {scores_a.logits.shape[1]} classes with {scores_b.logits.shape[1]}")
    other = aligned(scores_b, scores_a.ids)
    differ = np.flatnonzero(scores_a.labels != other.labels)
    if len(differ):
        video = scores_a.ids[int(differ[0])]
        raise HarnessError(f"the two streams give {len(differ)} videos different labels, {video} among them")
    return other
