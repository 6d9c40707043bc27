"""The report on made-up scores: complete, the same bytes every time, and without a number that no record has."""

from __future__ import annotations

import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.synthetic_results import fill
from harness.commands import report as report_command
from harness.core.cells import Cell, Selection
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace, resolve_workspace
from harness.metrics.scores import Scores
from harness.planning import selection
from harness.planning.axes import selection_of
from harness.planning.command import command_of
from harness.planning.plan import make_plan
from harness.records.record import RunStore
from reports.evidence import Result, gather
from reports.figures import curves, filters, matrices, pictures
from reports.figures.drawing import Axis, Drawing, standalone
from reports.page import content, write
from reports.page.render import page
from reports.tables.labels import p_text


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Records of two baselines, one of them with two streams, on two data sets."""
    folder = tmp_path_factory.mktemp("report")
    workspace = resolve_workspace(str(folder / "data"), str(folder / "results"))
    two_stream = Selection(
        baselines=("i3d",), modalities=("rgb", "flow"), datasets=("micro-hmdb51",), protocols=("full-ft", "fixed")
    )
    short = Selection(
        baselines=("c3d",), datasets=("micro-hmdb51",), protocols=("full-ft",), overrides=(("source.steps", "7"),)
    )
    assert fill(workspace, [*selection.cells(two_stream), *selection.cells(short)]) == 14
    return workspace


def test_a_number_that_the_paper_leaves_blank_is_not_counted_as_one_it_prints(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "data", tmp_path / "results")

    def counted() -> list[int]:
        built = content.collect(workspace, RunStore(workspace.runs), scale="micro")
        return [int(word) for word in built.facts["numbers in Tables 2–5"].split(" of ")]

    none, total = counted()
    blank = Selection(("c3d",), ("rgb",), ("micro-hmdb51",), protocols=("logreg",))
    fill(workspace, selection.cells(blank))
    assert (none, total) == (0, counted()[1])
    fill(workspace, selection.cells(Selection(("c3d",), ("rgb",), ("micro-hmdb51",), protocols=("fixed",))))
    done, same = counted()
    assert done > 0 and same == total


@pytest.fixture(scope="module")
def report(workspace: Workspace) -> content.Content:
    return content.collect(workspace, RunStore(workspace.runs), scale="micro")


@pytest.fixture(scope="module")
def text(report: content.Content) -> str:
    return page(report)["index.html"]


class Links(HTMLParser):
    """Ids, targets and what a browser would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: set[str] = set()
        self.fetched: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids += [values["id"]] if "id" in values else []
        if tag == "a":
            self.targets.add(values["href"])
        self.fetched |= {values[name] for name in ("src", "href") if name in values and tag != "a"}


def test_every_link_leads_somewhere_and_nothing_is_fetched(text: str, report: content.Content) -> None:
    links = Links(text)
    assert len(links.ids) == len(set(links.ids))
    inside = {target[1:] for target in links.targets if target.startswith("#")}
    assert {f"job-{job.id}" for job in report.jobs} & inside and inside <= set(links.ids)
    files = set(write.rendered(report, write.FORMATS))
    others = {target for target in links.targets if not target.startswith(("#", "https://"))}
    assert others and others <= files
    assert all(source.startswith("data:") for source in links.fetched)
    assert "@import" not in text and "url(" not in text


def test_the_same_records_give_the_same_bytes(workspace: Workspace, tmp_path: Path) -> None:
    formats = ("html", "markdown", "csv", "svg")
    names = [
        write.write(content.collect(workspace, RunStore(workspace.runs), scale="micro"), tmp_path / k, formats=formats)
        for k in "ab"
    ]
    assert names[0] == names[1] and len(names[0]) > 20
    for name in names[0]:
        data = (tmp_path / "a" / name).read_bytes()
        assert data == (tmp_path / "b" / name).read_bytes(), name
        assert str(tmp_path).encode() not in data and str(workspace.results.parent).encode() not in data, name


def test_files_of_an_earlier_report_are_removed_and_no_others(report: content.Content, tmp_path: Path) -> None:
    write.write(report, tmp_path, formats=("csv", "markdown"))
    (tmp_path / "mine.txt").write_text("kept")
    assert (tmp_path / "tables" / "table-2.md").is_file()
    write.write(report, tmp_path, formats=("csv",))
    assert (tmp_path / "tables" / "table-2.csv").is_file() and not (tmp_path / "tables" / "table-2.md").exists()
    assert (tmp_path / "mine.txt").read_text() == "kept"
    (tmp_path / write.MANIFEST).write_text(json.dumps({"files": {"../elsewhere": ""}}))
    with pytest.raises(HarnessError, match="outside"):
        write.write(report, tmp_path, formats=("csv",))


def test_a_micro_number_is_in_no_column_of_the_papers(text: str, report: content.Content) -> None:
    """Every printed number of the paper is one of `results/paper`; ours stand in cells of their own class."""
    printed = {
        f"{cell.paper:.{column.decimals}f}" if not column.unit else f"{cell.paper:g}"
        for table in report.tables
        for column in table.columns
        for row in table.rows
        if (cell := table.cell(row, column)).paper is not None
    }
    shown = set(re.findall(r'<td class="paper(?: edge)?">([^<]+)</td>', text))
    assert len(shown) > 50 and shown <= printed
    ours = re.findall(r'<td class="ours [^>]*data-jobs="([^"]+)"', text)
    finished = {job.id for job in report.jobs}
    assert ours and all(set(jobs.split()) <= finished for jobs in ours)


def test_the_command_of_a_job_plans_that_job_again(workspace: Workspace) -> None:
    evidence = gather(RunStore(workspace.runs), scale="micro")
    assert len(evidence.records) == 14
    for record in evidence.records.values():
        words = shlex.split(command_of(record.cell))
        assert words[:2] == ["harness", "run"]
        flags: dict[str, tuple[str, ...]] = {}
        for flag, value in zip(words[2::2], words[3::2], strict=True):
            flags[flag.removeprefix("--")] = (*flags.get(flag.removeprefix("--"), ()), value)
        values = {name: value for name, value in flags.items() if name != "set"}
        values["overrides"] = tuple(tuple(pair.split("=")) for pair in flags.get("set", ()))
        plan = make_plan(selection.cells(selection_of(values)), workspace)
        assert record.job_id in {job.id for job in plan.jobs}, words
    assert "--set source.steps=7" in command_of(next(r for r in evidence.records.values() if "c3d" in r.title).cell)


def test_both_streams_are_fused_from_the_records_alone(workspace: Workspace) -> None:
    evidence = gather(RunStore(workspace.runs), scale="micro")
    by_name = {(r.baseline, r.modality): r for r in evidence.of("micro-hmdb51")}
    both, rgb, flow = (by_name["i3d", modality] for modality in ("rgb+flow", "rgb", "flow"))
    assert np.array_equal(both.scores.logits, rgb.scores.logits + flow.scores.logits)
    assert both.setting.source == "micro-kinetics" and set(both.job_ids) == {*rgb.job_ids, *flow.job_ids}
    chain = evidence.chain(both.records)
    assert evidence.cost_s(both) == pytest.approx(sum(record.cost["wall_s"] for record in chain.values()))
    assert {record.kind for record in chain.values()} == {"flow", "images", "train"}
    assert evidence.datasets == ("micro-hmdb51", "micro-kinetics")


def test_many_jobs_have_a_page_each(report: content.Content, monkeypatch: pytest.MonkeyPatch) -> None:
    from reports.page import render

    monkeypatch.setattr(render, "INLINE_JOBS_BYTES", 1000)
    files = page(report)
    assert {f"jobs/{job.id}.html" for job in report.jobs} == set(files) - {"index.html"}
    assert (
        report.jobs[0].command.split("--")[1]
        not in files["index.html"].split('id="job-list"')[1].split("</section>")[0]
    )
    targets = {target for name, text in files.items() if "/" in name for target in Links(text).targets}
    assert targets <= {f"{job.id}.html" for job in report.jobs} | {"../index.html#jobs"}


# ---------------------------------------------------------------------------------------------- arithmetic


def result(right: list[bool], sure: list[float], *, classes: int = 3) -> Result:
    labels = np.arange(len(right), dtype=np.int64) % classes
    logits = np.zeros((len(right), classes), np.float32)
    for row, (good, by) in enumerate(zip(right, sure, strict=True)):
        logits[row, labels[row] if good else (labels[row] + 1) % classes] = by
    names = tuple(f"v{k}" for k in range(len(right)))
    scores = Scores(ids=names, logits=logits, labels=labels, groups=("",) * len(right))
    return Result(Cell("i3d", "rgb", "d", 1, "test", "original", "scratch", "", "micro", 0), scores, ())


def test_the_surest_mistakes_are_wrong_sure_and_of_different_classes() -> None:
    rows = pictures.surest_mistakes(result([True, False, False, False, False], [9, 2, 5, 3, 4]))
    assert rows == [2, 4, 3]  # row 1 is of row 4's class, and less sure; row 0 is right


def test_of_many_classes_the_hardest_and_the_easiest_are_shown() -> None:
    mean = np.array([float(k) for k in range(89)] + [np.nan])
    order = [("", k) for k in range(90)]
    shown = matrices.extremes(order, mean)
    assert shown == [("hardest", k) for k in range(20)] + [("easiest", k) for k in range(69, 89)]
    assert matrices.extremes(order[:60], mean) == order[:60]


def test_kappa_is_none_by_chance_and_one_when_equal() -> None:
    a, b = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert matrices.kappa(a, b) == pytest.approx(0) and matrices.kappa(a, a) == 1
    assert matrices.kappa(np.zeros(4), np.zeros(4)) == 1


def test_an_axis_keeps_its_ends_and_its_ticks_inside() -> None:
    axis = Axis(1, 1000, 10, 310, log=True)
    assert (axis(1), axis(10), axis(1000)) == pytest.approx((10, 110, 310))
    assert Axis(2, 2, 0, 1).ticks() == [2] and Axis(2, 2, 0, 1)(2) == 0
    assert axis.ticks() == [1, 10, 100, 1000] and Axis(0, 0.3, 0, 1).ticks(3) == pytest.approx([0, 0.1, 0.2, 0.3])


def test_filters_show_every_slice_next_to_the_2d_kernel() -> None:
    after = np.zeros((4, 3, 7, 7, 7), np.float32)
    after[0, 0] = 1  # all red
    sheet = filters.mosaic(after.mean(axis=2, keepdims=True), after)
    tile = 7 * filters.ZOOM
    assert sheet.shape[0] == 2 * tile + filters.GAP and tuple(sheet[0, 0]) == (255, 128, 128, 255)
    opaque = (sheet[0, :, 3] == 255).sum()
    assert opaque == filters.BLOCKS * 8 * tile


def test_a_file_of_its_own_needs_no_page() -> None:
    drawing = Drawing(30, 20)
    drawing.text(1, 2, "a < b", style="mute")
    text = standalone(drawing.panel("one", "One", "two words"))
    assert "var(" not in text and "xmlns" in text and "a &lt; b" in text


def test_long_curves_are_means_of_neighbours(workspace: Workspace) -> None:
    record = next(record for record in RunStore(workspace.runs) if record.kind == "train")
    points = curves.curve_of(record, points=8)
    values = [point["value"] for point in record.curves]
    assert len(values) == 56 and len(points) == 8
    assert points[0][1] == pytest.approx(np.mean(values[:7]))


@pytest.mark.parametrize("p, words", [(0.0001, "< 0.001"), (0.0123, "0.012"), (0.5, "0.50")])
def test_p_in_words(p: float, words: str) -> None:
    assert p_text(p) == words


def test_by_default_a_report_is_next_to_its_records_and_an_empty_one_is_refused(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--data", str(workspace.data), "--results", str(workspace.results)]
    refused = CliRunner().invoke(report_command.command, words)
    assert isinstance(refused.exception, HarnessError)
    assert "no finished job of the scale 'paper'" in str(refused.exception)
    assert "11 of --scale micro" in str(refused.exception)
    assert not workspace.report.exists()
    written = CliRunner().invoke(report_command.command, [*words, "--scale", "micro", "--format", "html"])
    assert written.output.startswith(str(workspace.results / "report" / "index.html")), written.output
    assert (workspace.results / "report" / "index.html").is_file() and not list(tmp_path.iterdir())
