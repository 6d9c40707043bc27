"""The plan as a picture: jobs in columns by the longest chain of jobs they wait for, lines from each job to those that need it."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.cells import Job
from harness.planning.cost import Estimate
from harness.planning.plan import Plan
from reports.figures.drawing import Drawing, standalone

WIDTH, HEIGHT, GAP_X, GAP_Y, TOP = 440, 20, 90, 6, 60
STYLES = {"done": "f1 s1", "to run": "hollow s2", "not needed": "block axis"}
MAX_LETTERS = 74
"""Letters of a title that fit a box."""


def draw(plan: Plan, costs: Mapping[str, Estimate]) -> str:
    """An SVG document. Within a column jobs are in the order of the plan; each has its title, state and time as tooltip."""
    columns = _columns(plan)
    place = {
        job.id: (20.0 + depth * (WIDTH + GAP_X), TOP + row * (HEIGHT + GAP_Y))
        for depth, jobs in enumerate(columns)
        for row, job in enumerate(jobs)
    }
    to_run = {job.id for job in plan.to_do}
    height = TOP + 20 + max((len(jobs) for jobs in columns), default=0) * (HEIGHT + GAP_Y)
    drawing = Drawing(40 + len(columns) * (WIDTH + GAP_X) - GAP_X, height)
    heading = f"{len(plan.cells)} cell(s), {len(plan.jobs)} job(s), {len(to_run)} to run"
    drawing.text(20, 22, heading, style="bold")
    for number, (state, style) in enumerate(STYLES.items()):
        drawing.rect(20 + number * 110, 35, 14, 14, style=style)
        drawing.text(40 + number * 110, 46, state)
    for job in plan.jobs:
        for needed in job.upstream.values():
            _edge(drawing, place[needed], place[job.id])
    for job in plan.jobs:
        state = "done" if job.id in plan.done else "to run" if job.id in to_run else "not needed"
        _box(drawing, job, place[job.id], state, costs[job.id].seconds)
    return standalone(drawing.panel("plan", heading, "Jobs and those that they need"))


def _columns(plan: Plan) -> list[list[Job]]:
    """Jobs by the length of the longest chain that leads to them."""
    depth: dict[str, int] = {}
    for job in plan.jobs:
        depth[job.id] = 1 + max((depth[needed] for needed in job.upstream.values()), default=-1)
    columns: list[list[Job]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for job in plan.jobs:
        columns[depth[job.id]].append(job)
    return columns


def _edge(drawing: Drawing, start: tuple[float, float], end: tuple[float, float]) -> None:
    (x, y), (to_x, to_y) = (start[0] + WIDTH, start[1] + HEIGHT / 2), (end[0], end[1] + HEIGHT / 2)
    middle = to_x - GAP_X // 2
    drawing.add("path", class_="axis", opacity=0.5, d=f"M{x} {y} C{middle} {y} {middle} {to_y} {to_x} {to_y}")


def _box(drawing: Drawing, job: Job, place: tuple[float, float], state: str, seconds: float) -> None:
    x, y = place
    title = job.title if job.title.startswith(job.kind) else f"{job.kind}: {job.title}"
    hint = f"{title} ({job.id}): {state}, about {seconds:,.0f} s"
    dash = "4 2" if job.provisional else ""
    drawing.add(
        "rect", class_=STYLES[state], x=x, y=y, width=WIDTH, height=HEIGHT, rx=3, stroke_dasharray=dash, hint=hint
    )
    shown = title if len(title) <= MAX_LETTERS else title[: MAX_LETTERS - 1] + "…"
    drawing.text(x + 6, y + 14, shown, style="on" if state == "done" else "")
