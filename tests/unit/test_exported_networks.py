"""Networks and features for other programs: an exported network gives the job's logits, its head on features as well."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from harness.commands import harness
from harness.core import registry
from harness.core.contract import BuildSpec
from harness.core.errors import HarnessError
from harness.core.job_specs import CardSpec, FeaturesSpec, HeadSpec, JobSpec, ProbeSpec, ProtocolSpec, job_id
from harness.core.workspace import Workspace
from harness.data.splits import TRAINED_ON
from harness.jobs import export, extract
from harness.jobs.options import JobOptions
from harness.jobs.predict import predict
from harness.jobs.restore import Scorer, open_job
from harness.metrics.scores import counts
from harness.metrics.summary import summary
from harness.models import build, catalog, transfer
from harness.records.record import WEIGHTS, Record, write_record
from harness.training.evaluation import reduce_positions
from tests import videos
from tests.specs import CELL, train_spec
from tests.unit.test_tables import scores_with

CLASSES = ("clap", "jump", "wave")
BASELINES = ("i3d", "c3d", "convnet-lstm")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    videos.write(folder / "a" / "film.avi", videos.numbered(40), codec="mpeg4")
    videos.write(folder / "b.mp4", videos.numbered(9))
    return folder / "a" / "film.avi"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "data", tmp_path / "results")


def spec_of(baseline: str) -> JobSpec:
    card = registry.load("baseline", baseline)
    clips = {"train_clip": card.train_clip["micro"], "test_clip": card.test_clip["micro"]}
    return train_spec("micro", baseline=CardSpec(card.name, card.version), **clips)


def finished(
    workspace: Workspace, spec: JobSpec, upstream: dict[str, str], state: dict[str, torch.Tensor] | None
) -> Record:
    """The record of a job that left these weights, and some number."""
    scores = scores_with(200, 240)
    record = Record(
        job_id(spec, upstream), spec, "a job", upstream, CELL, {}, "aa", summary(scores), {"wall_s": 1.0},
        classes=CLASSES, counts=counts(scores), chosen={"rule": "last step"}, finished_at="2000-01-01T00:00:00+00:00",
    )  # fmt: skip

    def fill(folder: Path) -> None:
        if state is not None:
            holder = torch.nn.Module()
            holder.state_dict = lambda: state  # type: ignore[method-assign, assignment]
            transfer.write_weights(folder / WEIGHTS, holder, job="j")
        (folder / TRAINED_ON).write_text("{}")

    return write_record(workspace.runs, record, fill=fill)


def network_of(baseline: str) -> torch.nn.Module:
    torch.manual_seed(0)
    spec = BuildSpec(("rgb",), len(CLASSES), registry.load("scale", "micro"))
    return build.build(registry.load("baseline", baseline), spec)


def trained(workspace: Workspace, baseline: str) -> Record:
    return finished(workspace, spec_of(baseline), {}, dict(network_of(baseline).state_dict()))


def probed(workspace: Workspace, baseline: str) -> Record:
    """A head on the features of a trained network: its record has the weights of the head alone."""
    source = trained(workspace, baseline)
    shared = {
        f.name: getattr(source.spec, f.name) for f in dataclasses.fields(FeaturesSpec) if hasattr(source.spec, f.name)
    }
    features = finished(workspace, FeaturesSpec(**shared, train_views=1), {"source": source.job_id}, None)
    of_head = {name: value for name, value in shared.items() if name != "pretrained"}
    probe = ProbeSpec(
        **of_head, split=1, subset="test", init="imagenet", protocol=ProtocolSpec("fixed", 1, "head"), stage="",
        head=HeadSpec("linear", 1), schedule=None,
    )  # fmt: skip
    head = {
        name: torch.randn_like(t) for name, t in network_of(baseline).state_dict().items() if name.startswith("head.")
    }
    return finished(workspace, probe, {"features": features.job_id}, head)


def scorer(workspace: Workspace, record: Record) -> Scorer:
    return open_job(record, JobOptions(workspace=workspace))


@pytest.mark.parametrize("make", [trained, probed])
@pytest.mark.parametrize("baseline", BASELINES)
def test_an_exported_network_gives_the_same_logits_bit_for_bit(
    baseline: str, make: object, workspace: Workspace, video: Path, tmp_path: Path
) -> None:
    record = make(workspace, baseline)  # type: ignore[operator]
    options = JobOptions(workspace=workspace)
    export.export(record, options, tmp_path / "out")
    elsewhere = JobOptions(workspace=Workspace(tmp_path / "nothing", tmp_path / "nothing-either"))
    before = predict(video, [scorer(workspace, record)])
    after = predict(video, [export.open_exported(tmp_path / "out", elsewhere)])
    assert (before.logits == after.logits).all() and after.classes == CLASSES
    assert len(set(before.logits.tolist())) == len(CLASSES)


def test_the_same_job_gives_the_same_bytes(workspace: Workspace, tmp_path: Path) -> None:
    record, options = trained(workspace, "c3d"), JobOptions(workspace=workspace)
    contents = set()
    for number in range(4):
        export.export(record, options, tmp_path / str(number))
        contents.add((tmp_path / str(number) / catalog.MODEL).read_bytes())
    assert len(contents) == 1, "its hash is part of the ids of jobs that start from it"


def test_the_model_card_has_the_number_its_interval_and_the_data(workspace: Workspace, tmp_path: Path) -> None:
    record = trained(workspace, "c3d")
    command(workspace, "weights", "export", record.job_id, "--to", str(tmp_path / "out"))
    card = (tmp_path / "out" / export.CARD).read_text()
    assert "83.3% [" in card and "240 scored of 240" in card and "fingerprint `aa`" in card
    assert "clap, jump, wave" in card and "harness run --baseline i3d" in card and "micro scale" in card
    config = json.loads((tmp_path / "out" / catalog.CONFIG).read_text())
    assert config["spec"]["baseline"]["name"] == "c3d" and config["metrics"] == record.metrics


def test_a_damaged_or_full_folder_is_refused(workspace: Workspace, video: Path, tmp_path: Path) -> None:
    record, folder = trained(workspace, "c3d"), tmp_path / "out"
    options = JobOptions(workspace=workspace)
    export.export(record, options, folder)
    with pytest.raises(HarnessError, match="is not empty; name a new folder with --to"):
        export.export(record, options, folder)
    model = folder / catalog.MODEL
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    with pytest.raises(HarnessError, match="sha256 differs"):
        export.open_exported(folder, options)
    (folder / catalog.CONFIG).write_text("{}")
    with pytest.raises(HarnessError, match=r"config.json is damaged \(KeyError"):
        export.open_exported(folder, options)
    with pytest.raises(HarnessError, match=r"has no config.json; name a folder"):
        export.open_exported(video.parent, options)


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_head_on_the_features_is_the_prediction(
    baseline: str, workspace: Workspace, video: Path, tmp_path: Path
) -> None:
    used = scorer(workspace, trained(workspace, baseline))
    source = extract.Source(video, "film")
    assert extract.write_file(source, used, used.clip, tmp_path, network_sha256="n")
    with np.load(tmp_path / "film.npz") as stored:
        features, view, times = (torch.from_numpy(stored[name]) for name in ("features", "view", "times_s"))
    views = int(view.max()) + 1
    assert features.shape[0] == len(view) == len(times) and features.dtype == torch.float32
    with torch.inference_mode():
        logits = reduce_positions(
            used.network.head(features.reshape(views, -1, features.shape[1])), used.baseline.reduce
        )  # type: ignore[operator]
    assert np.allclose(logits.mean(0).numpy(), predict(video, [used]).logits, atol=1e-5)
    assert not extract.write_file(source, used, used.clip, tmp_path, network_sha256="n"), "it is there"
    assert extract.write_file(source, used, used.clip, tmp_path, network_sha256="another")


def test_windows_and_strides_cover_the_video(workspace: Workspace, video: Path, tmp_path: Path) -> None:
    used = scorer(workspace, trained(workspace, "i3d"))
    clip = extract.clip_of(used, 16, 8)
    extract.write_file(extract.Source(video, "film"), used, clip, tmp_path, network_sha256="n")
    with np.load(tmp_path / "film.npz") as stored:
        times, view = stored["times_s"], stored["view"]
    frames = round(40 / 25 * used.scale.fps)
    starts = sorted({*range(0, frames - 16, 8), frames - 16})
    assert view.max() + 1 == len(starts)
    per_view = len(view) // len(starts)
    middles = (np.arange(per_view) + 0.5) * 16 / per_view
    assert np.allclose(times, (np.array(starts)[:, None] + middles).reshape(-1) / used.scale.fps)


def test_a_network_of_fixed_length_takes_no_other_window(workspace: Workspace) -> None:
    used = scorer(workspace, trained(workspace, "c3d"))
    with pytest.raises(HarnessError, match=r"--window 7: 3D-ConvNet takes clips of \d+ frames only"):
        extract.clip_of(used, 7, None)
    assert extract.clip_of(used, None, 4).step == 4


def test_a_folder_has_a_file_per_video_and_a_second_command_computes_nothing(
    workspace: Workspace, video: Path, tmp_path: Path
) -> None:
    job = trained(workspace, "c3d").job_id
    words = ["features", str(video.parents[1]), "--job", job, "--out", str(tmp_path / "out")]
    assert "2 of 2 videos: wrote 2 files" in command(workspace, *words)
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.npz")) == [
        "a/film.npz",
        "b.npz",
    ]
    assert "2 of 2 videos: wrote 0 files" in command(workspace, *words)
    assert "2 of 2 videos: wrote 2 files" in command(workspace, *words, "--stride", "4")


def command(workspace: Workspace, *words: str) -> str:
    folders = ["--data", str(workspace.data), "--results", str(workspace.results)]
    answer = CliRunner().invoke(harness, [*words, *folders], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.output
