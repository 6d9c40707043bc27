"""What `harness data stats` does: facts as a table, a figure and a contact sheet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import click

from harness.commands import console
from harness.core.contract import FlowMethod
from harness.core.spec import plain
from harness.core.workspace import Workspace, writable
from harness.data.summary import Census, Subset, census, most


def stats_data(
    name: str, workspace: Workspace, *, out: Path, clips: int, columns: int, flow_name: str, as_json: bool
) -> None:
    """Prints the facts, and writes `data-NAME.svg` and, unless `clips` is 0, `data-NAME-clips.svg` to `out`."""
    from harness.core import registry
    from harness.data import prepare
    from harness.data.sheet import SHORT_SIDE_PX, strips
    from reports.figures import dataset as draw
    from reports.figures.drawing import standalone

    method = FlowMethod(flow_name, 20.0, SHORT_SIDE_PX)
    writable(out, what="pictures", flag="--out")
    writable(workspace.data, what="the index of data sets", flag="--data")
    with console.screen(jobs=0, as_json=as_json) as callback:
        card = registry.load("dataset", name)
        callback.stage(f"index {card.name}", 0, "files")
        prepared = prepare.open_prepared(card, workspace.data, progress=callback.progress)
        facts = census(prepared)
        stem = out / f"data-{_file_name(card.name)}"
        panels = {".svg": draw.overview(facts)}
        if clips:
            callback.stage("look at clips", clips, "clips")
            found = strips(prepared, clips=clips, columns=columns, method=method, progress=callback.progress)
            panels["-clips.svg"] = draw.contact_sheet(facts, found, columns=columns, flow_name=flow_name)
        written = [stem.with_name(f"{stem.name}{suffix}") for suffix in panels]
        for path, panel in zip(written, panels.values(), strict=True):
            path.write_text(standalone(panel), encoding="utf-8")
    click.echo(as_dict(facts, written) if as_json else f"{as_text(facts)}\n\n" + "\n".join(map(str, written)))


def as_dict(facts: Census, written: list[Path]) -> str:
    """The census as JSON, its durations as percentiles."""
    content = plain(facts) | {"durations_s": facts.duration_marks(), "written": [str(path) for path in written]}
    return json.dumps(content, indent=1)


def as_text(facts: Census) -> str:
    """A table of subsets, then what the videos are."""
    from tabulate import tabulate

    rows = [_row(subset, facts.kind) for subset in facts.subsets]
    lines = [
        f"{facts.title} ({facts.dataset}), fingerprint {facts.fingerprint}",
        "",
        tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True),
        "",
    ]
    what = "videos" if facts.kind == "video" else "pictures"
    lines.append(
        f"{what:<12}{facts.videos:,} in {len(facts.classes)} classes, {facts.bytes / 1e6:,.1f} MB{_lost(facts)}"
    )
    if marks := facts.duration_marks():
        words = {0: "least", 5: "5%", 50: "median", 95: "95%", 100: "most"}
        lines.append(f"{'seconds':<12}" + ", ".join(f"{words[mark]} {value:.2f}" for mark, value in marks.items()))
    for label, tally in (("size", facts.sizes), ("fps", facts.fps), ("codec", facts.codecs)):
        if tally:
            lines.append(f"{label:<12}{_tally(tally)}")
    return "\n".join(lines)


def _row(subset: Subset, kind: str) -> dict[str, str]:
    counts = sorted(subset.per_class)
    there = f"{subset.videos:,}" if subset.videos == subset.listed else f"{subset.videos:,} of {subset.listed:,}"
    row = {
        "subset": subset.name,
        "videos" if kind == "video" else "pictures": there,
        "a class: least": f"{counts[0]:,}",
        "median": f"{counts[len(counts) // 2]:,}",
        "most": f"{counts[-1]:,}",
    }
    return row | ({"hours": f"{subset.hours:,.2f}"} if kind == "video" else {})


def _lost(facts: Census) -> str:
    lost = [(facts.missing, "missing from disk"), (facts.unreadable, "unreadable")]
    return "".join(f"; {count:,} {what}" for count, what in lost if count)


def _tally(tally: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in most(tally, 6))


def _file_name(name: str) -> str:
    if ":" not in name:
        return name
    return f"{PurePosixPath(name).stem}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:8]}"
