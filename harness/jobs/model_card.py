"""The model card of an exported network, as Markdown."""

from __future__ import annotations

from harness.core.job_specs import ClipsSpec, NetworkSpec
from harness.metrics.registered import named, text
from harness.planning.command import command_of
from harness.records.caveats import caveats_of_job
from harness.records.record import Record


def model_card(record: Record) -> str:
    """What the network is, its number with its interval, its data, and how to use and repeat it."""
    baseline = record.spec.baseline.name if isinstance(record.spec, ClipsSpec) else "NAME"
    sections = [
        [f"# {record.title}"],
        [f"{len(record.classes)} classes; trained and scored by `harness`, job `{record.job_id}`."],
        ["## Result", *_numbers(record)],
        ["## Data", *_data(record)],
        ["## Input", *_input(record)],
        [
            "## Use",
            "```console",
            "$ harness predict video.mp4 --weights /path/to/this-folder",
            f"$ harness run --baseline {baseline} --protocol full-ft --source /path/to/this-folder --dataset NAME",
            "```",
        ],
        ["## Repeat", "```console", f"$ {command_of(record.cell)}", "```"] if record.cell else [],
        ["## Classes", ", ".join(record.classes)],
    ]
    return "\n\n".join("\n".join(_spaced(lines)) for lines in sections if lines) + "\n"


def _spaced(lines: list[str]) -> list[str]:
    """A blank line below the heading."""
    return [lines[0], "", *lines[1:]] if len(lines) > 1 else lines


def _numbers(record: Record) -> list[str]:
    counted = record.counts
    rows = [f"- {named(name).title}: {text(name, number, interval=True)}" for name, number in record.metrics.items()]
    lines = [*rows, f"- videos: {counted['n']} scored of {counted['n_of']} listed; [low, high] is a 95% interval"]
    return lines + [f"- {caveat}" for caveat in caveats_of_job(record)]


def _data(record: Record) -> list[str]:
    dataset = record.spec.dataset
    lines = [f"- data set: {dataset.name}, version {dataset.version}, fingerprint `{record.fingerprint}`"]
    if record.cell:
        lines.append(f"- conditions: {record.cell.conditions}")
    rule, held = record.chosen.get("rule", ""), record.chosen.get("held_out", ())
    return lines + ([f"- weights: {rule}{f', {len(held)} videos held out' if held else ''}"] if rule else [])


def _input(record: Record) -> list[str]:
    spec = record.spec
    lines = []
    if isinstance(spec, ClipsSpec):
        clip = spec.test_clip
        lines.append(f"- streams: {' and '.join(spec.streams)}; clips of {clip.window} frames, {clip.side_px} px")
    if isinstance(spec, NetworkSpec):
        lines.append(
            f"- {spec.scale.fps:g} frames per second, resized to a short side of {spec.scale.short_side_px} px"
        )
    values = getattr(spec, "pixels", None)
    scaled = "[-1, 1], red first"
    if values:
        scaled = f"(pixel * {values.maximum:g} / 255 - {values.mean}) / {values.std}, order {values.order}"
    return [*lines, f"- values of RGB: {scaled}"]
