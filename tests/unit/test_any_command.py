"""A thousand generated commands and selection files: each ends, with a status and a message, never with a traceback."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from harness import commands
from harness.commands import check, run
from harness.core.errors import HarnessError

LIMIT_S = 120
"""Time after which a command hangs. Most take milliseconds, the first that imports torch takes seconds."""
WORDS = (
    "x" * 300, "x" * 5000, "~nosuchuser", "~nosuchuser/x", "~", "loop", "loop/x", "file", "file/x", "folder", "", " ", "/dev/null",
    "/proc/self/mem", "\udce4", "ü", "a\nb", "-", "--", "=", "a=b", ",", ":", "../..", "folder:", "folder:loop", "folder:file",
    "folder:" + "x" * 5000, "folder:~nosuchuser", "minikinetics-213:loop", "minikinetics-213:" + "x" * 300, "published:",
    "published:" + "x" * 300, "timm/", "hf:", "torchvision:x", "1e999", "nan", "-1", "9" * 20, "9" * 5000, "0x10", "https://x/y", "hmdb51",
    "i3d", "c3d", "rgb", "flow", "rgb+flow", "micro", "paper", "full-ft", "imagenet", "scratch", "train.base_lr=nan", "train.steps=1e99",
    "scale.width=[]", "x.y=1", "train.base_lr=tuned", "flow.name=dis", "test", "val", "1", "2", "all", "json", "csv", "html", "top1",
)  # fmt: skip
VALUES = (
    "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "[]", "[[]]", "[1979-05-27]", "true", "[true, 1]", "{a = 1}", "[{a = 1}]", "nan", "-inf",
    "-1", "1.5", "''", "'x'", "'hmdb51'", "['hmdb51', 'ucf101']", "'i3d'", "'\\u0000'", "'folder:\\u0000'", "'~nosuchuser'", "1e999", "'all'", "1",
    "[1, 2]", "9" * 19, "'" + "x" * 5000 + "'", "[" * 5000,
)  # fmt: skip
KEYS = (
    "baseline", "modality", "dataset", "split", "subset", "protocol", "init", "source", "scale", "seed", "backbone", "set", "set.train", "set.x.y",
    "set.train.base_lr", "set.scale.width", "nothing",
)  # fmt: skip


def leaves(group: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(group, click.Group):
        yield words, group
        return
    context = click.Context(group)
    for verb in group.list_commands(context):
        command = group.get_command(context, verb)
        assert command is not None
        yield from leaves(command, (*words, verb))


COMMANDS = {words: leaf for words, leaf in leaves(commands.harness) if words[0] not in ("doctor", "mlflow")}
"""Without those that ask other programs and servers, which have tests of their own."""


def generated(rng: random.Random) -> list[str]:
    """A command with some of its options, each with any word."""
    words, command = rng.choice(list(COMMANDS.items()))
    argv = list(words)
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            argv += [rng.choice(WORDS)] if parameter.required or rng.random() < 0.4 else []
        elif parameter.name != "help" and rng.random() < 0.25:
            is_flag = isinstance(parameter, click.Option) and parameter.is_flag
            argv += [parameter.opts[0], *([] if is_flag else [rng.choice(WORDS)])]
    return argv


def selection_file(rng: random.Random, path: Path) -> list[str]:
    """A plan of a selection file with a few keys of any type."""
    lines = [f"{key} = {rng.choice(VALUES)}" for key in rng.sample(KEYS, rng.randint(1, 4))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ["plan", str(path)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file, a folder and a loop of links; nothing is trained or fetched."""
    monkeypatch.chdir(tmp_path)
    for name in ("HARNESS_DATA", "HARNESS_RESULTS"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()

    def refused(*_: object, **__: object) -> None:
        raise HarnessError("this test trains nothing")

    for module in (run, check):
        monkeypatch.setattr(module, "run_cells", refused)
    monkeypatch.setattr(check, "_checks", lambda *_: iter(()))
    return tmp_path


def status_of(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit status of the command in this process. Raises what would be a traceback, and TimeoutError if it hangs."""

    def hangs(*_: object) -> None:
        raise TimeoutError(f"after {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(LIMIT_S)
    monkeypatch.setattr("sys.argv", ["harness", *argv])
    try:
        commands.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return 0


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.faults)])
def test_any_command_ends_with_a_message(
    count: int, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, failures = random.Random(count), []
    for number in range(count):
        argv = selection_file(rng, place / "selection.toml") if number % 4 == 0 else generated(rng)
        try:
            status = status_of(argv, monkeypatch)
            assert status in (0, 1, 2), status
        except Exception as error:  # noqa: BLE001 (any is a defect; all are listed)
            cause = (place / "selection.toml").read_text()[:300] if number % 4 == 0 else argv
            failures.append(f"{type(error).__name__}: {str(error)[:150]}  {str(cause)[:300]}")
        capsys.readouterr()
    assert not failures, "\n".join([f"{len(failures)} of {count}", *failures])
