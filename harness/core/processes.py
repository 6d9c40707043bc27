"""Worker processes: they leave when the process that started them is gone, and Ctrl-C is not theirs but its."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker


def begin_worker() -> None:
    """For a pool's initializer. Ctrl-C reaches the whole group: the process that gave the work decides what happens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _end_with_parent()


def _end_with_parent() -> None:
    """A killed parent tells its workers nothing: they would wait for work for ever, and what they have under way belongs to
    who runs the command next."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_after, args=(parent,), daemon=True).start()


def _leave_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Processes that start within inherit that Ctrl-C waits, until `begin_worker` says what it means to them.

    Half-way through its imports a Python process can only print a traceback of them.
    """
    # Started by the first process that needs it, it would let Ctrl-C through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No Ctrl-C within, in the main thread: an impatient second one would leave half of the work of the first undone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
