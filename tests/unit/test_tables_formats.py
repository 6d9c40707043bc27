"""The tables as text: what a terminal, Markdown, CSV, JSON, HTML and LaTeX show of the same values."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.analysis import claims
from harness.core.errors import HarnessError
from reports import claims_text, tables
from reports.tables import latex, supplements
from tests.latex import check_fits, needs_latex
from tests.unit.test_tables import EVERYTHING, NOTHING, PAPERS, lookup_of


@pytest.mark.parametrize("number", [2, 3, 4, 5])
@pytest.mark.parametrize("scale", ["paper", "micro"])
def test_the_terminal_table_fits(number: int, scale: str) -> None:
    text = tables.render(tables.build(number, EVERYTHING, tables.Question(scale=scale)))
    rows = text.split("\n\nBoth streams")[0] if number == 4 else text
    grid = [line for line in rows.splitlines() if "  " in line]
    assert max(map(len, grid)) <= 120


def test_terminal_table_4_shows_ours_and_the_papers_in_columns_of_their_own() -> None:
    only_i3d = lookup_of(lambda cell: 0.5 if cell.baseline == "i3d" and cell.protocol in PAPERS else None)
    lines = tables.render(tables.build(4, only_i3d, tables.Question(scale="micro"))).splitlines()
    start = lines.index("micro-hmdb51 next to the paper's HMDB-51, 280 videos")
    assert lines[start + 1].split() == ["micro"] * 3 + ["paper"] * 3
    assert lines[start + 2].split() == ["Original", "Fixed", "Full-FT"] * 2
    row = next(line for line in lines[start:] if line.startswith("Two-Stream I3D"))
    assert row.count("50.0 [") == 3 and row.split()[-3:] == ["66.4", "79.7", "81.2"]
    other = next(line for line in lines[start:] if line.startswith("3D-Fused"))
    assert other.split()[-6:] == ["-", "-", "-", "56.8", "69.9", "71.0"]
    assert any("not run (42)" in line and "--scale micro --run" in line for line in lines)


def test_marks_are_explained_where_they_occur() -> None:
    text = tables.render(tables.build(4, lookup_of(lambda cell: 0.79), tables.Question(scale="paper")))
    assert "79.3= [" in text or "78.9= [" in text
    assert "= reproduced" in text and "54 comparisons" in text
    assert "reproduced" not in tables.render(tables.build(4, EVERYTHING, tables.Question(scale="micro")))


def test_markdown_pairs_read_as_the_papers() -> None:
    text = tables.render(tables.build(4, NOTHING, tables.Question(scale="paper")), "markdown")
    row = next(line for line in text.splitlines() if line.startswith("| Two-Stream I3D"))
    assert [field.strip() for field in row.split("|")][1:-1][4:] == ["93.4 / 88.8", "97.7 / 97.4", "98.0 / 97.6"]
    grids = text.split("**")
    for grid in (grids[2], grids[4].split("| Errors removed")[0]):
        assert {line.count("|") for line in grid.splitlines() if line.startswith("|")} == {8}
    three = tables.render(tables.build(3, NOTHING, tables.Question(scale="paper")), "markdown")
    assert "71.1 (89.3)" in three


def test_csv_and_json_hold_every_number() -> None:
    table = tables.build(4, EVERYTHING, tables.Question(scale="micro"))
    rows = list(csv.DictReader(io.StringIO(tables.render(table, "csv"))))
    assert len(rows) == len(table.cells) == 54 + 18
    line = next(r for r in rows if (r["row"], r["column"]) == ("i3d", "hmdb51/full-ft/scratch"))
    assert (float(line["paper"]), float(line["ours"]), line["our_data"]) == (81.3, 50.0, "micro-hmdb51")
    assert line["difference"] == "" and line["verdict"] == "not comparable"
    told = json.loads(tables.render(table, "json"))
    assert len(told["cells"]) == len(rows) and told["scale"] == "micro"


def test_csv_is_for_spreadsheets() -> None:
    seeds = tables.Question(scale="micro", seeds=(0, 1))
    third = tables.build(4, lookup_of(lambda cell: 1 / 3 if cell.protocol in PAPERS else None), seeds)
    text = tables.render(third, "csv")
    line = next(row for row in csv.DictReader(io.StringIO(text)) if row["column"] == "hmdb51/full-ft/scratch")
    assert (line["ours"], line["seeds"], line["splits"]) == ("33.2143", "0 1", "1")
    claim = claims.Claim(
        name="one", statement="One", paper="Table 2", effect_points=1 / 3, verdict="supported", detail="", cells=()
    )
    for rendered in (text, claims_text.render([claim], "csv")):
        assert not re.search(r"\d\.\d{7}|\(\d", rendered)


class _Tags(HTMLParser):
    """Checks nesting, and counts the columns of every row."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.widths: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.widths.append(0)
        if tag in ("td", "th"):
            self.widths[-1] += int(dict(attrs).get("colspan") or 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_html_is_whole(number: int) -> None:
    from reports.tables.html import html

    table = tables.build(number, EVERYTHING, tables.Question(scale="micro"))
    text = html(table, job_link=lambda job: f"#job-{job}")
    tags = _Tags()
    tags.feed(text)
    assert not tags.open and "<script" not in text
    for block in text.split("<table>")[1:]:
        parser = _Tags()
        parser.feed("<table>" + block.split("</table>")[0] + "</table>")
        assert len(set(parser.widths)) == 1
    assert 'href="#job-i3d-rgb' in text and 'data-jobs="' in text


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_latex_is_whole(number: int) -> None:
    text = tables.render(tables.build(number, EVERYTHING, tables.Question(scale="micro")), "latex")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") > 0
    for part in text.split(r"\begin{tabular}{")[1:]:
        spec, body = part.replace(r"p{0.33\linewidth}", "l", 1).split("}", 1)
        rows = [
            line
            for line in body.split(r"\end{tabular}")[0].splitlines()
            if line.endswith(r"\\") and "multicol" not in line
        ]
        assert rows and {line.count(" & ") + 1 for line in rows} == {len(spec)}
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_latex_escapes_what_would_break_it() -> None:
    assert latex.escaped("50% of a_b & {c} #1 $x ~ ^") == (
        r"50\% of a\_b \& \{c\} \#1 \$x \textasciitilde{} \textasciicircum{}"
    )
    # A bracket after a line break would be read as the length of the break.
    assert latex.escaped("[low") == "{[}low"


LONG_ASIDE = supplements.Aside(
    "cost",
    "What stands behind the numbers",
    ("row", "column", "jobs"),
    tuple(("Two-Stream I3D", "micro-hmdb51 Full-FT ImageNet", str(n)) for n in range(80)),
    ("A note.",),
)
"""As `--with-cost` of Table 4, longer than a page."""


@needs_latex
@pytest.mark.parametrize("scale", ["paper", "micro"])
def test_latex_compiles_and_fits_a_page(scale: str, tmp_path: Path) -> None:
    """Tables 2-5 with what may be asked for below them, and of a version of the paper with few numbers."""
    pages = []
    for number in (2, 3, 4, 5):
        below = [tables.significance(number, EVERYTHING, tables.Question(scale=scale)), LONG_ASIDE]
        pages.append(
            supplements.below(
                tables.render(tables.build(number, EVERYTHING, tables.Question(scale=scale)), "latex"), below, "latex"
            )
        )
        pages.append(
            tables.render(
                tables.build(number, NOTHING, tables.Question(scale=scale, version="cvpr2017-minikinetics")), "latex"
            )
        )
    check_fits(pages, tmp_path)


def test_what_is_asked_for_below_a_table_keeps_its_format() -> None:
    table, below = (
        tables.build(2, EVERYTHING, tables.Question(scale="micro")),
        [tables.significance(2, EVERYTHING, tables.Question(scale="micro"))],
    )
    stored = json.loads(supplements.below(tables.render(table, "json"), below, "json"))
    assert stored["number"] == 2 and len(stored["significance"]["rows"]) == 24
    p = stored["significance"]["headers"].index("p")
    assert all(isinstance(row[p], float) for row in stored["significance"]["rows"])
    assert supplements.below(tables.render(table, "html"), below, "html").count("<section") == 2
    assert "| points better |" in supplements.below(tables.render(table, "markdown"), below, "markdown").replace(
        "  ", ""
    )
    with pytest.raises(HarnessError, match="holds one table"):
        supplements.check_format("csv", asides=True)
    with pytest.raises(HarnessError, match="did you mean 'latex'"):
        supplements.check_format("latx", asides=False)


def test_unknown_tables_formats_and_scales_are_refused() -> None:
    with pytest.raises(HarnessError, match="no Table 6"):
        tables.build(6, NOTHING, tables.Question(scale="paper"))
    with pytest.raises(HarnessError, match="did you mean 'latex'"):
        tables.render(tables.build(4, NOTHING, tables.Question(scale="paper")), "latx")
    with pytest.raises(HarnessError, match="no tables at scale"):
        tables.build(4, NOTHING, tables.Question(scale="huge"))
