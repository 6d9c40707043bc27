"""Ray itself: connected to, or started for the time being."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from harness.core import environment
from harness.core.errors import HarnessError

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    # A task without a GPU must not see those of others.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    # A group of processes waits for its share of a busy cluster, and then imports torch: Ray Train gives both a minute.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "86400",
}
"""Of Ray, set before it is imported where the user has not set them."""
PASSED_ON = ("HARNESS_PLUGINS", "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S")
"""Environment variables of the driver that its workers need."""


STARTS = 4


def prepare_environment(address: str | None) -> None:
    """What must be set before ray is imported: no reports to its makers, and a Ray that is started here is for us alone."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if address is None and "RAY_AUTH_MODE" not in os.environ:
        # Nobody else on this machine may reach it, and no token is left in the user's home.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(16))


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[Any]:
    """ray, connected: to `address`, to RAY_ADDRESS, to what this process is connected to, or to one started for the block."""
    address = address or os.environ.get("RAY_ADDRESS") or None
    prepare_environment(address)
    with contextlib.ExitStack() as stack:
        # Ray tells of lost nodes on standard output, where results (and JSON) belong to us alone.
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        import ray

        if not ray.is_initialized():
            stack.callback(ray.shutdown)
            _connect(ray, address, stack)
        yield ray


def _connect(ray: Any, address: str | None, stack: contextlib.ExitStack) -> None:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    common = {"log_to_driver": False, "logging_level": "error", "runtime_env": {"env_vars": passed}}
    if address is None:
        # Short: Ray puts sockets in it, whose paths may have 107 characters.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
        # Ray must be gone before its folder.
        stack.callback(ray.shutdown)
        _start(ray, num_cpus=environment.cpu_threads(), include_dashboard=False, _temp_dir=folder, **common)
        return
    try:
        ray.init(address, **common)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise HarnessError(
            f"no Ray cluster answers at {address} ({type(error).__name__}: {str(error).splitlines()[0]}); start one with "
            "`ray start --head`, or leave --address out to use this machine alone"
        ) from error


def _start(ray: Any, **how: Any) -> None:
    """A Ray on this machine. Ray gives its own processes half a minute to come up, which a busy machine may exceed."""
    for left in reversed(range(STARTS)):
        try:
            ray.init("local", **how)
            return
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise
            ray.shutdown()


def most_of(ray: Any) -> dict[str, float]:
    """The most of each resource that one living node has."""
    most: dict[str, float] = {}
    for node in ray.nodes():
        if node["Alive"]:
            for name, amount in node["Resources"].items():
                most[name] = max(most.get(name, 0.0), amount)
    return most
