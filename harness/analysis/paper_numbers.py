"""The paper's numbers as printed, and the one way to read the files of `results/paper` and `results/expected`.

In a checkout they are in `results/`, in a wheel in `harness/_data/results/`. The paper's numbers, the expected numbers and
the numbers of a run are stored in three places; nothing here reads records.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.core.errors import HarnessError, unknown

KINETICS = "arxiv-kinetics400"
"""The current arXiv version: Kinetics-400, headline 98.0 / 80.9."""
MINIKINETICS = "cvpr2017-minikinetics"
"""arXiv v1 and the CVPR camera-ready: transfer from miniKinetics (213 classes), headline 97.9 / 80.2."""
VERSIONS = (KINETICS, MINIKINETICS)
SOURCES = {KINETICS: "kinetics400", MINIKINETICS: "minikinetics-213"}
"""Version of the paper -> its source data set for transfer, which is also its largest evaluation."""
PROTOCOLS = {2: "original", 3: "original", 5: "full-ft"}
"""Table -> protocol of all its numbers, where its columns do not name one."""
STAND_INS: Mapping[str, Mapping[str, str]] = {
    "paper": {name: name for name in ("ucf101", "hmdb51", "kinetics400", "minikinetics-213")},
    "micro": {
        "ucf101": "micro-ucf101",
        "hmdb51": "micro-hmdb51",
        "kinetics400": "micro-kinetics",
        "minikinetics-213": "micro-kinetics",
    },
}
"""Scale -> data set of the paper -> data set that represents it at this scale."""
Kind = Literal["paper", "expected"]
FIELDS = ["version", "table", "row", "column", "value", "note"]


@dataclass(frozen=True)
class PaperNumber:
    """One printed number."""

    version: str
    table: int
    row: str
    """A baseline's name; in Table 5 BASELINE/MODALITY/INIT, or 'quoted/METHOD' for results the paper quotes."""
    column: str
    """'/'-separated: DATASET/MODALITY (2), INIT/MODALITY/top1|top5 (3), DATASET/PROTOCOL/INIT (4), DATASET (5)."""
    value: float
    """Accuracy in percent; Table 1: millions of parameters, frames, seconds."""
    note: str = ""
    """Source of a quoted number, or a doubt; 'unverified' if it was not checked against the printed paper."""


def folder(kind: Kind) -> Path:
    """Folder of the files of this kind, in a wheel or a checkout. Raises HarnessError if neither has them."""
    package = Path(__file__).parents[1]
    for place in (package / "_data" / "results" / kind, package.parent / "results" / kind):
        if place.is_dir():
            return place
    raise HarnessError(f"the files of results/{kind} are not installed; reinstall quovadis-harness, or use a checkout")


def read_files(kind: Kind, suffix: str) -> dict[str, str]:
    """File name -> text of every file of this kind with this suffix ('.csv', '.toml'), sorted by name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder(kind).glob(f"*{suffix}"))}


@functools.lru_cache(maxsize=1)
def numbers() -> tuple[PaperNumber, ...]:
    """Every printed number, in the paper's order. Raises HarnessError with file and line of an invalid number."""
    parsed = [number for name, text in read_files("paper", ".csv").items() for number in _parse(name, text)]
    if len({(n.version, n.table, n.row, n.column) for n in parsed}) != len(parsed):
        raise HarnessError("results/paper has a number twice; restore its files, which must not be edited")
    return tuple(parsed)


def _parse(name: str, text: str) -> list[PaperNumber]:
    reader = csv.DictReader(io.StringIO(text))
    if reader.fieldnames != FIELDS:
        raise HarnessError(f"results/paper/{name} has columns {reader.fieldnames}, expected {FIELDS}; restore the file")
    parsed = []
    for line in reader:
        try:
            table, value = int(line["table"]), float(line["value"])
        except (TypeError, ValueError) as error:
            raise HarnessError(f"results/paper/{name}, line {reader.line_num}: {error}") from error
        parsed.append(PaperNumber(line["version"], table, line["row"], line["column"], value, line["note"] or ""))
    return parsed


def stand_in(name: str, scale: str) -> str:
    """The data set that represents the paper's at this scale. Raises UnknownName."""
    if scale not in STAND_INS:
        raise unknown("tables at scale", scale, STAND_INS)
    return STAND_INS[scale][name]


@functools.lru_cache(maxsize=16)
def table(number: int, version: str = KINETICS) -> Mapping[tuple[str, str], PaperNumber]:
    """(row, column) -> printed number, for one table of one version. Blank cells of the paper are left out."""
    if version not in VERSIONS:
        raise unknown("version of the paper", version, VERSIONS)
    return {(n.row, n.column): n for n in numbers() if (n.table, n.version) == (number, version)}
