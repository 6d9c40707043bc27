"""Texts shared by all formats: numbers, headings, legends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reports.tables.model import MARKS, Column, Row, Table, TableCell


def title(table: Table) -> str:
    if table.number is None:
        return table.title
    scale = "" if table.scale == "paper" else f", {table.scale} scale"
    return f"Table {table.number}{scale}. {table.title}"


def ours(cell: TableCell, column: Column) -> str:
    """'66.4= [64.0, 68.7]'; '-' where a job is missing; '' where there is nothing to run."""
    if cell.ours is None:
        return "-" if cell.verdict == "not run" else ""
    digits = column.decimals
    text = f"{cell.ours:.{digits}f}{MARKS.get(cell.verdict, '')}{'*' if cell.caveat else ''}"
    if cell.low is not None and cell.high is not None:
        text += f" [{cell.low:.{digits}f}, {cell.high:.{digits}f}]"
    deviation = cell.split_deviation if cell.split_deviation is not None else cell.seed_deviation
    text += f" ±{deviation:.{digits}f}" if deviation is not None else ""
    return f"{text} {cell.rank}".rstrip()


def printed(cell: TableCell, column: Column) -> str:
    """The paper's number as printed; '' for its blanks."""
    if cell.paper is None:
        return ""
    return f"{cell.paper:g}" if column.decimals == 0 or column.unit else f"{cell.paper:.{column.decimals}f}"


def p_text(p: float) -> str:
    """'0.012', '< 0.001'."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def joined(texts: Sequence[str], joiner: str) -> str:
    """Parts as the paper prints them: 'a / b', or 'a (b)'. Nothing for nothing; a missing part in brackets is left out."""
    if len(texts) == 1:
        return texts[0]
    if joiner == "bracket":
        rest = ", ".join(filter(None, texts[1:]))
        return f"{texts[0]} ({rest})" if texts[0] and rest else texts[0]
    return " / ".join(text or "·" for text in texts) if any(texts) else ""


def videos(cells: Iterable[TableCell]) -> str:
    """'240 videos', '236 to 240 of 240 videos', '' where nothing is measured."""
    counts = sorted({(cell.n, cell.n_of) for cell in cells if cell.n is not None and cell.n_of is not None})
    if not counts:
        return ""
    low, high = min(n for n, _ in counts), max(n for n, _ in counts)
    listed = max(of for _, of in counts)
    shown = f"{low}" if low == high else f"{low} to {high}"
    return f"{shown} videos" if low == listed else f"{shown} of {listed} videos"


def legend(table: Table) -> list[str]:
    """Notes of the table, and the meaning of the signs that occur in it."""
    cells = [cell for cell in table.cells.values() if cell.ours is not None or cell.verdict == "not run"]
    lines = list(table.notes)
    if any(cell.low is not None for cell in cells):
        lines.append("[low, high]: 95% interval, drawn by group of videos where groups are known.")
    lines += _deviations(cells)
    judged = [cell for cell in cells if cell.verdict in MARKS and cell.low is not None]
    if judged:
        lines.append(
            "= reproduced (the paper's value is inside our interval, widened by the deviation over seeds), "
            f"< below it, > above it; {len(judged)} comparisons."
        )
    if table.number and table.scale != "paper":
        lines.append(
            f"{table.scale}: networks and data sets of the {table.scale} scale; not comparable with the paper's numbers next to them."
        )
    if table.scale in ("paper", ""):
        lines += sorted(
            {
                f"not comparable: {cell.why}."
                for cell in cells
                if cell.verdict == "not comparable" and (table.number or cell.paper)
            }
        )
    lines += sorted({f"*: {cell.caveat}." for cell in cells if cell.caveat})
    bad = sum(cell.undecodable for cell in cells)
    if bad:
        lines.append(f"{bad} answers are of videos that cannot be decoded; they count as wrong.")
    short = [cell for cell in cells if cell.n is not None and cell.n_of is not None and cell.n < cell.n_of]
    if short:
        lines.append("Videos missing from disk are not in n; `harness report` bounds what they could change.")
    missing = sum(cell.verdict == "not run" and cell.command != "" for cell in cells)
    if missing:
        lines.append(f"-: not run ({missing}); `{table.command} --run` runs them.")
    return lines


def _deviations(cells: Sequence[TableCell]) -> list[str]:
    """Seeds and splits that numbers are means of."""
    several = {cell.seeds for cell in cells if cell.low is not None}
    if len(several) > 1:
        return ["±: sample deviation over splits; where there is one split, over the seeds that the row names."]
    seeds = next((seeds for seeds in several if len(seeds) > 1), ())
    over = f"seeds {', '.join(map(str, seeds))}"
    if any(cell.split_deviation is not None for cell in cells):
        return ["±: sample deviation over splits." + (f" Each split is the mean of {over}." if seeds else "")]
    return [f"Means of {over}; ±: sample deviation over them."] if seeds else []


def notes(table: Table) -> list[str]:
    """Everything that is printed below the table, where its version of the paper is not printed above it."""
    version = [f"Paper: {table.version}."] if table.version else []
    return [*legend(table), *sources(table), *version]


def sources(table: Table) -> list[str]:
    """Sources of the quoted rows."""
    return [f"{row.title}: {row.note}." for row in table.rows if row.quoted]


def shown_rows(table: Table, columns: Sequence[Column]) -> list[Row]:
    """Rows with something to show in these columns."""

    def has(row: Row) -> bool:
        cells = [table.cell(row, column) for column in columns]
        return any(cell.paper is not None or cell.ours is not None or cell.verdict == "not run" for cell in cells)

    return [row for row in table.rows if has(row)]


def part_titles(columns: Sequence[Column]) -> list[str]:
    return list(dict.fromkeys(column.part for column in columns if column.part))
