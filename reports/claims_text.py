"""The paper's claims and their verdicts as text: terminal, Markdown, CSV, JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from harness.analysis.claims import ALPHA, Claim
from reports.tables.labels import p_text
from reports.tables.render import DIGITS

WIDTH = 110
RULE = (
    "Tests are paired on the same videos, which are resampled by group. The effect, in points of top-1, is that of the claim's weakest "
    f"part; p is Holm-corrected over the claims that were tested. A claim is supported if p < {ALPHA:g} in every part."
)


def _terminal(claims: Sequence[Claim]) -> str:
    blocks = []
    for claim in claims:
        lines = [f"{claim.verdict.upper():14} {claim.statement} ({claim.paper})."]
        paper = "" if claim.paper_points is None else f"; by the paper's numbers {claim.paper_points:+.1f}"
        numbers = f"{'':14} effect {_effect(claim)}, p {_p(claim)}{paper}"
        lines += [numbers] if claim.effect_points is not None else []
        lines += textwrap.wrap(claim.detail + ".", WIDTH, initial_indent=" " * 15, subsequent_indent=" " * 15)
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, "\n".join(textwrap.wrap(RULE, WIDTH))]) + "\n"


def _markdown(claims: Sequence[Claim]) -> str:
    lines = ["| claim | verdict | effect, points [95%] | paper | p (Holm) | detail |", "|---|---|---|---|---|---|"]
    for claim in claims:
        paper = "" if claim.paper_points is None else f"{claim.paper_points:+.1f}"
        shown = [f"{claim.statement} ({claim.paper})", claim.verdict, _effect(claim), paper, _p(claim), claim.detail]
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in shown)} |")
    return "\n".join([*lines, "", RULE]) + "\n"


def _csv(claims: Sequence[Claim]) -> str:
    import pandas as pd

    rows = [{name: value for name, value in asdict(claim).items() if name != "cells"} for claim in claims]
    return str(pd.DataFrame(rows).to_csv(index=False, lineterminator="\n", float_format=DIGITS))


def _effect(claim: Claim) -> str:
    if claim.effect_points is None:
        return ""
    return f"{claim.effect_points:+.1f} [{claim.low:+.1f}, {claim.high:+.1f}]"


def _p(claim: Claim) -> str:
    return "" if claim.p_corrected is None else p_text(claim.p_corrected)


def _json(claims: Sequence[Claim]) -> str:
    plain = [asdict(claim) | {"cells": [[str(a), str(b)] for a, b in claim.cells]} for claim in claims]
    return json.dumps(plain, indent=1, allow_nan=False) + "\n"


FORMATS: Mapping[str, Callable[[Sequence[Claim]], str]] = {
    "terminal": _terminal,
    "markdown": _markdown,
    "csv": _csv,
    "json": _json,
}


def render(claims: Sequence[Claim], format: str) -> str:
    """Text in one of `FORMATS`, with a line break at its end."""
    return FORMATS[format](claims)
