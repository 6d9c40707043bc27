"""`harness mlflow pull` from a server that is hostile: it ends, and what it copies is a record like any other."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import HarnessError
from harness.records.record import RECORD, SCORES, RunStore
from harness.records.tracking import open_tracker, pull, push
from harness.records.tracking.bounded import Limits
from harness.records.tracking.server import Server
from tests.damage import DAMAGES
from tests.hostile_mlflow import serving
from tests.unit.test_tracking import finished, runs_in

LIMITS = Limits(seconds=300.0, file_bytes=1 << 24, memory_bytes=1 << 30)


def pulled(tmp_path: Path, limits: Limits = LIMITS, **how: Any) -> Any:
    with serving(**how) as uri:
        return pull(tmp_path / "runs", open_tracker(uri, tmp_path, "pulled"), limits=limits)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished job."""
    made = finished(0, tmp_path_factory.mktemp("runs")).folder
    assert made is not None
    return made


@pytest.mark.parametrize("pages", ["new tokens", "one token"])
def test_a_list_without_end_is_given_up(pages: str) -> None:
    with serving(pages=pages) as uri, pytest.raises(HarnessError, match="lists runs without end"):
        Server(uri, None, most_pages=20).complete_jobs()


def often(*case: Any, name: str) -> Any:
    """A case of `make test`; each takes seconds, because it starts a process that imports mlflow."""
    return pytest.param(*case, id=name)


def seldom(*case: Any, name: str) -> Any:
    return pytest.param(*case, id=name, marks=pytest.mark.faults)


@pytest.mark.parametrize(
    ("how", "limits", "says"),
    [
        seldom({"pages": "one token"}, {}, "lists runs without end", name="pages"),
        seldom({"pages": "endless"}, {}, "bytes of memory", name="page"),
        often({"file": "endless"}, {}, "a file over the limit of 16,777,216 bytes", name="file"),
        seldom(
            {"file": "endless"},
            {"file_bytes": 1 << 40, "total_bytes": 1 << 24},
            "has sent the limit of 16,777,216",
            name="files",
        ),
        seldom({"file": "slow"}, {"seconds": 15.0}, "in 15 s", name="slow"),
    ],
)
def test_a_pull_ends(how: dict[str, str], limits: dict[str, Any], says: str, record: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(HarnessError, match=says):
        pulled(
            tmp_path,
            dataclasses.replace(LIMITS, **limits),
            jobs=(record.name,),
            files={RECORD: b"{", SCORES: b""},
            **how,
        )
    assert time.monotonic() - began < LIMITS.seconds
    assert not list((tmp_path / "runs").glob("*"))


def test_names_that_are_no_ids_touch_no_path(record: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    jobs = ("../outside", str(outside), "..", "", record.name)
    copied = pulled(tmp_path, jobs=jobs, files=files_of(record))
    assert copied.copied == (record.name,) and len(copied.damaged) == 4
    assert RunStore(tmp_path / "runs").read(record.name).scores().ids
    assert not outside.exists() and [path.name for path in (tmp_path / "runs").iterdir()] == [record.name]


CHOSEN = (
    "torn",
    "top1 text",
    "files outside",
    "counts of others",
    "another id",
    "scores are text",
    "scores of no video",
)


def test_what_is_pulled_is_read_before_it_appears(record: Path, tmp_path: Path) -> None:
    """A database on this machine is read by the same code, without the cost of a server."""
    runs, made = tmp_path / "ours" / "runs", {}
    records = [finished(seed, runs) for seed in range(len(CHOSEN) + 1)]
    tracker = open_tracker(None, tmp_path, "pushed")
    push(RunStore(runs), tracker)
    for run in runs_in(tracker, "tags.complete = 'true'"):
        made[run.data.tags["job_hash"]] = Path(run.info.artifact_uri.removeprefix("file://"))
    for record_, name in zip(records[1:], CHOSEN, strict=True):
        DAMAGES[name](made[record_.job_id])
    copied = pull(tmp_path / "runs", tracker)
    assert copied.copied == (records[0].job_id,)
    assert set(copied.damaged) == {record_.job_id for record_ in records[1:]}
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [records[0].job_id]
    for message in map(str, copied.damaged.values()):
        assert "delete that run" in message and str(tmp_path) not in message
