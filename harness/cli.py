"""Verbs and flags -> a Selection and places. No logic: what the verbs do is in `harness.app`."""

from __future__ import annotations

import errno
import os
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.errors import HarnessError, unknown
from harness.places import Places, places
from harness.spec import Selection

INTERRUPTED = 130


class Verbs(click.Group):
    """A group that guesses what an unknown verb was meant to be."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise click.UsageError(str(unknown("command", args[0], self.commands)), ctx)
        return super().resolve_command(ctx, args)


def main() -> None:
    """The console script: exit 0, 2 for what the user can mend, 130 after Ctrl-C."""
    try:
        harness.main(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        _fail(error.format_message())
    except HarnessError as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        print(
            "\nStopped. Finished jobs are kept, and the one under way goes on from its last checkpoint: "
            "run the same command again.",
            file=sys.stderr,
        )
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        _fail(
            f"{error.strerror}: {error.filename or 'while writing'}; nothing half-written was kept. Free space or choose "
            "other folders with --data and --results, then run the same command again"
        )


def _fail(message: str) -> None:
    print(f"harness: {message}", file=sys.stderr)
    sys.exit(2)


# ---------------------------------------------------------------------------------------------------- shared flags


def _split(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """'--baseline i3d,c3d' and '--baseline i3d --baseline c3d' are the same."""
    return tuple(word for value in values for word in value.replace(",", " ").split())


def _several(flag: str, metavar: str, help_: str) -> Callable[[Any], Any]:
    return click.option(flag, multiple=True, callback=_split, metavar=metavar, help=help_)


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
            _several("--seed", "N", "Seed of the last training. Default: 0."),
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


def place_flags(command: Any) -> Any:
    """Where things are."""
    for option in (
        click.option("--plugins", metavar="DIR", help="Folder of plug-in files."),
        click.option("--results", metavar="DIR", help="The ledger. Default: HARNESS_RESULTS, else ./results."),
        click.option("--data", metavar="DIR", help="Data sets. Default: HARNESS_DATA, else the user's data folder."),
    ):
        command = option(command)
    return command


def _places(flags: dict[str, Any]) -> Places:
    if flags.get("plugins"):
        os.environ["HARNESS_PLUGINS"] = str(Path(flags["plugins"]).resolve())
    return places(flags.get("data"), flags.get("results"))


def _selection(flags: dict[str, Any]) -> Selection:
    """Flags, over the selection file if one is named, as a Selection."""
    from harness.discover import dashed

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
    from harness.discover import dashed

    return name if name is None or name.startswith("published:") else dashed(name)


def _numbers(axis: str, words: tuple[str, ...], *, everything: str = "") -> tuple[int, ...]:
    if everything and tuple(words) == (everything,):
        return ()
    if not all(str(word).isdigit() for word in words):
        raise HarnessError(
            f"--{axis} {' '.join(map(str, words))}: not a number{f' or {everything!r}' if everything else ''}"
        )
    return tuple(int(word) for word in words)


def _from_file(path: str) -> dict[str, Any]:
    """A selection file: the flags' names as keys, strict. A value or a list of them; `set` is a table."""
    try:
        stored = tomllib.loads(Path(path).read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HarnessError(f"{path} is not TOML: {error}") from error
    overrides = tuple((str(key), str(value)) for key, value in _dotted(stored.pop("set", {})))
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


# ---------------------------------------------------------------------------------------------------- verbs


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="harness")
def harness() -> None:
    """Re-run, check and extend the experiments of "Quo Vadis, Action Recognition?".

    Nothing at hand? `harness run --protocol full-ft --dataset micro-hmdb51` needs no data and no GPU.
    """


@harness.command()
@selection_flags
@click.option("--launcher", type=click.Choice(["local"]), default="local", help="Where jobs run.")
@click.option("--workers", type=click.IntRange(0), default=0, help="Decoding processes; 0: none beside the training.")
@click.option(
    "--on-bad-video",
    type=click.Choice(["stop", "quarantine"]),
    default="stop",
    help="A broken training video stops the run, or is left out and named.",
)
@click.option("--no-mlflow", is_flag=True, help="Do not log to MLflow; `harness mirror push` can later.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
@place_flags
def run(**flags: Any) -> None:
    """Run the cells of a selection: whatever they need and the ledger lacks."""
    from harness import app

    app.run(
        _selection(flags),
        _places(flags),
        as_json=flags["as_json"],
        workers=flags["workers"],
        on_bad_video=flags["on_bad_video"],
        mlflow=not flags["no_mlflow"],
    )


@harness.command()
@selection_flags
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@place_flags
def plan(**flags: Any) -> None:
    """Show the jobs behind a selection and which are done; starts nothing."""
    from harness import app

    where = _places(flags)
    app.show_plan(_selection(flags), where, as_json=flags["as_json"])


@harness.command()
@click.argument("number", type=click.IntRange(1, 5))
@click.option("--scale", default="paper", metavar="paper|micro", help="Which ledger entries fill the table.")
@click.option("--run", "run_missing", is_flag=True, help="First run the cells that are missing.")
@click.option("--significance", is_flag=True, help="Also which differences between its rows are more than luck.")
@click.option("--format", "how", default="terminal", help="terminal, markdown, latex, csv, json, html.")
@place_flags
def table(**flags: Any) -> None:
    """Render a table of the paper from the ledger, each number beside the paper's."""
    from harness import app

    where = _places(flags)
    app.show_table(
        flags["number"],
        where,
        scale=flags["scale"],
        how=flags["how"],
        run_missing=flags["run_missing"],
        significance=flags["significance"],
    )


@harness.command()
@click.argument("kind", type=click.Choice(["baselines", "datasets", "protocols", "scales", "jobs"]))
@click.argument("name", required=False)
@place_flags
def ls(**flags: Any) -> None:
    """What there is; with a name, its whole card."""
    from harness import app

    where = _places(flags)
    app.list_kind(flags["kind"], flags["name"], where)


@harness.group(cls=Verbs)
def data() -> None:
    """Data sets: list, prepare, verify."""


@data.command("list")
@place_flags
def data_list(**flags: Any) -> None:
    """Every data set, its size, and whether it is on this machine."""
    from harness import app

    app.list_data(_places(flags))


@data.command("prepare")
@click.argument("name")
@place_flags
def data_prepare(**flags: Any) -> None:
    """Render (embedded) or index a data set."""
    from harness import app

    app.prepare_data(flags["name"], _places(flags))


@harness.group(cls=Verbs)
def weights() -> None:
    """Published weights: list, fetch, import."""


@weights.command("list")
@place_flags
def weights_list(**flags: Any) -> None:
    """What others have published for these networks, and what of it is here."""
    from harness import app

    app.list_weights(_places(flags))


@weights.command("fetch")
@click.argument("name")
@place_flags
def weights_fetch(**flags: Any) -> None:
    """Download NAME, check its hash, and import it; goes on where it broke off."""
    from harness import app

    app.fetch_weights(flags["name"], _places(flags))


@weights.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--stream", metavar="rgb|flow", help="Which stream the file is, where NAME has both.")
@click.option("--labels", type=click.Path(exists=True, path_type=Path), help="Class names, one a line.")
@place_flags
def weights_import(**flags: Any) -> None:
    """Take FILE as the weights called NAME."""
    from harness import app

    app.import_weights(flags["name"], flags["file"], _places(flags), stream=flags["stream"], labels=flags["labels"])


@harness.group(cls=Verbs)
def mirror() -> None:
    """MLflow: push what it lacks."""


@mirror.command("push")
@place_flags
def mirror_push(**flags: Any) -> None:
    """Log every record that the tracking server does not have yet."""
    from harness import app

    app.push(_places(flags))


@mirror.command("pull")
@place_flags
def mirror_pull(**flags: Any) -> None:
    """Rebuild the ledger from what the tracking server has: enough to render every table."""
    from harness import app

    app.pull(_places(flags))


@harness.command()
@click.argument("first")
@click.argument("second")
@place_flags
def compare(**flags: Any) -> None:
    """Paired test of two jobs on the same videos."""
    from harness import app

    app.compare(flags["first"], flags["second"], _places(flags))


@harness.command()
@place_flags
def doctor(**flags: Any) -> None:
    """What is installed, what works here, what to fix."""
    from harness import app

    app.show_health(_places(flags))
