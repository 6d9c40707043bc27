"""`harness run --profile` on toy videos: the page is there, and the numbers are those of a run without."""

from __future__ import annotations

import re

from tests.commands import FLOW, run, weights_of


def test_a_page_a_job_and_the_same_weights(house, transferred):
    words = ("--dataset", "toy-hmdb51", "--protocol", "fixed", *FLOW, "--set", "fixed.steps=3", "--no-mlflow")
    (cell,) = run(*words, "--profile", where=house)
    (head,) = cell["jobs"]
    pages = {path.stem: path.read_text() for path in (house / "results" / "profiles").iterdir()}
    assert head in pages and len(pages) == 2, "the features and the head, and nothing that was done before"
    (features,) = (text for job_id, text in pages.items() if job_id != head)
    seconds = {name: float(s) for name, s in re.findall(r"<td>([^<]+)</td><td>([\d.]+) s</td>", features)}
    assert seconds["scoring: the network"] > 0 and seconds["waiting for clips: reading, decoding, cutting"] > 0
    assert "What would help" in pages[head]
    assert weights_of(house, head)
