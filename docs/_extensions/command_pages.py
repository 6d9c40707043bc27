"""One Markdown page per command of `harness`, from click's commands. Subcommands are sections of their group's page."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from harness import commands

COMMON = ("--data", "--results", "--plugins", "--help")
"""Options of nearly every command; they come last."""


def command_pages() -> dict[str, str]:
    """File name -> page; and a list of all commands, which docs/reference/commands.md includes."""
    context = click.Context(commands.harness, info_name="harness", **commands.harness.context_settings)
    verbs = {verb: commands.harness.get_command(context, verb) for verb in commands.harness.list_commands(context)}
    pages = {f"{verb}.md": "\n".join(page(verb, command, context)) for verb, command in verbs.items()}
    rows = [f"| [`harness {verb}`](commands/{verb}.md) | {summary(command)} |" for verb, command in verbs.items()]
    return pages | {"list.inc": "\n".join(["| command | what it does |", "|---|---|", *rows, ""])}


def summary(command: click.Command) -> str:
    """The first line of its help."""
    return inspect.cleandoc(command.help or "").partition("\n")[0]


def page(verb: str, command: click.Command, parent: click.Context, level: int = 1) -> Iterator[str]:
    """Lines of a command: title, help, usage, options; then those of its subcommands."""
    context = click.Context(command, info_name=verb, parent=parent)
    yield from (f"{'#' * level} {context.command_path}", "")
    yield from (inspect.cleandoc(command.help or ""), "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from page(name, command.get_command(context, name), context, level + 1)
        return
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from ("```text", usage, "```", "", "```{program} " + context.command_path, "```", "")
    options = [parameter for parameter in command.get_params(context) if isinstance(parameter, click.Option)]
    for option in sorted(options, key=lambda option: option.opts[-1] in COMMON):
        yield from option_lines(option, context)


def option_lines(option: click.Option, context: click.Context) -> Iterator[str]:
    """A definition with a link of its own; what click prints in brackets becomes a sentence."""
    record = option.get_help_record(context)
    if record is None:  # hidden
        return
    names, words = record
    sentence, _, brackets = re.sub(r"\s*\[([^\[\]]*)\](?=\s*(\[|$))", r"\0\1", words).partition("\0")
    notes = [note(part) for part in re.split(r"; |\0", brackets) if part]
    yield from ("```{option} " + names, " ".join([sentence, *notes]), "```", "")


def note(part: str) -> str:
    """'default: 0' -> '*Default: 0.*'"""
    part = re.sub(r"^x>=(\d+)$", r"at least \1", part).replace("env var:", "environment variable:")
    return f"*{part[0].upper()}{part[1:]}.*"
