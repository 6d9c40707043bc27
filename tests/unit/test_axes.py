"""Numbers as they are typed: lists and ranges, wherever a seed is taken."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from harness import api, commands
from harness.core.errors import HarnessError
from harness.planning.axes import LONGEST_RANGE, numbers
from tests.unit.test_cli import COMMANDS


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("3",), (3,)),
        (("0-4",), (0, 1, 2, 3, 4)),
        (("0-2,7",), (0, 1, 2, 7)),
        (("0-1", "1-3"), (0, 1, 2, 3)),
        (("5-5",), (5,)),
        (("2, 4-5",), (2, 4, 5)),
        ((f"1-{LONGEST_RANGE}",), tuple(range(1, LONGEST_RANGE + 1))),
    ],
)
def test_numbers_and_ranges(words: tuple[str, ...], expected: tuple[int, ...]) -> None:
    assert numbers("seed", words) == expected


@pytest.mark.parametrize(
    "word", ["4-0", "-1", "1-", "0--2", "a", "0-b", "", "1,,2", "1.5", f"0-{LONGEST_RANGE}", "9" * 99]
)
def test_anything_else_is_refused(word: str) -> None:
    with pytest.raises(HarnessError, match=r"--seed .*expected whole numbers from 0, or ranges .*such as --seed 0-2,7"):
        numbers("seed", (word,))


WITH_SEEDS = [name for name, command in COMMANDS.items() for option in command.params if "--seed" in option.opts]


def test_every_command_with_seeds_takes_a_range() -> None:
    several = [name for name in WITH_SEEDS if name != "harness scores import"]  # a file has the scores of one training
    assert sorted(several) == [f"harness {verb}" for verb in ("claims", "ls", "plan", "run", "table", "tune")]
    for name in several:
        command = COMMANDS[name]
        words = {"harness table": ["4"], "harness ls": ["jobs"]}.get(name, [])
        context = command.make_context(name, [*words, "--seed", "0-2,7"])
        values = context.params.get("seeds") or context.params["seed"]
        assert numbers("seed", values) == (0, 1, 2, 7)


def test_a_plan_has_one_cell_per_seed() -> None:
    words = ["plan", "--dataset", "micro-hmdb51", "--protocol", "original", "--seed", "0-4"]
    done = CliRunner().invoke(commands.harness, words, catch_exceptions=False)
    assert "5 cell(s)" in done.output


def test_python_takes_a_range_and_its_text() -> None:
    for seed in (range(3), "0-2", [0, "1-2"]):
        cells = api.plan(dataset="micro-hmdb51", protocol="original", seed=seed).plan.cells
        assert [cell.seed for cell in cells] == [0, 1, 2]
