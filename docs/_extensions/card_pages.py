"""One Markdown page per kind of card, from the registry: a list, then every card with its fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.commands import ls
from harness.core import registry
from harness.core.contract import Weights
from harness.core.plugins import LauncherOption
from harness.core.workspace import Workspace

MACHINE = ("here",)
"""Columns of `harness ls` that depend on the machine."""
TITLES = {
    "baseline": ("Baselines", "Architectures. Select them with `--baseline`."),
    "dataset": (
        "Data sets",
        "Select them with `--dataset`. [Data sets](../../how-to/data.md) describes their folders.",
    ),
    "protocol": (
        "Protocols",
        "Select them with `--protocol`. [Protocols](../../explanation/protocols.md) explains them.",
    ),
    "scale": ("Scales", "Sizes and schedules. Select one with `--scale`; change values with `--set`."),
    "metric": ("Metrics", "Every result has all of them. `harness table 4 --metric NAME` adds the columns of one."),
    "head": ("Heads", "Heads that a protocol can train on the features of a frozen network."),
    "decoder": (
        "Decoders",
        "Select one with `HARNESS_DECODER`. [Data sets](../../how-to/data.md#decoders) compares them.",
    ),
    "flow-method": (
        "Flow methods",
        "Select one with `--set flow.name=NAME`. [Data sets](../../how-to/data.md#optical-flow) compares them.",
    ),
    "launcher": ("Launchers", "Select one with `--launcher`."),
}
"""Kind -> title and introduction of its page."""


def card_pages() -> dict[str, str]:
    """File name -> page. Raises KeyError for a kind of card without a title here."""
    workspace = Workspace(Path("data"), Path("results"))
    return {f"{kind}s.md": "\n".join(page(kind, workspace)) for kind in registry.KINDS}


def page(kind: str, workspace: Workspace) -> Iterator[str]:
    title, introduction = TITLES[kind]
    yield from (f"# {title}", "", introduction, "")
    yield from (f"`harness ls {kind}s` prints this list, and `harness ls {kind}s NAME` one card.", "")
    yield from table(ls.table(kind, workspace))
    for name, card in registry.all(kind).items():
        lines = list(card_lines(kind, card, workspace))
        yield from (f"## `{name}`", "", *lines, "") if lines else ()


def card_lines(kind: str, card: Any, workspace: Workspace) -> Iterator[str]:
    fields = list(ls.fields(card))
    if title := getattr(card, "title", "") if fields else "":
        yield from (f"{title[0].upper()}{title[1:]}", "")
    for name, content in fields:
        yield from item(name, content)
    if choices := getattr(card, "choices", None):
        yield from ("", "Where the paper is silent:", "")
        for question, answer in choices.items():
            yield from item(question, answer)
    if members := getattr(card, "members", None):
        yield ""
        yield from table([ls.ROWS[kind](card.at(member), workspace) for member in members])


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The rows without the columns that depend on the machine or are empty."""
    columns = [name for name in rows[0] if name not in MACHINE and any(row[name] != "" for row in rows)]
    yield from (f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}")
    for row in rows:
        first, *others = (str(row[name]).replace("|", "\\|") for name in columns)
        yield f"| {' | '.join([f'`{first}`', *others])} |"
    yield ""


def item(name: str, content: Any, indent: str = "") -> Iterator[str]:
    """A list item; a nested list for mappings and sentences; a block for a drawing of several lines."""
    below = indent + "  "
    head = f"{indent}- **{name}**:"
    if isinstance(content, Mapping):
        yield head
        for key, value in content.items():
            yield from item(str(key), value, below)
    elif isinstance(content, str) and "\n" in content:
        yield from (
            head,
            "",
            f"{below}```text",
            *(f"{below}{line}" for line in content.strip("\n").splitlines()),
            f"{below}```",
            "",
        )
    elif isinstance(content, tuple) and content and isinstance(content[0], Weights):
        yield from (head, *(f"{below}- `{weights.name}` ({weights.stream})" for weights in content))
    elif isinstance(content, tuple) and content and isinstance(content[0], LauncherOption):
        yield head
        for option in content:
            yield f"{below}- `--{option.name.replace('_', '-')} {option.metavar}`: {option.help}"
    elif isinstance(content, tuple) and any(str(part).endswith(".") for part in content):
        yield from (head, *(f"{below}- {part}" for part in content))
    else:
        yield f"{head} {ls.words(content)}"
