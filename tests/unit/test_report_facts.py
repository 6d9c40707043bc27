"""What the report says without torch is what the networks say: sizes on file, and receptive fields by arithmetic."""

from __future__ import annotations

import pytest

from harness.models.measure import receptive_fields
from reports.figures import receptive
from reports.tables import table_1

SHIPPED = table_1.shipped()
QUICK = [key for key in SHIPPED if "paper" in key and key.endswith("400 classes")]
"""What `harness table 1` prints unless it is asked for something else."""


def held(key: str) -> bool:
    card, scale, classes = SHIPPED[key]
    return table_1.measure(card, scale=scale, classes=classes) == table_1.size_of(card, scale=scale, classes=classes)


def test_everything_that_ships_is_on_file() -> None:
    assert len(SHIPPED) == 15 and set(SHIPPED) == set(table_1._on_file())


@pytest.mark.parametrize("key", QUICK)
def test_the_sizes_that_table_1_prints_are_those_of_the_built_networks(key: str) -> None:
    assert len(QUICK) == 5
    assert held(key)


@pytest.mark.slow
@pytest.mark.parametrize("key", [key for key in SHIPPED if key not in QUICK])
def test_the_other_sizes_on_file_are_too(key: str) -> None:
    assert held(key)


def test_receptive_fields_by_arithmetic_are_those_of_the_layers() -> None:
    assert receptive.fields() == receptive_fields()
