"""`harness ls`, `harness data list`: what there is, and the whole card of one thing."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core import registry
from harness.core.contract import Baseline, Dataset, Weights
from harness.core.workspace import Workspace
from harness.metrics.summary import PRIMARY, named, text
from harness.records.caveats import caveat_of
from harness.records.record import RunStore

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
        for card in registry.all("baseline").values()
    )


def datasets(workspace: Workspace) -> str:
    return _table(
        {
            "data set": card.name,
            "classes": card.num_classes or "",
            "splits": len(card.splits),
            "videos (train/scored)": _sizes(card),
            "transfers from": card.source or "",
            "here": _presence(card, workspace.data),
        }
        for card in registry.all("dataset").values()
    )


def _sizes(card: Dataset) -> str:
    if card.at and not card.counts:
        return f"name it: {card.name}:/path"
    train, scored = (card.counts.get((card.splits[0], subset), "?") for subset in ("train", card.subsets[0]))
    return f"{train} / {scored}"


def _presence(card: Dataset, data: Path) -> str:
    """Whether the data set can be used as it lies there; '' for what is named by a path of its own."""
    from harness.data import prepare

    if card.at and not card.counts:
        return ""
    if fingerprint := prepare.expected_fingerprint(card, data):
        return f"yes ({fingerprint})"
    if prepare.root_of(card, data).is_dir():
        return f"not indexed: harness data prepare {card.name}"
    return "rendered when needed" if card.micro else "no"


def protocols() -> str:
    return _table(
        {"protocol": card.name, "title": card.title, "starts from": card.weights_from, "trains": card.trained}
        for card in registry.all("protocol").values()
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
        for card in registry.all("scale").values()
    )


def jobs(workspace: Workspace) -> str:
    rows, names = [], set()
    for record in sorted(RunStore(workspace.runs), key=lambda record: record.finished_at):
        accuracy = text(PRIMARY, record.metrics[PRIMARY]) if record.metrics else ""
        names.add(str(record.spec.get("dataset", {}).get("name", "")))
        rows.append(
            {
                "job": record.job_id,
                "kind": record.kind,
                "what": record.title,
                named(PRIMARY).short: accuracy,
                "n": record.counts.get("n", ""),
                "took s": f"{record.cost['wall_s']:.0f}",
                "finished": record.finished_at[:16].replace("T", " "),
            }
        )
    said = dict.fromkeys(f"\n{caveat}." for caveat in map(caveat_of, sorted(names)) if caveat)
    return _table(rows) + "".join(said) if rows else f"No finished jobs in {workspace.runs}."


def card(value: Any) -> str:
    """Every field of a card with its value, and the choices made where the paper is silent."""
    lines = [value.title if hasattr(value, "title") else value.name, ""]
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if callable(content) or content in ((), {}, "", None) or field.name in ("choices", "name", "title"):
            continue
        lines += _field(field.name, _by_split(content) if field.name == "counts" else content)
    if isinstance(value, Baseline) and value.choices:
        lines += ["", "Where the paper is silent:"]
        lines += [text for question, answer in value.choices.items() for text in _field(question, answer, indent="  ")]
    return "\n".join(lines)


def _by_split(counts: Mapping[tuple[int, str], int]) -> dict[str, str]:
    """{(1, 'train'): 3570, (1, 'test'): 1530} -> {'split 1': '3,570 train, 1,530 test'}; what is trained on comes first."""
    parts: dict[str, list[str]] = {}
    for (split, subset), size in sorted(counts.items(), key=lambda count: (count[0][0], count[0][1] != "train")):
        parts.setdefault(f"split {split}", []).append(f"{size:,} {subset}")
    return {split: ", ".join(sizes) for split, sizes in parts.items()}


def _field(name: str, content: Any, *, indent: str = "") -> list[str]:
    """A line, or a heading with a line for each thing below it: what has names, sentences, lines and weights."""
    label, below = f"{indent}{name}:", indent + "  "
    if isinstance(content, Mapping):
        return [label, *(line for key, item in content.items() for line in _field(str(key), item, indent=below))]
    if isinstance(content, str) and "\n" in content:
        return [label, *(f"{below}{line}" for line in content.splitlines())]
    if isinstance(content, tuple) and any(isinstance(item, Weights) for item in content):
        return [label, *(f"{below}{item.name} ({item.stream})" for item in content)]
    if isinstance(content, tuple) and any(str(item).endswith(".") for item in content):
        return [label, *(line for item in content for line in _wrapped(str(item), below))]
    return _wrapped(f"{name}: {_words(content)}", indent)


def _wrapped(text: str, indent: str) -> list[str]:
    """Lines of a paragraph; addresses stay whole, so that they can be copied."""
    wrapper = textwrap.TextWrapper(
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapper.wrap(text)


def _words(value: Any) -> str:
    """A value as a person writes it; parts that are empty are left out."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(map(_words, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return ", ".join(f"{name} {_part(item)}" for name, item in value.items() if item not in ({}, (), ""))
    return str(value)


def _part(value: Any) -> str:
    """Within another value: {'rgb': 5} -> '(rgb 5)'."""
    if isinstance(value, Mapping):
        return f"({', '.join(f'{name} {_words(item)}' for name, item in value.items())})"
    return _words(value)


def _table(rows: Any) -> str:
    from tabulate import tabulate

    return tabulate(list(rows), headers="keys", tablefmt="simple", disable_numparse=True)
