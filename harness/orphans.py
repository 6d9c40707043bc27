"""Worker processes that leave when the process that started them is gone."""

from __future__ import annotations

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """For a pool's initializer. A killed parent tells its workers nothing: they would wait for work for ever, and what they have
    under way belongs to who runs the command next."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_after, args=(parent,), daemon=True).start()


def _leave_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
