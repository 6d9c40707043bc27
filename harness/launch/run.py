"""Cells -> finished jobs: prepare the data sets, plan, launch; progress goes to a callback, results also to MLflow."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core import registry
from harness.core.callbacks import Callback, CallbackList, running
from harness.core.cells import PUBLISHED, Cell
from harness.core.contract import BuildSpec, Dataset, streams_of
from harness.core.errors import DataMissing
from harness.core.workspace import Workspace, writable
from harness.launch.options import LaunchOptions
from harness.planning import plan as planning
from harness.planning.results import results_of
from harness.records.record import RunStore
from harness.records.tracking import open_tracker


def prepared_plan(cells: Sequence[Cell], workspace: Workspace, callback: Callback) -> planning.Plan:
    """The plan of these cells, with their data sets rendered or indexed, and weights of families imported. Runs no job.

    Raises HarnessError for a backbone or a plug-in that does not fit, a results folder that cannot be written, or published weights that
    are not imported, and DataMissing for a data set that is not on disk.
    """
    check_networks(cells)
    planning.check_classes(cells, workspace)
    writable(workspace.results, content="results", flag="--results")
    with running(callback, jobs=0):
        prepare_data(cells, workspace, callback)
        planning.check_classes(cells, workspace)  # again before a download: now all classes are known
        prepare_weights(cells, workspace, callback)
    return planning.make_plan(cells, workspace)


def run_plan(plan: planning.Plan, workspace: Workspace, launch: LaunchOptions, callback: Callback) -> None:
    """Run the unfinished jobs of a plan, and log them and the results of its cells to MLflow if `launch` says so.

    Raises HarnessError for a GPU that this machine does not have, and whatever a job raises.
    """
    if not plan.to_do:
        return
    launch.check_device()
    # Not the name of a cell alone: the runs of its jobs have it.
    title = "selection: " + "; ".join(map(str, list(plan.cells)[:3])) + ("; …" if len(plan.cells) > 3 else "")
    with (
        open_tracker(None, workspace.results, title, enabled=launch.mlflow) as tracker,
        running(callback, jobs=len(plan.to_do)),
    ):
        # MLflow takes seconds to load, and a server may be slow: progress must not wait for it.
        with tracker.in_background() as background:
            launch.launch(plan, workspace, CallbackList((callback, background)))
            callback.stage("finish", 0, "")
        for result in results_of(plan, RunStore(workspace.runs)):
            tracker.cell_finished(result.cell, result)


def check_networks(cells: Sequence[Cell]) -> None:
    """Raises UnknownName or HarnessError for a backbone or a plug-in that does not fit, before hours of data and flow."""
    networks = {(cell.baseline, cell.backbone, cell.scale): cell.modality for cell in cells}
    for (name, backbone, scale_name), modality in networks.items():
        if not backbone and not registry.origin("baseline", name):
            continue
        from harness.models.build import check_backbone, check_shapes

        baseline, scale = registry.load("baseline", name), registry.load("scale", scale_name)
        if backbone:
            check_backbone(baseline, backbone, scale=scale)
        if registry.origin("baseline", name):
            streams = streams_of(modality) if baseline.combine == "joint" else streams_of(modality)[:1]
            check_shapes(baseline, BuildSpec(streams, num_classes=3, scale=scale, backbone=backbone))


def prepare_data(cells: Sequence[Cell], workspace: Workspace, callback: Callback) -> None:
    """Render micro data sets and index the others. Raises DataMissing for one that is not on disk."""
    from harness.data import prepare

    datasets = planning.datasets_of(cells)
    # Indexing takes minutes: first, check that all are on disk.
    for dataset in datasets:
        root = prepare.root_of(dataset, workspace.data)
        if not dataset.micro and not root.is_dir():
            raise DataMissing(f"{prepare.not_there(dataset, root)}{_alternative_to(dataset, cells)}")
    for dataset in datasets:
        try:
            render_or_index(dataset, workspace, callback)
        except DataMissing as missing:
            raise DataMissing(f"{missing}{_alternative_to(dataset, cells)}") from missing


def prepare_weights(cells: Sequence[Cell], workspace: Workspace, callback: Callback) -> None:
    """Fetch and import the published weights that these cells start from: of members of a family (`torchvision:r3d_18`), and
    of folders that `harness weights export` wrote.

    Others wait for `harness weights fetch`: some have no published hash. Raises HarnessError as `pretrained.fetch` does.
    """
    from harness.models import catalog, pretrained

    for cell in cells:
        name = cell.source.removeprefix(PUBLISHED)
        if name == cell.source or not (":" in cell.baseline or catalog.is_folder(name)):
            continue
        weights = pretrained.stream_weights(registry.load("baseline", cell.baseline), name, cell.modality)
        if pretrained.card(weights, workspace) is None:
            writable(workspace.data, content="weights", flag="--data")
            callback.stage(f"fetch {name}", 0, "bytes")
            pretrained.fetch(name, workspace)


def render_or_index(dataset: Dataset, workspace: Workspace, callback: Callback) -> None:
    """Render or index a data set, unless it has been. Raises DataMissing if it is not on disk."""
    from harness.data import prepare

    if prepare.expected_fingerprint(dataset, workspace.data) is None:
        if dataset.micro:
            writable(workspace.data, content="data sets", flag="--data")
        callback.stage(f"{'render' if dataset.micro else 'index'} {dataset.name}", 0, "files")
        prepare.open_prepared(dataset, workspace.data, progress=callback.progress)


def _alternative_to(dataset: Dataset, cells: Sequence[Cell]) -> str:
    """Advice to use published weights instead of a data set that is only transferred from; '' for one that is scored."""
    offers = [
        weights
        for cell in cells
        if cell.source == dataset.name
        for weights in registry.load("baseline", cell.baseline).weights
        if weights.stream in cell.modality
    ]
    if not offers or any(cell.dataset == dataset.name for cell in cells):
        return ""
    name, stream = offers[0].name, offers[0].stream
    return (
        f" This selection only transfers from it. You can use published weights instead: run `harness weights fetch {name}` "
        f"(or `harness weights import {name} FILE --stream {stream}`), and add --source published:{name}. "
        "`harness weights list` lists all published weights."
    )
