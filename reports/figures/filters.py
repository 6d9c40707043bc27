"""The first layer of I3D over time, as in Figure 4 of the paper: what it starts from, and what training makes of it."""

from __future__ import annotations

import numpy as np

from harness.records.record import WEIGHTS, Record
from reports.evidence import Evidence
from reports.figures.drawing import Drawing, Figure, Panel
from reports.figures.pictures import png_of

KERNEL = "trunk.conv1a.conv.weight"
BASELINE = "i3d"
BLOCKS = 2
"""Columns of filters."""
ZOOM = 3
GAP = 3


def filters(evidence: Evidence) -> Figure | None:
    """A panel for each network: rows are filters; first its 2D kernel where it was inflated, then every slice in time."""
    chosen = _networks(evidence)
    panels = [panel for record in chosen for panel in _panels(record, evidence)]
    caption = (
        "Kernels of the first convolution; a row is a filter, a column a slice in time. Left of the gap, where a network was "
        "inflated from pictures: the 2D kernel that all slices started as. Each filter is scaled to its own largest weight; grey is zero."
    )
    return Figure("filters", "First-layer filters of I3D, as in Figure 4", caption, tuple(panels)) if panels else None


def _networks(evidence: Evidence) -> list[Record]:
    """One record for each stream and init: trained on what others transfer from, the first of each."""
    found: dict[tuple[str, str], Record] = {}
    sources = {result.setting.source for result in evidence.results}
    records = [r for r in evidence.records.values() if r.kind == "train" and WEIGHTS in r.files]
    mine = [r for r in records if r.spec["baseline"]["name"] == BASELINE and not r.spec["backbone"]]
    for record in sorted(mine, key=lambda r: (r.spec["dataset"]["name"] not in sources, r.spec["seed"], r.job_id)):
        (stream,) = record.spec["streams"]
        found.setdefault((stream, record.spec["init"]), record)
    return [found[key] for key in sorted(found, key=lambda key: (key[1], key[0] != "rgb"))]


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
    stream, where = record.spec["streams"][0], record.spec["dataset"]["name"]
    start = "inflated from pictures" if before is not None else f"from {record.spec['init']}"
    if stream == "rgb":
        return [_panel(f"rgb-{record.spec['init']}", f"RGB, {start}, after training on {where}", before, after)]
    grey = None if before is None else before.mean(axis=1, keepdims=True)
    return [
        _panel(
            f"flow-{axis}-{record.spec['init']}",
            f"flow, {axis} component, {start}, after training on {where}",
            grey,
            after[:, k : k + 1],
        )
        for k, axis in enumerate("xy")
    ]


def _panel(name: str, title: str, before: np.ndarray | None, after: np.ndarray) -> Panel:
    picture = mosaic(before, after)
    height, width = picture.shape[:2]
    drawing = Drawing(max(370, width), height + 22)
    drawing.text(0, 12, title.split(", after")[0], style="bold")
    drawing.picture(0, 20, width, height, png_of(picture), kind="png")
    change = (
        ""
        if before is None
        else f" Slices differ in time by {_spread(after):.0%} of the kernel's norm; at the start by 0%."
    )
    return drawing.panel(name, title, f"{len(after)} filters, {after.shape[2]} slices in time.{change}")


def _spread(kernel: np.ndarray) -> float:
    """Share of a kernel's energy that is not the same in every slice, as a ratio of norms."""
    apart = kernel - kernel.mean(axis=2, keepdims=True)
    return float(np.linalg.norm(apart) / np.linalg.norm(kernel))


def mosaic(before: np.ndarray | None, after: np.ndarray) -> np.ndarray:
    """uint8 RGBA: a row a filter in two columns of filters; transparent between the tiles."""
    rows = -(-len(after) // BLOCKS)
    strips = [_strip(None if before is None else before[k], after[k]) for k in range(len(after))]
    height, width = strips[0].shape[:2]
    sheet = np.zeros((rows * (height + GAP) - GAP, BLOCKS * (width + 5 * GAP) - 5 * GAP, 4), np.uint8)
    for k, strip in enumerate(strips):
        y, x = (k % rows) * (height + GAP), (k // rows) * (width + 5 * GAP)
        sheet[y : y + height, x : x + width] = strip
    return sheet


def _strip(before: np.ndarray | None, after: np.ndarray) -> np.ndarray:
    """One filter: (channels, time, h, w) -> uint8 RGBA, its 2D kernel first."""
    tiles = [_tile(before[:, 0])] if before is not None else []
    tiles += [_tile(after[:, t], of=after) for t in range(after.shape[1])]
    side = tiles[0].shape[0]
    gaps = [GAP * 3 if before is not None and k == 0 else GAP for k in range(len(tiles))]
    gaps[-1] = 0
    strip = np.zeros((side, side * len(tiles) + sum(gaps), 4), np.uint8)
    x = 0
    for tile, gap in zip(tiles, gaps, strict=True):
        strip[:, x : x + side, :3], strip[:, x : x + side, 3] = tile, 255
        x += side + gap
    return strip


def _tile(kernel: np.ndarray, *, of: np.ndarray | None = None) -> np.ndarray:
    """(channels, h, w) -> uint8 (h, w, 3), scaled to the largest weight of the whole filter; zero is grey."""
    limit = float(np.abs(kernel if of is None else of).max()) or 1.0
    values = np.rint(127.5 + 127.5 * kernel / limit).clip(0, 255).astype(np.uint8)
    picture = np.repeat(values, 3, axis=0) if len(values) == 1 else values
    return np.kron(picture.transpose(1, 2, 0), np.ones((ZOOM, ZOOM, 1), np.uint8))
