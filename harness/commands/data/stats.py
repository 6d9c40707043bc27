"""`harness data stats`: Summarize a data set: counts, durations, sizes, class balance.

Prints a table, and draws a figure and a contact sheet of clips with their optical flow.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath

import click

from harness.commands import console
from harness.commands.options import names_of, out_option, workspace_options
from harness.core import registry
from harness.core.contract import FlowMethod
from harness.core.serialization import plain
from harness.core.workspace import Workspace, writable
from harness.data.summary import Census, Subset, census, most


@click.command()
@click.argument("name")
@out_option
@click.option("--clips", default=12, metavar="N", help="Clips on the contact sheet; 0 draws none.")
@click.option("--columns", default=5, metavar="N", help="Frames per clip.")
@click.option("--flow", default="dis", metavar="NAME", help=f"Optical flow method: {names_of('flow-method')}.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@workspace_options
def command(
    name: str, workspace: Workspace, out: Path | None, clips: int, columns: int, flow: str, as_json: bool
) -> None:
    from harness.data import prepare
    from harness.data.preview import SHORT_SIDE_PX, strips
    from reports.figures import dataset as draw
    from reports.figures.drawing import standalone

    method = FlowMethod(flow, 20.0, SHORT_SIDE_PX)
    out = out or workspace.report
    writable(out, content="pictures", flag="--out")
    writable(workspace.data, content="the index of data sets", flag="--data")
    with console.screen(jobs=0, as_json=as_json) as callback:
        card = registry.load("dataset", name)
        callback.stage(f"index {card.name}", 0, "files")
        prepared = prepare.open_prepared(card, workspace.data, progress=callback.progress)
        facts = census(prepared)
        stem = out / f"data-{_file_name(card.name)}"
        panels = {".svg": draw.overview(facts)}
        if clips:
            callback.stage("sample clips", clips, "clips")
            rows = strips(prepared, clips=clips, columns=columns, method=method, progress=callback.progress)
            panels["-clips.svg"] = draw.contact_sheet(facts, rows, columns=columns, flow_name=flow)
        files = [stem.with_name(f"{stem.name}{suffix}") for suffix in panels]
        for path, panel in zip(files, panels.values(), strict=True):
            path.write_text(standalone(panel), encoding="utf-8")
    click.echo(to_json(facts, files) if as_json else f"{as_text(facts)}\n\n" + "\n".join(map(str, files)))


def to_json(facts: Census, files: list[Path]) -> str:
    """The census as JSON, its durations as percentiles."""
    content = plain(facts) | {"durations_s": facts.duration_marks(), "written": [str(path) for path in files]}
    return json.dumps(content, indent=1)


def as_text(facts: Census) -> str:
    """A table of subsets, then facts about the files."""
    rows = [_row(subset, facts.kind) for subset in facts.subsets]
    lines = [f"{facts.title} ({facts.dataset}), fingerprint {facts.fingerprint}", "", console.table(rows), ""]
    counts = f"{facts.videos:,} in {len(facts.classes)} classes, {facts.bytes / 1e6:,.1f} MB"
    for count, state in ((facts.missing, "missing from disk"), (facts.unreadable, "unreadable")):
        counts += f"; {count:,} {state}" if count else ""
    lines.append(f"{_items(facts.kind):<12}{counts}")
    if marks := facts.duration_marks():
        words = {0: "shortest", 5: "5%", 50: "median", 95: "95%", 100: "longest"}
        lines.append(f"{'seconds':<12}" + ", ".join(f"{words[mark]} {value:.2f}" for mark, value in marks.items()))
    for label, tally in (("size", facts.sizes), ("fps", facts.fps), ("codec", facts.codecs)):
        if tally:
            lines.append(f"{label:<12}" + ", ".join(f"{name} ({count:,})" for name, count in most(tally, 6)))
    return "\n".join(lines)


def _items(kind: str) -> str:
    return "videos" if kind == "video" else "images"


def _row(subset: Subset, kind: str) -> dict[str, str]:
    counts = sorted(subset.per_class)
    on_disk = f"{subset.videos:,}" if subset.videos == subset.listed else f"{subset.videos:,} of {subset.listed:,}"
    row = {
        "subset": subset.name,
        _items(kind): on_disk,
        "per class: least": f"{counts[0]:,}",
        "median": f"{counts[len(counts) // 2]:,}",
        "most": f"{counts[-1]:,}",
    }
    return row | ({"hours": f"{subset.hours:,.2f}"} if kind == "video" else {})


def _file_name(name: str) -> str:
    if ":" not in name:
        return name
    return f"{PurePosixPath(name).stem}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:8]}"
