"""`harness ls`: List baselines, data sets, jobs, ..., or show one in full.

KIND is one of: baselines, datasets, protocols, scales, metrics, heads, decoders, flow-methods, launchers, jobs.
"""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from harness.commands import console
from harness.commands.ls import jobs
from harness.commands.options import several, workspace_options
from harness.core import registry
from harness.core.contract import Baseline, Dataset, Weights
from harness.core.errors import HarnessError, unknown
from harness.core.parameters import Range
from harness.core.plugins import LauncherOption
from harness.core.registry import dashed
from harness.core.serialization import plain
from harness.core.workspace import Workspace
from harness.planning.axes import numbers
from harness.records.record import RunStore

WIDTH = 108


@click.command()
@click.argument("kind", metavar="KIND", type=click.Choice([*(f"{kind}s" for kind in registry.KINDS), "jobs"]))
@click.argument("name", required=False)
@several("--baseline", "NAME", "List only the jobs of these baselines.", kind="baseline")
@several("--protocol", "NAME", "List only the jobs under these protocols.", kind="protocol")
@several("--dataset", "NAME", "List only the jobs on these data sets.", kind="dataset")
@several("--seed", "N", "List only the jobs with these seeds, such as 0-4 or 0-2,7.")
@several("--state", "|".join(jobs.STATES), "List only the jobs in these states.")
@click.option(
    "--sort",
    metavar="KEY",
    help=f"Sort jobs by {', '.join(jobs.SORT_KEYS)}; -KEY sorts from high to low.  [default: finished]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON. One job is always printed as JSON.")
@workspace_options
def command(kind: str, name: str | None, as_json: bool, workspace: Workspace, **filters: Any) -> None:
    kind = kind.removesuffix("s")
    given = [f"--{option}" for option, value in filters.items() if value]
    if given and (kind != "job" or name):
        raise HarnessError(
            f"{' and '.join(given)} chooses among jobs; use `harness ls jobs {given[0]} ...` without a name"
        )
    if kind == "job":
        _jobs(name, as_json, workspace, **filters)
        return
    family = registry.load(kind, name) if kind == "baseline" and name else None
    if family is not None and family.at and family.members:
        rows = [ROWS["baseline"](family.at(member), workspace) for member in family.members]
    elif name and as_json:
        raise HarnessError(f"--json prints lists; leave it out, or leave out {name}")
    elif name:
        click.echo(card(registry.load(kind, name)))
        return
    else:
        rows = table(kind, workspace)
    click.echo(json.dumps(rows, indent=1, ensure_ascii=False) if as_json else console.table(rows))


def _jobs(
    name: str | None,
    as_json: bool,
    workspace: Workspace,
    *,
    state: Sequence[str],
    sort: str | None,
    seed: tuple[str, ...],
    **axes: Sequence[str],
) -> None:
    """Print one job in full, or the list of jobs."""
    run_store = RunStore(workspace.runs)
    if name:
        click.echo(jobs.in_full(name, run_store))
        return
    for word in state:
        if word not in jobs.STATES:
            raise unknown("state", word, jobs.STATES)
    values: dict[str, Sequence[object]] = {axis: list(map(dashed, words)) for axis, words in axes.items()}
    filters = jobs.Filters(values | {"seed": numbers("seed", seed)}, state, sort or "finished")
    everything = jobs.listed_jobs(workspace, run_store)
    chosen = filters.chosen(everything)
    if as_json:
        click.echo(jobs.as_json(chosen))
    else:
        click.echo(jobs.as_text(chosen, len(everything), workspace, damaged=bool(run_store.damaged)))
    console.exit_if_damaged(run_store)


def table(kind: str, workspace: Workspace) -> list[dict[str, Any]]:
    """One row per plug-in of a kind."""
    row = ROWS.get(kind, lambda card, _: {"name": card.name, "title": getattr(card, "title", "")})
    return [row(value, workspace) for value in registry.all(kind).values()]


def _sizes(card: Dataset) -> str:
    if card.at and not card.counts:
        return f"name it: {card.name}:/path"
    train, scored = (card.counts.get((card.splits[0], subset), "?") for subset in ("train", card.subsets[0]))
    return f"{train} / {scored}"


def _presence(card: Dataset, data: Path) -> str:
    """Whether the data set can be used now; '' for a family, whose members are named by their path."""
    from harness.data import prepare

    if card.at and not card.counts:
        return ""
    if fingerprint := prepare.expected_fingerprint(card, data):
        return f"yes ({fingerprint})"
    if prepare.root_of(card, data).is_dir():
        return f"not indexed: harness data prepare {card.name}"
    return "rendered when needed" if card.micro else "no"


ROWS: Mapping[str, Callable[[Any, Workspace], dict[str, Any]]] = {
    "baseline": lambda card, _: {
        "baseline": card.name,
        "title": card.title,
        "modalities": ", ".join(card.modalities),
        "rgb+flow by": card.combine if len(card.modalities) > 1 else "",
        "init": ", ".join(card.inits),
        "paper": card.how_to_list or card.paper,
    },
    "dataset": lambda card, workspace: {
        "data set": card.name,
        "classes": card.num_classes or "",
        "splits": len(card.splits),
        "videos (train/scored)": _sizes(card),
        "transfers from": card.source or "",
        "here": _presence(card, workspace.data),
    },
    "metric": lambda card, _: {
        "metric": card.name,
        "title": card.title,
        "unit": card.unit,
        "mean over": {"ids": "videos", "labels": "classes"}.get(card.mean_over, card.mean_over) if card.shares else "",
    },
    "protocol": lambda card, _: {
        "protocol": card.name,
        "title": card.title,
        "starts from": card.weights_from,
        "trains": card.trained,
    },
    "scale": lambda card, _: {
        "scale": card.name,
        "width": card.width,
        "fps": card.fps,
        "short side px": card.short_side_px,
        "batch-norm momentum": card.bn_momentum,
        "stages (steps x batch)": ", ".join(f"{k} {s.steps}x{s.batch}" for k, s in card.stages.items()),
    },
}
"""Kind -> columns of its list. Other kinds show name and title."""


def card(value: Any) -> str:
    """Every field of a card with its value, and the choices made where the paper is silent."""
    lines = [value.title if hasattr(value, "title") else value.name, ""]
    lines += [line for name, content in fields(value) for line in _field(name, content)]
    if isinstance(value, Baseline) and value.choices:
        lines += ["", "Where the paper is silent:"]
        lines += [text for question, answer in value.choices.items() for text in _field(question, answer, indent="  ")]
    return "\n".join(lines)


def fields(value: Any) -> Iterator[tuple[str, Any]]:
    """(name, content) of the fields that are printed: no functions, and nothing that is empty or not published."""
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        published = field.name not in ("parameters", "gmacs") or content
        shown = published and not callable(content) and content not in ((), {}, "", None)
        if shown and field.name not in ("choices", "name", "title"):
            yield field.name, _by_split(content) if field.name == "counts" else content


def _by_split(counts: Mapping[tuple[int, str], int]) -> dict[str, str]:
    """{(1, 'train'): 3570, (1, 'test'): 1530} -> {'split 1': '3,570 train, 1,530 test'}; training comes first."""
    parts: dict[str, list[str]] = {}
    for (split, subset), size in sorted(counts.items(), key=lambda count: (count[0][0], count[0][1] != "train")):
        parts.setdefault(f"split {split}", []).append(f"{size:,} {subset}")
    return {split: ", ".join(sizes) for split, sizes in parts.items()}


def _field(name: str, content: Any, *, indent: str = "") -> list[str]:
    """A line; or a heading with one line per item, for mappings, sentences, paragraphs and weights."""
    label, below = f"{indent}{name}:", indent + "  "
    if isinstance(content, Mapping):
        return [label, *(line for key, item in content.items() for line in _field(str(key), item, indent=below))]
    if isinstance(content, str) and "\n" in content:
        return [label, *(f"{below}{line}" for line in content.splitlines())]
    if isinstance(content, tuple) and any(isinstance(item, Weights) for item in content):
        return [label, *(f"{below}{item.name} ({item.stream})" for item in content)]
    if isinstance(content, tuple) and any(isinstance(item, LauncherOption) for item in content):
        content = tuple(f"--{item.name.replace('_', '-')} {item.metavar}: {item.help}" for item in content)
    if isinstance(content, tuple) and any(str(item).endswith(".") for item in content):
        return [label, *(line for item in content for line in _wrapped(str(item), below))]
    return _wrapped(f"{name}: {words(content)}", indent)


def _wrapped(text: str, indent: str) -> list[str]:
    """Lines of a paragraph; URLs are not broken, so that they can be copied."""
    hanging = indent + "    "
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )


def words(value: Any) -> str:
    """A value without Python's spelling; fields that have their default are left out."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Range):
        return value.words
    if isinstance(value, tuple):
        return ", ".join(map(words, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return ", ".join(f"{name} {_part(getattr(value, name))}" for name in plain(value, for_id=True))
    return str(value)


def _part(value: Any) -> str:
    """Within another value: {'rgb': 5} -> '(rgb 5)'."""
    if isinstance(value, Mapping):
        return f"({', '.join(f'{name} {words(item)}' for name, item in value.items())})"
    return words(value)
