"""The report as files below one folder; files of an earlier report that this one lacks are removed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.workspace import writable
from reports import claims_text, tables
from reports.figures import drawing
from reports.page.content import Content
from reports.page.render import page

MANIFEST = "manifest.json"
SUFFIXES = {"markdown": "md", "latex": "tex", "csv": "csv", "json": "json"}
FORMATS = ("html", *SUFFIXES, "svg")


def write(content: Content, out: Path, *, formats: tuple[str, ...] = FORMATS) -> list[str]:
    """Write the report and return the paths of its files below `out`, sorted.

    The manifest holds every file's sha256: enough to compare two reports or to remove one.
    """
    writable(out, content="the report", flag="--out")
    files = rendered(content, formats)
    stale = _earlier(out) - set(files)
    for name, data in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for name in stale:
        (out / name).unlink(missing_ok=True)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    head = {"harness": content.version, "scale": content.scale, "jobs": content.run_store}
    (out / MANIFEST).write_text(json.dumps(head | {"files": hashes}, indent=1) + "\n")
    return [*hashes, MANIFEST]


def rendered(content: Content, formats: tuple[str, ...]) -> dict[str, bytes]:
    """Path below the report's folder -> content."""
    files = page(content) if "html" in formats else {}
    for table in content.tables:
        for kind, suffix in SUFFIXES.items():
            if kind in formats:
                files[f"tables/table-{table.key}.{suffix}"] = tables.render(table, kind)
    for kind in ("markdown", "csv", "json"):
        if kind in formats:
            files[f"tables/claims.{SUFFIXES[kind]}"] = claims_text.render(content.claims, kind)
    if "markdown" in formats:
        files["README.md"] = readme(content)
    if "svg" in formats:
        for figure in content.figures:
            for panel in figure.panels:
                files[f"figures/{figure.name}-{panel.name}.svg"] = drawing.standalone(panel)
    return {name: text.encode() for name, text in files.items()}


def _earlier(out: Path) -> set[str]:
    """Files of the earlier report, by its manifest. Raises HarnessError where the manifest is not one of a report."""
    path = out / MANIFEST
    if not path.is_file():
        return set()
    try:
        names = set(json.loads(path.read_text())["files"])
        inside = all((out / name).resolve().is_relative_to(out.resolve()) for name in names)
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} is not the manifest of a report ({error}); remove it, or choose another --out"
        raise HarnessError(message) from error
    if not inside:
        raise HarnessError(f"{path} lists files of an earlier report outside {out}; remove it, or change --out")
    return names


def readme(content: Content) -> str:
    """The folder's README: claims, tables and figures, as a code host shows them."""
    warning = (
        f"Numbers of the {content.scale} scale are not comparable with the paper's, which are printed next to them."
    )
    lines = [
        f"# Quo Vadis, {content.scale} scale",
        "",
        f"`harness report --scale {content.scale}` wrote this folder from {len(content.jobs)} finished "
        f"jobs (`{content.run_store}`). [index.html](index.html) is the whole report: download it and open it.",
        "",
        *([] if content.scale == "paper" else [warning, ""]),
        *[f"- {label}: {value}" for label, value in content.facts.items()],
        "",
        "## The paper's claims, tested",
        "",
        claims_text.render(content.claims, "markdown"),
        "## Tables",
        "",
    ]
    lines += [tables.render(table, "markdown") for table in content.tables]
    for figure in content.figures:
        lines += [f"## {figure.title}", ""]
        lines += [f"![{panel.title}](figures/{figure.name}-{panel.name}.svg)" for panel in figure.panels]
        lines += ["", figure.caption, ""]
    return "\n".join(lines)


def summary(content: Content, out: Path, files: Mapping[str, int] | list[str]) -> str:
    """The files and the main numbers, for the terminal."""
    facts = ", ".join(f"{label} {value}" for label, value in content.facts.items())
    return f"{out / 'index.html'}\n{len(files)} files; {facts}"
