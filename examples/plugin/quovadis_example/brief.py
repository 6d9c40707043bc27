"""A protocol: train everything for 40 steps, starting from random weights or ImageNet's."""

from harness import Protocol, Schedule

PROTOCOL = Protocol(
    name="brief",
    title="Brief",
    weights_from="init",
    trained="all",
    stage="brief",
    schedules={"micro": Schedule(steps=40, batch=8, base_lr=0.01, optimizer="adamw", policy="one-cycle")},
)
