"""Finished networks, ready to be used on video files: of jobs, or published ones. Their torch code loads when one is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import environment, registry
from harness.core.cells import PUBLISHED
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.records.record import RunStore

if TYPE_CHECKING:
    import numpy as np

    from harness.jobs.predict import Prediction
    from harness.jobs.restore import Scorer


@dataclass(frozen=True, eq=False)
class Predictor:
    """One network, or several whose logits are added (late fusion), with the weights of finished jobs."""

    scorers: tuple[Scorer, ...]
    """Each with its torch module (`network`), its test clip and the settings it sees videos with."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return self.scorers[0].classes

    def predict(self, path: str | Path) -> Prediction:
        """The fused prediction for a video file: `.top(5)` gives classes with probabilities, `.logits` (C,) float64.

        Raises DataMissing if there is no such file, and BrokenVideo, naming the cause, for one that cannot be decoded.
        """
        from harness.jobs.predict import predict

        return predict(Path(path), self.scorers)

    def features(self, path: str | Path) -> np.ndarray:
        """(V, P, F) float32: the head's inputs, for V test clips of a video file at P output positions in time.

        Raises HarnessError for several networks, whose features have no common meaning, and as `predict` does.
        """
        from harness.jobs.predict import features

        if len(self.scorers) > 1:
            names = " and ".join(scorer.name for scorer in self.scorers)
            raise HarnessError(
                f"features come from one network, but this result has two ({names}); load each of them alone"
            )
        return features(Path(path), self.scorers[0])


def open_networks(
    workspace: Workspace,
    *,
    jobs: Sequence[str] = (),
    weights: str | None = None,
    baseline: str | None = None,
    streams: Sequence[str] = (),
) -> Predictor:
    """The networks of these jobs (beginnings of ids), of imported published weights, or of a folder by `harness weights export`.

    Raises HarnessError unless there are jobs or weights, for networks that cannot be fused, and, naming the remedy, for
    weights that are not on this machine.
    """
    if bool(jobs) == bool(weights):
        raise HarnessError(
            "choose the network: --job ID (see `harness ls jobs`; a second --job adds the other stream), or "
            "--weights published:NAME --baseline NAME (see `harness weights list`)"
        )
    records = [RunStore(workspace.runs).find(job) for job in jobs]
    environment.check_device(environment.device())
    from harness.jobs.predict import check_together
    from harness.jobs.restore import open_job

    if weights and Path(weights).is_dir():
        from harness.jobs.export import open_exported

        scorers: tuple[Scorer, ...] = (open_exported(Path(weights), JobOptions(workspace=workspace)),)
    elif weights:
        scorers = _published(workspace, weights, baseline, streams)
    else:
        scorers = tuple(open_job(record, JobOptions(workspace=workspace)) for record in records)
    check_together(scorers)
    return Predictor(scorers)


def _published(workspace: Workspace, weights: str, baseline: str | None, streams: Sequence[str]) -> tuple[Scorer, ...]:
    from harness.jobs.restore import open_published
    from harness.models import pretrained

    name = weights.removeprefix(PUBLISHED)
    offers = [(card, offer.stream) for card, offer in pretrained.named(name) if offer.stream != "image"]
    card = registry.load("baseline", baseline) if baseline else offers[0][0] if offers else None
    chosen = [stream for _, stream in offers if not streams or stream in streams]
    if card is None or not chosen:
        raise HarnessError(
            f"'{name}' is not published for the stream {' or '.join(streams) or 'rgb or flow'}; "
            "`harness weights list` prints the streams of each name"
        )
    return tuple(open_published(name, card, stream, workspace) for stream in chosen)
