"""Callbacks that pass calls on: to several others, and to a slow one in the background."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from harness.core.callbacks import Callback, CallbackList, in_background
from harness.core.cells import Job
from tests.specs import train_spec

METHODS = [name for name in vars(Callback) if not name.startswith("_") and name != "for_job"]


class Slow(Callback):
    """Waits for `gate` in its first call."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.calls: list[tuple[Any, ...]] = []

    def stage(self, name: str, total: int, unit: str) -> None:
        assert self.gate.wait(20)
        self.calls.append(("stage", name))

    def advance(self, count: int = 1, note: str = "") -> None:
        self.calls.append(("advance", count, note))

    def note(self, text: str) -> None:
        raise ZeroDivisionError(text)


def test_a_slow_callback_delays_nothing_and_gets_every_call_in_order() -> None:
    slow = Slow()
    with in_background(slow) as callback:
        of_job = callback.for_job(Job(train_spec("micro"), "a job"))
        of_job.stage("train", 3, "steps")
        for number in range(3):
            of_job.advance(number, note="loss")
        assert slow.calls == [], "the caller did not wait"
        slow.gate.set()
    assert slow.calls == [("stage", "train"), ("advance", 0, "loss"), ("advance", 1, "loss"), ("advance", 2, "loss")]


def test_what_a_call_raises_in_the_background_is_raised_at_the_end() -> None:
    slow = Slow()
    with pytest.raises(ZeroDivisionError, match="first"), in_background(slow) as callback:
        callback.note("first")
        callback.note("second")
        callback.advance()
    assert slow.calls == []


@pytest.mark.parametrize("method", METHODS)
def test_every_call_is_passed_on(method: str) -> None:
    calls: list[tuple[Any, ...]] = []
    one = type("One", (Callback,), {method: lambda self, *arguments: calls.append(arguments)})()
    with in_background(CallbackList((one, one))) as callback:
        getattr(callback, method)("a", "b")
    assert calls == [("a", "b")] * 2
