"""Attentive: V-JEPA 2's attentive probe on cached features; the best of 20 on held-out groups, never on what is scored.

AdamW and a cosine without warm-up, as published; 20 passes over UCF-101 at paper scale.
"""

from harness.core.contract import Protocol, Schedule

PROTOCOL = Protocol(
    name="attentive",
    title="Attentive",
    weights_from="source",
    trained="head",
    head="attentive",
    stage="attentive",
    schedules={
        "paper": Schedule(steps=3_000, batch=64, base_lr=1e-3, optimizer="adamw", weight_decay=0.1, policy="cosine"),
        "micro": Schedule(steps=60, batch=32, base_lr=1e-3, optimizer="adamw", weight_decay=0.1, policy="cosine"),
    },
    train_views=3,
    order=103,
)
