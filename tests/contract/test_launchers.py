"""What every launcher must do with the jobs of a plan; a third-party one (plugins/counting.py) included.

pytest tests/contract/test_launchers.py --plugins FOLDER         on yours as well
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import CliRunner

from harness import commands
from harness.core import registry
from harness.core.callbacks import Callback
from harness.core.errors import HarnessError
from harness.core.plugins import Launcher
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.launch.ray.cluster import cluster
from tests.fakejobs import Recorder, diamond, fake_job, plan_of, run_fake, slow_jobs, steps_done

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = Path(__file__).parent / "plugins"
FOLDERS = os.pathsep.join(filter(None, [os.environ.get(registry.PLUGINS_ENV, ""), str(PLUGINS)]))
with patch.dict(os.environ, {registry.PLUGINS_ENV: FOLDERS}):
    LAUNCHERS = registry.all("launcher")

every_launcher = pytest.mark.parametrize("launcher", LAUNCHERS.values(), ids=LAUNCHERS)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("HARNESS_THREADS", "2")
    (tmp_path / "results").mkdir()
    return Workspace(tmp_path / "data", tmp_path / "results")


@pytest.fixture(scope="module")
def ray_started() -> Iterator[None]:
    """Ray on this machine, started once: `cluster` uses the Ray that its process is connected to."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HARNESS_THREADS", "2")
        with cluster(None, 2):
            yield


@pytest.fixture
def launch(launcher: Launcher, workspace: Workspace, request: pytest.FixtureRequest):
    """Launch a plan of fake jobs; returns the number of jobs run."""
    if launcher.name == "ray":
        request.getfixturevalue("ray_started")

    def call(jobs, callback: Callback | None = None) -> int:
        plan = plan_of(jobs, workspace)
        return launcher.launch(plan, JobOptions(workspace), callback or Callback(), run=run_fake)

    return call


def test_the_launchers_are_registered():
    assert {"local", "ray", "counting"} <= set(LAUNCHERS)


@every_launcher
def test_the_value_is_complete(launcher):
    assert launcher.title and not launcher.title.endswith(".")
    for option in launcher.options:
        assert option.name.isidentifier() and option.name == option.name.lower()
        assert option.help.endswith(".") and option.metavar.isupper()


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch):
    """The command line, without HARNESS_PLUGINS: arguments -> (exit status, output)."""
    monkeypatch.setenv(registry.PLUGINS_ENV, "")
    # Verbs read the registry when they are imported.
    monkeypatch.delitem(sys.modules, "harness.commands.run", raising=False)
    monkeypatch.delitem(sys.modules, "harness.commands.options", raising=False)

    def call(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(commands.harness, words)
        error = str(result.exception) if isinstance(result.exception, HarnessError) else ""
        return result.exit_code, " ".join((result.output + error).split())

    return call


def test_a_launcher_in_a_folder_of_plugins_adds_its_options(harness):
    status, text = harness("run", "--plugins", str(PLUGINS), "--help")
    assert status == 0 and "counting (one after another, counted)" in text and "--count-file FILE" in text
    assert all(f"--{option.name.replace('_', '-')}" in text for option in LAUNCHERS["ray"].options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--address", "host:1"], "--address host:1 requires --launcher ray"),
        (["--storage", "s3://a/b"], "--storage s3://a/b requires --launcher ray"),
        (["--gpus-per-job", "2", "--launcher", "counting"], "--gpus-per-job 2 requires --launcher ray"),
        (["--count-file", "n", "--launcher", "ray"], "--count-file n requires --launcher counting"),
        (["--launcher", "rya"], "no launcher 'rya'; have: counting, local, ray; did you mean 'ray'?"),
    ],
)
def test_options_of_another_launcher_are_refused(harness, words, message):
    status, text = harness("run", f"--plugins={PLUGINS}", *words)
    assert status != 0 and message in text


def test_the_third_party_launcher_counts(workspace, tmp_path):
    plan, file = plan_of(diamond(), workspace), tmp_path / "count"
    LAUNCHERS["counting"].launch(plan, JobOptions(workspace), Callback(), run=run_fake, count_file=file)
    assert file.read_text() == "4"


@every_launcher
def test_every_job_runs_once_after_the_jobs_it_needs(launcher, launch, workspace):
    jobs, callback = diamond(steps=2), Recorder()
    assert launch(jobs, callback) == 4
    done = steps_done(workspace.results)
    assert Counter(done) == Counter((job.id, step) for job in jobs for step in range(job.spec.steps))
    assert done[0][0] == jobs[0].id and done[-1][0] == jobs[3].id
    assert Counter(callback.calls) == Counter((name, job.title) for job in jobs for name in ("started", "finished"))
    assert callback.calls[0] == ("started", "fake 0") and callback.calls[-1] == ("finished", "fake 3")
    assert list(workspace.jobs.iterdir()) == []
    assert launch(jobs, callback) == 0


@every_launcher
def test_an_error_names_its_job_and_finished_jobs_keep_their_records(launcher, launch, workspace):
    first = fake_job(0)
    bad = fake_job(1, after=[first], fails=True)
    with pytest.raises(HarnessError, match="^fake 1 cannot be done; choose another number"):
        launch([first, bad, fake_job(2, after=[bad])])
    assert JobOptions(workspace).run_store.ids() == [first.id]


COMMAND = """
import sys
from pathlib import Path
from harness.core import registry
from harness.core.callbacks import Callback
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from tests.fakejobs import plan_of, run_fake, slow_jobs
if __name__ == "__main__":
    workspace = Workspace(Path(sys.argv[1]) / "data", Path(sys.argv[1]) / "results")
    launcher = registry.load("launcher", sys.argv[2])
    launcher.launch(plan_of(slow_jobs(), workspace), JobOptions(workspace), Callback(), run=run_fake)
"""


@pytest.mark.parametrize(
    "launcher",
    # Starting Ray twice takes half a minute.
    [
        pytest.param(launcher, id=name, marks=[pytest.mark.faults] * (name == "ray"))
        for name, launcher in LAUNCHERS.items()
    ],
)
def test_ctrl_c_ends_all_processes_and_the_next_command_resumes(launcher, workspace, tmp_path):
    script = tmp_path / "command.py"
    script.write_text(COMMAND)
    environment = os.environ | {"PYTHONPATH": str(ROOT), registry.PLUGINS_ENV: FOLDERS}
    command = [sys.executable, str(script), str(tmp_path), launcher.name]
    process = subprocess.Popen(
        command,
        env=environment,
        start_new_session=True,
        # Shells let background jobs ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(_lines(workspace)) < 4 and process.poll() is None:
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode and "KeyboardInterrupt" in errors, errors
    before = len(_lines(workspace))
    time.sleep(0.5)
    assert len(_lines(workspace)) == before < 30, "a job still runs"
    subprocess.run(command, env=environment, check=True, timeout=240)
    done = Counter(steps_done(workspace.results))
    assert set(done) == {(job.id, step) for job in slow_jobs() for step in range(15)}
    assert sum(done.values()) <= 30 + 2, "more repeated than the step under way, per job"


def _lines(workspace: Workspace) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return (workspace.results / "steps").read_text().splitlines()
    return []
