"""Bars in SVG: for each shape a panel with a scale of its own, since shapes differ by a hundred times. Pure."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from .rounds import Row

COLOURS = {"coordnode": "#2a6fdb", "etcd": "#8a8f98", "zookeeper": "#c98a2b"}
WIDTH, LABELS, FIGURES = 860, 230, 190  # what is left between is the bars'
BAR, GAP, HEAD, TITLE = 18, 6, 30, 34


def plot(title: str, rows: Sequence[Row]) -> str:
    """Medians as bars, the least and the most of all rounds as a line across."""
    panels: dict[str, list[Row]] = {}
    for row in rows:
        panels.setdefault(str(row.what.shape), []).append(row)
    parts, top = [text(10, 22, title, "font-weight='bold' font-size='15'")], TITLE
    for shape, those in panels.items():
        parts.append(text(10, top + 18, f"{shape}: {connections(those[0])}", "fill='#555'"))
        top += HEAD
        most = max(max(row.per_second_each) for row in those)
        for row in those:
            parts += bar(row, top, (WIDTH - LABELS - FIGURES) / most)
            top += BAR + GAP
    height = top + 10
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' font-family='sans-serif' font-size='12'>"
    return "\n".join([head, f"<rect width='{WIDTH}' height='{height}' fill='white'/>", *parts, "</svg>"]) + "\n"


def connections(row: Row) -> str:
    shape = row.what.shape
    return f"{shape.connections} connection{'s' * (shape.connections > 1)}, {shape.outstanding} outstanding on each"


def bar(row: Row, top: float, scale: float) -> list[str]:
    width = row.load.per_second * scale
    least, most = LABELS + min(row.per_second_each) * scale, LABELS + max(row.per_second_each) * scale
    middle, colour = top + BAR / 2, COLOURS[row.who.product]
    return [
        text(LABELS - 8, top + 13, str(row.who), "text-anchor='end'"),
        f"<rect x='{LABELS}' y='{top}' width='{width:.1f}' height='{BAR}' fill='{colour}'/>",
        f"<line x1='{least:.1f}' x2='{most:.1f}' y1='{middle}' y2='{middle}' stroke='black'/>",
        text(most + 8, top + 13, f"{row.load.per_second:,.0f}/s, p99 {row.load.p99_ms:.1f} ms"),
    ]


def text(x: float, y: float, what: str, style: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {style}>{escape(what)}</text>"
