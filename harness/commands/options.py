"""Flags that several verbs share, and what they mean: -> a Selection and places."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.core.errors import HarnessError, unknown
from harness.core.spec import Selection
from harness.core.workspace import Workspace, places

if TYPE_CHECKING:
    from harness.app.launching import LaunchOptions


class Verbs(click.Group):
    """A group that guesses what an unknown verb was meant to be."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise click.UsageError(str(unknown("command", args[0], self.commands)), ctx)
        return super().resolve_command(ctx, args)


def _split(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """'--baseline i3d,c3d' and '--baseline i3d --baseline c3d' are the same. A value with a ':' (folder:/my videos) is one."""
    return tuple(word for value in values for word in ([value] if ":" in value else value.replace(",", " ").split()))


def _several(flag: str, metavar: str, help_: str) -> Callable[[Any], Any]:
    return click.option(flag, multiple=True, callback=_split, metavar=metavar, help=help_)


def _seeds(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[int, ...]:
    return _numbers("seed", _split(context, parameter, values)) or (0,)


def seeds_flag(command: Any) -> Any:
    """Of what is averaged, written as where it is run."""
    option = click.option(
        "--seed",
        "seeds",
        multiple=True,
        callback=_seeds,
        metavar="N",
        help="Seeds to average over, with ','. Default: 0.",
    )
    return option(command)


def _overrides(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    pairs = []
    for value in values:
        key, equals, text = value.partition("=")
        if not equals:
            raise click.BadParameter(f"'{value}' is not KEY=VALUE, such as train.base_lr=0.01")
        pairs.append((key.strip(), text.strip()))
    return tuple(pairs)


def selection_flags(command: Any) -> Any:
    """The axes of a cell. What is unsaid takes the value on the baseline's card."""
    for option in reversed(
        [
            click.argument(
                "file", required=False, type=click.Path(exists=True, dir_okay=False), metavar="[SELECTION.toml]"
            ),
            _several("--baseline", "NAME", "Architecture; several with ','. Default: i3d."),
            _several("--modality", "rgb|flow|rgb+flow", "What the network sees. Default: the card's first."),
            _several("--dataset", "NAME", "What is scored: hmdb51, ucf101, micro-hmdb51, ..."),
            _several("--split", "1|2|3|all", "Official split. Default: 1."),
            click.option("--subset", metavar="test|val", help="Which part is scored. Default: the card's first."),
            _several("--protocol", "NAME", "original, fixed, full-ft."),
            _several("--init", "imagenet|scratch", "What the first training starts from. Default: the card's first."),
            click.option("--source", metavar="NAME", help="Where transferred weights come from."),
            click.option(
                "--scale",
                metavar="paper|micro",
                help="Size of the experiment. Default: paper; micro for micro data sets.",
            ),
            _several("--seed", "N", "Seed of the last training; several with ','. Default: 0."),
            click.option(
                "--backbone", default="", metavar="timm/NAME", help="Another 2D network in place of Inception-v1."
            ),
            click.option(
                "--set",
                "overrides",
                multiple=True,
                callback=_overrides,
                metavar="KEY=VALUE",
                help="Such as train.base_lr=0.01.",
            ),
        ]
    ):
        command = option(command)
    return command


def launch_flags(command: Any) -> Any:
    """How jobs are run."""
    for option in reversed(
        [
            click.option("--launcher", type=click.Choice(["local", "ray"]), default="local", help="Where jobs run."),
            click.option("--address", metavar="HOST:PORT", help="Of a Ray cluster; unsaid, Ray runs on this machine."),
            click.option(
                "--storage",
                metavar="URL",
                help="What the cluster's nodes share, such as s3://..., if no results folder.",
            ),
            click.option(
                "--gpus-per-job", type=click.IntRange(1), default=1, help="Spread each training; with Ray only."
            ),
            click.option(
                "--workers", type=click.IntRange(0), default=0, help="Decoding processes; 0: none beside the training."
            ),
            click.option(
                "--on-bad-video",
                type=click.Choice(["stop", "quarantine"]),
                default="stop",
                help="A broken training video stops the run, or is left out and named.",
            ),
            click.option("--profile", is_flag=True, help="Leave a page a job: where its time went, what would help."),
            click.option("--no-mlflow", is_flag=True, help="Do not log to MLflow; `harness mirror push` can later."),
        ]
    ):
        command = option(command)
    return command


def launch_options_of(flags: dict[str, Any]) -> LaunchOptions:
    from harness.app.launching import LaunchOptions

    return LaunchOptions(
        launcher=flags["launcher"],
        address=flags["address"],
        storage=flags["storage"],
        gpus_per_job=flags["gpus_per_job"],
        workers=flags["workers"],
        on_bad_video=flags["on_bad_video"],
        mlflow=not flags["no_mlflow"],
        as_json=flags.get("as_json", False),
        profile=flags["profile"],
    )


def workspace_flags(command: Any) -> Any:
    """Where things are."""
    for option in (
        click.option("--plugins", metavar="DIR", help="Folder of plug-in files."),
        click.option("--results", metavar="DIR", help="The ledger. Default: HARNESS_RESULTS, else ./results."),
        click.option("--data", metavar="DIR", help="Data sets. Default: HARNESS_DATA, else the user's data folder."),
    ):
        command = option(command)
    return command


def workspace_of(flags: dict[str, Any]) -> Workspace:
    if flags.get("plugins"):
        os.environ["HARNESS_PLUGINS"] = str(Path(flags["plugins"]).resolve())
    return places(flags.get("data"), flags.get("results"))


def selection_of(flags: dict[str, Any]) -> Selection:
    """Flags, over the selection file if one is named, as a Selection."""
    from harness.core.registry import dashed

    said = _from_file(flags["file"]) if flags.get("file") else {}
    for axis in AXES:
        if flags.get(axis):
            said[axis] = flags[axis]
    said["overrides"] = tuple(dict((*said.get("overrides", ()), *flags.get("overrides", ()))).items())

    def names(axis: str) -> tuple[str, ...]:
        return tuple(dashed(name) for name in said.get(axis, ()))

    return Selection(
        baselines=names("baseline"),
        modalities=tuple(said.get("modality", ())),
        datasets=names("dataset"),
        splits=_numbers("split", said.get("split", ("1",)), everything="all"),
        subset=said.get("subset"),
        protocols=names("protocol"),
        inits=names("init"),
        source=_source_name(said.get("source")),
        scale=dashed(said["scale"]) if said.get("scale") else None,
        seeds=_numbers("seed", said.get("seed", ("0",))),
        backbone=said.get("backbone", ""),
        overrides=said["overrides"],
    )


AXES = ("baseline", "modality", "dataset", "split", "subset", "protocol", "init", "source", "scale", "seed", "backbone")


def _source_name(name: str | None) -> str | None:
    from harness.core.registry import dashed

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
    """A selection file: the flags' names as keys, strict. A value or a list of them; `set` is a table."""
    try:
        stored = tomllib.loads(Path(path).read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HarnessError(f"{path} is not TOML: {error}") from error
    settings = stored.pop("set", {})
    if not isinstance(settings, dict):
        raise HarnessError(
            f"{path}: set = {settings!r} is not a table; write [set] and below it lines such as train.base_lr = 0.01"
        )
    overrides = tuple((str(key), str(value)) for key, value in _dotted(settings))
    for key in stored:
        if key not in AXES:
            raise HarnessError(f"{path}: {unknown('axis', key, (*AXES, 'set'))}")
    single = {"subset", "source", "scale", "backbone"}
    said: dict[str, Any] = {
        key: value if key in single else tuple(map(str, value if isinstance(value, list) else [value]))
        for key, value in stored.items()
    }
    return said | {"overrides": overrides}


def _dotted(table: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """{'train': {'base_lr': 1}} -> [('train.base_lr', 1)]."""
    pairs: list[tuple[str, Any]] = []
    for key, value in table.items():
        pairs += _dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return pairs
