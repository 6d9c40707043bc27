"""The report as text: one HTML page, and files of jobs where the ledger is too large for it."""

from __future__ import annotations

import functools
from typing import Any

from harness.core.units import duration
from reports.figures.drawing import DARK, LIGHT, STYLE, variables
from reports.page.content import INLINE_JOBS_BYTES, Content
from reports.tables.html import html
from reports.tables.words import p_text


def page(content: Content) -> dict[str, str]:
    """File name -> text: 'index.html', and 'jobs/ID.html' where the details of all jobs would make the page too large."""
    from jinja2 import Template

    environment = _environment()
    job_body = environment.get_template("job.html.j2").module.job_body  # type: ignore[attr-defined]
    size = sum(len(str(job_body(job, "#job-"))) for job in content.jobs)
    beside = size > INLINE_JOBS_BYTES
    style = _style()
    template: Template = environment.get_template("page.html.j2")
    # The macros close over nothing: what a figure or a job looks like is said in one place for all pages.
    environment.globals |= {
        "figure": environment.get_template("figure.html.j2").module.figure,  # type: ignore[attr-defined]
        "job_body": job_body,
        "duration": duration,
        "p_text": p_text,
    }
    link = "jobs/{}.html" if beside else "#job-{}"
    files = {
        "index.html": template.render(
            content=content,
            style=style,
            script=_source("script.js"),
            table_html=[html(table, job_link=link.format) for table in content.tables],
            tested=sum(claim.verdict != "not run" for claim in content.claims),
            ours_name="ours" if content.scale == "paper" else content.scale,
            beside=beside,
        )
    }
    if beside:
        one = environment.get_template("job_page.html.j2")
        files |= {f"jobs/{job.id}.html": one.render(job=job, style=style) for job in content.jobs}
    return files


@functools.lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("reports.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _style() -> str:
    template = _environment().get_template("style.css")
    return str(template.render(light=variables(LIGHT), dark=variables(DARK), figures=STYLE).strip())


def _source(name: str) -> str:
    source, _, _ = _environment().loader.get_source(_environment(), name)
    return str(source.strip())
