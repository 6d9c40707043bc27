"""Late fusion: the scores of two streams become those of 'rgb+flow'. Arithmetic on finished scores, no network."""

from __future__ import annotations

import numpy as np

from harness.core.errors import HarnessError
from harness.metrics.scores import Scores, aligned


def late_fusion(scores_a: Scores, scores_b: Scores) -> Scores:
    """The sum of the logits, in the order of `scores_a`; `scores_b` is aligned by id.

    The two have equal weight, as in the released I3D; the paper says only that predictions are averaged (section 2.4). A
    video that either stream could not decode counts as wrong.
    Raises HarnessError when the two were not scored on the same videos with the same labels.
    """
    other = _same_videos(scores_a, scores_b)
    bad = set(scores_a.undecodable) | set(scores_b.undecodable)
    return Scores(
        ids=scores_a.ids,
        logits=(scores_a.logits.astype(np.float64) + other.logits).astype(np.float32),
        labels=scores_a.labels,
        groups=scores_a.groups,
        undecodable=tuple(video for video in scores_a.ids if video in bad),
        missing=scores_a.missing,
    )


def _same_videos(scores_a: Scores, scores_b: Scores) -> Scores:
    """`scores_b` in the order of `scores_a`; everything but the logits must be equal."""
    for name, kind in (("ids", "videos"), ("missing", "missing videos")):
        odd = sorted(set(getattr(scores_a, name)) ^ set(getattr(scores_b, name)))
        if odd:
            raise HarnessError(
                f"two streams can be fused only on the same videos; {len(odd)} {kind} are in only one of them: "
                f"{', '.join(odd[:5])}{' ...' if len(odd) > 5 else ''}. Score both streams on the same split."
            )
    if scores_a.logits.shape[1] != scores_b.logits.shape[1]:
        raise HarnessError(
            f"cannot fuse scores of {scores_a.logits.shape[1]} classes with scores of {scores_b.logits.shape[1]}; give two "
            "jobs of the same data set"
        )
    other = aligned(scores_b, scores_a.ids)
    differ = np.flatnonzero(scores_a.labels != other.labels)
    if len(differ):
        video = scores_a.ids[int(differ[0])]
        raise HarnessError(
            f"the records of the two jobs disagree on the true label of {len(differ)} videos (for example {video}); "
            "run both jobs on the same version of the data set"
        )
    return other
