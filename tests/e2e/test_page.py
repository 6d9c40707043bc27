"""The page in a real Chromium: it opens, fetches nothing, and its links, filters and keys work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.synthetic_results import fill
from harness.core.cells import Selection
from harness.core.workspace import resolve_workspace
from harness.planning import selection

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """(folder of a report, the large libraries that writing it has loaded), by the command line in a process of its own."""
    folder = tmp_path_factory.mktemp("page")
    workspace = resolve_workspace(str(folder / "data"), str(folder / "results"))
    scratch = Selection(
        baselines=("i3d", "c3d"),
        modalities=("rgb",),
        datasets=("micro-hmdb51",),
        protocols=("full-ft", "fixed"),
        inits=("scratch",),
    )
    count = fill(workspace, selection.cells(scratch))
    words = ["report", "--scale", "micro", "--out", str(folder / "out")]
    program = (
        f"import sys; sys.argv = ['harness'] + {words!r}\n"
        "from harness.commands import main\n"
        "try: main()\n"
        "finally: print('loaded', *sorted({'torch', 'mlflow', 'timm', 'ray', 'sklearn', 'av', 'matplotlib'} & set(sys.modules)))"
    )
    environment = os.environ | {"HARNESS_DATA": str(workspace.data), "HARNESS_RESULTS": str(workspace.results)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert f"finished jobs {count}" in done.stdout
    return folder / "out", done.stdout.split("loaded")[1].split()


def test_writing_it_needs_no_large_library(written: tuple[Path, list[str]]) -> None:
    out, loaded = written
    assert loaded == []
    assert (out / "index.html").stat().st_size < 3_000_000
    for suffix in ("md", "tex", "csv", "json"):
        assert (out / "tables" / f"table-4.{suffix}").is_file()
    drawings = sorted((out / "figures").glob("*.svg"))
    assert drawings and all(ElementTree.parse(path).getroot().get("viewBox") for path in drawings)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"needs a Chromium on the PATH, as one of: {', '.join(BROWSERS)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=PATIENCE_MS)
        yield chromium
        chromium.close()


class Opened:
    """The page in a window of its own, with its console messages and requests."""

    def __init__(self, browser: Any, out: Path, **settings: Any) -> None:
        self.context = browser.new_context(**settings)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto((out / "index.html").as_uri())

    def shows(self, selector: str) -> bool:
        return bool(self.page.locator(selector).first.is_visible())


@pytest.fixture
def opened(browser: Any, written: tuple[Path, list[str]]) -> Iterator[Opened]:
    window = Opened(browser, written[0], viewport={"width": 1280, "height": 900})
    yield window
    window.context.close()


def test_it_opens_without_messages_and_fetches_nothing(opened: Opened) -> None:
    assert opened.page.title() == "Quo Vadis, micro scale: the report"
    assert opened.messages == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [opened.page.url]


def test_a_number_opens_to_its_job_and_the_job_to_its_command(opened: Opened) -> None:
    page = opened.page
    number = page.locator("#table-4 td.ours[data-jobs] summary").first
    behind = page.locator("#table-4 td.ours[data-jobs] .behind").first
    assert not behind.is_visible()
    number.click()
    assert behind.is_visible() and "harness run" in behind.inner_text()
    # It is placed on the page, not inside the table's scrolling box, which would cut it off.
    assert behind.bounding_box()["width"] > 600
    link = behind.locator("a").first
    target = link.get_attribute("href")
    link.click()
    page.wait_for_function("name => document.getElementById(name).closest('details').open", arg=target[1:])
    assert "harness run" in page.locator(target).inner_text() and not behind.is_visible()
    assert opened.messages == []


def test_escape_closes_an_open_number(opened: Opened) -> None:
    page = opened.page
    number = page.locator("#table-4 td.ours[data-jobs] summary").first
    number.focus()
    page.keyboard.press("Enter")
    assert opened.shows("#table-4 .behind")
    page.keyboard.press("Escape")
    assert not opened.shows("#table-4 details[open] .behind")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_jobs_are_filtered_and_sorted(opened: Opened) -> None:
    page = opened.page
    everything = page.locator("details.job").count()
    page.fill("#job-filter", "i3d full-ft")
    shown = page.locator("details.job:visible")
    assert 0 < shown.count() < everything
    assert all("i3d" in text and "full-ft" in text for text in shown.all_inner_texts())
    assert page.locator("#job-count").inner_text() == f"{shown.count()} job" + ("s" if shown.count() > 1 else "")
    page.fill("#job-filter", "")
    page.select_option("#job-kind", "training")
    assert page.locator("details.job:visible").count() == page.locator("details.job[data-kind=training]").count()
    page.select_option("#job-kind", "")
    page.select_option("#job-order", "top1")
    values = [float(value) for value in page.eval_on_selector_all("details.job", "all => all.map(e => e.dataset.top1)")]
    assert values == sorted(values, reverse=True) and len(values) == everything


def test_claims_are_sorted_by_any_column(opened: Opened) -> None:
    page = opened.page
    head = page.locator("table.claims thead th").first
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    claims = page.locator("table.claims tbody th summary").all_inner_texts()
    assert len(claims) > 3 and claims == sorted(claims, key=str.casefold)


def test_it_is_readable_without_scripts(browser: Any, written: tuple[Path, list[str]]) -> None:
    window = Opened(browser, written[0], java_script_enabled=False)
    assert window.shows("#table-4 table") and window.shows("figure svg") and not window.shows("form.filters")
    jobs = window.page.locator("details.job")
    assert jobs.count() > 5 and all(job.is_visible() for job in jobs.all())
    jobs.first.locator("summary").click()
    assert jobs.first.locator(".job-body").is_visible()
    window.context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_itself_never_scrolls_sideways(browser: Any, written: tuple[Path, list[str]], width: int) -> None:
    window = Opened(browser, written[0], viewport={"width": width, "height": 800})
    assert window.page.evaluate("document.documentElement.scrollWidth") <= width
    window.context.close()


def test_light_and_dark_have_enough_contrast(browser: Any, written: tuple[Path, list[str]]) -> None:
    """WCAG's ratio of text to ground is 4.5 at least, for plain and for muted words."""
    grounds = set()
    for scheme in ("light", "dark"):
        window = Opened(browser, written[0], color_scheme=scheme)
        colour = "s => getComputedStyle(document.querySelector(s))"
        ground = window.page.evaluate(f"({colour})('body').backgroundColor")
        for what in ("body", "figcaption", "td.paper", "a"):
            ink = window.page.evaluate(f"({colour})({what!r}).color")
            assert contrast(ink, ground) >= 4.5, (scheme, what, ink, ground)
        grounds.add(ground)
        window.context.close()
    assert len(grounds) == 2


def contrast(first: str, second: str) -> float:
    """WCAG's ratio of 'rgb(r, g, b)' colours."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in colour[4:-1].split(",")]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_everything_has_a_name_for_screen_readers(opened: Opened) -> None:
    page = opened.page
    unnamed = "all => all.filter(e => !(e.getAttribute('aria-label') || '').trim()).length"
    for what in ("svg[role=img]", ".scroll"):
        assert page.locator(what).count() > 5 and page.eval_on_selector_all(what, unnamed) == 0
    assert page.locator("table").count() == page.locator("table caption").count()
    assert page.locator("h1").count() == 1 and page.locator("html[lang=en] main").count() == 1


def test_it_prints(opened: Opened, tmp_path: Path) -> None:
    paper = tmp_path / "page.pdf"
    opened.page.pdf(path=str(paper), format="A4")
    assert paper.read_bytes().startswith(b"%PDF") and paper.stat().st_size > 50_000
