"""Per-video scores and the arithmetic on them: top-k, per-class accuracy, confusion. numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import HarnessError

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Scores:
    """One row of logits for every video of the evaluated set that is on disk.

    Raises HarnessError when shapes disagree, an id appears twice, a label is out of range, or a logit is not finite.
    """

    ids: tuple[str, ...]
    """Video ids, each once, in any order."""
    logits: NDArray[np.float32]
    """(n, C) float32. float16 is refused: its ties would change the ranking. The row of an undecodable video may hold
    any finite number, by convention zeros; it is never read."""
    labels: NDArray[np.int64]
    """(n,) int64 in [0, C)."""
    groups: tuple[str, ...]
    """(n,) source each video was cut from; '' where not known. Videos of one group are not independent."""
    undecodable: tuple[str, ...] = ()
    """Ids, among `ids`, of files that are there but cannot be decoded: they count as wrong, at every k."""
    missing: tuple[str, ...] = ()
    """Ids that the lists name and the disk does not have, none of them among `ids`; `n` does not count them."""

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_ids(self)
        _check_values(self)

    @property
    def n(self) -> int:
        """Videos scored, the undecodable ones included."""
        return len(self.ids)

    @property
    def n_of(self) -> int:
        """Videos that the lists name: n and the missing ones."""
        return len(self.ids) + len(self.missing)

    @property
    def decodable(self) -> Bools:
        """(n,) bool, False for the undecodable videos."""
        if not self.undecodable:
            return np.ones(self.n, dtype=bool)
        bad = set(self.undecodable)
        return np.array([video not in bad for video in self.ids], dtype=bool)


@dataclass(frozen=True, eq=False)
class CellResult:
    """Scores that a cell's number is computed from, and the jobs behind them."""

    scores: Scores
    """After late fusion, where the cell's streams are scored apart."""
    job_ids: tuple[str, ...] = ()
    """The scored jobs: one, or one per stream."""
    records: tuple[Any, ...] = ()
    """Their records."""
    skipped: tuple[str, ...] = ()
    """Ids of training videos that the jobs, or those they build on, left out because they cannot be decoded."""


def _check_shapes(scores: Scores) -> None:
    logits, n = scores.logits, len(scores.ids)
    if not isinstance(logits, np.ndarray) or logits.ndim != 2 or logits.dtype != np.float32:
        kind = f"{logits.dtype} {logits.shape}" if isinstance(logits, np.ndarray) else type(logits).__name__
        raise HarnessError(f"logits must be a float32 array (videos, classes), got {kind}")
    if not isinstance(scores.labels, np.ndarray) or scores.labels.dtype != np.int64:
        raise HarnessError("labels must be an int64 array with one class index a video")
    sizes = {"ids": n, "logits": len(logits), "labels": len(scores.labels), "groups": len(scores.groups)}
    if len(set(sizes.values())) != 1 or scores.labels.ndim != 1:
        raise HarnessError(f"scores disagree on the number of videos: {sizes}")
    if n == 0 or logits.shape[1] < 2:
        raise HarnessError(f"scores need at least one video and two classes, got {n} videos, {logits.shape[1]} classes")


def _check_ids(scores: Scores) -> None:
    known = set(scores.ids)
    if len(known) != len(scores.ids):
        twice = sorted({video for video in scores.ids if scores.ids.count(video) > 1})
        raise HarnessError(f"scored more than once: {_few(twice)}; every test video is scored exactly once")
    stray = set(scores.undecodable) - known
    if stray:
        raise HarnessError(f"undecodable videos that are not among the scored ones: {_few(sorted(stray))}")
    both = set(scores.missing) & known
    if both or len(set(scores.missing)) != len(scores.missing):
        raise HarnessError(f"missing videos must be listed once and not be scored as well: {_few(sorted(both))}")


def _check_values(scores: Scores) -> None:
    finite = np.isfinite(scores.logits).all(axis=1)
    if not finite.all():
        bad = [scores.ids[row] for row in np.flatnonzero(~finite)]
        raise HarnessError(
            f"logits of {len(bad)} videos are NaN or infinite: {_few(bad)}; the network diverged: lower train.base_lr, or check the weights"
        )
    classes = scores.logits.shape[1]
    wrong = (scores.labels < 0) | (scores.labels >= classes)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise HarnessError(f"label {scores.labels[row]} of {scores.ids[row]} is not in 0..{classes - 1}")


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def topk_correct(scores: Scores, k: int = 1) -> Bools:
    """(n,) bool: the true class is among the k best.

    Ties never favour the model: every other class with the same logit ranks above the true one, so a network that says
    the same for all classes is always wrong. Undecodable videos are always wrong. With k >= C all others are right.
    """
    if k < 1:
        raise HarnessError(f"top-k needs k >= 1, got {k}")
    own = scores.logits[np.arange(scores.n), scores.labels]
    rank = (scores.logits >= own[:, None]).sum(axis=1) - 1
    return (rank < k) & scores.decodable


def predictions(scores: Scores) -> NDArray[np.int64]:
    """(n,) int64: the class that is counted, -1 for undecodable videos.

    The best logit; at a tie a wrong class if one is in it, so that predictions agree with `topk_correct`.
    """
    best = scores.logits.argmax(axis=1)
    top = scores.logits.max(axis=1, keepdims=True)
    others = scores.logits == top
    others[np.arange(scores.n), scores.labels] = False
    guess = np.where(others.any(axis=1), others.argmax(axis=1), best)
    return np.where(scores.decodable, guess, -1).astype(np.int64)


def per_class_pct(scores: Scores, k: int = 1) -> Floats:
    """(C,) float64: top-k accuracy of each class in percent, NaN for a class without videos."""
    classes = scores.logits.shape[1]
    total = np.bincount(scores.labels, minlength=classes)
    right = np.bincount(scores.labels, weights=topk_correct(scores, k), minlength=classes)
    return np.divide(100.0 * right, total, out=np.full(classes, np.nan), where=total > 0)


def confusion(scores: Scores) -> NDArray[np.int64]:
    """(C, C + 1) int64 counts, true class down, predicted across; the last column holds the undecodable videos."""
    classes = scores.logits.shape[1]
    guess = predictions(scores)
    guess = np.where(guess < 0, classes, guess)
    counts = np.bincount(scores.labels * (classes + 1) + guess, minlength=classes * (classes + 1))
    return counts.reshape(classes, classes + 1).astype(np.int64)


def softmax(logits: Floats) -> NDArray[np.float64]:
    """(..., C) -> (..., C) float64 probabilities that sum to 1, without overflow."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.exp(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def aligned(scores: Scores, ids: Sequence[str], *, part: bool = False) -> Scores:
    """The scores of `ids`, in this order, so that rows of two networks belong to the same videos.

    Raises HarnessError unless these are the videos that were scored, or with `part` some of them.
    """
    if scores.ids == tuple(ids):
        return scores
    row_of = {video: row for row, video in enumerate(scores.ids)}
    strange = [video for video in ids if video not in row_of]
    if strange or (len(ids) != scores.n and not part):
        rest = strange or sorted(set(scores.ids) - set(ids))
        raise HarnessError(
            f"the two jobs scored different videos: {len(rest)} were scored by only one of them ({_few(rest)}); compare jobs "
            "of the same data set, split and subset"
        )
    rows = [row_of[video] for video in ids]
    chosen = set(ids)
    return Scores(
        ids=tuple(ids),
        logits=scores.logits[rows],
        labels=scores.labels[rows],
        groups=tuple(scores.groups[row] for row in rows),
        undecodable=tuple(video for video in scores.undecodable if video in chosen),
        missing=scores.missing,
    )


def counts(scores: Scores) -> dict[str, int]:
    """Videos behind a record's metrics: `n` scored of `n_of` listed, `correct` at top-1, `undecodable`, `missing`."""
    return {
        "n": scores.n,
        "n_of": scores.n_of,
        "correct": int(topk_correct(scores).sum()),
        "undecodable": len(scores.undecodable),
        "missing": len(scores.missing),
    }


def bounds_pct(counted: Mapping[str, int]) -> tuple[float, float]:
    """Top-1 in percent if all videos that are missing from disk were wrong, and if all were right."""
    correct, missing, listed = (counted[key] for key in ("correct", "missing", "n_of"))
    return 100.0 * correct / listed, 100.0 * (correct + missing) / listed


def check_count(present: int, missing: int, expected: int | None) -> None:
    """Raises HarnessError unless present and missing videos are as many as the data set's card expects; None: no number."""
    if expected is not None and present + missing != expected:
        raise HarnessError(
            f"the lists name {present + missing} videos ({present} on disk, {missing} missing), the data set's card "
            f"expects {expected}; compare the annotation files with `harness data verify`"
        )


def per_class_metrics(scores: Scores, classes: tuple[str, ...]) -> Mapping[str, float]:
    """Class name -> top-1 in percent, classes without videos left out."""
    if len(classes) != scores.logits.shape[1]:
        raise HarnessError(f"{len(classes)} class names for {scores.logits.shape[1]} logits")
    accuracy = per_class_pct(scores)
    return {name: float(accuracy[k]) for k, name in enumerate(classes) if np.isfinite(accuracy[k])}
