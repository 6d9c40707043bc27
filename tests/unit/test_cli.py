"""The command line as a person meets it: overviews that are whole."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from harness import commands
from harness.commands.options import split_at_commas

ROOT = Path(__file__).resolve().parents[2]


def walk(command: click.Command, name: str = "harness") -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for verb in command.list_commands(click.Context(command)):
            yield from walk(command.get_command(click.Context(command), verb), f"{name} {verb}")


COMMANDS = dict(walk(commands.harness))
GROUPS = [name for name, command in COMMANDS.items() if isinstance(command, click.Group)]


def overview(name: str) -> str:
    """As a terminal of 80 columns shows it, the narrowest that click writes for."""
    group = COMMANDS[name]
    return group.get_help(click.Context(group, info_name=name, terminal_width=80))


def test_there_are_commands_to_look_at():
    assert len(COMMANDS) > 20 and len(GROUPS) > 3


def test_the_overview_imports_no_verb():
    program = (
        "import sys; from harness.commands import main; sys.argv[1:] = ['--help']; main(); print(list(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    modules = re.findall(
        r"'((?:harness\.commands|harness\.planning|baselines|reports|numpy)\b[\w.]*)'", out.splitlines()[-1]
    )
    assert modules == ["harness.commands"]


def test_a_new_file_is_a_new_verb(tmp_path, monkeypatch):
    folder = tmp_path / "verbs_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "helper.py").write_text('"""No verb."""\n')
    (folder / "greet.py").write_text(
        '"""`verbs_of_a_test greet`: Print a greeting."""\n'
        "import click\n\n@click.command()\ndef command():\n    click.echo('hello')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("verbs_of_a_test")
    group = commands.Package("verbs_of_a_test")
    assert CliRunner().invoke(group, ["greet"]).output == "hello\n"
    overview = CliRunner().invoke(group, ["--help"]).output
    assert "greet  Print a greeting." in overview and "helper" not in overview
    assert "Print a greeting." in CliRunner().invoke(group, ["greet", "--help"]).output


@pytest.mark.parametrize("name", GROUPS)
def test_no_line_of_an_overview_is_cut_short(name):
    lines = overview(name).partition("Commands:")[2].splitlines()
    assert len(lines) > 2 and not [line for line in lines if line.endswith("...")]


@pytest.mark.parametrize("name", [name for name in GROUPS if name != "harness"])
def test_a_group_names_all_its_verbs(name):
    (line,) = [line for line in overview("harness").splitlines() if line.split()[:1] == name.split()[1:]]
    verbs = COMMANDS[name].list_commands(click.Context(COMMANDS[name]))
    assert verbs and not [verb for verb in verbs if verb not in line]


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_alone_prints_its_overview(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", name.split())
    commands.main()
    told = capsys.readouterr()
    assert told.out.startswith("Usage: ") and "Commands:" in told.out and not told.err


def test_table_offers_the_formats_there_are():
    from reports.tables.render import FORMATS

    (option,) = [option for option in COMMANDS["harness table"].params if "--format" in option.opts]
    assert set(option.type.choices) == set(FORMATS)


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ([0.0], "▁  0.0%"),
        ([0.067, 0.077], "▁▁  6.7 to 7.7%"),
        ([0.0, 0.2, 0.5, 1.0], "▁▂▅█  0.0 to 100.0%"),
        ([0.5] * 120, f"{'▅' * 60}  50.0%"),
    ],
)
def test_every_point_of_a_curve_shows(shares, words):
    from harness.commands.predict import curve_text

    assert curve_text(shares) == words


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ("ok ok", "2 of 2 expected numbers are reproduced."),
        ("ok fail missing missing", "1 of 4 expected numbers are reproduced, 1 is not, 2 missing from the results."),
        ("fail fail", "0 of 2 expected numbers are reproduced, 2 are not."),
    ],
)
def test_check_counts_what_is_missing_apart(states, words):
    from harness.analysis.regression.compare import CheckOutcome
    from harness.commands.check import as_text

    outcomes = [CheckOutcome("micro", "retrained", "a cell", state, "40%", "41%") for state in states.split()]
    assert as_text(outcomes).splitlines()[-1] == words


@pytest.mark.parametrize(
    "value, names",
    [
        ("i3d,c3d", ["i3d", "c3d"]),
        ("torchvision:r3d_18,torchvision:s3d,hf:{}/net,i3d-r50, tsn", ["torchvision:r3d_18", "torchvision:s3d", "hf:{}/net", "i3d-r50", "tsn"]),
        ("hf:owner/name@v1,per-frame", ["hf:owner/name@v1", "per-frame"]),
        ("hf:{}/a, b,c,i3d", ["hf:{}/a, b,c", "i3d"]),
        ("folder:{}/a, b,c,folder:{}/net", ["folder:{}/a, b,c", "folder:{}/net"]),
        ("folder:" + "x" * 5000, ["folder:" + "x" * 5000]),
    ],
    ids=["names", "a command of six", "a repository", "a path with commas", "two paths", "too long"],
)  # fmt: skip
def test_names_are_split_at_commas_and_existing_paths_are_not(tmp_path, value, names):
    (tmp_path / "net").mkdir()
    (tmp_path / "a, b,c").mkdir()
    place = str(tmp_path)
    split = split_at_commas(None, None, (value.replace("{}", place),))
    assert list(split) == [name.replace("{}", place) for name in names]
