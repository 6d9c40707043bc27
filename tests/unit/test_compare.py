"""`harness compare`: the caveats printed with the test of two jobs, and jobs that cannot be compared."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.synthetic_results import fill
from harness.commands import harness
from harness.core.cells import Selection
from harness.core.errors import HarnessError
from harness.core.job_specs import CardSpec, DataSpec, PretrainedSpec, job_id
from harness.core.workspace import Workspace
from harness.metrics.scores import counts, topk_correct
from harness.metrics.summary import summary
from harness.planning.lookup import lookup_in
from harness.planning.selection import cells
from harness.records.caveats import caveats_of_pair
from harness.records.record import SCORES, Record, RunStore, write_record, write_scores
from tests.specs import train_spec
from tests.unit.test_tables import scores_with

COUNTS = {"n": 240, "n_of": 240, "correct": 120, "undecodable": 0, "missing": 0}
WHOLE = Record("aaaaaaaaaaaa", train_spec(), "a job", {}, None, {}, "aa", {}, {}, counts=COUNTS)
HALF_FPS = dataclasses.replace(train_spec().scale, fps=12.5)


def with_spec(**changes: object) -> Record:
    return dataclasses.replace(WHOLE, spec=train_spec(**changes))


def test_equal_conditions_need_no_word() -> None:
    assert caveats_of_pair([WHOLE], [with_spec(baseline=CardSpec("another", 1), seed=3)]) == []


def test_missing_and_undecodable_videos_are_told_of_the_job_that_has_them() -> None:
    short = dataclasses.replace(WHOLE, counts=COUNTS | {"n": 236, "missing": 4, "undecodable": 2, "correct": 118})
    told = caveats_of_pair([WHOLE], [short])
    assert len(told) == 2 and all(said.startswith("B: ") for said in told)
    assert "236 of 240" in told[0] and "49.2 to 50.8%" in told[0] and "2 videos cannot be decoded" in told[1]


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"decoder": {"decoder": "pyav 17.0.0"}}, "A and B differ in the decoder"),
        ({"dataset": DataSpec("hmdb51", 1, "bb")}, "fingerprint"),
        ({"scale": HALF_FPS}, "sizes of the same scale: fps"),
        ({"scale": train_spec("micro").scale}, "B: run at micro scale"),
        ({"precision": "bfloat16"}, "precision"),
        ({"pretrained": PretrainedSpec("tf-rgb", "rgb", "cc")}, "B: starts from published weights 'tf-rgb'"),
    ],
)
def test_other_conditions_are_named(changes: dict[str, object], said: str) -> None:
    assert any(said in line for line in caveats_of_pair([WHOLE], [with_spec(**changes)]))


def test_a_caveat_of_both_is_said_once() -> None:
    micro = with_spec(scale=train_spec("micro").scale)
    (told,) = caveats_of_pair([micro], [micro, micro])
    assert told.startswith("Both: run at micro scale")


def test_the_command_prints_them_and_refuses_jobs_without_answers(tmp_path: Path) -> None:
    jobs = [written(tmp_path / "runs", right, fps) for right, fps in ((200, 25.0), (150, 12.5), (None, 50.0))]
    told = CliRunner().invoke(harness, ["compare", jobs[0], jobs[1], "--results", str(tmp_path)])
    assert told.exit_code == 0, told.output
    assert "- A and B differ in sizes of the same scale: fps." in told.output and "McNemar" in told.output
    refused = CliRunner().invoke(harness, ["compare", jobs[0], jobs[2], "--results", str(tmp_path)])
    assert "scored no videos" in str(refused.exception)


def written(runs: Path, right: int | None, fps: float) -> str:
    """A record with so many right answers of 240, or with none at all; its id."""
    spec = train_spec(scale=dataclasses.replace(train_spec().scale, fps=fps))
    scores = scores_with(right, 240) if right is not None else None
    job = job_id(spec, {})
    record = dataclasses.replace(
        WHOLE,
        job_id=job,
        spec=spec,
        metrics=summary(scores) if scores else {},
        counts=counts(scores) if scores else {},
        cost={"wall_s": 1.0},
        classes=tuple(f"class {k}" for k in range(scores.logits.shape[1])) if scores else (),
    )

    def fill(folder: Path) -> None:
        if scores is not None:
            write_scores(folder / SCORES, scores)

    write_record(runs, record, fill=fill)
    return job


def test_a_fused_pair_is_compared_as_a_run_prints_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "data", tmp_path)
    asked = Selection(("i3d",), ("rgb", "flow"), ("micro-hmdb51",), protocols=("original",), inits=("scratch",))
    fill(workspace, cells(asked))
    rgb, flow = (r.job_id for stream in ("rgb", "flow") for r in RunStore(workspace.runs) if _stream(r) == stream)

    def told(*words: str) -> str:
        done = CliRunner().invoke(harness, ["compare", *words, "--results", str(tmp_path)], catch_exceptions=False)
        return done.output

    fused = told(f"{rgb} + {flow}", rgb)
    assert fused == told(f"{rgb[:6]}+{flow[:6]}", rgb) == told(rgb, "+", flow, rgb)
    lookup = lookup_in(workspace)
    (both,) = cells(dataclasses.replace(asked, modalities=("rgb+flow",)))
    accuracy = topk_correct(lookup(both).scores).mean()
    assert fused.startswith(f"A  {rgb} + {flow}  i3d · rgb · ") and f": top-1 {100 * accuracy:.1f}%" in fused
    with pytest.raises(HarnessError, match="adds jobs that read rgb and rgb"):
        told(f"{rgb}+{rgb}", flow)
    assert "takes two jobs, or sums of two such as A + B; got 1" in told(rgb)


def _stream(record: Record) -> str:
    return record.cell.modality if record.cell and record.metrics else ""
