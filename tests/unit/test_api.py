"""The Python functions: cheap to import, the axes of the command line, values with the numbers that the commands print."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import harness
from benchmarks.synthetic_results import fill
from harness import api, commands
from harness.commands import console
from harness.commands.run import command as run_command
from harness.core.cells import Selection
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.launch.options import LaunchOptions
from harness.planning import selection
from harness.planning.axes import AXES
from harness.records.record import RunStore

ROOT = Path(__file__).resolve().parents[2]
LARGE = {"torch", "numpy", "pandas", "click", "rich", "mlflow", "scipy", "cv2"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Made-up records of I3D under two protocols, both streams."""
    folder = tmp_path_factory.mktemp("api")
    workspace = Workspace(folder / "data", folder / "results")
    i3d = Selection(
        ("i3d",), modalities=("rgb", "flow"), datasets=("micro-hmdb51",), protocols=("full-ft", "fixed"), scale="micro"
    )
    assert fill(workspace, selection.cells(i3d)) == 12
    return workspace


def folders(workspace: Workspace) -> dict[str, Path]:
    return {"data": workspace.data, "results": workspace.results}


def test_import_loads_nothing_large():
    code = "import sys, harness; dir(harness); print(*sys.modules); harness.run; harness.Baseline; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    at_import, at_use = (set(line.split()) for line in done.stdout.splitlines())
    assert [name for name in at_import if name.startswith("harness.")] == []
    assert not LARGE & at_import and not (LARGE - {"numpy"}) & at_use


def test_every_name_is_offered_to_python_to_editors_and_to_the_type_checker():
    names = {name for module in harness._MODULES.values() for name in module}
    assert names | {"__version__"} == set(harness.__all__) <= set(dir(harness))
    assert all(getattr(harness, name) is not None for name in names)
    tree = ast.parse(Path(harness.__file__).read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {node.module: tuple(alias.name for alias in node.names) for node in block.body}
    assert typed == harness._MODULES


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        harness.runn  # noqa: B018


def test_run_and_plan_take_every_option_of_the_commands():
    of_launchers = {"address", "storage", "gpus_per_job"}
    named = {
        "overrides": "set",
        "no_mlflow": "mlflow",
        "as_json": "callback",
        "plugins": "",
        "verbose": "",
        "quiet": "",
    }
    options = {named.get(parameter.name, parameter.name) for parameter in run_command.params} - of_launchers - {""}
    assert options - {"launcher_options"} <= set(inspect.signature(api.run).parameters)
    assert {*AXES, "set", "file", "table", "data", "results", "device"} == set(inspect.signature(api.plan).parameters)


def test_a_plan_has_the_jobs_of_the_command(workspace):
    made = api.plan(
        dataset="micro-hmdb51",
        protocol=("full-ft", "original"),
        seed=range(2),
        set={"train": {"base_lr": 0.01}, "scale.flip": False},
        **folders(workspace),
    )
    words = (
        "--dataset micro-hmdb51 --protocol full-ft,original --seed 0,1 --set train.base_lr=0.01 --set scale.flip=false"
    )
    flags = ["--data", str(workspace.data), "--results", str(workspace.results), "--json"]
    printed = json.loads(CliRunner().invoke(commands.harness, ["plan", *words.split(), *flags]).output)
    assert [job["job"].rstrip("?") for job in printed["jobs"]] == [job.id for job in made.plan.jobs]
    assert [dict(cell["cell"], overrides=()) for cell in printed["cells"]] == [
        dict(vars(cell), overrides=()) for cell in made.plan.cells
    ]
    assert made.frame()["job"].tolist() == [job.id for job in made.plan.jobs]
    assert made.seconds == pytest.approx(made.frame().query("not done")["seconds"].sum())
    assert str(made).startswith("4 cell(s), ") and "<table" in made._repr_html_()


def test_axes_with_one_value_on_the_command_line_take_several(workspace):
    sources = ["micro-kinetics", "micro-ucf101"]
    made = api.plan(dataset="micro-hmdb51", protocol="full-ft", modality="rgb", source=sources, **folders(workspace))
    assert [cell.source for cell in made.plan.cells] == sources


def test_a_table_is_planned_with_its_cells(workspace):
    assert len(api.plan(table=4, scale="micro", **folders(workspace)).plan.cells) == 54
    with pytest.raises(HarnessError, match="--table 4 plans that table's own cells"):
        api.plan(table=4, dataset="micro-hmdb51", **folders(workspace))


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "no data set given"),
        ({"dataset": "micro-hmdb15"}, "did you mean 'micro-hmdb51'"),
        ({"dataset": []}, "dataset=[] has no value"),
        ({"seed": 0.5}, "expected whole numbers"),
        ({"seed": -1}, "expected whole numbers"),
        ({"split": "every"}, "or 'all'"),
        ({"set": "train.steps=3"}, "is not a table; write set={'train.base_lr': 0.01}"),
        ({"set": {"train.setps": 3}}, "did you mean 'steps'"),
        ({"file": "nowhere.toml"}, "nowhere.toml: No such file"),
        ({"results": "s3://bucket"}, "is a URL; name a folder"),
    ],
)
def test_errors_name_the_value_and_the_remedy(axes, message, workspace, tmp_path):
    usual = {} if not axes else {"dataset": "micro-hmdb51", "protocol": "original", **folders(workspace)}
    with pytest.raises(HarnessError) as raised:
        api.plan(**usual | axes)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"launcher": "rya"}, "did you mean 'ray'"),
        ({"settings": {"address": "host:1"}}, "no option 'address' for launcher local"),
        ({"on_bad_video": "ignore"}, "have: skip, stop"),
        ({"workers": -1}, "workers must be 0 or more, got -1"),
    ],
)
def test_launch_options_are_checked_before_anything_runs(options, message):
    with pytest.raises(HarnessError) as raised:
        LaunchOptions(**options)
    assert message in str(raised.value)


def test_a_list_for_an_axis_with_one_value_is_refused_in_a_selection_file(tmp_path):
    file = tmp_path / "selection.toml"
    file.write_text('dataset = "micro-hmdb51"\nsource = ["micro-kinetics"]\n')
    with pytest.raises(HarnessError, match="source = \\['micro-kinetics'\\]: expected one value in quotes"):
        api.plan(file=file)


def test_a_table_has_the_numbers_of_the_command_in_every_format(workspace):
    output = api.table(4, scale="micro", significance=True, **folders(workspace))
    flags = ["--scale", "micro", "--significance", "--data", str(workspace.data), "--results", str(workspace.results)]
    assert CliRunner().invoke(commands.harness, ["table", "4", *flags]).output == str(output)
    assert len(output.frame().dropna(subset=["ours"])) == 2
    assert "<table" in output._repr_html_() and r"\begin{" in output.render("latex")
    for arguments, message in (
        ({"name": 6}, "have: 1, 2, 3, 4, 5"),
        ({"name": "four"}, "have: 1, 2, 3, 4, 5"),
        ({"name": 4, "by": "baseline"}, "by='baseline' is for table 'results'"),
        ({"name": "results", "seed": 0}, "seed=0 is for Tables 1 to 5"),
    ):
        with pytest.raises(HarnessError, match=message):
            api.table(**arguments, **folders(workspace))


def test_all_results_are_a_pandas_table_with_one_row_per_number(workspace):
    frame = api.results(workspace.results, data=workspace.data)
    assert len(frame) == 9 and set(frame["dataset"]) == {"micro-hmdb51", "micro-kinetics"}
    assert {"baseline", "protocol", "top1", "top1_low", "top5", "mean_class", "top1_published", "n", "n_of"} <= set(
        frame
    )
    assert {"parameters", "gmacs", "seconds", "seeds", "splits", "jobs"} <= set(frame)
    records = {record.job_id: record for record in RunStore(workspace.runs)}
    for _, row in frame.iterrows():
        if "rgb+flow" != row["modality"]:
            assert row["top1"] == pytest.approx(records[row["jobs"]].metrics["top1"]["value"])
    assert str(api.table("results", **folders(workspace))).startswith("All results by data set, 9 in all")
    assert set(api.results(workspace.results, metric="top1", scale="micro")) & {"top1", "top5"} == {"top1"}
    with pytest.raises(HarnessError, match="no finished job"):
        api.results(workspace.data)


def test_claims_are_values(workspace):
    claims = api.claims(scale="micro", **folders(workspace))
    assert {claim.verdict for claim in claims} >= {"not run"} and len(claims) > 5


def test_two_jobs_are_compared_by_id_by_record_and_by_result(workspace):
    by_cell = {record.cell: record for record in RunStore(workspace.runs) if record.kind in ("train", "head")}
    first, second = (
        record for cell, record in by_cell.items() if (cell.dataset, cell.modality) == ("micro-hmdb51", "rgb")
    )
    by_id = api.compare(first.job_id, second.job_id[:9], results=workspace.results)
    by_record = api.compare(first, second)
    assert by_id.test == by_record.test and by_id.test.n == first.counts["n"]
    assert any("run at micro scale" in caveat for caveat in by_id.caveats)
    flow = by_cell[dataclasses.replace(first.cell, modality="flow")]
    fused = f"{first.job_id}+{flow.job_id}"
    assert len(api.compare(fused, first, results=workspace.results).a.records) == 2
    printed = CliRunner().invoke(
        commands.harness, ["compare", first.job_id, second.job_id, "--results", str(workspace.results)]
    )
    assert f"A - B = {100 * by_id.test.difference:+.1f} points" in printed.output


def test_a_damaged_record_is_left_out_with_a_warning(workspace, tmp_path):
    (tmp_path / "runs" / "abcdefabcdef").mkdir(parents=True)
    (tmp_path / "runs" / "abcdefabcdef" / "record.json").write_text("{")
    with pytest.warns(harness.DamagedRecord, match="abcdefabcdef") as caught:
        api.table(4, scale="micro", data=workspace.data, results=tmp_path)
    assert caught[0].filename == __file__


def test_published_weights_are_loaded_alone(workspace):
    with pytest.raises(HarnessError, match="published:x cannot be combined"):
        api.load("published:x", "abc", **folders(workspace))


def test_plugin_folders_are_used_until_others_are_named(workspace):
    api.use_plugins(ROOT / "tests" / "toys")
    assert api.plan(dataset="toy-hmdb51", protocol="original", **folders(workspace)).plan.jobs
    api.use_plugins()
    with pytest.raises(HarnessError, match="no dataset 'toy-hmdb51'"):
        api.plan(dataset="toy-hmdb51", protocol="original", **folders(workspace))


def test_progress_opens_a_screen_per_run_and_closes_it(capsys):
    progress = console.Progress()
    for jobs in (0, 2):
        progress.run_started(jobs)
        progress.note(f"{jobs} jobs")
        progress.run_finished()
    assert capsys.readouterr().err.split("\n")[:2] == ["  note: 0 jobs", "  note: 2 jobs"]
    progress.note("after the end, which shows nothing")
    assert capsys.readouterr().err == ""


def test_a_notebook_without_widgets_gets_lines(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", console)
    monkeypatch.setattr(console.importlib.util, "find_spec", lambda name: None)
    with console.screen(jobs=1) as callback:
        callback.note("a line")
    assert capsys.readouterr().out == "  note: a line\n"
