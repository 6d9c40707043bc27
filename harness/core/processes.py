"""Worker processes: they exit when their parent does, and leave Ctrl-C to it. And whether a process runs."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import resource_tracker
from types import ModuleType
from typing import Any

from harness.core import registry

PR_SET_PDEATHSIG = 1
"""Option of Linux's prctl."""
child_variables: dict[str, str] = {}
"""Environment variables that processes started by `starting` have in addition."""


def start_time(pid: int) -> float | None:
    """When a running process of this machine was started, in seconds since the epoch; None if it has ended (or a zombie)."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def begin_worker(plugins: str | None = None) -> None:
    """For a pool's initializer; `plugins` is `registry.plugin_folders()` of the parent, for work that loads by name.

    Ctrl-C reaches the whole process group, but only the parent decides what happens.
    """
    registry.use_plugins(plugins)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    # If the parent is killed, workers would wait for work indefinitely; the next command resumes theirs.
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()


def begin_writer(plugins: str | None = None) -> None:
    """As `begin_worker`, for a pool whose processes write files and end before the thread that started them.

    On Linux the kernel kills such a process together with its parent. Otherwise one that is busy compiling would notice only
    afterwards, and begin a file that no later command expects.
    """
    begin_worker(plugins)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if (parent := multiprocessing.parent_process()) and not parent.is_alive():
            os._exit(1)


def _exit_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def repeated(action: Callable[[], None], every_s: float) -> Iterator[None]:
    """Calls `action` every `every_s` seconds during the block, in a thread, and once more at its end."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(every_s):
            action()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        action()


@contextlib.contextmanager
def starting(variables: Mapping[str, str] | None = None) -> Iterator[None]:
    """Processes that start in the block have Ctrl-C blocked until `begin_worker` decides about it, no main module, and
    `child_variables` and `variables` in their environment.

    In the middle of its imports, a Python process could only print a traceback. And a process that is spawned imports the main
    module of its parent: a script that calls `harness.run` without `if __name__ == "__main__"` would run again in each.
    """
    # Otherwise the first process that needs the tracker starts it, and it unblocks Ctrl-C.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    added = {**child_variables, **(variables or {})}
    inherited = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in inherited.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        sys.modules["__main__"] = main
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Terminated(SystemExit):
    """A signal asked the process to end; the exit status is that of a process that the signal kills."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `Terminated` in the block, so that it cleans up as after Ctrl-C. Ignored signals stay ignored."""

    def terminate(number: int, _: object) -> None:
        raise Terminated(128 + number)

    with contextlib.ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                stack.enter_context(_handled(number, terminate))
        yield


@contextlib.contextmanager
def sigterm_handler_restored() -> Iterator[None]:
    """The handler of SIGTERM after the block is the one before it, unless that was the system's, which does not clean up."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before not in (None, signal.SIG_DFL):
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No Ctrl-C, SIGTERM or SIGHUP in the block: a second one must not interrupt the cleaning up after the first."""
    with contextlib.ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            stack.enter_context(_handled(number, signal.SIG_IGN))
        yield


@contextlib.contextmanager
def _handled(number: signal.Signals, handler: Any) -> Iterator[None]:
    """The handler in the block, in the main thread; no effect in others, which get no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(number, before)
