"""A cluster of three nodes, simulated on this machine by Ray's own means, that loses a worker, a node and the driver.

Every node is a raylet of its own with one core; the results folder is what they share. Figures are printed with `-s`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.launch.ray import driver
from harness.launch.ray.cluster import prepare_environment
from tests import fakejobs

pytestmark = pytest.mark.faults
ROOT = Path(__file__).resolve().parents[2]
STEPS, STEP_S = 12, 0.3


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without cores, and three nodes of one core."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HARNESS_NODE_FOLDER", str(tmp_path / "nodes"))
    monkeypatch.setenv("HARNESS_PLUGINS", str(ROOT / "tests" / "toys"))
    prepare_environment(None)
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.three = [made.add_node(num_cpus=1) for _ in range(3)]
    made.wait_for_nodes(120)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def where(tmp_path: Path) -> Workspace:
    (tmp_path / "results").mkdir()
    return Workspace(tmp_path / "data", tmp_path / "results")


def jobs() -> list[fakejobs.Job]:
    tops = [fakejobs.fake_job(number, steps=STEPS, step_s=STEP_S) for number in range(4)]
    return [*tops, *(fakejobs.fake_job(10 + n, after=tops[n : n + 2], steps=STEPS, step_s=STEP_S) for n in range(3))]


def when_running(workspace: Workspace, do: Any) -> threading.Thread:
    """Call `do` once three jobs are in the middle."""

    def wait() -> None:
        while True:
            time.sleep(0.05)
            steps = (
                Counter(job for job, _ in fakejobs.steps_done(workspace.results)) if _begun(workspace) else Counter()
            )
            if len(steps) >= 3 and min(steps.values()) >= 2:
                do()
                return

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def _begun(workspace: Workspace) -> bool:
    return (workspace.results / "steps").exists()


def check(workspace: Workspace, all_jobs: list[fakejobs.Job], callback: fakejobs.Recorder, *, lost: int) -> None:
    """Every job has its record and was told of once; of a lost job at most the step under way was done again."""
    done = Counter(fakejobs.steps_done(workspace.results))
    assert set(done) == {(job.id, step) for job in all_jobs for step in range(STEPS)}
    again = sum(done.values()) - len(done)
    sys.stdout.write(f"{again} step(s) of {len(done)} done again after {lost} lost job(s); a checkpoint is 1 step\n")
    assert again <= lost
    assert sorted(JobOptions(workspace).run_store.ids()) == sorted(job.id for job in all_jobs)
    for what in ("started", "finished"):
        assert Counter(t for w, t in callback.calls if w == what) == Counter(job.title for job in all_jobs)
    assert list(workspace.jobs.iterdir()) == []


def test_a_killed_worker(cluster, where):
    callback, all_jobs = fakejobs.Recorder(), jobs()

    def kill() -> None:
        pids = [int(line.split()[2]) for line in (where.results / "steps").read_text().splitlines()]
        os.kill(pids[-1], signal.SIGKILL)

    killer = when_running(where, kill)
    assert driver.launch(
        fakejobs.plan_of(all_jobs, where), JobOptions(where), callback, address=cluster.address, run=fakejobs.run_fake
    ) == len(all_jobs)
    killer.join(1)
    check(where, all_jobs, callback, lost=1)
    assert sum("its worker was lost" in text for what, text in callback.calls if what == "note") == 1


def test_a_killed_node(cluster, where):
    callback, all_jobs = fakejobs.Recorder(), jobs()
    killer = when_running(where, lambda: cluster.remove_node(cluster.three[1], allow_graceful=False))
    driver.launch(
        fakejobs.plan_of(all_jobs, where), JobOptions(where), callback, address=cluster.address, run=fakejobs.run_fake
    )
    killer.join(1)
    check(where, all_jobs, callback, lost=1)


def test_nodes_that_share_no_folder(cluster, where, tmp_path):
    """Records and checkpoints go through a URL; a node is lost with all that lay on it."""
    nodes, url = tmp_path / "nodes", (tmp_path / "store").as_uri()
    callback, all_jobs = fakejobs.Recorder(), jobs()
    lost: list[str] = []

    def lose_one() -> None:
        lost.append(cluster.three[1].node_id[:12])
        cluster.remove_node(cluster.three[1], allow_graceful=False)

    def on_all(then: Any) -> None:
        while len([n for n in nodes.glob("*/steps") if len(n.read_text().splitlines()) >= 6]) < 3:
            time.sleep(0.05)
        then()

    killer = threading.Thread(target=on_all, args=(lose_one,), daemon=True)
    killer.start()
    ran = driver.launch(
        fakejobs.plan_of(all_jobs, where),
        JobOptions(where),
        callback,
        address=cluster.address,
        storage=url,
        run=fakejobs.run_fake,
    )
    killer.join(1)
    assert not killer.is_alive() and ran == len(all_jobs)
    assert sorted(JobOptions(where).run_store.ids()) == sorted(job.id for job in all_jobs)
    assert Counter(t for w, t in callback.calls if w == "finished") == Counter(job.title for job in all_jobs)
    assert len(list(nodes.glob(f"*-{lost[0]}"))) == 1
    left = [
        step for folder in nodes.iterdir() if not folder.name.endswith(lost[0]) for step in fakejobs.steps_done(folder)
    ]
    twice = sum(count - 1 for count in Counter(left).values())
    sys.stdout.write(
        f"{len(left)} step(s) of {STEPS * len(all_jobs)} on the nodes that are left, {twice} of them twice\n"
    )
    assert twice == 0
    # The lost node's steps up to its last checkpoint in the storage were not done again.
    assert len(left) < STEPS * len(all_jobs)
    assert (
        driver.launch(
            fakejobs.plan_of(all_jobs, where),
            JobOptions(where),
            callback,
            address=cluster.address,
            storage=url,
            run=fakejobs.run_fake,
        )
        == 0
    )


def test_a_new_driver_takes_over_what_the_storage_has(cluster, where, tmp_path):
    url, all_jobs = (tmp_path / "store").as_uri(), jobs()
    how = {"address": cluster.address, "storage": url, "run": fakejobs.run_fake}
    assert driver.launch(fakejobs.plan_of(all_jobs[:3], where), JobOptions(where), fakejobs.Recorder(), **how) == 3
    other = Workspace(where.data, tmp_path / "elsewhere")
    assert (
        driver.launch(fakejobs.plan_of(all_jobs, other), JobOptions(other), fakejobs.Recorder(), **how)
        == len(all_jobs) - 3
    )
    assert sorted(JobOptions(other).run_store.ids()) == sorted(job.id for job in all_jobs)


DRIVER = """
import sys
from pathlib import Path
from harness.jobs.options import JobOptions
from harness.launch.ray import driver
from harness.core.workspace import Workspace
from harness.core.callbacks import Callback
from tests import fakejobs
from tests.faults.test_cluster import jobs
where = Workspace(Path(sys.argv[1]) / "data", Path(sys.argv[1]) / "results")
driver.launch(fakejobs.plan_of(jobs(), where), JobOptions(where), Callback(), address=sys.argv[2], run=fakejobs.run_fake)
"""


def test_a_killed_driver_comes_back(cluster, where, tmp_path):
    words = [sys.executable, "-c", DRIVER, str(tmp_path), cluster.address]
    first = subprocess.Popen(words, cwd=ROOT)
    when_running(where, lambda: first.send_signal(signal.SIGKILL)).join(120)
    first.wait(30)
    callback, all_jobs = fakejobs.Recorder(), jobs()
    finished = set(JobOptions(where).run_store.ids())
    driver.launch(
        fakejobs.plan_of(all_jobs, where), JobOptions(where), callback, address=cluster.address, run=fakejobs.run_fake
    )
    done = Counter(fakejobs.steps_done(where.results))
    assert set(done) == {(job.id, step) for job in all_jobs for step in range(STEPS)}
    assert sum(done.values()) - len(done) <= 3, "one step for each of three nodes"
    assert sorted(JobOptions(where).run_store.ids()) == sorted(job.id for job in all_jobs)
    assert not finished & {job.id for job in all_jobs if ("started", job.title) in callback.calls}
    assert list(where.jobs.iterdir()) == []


TOY = ["--dataset", "toy-hmdb51", "--modality", "rgb", "--baseline", "i3d,c3d", "--protocol", "full-ft,fixed"]
TOY += ["--init", "scratch", "--no-mlflow", "--json"]
for stage in ("source", "full-ft", "fixed"):
    TOY += ["--set", f"{stage}.steps=3", "--set", f"{stage}.batch=4"]


def run(where: Path, *more: str) -> list[dict]:
    environment = os.environ | {
        "HARNESS_DATA": str(where.parent / "data"),
        "HARNESS_RESULTS": str(where),
        "HARNESS_THREADS": "1",
    }
    words = [sys.executable, "-m", "harness", "run", *TOY, *more]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    (last,) = [e for line in done.stdout.splitlines() if (e := json.loads(line))["event"] == "results"]
    return last["cells"]


def test_the_same_numbers_on_three_nodes_one_of_which_is_lost(cluster, tmp_path):
    alone = run(tmp_path / "alone")
    records = tmp_path / "cluster" / "runs"

    def after_two_records() -> None:
        while len(list(records.glob("[0-9a-f]*/record.json"))) < 2:
            time.sleep(0.05)
        cluster.remove_node(random.Random(0).choice(cluster.three), allow_graceful=False)

    threading.Thread(target=after_two_records, daemon=True).start()
    together = run(tmp_path / "cluster", "--launcher", "ray", "--address", cluster.address)
    assert together == alone and len(alone) == 4
    for job_id in os.listdir(tmp_path / "alone" / "runs"):
        path = tmp_path / "alone" / "runs" / job_id / "scores.npz"
        if path.exists():
            one, two = np.load(path), np.load(records / job_id / "scores.npz")
            for part in one.files:
                np.testing.assert_array_equal(one[part], two[part])
