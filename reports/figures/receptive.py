"""Receptive fields of the inflated Inception, as in Figure 3 of the paper: arithmetic on its layers, no network."""

from __future__ import annotations

from dataclasses import dataclass

from reports.figures.charts import axis_below
from reports.figures.drawing import Axis, Drawing, Figure


@dataclass(frozen=True)
class Layer:
    """Kernel and stride of a layer; an inception module counts as its widest branch."""

    name: str
    """Endpoint, as in the released checkpoints."""
    kernel: tuple[int, int]
    """In time and in space."""
    stride: tuple[int, int] = (1, 1)
    printed: tuple[int, int, int] | None = None
    """Time, height, width, as Figure 3 labels it."""


LAYERS = (
    Layer("conv1a", (7, 7), (2, 2)),
    Layer("pool2a", (1, 3), (1, 2), printed=(7, 11, 11)),
    Layer("conv2b", (1, 1)),
    Layer("conv2c", (3, 3)),
    Layer("pool3a", (1, 3), (1, 2), printed=(11, 27, 27)),
    Layer("mixed3b", (3, 3)),
    Layer("mixed3c", (3, 3)),
    Layer("pool4a", (3, 3), (2, 2), printed=(23, 75, 75)),
    *(Layer(f"mixed4{letter}", (3, 3)) for letter in "bcdef"),
    Layer("pool5a", (2, 2), (2, 2), printed=(59, 219, 219)),
    Layer("mixed5b", (3, 3)),
    Layer("mixed5c", (3, 3)),
    Layer("pool", (2, 7), printed=(99, 539, 539)),
)
"""Two-Stream I3D, one stream (section 2.4): the tests compare it with the built network."""

WIDTH = 610


def fields() -> dict[str, tuple[int, int, int]]:
    """Endpoint -> frames, height and width in px that one of its numbers sees."""
    extents = {}
    time, space, time_step, space_step = 1, 1, 1, 1
    for layer in LAYERS:
        time += (layer.kernel[0] - 1) * time_step
        space += (layer.kernel[1] - 1) * space_step
        time_step, space_step = time_step * layer.stride[0], space_step * layer.stride[1]
        extents[layer.name] = (time, space, space)
    return extents


def receptive() -> Figure:
    """Both extents of every layer next to the labels of Figure 3."""
    extents = fields()
    row, top = 19, 12
    bottom = top + row * len(LAYERS)
    drawing = Drawing(WIDTH, bottom + 34)
    time, space = Axis(0, 110, 62, 232), Axis(0, 580, 282, 452)
    axis_below(drawing, time, "frames", top=top, bottom=bottom)
    axis_below(drawing, space, "pixels, each side", top=top, bottom=bottom, count=4)
    drawing.text(WIDTH, 8, "as printed in Figure 3", style="mute small", anchor="end")
    for k, layer in enumerate(LAYERS):
        _row(drawing, top + row * k, layer, extents[layer.name], time, space)
    pools = {name: extent for name, extent in extents.items() if name.startswith("pool")}
    alt = ", ".join(f"{name} {frames}x{px}x{px}" for name, (frames, px, _) in pools.items())
    caption = (
        "Frames and pixels of the input that one number behind each layer depends on: arithmetic on kernels and strides, the same at "
        "every width. The figure's last two labels fit four inception modules between the last two max-pools; the released network, "
        "and this one, has five."
    )
    panel = drawing.panel("i3d", "Receptive fields of I3D, time x height x width", alt)
    return Figure("receptive", "Receptive fields of I3D, as in Figure 3", caption, (panel,))


def _row(drawing: Drawing, y: float, layer: Layer, extent: tuple[int, int, int], time: Axis, space: Axis) -> None:
    drawing.text(0, y + 12, layer.name if layer.name != "pool" else "avg-pool")
    for axis, value, style in ((time, extent[0], "f2"), (space, extent[1], "f6")):
        drawing.rect(axis(0), y + 2, axis(value) - axis(0), 12, style=style, opacity=0.75)
        drawing.text(axis(value) + 5, y + 12, str(value), style="small")
    if layer.printed:
        differs = layer.printed != extent
        words = " × ".join(map(str, layer.printed)) + (" (four modules)" if differs else "")
        drawing.text(WIDTH, y + 12, words, style="small bold" if differs else "small mute", anchor="end")
