"""Table 1: parameters, frames and temporal footprint of the architectures, computed from their cards and built networks.

    harness table 1                         i3d: 25.4 M against the printed 25M

No rule of rounding gives all five printed parameter counts (79.6 is printed 79, 8.96 is printed 9), so one million apart counts
as equal. Networks are built on PyTorch's meta device, which allocates nothing; this is the only table that needs torch.
"""

from __future__ import annotations

from typing import Any

from harness import discover, paper
from harness.contract import BuildSpec, Clip, streams_of
from reports.tables import layout as lay
from reports.tables.model import Column, Group, Table, TableCell, Verdict

NUMBER = 1
MILLION = 1_000_000
TOLERANCE_M = 1.0
FPS = 25.0
"""Of the timeline that clips are counted on (section 2.5)."""
COLUMNS = (
    Column("params_m", "network", "Parameters, M", unit="M"),
    Column("gmacs", "network", "GMACs", unit="G"),
    *(
        Column(f"{phase}/{what}", phase, title, decimals=decimals, unit=unit)
        for phase in ("train", "test")
        for what, title, decimals, unit in (
            ("rgb_frames", "RGB", 0, "frames"),
            ("flow_frames", "Flow", 0, "frames"),
            ("footprint_s", "s", 2, "s"),
        )
    ),
)


def build(question: lay.Question) -> Table:
    """The whole table; nothing of it is in a ledger."""
    printed = paper.table(NUMBER, question.version)
    cells = {}
    cards = lay.baselines(NUMBER)
    for card in cards:
        row = lay.row_of(card).key
        for key, value in _facts(card, question).items():
            number = printed.get((row, key))
            cells[row, key] = _cell(key, value, number.value if number else None, question)
    return Table(
        number=NUMBER,
        title="Parameters, frames and temporal footprint",
        scale=question.scale,
        version=question.version,
        groups=(
            Group("network", "network", "network"),
            Group("train", "training", "training"),
            Group("test", "testing", "testing"),
        ),
        columns=COLUMNS,
        rows=tuple(lay.row_of(card) for card in cards),
        cells=cells,
        notes=(
            "RGB and Flow: frames of a clip in training, of a video in testing; s: what they span.",
            "GMACs: multiply-accumulates, in thousands of millions, of one training clip forward. The paper has no such column.",
            f"= equal to the printed number, parameters within {TOLERANCE_M:g}M.",
        ),
        ours_name="ours" if question.scale == "paper" else question.scale,
    )


def _facts(card: Any, question: lay.Question) -> dict[str, float]:
    """Column key -> value."""
    streams = streams_of(card.modalities[0])
    parameters, macs = size_of(card, scale=question.scale, classes=_classes(question))
    found = {"params_m": parameters / MILLION, "gmacs": macs / 1e9}
    for phase, clip in (("train", card.train_clip[question.scale]), ("test", card.test_clip[question.scale])):
        for stream in streams:
            found[f"{phase}/{stream}_frames"] = clip.count * clip.frames(stream)
        found[f"{phase}/footprint_s"] = footprint_s(clip)
    return found


def footprint_s(clip: Clip) -> float:
    """Seconds of video that all clips of a video span together."""
    return clip.count * clip.window / FPS


def _classes(question: lay.Question) -> int:
    dataset = discover.load("dataset", lay.dataset_of(lay.SOURCES[question.version], question.scale))
    return int(dataset.num_classes)


def size_of(card: Any, *, scale: str, classes: int) -> tuple[int, int]:
    """(trainable parameters, multiply-accumulates of one training clip) of the baseline's networks in all its streams."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from harness.contract import CHANNELS

    streams = streams_of(card.modalities[0])
    clip: Clip = card.train_clip[scale]
    parameters = flops = 0
    for network_streams in [(stream,) for stream in streams] if card.combine == "late" else [streams]:
        spec = BuildSpec(network_streams, classes, discover.load("scale", scale))
        with torch.device("meta"), torch.no_grad():
            network = card.build(spec).eval()
            clips = {
                stream: torch.empty(1, CHANNELS[stream], clip.frames(stream), clip.side_px, clip.side_px)
                for stream in network_streams
            }
            with FlopCounterMode(display=False) as counter:
                network(clips)
        parameters += sum(p.numel() for p in network.parameters() if p.requires_grad)
        flops += counter.get_total_flops()
    return parameters, flops // 2


def _cell(key: str, value: float, printed: float | None, question: lay.Question) -> TableCell:
    verdict: Verdict = "nothing to compare"
    why = "the paper prints no number here"
    if question.scale != "paper":
        verdict, why = "not comparable", f"{question.scale} scale"
    elif printed is not None:
        apart, allowed = value - printed, TOLERANCE_M if key == "params_m" else 1e-9
        verdict = "reproduced" if abs(apart) <= allowed else "above" if apart > 0 else "below"
        why = f"{value:g} against the printed {printed:g}"
    return TableCell(paper=printed, ours=value, verdict=verdict, why=why)
