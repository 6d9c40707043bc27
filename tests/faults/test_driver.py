"""Kills, a full disk, a sick MLflow server, and files that rot, around whole commands on toy videos.

In every case the final cells are those of an undisturbed run. Figures are printed with `-s`.
"""

from __future__ import annotations

import http.server
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.toyworld import render_source, render_target

pytestmark = pytest.mark.faults
ROOT = Path(__file__).resolve().parents[2]
KILLS = 30
CHECKPOINT_STEPS = 5
WORDS = [
    "run",
    "--dataset",
    "toy-hmdb51",
    "--protocol",
    "full-ft,fixed",
    "--modality",
    "rgb",
    "--init",
    "scratch",
    "--json",
]
for stage, steps in (("source", 60), ("full-ft", 40), ("fixed", 60)):
    WORDS += ["--set", f"{stage}.steps={steps}", "--set", f"{stage}.batch=4"]
    WORDS += ["--set", f"{stage}.checkpoint_every={CHECKPOINT_STEPS}"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("toys")
    render_source(root / "toy-kinetics")
    render_target(root / "toy-hmdb51")
    return root


def environment(data: Path, results: Path, **extra: str) -> dict[str, str]:
    return os.environ | {
        "HARNESS_DATA": str(data),
        "HARNESS_RESULTS": str(results),
        "HARNESS_PLUGINS": str(ROOT / "tests" / "toys"),
        "HARNESS_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        **extra,
    }


def start(data: Path, results: Path, *more: str, **extra: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "harness", *WORDS, *more]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(words, env=environment(data, results, **extra), **piped)  # type: ignore[call-overload, no-any-return]


def finished(process: subprocess.Popen[str]) -> tuple[int, list[dict], str]:
    """(exit code, cells, what it said on standard error)."""
    out, said = process.communicate(timeout=900)
    cells = [event["cells"] for line in out.splitlines() if (event := json.loads(line))["event"] == "results"]
    return process.returncode, cells[0] if cells else [], said


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict], float]:
    """(its results folder, its cells, what it took)."""
    results = tmp_path_factory.mktemp("undisturbed")
    began = time.monotonic()
    code, cells, said = finished(start(data, results, "--no-mlflow"))
    assert code == 0 and len(cells) == 2, said
    return results, cells, time.monotonic() - began


def same(results: Path, cells: list[dict], undisturbed: tuple[Path, list[dict], float]) -> None:
    """The same cells from the same logits, one record a job, nothing half-written."""
    reference, expected, _ = undisturbed
    assert cells == expected
    names = sorted(os.listdir(reference / "runs"))
    assert sorted(os.listdir(results / "runs")) == names and len(names) == 4
    for name in names:
        if (reference / "runs" / name / "scores.npz").exists():
            one, two = (np.load(r / "runs" / name / "scores.npz")["logits"] for r in (reference, results))
            np.testing.assert_array_equal(one, two)
    assert os.listdir(results / "jobs") == []


# ------------------------------------------------------------------------------------------------ kill -9


def test_the_driver_is_killed_at_random_moments(data, undisturbed, tmp_path):
    """After each kill the same command goes on; when a run comes through before its kill, the next begins anew."""
    _, _, whole_s = undisturbed
    chance, kills, number, lost = random.Random(0), 0, 0, []
    results = tmp_path / str(number)
    while kills < KILLS:
        process = start(data, results, "--no-mlflow")
        try:
            process.wait(chance.uniform(0.1, whole_s))
            code, cells, said = finished(process)
            assert code == 0, said
            same(results, cells, undisturbed)
            number += 1
            results = tmp_path / str(number)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            lost += newest_checkpoints(results)
    code, cells, said = finished(start(data, results, "--no-mlflow"))
    assert code == 0, said
    same(results, cells, undisturbed)
    sys.stdout.write(
        f"{kills} kills over {number + 1} run(s) of {whole_s:.1f} s; checkpoints found after a kill at steps {sorted(lost)}; "
        f"each is at most {CHECKPOINT_STEPS} steps old\n"
    )
    assert lost, "no kill hit a training: the test has shown nothing"
    assert all(step % CHECKPOINT_STEPS == 0 for step in lost)


def newest_checkpoints(results: Path) -> list[int]:
    return [
        max(int(path.stem) for path in folder.glob("[0-9]*.ckpt"))
        for folder in (results / "jobs").glob("*/")
        if list(folder.glob("[0-9]*.ckpt"))
    ]


def test_two_commands_for_the_same_jobs(data, undisturbed, tmp_path):
    """One works, the other waits and takes its results; between them every job is done once."""
    results = tmp_path / "results"
    one, two = start(data, results, "--no-mlflow"), start(data, results, "--no-mlflow")
    done = [process.communicate(timeout=900) for process in (one, two)]
    assert (one.returncode, two.returncode) == (0, 0), done
    events = [json.loads(line) for out, _ in done for line in out.splitlines()]
    started = [event["job"] for event in events if event["event"] == "job_started"]
    assert len(started) == len(set(started)) == 4
    for cells in (event["cells"] for event in events if event["event"] == "results"):
        same(results, cells, undisturbed)


# ------------------------------------------------------------------------------------------------ a full disk

SMALL_DISK = """
set -e
mount -t tmpfs -o size=$1 tmpfs "$HARNESS_RESULTS"
shift
if "$@" >/dev/null 2>"$SAID"; then exit 9; fi
[ -z "$(find "$HARNESS_RESULTS" -name '*.npz' -size 0)" ]
find "$HARNESS_RESULTS/runs" -name '.*.half' | wc -l >"$HALVES"
mount -o remount,size=1g "$HARNESS_RESULTS"
"$@" >"$OUT"
cp -r "$HARNESS_RESULTS" "$KEPT"
"""


@pytest.mark.parametrize("size", ["64k", "2m", "5m"])
def test_the_disk_is_full(data, undisturbed, tmp_path, size):
    """A disk of 64 KiB cannot take a checkpoint, one of 2 MiB no record, one of 5 MiB only the first."""
    inside = ["unshare", "--map-root-user", "--mount"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*inside, "mount", "-t", "tmpfs", "none", str(tmp_path)]).returncode
    ):
        pytest.skip("this system does not let a test mount a small disk (unshare --mount)")
    results = tmp_path / "results"
    results.mkdir()
    paths = {name: str(tmp_path / name.lower()) for name in ("SAID", "OUT", "KEPT", "HALVES")}
    command = [sys.executable, "-m", "harness", *WORDS, "--no-mlflow"]
    done = subprocess.run(
        [*inside, "sh", "-c", SMALL_DISK, "sh", size, *command],
        env=environment(data, results, **paths),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, (done.stderr, (tmp_path / "said").read_text())
    said = (tmp_path / "said").read_text()
    assert "No space left" in said and "run the same command again" in said and "Traceback" not in said, said
    assert int((tmp_path / "halves").read_text()) == 0, "half a record was left on the full disk"
    cells = [
        e["cells"]
        for line in (tmp_path / "out").read_text().splitlines()
        if (e := json.loads(line))["event"] == "results"
    ]
    same(tmp_path / "kept", cells[0], undisturbed)


# ------------------------------------------------------------------------------------------------ MLflow


class Sick(http.server.BaseHTTPRequestHandler):
    """Answers 500, or takes the request and says nothing."""

    hangs = False
    asked = 0

    def answer(self) -> None:
        type(self).asked += 1
        if self.hangs:
            time.sleep(600)
        self.send_response(500)
        self.end_headers()
        self.wfile.write(b"no")

    do_GET = do_POST = do_PATCH = answer

    def log_message(self, *words: object) -> None: ...


@pytest.fixture
def sick_uri(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "vanished":
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        return
    handler = type("Handler", (Sick,), {"hangs": request.param == "hangs", "asked": 0})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    sys.stdout.write(f"{handler.asked} request(s) to a server that {request.param}\n")
    assert 0 < handler.asked <= MOST_ASKED


MOST_ASKED = 6
"""Requests that a sick server may get from a whole command: it is given up, not asked for every job."""


@pytest.mark.parametrize("sick_uri", ["500", "hangs", "vanished"], indirect=True)
def test_a_sick_mlflow_server(data, undisturbed, tmp_path, sick_uri, request):
    results = tmp_path / "results"
    began = time.monotonic()
    code, cells, said = finished(start(data, results, MLFLOW_TRACKING_URI=sick_uri))
    took = time.monotonic() - began
    assert code == 0, said
    same(results, cells, undisturbed)
    assert said.count("harness mlflow push") == 1, said
    sys.stdout.write(f"{request.node.callspec.id}: {took:.1f} s, undisturbed without MLflow {undisturbed[2]:.1f} s\n")


# ------------------------------------------------------------------------------------------------ files that rot


def test_a_rotten_checkpoint_falls_back_to_the_one_before(data, undisturbed, tmp_path):
    results = tmp_path / "results"
    process = start(data, results, "--no-mlflow")
    while process.poll() is None and not any(
        len(list(f.glob("[0-9]*.ckpt"))) > 1 for f in (results / "jobs").glob("*/")
    ):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (job,) = [folder for folder in (results / "jobs").glob("*/") if list(folder.glob("[0-9]*.ckpt"))]
    _, newest = sorted(job.glob("[0-9]*.ckpt"))
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    out, said = start(data, results, "--no-mlflow").communicate(timeout=900)
    events = [json.loads(line) for line in out.splitlines()]
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert any(newest.name in text and "the one before" in text for text in notes), (notes, said)
    same(results, events[-1]["cells"], undisturbed)


@pytest.mark.parametrize("name", ["record.json", "scores.npz"])
def test_a_rotten_record_is_refused_by_name_and_run_again_when_removed(data, undisturbed, tmp_path, name):
    results = tmp_path / "results"
    shutil.copytree(undisturbed[0], results)
    victim = results / "runs" / undisturbed[1][0]["jobs"][0]
    content = bytearray((victim / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (victim / name).write_bytes(content)
    code, _, said = finished(start(data, results, "--no-mlflow"))
    assert code == 2 and str(victim) in said and "Traceback" not in said, said
    shutil.rmtree(victim)
    code, cells, said = finished(start(data, results, "--no-mlflow"))
    assert code == 0, said
    same(results, cells, undisturbed)
