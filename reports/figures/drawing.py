"""SVG drawings that follow the page's light and dark colours and also stand alone as .svg files.

Written directly rather than by matplotlib: docs/explanation/architecture.md, "Third-party libraries", has the measurements behind that.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from rich.cells import cell_len

JPEG_QUALITY = 78
COLOURS = 8
"""Number of series with a colour of their own; further series repeat the colours with other markers."""
NAMES = ("paper", "ink", "mute", "grid", "accent", *(f"c{k}" for k in range(COLOURS)))
LIGHT, DARK = (
    dict(zip(NAMES, values.split(), strict=True))
    for values in (
        "#ffffff #1c1f23 #5d666f #dfe3e7 #23527c #8f7410 #2a7d4f #2b7cb3 #8a4f9e #c0392b #3d4f5c #b35c1e #5b6abf",
        "#14171a #e4e7ea #9aa4ad #30363c #8ab8e0 #d8bc4f #62c08a #6db5e6 #c690d8 #f0837a #aab8c2 #e79a60 #a0abf0",
    )
)
MARKERS = (
    "M-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0 -8.4 0z",  # circle
    "M-3.8 -3.8h7.6v7.6h-7.6z",  # square
    "M0 -4.8L4.6 3.6H-4.6z",  # triangle
    "M0 -5L5 0L0 5L-5 0z",  # diamond
    "M0 4.8L4.6 -3.6H-4.6z",  # triangle upside down
)

STYLE = (
    ".fig text{font-family:var(--sans);font-size:11px;fill:var(--ink)}"
    ".fig .mute{fill:var(--mute)}.fig .small{font-size:9.5px}.fig .bold{font-weight:600}.fig .on{fill:var(--paper)}"
    ".fig .grid{stroke:var(--grid);fill:none}.fig .axis{stroke:var(--mute);fill:none}"
    ".fig .heat{fill:var(--accent)}.fig .block{fill:var(--grid)}.fig .hollow{fill:var(--paper)}.fig .ink{fill:var(--ink)}"
    + "".join(f".fig .f{k}{{fill:var(--c{k})}}.fig .s{k}{{stroke:var(--c{k})}}" for k in range(COLOURS))
)
SANS = '"Helvetica Neue",Helvetica,Arial,"DejaVu Sans",sans-serif'
LETTER_PX = 6.3
"""Mean width of a letter at 11 px in the widest of those fonts."""


Box = tuple[float, float, float, float]
"""(x, y, width, height) in px."""


@dataclass(frozen=True)
class Panel:
    """One drawing."""

    name: str
    """File stem, unique within its figure."""
    title: str
    svg: str
    """An <svg> element for a page that has `STYLE` and the colours as variables."""
    width: int
    """Width in px as drawn; a page may scale it."""


@dataclass(frozen=True)
class Figure:
    """Drawings that belong together, with the information needed to read them."""

    name: str
    title: str
    caption: str
    """What is measured, on how many videos, and what the intervals are."""
    panels: tuple[Panel, ...]


def number(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0") if abs(value) >= 0.05 else "0"


def width_of(words: str, *, size_px: float = 11) -> float:
    """Approximate width of the words in px; letters of wide scripts are two wide."""
    return cell_len(words) * LETTER_PX * size_px / 11


def escaped(words: str) -> str:
    """For XML; bytes of file names that are not UTF-8 become '?'."""
    return escape(words.encode("utf-8", "replace").decode())


class Drawing:
    """Collects elements; `panel` closes it."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.parts: list[str] = []

    def add(self, tag: str, *, hint: str = "", content: str = "", **attributes: float | str) -> None:
        """An element; attributes that are '' are left out, and '_' in their names stands for '-' ('class_': 'class').

        `hint` shows when a pointer rests on the element.
        """
        pairs = (
            (name.rstrip("_").replace("_", "-"), number(value) if isinstance(value, (int, float)) else value)
            for name, value in attributes.items()
        )
        head = "".join(f' {name}="{value}"' for name, value in pairs if value)
        content = content or (f"<title>{escaped(hint)}</title>" if hint else "")
        self.parts.append(f"<{tag}{head}>{content}</{tag}>" if content else f"<{tag}{head}/>")

    def text(self, x: float, y: float, words: str, *, style: str = "", anchor: str = "", turn: float = 0) -> None:
        """`y` is the base line."""
        turned = f"rotate({turn:g} {number(x)} {number(y)})" if turn else ""
        self.add("text", x=x, y=y, class_=style, text_anchor=anchor, transform=turned, content=escaped(words))

    def line(self, x1: float, y1: float, x2: float, y2: float, *, style: str = "grid", width: float | str = "") -> None:
        self.add("line", class_=style, x1=x1, y1=y1, x2=x2, y2=y2, stroke_width=width)

    def rect(
        self, x: float, y: float, width: float, height: float, *, style: str, opacity: float = 1, hint: str = ""
    ) -> None:
        shade = f"{opacity:.2f}" if opacity < 1 else ""
        self.add("rect", class_=style, x=x, y=y, width=width, height=height, fill_opacity=shade, hint=hint)

    def cell(self, box: Box, words: str, *, share: float, style: str = "heat", hint: str = "") -> None:
        """Words on a ground whose strength grows with `share`, 0 to 1."""
        x, y, width, height = box
        # At most half opaque: the ink keeps a contrast of 4.5 in light and dark colours.
        self.rect(x, y, width, height, style=style, opacity=0.08 + 0.42 * share, hint=hint)
        self.text(x + width / 2, y + height / 2 + 3.5, words, style="small", anchor="middle")

    def curve(self, points: Sequence[tuple[float, float]], *, style: str, width: float = 1.4, dash: str = "") -> None:
        path = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
        self.add(
            "path", class_=style, fill="none", stroke_width=width, stroke_linejoin="round", stroke_dasharray=dash, d=path
        )  # fmt: skip

    def marker(self, x: float, y: float, series: int, *, hollow: bool = False, hint: str = "") -> None:
        """In the colour and the shape of a series."""
        style = f"{'hollow' if hollow else f'f{series % COLOURS}'} s{series % COLOURS}"
        shape, place = MARKERS[series % len(MARKERS)], f"translate({number(x)} {number(y)})"
        self.add("path", class_=style, stroke_width=1.5, transform=place, d=shape, hint=hint)

    def picture(
        self, x: float, y: float, width: float, height: float, data: bytes, *, kind: str = "jpeg", hint: str = ""
    ) -> None:
        """An encoded picture, as large as fits into the box."""
        source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
        sharp = "image-rendering:pixelated"
        self.add("image", x=x, y=y, width=width, height=height, style=sharp, href=source, hint=hint)

    def panel(self, name: str, title: str, alt: str) -> Panel:
        width, height = math.ceil(self.width), math.ceil(self.height)
        head = f'<svg class="fig" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        head += f'aria-label="{escaped(f"{title}. {alt}")}">'
        return Panel(name, title, head + "".join(self.parts) + "</svg>", width)


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    """uint8 (H, W, 3 or 4), red first -> a '.png' or '.jpg' file."""
    import cv2

    order = [2, 1, 0, 3][: pixels.shape[2]]
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == ".jpg" else []
    return bytes(cv2.imencode(suffix, np.ascontiguousarray(pixels[..., order]), quality)[1])


@dataclass(frozen=True)
class Axis:
    """A straight or logarithmic scale from values to pixels."""

    low: float
    high: float
    start: float
    """Pixel of `low`."""
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(value)
        return self.start + (self.end - self.start) * (at - low) / ((high - low) or 1)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values within the axis."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            inside = [v for d in decades for m in (1, 2, 5) if self.low <= (v := m * 10.0**d) <= self.high]
            return inside if len(inside) <= count + 2 else [v for v in inside if f"{v:e}".startswith("1")]
        if self.high <= self.low:
            return [self.low]
        step = (self.high - self.low) / max(1, count)
        size = 10.0 ** math.floor(math.log10(step))
        step = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= step * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def standalone(panel: Panel) -> str:
    """The drawing as a file of its own, in the light colours on white."""
    colours = LIGHT | {"sans": SANS}
    style = re.sub(r"var\(--(\w+)\)", lambda match: colours[match[1]], STYLE)
    head, _, body = panel.svg.partition(">")
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    ground = f'<rect width="100%" height="100%" fill="{LIGHT["paper"]}"/>'
    return f"{head}><title>{escaped(panel.title)}</title><style>{style}</style>{ground}{body}\n"


def variables(colours: dict[str, str]) -> str:
    """The colours as declarations of a style sheet."""
    return "".join(f"--{name}:{value};" for name, value in colours.items())
