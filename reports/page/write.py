"""The report as files below one folder; what an earlier report left there and this one has not is removed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from harness.analysis import claims
from harness.core.errors import HarnessError
from harness.core.workspace import writable
from reports import tables
from reports.figures import drawing
from reports.page.content import Content
from reports.page.render import page
from reports.tables.words import p_text

MANIFEST = "manifest.json"
SUFFIXES = {"markdown": "md", "latex": "tex", "csv": "csv", "json": "json"}
FORMATS = ("html", *SUFFIXES, "svg", "png")


def write(content: Content, out: Path, *, formats: tuple[str, ...] = FORMATS) -> list[str]:
    """Write the report and return the paths of its files below `out`, sorted.

    The manifest holds every file's sha256, so that two reports can be compared, and one be removed, without looking
    further.
    """
    writable(out, what="the report", flag="--out")
    files = rendered(content, formats)
    stale = _earlier(out) - set(files)
    for name, data in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for name in stale:
        (out / name).unlink(missing_ok=True)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    head = {"harness": content.version, "scale": content.scale, "ledger": content.run_store}
    (out / MANIFEST).write_text(json.dumps(head | {"files": hashes}, indent=1) + "\n")
    return [*hashes, MANIFEST]


def rendered(content: Content, formats: tuple[str, ...]) -> dict[str, bytes]:
    """Path below the report's folder -> content."""
    files = page(content) if "html" in formats else {}
    for table in content.tables:
        for how, suffix in SUFFIXES.items():
            if how in formats:
                files[f"tables/table-{table.number}.{suffix}"] = tables.render(table, how)
    files |= _claims(content.claims, formats)
    if "markdown" in formats:
        files["README.md"] = readme(content)
    found = {name: text.encode() for name, text in files.items()}
    for figure in content.figures:
        for panel in figure.panels:
            if "svg" in formats:
                found[f"figures/{figure.name}-{panel.name}.svg"] = drawing.standalone(panel).encode()
            if "png" in formats:
                found[f"figures/{figure.name}-{panel.name}.png"] = drawing.png(panel)
    return found


def _earlier(out: Path) -> set[str]:
    """Files of the report that was there before, by its manifest; a manifest that is not ours is an error."""
    path = out / MANIFEST
    if not path.is_file():
        return set()
    try:
        names = set(json.loads(path.read_text())["files"])
        inside = all((out / name).resolve().is_relative_to(out.resolve()) for name in names)
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessError(
            f"{path} is not the manifest of a report ({error}); remove it, or name another --out"
        ) from error
    if not inside:
        raise HarnessError(f"{path} names files outside {out}; remove it, or name another --out")
    return names


# ---------------------------------------------------------------------------------------------- findings


def _claims(found: tuple[claims.Claim, ...], formats: tuple[str, ...]) -> dict[str, str]:
    import pandas as pd

    rows = [{name: value for name, value in asdict(claim).items() if name != "cells"} for claim in found]
    files = {}
    if "markdown" in formats:
        files["tables/claims.md"] = claims_markdown(found)
    if "csv" in formats:
        files["tables/claims.csv"] = str(pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))
    if "json" in formats:
        files["tables/claims.json"] = json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return files


def claims_markdown(found: tuple[claims.Claim, ...]) -> str:
    """One line a finding."""
    from tabulate import tabulate

    rows = [
        [
            claim.statement,
            claim.verdict,
            "" if claim.effect_points is None else f"{claim.effect_points:+.1f}",
            "" if claim.low is None or claim.high is None else f"{claim.low:+.1f} to {claim.high:+.1f}",
            "" if claim.p_corrected is None else p_text(claim.p_corrected),
        ]
        for claim in found
    ]
    headers = ["finding", "verdict", "points", "95% interval", "p (Holm)"]
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True) + "\n"


# ---------------------------------------------------------------------------------------------- for a code host


def readme(content: Content) -> str:
    """What a code host shows of the folder: the findings, the tables, and the figures as pictures."""
    lines = [
        f"# Quo Vadis, {content.scale} scale",
        "",
        f"`harness report --scale {content.scale} --out reports/out` draws this folder from ledger `{content.run_store}` "
        f"({len(content.jobs)} jobs). [index.html](index.html) is the whole report: download it and open it.",
        "",
        *_warning(content),
        *[f"- {label}: {value}" for label, value in content.facts.items()],
        "",
        "## The paper's findings, tested",
        "",
        claims_markdown(content.claims),
        "## Tables",
        "",
    ]
    lines += [tables.render(table, "markdown") for table in content.tables]
    for figure in content.figures:
        lines += [f"## {figure.title}", ""]
        lines += [f"![{panel.title}](figures/{figure.name}-{panel.name}.png)" for panel in figure.panels]
        lines += ["", figure.caption, ""]
    return "\n".join(lines)


def _warning(content: Content) -> tuple[str, ...]:
    if content.scale == "paper":
        return ()
    return (f"Numbers of the {content.scale} scale say nothing about the paper's, which stand beside them.", "")


def summary(content: Content, out: Path, files: Mapping[str, int] | list[str]) -> str:
    """What was written, for the terminal."""
    told = ", ".join(f"{label} {value}" for label, value in content.facts.items())
    return f"{out / 'index.html'}\n{len(files)} files; {told}"
