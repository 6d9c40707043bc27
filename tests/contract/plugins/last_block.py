"""A third-party protocol with a schedule of its own: the head and the last block are trained, the rest is frozen."""

from harness.core.contract import Protocol, Schedule

PROTOCOL = Protocol(
    name="last-block",
    title="Last block",
    weights_from="source",
    trained="last-1",
    stage="last-block",
    schedules={"micro": Schedule(steps=8, batch=8, base_lr=1e-3, optimizer="adamw", policy="one-cycle")},
    order=4,
)
