"""Ray, connected to a cluster or started on this machine."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from harness.core import processes
from harness.core.errors import HarnessError

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    # Tasks that wait for a failed one fail with it; its own error is the one to raise.
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    # A task without a GPU must not see those of other tasks.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}
"""Ray's environment variables, set before it is imported unless the user has set them."""
START_ATTEMPTS = 4


def prepare_environment(address: str | None) -> None:
    """Set what Ray reads when it is imported: no usage reports, and a private token for a Ray that is started here."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if address is None and "RAY_AUTH_MODE" not in os.environ:
        # Other users of this machine cannot connect, and no token is written to the user's home folder.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(16))


@contextlib.contextmanager
def cluster(address: str | None, cpus: int) -> Iterator[Any]:
    """The module `ray`, connected to `address` or RAY_ADDRESS or this process's cluster, or else to one for the block.

    That one is on this machine and has `cpus` cores.
    """
    address = address or os.environ.get("RAY_ADDRESS") or None
    prepare_environment(address)
    with contextlib.ExitStack() as stack:
        # Ray reports lost nodes on standard output, which is reserved for results (and JSON).
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        stack.enter_context(_terminated())
        import ray

        if not ray.is_initialized():
            stack.callback(ray.shutdown)
            with processes.sigterm_handler_restored(), _no_alarm():
                _connect(ray, address, cpus, stack)
        yield ray


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """Ray handles SIGTERM with `sys.exit(15)` while it starts, and replaces a SystemExit while it waits: here it is `Terminated`."""
    try:
        yield
    except SystemExit as error:
        raise error if isinstance(error, processes.Terminated) else processes.Terminated(128 + signal.SIGTERM) from None


@contextlib.contextmanager
def _no_alarm() -> Iterator[None]:
    """Ray's own handler of SIGTERM sets an alarm that aborts the process 3 s later, while its start is still being undone: the
    alarm is cancelled, unless this process had a timer before."""
    had_timer = signal.getitimer(signal.ITIMER_REAL)[0] > 0

    def cancel() -> None:
        if not had_timer:
            signal.alarm(0)

    with processes.repeated(cancel, 1.0):
        yield


def _connect(ray: Any, address: str | None, cpus: int, stack: contextlib.ExitStack) -> None:
    # No runtime_env: Ray's agent would have to start before the first worker, which costs seconds.
    common = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        # A short path: Ray puts sockets in it, whose paths may have 107 characters.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
        # Before the folder is removed.
        stack.callback(_stop, ray, folder)
        _start(ray, num_cpus=cpus, include_dashboard=False, _temp_dir=folder, **common)
        return
    try:
        ray.init(address, **common)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise HarnessError(
            f"no Ray cluster answers at {address} ({type(error).__name__}: {str(error).splitlines()[0]}); start one with "
            "`ray start --head`, or omit --address to start Ray on this machine"
        ) from error


def _start(ray: Any, **settings: Any) -> None:
    """Start Ray on this machine. Ray gives its own processes half a minute to start, too short on a busy machine."""
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            ray.init("local", **settings)
            return
        except Exception as error:
            if attempt == START_ATTEMPTS or "timed out during startup" not in str(error):
                raise
            ray.shutdown()


def _stop(ray: Any, folder: str) -> None:
    """Stop the Ray whose files are in `folder`, and end all its processes.

    Ray leaves workers behind that are still starting. They would look for the stopped processes for half a minute.
    """
    with processes.undisturbed():
        started = _processes_of(folder)
        ray.shutdown()
        for process in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _processes_of(folder: str) -> list[psutil.Process]:
    """Child processes whose command line names the folder, and all processes below them."""
    below = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if any(folder in word for word in child.cmdline()):
                below += [child, *child.children(recursive=True)]
    return below


def largest_node(ray: Any) -> dict[str, float]:
    """Resource name -> the largest amount that a single living node has of it."""
    return _over_nodes(ray, max)


def all_nodes(ray: Any) -> dict[str, float]:
    """Resource name -> the amount that all living nodes have of it together."""
    return _over_nodes(ray, lambda first, second: first + second)


def _over_nodes(ray: Any, combine: Callable[[float, float], float]) -> dict[str, float]:
    combined: dict[str, float] = {}
    for node in ray.nodes():
        if node["Alive"]:
            for name, amount in node["Resources"].items():
                combined[name] = combine(combined.get(name, 0.0), amount)
    return combined
