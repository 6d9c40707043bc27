"""Options that several verbs share. Each decorator adds a group of them, and passes on one value made of them."""

from __future__ import annotations

import functools
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.core.errors import HarnessError, unknown
from harness.core.registry import dashed
from harness.core.spec import Selection
from harness.core.workspace import Workspace, places

if TYPE_CHECKING:
    from harness.core.callbacks import Callback
    from harness.jobs.options import JobOptions
    from harness.planning.plan import Plan

Decorator = Callable[[Any], Any]


def _combined(name: str, build: Callable[[dict[str, Any]], Any], *options: Decorator) -> Decorator:
    """A decorator that adds `options`, and passes build(their values) to the command as its argument `name`."""

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            own = {option: values.pop(option) for option in names}
            return function(**values, **{name: build(own)})

        others = {parameter.name for parameter in getattr(function, "__click_params__", ())}
        for option in reversed(options):
            command = option(command)
        names = {parameter.name for parameter in command.__click_params__} - others  # type: ignore[attr-defined]
        return command

    return decorate


def split_at_commas(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """'--baseline i3d,c3d' equals '--baseline i3d --baseline c3d'. A value with a ':' (folder:/my videos) is not split."""
    return tuple(word for value in values for word in ([value] if ":" in value else value.replace(",", " ").split()))


def _several(flag: str, metavar: str, help_: str) -> Decorator:
    return click.option(flag, multiple=True, callback=split_at_commas, metavar=metavar, help=help_)


# ---------------------------------------------------------------------------------------------------- folders


def workspace_of(values: dict[str, Any]) -> Workspace:
    """The folders that an invocation works in; its plug-ins are registered."""
    if values.get("plugins"):
        os.environ["HARNESS_PLUGINS"] = str(Path(values["plugins"]).resolve())
    return places(values.get("data"), values.get("results"))


workspace_options = _combined(
    "workspace",
    workspace_of,
    click.option("--data", metavar="DIR", help="Folder of data sets [HARNESS_DATA, or your data folder]."),
    click.option("--results", metavar="DIR", help="Results folder [HARNESS_RESULTS, or ./results]."),
    click.option("--plugins", metavar="DIR", help="Folder of plug-in files [HARNESS_PLUGINS]."),
)


out_option = click.option(
    "--out",
    envvar="HARNESS_OUT",
    default="reports/out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder to write to [HARNESS_OUT, or reports/out].",
)


# ---------------------------------------------------------------------------------------------------- a selection


def _seeds(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[int, ...]:
    return _numbers("seed", split_at_commas(context, parameter, values)) or (0,)


seeds_option = click.option(
    "--seed",
    "seeds",
    multiple=True,
    callback=_seeds,
    metavar="N",
    help="Seeds to average over, separated by ',' [0].",
)


def _overrides(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    pairs = []
    for value in values:
        key, equals, text = value.partition("=")
        if not equals:
            raise click.BadParameter(f"'{value}' is not KEY=VALUE, such as train.base_lr=0.01")
        pairs.append((key.strip(), text.strip()))
    return tuple(pairs)


AXES = ("baseline", "modality", "dataset", "split", "subset", "protocol", "init", "source", "scale", "seed", "backbone")
SINGLE = ("subset", "source", "scale", "backbone")
"""Axes that take one value."""


def selection_of(values: dict[str, Any]) -> Selection:
    """A Selection of the options, which override the selection file."""
    chosen = _from_file(values["file"]) if values.get("file") else {}
    chosen |= {axis: values[axis] for axis in AXES if values.get(axis)}
    overrides = dict((*chosen.get("overrides", ()), *values.get("overrides", ())))

    def names(axis: str) -> tuple[str, ...]:
        return tuple(dashed(name) for name in chosen.get(axis, ()))

    return Selection(
        baselines=names("baseline"),
        modalities=tuple(chosen.get("modality", ())),
        datasets=names("dataset"),
        splits=_numbers("split", chosen.get("split", ("1",)), everything="all"),
        subset=chosen.get("subset"),
        protocols=names("protocol"),
        inits=names("init"),
        source=_source_name(chosen.get("source")),
        scale=dashed(chosen["scale"]) if chosen.get("scale") else None,
        seeds=_numbers("seed", chosen.get("seed", ("0",))),
        backbone=chosen.get("backbone", ""),
        overrides=tuple(overrides.items()),
    )


selection_options = _combined(
    "selection",
    selection_of,
    click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False), metavar="[SELECTION.toml]"),
    _several("--baseline", "NAME", "Architectures, separated by ',' [i3d]."),
    _several("--modality", "rgb|flow|rgb+flow", "Input of the network [the baseline's first]."),
    _several("--dataset", "NAME", "Data sets to score: hmdb51, ucf101, micro-hmdb51, ..."),
    _several("--split", "1|2|3|all", "Official splits [1]."),
    click.option("--subset", metavar="test|val", help="Part of the data set to score [the data set's first]."),
    _several("--protocol", "NAME", "Training protocols: original, fixed, full-ft."),
    _several("--init", "imagenet|scratch", "Initial weights of the first training [the baseline's first]."),
    click.option("--source", metavar="NAME", help="Origin of transferred weights: a data set or published:NAME."),
    click.option(
        "--scale", metavar="paper|micro", help="Size of the experiment [micro for micro data sets, else paper]."
    ),
    _several("--seed", "N", "Seeds of the last training, separated by ',' [0]."),
    click.option("--backbone", default="", metavar="timm/NAME", help="2D network to use instead of Inception-v1."),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        callback=_overrides,
        metavar="KEY=VALUE",
        help="Override a setting of a card, such as train.base_lr=0.01.",
    ),
)


def _source_name(name: str | None) -> str | None:
    return name if name is None or name.startswith("published:") else dashed(name)


def _numbers(axis: str, words: tuple[str, ...], *, everything: str = "") -> tuple[int, ...]:
    if everything and tuple(words) == (everything,):
        return ()
    if not all(str(word).isdecimal() for word in words):
        raise HarnessError(
            f"--{axis} {' '.join(map(str, words))}: not a whole number from 0{f' or {everything!r}' if everything else ''}; "
            f"several are --{axis} 0,1,2"
        )
    return tuple(int(word) for word in words)


def _from_file(path: str) -> dict[str, Any]:
    """A selection file, read strictly: axes as keys, with a value or a list of values; `set` is a table."""
    try:
        stored = tomllib.loads(Path(path).read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HarnessError(f"{path} is not TOML: {error}") from error
    settings = stored.pop("set", {})
    if not isinstance(settings, dict):
        raise HarnessError(
            f"{path}: set = {settings!r} is not a table; write [set] and below it lines such as train.base_lr = 0.01"
        )
    for key in stored:
        if key not in AXES:
            raise HarnessError(f"{path}: {unknown('axis', key, (*AXES, 'set'))}")
    axes: dict[str, Any] = {
        key: value if key in SINGLE else tuple(map(str, value if isinstance(value, list) else [value]))
        for key, value in stored.items()
    }
    return axes | {"overrides": tuple((str(key), str(value)) for key, value in _dotted(settings))}


def _dotted(table: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """{'train': {'base_lr': 1}} -> [('train.base_lr', 1)]."""
    pairs: list[tuple[str, Any]] = []
    for key, value in table.items():
        pairs += _dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return pairs


# ---------------------------------------------------------------------------------------------------- launching


@dataclass(frozen=True)
class LaunchOptions:
    """Where and how jobs run. Nothing here changes a number."""

    launcher: str = "local"
    """'local' or 'ray'."""
    address: str | None = None
    """Address of a running Ray cluster; None: start Ray on this machine."""
    storage: str | None = None
    """URL shared by all nodes; None: the results folder is on a shared file system."""
    gpus_per_job: int = 1
    """GPUs per training job."""
    workers: int = 0
    """Decoding processes per job."""
    on_bad_video: str = "stop"
    """'stop' or 'skip', for training videos that cannot be decoded."""
    mlflow: bool = True
    """Log to MLflow."""
    profile: bool = False
    """Write a profile per job."""

    def __post_init__(self) -> None:
        if self.launcher == "ray":
            return
        for flag, value, default in (
            ("--address", self.address, None),
            ("--storage", self.storage, None),
            ("--gpus-per-job", self.gpus_per_job, 1),
        ):
            if value != default:
                raise HarnessError(f"{flag} {value} requires --launcher ray")

    def job_options(self, workspace: Workspace) -> JobOptions:
        from harness.jobs.options import JobOptions

        return JobOptions(places=workspace, workers=self.workers, on_bad_video=self.on_bad_video, profile=self.profile)

    def launch(self, plan: Plan, workspace: Workspace, callback: Callback) -> int:
        """Run what is to do; returns how many jobs ran."""
        launcher = registry.load("launcher", self.launcher)
        settings = {option.name: getattr(self, option.name) for option in launcher.options}
        count: int = launcher.launch(plan, self.job_options(workspace), callback, **settings)
        return count


launch_options = _combined(
    "launch",
    lambda values: LaunchOptions(mlflow=not values.pop("no_mlflow"), **values),
    click.option("--launcher", type=click.Choice(["local", "ray"]), default="local", help="Where jobs run [local]."),
    click.option(
        "--address", metavar="HOST:PORT", help="Address of a running Ray cluster [start Ray on this machine]."
    ),
    click.option(
        "--storage",
        metavar="URL",
        help="URL that all nodes reach, such as s3://bucket/path, unless --results is on a shared file system.",
    ),
    click.option(
        "--gpus-per-job", type=click.IntRange(1), default=1, help="GPUs per training job; requires --launcher ray [1]."
    ),
    click.option(
        "--workers",
        type=click.IntRange(0),
        default=0,
        help="Decoding processes per job; 0 decodes in the training process [0].",
    ),
    click.option(
        "--on-bad-video",
        type=click.Choice(["stop", "skip"]),
        default="stop",
        help="If a training video cannot be decoded: stop the run, or skip the video and name it in the record [stop].",
    ),
    click.option("--profile", is_flag=True, help="Write one HTML page per job with a time breakdown and suggestions."),
    click.option("--no-mlflow", is_flag=True, help="Do not log to MLflow; `harness mlflow push` can do so later."),
)
