"""`harness run --profile` on toy videos: a page for each job that ran, with its time split up."""

from __future__ import annotations

import re

import pytest

from tests.commands import FLOW, record_of, run

# One worker: others would wait for what these start from.
pytestmark = pytest.mark.xdist_group("transferred")


def test_a_page_for_the_job_that_ran(house, transferred):
    """The last `--set full-ft.steps` counts: three steps from the source that is there."""
    words = ("--dataset", "toy-hmdb51", "--protocol", "full-ft", *FLOW, "--set", "full-ft.steps=3")
    (cell,) = run(*words, "--profile", workspace=house)
    (page,) = (house / "results" / "profiles").iterdir()
    assert [page.stem] == list(cell["jobs"]), "nothing that was done before has one"
    rows = re.findall(r"<td>([^<]+)</td><td>([\d.]+) s</td>", page.read_text())
    seconds = {name: float(text) for name, text in rows}
    for stretch in ("forward", "backward", "scoring: the network", "waiting for clips: reading, decoding, cutting"):
        assert seconds[stretch] > 0
    assert seconds["trunk.conv1a"] > 0 and "What would help" in page.read_text()
    wall_s = record_of(house, page.stem)["cost"]["wall_s"]
    assert 0.5 * wall_s < sum(list(seconds.values())[:7]) <= 1.05 * wall_s, "every second has a place"
