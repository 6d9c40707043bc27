"""What a command prints in addition to its results (`-v`, `-q`), and the log file of a run, by Python's `logging`.

Every module of the program may use `logging.getLogger(__name__)`. Messages below WARNING are printed with `-v` alone, and
are always in the log file. The logger `harness.screen` takes what the command prints anyway, for the file only.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import logging.handlers
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.commands import as_called
from harness.core import environment
from harness.core.workspace import Workspace

logger = logging.getLogger(__name__)
SCREEN = logging.getLogger("harness.screen")
PROGRAM = logging.getLogger("harness")
WARNINGS = logging.getLogger("py.warnings")
LEVELS = {"verbose": logging.DEBUG, "quiet": logging.ERROR}
_handlers: list[logging.Handler] = []
MOST_BUFFERED = 10_000
"""Messages before the first job that are remembered for the log file."""


def echo(text: str, *, err: bool = False) -> None:
    """Print a result, also to the log file."""
    click.echo(text, err=err)
    SCREEN.info("%s", text)


def note(text: str) -> None:
    """Print 'note: TEXT' to standard error, unless the command is quiet."""
    if not is_quiet():
        click.echo(as_called(f"note: {text}"), err=True)
    SCREEN.info("note: %s", text)


def is_quiet() -> bool:
    return _chosen() == "quiet"


def is_verbose() -> bool:
    return _chosen() == "verbose"


def _chosen() -> str | None:
    context = click.get_current_context(silent=True)
    return context.find_root().meta.get(__name__) if context else None


def _choose(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    root = context.find_root()
    if value:
        if root.meta.setdefault(__name__, parameter.name) != parameter.name:
            raise click.UsageError("-v and -q contradict each other; pass one of them", context)
        root.with_resource(_handled(_ScreenHandler(LEVELS[str(parameter.name)])))


def options(function: Any) -> Any:
    """-v and -q. Not passed on."""
    for names, text in (
        (("-q", "--quiet"), "Print results and errors only."),
        (("-v", "--verbose"), "Print debugging messages too, and progress as lines."),
    ):
        function = click.option(*names, is_flag=True, callback=_choose, expose_value=False, help=text)(function)
    return function


class _ScreenHandler(logging.StreamHandler[Any]):
    """Prints messages to standard error, except those that the command prints itself."""

    def __init__(self, level: int) -> None:
        super().__init__(sys.stderr)
        self.setLevel(level)
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self.addFilter(lambda record: record.name != SCREEN.name)


class _LogFile(logging.FileHandler):
    """The log file. A full disk ends no run."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.setLevel(logging.DEBUG)
        formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%SZ")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)

    def handleError(self, record: logging.LogRecord) -> None: ...

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def _handled(handler: logging.Handler) -> Iterator[None]:
    """During the block, the handler gets what the program logs from its level on, and warnings of Python.

    Blocks may end in any order: the program's level is then the lowest of the handlers that are left.
    """
    for source in (PROGRAM, WARNINGS):
        source.addHandler(handler)
    _handlers.append(handler)
    _set_level()
    try:
        yield
    finally:
        for source in (PROGRAM, WARNINGS):
            source.removeHandler(handler)
        _handlers.remove(handler)
        _set_level()


def _set_level() -> None:
    PROGRAM.setLevel(min((handler.level for handler in _handlers), default=logging.NOTSET))


@contextlib.contextmanager
def run_log(workspace: Workspace) -> Iterator[Callable[[], Path]]:
    """The log of a command that may run jobs: `logs/TIME-PID.log` in the results folder.

    The function that it yields creates the file, with everything that was logged since the block began, and returns its path.
    An error that ends the block is logged with its traceback.
    """
    buffer = logging.handlers.MemoryHandler(MOST_BUFFERED, logging.CRITICAL + 1, flushOnClose=False)
    with contextlib.ExitStack() as cleanup:
        buffered = cleanup.enter_context(contextlib.ExitStack())
        buffer.setLevel(logging.DEBUG)
        buffered.enter_context(_handled(buffer))
        if _chosen() is None:
            cleanup.enter_context(_handled(_ScreenHandler(logging.WARNING)))
        cleanup.callback(logging.captureWarnings, False)
        logging.captureWarnings(True)
        logger.debug("harness %s: %s", __version__, " ".join(sys.argv))

        def create() -> Path:
            now = datetime.datetime.now(datetime.UTC)
            path = workspace.logs / f"{now:%Y%m%d-%H%M%S}-{os.getpid()}.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            file = _LogFile(path)
            cleanup.callback(file.close)
            cleanup.enter_context(_handled(file))
            buffer.setTarget(file)
            buffer.flush()
            buffered.close()
            _log_environment(workspace)
            return path

        try:
            yield create
        except BaseException:
            SCREEN.exception("the command stopped")
            raise


def _log_environment(workspace: Workspace) -> None:
    logger.debug("folder %s, data %s, results %s", Path.cwd(), workspace.data, workspace.results)
    for name, value in environment.describe(environment.device(), environment.cpu_threads()).items():
        logger.debug("%s: %s", name, value)
    for name, value in sorted(os.environ.items()):
        if name.startswith("HARNESS_"):
            logger.debug("%s=%s", name, value)
