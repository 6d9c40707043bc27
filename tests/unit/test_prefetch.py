"""Copies beside computing: on a CPU nothing happens, and on a GPU everything in the order that keeps memory true.

No GPU is needed: streams that write down what is asked of them stand in for torch's.
"""

from __future__ import annotations

import contextlib

import pytest
import torch

from harness.training.config import Step
from harness.training.prefetch import prefetch_to_device


class Clip:
    def __init__(self, number, told):
        self.number, self.told = number, told

    def record_stream(self, stream):
        self.told.append(f"{stream.name} reads {self.number}")


class Stream:
    def __init__(self, name, told):
        self.name, self.told = name, told

    def wait_stream(self, other):
        self.told.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def told(monkeypatch):
    told: list[str] = []
    computing = Stream("computing", told)

    @contextlib.contextmanager
    def on(stream):
        told.append(f"on {stream.name}")
        yield
        told.append("back")

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream("copying", told))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: computing)
    monkeypatch.setattr(torch.cuda, "stream", on)
    return told


def steps(count, told):
    for number in range(count):
        told.append(f"copy {number}")
        yield Step({"rgb": Clip(number, told)}, Clip(f"labels {number}", told), (str(number),))


def test_a_cpu_is_given_each_step_when_it_asks():
    told: list[str] = []
    found = prefetch_to_device(steps(2, told), "cpu")
    next(found)
    assert told == ["copy 0"]


def test_the_next_copy_is_under_way_before_a_step_computes(told):
    numbers = []
    for step in prefetch_to_device(steps(3, told), "cuda:0"):
        numbers.append(step.ids[0])
        told.append(f"compute {step.ids[0]}")
    assert numbers == ["0", "1", "2"], "all, once, in order"
    assert told.index("copy 1") < told.index("compute 0") < told.index("copy 2") < told.index("compute 1")


def test_computing_waits_for_its_copy_and_memory_for_computing(told):
    found = prefetch_to_device(steps(2, told), "cuda")
    next(found)
    assert told == [
        *("on copying", "copy 0", "back"),
        "computing waits for copying",
        *("computing reads 0", "computing reads labels 0"),
        *("on copying", "copy 1", "back"),
    ]
