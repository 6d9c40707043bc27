"""Prefetching: nothing happens on a CPU, and on a GPU everything in the order that keeps memory valid.

No GPU is needed: torch's streams are replaced by streams that record their calls.
"""

from __future__ import annotations

import contextlib

import pytest
import torch

from harness.training.config import Step
from harness.training.prefetch import prefetch_to_device


class Clip:
    def __init__(self, number, events):
        self.number, self.events = number, events

    def record_stream(self, stream):
        self.events.append(f"{stream.name} reads {self.number}")


class Stream:
    def __init__(self, name, events):
        self.name, self.events = name, events

    def wait_stream(self, other):
        self.events.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def events(monkeypatch):
    events: list[str] = []
    computing = Stream("computing", events)

    @contextlib.contextmanager
    def on(stream):
        events.append(f"on {stream.name}")
        yield
        events.append("back")

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream("copying", events))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: computing)
    monkeypatch.setattr(torch.cuda, "stream", on)
    return events


def steps(count, events):
    for number in range(count):
        events.append(f"copy {number}")
        yield Step({"rgb": Clip(number, events)}, Clip(f"labels {number}", events), (str(number),))


def tensors(step):
    return (*step.inputs.values(), step.labels)


def test_a_cpu_is_given_each_step_when_it_asks():
    events: list[str] = []
    prefetched = prefetch_to_device(steps(2, events), "cpu", tensors)
    next(prefetched)
    assert events == ["copy 0"]


def test_the_next_copy_is_under_way_before_a_step_computes(events):
    numbers = []
    for step in prefetch_to_device(steps(3, events), "cuda:0", tensors):
        numbers.append(step.ids[0])
        events.append(f"compute {step.ids[0]}")
    assert numbers == ["0", "1", "2"], "all, once, in order"
    assert events.index("copy 1") < events.index("compute 0") < events.index("copy 2") < events.index("compute 1")


def test_computing_waits_for_its_copy_and_memory_for_computing(events):
    prefetched = prefetch_to_device(steps(2, events), "cuda", tensors)
    next(prefetched)
    assert events == [
        *("on copying", "copy 0", "back"),
        "computing waits for copying",
        *("computing reads 0", "computing reads labels 0"),
        *("on copying", "copy 1", "back"),
    ]
