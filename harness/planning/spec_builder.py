"""Training -> job specs, with everything that can change a job's numbers, resolved for this machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.core import environment, job_specs, registry
from harness.core.contract import Clip, Dataset, FlowMethod, Scale
from harness.core.errors import HarnessError
from harness.data.frame_store import store_key
from harness.planning.training import IMAGES, Training
from harness.video import decode
from harness.video.flow import estimation

CODE_VERSION = 3
"""Raised when the trainer or the scorer changes the numbers of every job."""


@dataclass(frozen=True)
class Specs:
    """Builds the specs of one plan."""

    device: str
    """'cpu' or 'cuda': where the jobs are planned to run."""
    cpu_threads: int
    """Threads of a job on a CPU, unless its scale sets them."""
    fingerprint: Callable[[Dataset], str | None]
    """Fingerprint of a data set's files; None if they are not on disk."""
    pretrained: Callable[[Training], job_specs.PretrainedSpec | None]
    """Published weights that a training starts from; None if it starts from a job or from scratch."""

    def train(self, training: Training) -> job_specs.TrainSpec:
        return job_specs.TrainSpec(
            **self._clips(training),
            **_scored(training),
            schedule=training.schedule,
            seed=training.seed,
            pretrained=self.pretrained(training),
        )

    def probe(self, training: Training, computed: job_specs.ComputedFeatures | None = None) -> job_specs.ProbeSpec:
        """Spec of the head's job. `computed`: what it needs to compute the features itself."""
        if training.head is None:
            raise HarnessError(f"protocol '{training.protocol.name}' has no head to train on features")
        return job_specs.ProbeSpec(
            **self._clips(training),
            **_scored(training),
            schedule=training.schedule if training.stage else None,
            seed=training.seed,
            head=training.head,
            computed=computed,
        )

    def features(self, training: Training) -> job_specs.FeaturesSpec:
        return job_specs.FeaturesSpec(
            **self._clips(training),
            seed=0,
            pretrained=self.pretrained(training),
            train_views=training.protocol.train_views,
        )

    def images(self, training: Training) -> job_specs.ImagesSpec:
        """Spec of the 2D image network. Raises HarnessError if the data set has no image set for it."""
        if training.dataset.image_source is None:
            raise HarnessError(
                f"--init imagenet is not available for {training.dataset.name} at scale {training.scale.name}: the card names no "
                "image data set (`image_source`), and published ImageNet weights fit only the sizes of the paper; pass --init scratch"
            )
        images: Dataset = registry.load("dataset", training.dataset.image_source)
        return job_specs.ImagesSpec(
            **self._network(training.scale),
            dataset=self.data(images, training.limit),
            backbone=training.backbone,
            seed=0,
            network=training.baseline.image_name,
            baseline=training.baseline.name,
            schedule=training.scale.stages[IMAGES],
            clip=Clip(window=1, side_px=training.baseline.train_clip[training.scale.name].side_px),
        )

    def flow(self, training: Training, split: int | None) -> job_specs.FlowFilesSpec:
        """Spec of the files of a split's videos; None: of all videos."""
        return job_specs.FlowFilesSpec(
            **self._files(training, split), flow=flow_spec(training.scale.flow), decoder=decode.decoder_key()
        )

    def frames(self, training: Training, split: int | None) -> job_specs.FrameFilesSpec:
        """Spec of the files of a split's videos; None: of all videos."""
        return job_specs.FrameFilesSpec(
            **self._files(training, split),
            short_side_px=training.scale.short_side_px,
            video_source=training.scale.video_source,
            decoder=store_key(training.scale),
        )

    def data(self, dataset: Dataset, limit: int) -> job_specs.DataSpec:
        return job_specs.DataSpec(dataset.name, dataset.version, self.fingerprint(dataset) or "", limit)

    def _files(self, training: Training, split: int | None) -> dict[str, Any]:
        return {
            "dataset": self.data(training.dataset, training.limit),
            "code_version": CODE_VERSION,
            "split": split,
            "subset": training.subset if split is not None else None,
            "fps": training.scale.fps,
        }

    def _clips(self, training: Training) -> dict[str, Any]:
        return self._network(training.scale) | {
            "dataset": self.data(training.dataset, training.limit),
            "baseline": job_specs.CardSpec(
                training.baseline.name, training.baseline.version, training.baseline.content
            ),
            "backbone": training.backbone,
            "streams": training.streams,
            "train_clip": training.baseline.train_clip[training.scale.name],
            "test_clip": training.baseline.test_clip[training.scale.name],
            "flow": flow_spec(training.scale.flow) if "flow" in training.streams else None,
            "pixels": training.pixels,
        }

    def _network(self, scale: Scale) -> dict[str, Any]:
        return {
            "scale": scale_spec(scale),
            "decoder": store_key(scale) if scale.video_source != "originals" else decode.decoder_key(),
            "precision": environment.precision(self.device, scale.precision),
            "threads": (scale.cpu_threads or self.cpu_threads) if self.device == "cpu" else 0,
            "code_version": CODE_VERSION,
        }


def _scored(training: Training) -> dict[str, Any]:
    protocol = training.protocol
    return {
        "split": training.split,
        "subset": training.subset,
        "init": training.init,
        "protocol": job_specs.ProtocolSpec(protocol.name, protocol.version, protocol.trained),
        "stage": training.stage,
        "shots": training.shots,
        "share": training.share,
    }


def scale_spec(scale: Scale) -> job_specs.ScaleSpec:
    return job_specs.ScaleSpec(
        **{field.name: getattr(scale, field.name) for field in dataclasses.fields(job_specs.ScaleSpec)}
    )


def flow_spec(method: FlowMethod) -> job_specs.FlowSpec:
    """The flow method, with automatic choices resolved for this machine."""
    resolved = estimation.resolved(method)
    return job_specs.FlowSpec(resolved, estimation.algorithm(resolved.name).library(resolved.params))
