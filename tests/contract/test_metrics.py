"""What every metric keeps, built-in or third-party; and that a third-party one shows everywhere by its name."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.synthetic_results import fill
from harness.core import registry
from harness.core.cells import Selection
from harness.core.errors import HarnessError
from harness.core.plugins import Metric
from harness.core.workspace import Workspace, resolve_workspace
from harness.metrics.registered import metrics, named, text
from harness.metrics.scores import Scores
from harness.metrics.summary import estimate, summary
from harness.planning.selection import cells
from harness.records.record import RunStore
from harness.records.tracking import content as tracking
from reports.evidence import gather
from reports.page.jobs import views

PLUGINS = Path(__file__).parent / "plugins"
CLASSES, N = 6, 90


@pytest.fixture(scope="module", autouse=True)
def plugins():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.PLUGINS_ENV, str(PLUGINS))
        yield


@pytest.fixture(params=["top1", "top5", "mean_class", "mean_class_accuracy"])
def metric(request: pytest.FixtureRequest) -> Metric:
    return named(request.param)


def scores_of(seed: int = 0, *, right: float | None = None) -> Scores:
    """Unbalanced classes, groups of five. `right`: the logit of the true class, of which others are in [0, 1)."""
    rng = np.random.default_rng(seed)
    labels = np.minimum(rng.geometric(0.35, size=N), CLASSES) - 1
    logits = rng.random((N, CLASSES)).astype(np.float32)
    logits[np.arange(N), labels] = logits[np.arange(N), labels] + 0.4 if right is None else right
    groups = tuple(f"class {label} group {k % 5}" for k, label in enumerate(labels))
    return Scores(tuple(f"v{k}" for k in range(N)), logits, labels.astype(np.int64), groups)


def reordered(scores: Scores, order: np.ndarray) -> Scores:
    return replace(
        scores,
        ids=tuple(scores.ids[row] for row in order),
        logits=scores.logits[order],
        labels=scores.labels[order],
        groups=tuple(scores.groups[row] for row in order),
    )


def test_all_registered_metrics_are_tested() -> None:
    assert [metric.name for metric in metrics()] == ["top1", "top5", "mean_class", "mean_class_accuracy"]


def test_a_metric_says_what_it_is(metric: Metric) -> None:
    assert metric.title and metric.short and metric.name.isidentifier()
    assert (metric.shares is None) != (metric.value is None), "either shares or another formula"
    assert {*metric.needs, metric.mean_over} <= set(vars(scores_of()))
    assert math.isfinite(metric.best) and metric.best != metric.worst


def test_the_order_of_videos_does_not_matter(metric: Metric) -> None:
    scores = scores_of()
    number, again = (
        estimate(metric, [[s]]) for s in (scores, reordered(scores, np.random.default_rng(1).permutation(N)))
    )
    assert (again.value, again.low, again.high) == pytest.approx((number.value, number.low, number.high), rel=0.02)
    assert again.value == pytest.approx(number.value)


def test_nor_does_the_order_of_classes(metric: Metric) -> None:
    scores = scores_of()
    order = np.random.default_rng(2).permutation(CLASSES)
    renamed = replace(scores, logits=scores.logits[:, order], labels=np.argsort(order)[scores.labels])
    assert estimate(metric, [[renamed]]).value == pytest.approx(estimate(metric, [[scores]]).value)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_between_worst_and_best_and_within_its_interval(metric: Metric, seed: int) -> None:
    number = estimate(metric, [[scores_of(seed)]])
    low, high = sorted((metric.worst, metric.best))
    assert low <= number.value <= high
    if metric.shares:
        assert number.low is not None and number.high is not None
        assert low <= number.low < number.value <= number.high <= high and number.drawn_by == "groups"


def test_perfect_scores_are_the_best_and_undecodable_videos_the_worst(metric: Metric) -> None:
    perfect = scores_of(right=2.0)
    assert estimate(metric, [[perfect]]).value == pytest.approx(metric.best)
    if math.isfinite(metric.worst):
        assert estimate(metric, [[replace(perfect, undecodable=perfect.ids)]]).value == pytest.approx(metric.worst)


def test_seeds_and_splits_are_averaged(metric: Metric) -> None:
    a, b, c, d = (scores_of(seed) for seed in range(4))
    b, d = reordered(replace(a, logits=b.logits), np.arange(N)[::-1]), replace(c, logits=d.logits)
    alone = [estimate(metric, [[scores]]).value for scores in (a, b, c, d)]
    number = estimate(metric, [[a, b], [c, d]])
    assert number.value == pytest.approx(np.mean(alone))
    assert number.seed_deviation == pytest.approx(np.std([np.mean(alone[0::2]), np.mean(alone[1::2])], ddof=1))
    assert number.split_deviation == pytest.approx(np.std([np.mean(alone[:2]), np.mean(alone[2:])], ddof=1))


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"value": lambda scores: float("nan")}, "must be a finite number"),
        ({"shares": lambda scores: np.full(N, np.nan)}, "share in \\[0, 1\\]"),
        ({"shares": lambda scores: np.full(N, 1.5)}, "the value 1.5"),
        ({"shares": lambda scores: np.ones(3)}, r"an array \(3,\)"),
    ],
)
def test_what_is_no_number_is_refused_by_name(broken: dict, words: str) -> None:
    with pytest.raises(HarnessError, match=words) as caught:
        estimate(Metric(name="odd", title="odd", short="odd", **broken), [[scores_of()]])
    assert "'odd'" in str(caught.value)


def test_another_formula_has_a_value_and_no_interval() -> None:
    def mean_rank(scores: Scores) -> float:
        own = scores.logits[np.arange(scores.n), scores.labels]
        return float((scores.logits >= own[:, None]).sum(axis=1).mean())

    rank = Metric("mean_rank", "mean rank", "rank", value=mean_rank, unit="", worst=math.inf, best=1.0)
    number = estimate(rank, [[scores_of(right=2.0)]])
    assert (number.value, number.low, number.drawn_by) == (1.0, None, "")


def test_a_metric_of_groups_is_left_out_where_none_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "by_group.py").write_text(
        "from harness.core.plugins import Metric\nfrom harness.metrics.scores import topk_correct\n"
        "METRIC = Metric('by_group', 'mean over groups', 'by group', topk_correct, mean_over='groups', needs=('logits', 'groups'))\n"
    )
    monkeypatch.setenv(registry.PLUGINS_ENV, str(tmp_path))
    assert "by_group" in summary(scores_of())
    assert "by_group" not in summary(replace(scores_of(), groups=("",) * N))


def test_metrics_load_without_torch_and_scipy() -> None:
    code = "import sys; from harness.metrics.registered import metrics; assert len(metrics()) > 2; "
    code += "print([name for name in ('torch', 'scipy', 'sklearn', 'pandas') if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# ------------------------------------------------------------------------------------------------ a third party's


def test_a_third_partys_metric_agrees_with_ours_where_both_measure_the_same() -> None:
    numbers = summary(scores_of())
    assert numbers["mean_class_accuracy"] == numbers["mean_class"] != numbers["top1"]


def test_a_metric_whose_plug_in_is_gone_keeps_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    number = summary(scores_of())["mean_class_accuracy"]
    monkeypatch.delenv(registry.PLUGINS_ENV)
    assert text("mean_class_accuracy", number, interval=True).startswith(f"{number['value']:.1f} [")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, plugins: None) -> Workspace:
    """Finished jobs of one cell, with made-up scores."""
    folder = tmp_path_factory.mktemp("third_party")
    workspace = resolve_workspace(str(folder / "data"), str(folder / "results"))
    fill(workspace, cells(Selection(baselines=("c3d",), datasets=("micro-hmdb51",), protocols=("original",))))
    return workspace


def test_it_is_in_records_and_in_mlflow_by_its_name(workspace: Workspace) -> None:
    (record,) = RunStore(workspace.runs)
    number = record.metrics["mean_class_accuracy"]
    points = {name: value for _, name, value in tracking.points_of(record, streamed=set())}
    assert points["mean_class_accuracy"] == number["value"] and points["mean_class_accuracy.low"] == number["low"]
    assert f"mean class accuracy {number['value']:.1f}% [" in tracking.note(record)


def test_it_is_a_column_of_tables_and_a_key_of_json(workspace: Workspace) -> None:
    (record,) = RunStore(workspace.runs)
    value = record.metrics["mean_class_accuracy"]["value"]
    asked = ["table", "4", "--scale", "micro", "--metric", "mean_class_accuracy"]
    text = output_of(workspace, *asked)
    assert "class accuracy" in text and f"{value:.1f} [" in text
    table = json.loads(output_of(workspace, *asked, "--format", "json"))
    (cell,) = [c for c in table["cells"] if c["column"].endswith("/mean_class_accuracy") and c["ours"] is not None]
    assert cell["ours"] == value and cell["job_ids"] == [record.job_id]
    job = json.loads(output_of(workspace, "ls", "jobs", record.job_id))
    assert job["metrics"]["mean_class_accuracy"]["value"] == value


def output_of(workspace: Workspace, *words: str) -> str:
    # With its own data folder: the default one may have rendered the data set, whose fingerprint is another.
    folders = ["--results", str(workspace.results), "--data", str(workspace.data)]
    command = [sys.executable, "-m", "harness", *words, *folders]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_it_is_on_the_page_by_its_title(workspace: Workspace) -> None:
    (record,) = RunStore(workspace.runs)
    (job,) = views(gather(RunStore(workspace.runs), scale="micro"))
    assert job.facts["mean class accuracy"].startswith(f"{record.metrics['mean_class_accuracy']['value']:.1f}% [")
