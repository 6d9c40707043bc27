"""docs/reference/settings.md against the cards and the code: its names, defaults and values, its example and its variables."""

from __future__ import annotations

import dataclasses
import re
import tomllib
import typing
from pathlib import Path

import pytest

from harness.core import registry
from harness.core.contract import FlowMethod, Scale, Schedule
from harness.core.workspace import Workspace
from harness.planning.axes import AXES, selection_of
from harness.planning.overrides import apply_overrides
from harness.planning.plan import Planner
from harness.planning.selection import cells
from harness.protocols.scales import micro, paper

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
SCALES = {"paper": paper.SCALE, "micro": micro.SCALE}
FROM_SCALE = "the scale's"


def table(heading: str, number: int = 0) -> list[dict[str, str]]:
    """Rows of the n-th table below a heading, by column; backticks are taken off."""
    section = PAGE.split(f"# {heading}\n", 1)[1].split("\n#", 1)[0]
    found = re.findall(r"(?:^\|.*\|\n)+", section, flags=re.MULTILINE)[number]
    head, _, *rows = [
        [cell.strip().replace("`", "") for cell in line.strip("|").split(" |")] for line in found.splitlines()
    ]
    return [dict(zip(head, row, strict=True)) for row in rows]


def settable(value: Schedule | Scale | FlowMethod) -> dict[str, str]:
    """Name -> value as typed on the command line, for each field that `--set` takes: numbers, texts and booleans."""
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.name not in ("name", "version")}
    return {name: typed(item) for name, item in fields.items() if isinstance(item, (int, float, str))}


def typed(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def takes(kind: type, name: str) -> str:
    """What the page says that a field takes."""
    hint = typing.get_type_hints(kind)[name]
    return ", ".join(typing.get_args(hint)) or {int: "integer", float: "float", bool: "boolean", str: "word"}[hint]


def test_every_setting_of_a_schedule_stands_there_with_its_default():
    rows = {row["setting"].removeprefix("train."): row for row in table("Training schedule")}
    assert set(rows) == set(settable(paper.SCALE.stages["full-ft"]))
    for field in dataclasses.fields(Schedule):
        if field.name in rows:
            default = FROM_SCALE if field.default is dataclasses.MISSING else typed(field.default)
            assert rows[field.name]["default"] == default, field.name
            assert rows[field.name]["takes"].removesuffix(", or tuned") == takes(Schedule, field.name), field.name


def test_the_schedules_of_both_scales_are_the_cards():
    rows = {row["setting"]: row for row in table("Training schedule", 1)}
    defaults = {row["setting"].removeprefix("train."): row["default"] for row in table("Training schedule")}
    stages = {f"{name}: {stage}": card for name, scale in SCALES.items() for stage, card in scale.stages.items()}
    assert set(next(iter(rows.values()))) == {"setting", *stages}
    for column, schedule in stages.items():
        for name, value in settable(schedule).items():
            assert (rows[name][column] if name in rows else defaults[name]) == value, (column, name)


@pytest.mark.parametrize("heading", ["Sizes", "Flow"])
def test_every_size_stands_there_with_the_value_of_both_scales(heading):
    rows = {row["setting"].partition(".")[2]: row for row in table(heading)}
    for name, scale in SCALES.items():
        card = scale if heading == "Sizes" else scale.flow
        values = settable(card) | ({} if heading == "Sizes" else {"name": card.name})
        assert set(rows) == set(values)
        assert {setting: row[name] for setting, row in rows.items()} == values
        said = {setting: row["takes"] for setting, row in rows.items() if setting != "name"}
        assert said == {setting: takes(type(card), setting) for setting in said}


def test_flow_methods_and_parameters_are_those_there_are():
    (row,) = [row for row in table("Flow") if row["setting"] == "flow.name"]
    assert set(row["takes"].split(", ")) == set(registry.names("flow-method"))
    told = re.split(r"The micro\s+scale\s+sets\s", PAGE)[1].split(";")[0].replace("`", "")
    assert dict(re.findall(r"(\w+) ([\d.]+)", told)) == {k: str(v) for k, v in micro.SCALE.flow.params.items()}
    assert not paper.SCALE.flow.params


@pytest.mark.parametrize("heading", ["Training schedule", "Sizes", "Flow"])
def test_set_takes_every_setting_that_stands_there(heading):
    for row in table(heading):
        value = row.get("paper") or row["default"]
        if value == FROM_SCALE:
            value = settable(paper.SCALE.stages["full-ft"])[row["setting"].partition(".")[2]]
        apply_overrides(paper.SCALE, "full-ft", ((row["setting"], value),))


def test_the_axes_are_the_flags():
    assert tuple(row["flag (and key in a selection file)"].removeprefix("--") for row in table("Axes")) == tuple(AXES)


def test_the_selection_file_is_one_and_gives_the_cells_and_jobs_that_are_told(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert set(tomllib.loads(text)) - {"set"} <= set(AXES)
    file = tmp_path / "selection.toml"
    file.write_text(text)
    found = cells(selection_of({"file": str(file)}))
    planner = Planner(Workspace(data=tmp_path / "data", results=tmp_path / "results"), dry_run=True)
    for cell in found:
        planner.jobs_of(cell)
    assert f"# {len(found)} cells, {len(planner.jobs)} jobs" in PAGE


def test_every_environment_variable_of_ours_stands_there():
    files = [path for folder in ("harness", "baselines", "reports") for path in (ROOT / folder).rglob("*.py")]
    used = {name for path in files for name in re.findall(r"HARNESS_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))}
    told = {row["variable"] for row in table("Environment variables")}
    assert len(used) > 5 and used == {name for name in told if name.startswith("HARNESS_")}
