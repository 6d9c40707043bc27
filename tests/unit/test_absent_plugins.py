"""Records outlive plug-ins: without the plug-ins that made them, every command still shows what the records hold."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from benchmarks.synthetic_results import fill
from harness.commands import harness
from harness.core import registry
from harness.core.cells import Selection
from harness.core.errors import HarnessError
from harness.core.job_specs import ScoredSpec, to_plain
from harness.core.workspace import Workspace
from harness.planning.selection import cells
from harness.records.record import RunStore
from harness.records.tracking import content
from tests.registered import EXAMPLES

TOYS = EXAMPLES.parents[1] / "toys"
SCALE = "import dataclasses\nfrom harness.protocols.scales import micro\nSCALE = dataclasses.replace(micro.SCALE, name='tiny')\n"
BASELINE = """
import dataclasses
from baselines import c3d

CLIPS = {"micro": c3d.BASELINE.train_clip["micro"], "tiny": c3d.BASELINE.train_clip["micro"]}
BASELINE = dataclasses.replace(c3d.BASELINE, name="stranger", title="Stranger", train_clip=CLIPS, test_clip=CLIPS)
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Records of a foreign baseline, data set, protocol, head, metric and scale, and of our own; the plug-ins are gone."""
    folder = tmp_path_factory.mktemp("absent")
    (folder / "stranger.py").write_text(BASELINE)
    (folder / "tiny.py").write_text(SCALE)
    workspace = Workspace(folder / "data", folder / "results")
    registry.use_plugins(os.pathsep.join(map(str, (EXAMPLES, TOYS, folder))))
    try:
        for asked in (
            Selection(("stranger", "c3d"), ("rgb",), ("micro-hmdb51",), protocols=("full-ft",)),
            Selection(("stranger",), ("rgb",), ("micro-hmdb51",), protocols=("full-ft",), scale="tiny"),
            Selection(("c3d",), ("rgb",), ("toy-hmdb51",), protocols=("full-ft",)),
            Selection(("c3d",), ("rgb",), ("micro-hmdb51",), protocols=("nearest-mean-protocol", "last-block")),
        ):
            fill(workspace, cells(asked))
    finally:
        registry.use_plugins(None)
    return workspace


def ids(workspace: Workspace, **axes: str) -> list[str]:
    """Jobs whose cell has these axes."""
    records = RunStore(workspace.runs)
    return [r.job_id for r in records if r.cell and r.metrics and axes.items() <= vars(r.cell).items()]


def printed(workspace: Workspace, *words: str) -> str:
    """Output of `harness WORDS` without plug-ins, which must succeed."""
    folders = ["--data", str(workspace.data), "--results", str(workspace.results)]
    done = CliRunner().invoke(harness, [*words, *folders], catch_exceptions=False, standalone_mode=False)
    assert done.exit_code == 0, done.output
    return str(done.output)


def test_the_records_are_of_plug_ins_that_are_not_loaded(workspace: Workspace) -> None:
    assert len(ids(workspace, baseline="stranger")) >= 4
    assert ids(workspace, dataset="toy-hmdb51") and ids(workspace, protocol="nearest-mean-protocol")
    assert ids(workspace, scale="tiny")
    for kind, name in (
        ("baseline", "stranger"),
        ("dataset", "toy-hmdb51"),
        ("scale", "tiny"),
        ("head", "nearest-mean"),
    ):
        assert name not in registry.names(kind)
    (record, *_) = RunStore(workspace.runs)
    assert set(record.metrics) - set(registry.names("metric")) or not record.metrics


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--dataset", "micro-hmdb51", "--protocol", "full-ft"),
        ("plan", "--table", "all", "--scale", "micro"),
        ("table", "1", "--scale", "micro"),
        *(("table", number, "--scale", "micro", "--significance", "--with-cost") for number in "2345"),
        ("claims", "--scale", "micro"),
    ],
    ids=" ".join,
)
def test_our_own_numbers_are_shown(workspace: Workspace, words: tuple[str, ...]) -> None:
    assert printed(workspace, *words)


def test_every_job_is_listed_and_shown(workspace: Workspace) -> None:
    listed = printed(workspace, "ls", "jobs")
    for job_id in RunStore(workspace.runs).ids():
        assert job_id in listed
        assert job_id in printed(workspace, "ls", "jobs", job_id)


@pytest.mark.parametrize("order", ["dataset", "baseline"])
def test_every_scored_cell_is_in_the_table_of_all_results(workspace: Workspace, order: str) -> None:
    rows = json.loads(printed(workspace, "table", "results", "--by", order, "--format", "json"))["rows"]
    axes = ("baseline", "dataset", "protocol", "scale")
    shown = {tuple(row["axes"][axis] for axis in axes) for row in rows}
    cells = [
        record.cell for record in RunStore(workspace.runs) if record.metrics and isinstance(record.spec, ScoredSpec)
    ]
    assert {"stranger"} <= {cell.baseline for cell in cells if cell}
    assert shown == {tuple(getattr(cell, axis) for axis in axes) for cell in cells}


def test_jobs_are_compared(workspace: Workspace) -> None:
    (ours,) = ids(workspace, baseline="c3d", dataset="micro-hmdb51", protocol="full-ft")
    others = [
        *ids(workspace, baseline="stranger", dataset="micro-hmdb51", protocol="full-ft"),
        *ids(workspace, protocol="nearest-mean-protocol"),
    ]
    assert len(others) >= 3
    for other in others:
        assert "A - B = " in printed(workspace, "compare", ours, other)


def test_check_counts_what_is_missing_and_no_more(workspace: Workspace) -> None:
    folders = ["--data", str(workspace.data), "--results", str(workspace.results)]
    done = CliRunner().invoke(harness, ["check", "--only", "retrained", *folders], standalone_mode=False)
    assert done.return_value == 1 or isinstance(done.exception, click.exceptions.Exit), done.exception
    assert "missing" in done.output


def test_they_can_be_sent_to_mlflow(workspace: Workspace) -> None:
    for record in RunStore(workspace.runs):
        assert content.axes(record.spec, record.cell)["dataset"] == record.spec.dataset.name
        assert record.job_id in content.note(record) and content.flatten(to_plain(record.spec))
        assert not record.metrics or content.points_of(record, streamed=set())


def test_a_command_that_needs_the_plug_in_asks_for_its_folder(workspace: Workspace) -> None:
    job_id = ids(workspace, baseline="stranger", scale="micro")[0]
    with pytest.raises(
        HarnessError, match="no baseline 'stranger'; have: .*; a plug-in needs its folder as --plugins DIR"
    ):
        printed(workspace, "diagnose", job_id)


@pytest.mark.parametrize("scale", ["micro", "tiny"])
def test_the_report_shows_them(workspace: Workspace, tmp_path: Path, scale: str) -> None:
    printed(workspace, "report", "--scale", scale, "--out", str(tmp_path))
    page = "".join(path.read_text() for path in tmp_path.rglob("*.html"))
    for job_id in ids(workspace, scale=scale):
        assert job_id in page
