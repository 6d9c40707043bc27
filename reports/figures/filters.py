"""The first layer of I3D over time, as in Figure 4 of the paper: before and after training."""

from __future__ import annotations

import numpy as np

from harness.planning.lookup import scored
from harness.records.record import WEIGHTS, Record
from reports.evidence import Evidence
from reports.figures.charts import PANEL_PX
from reports.figures.drawing import Drawing, Figure, Panel, encoded

KERNEL = "trunk.conv1a.conv.weight"
BASELINE = "i3d"
BLOCKS = 2
"""Columns of filters."""
ZOOM = 3
GAP = 3


def filters(evidence: Evidence) -> Figure | None:
    """One panel per network: rows are filters; first the 2D kernel of an inflated one, then every slice in time."""
    panels = [panel for record in _networks(evidence) for panel in _panels(record, evidence)]
    caption = (
        "Kernels of the first convolution; a row is a filter, a column a slice in time. Left of the gap, where a network was "
        "inflated from an image network: the 2D kernel that all slices started from. Each filter is scaled to its own largest "
        "weight; grey is zero."
    )
    return Figure("filters", "First-layer filters of I3D, as in Figure 4", caption, tuple(panels)) if panels else None


def _networks(evidence: Evidence) -> list[Record]:
    """One record per stream and init: the first that was trained on a source of transfer, else the first of all."""
    chosen: dict[tuple[str, str], Record] = {}
    sources = {result.setting.source for result in evidence.results}
    records = {r.cell: r for r in scored(evidence.records.values()) if r.kind == "train" and WEIGHTS in r.files}
    cells = [cell for cell in records if cell and cell.baseline == BASELINE and not cell.backbone]
    for cell in sorted(cells, key=lambda cell: (cell.overrides != (), cell.dataset not in sources, cell.seed, cell)):
        chosen.setdefault((cell.modality, cell.init), records[cell])
    return [chosen[key] for key in sorted(chosen, key=lambda key: (key[1], key[0] != "rgb"))]


def kernel_of(record: Record) -> np.ndarray | None:
    """(filters, channels, time, height, width) float32, time 1 for a 2D network; None where it is named otherwise."""
    from safetensors import safe_open

    with safe_open(record.path(WEIGHTS), framework="np") as stored:
        if KERNEL not in set(stored.keys()):
            return None
        weights = np.asarray(stored.get_tensor(KERNEL), dtype=np.float32)
    return weights if weights.ndim == 5 else weights[:, :, None]


def _panels(record: Record, evidence: Evidence) -> list[Panel]:
    after = kernel_of(record)
    if after is None:
        return []
    image = evidence.records.get(record.upstream.get("image", ""))
    before = kernel_of(image) if image is not None else None
    assert record.cell is not None
    init, dataset = record.cell.init, record.cell.dataset
    start = "inflated" if before is not None else f"from {init}"
    parts = {"RGB": (before, after)}
    if record.cell.modality == "flow":
        mean = None if before is None else before.mean(axis=1, keepdims=True)
        parts = {f"flow {axis}": (mean, after[:, k : k + 1]) for k, axis in enumerate("xy")}
    return [
        _panel(f"{name.lower().replace(' ', '-')}-{init}", f"{name}, {start}, after training on {dataset}", *kernels)
        for name, kernels in parts.items()
    ]


def _panel(name: str, title: str, before: np.ndarray | None, after: np.ndarray) -> Panel:
    picture = mosaic(before, after)
    height, width = picture.shape[:2]
    drawing = Drawing(max(PANEL_PX, width), height + 22)
    drawing.text(0, 12, title.split(", after")[0], style="bold")
    drawing.picture(0, 20, width, height, encoded(picture, ".png"), kind="png")
    alt = f"{len(after)} filters, {after.shape[2]} slices in time."
    if before is not None:
        alt += f" Slices differ in time by {_spread(after):.0%} of the kernel's norm; at the start by 0%."
    return drawing.panel(name, title, alt)


def _spread(kernel: np.ndarray) -> float:
    """Share of a kernel's energy that is not the same in every slice, as a ratio of norms."""
    apart = kernel - kernel.mean(axis=2, keepdims=True)
    return float(np.linalg.norm(apart) / np.linalg.norm(kernel))


def mosaic(before: np.ndarray | None, after: np.ndarray) -> np.ndarray:
    """uint8 RGBA: one filter per row, in two columns of filters; transparent between the tiles."""
    side, rows = ZOOM * after.shape[-1], -(-len(after) // BLOCKS)
    start = 0 if before is None else side + 3 * GAP
    width = start + after.shape[2] * (side + GAP) - GAP
    sheet = np.zeros((rows * (side + GAP) - GAP, BLOCKS * (width + 5 * GAP) - 5 * GAP, 4), np.uint8)
    for k, kernel in enumerate(after):
        y, left = k % rows * (side + GAP), k // rows * (width + 5 * GAP)
        tiles = {left + start + t * (side + GAP): _tile(kernel[:, t], kernel) for t in range(after.shape[2])}
        if before is not None:
            tiles[left] = _tile(before[k][:, 0], before[k])
        for x, tile in tiles.items():
            sheet[y : y + side, x : x + side] = tile
    return sheet


def _tile(kernel: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """(channels, h, w) -> uint8 RGBA, scaled to the largest weight of the whole filter; zero is grey."""
    limit = float(np.abs(whole).max()) or 1.0
    values = np.rint(127.5 + 127.5 * kernel / limit).clip(0, 255).astype(np.uint8)
    colours = np.repeat(values, 3, axis=0) if len(values) == 1 else values
    opaque = np.concatenate([colours, np.full_like(colours[:1], 255)])
    return opaque.transpose(1, 2, 0).repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
