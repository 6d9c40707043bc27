"""A data set at a glance: class balance, durations, sizes, frame rates and codecs; and a sheet of its clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.data.preview import colour_wheel, flow_colours
from harness.data.sheet import Strip
from harness.data.summary import Census, most

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTE, GROUND = "#1c1f23", "#5d666f", "#eef0f2"
SHADES = ("#23527c", "#6db5e6", "#d8a13a")
"""Of the subsets, in their order."""
NAMED_CLASSES = 60
"""More have no room for their names; they become a curve."""
TILE_PX, GAP_PX, HEAD_PX, TOP_PX, MARGIN_PX = (160, 120), 4, 34, 92, 24
DPI = 100


def overview(census: Census) -> Figure:
    """Four panels; the class balance as bars with names, or, beyond NAMED_CLASSES, as a curve."""
    from matplotlib.figure import Figure

    named = len(census.classes) <= NAMED_CLASSES
    height = max(5.6, 1.9 + 0.17 * len(census.classes)) if named else 5.6
    figure = Figure(figsize=(11, height), facecolor="white", layout="constrained")
    figure.suptitle(_title(census), x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    grid = figure.add_gridspec(3, 2, width_ratios=(1.25, 1), height_ratios=(1.3, 1, 1))
    balance = figure.add_subplot(grid[:, 0])
    (_class_bars if named else _class_curve)(balance, census)
    if census.durations_s:
        _durations(figure.add_subplot(grid[0, 1]), census)
    _bars(figure.add_subplot(grid[1, 1]), "Picture size, px", most(census.sizes, 6))
    if census.fps:
        pairs = [(f"{name} fps", n) for name, n in most(census.fps, 4)] + list(most(census.codecs, 3))
        _bars(figure.add_subplot(grid[2, 1]), "Frame rate and codec", pairs)
    return figure


def _title(census: Census) -> str:
    hours = sum(census.durations_s) / 3600
    words = [census.title, f"{census.videos:,} {'videos' if census.kind == 'video' else 'pictures'}"]
    words += [f"{len(census.classes)} classes"] + ([f"{hours:,.1f} h"] if hours >= 0.1 else [])
    words += [f"{census.bytes / 1e9:,.1f} GB" if census.bytes >= 1e9 else f"{census.bytes / 1e6:,.1f} MB"]
    words += [f"{census.missing:,} missing"] if census.missing else []
    words += [f"{census.unreadable:,} unreadable"] if census.unreadable else []
    return " · ".join(words)


def _class_bars(axes: Axes, census: Census) -> None:
    places = np.arange(len(census.classes))
    left = np.zeros(len(census.classes))
    for subset, shade in zip(census.subsets, SHADES, strict=False):
        axes.barh(
            places, subset.per_class, left=left, color=shade, height=0.78, label=_legend(subset.name, subset.videos)
        )
        left += subset.per_class
    size = 8.5 if len(census.classes) <= 30 else 7
    axes.set_yticks(places, [_shortened(name, 28) for name in census.classes], fontsize=size)
    axes.set_ylim(len(census.classes) - 0.4, -0.6)
    _plain(axes, f"{'Videos' if census.kind == 'video' else 'Pictures'} a class{_split(census)}")
    axes.grid(axis="x", color=GROUND)
    _key(axes)


def _class_curve(axes: Axes, census: Census) -> None:
    for subset, shade in zip(census.subsets, SHADES, strict=False):
        counts = np.sort(subset.per_class)[::-1]
        axes.fill_between(np.arange(1, len(counts) + 1), counts, step="mid", color=shade, alpha=0.25)
        axes.step(
            np.arange(1, len(counts) + 1), counts, where="mid", color=shade, label=_legend(subset.name, subset.videos)
        )
    axes.set_ylim(bottom=0)
    axes.set_xlim(1, len(census.classes))
    axes.set_xlabel("classes, the largest first (each curve in its own order)", fontsize=8.5, color=MUTE)
    _plain(axes, f"Videos a class{_split(census)}")
    axes.grid(axis="y", color=GROUND)
    _key(axes)


def _split(census: Census) -> str:
    return f", split {census.split}" if census.split else ""


def _legend(name: str, count: int) -> str:
    return f"{name} ({count:,})"


def _key(axes: Axes) -> None:
    """Below the panel: bars leave no corner free."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=3, frameon=False, fontsize=8.5, labelcolor=INK)


def _durations(axes: Axes, census: Census) -> None:
    seconds = np.array(census.durations_s)
    median = float(np.median(seconds))
    bound = float(np.percentile(seconds, 99.5))
    long = int((seconds > bound).sum()) if bound < seconds[-1] else 0
    low = min(float(seconds[0]), median * 0.9)
    axes.hist(
        seconds[seconds <= bound] if long else seconds, bins=40, range=(low, max(bound, low + 0.1)), color=SHADES[0]
    )
    axes.axvline(median, color=SHADES[2], linewidth=1.5)
    axes.margins(y=0.28)
    axes.annotate(
        f"median {median:.1f} s",
        (median, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(5, 0),
        textcoords="offset points",
        fontsize=8.5,
        color=INK,
        va="top",
    )
    rest = f"; {long} longer, up to {seconds[-1]:.0f} s" if long else ""
    _plain(axes, f"Duration, s ({seconds[0]:.1f} to {seconds[-1]:.1f}{rest})")


def _bars(axes: Axes, title: str, items: Sequence[tuple[str, int]]) -> None:
    names, counts = [_shortened(name, 16) for name, _ in items], [count for _, count in items]
    bars = axes.barh(range(len(items)), counts, color=SHADES[0], height=0.7)
    axes.bar_label(bars, [f" {count:,}" for count in counts], fontsize=8, color=MUTE)
    axes.set_yticks(range(len(items)), names, fontsize=8.5)
    axes.set_ylim(max(len(items), 3) - 0.4, -0.6)
    axes.margins(x=0.16)
    axes.set_xticks([])
    _plain(axes, title)


def _plain(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=9.5, loc="left", color=INK)
    axes.tick_params(colors=MUTE, labelsize=8.5, length=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GROUND)


def _shortened(text: str, letters: int) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


# ------------------------------------------------------------------------------------------------- contact sheet


def contact_sheet(census: Census, strips: Sequence[Strip], *, columns: int, flow_name: str) -> Figure:
    """Two strips a line: frames above, the flow to the next frame below, in the colours of the wheel."""
    from matplotlib.figure import Figure

    across = 2 if len(strips) > 1 else 1
    moving = any(len(strip.flows) for strip in strips)
    width, height = _strip_size(columns, moving=moving)
    lines = -(-len(strips) // across)
    total = (2 * MARGIN_PX + across * width + (across - 1) * MARGIN_PX, TOP_PX + lines * (height + MARGIN_PX))
    canvas = np.full((total[1], total[0], 3), 255, np.uint8)
    figure = Figure(figsize=(total[0] / DPI, total[1] / DPI), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    _heading(axes, canvas, census, moving=moving, flow_name=flow_name)
    for number, strip in enumerate(strips):
        x = MARGIN_PX + number % across * (width + MARGIN_PX)
        y = TOP_PX + number // across * (height + MARGIN_PX)
        _draw(axes, canvas, strip, x, y)
    axes.imshow(canvas, interpolation="nearest", aspect="auto")
    axes.set_xlim(0, total[0])
    axes.set_ylim(total[1], 0)
    return figure


def _strip_size(columns: int, *, moving: bool) -> tuple[int, int]:
    rows = 2 if moving else 1
    return columns * (TILE_PX[0] + GAP_PX) - GAP_PX, HEAD_PX + rows * (TILE_PX[1] + GAP_PX)


def _heading(axes: Axes, canvas: np.ndarray, census: Census, *, moving: bool, flow_name: str) -> None:
    axes.text(MARGIN_PX, 32, _title(census), fontsize=15, fontweight="bold", color=INK, va="center")
    what = "Sampled clips: frames spread over the video"
    if moving:
        what += f"; below them the motion to the next frame at 25 fps ({flow_name}), in the colours of the wheel"
        wheel = colour_wheel(64)
        canvas[12 : 12 + 64, -MARGIN_PX - 64 : -MARGIN_PX] = wheel
    axes.text(MARGIN_PX, 62, f"{what}.", fontsize=10, color=MUTE, va="center")


def _draw(axes: Axes, canvas: np.ndarray, strip: Strip, x: int, y: int) -> None:
    limit_px = max(0.5, float(np.percentile(np.linalg.norm(strip.flows, axis=-1), 99))) if len(strip.flows) else 0.0
    name = axes.text(
        x, y + 13, _shortened(strip.class_name, 34), fontsize=11, fontweight="bold", color=INK, va="center"
    )
    detail = f"{strip.subset} · {strip.video.path.rpartition('/')[2]}"
    detail += f" · full colour {limit_px:.1f} px" if limit_px else ""
    axes.annotate(
        _shortened(detail, 74), (1, 0.5), xycoords=name, xytext=(9, 0), textcoords="offset points",
        fontsize=8.5, color=MUTE, va="center",
    )  # fmt: skip
    for column, time_s in enumerate(strip.times_s):
        left, top = x + column * (TILE_PX[0] + GAP_PX), y + HEAD_PX - 8
        _paste(canvas, strip.frames[column], left, top)
        if len(strip.flows):
            _paste(canvas, flow_colours(strip.flows[column], limit=limit_px), left, top + TILE_PX[1] + GAP_PX)
            axes.text(left + 4, top + TILE_PX[1] - 8, f"{time_s:.1f} s", fontsize=7.5, color="white", va="center",
                      bbox={"facecolor": INK, "alpha": 0.55, "pad": 1.2, "linewidth": 0})  # fmt: skip


def _paste(canvas: np.ndarray, picture: np.ndarray, left: int, top: int) -> None:
    """The whole picture, as large as fits into a tile, on grey."""
    import cv2

    width, height = TILE_PX
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    canvas[top : top + height, left : left + width] = (238, 240, 242)
    x, y = left + (width - size[0]) // 2, top + (height - size[1]) // 2
    canvas[y : y + size[1], x : x + size[0]] = small


def save(figure: Figure, path: Path) -> Path:
    """PNG or SVG, by the suffix."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "harness", "svg.fonttype": "none"}):
        figure.savefig(path, dpi=DPI if path.suffix == ".png" and figure.dpi == DPI else 150, metadata=_undated(path))
    return path


def _undated(path: Path) -> dict[str, None]:
    """The same picture is the same file, whenever it is drawn."""
    return {"Date": None} if path.suffix == ".svg" else {"Software": None}
