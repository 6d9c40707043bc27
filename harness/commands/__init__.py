"""The command line: one module per verb, its options first, then what it does.

A module whose docstring begins with its command, such as "`harness run`: ...", is a verb. The rest of the docstring is
its help, and `command` in it is what click calls. A verb is imported when it is used: the overview reads first lines.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import itertools
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.core import environment, processes
from harness.core.errors import HarnessError, unknown

INTERRUPTED = 130
UNUSABLE = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EIO, errno.ENXIO)
"""Errors of a path that cannot be what the command needs."""
PROGRAMS = ("harness", "quovadis")
"""Names of the console script. Another program may be called `harness`."""
FIRST = "run plan table claims compare report check predict diagnose data weights tune"
"""Verbs at the top of the overview, in the order of a project. Others follow by name."""


def use_plugins(args: list[str]) -> None:
    """Register the folder of `--plugins` before the verb is imported: plug-ins add options and names to its help."""
    from harness.core import registry
    from harness.core.workspace import given

    folder = None
    for word, value in itertools.pairwise([*args, ""]):
        if word == "--plugins" or word.startswith("--plugins="):
            folder = str(given(value if word == "--plugins" else word.partition("=")[2], flag="--plugins"))
    registry.use_plugins(folder)


def program() -> str:
    """The name that this program was called by: one of PROGRAMS."""
    name = Path(sys.argv[0]).name
    return name if name in PROGRAMS else PROGRAMS[0]


def as_called(text: str) -> str:
    """The text with the name that the program was called by in the commands that it advises: '`harness ls`'."""
    return text.replace(f"`{PROGRAMS[0]} ", f"`{program()} ")


class _HelpFormatter(click.HelpFormatter):
    def getvalue(self) -> str:
        return as_called(super().getvalue())


class _Context(click.Context):
    formatter_class = _HelpFormatter


class Group(click.Group):
    """A group that suggests the nearest verb for an unknown one."""

    context_class = _Context

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        use_plugins(args)
        if args and not args[0].startswith("-") and args[0] not in (verbs := self.list_commands(ctx)):
            raise click.UsageError(str(unknown("command", args[0], verbs)), ctx)
        return super().resolve_command(ctx, args)


class Package(Group):
    """The verbs of a package, found by its files."""

    def __init__(self, package: str, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.package = package
        self.prefix = package.replace(__name__, "harness", 1).replace(".", " ")

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._summaries())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._summaries():
            return None
        module = importlib.import_module(f"{self.package}.{cmd_name}")
        command: click.Command = module.command
        command.context_class = _Context
        command.name, command.help = cmd_name, str(module.__doc__).partition("`: ")[2]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries().items()))

    def _summaries(self) -> dict[str, str]:
        """Verb -> the first line of its help, without importing it."""
        lines = dict(self._first_lines())
        return {name: lines.pop(name) for name in FIRST.split() if name in lines} | lines

    def _first_lines(self) -> Iterator[tuple[str, str]]:
        for folder in sys.modules[self.package].__path__:
            for module in pkgutil.iter_modules([folder]):
                file = f"{module.name}/__init__.py" if module.ispkg else f"{module.name}.py"
                with (Path(folder) / file).open(encoding="utf-8") as lines:
                    command, is_verb, summary = next(lines, "").partition("`: ")
                if is_verb and command == f'"""`{self.prefix} {module.name}':
                    yield module.name, summary.strip().strip('"')


@click.command(
    cls=Package,
    package=__name__,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True},
)
@click.version_option(__version__)
def harness() -> None:
    """Re-run, check and extend the experiments of "Quo Vadis, Action Recognition?".

    To start without data or a GPU: `harness run --protocol full-ft --dataset micro-hmdb51`.
    """


def main() -> None:
    """The console script. Exit status: 0, 1 (a check failed, or damaged records were left out), 2 (wrong use or broken input),
    130 (Ctrl-C), 143 (SIGTERM)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # a path may hold bytes that are not UTF-8
    try:
        environment.check_siblings()
        with processes.terminable():
            code = harness.main(prog_name=program(), standalone_mode=False)
        if isinstance(code, int) and code:
            sys.exit(code)
    except click.exceptions.NoArgsIsHelpError as error:  # a group without a verb
        click.echo(error.format_message())
    except click.ClickException as error:
        _fail(error.format_message())
    except HarnessError as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        _stopped(INTERRUPTED)
    except processes.Terminated as signalled:
        _stopped(signalled.code)
    except OSError as error:
        if error.errno in UNUSABLE and error.filename:
            _fail(f"{error.strerror}: {str(error.filename)!r:.200}; name another file or folder")
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        _fail(
            f"{error.strerror}: {error.filename or 'while writing'}; no partial file was left behind. Free space or choose "
            "other folders with --data and --results, then run the same command again"
        )


def _stopped(status: Any) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        click.echo(
            "\nStopped. Finished jobs are stored, and an interrupted job resumes from its last checkpoint: run the same "
            "command again.",
            err=True,
        )
    sys.exit(status)


def _fail(message: str) -> None:
    click.echo(f"{program()}: {as_called(message)}", err=True)
    sys.exit(2)
