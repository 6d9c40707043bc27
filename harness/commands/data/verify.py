"""What `harness data verify` found, for people and for programs."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from harness.core.spec import plain
from harness.data.verify import KINDS, Finding, Verification

SHOWN = 12
"""Findings of a kind that are printed; all are in the JSON."""


def as_json(found: Verification, allowed: tuple[str, ...] = ()) -> str:
    """{'dataset', 'root', 'fingerprint', 'parts': [...], 'findings': [...], 'ok'}."""
    return json.dumps({**plain(found), "ok": not found.failing(allowed)}, indent=1)


def as_text(found: Verification, allowed: tuple[str, ...] = ()) -> str:
    """A table of numbers, the findings by kind, and the verdict."""
    blocks = [f"{found.dataset} in {_shown(found.root)}"]
    if found.parts:
        blocks.append(_numbers(found))
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in found.findings:
        by_kind[finding.kind].append(finding)
    blocks += [_block(kind, by_kind[kind], allowed=kind in allowed) for kind in KINDS if kind in by_kind]
    return "\n\n".join([*blocks, _verdict(found, allowed)])


def _numbers(found: Verification) -> str:
    from tabulate import tabulate

    rows: list[dict[str, Any]] = [
        {
            "split": part.split,
            "subset": part.subset,
            "card": "" if part.expected is None else f"{part.expected:,}",
            "listed": f"{part.listed:,}",
            "on disk": f"{part.there:,}" if part.there == part.listed else f"{part.there:,} of {part.listed:,}",
            "readable": f"{part.readable:,}" if part.readable == part.there else f"{part.readable:,} of {part.there:,}",
        }
        for part in found.parts
    ]
    return str(tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True))


def _block(kind: str, findings: list[Finding], *, allowed: bool) -> str:
    lines = [f"{kind}: {len(findings):,}{' (allowed)' if allowed else ''} - {KINDS[kind]}"]
    lines += [f"  {_shown(_sentence(finding))}" for finding in findings[:SHOWN]]
    if len(findings) > SHOWN:
        lines.append(f"  and {len(findings) - SHOWN:,} more; --json names all")
    return "\n".join(lines)


def _sentence(finding: Finding) -> str:
    return ": ".join(text for text in (finding.what, finding.detail) if text)


def _verdict(found: Verification, allowed: tuple[str, ...]) -> str:
    if wrong := found.failing(allowed):
        return f"{len(wrong):,} finding{'s' if len(wrong) > 1 else ''} to mend."
    rest = f" but for {len(found.findings):,} allowed findings" if found.findings else ""
    return f"As its lists and its card say{rest}. Fingerprint {found.fingerprint}."


def _shown(text: str) -> str:
    """File names that are not UTF-8 as escapes, so that they can be printed."""
    return text.encode("utf-8", "backslashreplace").decode()
