"""`harness run --profile` on toy videos: a page and traces for each job that ran."""

from __future__ import annotations

import re

import pytest

from tests.commands import FLOW, record_of, run

# One worker: others would wait for what these start from.
pytestmark = pytest.mark.xdist_group("transferred")


def test_a_page_for_the_job_that_ran(house, transferred):
    """The last `--set full-ft.steps` counts: three steps from the finished source."""
    words = ("--dataset", "toy-hmdb51", "--protocol", "full-ft", *FLOW, "--set", "full-ft.steps=3")
    (cell,) = run(*words, "--profile", workspace=house)
    folder = house / "results" / "profiles"
    (job,) = cell["jobs"]
    names = {f"{job}.html", f"{job}.train.json.gz", f"{job}.score.json.gz"}
    assert {path.name for path in folder.iterdir()} == names, "jobs that were finished before have none"
    page = (folder / f"{job}.html").read_text()
    stages = {name: float(text) for name, text in re.findall(r"<td>([^<]+)</td><td>([\d.]+) s</td>", page)}
    assert {"train", "score"} < set(stages) and all(seconds > 0 for seconds in stages.values())
    assert sum(stages.values()) <= record_of(house, job)["cost"]["wall_s"], "no second is counted in two stages"
    steps = {name: float(text) for name, text in re.findall(r"<td>([^<]+)</td><td>([\d.]+) ms</td>", page)}
    for part in ("forward", "backward", "wait for clips", "optimizer", "trunk.conv1a", "aten::convolution_backward"):
        assert steps[part] > 0
    assert "Suggestions" in page
