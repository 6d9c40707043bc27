"""What of a protocol, a schedule, a scale and its flow a job depends on: their part in its spec, and so in its id."""

from __future__ import annotations

from typing import Any

from harness.core.contract import Protocol, Scale, Schedule
from harness.core.spec import plain
from harness.video.flow import estimation


def schedule_key(schedule: Schedule) -> dict[str, Any]:
    """All of it; `lr_factors` came later than the others and says nothing where it is empty."""
    fields: dict[str, Any] = plain(schedule)
    if not fields["lr_factors"]:
        del fields["lr_factors"]
    return fields


def flow_key(scale: Scale) -> dict[str, Any]:
    """The method, chosen here where the scale leaves the choice to the machine, and what computes it."""
    method = estimation.resolved(scale.flow)
    return {"method": plain(method), "by": estimation.method_key(method)}


def protocol_key(protocol: Protocol) -> dict[str, Any]:
    return {"name": protocol.name, "version": protocol.version}


def scale_key(scale: Scale) -> dict[str, Any]:
    """The scale without its schedules, of which each job names its own, and without what stands in a job by its own name:
    flow, and precision and threads as resolved."""
    fields = plain(scale)
    for name in ("stages", "flow", "cpu_threads", "precision"):
        del fields[name]
    return fields
