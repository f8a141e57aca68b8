"""Draws line charts and heat maps as SVG text, with no plotting library.

Knows numbers and labels only. Colours are told apart by order; the legend is always drawn.
"""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 360, 60, 190, 40, 46
COLOURS = (
    "#1b6ca8", "#d1495b", "#2e8b57", "#edae49", "#6a4c93", "#00798c", "#8d6a4f", "#444444",
    "#c77dff", "#7a9e1f", "#e36414", "#9a8c98", "#118ab2",
)  # fmt: skip


def lines(
    title: str,
    ticks: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    unit: str = "",
    top: float | None = None,
) -> str:
    """One line per series over evenly spaced ticks; None leaves a gap."""
    values = [value for row in series.values() for value in row if value is not None]
    highest = top if top is not None else max(values, default=1.0) or 1.0
    parts = [_text(LEFT, 22, title, size=15)]
    for step in range(5):
        level = highest * step / 4
        y = _y(level, highest)
        parts.append(
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" class="g"/>'
        )
        parts.append(_text(LEFT - 8, y + 4, f"{level:.3g}{unit}", anchor="end"))
    for index, tick in enumerate(ticks):
        parts.append(_text(_x(index, len(ticks)), HEIGHT - BOTTOM + 18, tick, anchor="middle"))
    for order, (name, row) in enumerate(series.items()):
        colour = COLOURS[order % len(COLOURS)]
        points = [
            (_x(index, len(ticks)), _y(value, highest)) if value is not None else None
            for index, value in enumerate(row)
        ]
        parts.append(_path(points, colour))
        parts += [
            f'<circle cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="3" fill="{colour}"/>'
            for point in points
            if point
        ]
        y = TOP + 16 * order
        parts.append(
            f'<rect x="{WIDTH - RIGHT + 14}" y="{y}" width="10" height="10" fill="{colour}"/>'
        )
        parts.append(_text(WIDTH - RIGHT + 30, y + 9, name))
    return _document(parts, WIDTH, HEIGHT)


def heat(
    title: str,
    columns: Sequence[str],
    rows: Mapping[str, Sequence[float]],
    *,
    span: tuple[float, float] | None = None,
) -> str:
    """A table of numbers with a shade behind each; `span` fixes what is white and what is dark."""
    values = [value for row in rows.values() for value in row]
    low, high = span or (min(values, default=0.0), max(values, default=1.0))
    cell, label = 62, 150
    parts = [_text(12, 22, title, size=15)]
    for column, name in enumerate(columns):
        parts.append(_text(label + cell * column + cell / 2, 48, name, anchor="middle"))
    for line, (name, row) in enumerate(rows.items()):
        y = 58 + 26 * line
        parts.append(_text(label - 8, y + 17, name, anchor="end"))
        for column, value in enumerate(row):
            share = 0.0 if high <= low else min(1.0, max(0.0, (value - low) / (high - low)))
            x = label + cell * column
            parts.append(
                f'<rect x="{x}" y="{y}" width="{cell - 2}" height="24" fill="{_shade(share)}"/>'
            )
            ink = "#fff" if share > 0.6 else "#111"
            parts.append(_text(x + cell / 2, y + 16, f"{value:.3g}", anchor="middle", ink=ink))
    return _document(parts, label + cell * len(columns) + 12, 70 + 26 * len(rows))


def _shade(share: float) -> str:
    white, dark = (245, 248, 252), (20, 70, 130)
    mixed = [round(a + (b - a) * share) for a, b in zip(white, dark, strict=True)]
    return f"#{mixed[0]:02x}{mixed[1]:02x}{mixed[2]:02x}"


def _x(index: int, count: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (index / (count - 1) if count > 1 else 0.5)


def _y(value: float, highest: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(1.0, value / highest)


def _path(points: Sequence[tuple[float, float] | None], colour: str) -> str:
    commands = []
    pen_up = True
    for point in points:
        if point is None:
            pen_up = True
            continue
        commands.append(f"{'M' if pen_up else 'L'}{point[0]:.1f} {point[1]:.1f}")
        pen_up = False
    return f'<path d="{" ".join(commands)}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 11, ink: str = "#222"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{ink}">'
        f"{escape(text)}</text>"
    )


def _document(parts: Sequence[str], width: int, height: int) -> str:
    style = "<style>text{font-family:sans-serif}.g{stroke:#ddd}</style>"
    frame = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">'
    )
    return "\n".join([head, style, frame, *parts, "</svg>"]) + "\n"
