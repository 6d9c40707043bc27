"""Jobs one after the other in this process: laptops, debuggers, CI."""

from __future__ import annotations

from harness.plan import Plan
from harness.run import House, execute
from harness.watch import Watch


def launch(plan: Plan, house: House, watch: Watch) -> int:
    """Run every job that is still to do, each after those it needs; returns how many ran."""
    for job in plan.to_do:
        execute(job, house, watch)
    return len(plan.to_do)
