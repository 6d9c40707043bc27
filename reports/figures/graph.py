"""The plan as a picture: jobs in columns by how many others they wait for, lines from each to what it needs, states as colours."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from harness.core.spec import Job
from harness.planning.cost import Estimate
from harness.planning.plan import Plan

WIDTH, HEIGHT, GAP_X, GAP_Y, TOP = 440, 20, 90, 6, 60
FILLS = {"done": "#cfe8cf", "to run": "#ffffff", "not needed": "#eeeeee"}
EDGES = {"done": "#3a7d3a", "to run": "#1f4e8c", "not needed": "#999999"}
LETTERS = 74
"""Of a title, as many as fit a box."""


def draw(plan: Plan, costs: Mapping[str, Estimate]) -> str:
    """An SVG document. Within a column jobs stand in the order of the plan; each has its title, state and time as tooltip."""
    columns = _columns(plan)
    place = {
        job.id: (20 + depth * (WIDTH + GAP_X), TOP + row * (HEIGHT + GAP_Y))
        for depth, jobs in enumerate(columns)
        for row, job in enumerate(jobs)
    }
    to_run = {job.id for job in plan.to_do}
    width = 40 + len(columns) * (WIDTH + GAP_X) - GAP_X
    height = TOP + 20 + max((len(jobs) for jobs in columns), default=0) * (HEIGHT + GAP_Y)
    lines = [_edge(place[need], place[job.id]) for job in plan.jobs for need in job.upstream.values()]
    boxes = [_box(job, place[job.id], _state(job, plan, to_run), costs[job.id].seconds) for job in plan.jobs]
    heading = f"{len(plan.cells)} cell(s), {len(plan.jobs)} job(s), {len(to_run)} to run"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="sans-serif" font-size="11" role="img" aria-label="{heading}">',
            f'<rect width="{width}" height="{height}" fill="#fcfcfc"/>',
            f'<text x="20" y="22" font-size="15">{heading}</text>',
            *_legend(),
            *lines,
            *boxes,
            "</svg>\n",
        ]
    )


def _columns(plan: Plan) -> list[list[Job]]:
    """Jobs by the length of the longest chain that leads to them."""
    depth: dict[str, int] = {}
    for job in plan.jobs:
        depth[job.id] = 1 + max((depth[need] for need in job.upstream.values()), default=-1)
    columns: list[list[Job]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for job in plan.jobs:
        columns[depth[job.id]].append(job)
    return columns


def _state(job: Job, plan: Plan, to_run: set[str]) -> str:
    return "done" if job.id in plan.done else "to run" if job.id in to_run else "not needed"


def _legend() -> list[str]:
    found = []
    for number, state in enumerate(FILLS):
        x = 20 + number * 110
        found.append(f'<rect x="{x}" y="34" width="14" height="12" fill="{FILLS[state]}" stroke="{EDGES[state]}"/>')
        found.append(f'<text x="{x + 20}" y="44">{state}</text>')
    return found


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    (x, y), (to_x, to_y) = (start[0] + WIDTH, start[1] + HEIGHT // 2), (end[0], end[1] + HEIGHT // 2)
    middle = to_x - GAP_X // 2
    return f'<path d="M{x} {y} C{middle} {y} {middle} {to_y} {to_x} {to_y}" fill="none" stroke="#888" stroke-opacity="0.45"/>'


def _box(job: Job, place: tuple[int, int], state: str, seconds: float) -> str:
    x, y = place
    words = job.title if job.title.startswith(job.kind) else f"{job.kind}: {job.title}"
    shown = words if len(words) <= LETTERS else words[: LETTERS - 1] + "…"
    dash = ' stroke-dasharray="4 2"' if job.provisional else ""
    return (
        f"<g><title>{escape(words)} ({job.id}): {state}, about {seconds:,.0f} s</title>"
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="3" fill="{FILLS[state]}" stroke="{EDGES[state]}"{dash}/>'
        f'<text x="{x + 6}" y="{y + 14}">{escape(shown)}</text></g>'
    )
