"""The printed numbers: complete, consistent with one another, keyed by version, and read from a checkout or a wheel."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.analysis import paper_numbers
from harness.core.errors import HarnessError
from reports.tables.table_4 import errors_removed

BASELINES = {"convnet-lstm", "c3d", "two-stream", "fused-3d", "i3d"}


def value(table: int, row: str, column: str) -> float:
    return paper_numbers.table(table)[row, column].value


def test_every_table_has_as_many_numbers_as_the_paper_prints() -> None:
    assert [len(paper_numbers.table(number)) for number in (1, 2, 3, 4, 5)] == [31, 31, 23, 54, 30]
    for number in (1, 2, 3, 4):
        assert {row for row, _ in paper_numbers.table(number)} == BASELINES


def test_table_2_on_small_sets_is_table_4_original_with_imagenet() -> None:
    for row in BASELINES - {"c3d"}:
        modality = "rgb" if row == "convnet-lstm" else "rgb+flow"
        for dataset in ("ucf101", "hmdb51"):
            assert value(2, row, f"{dataset}/{modality}") == value(4, row, f"{dataset}/original/imagenet")


def test_table_2_of_3d_convnet_is_table_4_original_without_imagenet() -> None:
    for dataset in ("ucf101", "hmdb51"):
        assert value(2, "c3d", f"{dataset}/rgb") == value(4, "c3d", f"{dataset}/original/scratch")


def test_table_2_on_kinetics_is_table_3_from_imagenet() -> None:
    checked = 0
    for (row, column), number in paper_numbers.table(2).items():
        dataset, modality = column.split("/")
        if dataset == "kinetics400":
            init = "scratch" if row == "c3d" else "imagenet"
            assert number.value == value(3, row, f"{init}/{modality}/top1")
            checked += 1
    assert checked == 9


def test_the_paper_claims_what_its_tables_say() -> None:
    for dataset in ("ucf101", "hmdb51"):
        best = max((n.value, row) for (row, column), n in paper_numbers.table(4).items() if column.startswith(dataset))
        assert best[1] == "i3d"
    for modality in ("rgb", "flow", "rgb+flow"):
        assert value(3, "i3d", f"imagenet/{modality}/top1") > value(3, "i3d", f"scratch/{modality}/top1")
        assert value(3, "i3d", f"imagenet/{modality}/top5") > value(3, "i3d", f"imagenet/{modality}/top1")
    # Section 5: errors cut by 63% and 35% (35.7) against the best quoted result, ST-ResNet + IDT.
    quoted = {dataset: value(5, "quoted/ST-ResNet + IDT", dataset) for dataset in ("ucf101", "hmdb51")}
    assert errors_removed(quoted["ucf101"], 98.0, 98.0) == pytest.approx(63.0, abs=0.1)
    assert errors_removed(quoted["hmdb51"], 80.9, 80.9) == pytest.approx(35.7, abs=0.1)


def test_headlines_are_keyed_by_version_and_row() -> None:
    assert value(5, "i3d/rgb+flow/imagenet", "ucf101") == 98.0
    assert value(5, "i3d/rgb+flow/scratch", "hmdb51") == 80.9
    first = paper_numbers.table(5, paper_numbers.MINIKINETICS)
    assert [first["i3d/rgb+flow/headline", dataset].value for dataset in ("ucf101", "hmdb51")] == [97.9, 80.2]
    assert not {row for row, _ in paper_numbers.table(5)} & {row for row, _ in first}


def test_versions_never_mix() -> None:
    assert not {c for _, c in paper_numbers.table(2)} & {
        c for _, c in paper_numbers.table(2, paper_numbers.MINIKINETICS)
    }
    assert all(n.note.startswith("unverified") for n in paper_numbers.table(2, paper_numbers.MINIKINETICS).values())
    with pytest.raises(HarnessError, match="did you mean 'arxiv-kinetics400'"):
        paper_numbers.table(2, "arxiv-kinetics40")


def test_quoted_rows_name_their_source() -> None:
    quoted = [n for n in paper_numbers.numbers() if n.row.startswith("quoted/")]
    assert len(quoted) == 18
    assert all(n.note.startswith("[") for n in quoted)


def test_accuracies_are_percentages() -> None:
    assert all(0 < n.value < 100 for n in paper_numbers.numbers() if n.table > 1)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that `paper_numbers` takes for the installed package."""
    folder = tmp_path / "site" / "harness"
    folder.mkdir(parents=True)
    monkeypatch.setattr(paper_numbers, "__file__", str(folder / "analysis" / "paper_numbers.py"))
    return folder


def test_a_wheel_reads_the_same_files_from_inside_the_package(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HarnessError, match="reinstall"):
        paper_numbers.folder("paper")
    checkout = Path(__file__).resolve().parents[2] / "results" / "paper"
    shutil.copytree(checkout, package / "_data" / "results" / "paper")
    assert paper_numbers.folder("paper") == package / "_data" / "results" / "paper"
    inside = paper_numbers.read_files("paper", ".csv")
    monkeypatch.undo()
    assert inside == paper_numbers.read_files("paper", ".csv")
    assert list(inside) == [f"table_{number}.csv" for number in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize(
    "text, said",
    [
        ("version,table,row\n", "expected"),
        ("version,table,row,column,value,note\narxiv-kinetics400,4,i3d,x,high,\n", "line 2"),
    ],
)
def test_a_damaged_file_is_named(text: str, said: str) -> None:
    with pytest.raises(HarnessError, match=rf"table_4.csv.*{said}"):
        paper_numbers._parse("table_4.csv", text)
