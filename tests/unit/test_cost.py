"""What a plan will take: the model, its correction by finished jobs, and plans of things that are not there."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.commands import plan as command
from harness.core import registry
from harness.core.cells import Selection
from harness.core.errors import HarnessError
from harness.core.job_specs import CardSpec
from harness.core.workspace import Workspace
from harness.planning.cost import estimates
from harness.planning.plan import make_plan
from harness.planning.selection import cells
from harness.records.caveats import caveats_of
from harness.records.record import Record
from reports import table_output, tables
from reports.figures import graph
from tests.specs import CELL, train_spec

FLOPS = 50e9


@pytest.fixture
def where(tmp_path):
    return Workspace(data=tmp_path / "data", results=tmp_path / "results")


def planned(where, table="4", scale="micro"):
    return make_plan(table_output.cells_of(Selection(scale=scale), table), where, dry_run=True)


def record_of(job, wall_s: float) -> Record:
    return Record(job.id, job.spec, job.title, job.upstream, job.cell, {}, "", {}, {"wall_s": wall_s})


def test_all_tables_at_paper_scale_are_planned_without_data_or_weights(where):
    plan = planned(where, "all", "paper")
    assert len(plan.cells) == 115 and all(job.provisional for job in plan.jobs)
    with pytest.raises(HarnessError, match="weights fetch"):
        make_plan(plan.cells, where)


def test_shared_work_appears_once_in_all_tables(where):
    jobs = {number: {job.id for job in planned(where, number).jobs} for number in table_output.TABLES}
    together = {job.id for job in planned(where, "all").jobs}
    assert together == set().union(*jobs.values())
    assert len(together) < 0.75 * sum(map(len, jobs.values()))
    assert (
        len({cell for n in table_output.TABLES for cell in tables.wanted(int(n), tables.Question(scale="micro"))})
        == 115
    )


def test_the_model_counts_operations(where):
    plan = planned(where)
    found = estimates(plan, [], flops=FLOPS)
    (long,) = [job for job in plan.jobs if job.title == "i3d · rgb · micro-kinetics · pre-training · scratch"]
    short = next(
        job for job in plan.jobs if job.title.startswith("i3d · rgb · micro-hmdb51 · split 1 · original · scratch")
    )
    assert found[long.id].basis == "model"
    assert 1.5 < found[long.id].seconds / found[short.id].seconds < 560 / 220 + 0.1
    twice = estimates(plan, [], flops=2 * FLOPS)
    assert twice[long.id].seconds == pytest.approx(found[long.id].seconds / 2)


def test_finished_jobs_correct_their_like_before_their_kind(where):
    plan = planned(where)
    (done,) = [job for job in plan.jobs if job.title == "c3d · rgb · micro-kinetics · pre-training · scratch"]
    like = next(job for job in plan.jobs if job.title.startswith("c3d · rgb · micro-hmdb51 · split 1 · full-ft"))
    kind = next(job for job in plan.jobs if job.title.startswith("i3d · rgb · micro-hmdb51 · split 1 · full-ft"))
    before = estimates(plan, [], flops=FLOPS)
    after = estimates(plan, [record_of(done, 3 * before[done.id].seconds)], flops=FLOPS)
    assert after[like.id].seconds == pytest.approx(3 * before[like.id].seconds) and after[like.id].basis == "records"
    assert after[kind.id].seconds == pytest.approx(3 * before[kind.id].seconds) and after[kind.id].basis == "kind"
    heads = [after[job.id].basis for job in plan.jobs if job.kind == "head"]
    assert heads and set(heads) == {"model"}


def test_records_of_a_plug_in_that_is_not_loaded_are_ignored(where):
    plan = planned(where)
    stranger = replace(plan.jobs[0], spec=train_spec("micro", baseline=CardSpec("not-installed", 1)))
    assert estimates(plan, [record_of(stranger, 5.0)], flops=FLOPS) == estimates(plan, [], flops=FLOPS)
    cell = replace(CELL, baseline="not-installed", dataset="not-installed")
    assert caveats_of(cell) == ()


PLUGIN = """
import dataclasses
from baselines import c3d


def build(spec):
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Conv3d(3, WIDTH, 3, padding=1)
            self.new_head(spec.num_classes)

        def features(self, clips):
            return self.body(clips["rgb"]).mean((3, 4)).transpose(1, 2)

        def new_head(self, num_classes):
            self.head = nn.Linear(WIDTH, num_classes)

        def forward(self, clips):
            return self.head(self.features(clips))
    BREAK
    return Net()


BASELINE = dataclasses.replace(c3d.BASELINE, name="NAME", build=build)
"""


def test_the_operations_of_a_plug_in_are_counted_and_one_that_cannot_be_is_named(where, tmp_path, monkeypatch):
    broken = "torch.empty(1).item()"
    for name, width, extra in (("narrow", "8", ""), ("wide", "80", ""), ("uncountable", "8", broken)):
        text = PLUGIN.replace("NAME", name).replace("WIDTH", width).replace("BREAK", extra)
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv(registry.PLUGINS_ENV, str(tmp_path))

    def estimate(name, records=()):
        selection = Selection((name,), datasets=("micro-hmdb51",), protocols=("original",))
        (job,) = make_plan(cells(selection), where).jobs
        return job, estimates(make_plan(cells(selection), where), records, flops=FLOPS)[job.id]

    (narrow, small), (_, large), (unknown, assumed) = map(estimate, ("narrow", "wide", "uncountable"))
    assert large.seconds == pytest.approx(10 * small.seconds, rel=0.01) and small.basis == large.basis == "model"
    assert large.disk_bytes > 5 * small.disk_bytes
    assert assumed.basis == "assumed"
    assert estimate("uncountable", [record_of(narrow, 5.0)])[1].basis == "assumed"
    assert estimate("uncountable", [record_of(unknown, 5.0)])[1].basis == "records"


def test_records_of_other_plug_ins_are_not_counted(where, tmp_path, monkeypatch):
    (tmp_path / "other.py").write_text(PLUGIN.replace("NAME", "other").replace("BREAK", "raise SystemExit"))
    monkeypatch.setenv(registry.PLUGINS_ENV, str(tmp_path))
    plan = make_plan(cells(Selection(datasets=("micro-hmdb51",), protocols=("original",))), where)
    theirs = replace(plan.jobs[-1], spec=train_spec("micro", baseline=CardSpec("other", 1)))
    assert estimates(plan, [record_of(theirs, 5.0)], flops=FLOPS) == estimates(plan, [], flops=FLOPS)


def test_a_narrower_network_takes_less(where):
    def seconds(*overrides):
        selection = Selection(datasets=("micro-hmdb51",), protocols=("original",), overrides=overrides)
        plan = make_plan(cells(selection), where)
        return estimates(plan, [], flops=FLOPS)[plan.jobs[-1].id].seconds

    assert seconds(("scale.width", "0.125")) == pytest.approx(seconds() / 4)


def test_gpu_hours_are_counted_for_jobs_planned_for_a_gpu(where, monkeypatch):
    monkeypatch.setenv("HARNESS_DEVICE", "cuda")
    plan = planned(where, "3", "paper")
    found = estimates(plan, [], flops=FLOPS)
    trainings = [found[job.id] for job in plan.jobs if job.kind == "train"]
    assert trainings and all(cost.device_s == cost.seconds > 0 for cost in trainings)
    assert all(found[job.id].device_s == 0 for job in plan.jobs if job.kind == "flow")


def test_json_and_words(where):
    folders = ["--data", str(where.data), "--results", str(where.results)]
    printed = CliRunner().invoke(command.command, ["--scale", "micro", "--table", "2", "--json", *folders])
    told = json.loads(printed.output)
    assert told["to_do"]["jobs"] == len(told["jobs"]) and told["to_do"]["seconds"] > 0
    with pytest.raises(HarnessError, match="or all"):
        table_output.cells_of(Selection(), "6")


def test_the_picture_has_every_job_and_every_edge(where, tmp_path):
    plan = planned(where)
    done = replace(plan, done=frozenset({plan.jobs[0].id}))
    Path(tmp_path / "graph.svg").write_text(graph.draw(done, estimates(plan, [], flops=FLOPS)))
    root = ElementTree.parse(tmp_path / "graph.svg").getroot()
    svg = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{svg}path")) == sum(len(job.upstream) for job in plan.jobs)
    states = [title.text for title in root.findall(f"{svg}rect/{svg}title")]
    assert len(states) == len(plan.jobs)
    assert sum(": done," in state for state in states) == 1


def test_cost_counts_shared_work_once(where):
    from reports.tables import supplements
    from reports.tables.model import Table, TableCell

    upstream = {"a": {}, "b": {"source": "a"}, "c": {"source": "a"}}
    cost = {"wall_s": 100.0, "device_s": 3600.0}
    records = {job: Record(job, train_spec(), "", up, None, {}, "", {}, cost) for job, up in upstream.items()}
    numbers = {("r", job): TableCell(ours=50.0, job_ids=(job,)) for job in ("b", "c")}
    numbers["r", "b top-5"] = numbers["r", "b"]
    numbers["r", "both"] = TableCell(ours=50.0, job_ids=("b", "c"))
    table = Table(4, "", "micro", "", (), (), (), numbers)
    told = supplements.terminal(supplements.costs(table, records))
    total = next(line for line in told.splitlines() if line.startswith("all of them"))
    assert total.split()[-3:] == ["3", "300", "3.00"] and "; 1 job was saved" in told


def test_features_too_large_to_store_are_named_with_their_size(where):
    """30 views of each Kinetics video: one line per network and data set, and every head's job computes its own."""
    words = [
        "--dataset",
        "kinetics400",
        "--source",
        "micro-kinetics",
        "--scale",
        "paper",
        "--baseline",
        "c3d",
        "--init",
        "scratch",
    ]
    words += ["--data", str(where.data), "--results", str(where.results)]
    one_view = (
        CliRunner().invoke(command.command, [*words, "--protocol", "knn,logreg", "--set", "views.count=1"]).output
    )
    views = ["--set", "views.count=10", "--set", "views.crops=3"]
    three = CliRunner().invoke(command.command, [*words, "--protocol", "knn,logreg", *views]).output
    forced = (
        CliRunner()
        .invoke(command.command, [*words, "--protocol", "knn", *views, "--set", "scale.features=stored"])
        .output
    )
    (line,) = [line for line in three.splitlines() if "not stored" in line]
    assert (
        line == "Features that are computed when they are needed, not stored: c3d rgb on kinetics400 (about 288.7 GB)."
    )
    kinds = [
        [line.split()[1] for line in text.splitlines()[2:] if "to run" in line] for text in (one_view, three, forced)
    ]
    assert [names.count("features") for names in kinds] == [1, 0, 1]
    assert [names.count("head") for names in kinds] == [2, 2, 1]
