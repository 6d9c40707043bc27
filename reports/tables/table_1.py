"""Table 1: parameters, frames and temporal footprint of the architectures, computed from their cards and built networks.

    harness table 1                         i3d: 25.4 M against the printed 25M

No rule of rounding gives all five printed parameter counts (79.6 is printed 79, 8.96 is printed 9), so one million apart counts
as equal. Sizes come from `harness.models.measure`, which has those of the paper's baselines on file, so that the table is printed
without torch.
"""

from __future__ import annotations

from typing import Any

from harness.analysis import paper_numbers
from harness.core import registry
from harness.core.contract import Clip, streams_of
from harness.models.measure import size_of
from reports.tables import layout as lay
from reports.tables.model import Column, ColumnGroup, Table, TableCell, Verdict

NUMBER = 1
MILLION = 1_000_000
TOLERANCE_M = 1.0
FPS = 25.0
"""Frame rate in which clips are counted (section 2.5)."""
GROUPS = {"network": "network", "train": "training", "test": "testing"}
COLUMNS = (
    Column("params_m", "network", "Parameters, M", unit="M"),
    Column("gmacs", "network", "GMACs", decimals=2, unit="G"),
    Column("memory_mib", "network", "Memory, MiB", decimals=0, unit="MiB"),
    Column("sees_frames", "network", "Sees, frames", decimals=0, unit="frames"),
    *(
        Column(f"{phase}/{name}", phase, title, decimals=decimals, unit=unit)
        for phase in ("train", "test")
        for name, title, decimals, unit in (
            ("rgb_frames", "RGB", 0, "frames"),
            ("flow_frames", "Flow", 0, "frames"),
            ("footprint_s", "s", 2, "s"),
        )
    ),
)


def build(question: lay.Question) -> Table:
    """The whole table; it needs no finished jobs."""
    printed = paper_numbers.table(NUMBER, question.version)
    cells = {}
    cards = lay.baselines(NUMBER)
    for card in cards:
        row = lay.row_of(card).key
        for key, value in _facts(card, question).items():
            number = printed.get((row, key))
            cells[row, key] = _cell(key, value, number.value if number else None, question)
    judged = any(cell.verdict == "reproduced" for cell in cells.values())
    return Table(
        number=NUMBER,
        title="Parameters, frames and temporal footprint",
        scale=question.scale,
        version=question.version,
        groups=tuple(ColumnGroup(key, title, title) for key, title in GROUPS.items()),
        columns=COLUMNS,
        rows=tuple(lay.row_of(card) for card in cards),
        cells=cells,
        notes=(
            "RGB and Flow: frames of a clip in training, of a video in testing; s: the seconds they span.",
            "The paper has no columns for GMACs, Memory and Sees. GMACs: thousands of millions of multiply-accumulates, one training clip "
            "forward. Memory: float32 numbers that its forward pass keeps for the backward pass. Sees: frames of the "
            f"{FPS:g} fps timeline that reach one output position, measured on the network.",
            "Figure 3 labels i3d's last layer 99 x 539 x 539, which leaves out one of five modules between its last two pools; "
            "counting all five gives 107 x 571 x 571.",
            *([f"= equal to the printed number, parameters within {TOLERANCE_M:g}M."] if judged else []),
        ),
        ours_name="ours" if question.scale == "paper" else question.scale,
        command=question.command(NUMBER),
    )


def _facts(card: Any, question: lay.Question) -> dict[str, float]:
    """Column key -> value."""
    streams = streams_of(card.modalities[0])
    source = paper_numbers.stand_in(paper_numbers.SOURCES[question.version], question.scale)
    size = size_of(card, scale=question.scale, classes=registry.load("dataset", source).num_classes)
    facts = {
        "params_m": size.parameters / MILLION,
        "gmacs": size.macs / 1e9,
        "memory_mib": size.memory_bytes / 2**20,
        "sees_frames": size.frames_seen,
    }
    for phase, clip in (("train", card.train_clip[question.scale]), ("test", card.test_clip[question.scale])):
        for stream in streams:
            facts[f"{phase}/{stream}_frames"] = clip.count * clip.frames(stream)
        facts[f"{phase}/footprint_s"] = footprint_s(clip)
    return facts


def footprint_s(clip: Clip) -> float:
    """Seconds of video that all clips of a video span together."""
    return clip.count * clip.span / FPS


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
