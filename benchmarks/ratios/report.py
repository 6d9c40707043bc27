"""Results of `python -m benchmarks` as JSON, a table and a figure. Needs no library."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.ratios.values import Ceiling, Paired
from harness.core import environment
from harness.core.errors import HarnessError

SCHEMA = 1
ORDER = ("inference", "training", "defaults", "micro", "fixed", "loop", "data", "flow", "startup")
"""Of suites in the table; others follow."""


def machine_name(device: str) -> str:
    """A file name for this machine: its processor or accelerator, and how many cores."""
    words = f"{environment.accelerator() if device != 'cpu' else environment.describe()['cpu']} {environment.cpu_threads()} cores"
    return re.sub(r"[^a-z0-9.]+", "-", words.lower().replace("(r)", "").replace("@", "")).strip("-")


def merge(
    path: Path, ceilings: Mapping[str, Ceiling], found: Sequence[Paired], *, quick: bool, device: str
) -> dict[str, Any]:
    """Put what was found into the machine's file, in place of what it had under the same names, and return the whole."""
    stored: dict[str, Any] = {"schema": SCHEMA, "ceilings": {}, "results": []}
    if path.is_file():
        stored = json.loads(path.read_text())
        if stored.get("schema") != SCHEMA:
            raise HarnessError(
                f"{path} was written by another version of the benchmarks; move it away and measure again"
            )
    fresh = {(one.suite, one.name) for one in found}
    stored["results"] = [one for one in stored["results"] if (one["suite"], one["name"]) not in fresh] + [
        one.as_json() | {"quick": quick} for one in found
    ]
    stored["ceilings"] |= {name: {"rate": one.rate, "unit": one.unit} for name, one in ceilings.items()}
    stored["results"].sort(key=lambda one: ORDER.index(one["suite"]) if one["suite"] in ORDER else len(ORDER))
    stored["machine"] = environment.describe() | {"accelerator": environment.accelerator() if device != "cpu" else ""}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stored, indent=1) + "\n")
    path.with_suffix(".md").write_text(table(stored))
    path.with_suffix(".svg").write_text(figure(stored))
    return stored


HEAD = ("what", "against", "times as fast", "95%", "target", "ours s", "GFLOP/s", "of ceiling", "memory GiB", "")


def table(stored: Mapping[str, Any]) -> str:
    """Markdown: the ceilings, then one row a pair."""
    lines = [
        f"{stored['machine']['cpu']}, {stored['machine']['cpu_threads']} cores, torch {stored['machine']['torch']}",
        "",
    ]
    lines += ["| ceiling | rate |", "|---|---|"]
    lines += [f"| {name} | {one['rate']:.0f} {one['unit']} |" for name, one in stored["ceilings"].items()]
    lines += ["", "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += ["| " + " | ".join(_row(one, stored["ceilings"])) + " |" for one in stored["results"]]
    return "\n".join(lines) + "\n"


def _row(one: Mapping[str, Any], ceilings: Mapping[str, Any]) -> Iterable[str]:
    facts = one["facts"]
    ceiling = ceilings.get(facts.get("ceiling", ""))
    yield one["name"] + (" (quick)" if one["quick"] else "")
    yield one["reference"]
    yield f"**{one['ratio']:.2f}**"
    yield f"{one['low']:.2f} to {one['high']:.2f}"
    yield f"{one['target']:g}" if one["target"] else ""
    yield f"{one['median_s']:.3g}"
    yield f"{one['gflops']:.0f}" if "gflops" in one else ""
    yield f"{100 * one['gflops'] / ceiling['rate']:.0f}%" if ceiling else ""
    yield f"{facts['memory_bytes'] / 2**30:.2f}" if facts.get("memory_bytes") else ""
    yield facts.get("note", "")


BAR_PX, ROW_PX, TEXT_PX = 300, 22, 330


def figure(stored: Mapping[str, Any]) -> str:
    """SVG: a bar a pair, as long as its ratio, its interval on it, and a line where both are equally fast."""
    rows = stored["results"]
    # Start-up and cached features are of another order: their bars end at the frame, their numbers tell.
    most = 3.0
    scale = BAR_PX / most
    height = ROW_PX * (len(rows) + 2)
    one_x = TEXT_PX + scale
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{TEXT_PX + BAR_PX + 60}" height="{height}" '
        'font-family="sans-serif" font-size="12" role="img">',
        f"<title>Times as fast as the reference: {escape(str(stored['machine']['cpu']))}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    told = []
    for number, one in enumerate(rows):
        y = ROW_PX * (number + 1)
        low, high, ratio = (min(one[key], most) for key in ("low", "high", "ratio"))
        parts += [
            f'<text x="{TEXT_PX - 8}" y="{y + 13}" text-anchor="end">{escape(one["name"])}</text>',
            f'<rect x="{TEXT_PX}" y="{y + 2}" width="{scale * ratio:.1f}" height="14" fill="#4477aa"/>',
            f'<path d="M{TEXT_PX + scale * low:.1f} {y + 9}H{TEXT_PX + scale * high:.1f}" stroke="black"/>',
        ]
        # White around them, for those that stand on the line.
        told.append(
            f'<text x="{TEXT_PX + scale * max(ratio, high) + 5:.1f}" y="{y + 13}" stroke="white" stroke-width="4" '
            f'paint-order="stroke">{one["ratio"]:.2f}</text>'
        )
    parts.append(f'<path d="M{one_x:.1f} {ROW_PX - 6}V{height - ROW_PX + 6}" stroke="black" stroke-dasharray="3 3"/>')
    parts += told
    parts.append(f'<text x="{one_x:.1f}" y="{height - 6}" text-anchor="middle">as fast as the reference</text></svg>')
    return "\n".join(parts) + "\n"


def committed(path: Path) -> dict[str, float]:
    """Name -> ratio, as `--save-baseline` wrote them. Raises HarnessError, naming the file, for anything else."""
    try:
        stored = json.loads(path.read_text())
        return {str(name): float(ratio) for name, ratio in stored["ratios"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise HarnessError(
            f"{path} holds no committed ratios ({error}); write them with --save-baseline {path}"
        ) from error


def save_baseline(path: Path, found: Sequence[Paired], machine: Mapping[str, Any]) -> None:
    """What `committed` reads: ratios alone travel, and the machine that they were taken on is named."""
    ratios = {one.name: round(one.ratio, 3) for one in found}
    path.write_text(json.dumps({"machine": dict(machine), "ratios": ratios}, indent=1) + "\n")
