"""Job specs: one frozen dataclass per kind of job, with everything that can change the job's numbers. Planning
builds a spec. The job's id is the hash of its canonical JSON. All other code reads its attributes.
`JobSpec.kind` names the kind in JSON; a subclass registers itself by its kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from harness.core.serialization import IN_ID, digest, plain, read
from harness.core.settings import Clip, FlowMethod, Pixels, Schedule

NOT_IN_ID = {IN_ID: False}


@dataclass(frozen=True)
class DataSpec:
    """The data set of a job."""

    name: str
    version: int
    fingerprint: str
    """Fingerprint of its files and labels; '' if the data set is not on disk, which makes the job's id provisional."""
    limit: int = 0
    """Number of videos per subset, the first by id; 0: all videos."""

    @property
    def family(self) -> str:
        """'folder' of 'folder:/some/where'; any other name unchanged."""
        return self.name.partition(":")[0]


@dataclass(frozen=True)
class CardSpec:
    """A card, by name and version."""

    name: str
    version: int
    content: str = ""
    """`Baseline.content` of a member of a family that is named by a path or a repository."""


@dataclass(frozen=True)
class ProtocolSpec:
    """The part of a protocol that enters a job, in addition to its schedule and initial weights."""

    name: str
    version: int
    trained: str
    """As on the card: 'all', 'head', 'last-N'."""


@dataclass(frozen=True)
class HeadSpec:
    """The head that is trained on features, by name, with its parameters."""

    name: str
    version: int
    params: Mapping[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class PretrainedSpec:
    """Published weights that a job starts from."""

    name: str
    stream: str
    """'rgb' or 'flow'; 'image' for those of a 2D network."""
    sha256: str
    """SHA-256 of the imported file; '' if it is not on this machine, which makes the job's id provisional."""
    revision: str = field(default="", metadata=NOT_IN_ID)
    """Commit that the file was downloaded at; '': it has none. Not part of the id, which has the hash."""
    accuracy: Mapping[str, float] = field(default_factory=dict, metadata=NOT_IN_ID)
    """Data set -> published top-1 accuracy in %."""


@dataclass(frozen=True)
class FlowSpec:
    """Method, parameters and storage of optical flow."""

    method: FlowMethod
    library: str
    """Library that computes it, with its version."""


@dataclass(frozen=True)
class ScaleSpec:
    """The part of a `Scale` that networks and clips depend on; `harness.core.contract.Scale` explains each field."""

    name: str
    version: int
    width: float
    fps: float
    short_side_px: int
    bn_momentum: float
    bn_eps: float
    bn_scale: bool
    dropout: float
    flip: bool
    video_source: str
    compile: bool
    activation_checkpointing: bool
    precise_bn_clips: int
    frame_px: tuple[int, int] | None = None
    eval_precision: str = "float32"


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """Fields of every job: a data set, and the version of the code that computes its numbers."""

    kind: ClassVar[str] = ""
    kinds: ClassVar[dict[str, type[JobSpec]]] = {}

    dataset: DataSpec
    code_version: int
    """`harness.planning.spec_builder.CODE_VERSION` when the job was planned."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if cls.kind:
            JobSpec.kinds[cls.kind] = cls


@dataclass(frozen=True, kw_only=True)
class FilesSpec(JobSpec):
    """A job that derives files from videos before anything is trained on them."""

    split: int | None
    """None: every video of the data set."""
    subset: str | None
    """Subset of the split, in addition to its training videos; None if `split` is None."""
    fps: float
    """Frame rate that videos are resampled to."""


@dataclass(frozen=True, kw_only=True)
class FlowFilesSpec(FilesSpec):
    """Optical flow of a split's videos."""

    kind = "flow"

    flow: FlowSpec
    decoder: Mapping[str, Any]

    @property
    def short_side_px(self) -> int:
        return self.flow.method.short_side_px


@dataclass(frozen=True, kw_only=True)
class FrameFilesSpec(FilesSpec):
    """A split's videos, transcoded for fast seeking: the frame store."""

    kind = "store"

    short_side_px: int
    video_source: str
    """'store' or 'raw-store'."""
    decoder: Mapping[str, Any]
    """As `harness.data.frame_store.store_key` gives it: the store's format, and the decoder of the originals."""


@dataclass(frozen=True, kw_only=True)
class NetworkSpec(JobSpec):
    """A job that computes with a network."""

    backbone: str
    """'' for the paper's Inception-v1, or 'timm/NAME'."""
    scale: ScaleSpec
    seed: int
    decoder: Mapping[str, Any]
    """Names and versions of all that decodes and resizes."""
    precision: str
    """Precision of training: 'float32' or 'bfloat16', as planning resolved it."""
    threads: int
    """CPU threads; 0 for a job planned for a GPU."""

    @property
    def on_gpu(self) -> bool:
        return self.threads == 0


@dataclass(frozen=True, kw_only=True)
class ImagesSpec(NetworkSpec):
    """Training of the 2D network that `--init imagenet` starts from."""

    kind = "images"

    network: str
    """`Baseline.image_name`: baselines that share the network share this job."""
    baseline: str = field(metadata=NOT_IN_ID)
    """A baseline whose card builds the network."""
    schedule: Schedule
    clip: Clip


@dataclass(frozen=True, kw_only=True)
class ClipsSpec(NetworkSpec):
    """A job of a baseline's network on video clips."""

    baseline: CardSpec
    streams: tuple[str, ...]
    train_clip: Clip
    test_clip: Clip
    flow: FlowSpec | None
    """None for a network that does not read flow."""
    pixels: Pixels | None = None
    """None: [-1, 1], red first."""


@dataclass(frozen=True, kw_only=True)
class FeaturesSpec(ClipsSpec):
    """Features of every view of every video of a data set, computed by a frozen network."""

    kind = "features"

    pretrained: PretrainedSpec | None
    train_views: int


@dataclass(frozen=True)
class ComputedFeatures:
    """What a job that computes features as it needs them has in addition, of the job that would have stored them."""

    pretrained: PretrainedSpec | None
    train_views: int


@dataclass(frozen=True, kw_only=True)
class ScoredSpec(ClipsSpec):
    """A job that ends with scores of the videos of (split, subset)."""

    split: int
    subset: str
    init: str
    protocol: ProtocolSpec
    stage: str
    """Key of the schedule among those of the scale and the protocol; '' where the job follows none."""
    validation_share: float | None = None
    """For a trial of `harness tune`: share of the training videos that is held out and scored instead of the test set."""
    shots: int = 0
    """Training videos per class, drawn by the number `seed`; 0: not limited."""
    share: float = 0.0
    """Share of the training videos of each class, drawn by the number `seed`; 0: not limited."""


@dataclass(frozen=True, kw_only=True)
class TrainSpec(ScoredSpec):
    """Training of a network, or of part of it, on clips."""

    kind = "train"

    pretrained: PretrainedSpec | None
    schedule: Schedule
    """With the baseline's factor on the learning rate applied."""


@dataclass(frozen=True, kw_only=True)
class ProbeSpec(ScoredSpec):
    """A head on cached features."""

    kind = "head"

    head: HeadSpec
    schedule: Schedule | None
    """None for a head that is not trained in steps."""
    computed: ComputedFeatures | None = None
    """None: the features are those of the upstream job; else this job computes them."""

    def features_spec(self, computed: ComputedFeatures) -> FeaturesSpec:
        """The spec of the job that would have stored the features."""
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(ClipsSpec)}
        return FeaturesSpec(**shared | {"seed": 0}, **vars(computed))


@dataclass(frozen=True, kw_only=True)
class ImportedSpec(JobSpec):
    """Scores that another program computed: nothing is run, and `code_version` is 0."""

    kind = "imported"

    baseline: str
    """Name of the network, as the user gave it."""
    streams: tuple[str, ...]
    split: int
    subset: str
    seed: int
    scores_sha256: str
    """Hash of the scores, by video and class."""


WithScores = ScoredSpec | ImportedSpec
"""Specs of jobs whose records have scores of videos."""


def to_plain(spec: JobSpec) -> dict[str, Any]:
    """The spec as JSON holds it, with its kind."""
    return {"kind": spec.kind, **plain(spec)}


def from_plain(stored: Mapping[str, Any]) -> JobSpec:
    """The spec of the result of `to_plain`. Raises ValueError for an unknown kind or field, or an invalid value."""
    fields = dict(stored)
    kind = fields.pop("kind", None)
    if kind not in JobSpec.kinds:
        raise ValueError(f"the kind of job '{kind}' is not one of {', '.join(JobSpec.kinds)}")
    return read(JobSpec.kinds[kind], fields, "spec")


def job_id(spec: JobSpec, upstream: Mapping[str, str]) -> str:
    """Hash of the spec and the ids of upstream jobs.

    A member of a family (`folder:/videos`, `hf:/network`) counts by its content alone, where that is known, and so do the
    weights of an exported folder.
    """
    weights: PretrainedSpec | None = getattr(spec, "pretrained", None)
    if weights is not None and weights.sha256 and weights.name.startswith("/"):
        spec = dataclasses.replace(spec, pretrained=dataclasses.replace(weights, name=""))  # type: ignore[call-arg]
    if isinstance(spec, ClipsSpec) and spec.baseline.content:
        baseline = dataclasses.replace(spec.baseline, name=spec.baseline.name.partition(":")[0])
        spec = dataclasses.replace(spec, baseline=baseline)
    if spec.dataset.fingerprint:
        spec = dataclasses.replace(spec, dataset=dataclasses.replace(spec.dataset, name=spec.dataset.family))
    return digest({"kind": spec.kind, "spec": plain(spec, for_id=True), "upstream": upstream})
