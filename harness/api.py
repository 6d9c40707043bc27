"""The commands as Python functions: they return values, print nothing, and raise HarnessError with the remedy.

`import harness` offers everything here. The folder `data` defaults to HARNESS_DATA or the user's data folder, `results` to
HARNESS_RESULTS or ./results. Damaged records are left out, each with one warning.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core import environment, registry
from harness.core.callbacks import Callback
from harness.core.cells import PUBLISHED, Cell
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace, resolve_workspace
from harness.planning.axes import AXES, numbers, selections_of, several

if TYPE_CHECKING:
    import pandas as pd

    from harness.analysis.claims import Claim
    from harness.analysis.comparison import Comparison
    from harness.jobs.networks import Predictor
    from harness.metrics.scores import CellResult
    from harness.planning.cost import CostedPlan
    from harness.planning.results import Result, Results
    from harness.records.record import Record, RunStore
    from reports.table_output import TableOutput

Folder = str | PathLike[str] | None
Texts = str | Iterable[str] | None
"""One value or several; None for the default."""
Numbers = int | str | Iterable[int] | None


class DamagedRecord(UserWarning):
    """A record that cannot be read was left out; the message names the remedy."""


def run(
    *,
    dataset: Texts = None,
    protocol: Texts = None,
    baseline: Texts = None,
    modality: Texts = None,
    split: Numbers = None,
    subset: Texts = None,
    init: Texts = None,
    source: Texts = None,
    scale: Texts = None,
    seed: Numbers = None,
    backbone: Texts = None,
    limit: int | None = None,
    shots: Numbers = None,
    share: float | str | Iterable[float] | None = None,
    set: Mapping[str, object] | None = None,
    file: Folder = None,
    table: int | str | None = None,
    data: Folder = None,
    results: Folder = None,
    workers: int | None = None,
    device: str | None = None,
    launcher: str = "local",
    launcher_options: Mapping[str, object] | None = None,
    on_bad_video: str = "stop",
    profile: bool = False,
    mlflow: bool = True,
    callback: Callback | None = None,
) -> Results:
    """Run every combination of the axes' values, and return one result per combination. Finished jobs are not run again.

    Axes, values and defaults are those of `harness run` (docs/reference/settings.md). An axis takes a value or several
    (`seed=range(5)`); `split` also takes 'all'. `set` overrides settings: {'train.base_lr': 0.01}, or nested. `file` is a selection file; other arguments
    override it. `shots=[1, 5]` and `share=0.1` train on that many videos, or that share, of each class. `table` (2 to 5, or 'all') runs the cells of the paper's table instead of a selection. `device` is 'cpu',
    'cuda' or 'cuda:N'; None: as HARNESS_DEVICE says.

    `launcher_options` are the options that a launcher adds to the command: {'address': 'HOST:PORT'} for 'ray'.
    `callback` receives progress; `harness.Progress()` shows it in a terminal or a notebook.

    Raises HarnessError for unknown values and impossible combinations before anything runs, and DataMissing for a data set
    that is not on disk.
    """
    cells = _cells(locals())
    from harness.launch.options import LaunchOptions
    from harness.launch.run import prepared_plan, run_plan
    from harness.planning.results import results_of
    from harness.records.record import RunStore

    launch = LaunchOptions(launcher, workers, on_bad_video, mlflow, profile, launcher_options or {})
    workspace = _workspace(data, results)
    callback = callback or Callback()
    with environment.use_device(device):
        prepared = prepared_plan(cells, workspace, callback)
        run_plan(prepared, workspace, launch, callback)
    return results_of(prepared, RunStore(workspace.runs))


def plan(
    *,
    dataset: Texts = None,
    protocol: Texts = None,
    baseline: Texts = None,
    modality: Texts = None,
    split: Numbers = None,
    subset: Texts = None,
    init: Texts = None,
    source: Texts = None,
    scale: Texts = None,
    seed: Numbers = None,
    backbone: Texts = None,
    limit: int | None = None,
    shots: Numbers = None,
    share: float | str | Iterable[float] | None = None,
    set: Mapping[str, object] | None = None,
    file: Folder = None,
    table: int | str | None = None,
    data: Folder = None,
    results: Folder = None,
    device: str | None = None,
) -> CostedPlan:
    """The jobs of a selection, which of them are finished, and the estimated cost of the others. Needs no data.

    Arguments and errors are those of `run`. A job whose data set is not on this machine has a provisional id.
    """
    cells = _cells(locals())
    from harness.planning.cost import costed
    from harness.planning.plan import make_plan
    from harness.records.record import RunStore

    workspace = _workspace(data, results)
    with environment.use_device(device):
        return costed(make_plan(cells, workspace, dry_run=True), RunStore(workspace.runs))


def results(
    folder: Folder = None, *, scale: str | None = None, metric: Texts = None, data: Folder = None
) -> pd.DataFrame:
    """Every number of a results folder, one per row, as `harness table results` prints them.

    Columns: every axis; each metric in its unit, with its 95% interval, its deviation over seeds and the published number;
    numbers of videos; parameters in millions, GMACs per video and seconds of all jobs behind the number; job ids. The mean over
    splits and seeds is one number. `scale` None: all scales; `metric` None: every registered metric. Raises HarnessError for
    a folder without a result.
    """
    from harness.metrics.registered import metrics
    from harness.records.record import RunStore
    from reports.results.wide import wide_frame
    from reports.table_output import results_table

    run_store = RunStore(_workspace(data, folder).runs)
    names = _several("metric", metric) or tuple(card.name for card in metrics())
    output = results_table(run_store, scale=scale and registry.dashed(scale), metrics=names)
    _warn(run_store)
    return wide_frame(output.table)


def table(
    name: int | str,
    *,
    scale: str | None = None,
    metric: Texts = None,
    significance: bool = False,
    with_cost: bool = False,
    seed: Numbers = None,
    source: str | None = None,
    version: str | None = None,
    by: str | None = None,
    data: Folder = None,
    results: Folder = None,
) -> TableOutput:
    """Table 1 to 5 of the paper next to the paper's numbers, or 'results': `print` it, `.render('latex')`, `.frame()`.

    Arguments are the options of `harness table`; several seeds are averaged, and `scale` defaults to 'paper', or to all for
    'results'. Raises HarnessError for an unknown table, scale, metric, source or version.
    """
    from harness.analysis import paper_numbers
    from harness.records.record import RunStore
    from reports.table_output import paper_table, results_table
    from reports.tables import Question

    workspace = _workspace(data, results)
    run_store = RunStore(workspace.runs)
    metrics, scale = _several("metric", metric), scale and registry.dashed(scale)
    if name == "results":
        _refuse("Tables 1 to 5", with_cost=with_cost, seed=seed, source=source, version=version)
        output = results_table(run_store, scale=scale, by=by or "dataset", metrics=metrics, significance=significance)
    else:
        _refuse("table 'results'", by=by)
        question = Question(scale or "paper", version or paper_numbers.KINETICS, _seeds(seed), source, metrics)
        number = int(name) if str(name).isdecimal() else 0
        output = paper_table(number, question, workspace, run_store, significance=significance, with_cost=with_cost)
    _warn(run_store)
    return output


def claims(
    *, scale: str = "paper", seed: Numbers = None, data: Folder = None, results: Folder = None
) -> tuple[Claim, ...]:
    """The paper's claims, tested on the results folder: effect in points, interval, corrected p, verdict of each."""
    from harness.analysis.claims import all_claims
    from harness.planning.lookup import lookup_in
    from harness.records.record import RunStore

    workspace = _workspace(data, results)
    run_store = RunStore(workspace.runs)
    tested = all_claims(lookup_in(workspace, run_store), scale=registry.dashed(scale), seeds=_seeds(seed))
    _warn(run_store)
    return tested


def compare(a: str | Record | Result, b: str | Record | Result, *, results: Folder = None) -> Comparison:
    """The paired test of two results on the same videos: `.test.difference` is the share right of A minus that of B.

    A and B: a result of `run`, a record, or the beginning of a job id in the folder `results`; 'A+B' adds the jobs of two
    streams. Raises HarnessError for an unknown job, one without scores, and results on different videos.
    """
    from harness.analysis import comparison
    from harness.records.record import Record, RunStore

    run_store = RunStore(_workspace(None, results).runs)

    def scored(side: str | Record | Result) -> CellResult:
        if isinstance(side, str):
            return comparison.find_result(side, run_store)
        return comparison.fused([side]) if isinstance(side, Record) else side

    return comparison.compare(scored(a), scored(b))


def load(
    *networks: str | PathLike[str] | Record | Result,
    baseline: str | None = None,
    stream: Texts = None,
    data: Folder = None,
    results: Folder = None,
    device: str | None = None,
) -> Predictor:
    """Finished networks, to `.predict(path)` a video file and to get the `.features(path)` of one network.

    Each is a result of `run`, a record, or the beginning of a job id; the logits of several are added. Or one
    'published:NAME' that has been imported, for `baseline` and `stream` if it was published for several; or the `Path` of a
    folder that `harness weights export` wrote. `device` is as in `run`. Raises HarnessError for an unknown job, weights that are missing or changed,
    and networks of different classes.
    """
    from harness.jobs.networks import open_networks
    from harness.records.record import Record

    names: list[str] = []
    weights: list[str] = []
    for network in networks:
        if isinstance(network, PathLike) or (isinstance(network, str) and network.startswith(PUBLISHED)):
            weights.append(os.fspath(network))
        elif isinstance(network, str):
            names.append(network)
        else:
            records = (network,) if isinstance(network, Record) else network.records
            names += [record.job_id for record in records]
            if results is None and records[0].folder:
                results = records[0].folder.parents[1]
    if weights and len(names + weights) > 1:
        raise HarnessError(
            f"{weights[0]} cannot be combined with other networks; got {' and '.join(names + weights)}. Load it in a call of its own"
        )
    with environment.use_device(device):
        return open_networks(
            _workspace(data, results),
            jobs=names,
            weights=weights[0] if weights else None,
            baseline=baseline,
            streams=_several("stream", stream),
        )


def use_plugins(*folders: str | PathLike[str]) -> None:
    """Look for plug-in files in these folders from now on, as `--plugins` does; without arguments, in those of HARNESS_PLUGINS."""
    paths = os.pathsep.join(str(Path(folder).expanduser().resolve()) for folder in folders)
    registry.use_plugins(paths if folders else None)


def _cells(arguments: Mapping[str, Any]) -> list[Cell]:
    """The cells of the arguments of `run` or `plan`, which are their local variables."""
    from reports.table_output import cells_of

    axes = {axis: arguments[axis] for axis in (*AXES, "set")}
    file, table = arguments["file"], arguments["table"]
    selections = selections_of(axes, file=None if file is None else os.fspath(file))
    number = None if table is None else str(table)
    return list(dict.fromkeys(cell for selection in selections for cell in cells_of(selection, number)))


def _workspace(data: Folder, results: Folder) -> Workspace:
    return resolve_workspace(*(None if folder is None else os.fspath(folder) for folder in (data, results)))


def _several(axis: str, value: Texts) -> tuple[str, ...]:
    return () if value is None else several(axis, value)


def _seeds(seed: Numbers) -> tuple[int, ...]:
    return numbers("seed", several("seed", 0 if seed is None else seed))


def _refuse(tables: str, **arguments: object) -> None:
    """Raise HarnessError for an argument that only other tables have."""
    for name, value in arguments.items():
        if value is not None and value is not False:
            raise HarnessError(f"{name}={value!r} is for {tables}; leave it out")


def _warn(run_store: RunStore) -> None:
    for error in run_store.damaged.values():
        warnings.warn(f"left out a damaged record: {error}", DamagedRecord, stacklevel=3)
