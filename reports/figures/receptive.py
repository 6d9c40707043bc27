"""Receptive fields of the inflated Inception, as in Figure 3 of the paper; arithmetic on its layers, no network."""

from __future__ import annotations

from dataclasses import dataclass

from reports.figures.drawing import Axis, Drawing, Figure


@dataclass(frozen=True)
class Layer:
    """A layer as far as what it sees goes; an inception module counts as its widest branch."""

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
"""Two-Stream I3D, one stream (section 2.4): held against the built network in the tests."""

WIDTH = 730


def fields() -> dict[str, tuple[int, int, int]]:
    """Endpoint -> frames, height and width in px that one of its numbers sees."""
    found = {}
    time, space, time_step, space_step = 1, 1, 1, 1
    for layer in LAYERS:
        time += (layer.kernel[0] - 1) * time_step
        space += (layer.kernel[1] - 1) * space_step
        time_step, space_step = time_step * layer.stride[0], space_step * layer.stride[1]
        found[layer.name] = (time, space, space)
    return found


def receptive() -> Figure:
    """Both extents of every layer, and what Figure 3 prints."""
    seen = fields()
    row, top = 19, 40
    drawing = Drawing(WIDTH, top + row * len(LAYERS) + 28)
    time, space = Axis(0, 110, 70, 250), Axis(0, 580, 312, 516)
    for axis, words in ((time, "frames"), (space, "pixels, each side")):
        for tick in axis.ticks(4):
            drawing.line(axis(tick), top - 6, axis(tick), top + row * len(LAYERS))
            drawing.text(axis(tick), top - 11, f"{tick:g}", style="mute small", anchor="middle")
        drawing.text(axis(axis.low), top - 27, words, style="mute small")
    drawing.text(WIDTH, top - 27, "Figure 3 prints", style="mute small", anchor="end")
    for k, layer in enumerate(LAYERS):
        _row(drawing, top + row * k, layer, seen[layer.name], time, space)
    said = ", ".join(f"{name} {frames}x{px}x{px}" for name, (frames, px, _) in seen.items() if name.startswith("pool"))
    caption = (
        "Frames and pixels of the input that one number behind each layer sees: arithmetic on kernels and strides, the same at every "
        "width. The figure's last two labels are what four inception modules between the last two max-pools would give; the released "
        "network, and this one, has five."
    )
    panel = drawing.panel("i3d", "Receptive fields of I3D, time x height x width", said)
    return Figure("receptive", "Receptive fields of I3D, as in Figure 3", caption, (panel,))


def _row(drawing: Drawing, y: float, layer: Layer, seen: tuple[int, int, int], time: Axis, space: Axis) -> None:
    frames, px, _ = seen
    drawing.text(0, y + 12, layer.name if layer.name != "pool" else "avg-pool")
    for axis, value, style in ((time, frames, "f2"), (space, px, "f6")):
        drawing.rect(axis(0), y + 2, axis(value) - axis(0), 12, style=style, opacity=0.75)
        drawing.text(axis(value) + 5, y + 12, str(value), style="small")
    if layer.printed:
        differs = layer.printed != seen
        words = " × ".join(map(str, layer.printed)) + (" (four modules)" if differs else "")
        drawing.text(WIDTH, y + 12, words, style="small bold" if differs else "small mute", anchor="end")
