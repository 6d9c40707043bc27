"""`harness data verify`: Compare a data set on disk with its lists and its card.

Exits with 1 if there is a finding, unless --allow names its kind.
"""

from __future__ import annotations

import json
from collections import defaultdict

import click

from harness.commands import console
from harness.commands.options import workspace_options
from harness.core import registry
from harness.core.errors import BadLists, unknown
from harness.core.serialization import plain
from harness.core.workspace import Workspace, writable
from harness.data import verify
from harness.data.verify import KINDS, Finding, Verification

SHOWN = 12
"""Findings per kind that are printed; JSON has all."""


@click.command()
@click.argument("name")
@click.option("--thorough", is_flag=True, help="Read every file to its end and count its packets.")
@click.option(
    "--allow",
    multiple=True,
    metavar="KIND",
    help="Finding to tolerate: missing, extra, duplicated, ...; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@workspace_options
def command(name: str, workspace: Workspace, thorough: bool, allow: tuple[str, ...], as_json: bool) -> None:
    for kind in allow:
        if kind not in KINDS:
            raise unknown("kind of finding", kind, KINDS)
    try:
        dataset = registry.load("dataset", name)
    except BadLists as bad:  # the card of folder:/path is made of its lists
        verification = verify.of_bad_lists(name, name.partition(":")[2], bad)
    else:
        writable(workspace.data, content="the index of data sets", flag="--data")
        with console.screen(jobs=0, as_json=as_json) as callback:
            callback.stage(f"verify {dataset.name}", 0, "files")
            verification = verify.verify(dataset, workspace.data, thorough=thorough, progress=callback.progress)
    click.echo(to_json(verification, allow) if as_json else as_text(verification, allow))
    raise click.exceptions.Exit(1 if verification.failing(allow) else 0)


def to_json(verification: Verification, allowed: tuple[str, ...] = ()) -> str:
    """{'dataset', 'root', 'fingerprint', 'parts': [...], 'findings': [...], 'ok'}."""
    return json.dumps({**plain(verification), "ok": not verification.failing(allowed)}, indent=1)


def as_text(verification: Verification, allowed: tuple[str, ...] = ()) -> str:
    """A table of counts, the findings by kind, and the verdict."""
    blocks = [f"{verification.dataset} in {_printable(verification.root)}"]
    if verification.parts:
        blocks.append(_counts(verification))
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in verification.findings:
        by_kind[finding.kind].append(finding)
    blocks += [_block(kind, by_kind[kind], allowed=kind in allowed) for kind in KINDS if kind in by_kind]
    return "\n\n".join([*blocks, _verdict(verification, allowed)])


def _counts(verification: Verification) -> str:
    rows = [
        {
            "split": part.split,
            "subset": part.subset,
            "card": "" if part.expected is None else f"{part.expected:,}",
            "listed": f"{part.listed:,}",
            "on disk": f"{part.there:,}" if part.there == part.listed else f"{part.there:,} of {part.listed:,}",
            "readable": f"{part.readable:,}" if part.readable == part.there else f"{part.readable:,} of {part.there:,}",
        }
        for part in verification.parts
    ]
    return console.table(rows)


def _block(kind: str, findings: list[Finding], *, allowed: bool) -> str:
    lines = [f"{kind}: {len(findings):,}{' (allowed)' if allowed else ''} - {KINDS[kind]}"]
    lines += [
        f"  {_printable(': '.join(filter(None, (finding.subject, finding.detail))))}" for finding in findings[:SHOWN]
    ]
    if len(findings) > SHOWN:
        lines.append(f"  and {len(findings) - SHOWN:,} more; --json lists all")
    return "\n".join(lines)


def _verdict(verification: Verification, allowed: tuple[str, ...]) -> str:
    if failing := verification.failing(allowed):
        return f"{len(failing):,} finding{'s' if len(failing) > 1 else ''} to fix."
    except_ = f", except for {len(verification.findings):,} allowed findings" if verification.findings else ""
    return f"The data set matches its lists and its card{except_}. Fingerprint {verification.fingerprint}."


def _printable(text: str) -> str:
    """File names that are not UTF-8, with escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
