"""`-v`, `-q` and the log file of a run: what the screen shows and more, also from worker processes, and once."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from harness import commands
from harness.commands import console, logs
from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.core.workspace import Workspace
from harness.launch.events import Event, EventDispatcher, EventSender, logging_to
from tests.specs import train_spec
from tests.unit.test_cli import COMMANDS

LIBRARY = logging.getLogger("harness.video.decode")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "data", tmp_path / "results")


def files(workspace: Workspace) -> list[Path]:
    return sorted(workspace.logs.glob("*")) if workspace.logs.is_dir() else []


def test_the_log_has_what_the_screen_shows_and_debugging_messages(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_THREADS", "2")
    progress = console.Progress()
    with logs.run_log(workspace) as log:
        LIBRARY.debug("before the file")
        path = log()
        progress.run_started(1)
        job = Job(train_spec(), "a job of a test")
        of_job = progress.for_job(job)
        of_job.job_started(job)
        of_job.stage("train", 40, "steps")
        of_job.curve(job.id, [(20, "train/loss", 1.25)])
        of_job.note("a video was skipped")
        progress.run_finished()
        LIBRARY.warning("slow file")
        warnings.warn("of a library", stacklevel=1)
        logs.echo("a table\nof two lines")
    printed = capsys.readouterr()
    assert printed.out == "a table\nof two lines\n"
    assert "a job of a test" in printed.err and "harness.video.decode: slow file" in printed.err
    assert "before the file" not in printed.err and "of a library" in printed.err
    assert files(workspace) == [path]
    text = path.read_text()
    for part in (
        "DEBUG   harness.video.decode: before the file",
        "HARNESS_THREADS=2",
        f"[1/1] a job of a test (job {job.id})",
        "[1/1] stage train, 40 steps",
        "[1/1] step 20: train/loss 1.25",
        "note: a video was skipped",
        "WARNING harness.video.decode: slow file",
        "UserWarning: of a library",
        "a table\nof two lines\n",
        "torch: ",
    ):
        assert text.count(part) == 1, part
    LIBRARY.debug("after the end")
    assert "after the end" not in path.read_text() and not logging.getLogger("harness").handlers


def test_a_command_that_runs_nothing_leaves_no_file(workspace: Workspace) -> None:
    with logs.run_log(workspace):
        LIBRARY.warning("nothing to do")
    assert not workspace.results.exists()


def test_the_error_that_ended_a_run_is_in_its_log_with_the_traceback(workspace: Workspace) -> None:
    with pytest.raises(ZeroDivisionError), logs.run_log(workspace) as log:
        log()
        1 / 0  # noqa: B018
    (path,) = files(workspace)
    assert "ERROR   harness.screen: the command stopped" in path.read_text()
    assert "ZeroDivisionError: division by zero" in path.read_text()


def test_a_full_disk_ends_no_run(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    with logs.run_log(workspace) as log:
        log()
        (file,) = [handler for handler in logging.getLogger("harness").handlers if isinstance(handler, logs._LogFile)]
        with Path("/dev/full").open("w") as full:
            file.setStream(full)
            LIBRARY.debug("lost")
            file.close()
    assert "Traceback" not in capsys.readouterr().err


def example(*words: str) -> tuple[str, str]:
    """Output of a command that logs, prints and shows progress, with these options."""

    @click.command()
    @logs.options
    def command() -> None:
        LIBRARY.debug("a detail")
        LIBRARY.error("a fault")
        logs.note("a note")
        logs.echo("a result")
        with console.screen(jobs=0) as callback:
            callback.note("progress")

    done = CliRunner().invoke(command, words, catch_exceptions=False)
    return done.stdout, done.stderr


def test_quiet_prints_results_and_errors_alone() -> None:
    assert example("-q") == ("a result\n", "harness.video.decode: a fault\n")


def test_verbose_prints_debugging_messages_too() -> None:
    out, err = example("--verbose")
    assert out == "a result\n"
    assert err.splitlines() == [
        "harness.video.decode: a detail",
        "harness.video.decode: a fault",
        "note: a note",
        "  note: progress",
    ]
    assert "a detail" not in example()[1] and "note: a note" in example()[1]


def test_both_are_refused() -> None:
    assert "-v and -q contradict each other" in example("-v", "-q")[1]


def test_every_verb_takes_them() -> None:
    verbs = {name: command for name, command in COMMANDS.items() if not isinstance(command, click.Group)}
    without = [name for name, command in verbs.items() if "-q" not in [o for p in command.params for o in p.opts]]
    assert len(verbs) > 20 and not without


def test_what_a_worker_logs_goes_to_the_driver() -> None:
    job, events = Job(train_spec(), "a job"), list[Event]()
    with logging_to(EventSender(job.id, events.append)):
        LIBRARY.debug("decoded %d frames", 7)
        warnings.warn("of a library", stacklevel=1)
    LIBRARY.debug("after the job")
    assert [(event[1], event[2][:2]) for event in events] == [
        ("log", (logging.DEBUG, "harness.video.decode")),
        ("log", (logging.WARNING, "py.warnings")),
    ]
    messages: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = messages.append  # type: ignore[method-assign]
    handler.setLevel(logging.DEBUG)
    with logs._handled(handler):
        dispatcher = EventDispatcher([job], Callback(), read=lambda job_id: None)  # type: ignore[arg-type, return-value]
        for event in events:
            dispatcher.dispatch(event)
    assert next(record.getMessage() for record in messages) == "decoded 7 frames" and len(messages) == 2


@pytest.mark.parametrize("name", ["harness", "quovadis"])
def test_help_and_errors_have_the_name_that_was_called(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"harness": "quovadis", "quovadis": "harness"}[name]
    for words in (["--help"], ["ls", "--help"], ["predict", "--help"], ["plan"], ["rnu"]):
        monkeypatch.setattr(sys, "argv", [f"/usr/bin/{name}", *words])
        with contextlib.suppress(SystemExit):
            commands.main()
        printed = "".join(capsys.readouterr())
        assert name in printed and f"`{other} " not in printed and f"{other}: " not in printed
    monkeypatch.setattr(sys, "argv", ["/somewhere/__main__.py"])
    assert commands.program() == "harness"
