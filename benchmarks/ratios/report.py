"""Results of `python -m benchmarks` as JSON, a table and a figure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.ratios.suites import SUITES
from benchmarks.ratios.values import Ceiling, Paired
from harness.core import environment
from harness.core.errors import HarnessError
from reports.figures.drawing import Axis, Drawing, standalone

SCHEMA = 1
ORDER = tuple(SUITES)


def gpu_name() -> str:
    """Name of the current CUDA device."""
    import torch

    return str(torch.cuda.get_device_name())


def machine_name(device: str) -> str:
    """A file name for this machine: its processor or accelerator, and how many cores."""
    processor = environment.cpu_model() if device == "cpu" else gpu_name()
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
    gpu = gpu_name() if device != "cpu" else ""
    stored["machine"] = environment.describe(device, environment.cpu_threads()) | {"accelerator": gpu}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stored, indent=1) + "\n")
    path.with_suffix(".md").write_text(table(stored))
    path.with_suffix(".svg").write_text(figure(stored))
    return stored


HEAD = (
    "what", "reference", "speed-up", "95% interval", "target", "our time (s)", "GFLOP/s", "of ceiling", "memory (GiB)", "notes",
)  # fmt: skip


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
    bottom = ROW_PX * (len(rows) + 1)
    drawing = Drawing(TEXT_PX + BAR_PX + 60, bottom + ROW_PX)
    axis = Axis(0, MOST, TEXT_PX, TEXT_PX + BAR_PX)
    drawing.line(axis(1), ROW_PX - 6, axis(1), bottom + 6, style="axis")
    for number, row in enumerate(rows, start=1):
        y = ROW_PX * number
        low, high, ratio = (min(row[key], MOST) for key in ("low", "high", "ratio"))
        drawing.text(TEXT_PX - 8, y + 13, row["name"], anchor="end")
        drawing.rect(axis(0), y + 2, axis(ratio) - axis(0), 14, style="f2", opacity=0.7)
        drawing.line(axis(low), y + 9, axis(high), y + 9, style="axis")
        drawing.text(axis(max(ratio, high)) + 5, y + 13, f"{row['ratio']:.2f}")
    drawing.text(axis(1), bottom + 18, "as fast as the reference", anchor="middle")
    title = f"Times as fast as the reference: {stored['machine']['cpu']}"
    return standalone(drawing.panel("ratios", title, ", ".join(f"{row['name']} {row['ratio']:.2f}" for row in rows)))


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
