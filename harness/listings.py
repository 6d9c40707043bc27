"""`harness ls`, `harness data list`: what there is, and the whole card of one thing."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import Any

from harness import discover
from harness.caveats import caveat_of
from harness.contract import Baseline, Dataset
from harness.places import Places
from harness.record import Ledger

WIDTH = 108


def baselines() -> str:
    return _table(
        {
            "baseline": card.name,
            "title": card.title,
            "modalities": ", ".join(card.modalities),
            "rgb+flow by": card.combine if len(card.modalities) > 1 else "",
            "init": ", ".join(card.inits),
            "paper": card.paper,
        }
        for card in discover.all("baseline").values()
    )


def datasets(where: Places) -> str:
    from harness.video import prepare

    return _table(
        {
            "data set": card.name,
            "classes": card.num_classes or "",
            "splits": len(card.splits),
            "videos (train/scored)": _sizes(card),
            "transfers from": card.source or "",
            "here": _presence(card, prepare.expected_fingerprint(card, where.data)),
        }
        for card in discover.all("dataset").values()
    )


def _sizes(card: Dataset) -> str:
    if card.at and not card.counts:
        return f"name it: {card.name}:/path"
    train, scored = (card.counts.get((card.splits[0], subset), "?") for subset in ("train", card.subsets[0]))
    return f"{train} / {scored}"


def _presence(card: Dataset, fingerprint: str | None) -> str:
    if fingerprint:
        return f"yes ({fingerprint})"
    return "rendered when needed" if card.micro else "no"


def protocols() -> str:
    return _table(
        {"protocol": card.name, "title": card.title, "starts from": card.weights_from, "moves": card.moves}
        for card in discover.all("protocol").values()
    )


def scales() -> str:
    return _table(
        {
            "scale": card.name,
            "width": card.width,
            "fps": card.fps,
            "short side px": card.short_side_px,
            "batch-norm momentum": card.bn_momentum,
            "stages (steps x batch)": ", ".join(f"{k} {s.steps}x{s.batch}" for k, s in card.stages.items()),
        }
        for card in discover.all("scale").values()
    )


def jobs(where: Places) -> str:
    rows, names = [], set()
    for record in sorted(Ledger(where.runs), key=lambda record: record.finished_at):
        top1 = f"{record.metrics['top1_pct']:.1f}" if record.metrics else ""
        names.add(str(record.spec.get("dataset", {}).get("name", "")))
        rows.append(
            {
                "job": record.job_id,
                "kind": record.kind,
                "what": record.title,
                "top-1 %": top1,
                "n": record.metrics.get("n", ""),
                "took s": f"{record.cost['wall_s']:.0f}",
                "finished": record.finished_at[:16].replace("T", " "),
            }
        )
    said = dict.fromkeys(f"\n{caveat}." for caveat in map(caveat_of, sorted(names)) if caveat)
    return _table(rows) + "".join(said) if rows else f"No finished jobs in {where.runs}."


def card(value: Any) -> str:
    """Every field of a card with its value, and the choices made where the paper is silent."""
    lines = [value.title if hasattr(value, "title") else value.name, ""]
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if callable(content) or content in ((), {}, "", None) or field.name in ("choices", "name", "title"):
            continue
        lines += _field(field.name, content)
    if isinstance(value, Baseline) and value.choices:
        lines += ["", "Where the paper is silent:"]
        lines += [text for question, answer in value.choices.items() for text in _field(question, answer, indent="  ")]
    return "\n".join(lines)


def _field(name: str, content: Any, *, indent: str = "") -> list[str]:
    label = f"{indent}{name}: "
    if isinstance(content, Mapping):
        lines = [label.rstrip()]
        for key, item in content.items():
            lines += _field(str(key), item, indent=indent + "  ")
        return lines
    if isinstance(content, tuple) and content and dataclasses.is_dataclass(content[0]):
        return [label.rstrip(), *(f"{indent}  {getattr(item, 'name', item)}" for item in content)]
    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        content = ", ".join(
            f"{f.name} {getattr(content, f.name)}"
            for f in dataclasses.fields(content)
            if getattr(content, f.name) not in ({}, ())
        )
    elif isinstance(content, tuple):
        content = ", ".join(map(str, content))
    return textwrap.wrap(f"{label}{content}", WIDTH, subsequent_indent=indent + "    ") or [label]


def _table(rows: Any) -> str:
    from tabulate import tabulate

    return tabulate(list(rows), headers="keys", tablefmt="simple", disable_numparse=True)
