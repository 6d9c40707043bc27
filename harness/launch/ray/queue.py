"""Events of jobs on their way to the driver: an actor that holds them until they are fetched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from harness.core import processes
from harness.launch.events import Event, EventDispatcher

POLL_EVERY_S = 0.2
"""Between two fetches of the jobs' events."""


class _EventQueue:
    """A Ray actor on the driver's node that holds events until the driver fetches them."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)

    def flushed(self) -> None: ...

    def fetch(self) -> list[Event]:
        events, self.events = self.events, []
        return events


@contextlib.contextmanager
def event_queue(ray: Any) -> Iterator[Any]:
    """The actor, on this node: it cannot be lost without the driver."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    this_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    queue = ray.remote(_EventQueue).options(num_cpus=0, scheduling_strategy=this_node).remote()
    try:
        yield queue
    finally:
        ray.kill(queue)


def forward_events(ray: Any, queue: Any, dispatcher: EventDispatcher) -> None:
    """Dispatch the events that have arrived since the last call."""
    for event in ray.get(queue.fetch.remote()):
        dispatcher.dispatch(event)


@contextlib.contextmanager
def event_stream(ray: Any, dispatcher: EventDispatcher) -> Iterator[Any]:
    """The actor, with a thread that dispatches its events, for a block that waits for something else."""
    with event_queue(ray) as queue, processes.repeated(lambda: forward_events(ray, queue, dispatcher), POLL_EVERY_S):
        yield queue
