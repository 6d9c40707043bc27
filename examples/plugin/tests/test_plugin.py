"""The package is installed, its plug-ins are found by name, and they work together."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from harness.core import registry


@pytest.mark.parametrize(
    ("kind", "name"), [("baseline", "space-time"), ("dataset", "moving-square"), ("protocol", "brief")]
)
def test_the_plug_in_is_found_by_its_name(kind: str, name: str) -> None:
    assert registry.origin(kind, name).startswith("quovadis_example."), "install the package first: pip install -e ."
    assert registry.load(kind, name).name == name


def test_the_baseline_learns_the_data_set_under_the_protocol(tmp_path: Path) -> None:
    (result,) = harness.run(
        baseline="space-time",
        dataset="moving-square",
        protocol="brief",
        data=tmp_path / "data",
        results=tmp_path / "results",
        mlflow=False,
    )
    assert result.n == 40
    assert result.top1 > 90
