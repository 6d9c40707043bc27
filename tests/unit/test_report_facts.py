"""What the report says without torch is what the networks say: sizes on file, and receptive fields by arithmetic."""

from __future__ import annotations

import pytest

from baselines.parts.facts import receptive_fields
from reports.figures import receptive
from reports.tables import table_1

SHIPPED = table_1.shipped()
QUICK = [key for key in SHIPPED if "micro" in key]


def held(key: str) -> None:
    card, scale, classes = SHIPPED[key]
    assert table_1.measure(card, scale=scale, classes=classes) == table_1.size_of(card, scale=scale, classes=classes)


def test_everything_that_ships_is_on_file() -> None:
    assert len(SHIPPED) == 15 and set(SHIPPED) == set(table_1._on_file())


@pytest.mark.parametrize("key", QUICK)
def test_sizes_on_file_are_measured_at_micro_scale(key: str) -> None:
    assert len(QUICK) == 5
    held(key)


@pytest.mark.slow
@pytest.mark.parametrize("key", [key for key in SHIPPED if key not in QUICK])
def test_sizes_on_file_are_measured_at_paper_scale(key: str) -> None:
    held(key)


def test_receptive_fields_by_arithmetic_are_those_of_the_layers() -> None:
    assert receptive.fields() == receptive_fields()
