"""The curve of accuracy against training videos: its points, its intervals over draws, and what it leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.synthetic_results import fill
from harness.core.cells import Selection
from harness.core.workspace import Workspace
from harness.planning import selection
from harness.records.record import RunStore
from reports.evidence import gather
from reports.figures.low_shot import curves_of, low_shot
from reports.page import content


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """Three draws of two sizes under kNN, one draw under Fixed, and all training videos under both and LogReg."""
    folder = tmp_path_factory.mktemp("low-shot")
    workspace = Workspace(folder / "data", folder / "results")
    base = {"baselines": ("c3d",), "datasets": ("micro-hmdb51",)}
    asked = [
        Selection(**base, protocols=("knn",), shots=(1, 3), seeds=(0, 1, 2)),
        Selection(**base, protocols=("fixed",), shares=(0.4,)),
        Selection(**base, protocols=("knn", "fixed", "logreg")),
    ]
    fill(workspace, [cell for one in asked for cell in selection.cells(one)])
    return workspace


def test_a_point_is_the_mean_over_draws_with_students_interval(workspace):
    evidence = gather(RunStore(workspace.runs), scale="micro")
    curves = curves_of(evidence, ("micro-hmdb51", 1, "test"))
    assert set(curves) == {"3D-ConvNet, RGB, kNN", "3D-ConvNet, RGB, Fixed"}, "LogReg has no draw"
    one, three, everything = curves["3D-ConvNet, RGB, kNN"]
    assert [point.per_class for point in (one, three, everything)] == [1, 3, 5]
    drawn = [100 * r.interval.value for r in evidence.results if r.cell.protocol == "knn" and r.cell.shots == 3]
    assert three.draws == 3 and three.mean == pytest.approx(np.mean(drawn))
    assert three.half == pytest.approx(4.303 * np.std(drawn, ddof=1) / np.sqrt(3), rel=1e-3)
    assert everything.half is None and everything.words == "all training videos"
    share = curves["3D-ConvNet, RGB, Fixed"][0]
    assert (share.per_class, share.draws, share.half) == (pytest.approx(2.0), 1, None)


def test_the_page_has_the_curve_and_no_other_figure_has_draws(workspace):
    shown = content.collect(workspace, RunStore(workspace.runs), scale="micro")
    (section,) = [section for section in shown.sections if section.name == "low-shot"]
    (panel,) = section.figures[0].panels
    assert panel.svg.count("<path") > 6 and "3 shots" in panel.svg and "3 draws" in panel.svg
    others = [panel.svg for figure in shown.figures if figure.name != "low-shot" for panel in figure.panels]
    assert others and not any("shot" in svg for svg in others)
    assert len(gather(RunStore(workspace.runs), scale="micro").complete.of("micro-hmdb51")) == 1


def test_without_draws_there_is_no_curve(workspace):
    assert low_shot(gather(RunStore(workspace.runs), scale="micro").complete) is None
