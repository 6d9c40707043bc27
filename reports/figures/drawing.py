"""Small SVG drawings that follow the page's light and dark colours, and stand alone as .svg and .png files.

Hand-made rather than matplotlib's: a figure is 2-20 kB, its text is text, and its colours are classes that a style
sheet turns.
"""

from __future__ import annotations

import base64
import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

LIGHT = {
    "paper": "#ffffff",
    "ink": "#1c1f23",
    "mute": "#5d666f",
    "grid": "#dfe3e7",
    "accent": "#23527c",
    "c0": "#8f7410",
    "c1": "#2a7d4f",
    "c2": "#2b7cb3",
    "c3": "#8a4f9e",
    "c4": "#c0392b",
    "c5": "#3d4f5c",
    "c6": "#b35c1e",
    "c7": "#5b6abf",
}
DARK = {
    "paper": "#14171a",
    "ink": "#e4e7ea",
    "mute": "#9aa4ad",
    "grid": "#30363c",
    "accent": "#8ab8e0",
    "c0": "#d8bc4f",
    "c1": "#62c08a",
    "c2": "#6db5e6",
    "c3": "#c690d8",
    "c4": "#f0837a",
    "c5": "#aab8c2",
    "c6": "#e79a60",
    "c7": "#a0abf0",
}
COLOURS = 8
"""How many series have a colour of their own; more begin again, with another marker."""
MARKERS = ("circle", "square", "up", "diamond", "disc", "down")

STYLE = (
    ".fig text{font-family:var(--sans);font-size:11px;fill:var(--ink)}"
    ".fig .mute{fill:var(--mute)}.fig .small{font-size:9.5px}.fig .bold{font-weight:600}.fig .on{fill:var(--paper)}"
    ".fig .grid{stroke:var(--grid);stroke-width:1;fill:none}.fig .axis{stroke:var(--mute);stroke-width:1;fill:none}"
    ".fig .heat{fill:var(--accent)}.fig .ground{fill:var(--paper)}.fig .block{fill:var(--grid)}"
    ".fig .ring{fill:var(--paper)}.fig .ink{fill:var(--ink)}"
    + "".join(f".fig .f{k}{{fill:var(--c{k})}}.fig .s{k}{{stroke:var(--c{k})}}" for k in range(COLOURS))
)
SANS = '"Helvetica Neue",Helvetica,Arial,"DejaVu Sans",sans-serif'
LETTER_PX = 6.3
"""Mean width of a letter at 11 px in the widest of those fonts."""


@dataclass(frozen=True)
class Panel:
    """One drawing."""

    name: str
    """File stem, unique within its figure."""
    title: str
    svg: str
    """An <svg> element for a page that has `STYLE` and the colours as variables."""
    alt: str
    """What a reader who cannot see it should know."""
    width: int
    """In px, as it was drawn; a page may scale it."""


@dataclass(frozen=True)
class Figure:
    """Drawings that belong together, with what a reader must know to read them."""

    name: str
    title: str
    caption: str
    """What is measured, on how many videos, and what the intervals are."""
    panels: tuple[Panel, ...]


def number(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0") if abs(value) >= 0.05 else "0"


class Drawing:
    """Collects elements; `panel` closes it."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.parts: list[str] = []

    def add(self, element: str) -> None:
        self.parts.append(element)

    def text(self, x: float, y: float, words: str, *, style: str = "", anchor: str = "start", turn: float = 0) -> None:
        """`y` is the base line."""
        where = f'x="{number(x)}" y="{number(y)}"'
        where += f' class="{style}"' if style else ""
        where += f' text-anchor="{anchor}"' if anchor != "start" else ""
        where += f' transform="rotate({turn:g} {number(x)} {number(y)})"' if turn else ""
        self.add(f"<text {where}>{escape(words)}</text>")

    def line(self, x1: float, y1: float, x2: float, y2: float, *, style: str = "grid", width: float = 0) -> None:
        thick = f' stroke-width="{width:g}"' if width else ""
        self.add(
            f'<line class="{style}" x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"{thick}/>'
        )

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        style: str,
        opacity: float = 1,
        hint: str = "",
        rest: str = "",
    ) -> None:
        """`hint` shows when a pointer rests on it."""
        seen = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
        shape = f'<rect class="{style}" x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"{seen}{rest}'
        self.add(f"{shape}><title>{escape(hint)}</title></rect>" if hint else f"{shape}/>")

    def curve(self, points: Sequence[tuple[float, float]], *, style: str, width: float = 1.5, dash: str = "") -> None:
        path = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.add(
            f'<path class="{style}" fill="none" stroke-width="{width:g}" stroke-linejoin="round"{dashed} d="{path}"/>'
        )

    def marker(self, x: float, y: float, kind: int, *, hollow: bool = False, size: float = 4.2, hint: str = "") -> None:
        """Of series number `kind`: its colour and its shape."""
        colour = kind % COLOURS
        style = f"ring s{colour}" if hollow else f"f{colour} s{colour}"
        shape = MARKERS[kind % len(MARKERS)]
        corners = {
            "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            "up": [(0, -1.15), (1.1, 0.85), (-1.1, 0.85)],
            "down": [(0, 1.15), (1.1, -0.85), (-1.1, -0.85)],
            "diamond": [(0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)],
        }.get(shape)
        told = f"<title>{escape(hint)}</title>" if hint else ""
        if corners is None:
            self.add(
                f'<circle class="{style}" stroke-width="1.5" cx="{number(x)}" cy="{number(y)}" r="{number(size)}">{told}</circle>'
            )
            return
        path = " ".join(f"{number(x + dx * size)},{number(y + dy * size)}" for dx, dy in corners)
        self.add(f'<polygon class="{style}" stroke-width="1.5" points="{path}">{told}</polygon>')

    def picture(self, x: float, y: float, width: float, height: float, data: bytes, *, kind: str = "jpeg") -> None:
        """An encoded picture."""
        coded = base64.b64encode(data).decode("ascii")
        self.add(
            f'<image x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}" '
            f'style="image-rendering:pixelated" preserveAspectRatio="none" href="data:image/{kind};base64,{coded}"/>'
        )

    def panel(self, name: str, title: str, alt: str) -> Panel:
        width, height = math.ceil(self.width), math.ceil(self.height)
        start = f'<svg class="fig" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        start += f'aria-label="{escape(f"{title}. {alt}")}">'
        return Panel(name, title, start + "".join(self.parts) + "</svg>", alt, width)


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
            fine = [m * 10.0**d for d in decades for m in (1, 2, 5)]
            inside = [v for v in fine if self.low <= v <= self.high]
            return inside if len(inside) <= count + 2 else [v for v in inside if f"{v:e}".startswith("1")]
        step = (self.high - self.low) / max(1, count)
        size = 10.0 ** math.floor(math.log10(step))
        step = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= step * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def width_of(words: str, *, size_px: float = 11) -> float:
    """About how wide the words are drawn."""
    return len(words) * LETTER_PX * size_px / 11


# ---------------------------------------------------------------------------------------------- files


def standalone(panel: Panel) -> str:
    """The drawing as a file of its own, in the light colours, on white."""
    style = _resolved(STYLE, LIGHT).replace("var(--sans)", SANS)
    size = re.search(r'viewBox="0 0 (\d+) (\d+)"', panel.svg)
    assert size is not None
    ground = f'<rect width="{size[1]}" height="{size[2]}" fill="{LIGHT["paper"]}"/>'
    head = panel.svg[: panel.svg.index(">") + 1].replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    body = panel.svg[panel.svg.index(">") + 1 :]
    return f"{head}<title>{escape(panel.title)}</title><style>{style}</style>{ground}{body}\n"


def png(panel: Panel, *, zoom: int = 2) -> bytes:
    """The drawing in pixels, with a font that comes along, so that every machine draws the same."""
    import resvg_py

    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=standalone(panel),
            zoom=zoom,
            skip_system_fonts=True,
            font_files=_fonts(),
            sans_serif_family="DejaVu Sans",
        )
    )


def _resolved(text: str, colours: dict[str, str]) -> str:
    return re.sub(r"var\(--([a-z]+\d*)\)", lambda found: colours.get(found[1], found[0]), text)


def variables(colours: dict[str, str]) -> str:
    """The colours as declarations of a style sheet."""
    return "".join(f"--{name}:{value};" for name, value in colours.items())


@functools.lru_cache(maxsize=1)
def _fonts() -> list[str]:
    """DejaVu Sans, as matplotlib brings it."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return [str(folder / name) for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")]
