"""How often a push asks a tracking server: each call is a transaction, which takes longer than its content."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from harness.records.tracking import open_tracker, push
from tests.unit.test_tracking import finished


class CountingClient:
    """The calls of an MLflow client, counted; it has no runs, or one of another command for each job of `jobs`."""

    def __init__(self, jobs: tuple[str, ...] = ()) -> None:
        self.calls: Counter[str] = Counter()
        self.tags: list[list[str]] = []
        self._jobs = jobs

    def search_runs(self, experiments: list[str], **how: Any) -> Any:
        self.calls["search_runs"] += 1
        page = [
            SimpleNamespace(info=SimpleNamespace(run_id=f"run of {job}"), data=SimpleNamespace(tags={"job_hash": job}))
            for job in self._jobs
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


def test_a_push_asks_once_which_records_are_there_and_makes_six_calls_per_record(tmp_path):
    records = [finished(seed, tmp_path / "runs") for seed in range(4)]
    tracker = open_tracker(None, tmp_path, "")
    tracker.server._client = client = CountingClient(jobs=(records[2].job_id,))
    assert len(push(records, tracker).copied) == 4
    per_record = {"log_inputs": 4, "log_artifacts": 4, "log_batch": 2 * 4, "create_run": 4 + 1, "set_terminated": 4 + 1}
    assert client.calls == {"search_runs": 1, "delete_run": 1, **per_record}
    assert [tags[-1] for tags in client.tags if tags] == ["complete"] * 4
