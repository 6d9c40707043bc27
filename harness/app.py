"""What the verbs do, in the words of the house: resolve, plan, launch, look up, print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness import console, plan as planning, resolve
from harness.errors import HarnessError
from harness.metrics import CellResult, summary
from harness.mirror import open_mirror
from harness.places import Places, writable
from harness.record import Ledger
from harness.results import result_of
from harness.spec import Cell, Selection
from harness.watch import Watch, Watchers


def run(selection: Selection, where: Places, *, as_json: bool, workers: int, on_bad_video: str, mlflow: bool) -> None:
    """Everything the selection needs and the ledger lacks; then its numbers and where they are."""
    plan = run_cells(
        resolve.cells(selection), where, as_json=as_json, workers=workers, on_bad_video=on_bad_video, mlflow=mlflow
    )
    results = {cell: result_of(job_ids, Ledger(where.runs)) for cell, job_ids in plan.cells.items()}
    if as_json:
        click.echo(
            json.dumps({"event": "results", "cells": [_as_dict(cell, result) for cell, result in results.items()]})
        )
        return
    if not plan.to_do:
        click.echo(f"Nothing to do: all {len(plan.jobs)} jobs of this selection are in {where.runs}.\n")
    click.echo(cells_table(results))
    click.echo(_whereabouts(where, plan, selection))


def run_cells(
    cells: Sequence[Cell], where: Places, *, as_json: bool, workers: int, on_bad_video: str, mlflow: bool
) -> planning.Plan:
    """Run whatever the cells need and the ledger lacks; returns the plan as it was before."""
    writable(where.results, what="results", flag="--results")
    with console.screen(jobs=0, as_json=as_json) as watch:
        ready_data(cells, where, watch)
    plan = planning.make_plan(cells, where)
    if plan.to_do:
        _announce(plan, as_json)
        _launch(plan, where, as_json=as_json, workers=workers, on_bad_video=on_bad_video, mlflow=mlflow)
    return plan


def ready_data(cells: Sequence[Cell], where: Places, watch: Watch) -> None:
    """Every data set the cells need, on disk and indexed: embedded ones are rendered, others must be there."""
    from harness.video import prepare

    for dataset in planning.datasets_of(cells):
        if prepare.expected_fingerprint(dataset, where.data) is None:
            if dataset.micro:
                writable(where.data, what="data sets", flag="--data")
            watch.stage(f"{'render' if dataset.micro else 'index'} {dataset.name}", 0, "files")
            prepare.open_prepared(dataset, where.data, progress=watch.progress)


def _announce(plan: planning.Plan, as_json: bool) -> None:
    if not as_json:
        done = f", {len(plan.jobs) - len(plan.to_do)} already in the ledger" if plan.done else ""
        click.echo(f"{len(plan.cells)} cell(s), {len(plan.to_do)} job(s) to run{done}.")


def _launch(
    plan: planning.Plan, where: Places, *, as_json: bool, workers: int, on_bad_video: str, mlflow: bool
) -> None:
    from harness.house import House
    from harness.launch import local

    house = House(places=where, workers=workers, on_bad_video=on_bad_video)
    title = "; ".join(str(cell) for cell in list(plan.cells)[:3]) + ("; …" if len(plan.cells) > 3 else "")
    with (
        open_mirror(None, where.results, title, enabled=mlflow) as mirror,
        console.screen(jobs=len(plan.to_do), as_json=as_json) as watch,
    ):
        local.launch(plan, house, Watchers((watch, mirror)))
        for cell, job_ids in plan.cells.items():
            result = result_of(job_ids, house.ledger)
            if result:
                mirror.cell_finished(str(cell), summary(result.scores))


def cells_table(results: dict[Cell, CellResult | None]) -> str:
    """One line a cell: accuracy with its interval and n, and the jobs behind it."""
    from tabulate import tabulate

    rows = []
    for cell, result in results.items():
        if result is None:
            continue
        metrics = summary(result.scores)
        rows.append(
            {
                "baseline": cell.baseline + (f" ({cell.backbone})" if cell.backbone else ""),
                "modality": cell.modality,
                "data set": f"{cell.dataset}/{cell.split}" + ("" if cell.subset == "test" else f" {cell.subset}"),
                "protocol": cell.protocol,
                "init": cell.init,
                "top-1 %": f"{metrics['top1_pct']:.1f}",
                "95% interval": f"{metrics['top1_low_pct']:.1f} – {metrics['top1_high_pct']:.1f}",
                "top-5 %": f"{metrics['top5_pct']:.1f}",
                "n": str(metrics["n"]) if metrics["n"] == metrics["n_of"] else f"{metrics['n']} of {metrics['n_of']}",
                "job": " + ".join(result.job_ids),
            }
        )
    return tabulate(rows, headers="keys", disable_numparse=True, tablefmt="simple")


def _as_dict(cell: Cell, result: CellResult | None) -> dict[str, Any]:
    if result is None:
        raise HarnessError(f"{cell} has no result although its jobs are done; this is a defect: please report it")
    return {"cell": vars(cell), "jobs": result.job_ids, "metrics": summary(result.scores)}


def _whereabouts(where: Places, plan: planning.Plan, selection: Selection) -> str:
    scales = {cell.scale for cell in plan.cells}
    lines = [
        "",
        f"records  {_short(where.runs)}/<job>",
        f"MLflow   {open_mirror(None, where.results, '').how_to_open}",
        f"table    harness table 4{' --scale micro' if scales == {'micro'} else ''}",
    ]
    return "\n".join(lines)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def show_plan(selection: Selection, where: Places, *, as_json: bool) -> None:
    """The jobs behind a selection, and which of them are done."""
    from tabulate import tabulate

    plan = planning.make_plan(resolve.cells(selection), where)
    rows = [
        {
            "job": job.id + ("?" if job.provisional else ""),
            "kind": job.kind,
            "what": job.title,
            "after": " ".join(job.upstream.values()),
            "state": "done" if job.id in plan.done else "to run",
        }
        for job in plan.jobs
    ]
    if as_json:
        click.echo(
            json.dumps({"jobs": rows, "cells": [{"cell": vars(c), "jobs": ids} for c, ids in plan.cells.items()]})
        )
        return
    click.echo(tabulate(rows, headers="keys", tablefmt="simple"))
    click.echo(f"\n{len(plan.cells)} cell(s), {len(plan.jobs)} job(s), {len(plan.to_do)} to run.")
    if any(job.provisional for job in plan.jobs):
        click.echo("? : provisional id, since the data set is not on disk yet.")


def list_kind(kind: str, name: str | None, where: Places) -> None:
    """`harness ls`."""
    from harness import discover, listings

    if kind == "jobs":
        click.echo(json.dumps(_job(name, where), indent=1) if name else listings.jobs(where))
    elif name:
        click.echo(listings.card(discover.load(kind.removesuffix("s"), name)))
    elif kind == "datasets":
        click.echo(listings.datasets(where))
    else:
        click.echo(
            {"baselines": listings.baselines, "protocols": listings.protocols, "scales": listings.scales}[kind]()
        )


def _job(name: str, where: Places) -> dict[str, Any]:
    record = Ledger(where.runs).find(name)
    shown = ("job_id", "kind", "title", "spec", "upstream", "metrics", "cost", "chosen", "environment", "finished_at")
    return {key: getattr(record, key) for key in shown} | {"folder": str(record.folder)}


def list_data(where: Places) -> None:
    """`harness data list`."""
    from harness import listings

    click.echo(listings.datasets(where))
    click.echo(f"\nLooked for in {where.data}.")


def prepare_data(name: str, where: Places) -> None:
    """`harness data prepare`: rendered where it is embedded, indexed, and what it came to."""
    from harness import discover
    from harness.video import prepare

    dataset = discover.load("dataset", name)
    writable(where.data, what="data sets", flag="--data")
    with console.screen(jobs=0) as watch:
        watch.stage(f"{'render' if dataset.micro else 'index'} {dataset.name}", 0, "files")
        prepared = prepare.open_prepared(dataset, where.data, progress=watch.progress)
    for split in dataset.splits:
        listing = prepared.listing(split)
        counts = ", ".join(f"{subset} {len(videos)}" for subset, videos in listing.subsets.items())
        missing = f", {len(listing.missing)} missing from disk" if listing.missing else ""
        click.echo(f"{dataset.name} split {split}: {counts}{missing}")
    click.echo(f"fingerprint {prepared.fingerprint}, in {prepared.root}")


def compare(first: str, second: str, where: Places) -> None:
    """`harness compare`: McNemar's exact test and the paired difference of two jobs."""
    from harness import stats
    from harness.metrics import topk_correct

    ledger = Ledger(where.runs)
    a, b = ledger.find(first), ledger.find(second)
    scores_a, scores_b = a.scores(), b.scores()
    if set(scores_a.ids) != set(scores_b.ids):
        raise HarnessError(f"{a.job_id} and {b.job_id} were not scored on the same videos; nothing paired can be said")
    row_of = {video: row for row, video in enumerate(scores_b.ids)}
    right_b = topk_correct(scores_b)[[row_of[video] for video in scores_a.ids]]
    test = stats.paired(topk_correct(scores_a), right_b, stats.clusters_of(scores_a.ids, scores_a.groups))
    for letter, record in (("A", a), ("B", b)):
        click.echo(f"{letter}  {record.job_id}  {record.title}: top-1 {record.metrics['top1_pct']:.1f}%")
    click.echo(
        f"A - B = {100 * test.difference:+.1f} points, 95% interval {100 * test.low:+.1f} to {100 * test.high:+.1f} "
        f"(drawn by group: {test.groups} groups, {test.n} videos)\n"
        f"only A right: {test.only_a}, only B right: {test.only_b}; McNemar p = {test.p_value:.2g}, "
        f"by group p = {test.p_value_groups:.2g}"
    )


def show_table(number: int, where: Places, *, scale: str, how: str, run_missing: bool, significance: bool) -> None:
    """`harness table`: from the ledger; with `run_missing`, after running the cells that it lacks."""
    from harness.results import lookup_in
    from reports import tables

    if run_missing:
        cells = tables.wanted(number, scale=scale)
        run_cells(cells, where, as_json=False, workers=0, on_bad_video="stop", mlflow=True)
    lookup = lookup_in(where)
    click.echo(tables.render(tables.build(number, lookup, scale=scale), how))
    if significance:
        click.echo(tables.significance(number, lookup, scale=scale))


def list_weights(where: Places) -> None:
    """`harness weights list`."""
    from tabulate import tabulate

    from harness import published

    rows = [
        {
            "name": weights.name,
            "stream": weights.stream,
            "for": baseline.name if weights.stream != "image" else f"--init imagenet ({baseline.image_name})",
            "trained on": weights.trained_on,
            "training ids": weights.provenance,
            "licence": weights.licence,
            "here": "yes" if published.card(weights, where) else "no",
        }
        for baseline, weights in published.everything()
    ]
    click.echo(tabulate(rows, headers="keys", tablefmt="simple", maxcolwidths=[None, None, 24, 32, None, 24, None]))
    click.echo("\nAny pretrained timm network serves --backbone timm/NAME: `harness weights fetch timm/NAME`.")
    click.echo(f"Imported weights lie in {published.folder(where)}. Use: --source published:NAME")


def fetch_weights(name: str, where: Places) -> None:
    """`harness weights fetch`."""
    from harness import published

    writable(where.data, what="weights", flag="--data")
    with console.screen(jobs=0) as watch:
        watch.stage(f"fetch {name}", 0, "bytes")
        told = published.fetch(name, where, progress=lambda done, total: watch.progress(done, total or done))
    click.echo("\n".join(told))


def import_weights(name: str, file: Path, where: Places, *, stream: str | None, labels: Path | None) -> None:
    """`harness weights import`."""
    from harness import published

    writable(where.data, what="weights", flag="--data")
    names = tuple(labels.read_text().splitlines()) if labels else ()
    click.echo(published.import_file(name, file, where, stream=stream, labels=names))


def push(where: Places) -> None:
    """`harness mirror push`: every record that the tracking server lacks."""
    from harness import mirror

    tracker = mirror.open_mirror(None, where.results, "pushed by hand")
    pushed = mirror.push(Ledger(where.runs), tracker)
    click.echo(
        f"{len(pushed.sent)} record(s) sent, {len(pushed.there)} already there. Open with: {tracker.how_to_open}"
    )


def pull(where: Places) -> None:
    """`harness mirror pull`: the ledger, rebuilt from the tracking server."""
    from harness import mirror

    writable(where.results, what="results", flag="--results")
    pulled = mirror.pull(where.runs, mirror.open_mirror(None, where.results, ""))
    click.echo(f"{len(pulled.brought)} record(s) brought, {len(pulled.there)} already here.")


def show_health(where: Places) -> None:
    """`harness doctor`."""
    from harness import doctor

    findings = doctor.report(where)
    for finding in findings:
        mark = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}[finding.state]
        click.echo(
            f"{mark}  {finding.name}: {finding.detail}" + (f"\n      {finding.remedy}" if finding.remedy else "")
        )
    if any(finding.state == "fail" for finding in findings):
        raise HarnessError("some of these need mending before numbers can be trusted")
