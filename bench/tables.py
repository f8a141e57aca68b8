"""Plain text tables in Markdown, with aligned columns. Knows nothing of what stands in them."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is left-aligned, the others right-aligned."""
    lines = [list(header), *[list(row) for row in rows]]
    if any(len(line) != len(header) for line in lines):
        raise ValueError("every row needs as many cells as the header")
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = ["-" * max(3, widths[0])] + ["-" * max(2, width - 1) + ":" for width in widths[1:]]
    body = [_line(lines[0], widths), "| " + " | ".join(rule) + " |"]
    return "\n".join(body + [_line(line, widths) for line in lines[1:]]) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(max(3, widths[0]))
    others = [cell.rjust(max(3, width)) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "| " + " | ".join([first, *others]) + " |"
