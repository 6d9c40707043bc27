"""Options that several verbs share. Each decorator adds a group of them, and passes on one value made of them."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands import logs
from harness.core import environment, registry
from harness.core.cells import PUBLISHED, Selection
from harness.core.errors import HarnessError
from harness.core.registry import dashed
from harness.core.workspace import resolve_workspace
from harness.launch.options import ON_BAD_VIDEO, LaunchOptions
from harness.planning.axes import SINGLE, is_path, numbers, selection_of
from harness.planning.selection import without_source

if TYPE_CHECKING:
    from harness.core.plugins import LauncherOption

Decorator = Callable[[Any], Any]


def _combined(name: str, build: Callable[[dict[str, Any]], Any], *options: Decorator) -> Decorator:
    """A decorator that adds `options`, and passes build(their values) to the command as its argument `name`."""

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            own = {option: values.pop(option) for option in names & values.keys()}
            return function(**values, **{name: build(own)})

        others = {parameter.name for parameter in getattr(function, "__click_params__", ())}
        for option in reversed(options):
            command = option(command)
        names = {parameter.name for parameter in command.__click_params__} - others  # type: ignore[attr-defined]
        return command

    return decorate


def split_at_commas(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """'--baseline i3d,c3d' equals '--baseline i3d --baseline c3d'. A path after ':' (folder:/my, videos) is not split if it exists."""
    parts = (part for value in values for part in re.split(r",(?=[A-Za-z][\w-]*:)", value))
    return tuple(word for part in parts for word in _split(part))


def _split(part: str) -> list[str]:
    """The names in a part that has a ':' near its start, or none."""
    head, colon, argument = part.partition(":")
    if not colon:
        return part.replace(",", " ").split()
    pieces = argument.split(",")
    lengths = range(len(pieces), 1, -1)
    exists = (n for n in lengths if os.path.exists(os.path.expanduser(",".join(pieces[:n]))))  # noqa: PTH110, PTH111 (no errors)
    first = next(exists, 1)
    return [f"{head}:{','.join(pieces[:first])}", *filter(None, map(str.strip, pieces[first:]))]


def several(flag: str, metavar: str, help_: str, *, kind: str = "") -> Decorator:
    """An option that takes several values. `kind`: of the plug-ins whose names a shell completes."""
    complete = completing(kind) if kind else None
    return click.option(
        flag, multiple=True, callback=split_at_commas, metavar=metavar, help=help_, shell_complete=complete
    )


def completing(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """For a shell: the names of plug-ins that continue the last of some words separated by commas."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [before + comma + name for name in registry.names(kind) if name.startswith(last)]

    return complete


def names_of(kind: str) -> str:
    return ", ".join(registry.names(kind))


def scale_option(purpose: str) -> Decorator:
    """--scale of a command that reads results."""
    about = f"Scale of the results to {purpose}: {names_of('scale')}."
    return click.option("--scale", default="paper", metavar="NAME", help=about, shell_complete=completing("scale"))


_workspace_options = _combined(
    "workspace",
    lambda values: resolve_workspace(values["data"], values["results"]),
    click.option(
        "--data",
        metavar="DIR",
        help="Folder of data sets.  [default: HARNESS_DATA, or the folder that `harness data list` prints]",
    ),
    click.option("--results", metavar="DIR", help="Results folder.  [default: HARNESS_RESULTS, or ./results]"),
    # Its value was read before the verb was imported: `harness.commands.use_plugins`.
    click.option("--plugins", metavar="DIR", help="Folder of plug-in files.  [default: HARNESS_PLUGINS]"),
)


def workspace_options(function: Any) -> Any:
    """The folders of a command, passed on as a Workspace, and its -v and -q."""
    return _workspace_options(logs.options(function))


def _use_device(context: click.Context, _: click.Parameter, name: str | None) -> None:
    context.with_resource(environment.use_device(name))


device_option = click.option(
    "--device",
    callback=_use_device,
    expose_value=False,
    metavar="cpu|cuda|cuda:N",
    help="Device to compute on, or to plan for.  [default: HARNESS_DEVICE, or cuda if an NVIDIA driver is installed]",
)
"""Not passed on: `harness.core.environment.device` returns it."""


out_option = click.option(
    "--out",
    envvar="HARNESS_OUT",
    show_envvar=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder to write to.  [default: `report` in the results folder]",
)
"""None by default: the command uses `Workspace.report`."""


seeds_option = click.option(
    "--seed",
    "seeds",
    multiple=True,
    callback=lambda context, option, values: numbers("seed", split_at_commas(context, option, values)) or (0,),
    metavar="N",
    help="Seeds to average over, such as 0-4 or 0-2,7.  [default: 0]",
)


def _overrides(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    pairs = []
    for value in values:
        key, equals, text = value.partition("=")
        if not equals:
            raise click.BadParameter(f"'{value}' is not KEY=VALUE, such as train.base_lr=0.01")
        pairs.append((key.strip(), text.strip()))
    return tuple(pairs)


def _noted(values: dict[str, Any]) -> Selection:
    """The selection; notes on standard error name what was typed in another spelling, and protocols that ignore --source."""
    for axis in ("baseline", "dataset", "protocol", "source", "scale"):
        for name in filter(None, [values[axis]] if axis in SINGLE else values[axis]):
            path = axis == "source" and is_path(name)
            if not path and not name.startswith(PUBLISHED) and dashed(name) != name:
                logs.note(f"--{axis} {name} was read as {dashed(name)}")
    selection = selection_of(values)
    if ignoring := without_source(selection):
        logs.note(f"--source has no meaning under {' and '.join(ignoring)}, and is ignored there")
    return selection


selection_options = _combined(
    "selection",
    _noted,
    click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False), metavar="[SELECTION.toml]"),
    several("--baseline", "NAME", "Architectures, separated by ','.  [default: i3d]", kind="baseline"),
    several("--modality", "rgb|flow|rgb+flow", "Input of the network.  [default: the first in the baseline's card]"),
    several("--dataset", "NAME", "Data sets to train and test on: hmdb51, ucf101, micro-hmdb51, ...", kind="dataset"),
    several("--split", "1|2|3|all", "Official splits.  [default: 1]"),
    click.option(
        "--subset",
        metavar="test|val",
        help="Part of the data set to score after training.  [default: the first in its card]",
    ),
    several("--protocol", "NAME", f"Training protocols: {names_of('protocol')}.", kind="protocol"),
    several(
        "--init",
        "imagenet|scratch",
        "Initial weights of the first training.  [default: the first in the baseline's card]",
    ),
    click.option(
        "--source",
        metavar="NAME",
        help="Origin of transferred weights: a data set, published:NAME, or a folder that `harness weights export` wrote.",
        shell_complete=completing("dataset"),
    ),
    click.option(
        "--scale",
        metavar="NAME",
        help=f"Size of the experiment: {names_of('scale')}.  [default: micro for micro data sets, else paper]",
        shell_complete=completing("scale"),
    ),
    several("--seed", "N", "Seeds of the last training, such as 0-4 or 0-2,7.  [default: 0]"),
    click.option(
        "--limit",
        metavar="N",
        help="Use only the first N videos, by id, of every subset that is trained on or scored. For quick tests: every "
        "number is marked.  [default: all videos]",
    ),
    several(
        "--shots",
        "N",
        "Train on N randomly drawn videos per class; each --seed is another draw.  [default: all videos]",
    ),
    several(
        "--share",
        "SHARE",
        "Train on this share of each class, such as 0.1, randomly drawn; each --seed is another draw.",
    ),
    click.option("--backbone", metavar="timm/NAME", help="2D network to use instead of Inception-v1."),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        callback=_overrides,
        metavar="KEY=VALUE",
        help="Override a setting of a card, such as train.base_lr=0.01.",
    ),
)


def _launcher_options() -> dict[str, tuple[LauncherOption, list[str]]]:
    """Option -> itself and the launchers that take it."""
    options: dict[str, tuple[LauncherOption, list[str]]] = {}
    for launcher in registry.all("launcher").values():
        for option in launcher.options:
            options.setdefault(option.name, (option, []))[1].append(launcher.name)
    return options


def _launch_options_of(added: Mapping[str, tuple[LauncherOption, list[str]]], values: dict[str, Any]) -> LaunchOptions:
    """Raises HarnessError for an option of another launcher; `added` is what the launchers added to the command."""
    launcher = registry.load("launcher", values["launcher"])
    settings = {}
    for name, (option, users) in added.items():
        value = values.pop(name)
        if launcher.name in users:
            settings[name] = value
        elif value != option.default:
            flag = f"--{name.replace('_', '-')}"
            raise HarnessError(f"{flag} {value} requires --launcher {' or '.join(users)}")
    return LaunchOptions(mlflow=not values.pop("no_mlflow"), settings=settings, **values)


def launch_options(function: Any) -> Any:
    """Options of the commands that run jobs, with those of every launcher: passes on LaunchOptions."""
    launchers = ", ".join(f"{launcher.name} ({launcher.title})" for launcher in registry.all("launcher").values())
    added = _launcher_options()
    options = (
        click.option("--launcher", default="local", metavar="NAME", help=f"Where jobs run: {launchers}."),
        *(
            click.option(
                f"--{name.replace('_', '-')}",
                type=option.type,
                default=option.default,
                metavar=option.metavar,
                help=option.help,
            )
            for name, (option, _) in added.items()
        ),
        click.option(
            "--workers",
            type=click.IntRange(0),
            metavar="N",
            help="Decoding processes per job; 0 decodes in the training process.  [default: 0 on a CPU, else from the number of "
            "cores per GPU]",
        ),
        click.option(
            "--on-bad-video",
            type=click.Choice(ON_BAD_VIDEO),
            default="stop",
            help="If a training video cannot be decoded: stop the run, or skip it and name it in the record.",
        ),
        click.option(
            "--profile", is_flag=True, help="Write one HTML page per job with a time breakdown and suggestions."
        ),
        device_option,
        click.option("--no-mlflow", is_flag=True, help="Do not log to MLflow; `harness mlflow push` can do so later."),
    )
    return _combined("launch", functools.partial(_launch_options_of, added), *options)(function)
