"""Durations and sizes: the unit grows with the number, so that it stays short."""

import pytest

from reports.units import duration, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119, "119 s"), (185, "3 min"), (7200, "2.0 h"), (172800, "2.0 days"), (1e6, "12 days"), (1e8, "3 years")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(3e5, "0.3 MB"), (1.2e8, "120 MB"), (3.44e9, "3.4 GB"), (2e12, "2,000.0 GB")]
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text
