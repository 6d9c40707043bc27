"""How often a push asks a tracking server: each call is a transaction, which takes longer than its content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.records.record import Record, RunStore
from harness.records.tracking import Copied, open_tracker, push
from tests.unit.test_tracking import finished


class CountingClient:
    """The calls of an MLflow client, counted; it has a run of another command for each job of `jobs`: id -> complete."""

    def __init__(self, jobs: Mapping[str, str]) -> None:
        self.calls: Counter[str] = Counter()
        self.tags: list[list[str]] = []
        self._jobs = jobs

    def search_runs(self, experiments: list[str], **how: Any) -> Any:
        self.calls["search_runs"] += 1
        page = [
            SimpleNamespace(
                info=SimpleNamespace(run_id=f"run of {job}"),
                data=SimpleNamespace(tags={"job_hash": job, "complete": complete}),
            )
            for job, complete in self._jobs.items()
        ]
        return type("Page", (list,), {"token": None})(page)

    def create_run(self, *args: Any, **how: Any) -> Any:
        self.calls["create_run"] += 1
        return SimpleNamespace(info=SimpleNamespace(run_id=f"run {self.calls['create_run']}"))

    def log_batch(self, run: str, *, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        self.calls["log_batch"] += 1
        self.tags.append([tag.key for tag in tags])

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **how: Any) -> None:
            self.calls[name] += 1

        return call


def pushed(
    runs: Path, jobs: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> tuple[Copied, CountingClient, Counter[str]]:
    """What a push returns, the calls that it made, and how often it read each record's scores."""
    read: Counter[str] = Counter()

    def scores(record: Record) -> Any:
        read[record.job_id] += 1
        return original(record)

    original = Record.scores
    monkeypatch.setattr(Record, "scores", scores)
    tracker = open_tracker(None, runs.parent, "")
    tracker.server._client = client = CountingClient(jobs)
    return push(RunStore(runs), tracker), client, read


def test_a_push_asks_once_which_records_are_there_and_makes_five_calls_per_record(tmp_path, monkeypatch):
    records = [finished(seed, tmp_path / "runs") for seed in range(4)]
    copied, client, read = pushed(tmp_path / "runs", {records[2].job_id: "false"}, monkeypatch)
    assert len(copied.copied) == 4 and set(read.values()) == {1}
    per_record = {"log_inputs": 4, "log_artifacts": 4, "log_batch": 4, "create_run": 4 + 1, "set_terminated": 4 + 1}
    assert client.calls == {"search_runs": 1, "delete_run": 1, **per_record}
    assert [tags[-1] for tags in client.tags if tags] == ["complete"] * 4


def test_a_push_with_nothing_new_is_one_call_and_reads_no_record(tmp_path, monkeypatch):
    records = [finished(seed, tmp_path / "runs") for seed in range(3)]
    monkeypatch.setattr(RunStore, "read", lambda *_: pytest.fail("a record was read that MLflow has"))
    copied, client, _ = pushed(tmp_path / "runs", {record.job_id: "true" for record in records}, monkeypatch)
    assert copied.copied == () and len(copied.present) == 3
    assert client.calls == {"search_runs": 1}


def test_a_record_with_damaged_scores_costs_no_call(tmp_path, monkeypatch):
    records = [finished(seed, tmp_path / "runs") for seed in range(2)]
    records[0].path("scores.npz").write_bytes(b"other")
    copied, client, _ = pushed(tmp_path / "runs", {}, monkeypatch)
    assert copied.copied == (records[1].job_id,) and list(copied.damaged) == [records[0].job_id]
    assert client.calls["create_run"] == 1 + 1 and client.calls["log_batch"] == 1
