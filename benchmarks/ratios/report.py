"""Results of `python -m benchmarks` as JSON, a table and a figure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.ratios.suites import SUITES
from benchmarks.ratios.values import Ceiling, Paired
from harness.core import environment
from harness.core.errors import HarnessError

SCHEMA = 1
ORDER = tuple(SUITES)


def machine_name(device: str) -> str:
    """A file name for this machine: its processor or accelerator, and how many cores."""
    processor = environment.cpu_model() if device == "cpu" else environment.gpu_name()
    words = f"{processor} {environment.cpu_threads()} cores"
    return re.sub(r"[^a-z0-9.]+", "-", words.lower().replace("(r)", "").replace("@", "")).strip("-")


def merge(
    path: Path, ceilings: Mapping[str, Ceiling], pairs: Sequence[Paired], *, quick: bool, device: str
) -> dict[str, Any]:
    """The machine's file after adding the results, which replace those of the same names; written, with .md and .svg."""
    stored: dict[str, Any] = {"schema": SCHEMA, "ceilings": {}, "results": []}
    if path.is_file():
        stored = json.loads(path.read_text())
        if stored.get("schema") != SCHEMA:
            raise HarnessError(
                f"{path} was written by another version of the benchmarks; move it away and measure again"
            )
    results = {(result["suite"], result["name"]): result for result in stored["results"]}
    for pair in pairs:
        results.pop((pair.suite, pair.name), None)
        results[pair.suite, pair.name] = pair.as_json() | {"quick": quick}
    stored["results"] = sorted(results.values(), key=lambda result: ORDER.index(result["suite"]))
    stored["ceilings"] |= {name: asdict(ceiling) for name, ceiling in ceilings.items()}
    gpu = environment.gpu_name() if device != "cpu" else ""
    stored["machine"] = environment.describe(device, environment.cpu_threads()) | {"accelerator": gpu}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stored, indent=1) + "\n")
    path.with_suffix(".md").write_text(table(stored))
    path.with_suffix(".svg").write_text(figure(stored))
    return stored


HEAD = ("what", "against", "times as fast", "95%", "target", "ours s", "GFLOP/s", "of ceiling", "memory GiB", "")


def table(stored: Mapping[str, Any]) -> str:
    """Markdown: the ceilings, then one row per pair."""
    lines = [
        f"{stored['machine']['cpu']}, {stored['machine']['cpu_threads']} cores, torch {stored['machine']['torch']}",
        "",
    ]
    lines += ["| ceiling | rate |", "|---|---|"]
    lines += [f"| {name} | {ceiling['rate']:.0f} {ceiling['unit']} |" for name, ceiling in stored["ceilings"].items()]
    lines += ["", "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += ["| " + " | ".join(_row(result, stored["ceilings"])) + " |" for result in stored["results"]]
    return "\n".join(lines) + "\n"


def _row(result: Mapping[str, Any], ceilings: Mapping[str, Any]) -> Iterable[str]:
    facts = result["facts"]
    ceiling = ceilings.get(facts.get("ceiling", ""))
    yield result["name"] + (" (quick)" if result["quick"] else "")
    yield result["reference"]
    yield f"**{result['ratio']:.2f}**"
    yield f"{result['low']:.2f} to {result['high']:.2f}"
    yield f"{result['target']:g}" if result["target"] else ""
    yield f"{result['median_s']:.3g}"
    yield f"{result['gflops']:.0f}" if "gflops" in result else ""
    yield f"{100 * result['gflops'] / ceiling['rate']:.0f}%" if ceiling else ""
    yield f"{facts['memory_bytes'] / 2**30:.2f}" if facts.get("memory_bytes") else ""
    yield facts.get("note", "")


BAR_PX, ROW_PX, TEXT_PX = 300, 22, 330
MOST = 3.0
"""Ratio of the longest bar; the numbers show what is beyond (start-up, cached features)."""


def figure(stored: Mapping[str, Any]) -> str:
    """SVG: a bar per pair, as long as its ratio, with its interval, and a line where both are equally fast."""
    rows = stored["results"]
    scale = BAR_PX / MOST
    height = ROW_PX * (len(rows) + 2)
    equal_x = TEXT_PX + scale
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{TEXT_PX + BAR_PX + 60}" height="{height}" '
        'font-family="sans-serif" font-size="12" role="img">',
        f"<title>Times as fast as the reference: {escape(str(stored['machine']['cpu']))}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    numbers = []
    for number, row in enumerate(rows):
        y = ROW_PX * (number + 1)
        low, high, ratio = (min(row[key], MOST) for key in ("low", "high", "ratio"))
        parts += [
            f'<text x="{TEXT_PX - 8}" y="{y + 13}" text-anchor="end">{escape(row["name"])}</text>',
            f'<rect x="{TEXT_PX}" y="{y + 2}" width="{scale * ratio:.1f}" height="14" fill="#4477aa"/>',
            f'<path d="M{TEXT_PX + scale * low:.1f} {y + 9}H{TEXT_PX + scale * high:.1f}" stroke="black"/>',
        ]
        # White outline, to be legible on the line.
        numbers.append(
            f'<text x="{TEXT_PX + scale * max(ratio, high) + 5:.1f}" y="{y + 13}" stroke="white" stroke-width="4" '
            f'paint-order="stroke">{row["ratio"]:.2f}</text>'
        )
    parts.append(f'<path d="M{equal_x:.1f} {ROW_PX - 6}V{height - ROW_PX + 6}" stroke="black" stroke-dasharray="3 3"/>')
    label = f'<text x="{equal_x:.1f}" y="{height - 6}" text-anchor="middle">as fast as the reference</text></svg>'
    return "\n".join([*parts, *numbers, label]) + "\n"


def committed(path: Path) -> dict[str, float]:
    """Name -> ratio, as `--save-baseline` wrote them. Raises HarnessError, naming the file, for anything else."""
    try:
        stored = json.loads(path.read_text())
        return {str(name): float(ratio) for name, ratio in stored["ratios"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise HarnessError(
            f"{path} holds no committed ratios ({error}); write them with --save-baseline {path}"
        ) from error


def save_baseline(path: Path, pairs: Sequence[Paired], machine: Mapping[str, Any]) -> None:
    """Write what `committed` reads: ratios, which hold on other machines too, and the machine they were measured on."""
    ratios = {pair.name: round(pair.ratio, 3) for pair in pairs}
    path.write_text(json.dumps({"machine": dict(machine), "ratios": ratios}, indent=1) + "\n")
