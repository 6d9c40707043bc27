"""The report as text: one HTML page, and one page per job where there are too many for it."""

from __future__ import annotations

import functools
from typing import Any

from reports.figures.drawing import DARK, LIGHT, STYLE, variables
from reports.page.content import INLINE_JOBS_BYTES, Content
from reports.tables.html import html
from reports.tables.labels import p_text
from reports.units import duration


def page(content: Content) -> dict[str, str]:
    """File name -> text: 'index.html', and 'jobs/ID.html' where the details of all jobs would make it too large."""

    environment = _environment()
    job_body = environment.globals["job_body"]
    separate = sum(len(str(job_body(job, "#job-"))) for job in content.jobs) > INLINE_JOBS_BYTES
    link = "jobs/{}.html" if separate else "#job-{}"
    style = environment.get_template("style.css").render(light=variables(LIGHT), dark=variables(DARK), figures=STYLE)
    files = {
        "index.html": environment.get_template("page.html.j2").render(
            content=content,
            style=style,
            table_html=[html(table, job_link=link.format) for table in content.tables],
            tested=sum(claim.verdict != "not run" for claim in content.claims),
            ours_name="ours" if content.scale == "paper" else content.scale,
            separate=separate,
        )
    }
    if separate:
        job_page = environment.get_template("job_page.html.j2")
        files |= {f"jobs/{job.id}.html": job_page.render(job=job, style=style) for job in content.jobs}
    return files


@functools.lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("reports.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # As globals the macros are available in included templates, too.
    for name in ("figure", "job_body"):
        macros: Any = environment.get_template("macros.html.j2").module
        environment.globals[name] = getattr(macros, name)
    environment.globals |= {"duration": duration, "p_text": p_text}
    return environment
