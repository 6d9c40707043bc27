"""What a plan will take: the model, its correction by finished jobs, and plans of things that are not there."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.commands import plan as command
from harness.core.cells import Selection
from harness.core.errors import HarnessError
from harness.core.job_specs import CardSpec
from harness.core.workspace import Workspace
from harness.planning.cost import estimates
from harness.planning.plan import make_plan
from harness.records.caveats import caveats_of
from harness.records.record import Record
from reports import tables
from reports.figures import graph
from tests.specs import CELL, train_spec

FLOPS = 50e9


@pytest.fixture
def where(tmp_path):
    return Workspace(data=tmp_path / "data", results=tmp_path / "results")


def planned(where, table="4", scale="micro"):
    return make_plan(command.cells_of(Selection(scale=scale), table), where, dry_run=True)


def record_of(job, wall_s: float) -> Record:
    return Record(job.id, job.spec, job.title, job.upstream, job.cell, {}, "", {}, {"wall_s": wall_s})


def test_all_tables_at_paper_scale_are_planned_without_data_or_weights(where):
    plan = planned(where, "all", "paper")
    assert len(plan.cells) == 115 and all(job.provisional for job in plan.jobs)
    with pytest.raises(HarnessError, match="weights fetch"):
        make_plan(plan.cells, where)


def test_shared_work_appears_once_in_all_tables(where):
    jobs = {number: {job.id for job in planned(where, number).jobs} for number in command.TABLES}
    together = {job.id for job in planned(where, "all").jobs}
    assert together == set().union(*jobs.values())
    assert len(together) < 0.75 * sum(map(len, jobs.values()))
    assert len({cell for n in command.TABLES for cell in tables.wanted(int(n), tables.Question(scale="micro"))}) == 115


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
        command.cells_of(Selection(), "6")


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
    cells = {("r", job): TableCell(ours=50.0, job_ids=(job,)) for job in ("b", "c")}
    table = Table(4, "", "micro", "", (), (), (), cells)
    told = supplements.terminal(supplements.costs(table, records))
    total = next(line for line in told.splitlines() if line.startswith("all of them"))
    assert total.split()[-3:] == ["3", "300", "3.00"] and "1 jobs were saved" in told
