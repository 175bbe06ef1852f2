"""A report as one HTML file that asks for nothing: no script, no font, no picture from anywhere. Values in, text out.

A `Page` is made of blocks, and every verb that has a report makes one of these; what stands in it is escaped here, and only here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

GOOD, WARN, BAD, CALM = "good", "warn", "bad", "calm"


@dataclass(frozen=True, slots=True)
class Badge:
    text: str
    tone: str = CALM


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values side by side."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    tone: str = CALM


@dataclass(frozen=True, slots=True)
class Lines:
    """As a log has them: (time, who, what)."""

    rows: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Table:
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[str] = ()  # headings of columns that are set to the right


@dataclass(frozen=True, slots=True)
class Mark:
    at_ms: int
    text: str
    tone: str = CALM
    until_ms: int = 0  # 0: a moment, no stretch


@dataclass(frozen=True, slots=True)
class Lane:
    name: str
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class Lanes:
    """What happened when, one lane for each."""

    from_ms: int
    to_ms: int
    ends: tuple[str, str]  # the two times, as they are shown
    lanes: Sequence[Lane]


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    tone: str
    points: Sequence[tuple[int, float]]  # (at_ms, how much), in order of time


@dataclass(frozen=True, slots=True)
class Curves:
    """How much there was when; all against the largest of them."""

    unit: str
    from_ms: int
    to_ms: int
    curves: Sequence[Curve]


@dataclass(frozen=True, slots=True)
class Section:
    heading: str
    blocks: Sequence["Block"]
    badge: Badge | None = None
    is_folded: bool = False  # opened by whoever wants it


Block = Facts | Text | Lines | Table | Lanes | Curves | Section


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    badge: Badge
    summary: str
    blocks: Sequence[Block]
    made: str  # by what, and when
    facts: Sequence[tuple[str, str]] = field(default=())


def render(page: Page) -> str:
    blocks = "".join(_block(block, 2) for block in page.blocks)
    facts = _block(Facts(page.facts), 2) if page.facts else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        f'<link rel="icon" href="data:,">\n<title>{escape(page.title)}: {escape(page.badge.text)}</title>\n<style>\n{STYLE}</style>\n'
        f"</head>\n<body>\n<header>\n<h1>{escape(page.title)} {_badge(page.badge)}</h1>\n<p>{escape(page.summary)}</p>\n{facts}</header>\n"
        f"<main>\n{blocks}</main>\n<footer>{escape(page.made)}</footer>\n</body>\n</html>\n"
    )


def _badge(badge: Badge | None) -> str:
    return "" if badge is None else f'<span class="badge {badge.tone}">{escape(badge.text)}</span>'


def _block(block: Block, level: int) -> str:
    match block:
        case Facts(pairs):
            return "<dl>" + "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs) + "</dl>\n"
        case Text(text, tone):
            return f'<p class="{tone}">{escape(text)}</p>\n'
        case Lines(rows):
            told = "".join(f"<li>{_line(*row)}</li>" for row in rows)
            return f'<ol class="lines">{told}</ol>\n'
        case Table():
            return _table(block)
        case Lanes():
            return _lanes(block)
        case Curves():
            return _curves(block)
        case Section(heading, blocks, badge, is_folded):
            inside = "".join(_block(one, level + 1) for one in blocks)
            title = f"{escape(heading)} {_badge(badge)}"
            if is_folded:
                return f"<details>\n<summary>{title}</summary>\n{inside}</details>\n"
            return f"<section>\n<h{level}>{title}</h{level}>\n{inside}</section>\n"


def _line(when: str, who: str, what: str) -> str:
    return f'<time>{escape(when)}</time> <b>{escape(who)}</b> <span class="said">{escape(what)}</span>'


def _table(table: Table) -> str:
    kinds = {heading: ' class="number"' if heading in table.numbers else "" for heading in table.headings}

    def cell(heading: str, value: str) -> str:
        return f'<td{kinds[heading]} data-heading="{escape(heading)}">{escape(value)}</td>'

    heads = "".join(f"<th{kind}>{escape(heading)}</th>" for heading, kind in kinds.items())
    rows = "".join(f"<tr>{''.join(map(cell, table.headings, row))}</tr>\n" for row in table.rows)
    return f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"


def _lanes(lanes: Lanes) -> str:
    whole = max(1, lanes.to_ms - lanes.from_ms)

    def percent(at_ms: int) -> float:
        return min(100.0, max(0.0, 100.0 * (at_ms - lanes.from_ms) / whole))

    def shown(mark: Mark) -> str:
        left = percent(mark.at_ms)
        width = percent(mark.until_ms) - left if mark.until_ms else 0.0
        return f'<i class="mark {mark.tone}" style="left:{left:.2f}%;width:{width:.2f}%" title="{escape(mark.text)}"></i>'

    rows = "".join(
        f'<div class="lane"><b>{escape(lane.name)}</b><div class="track">{"".join(map(shown, lane.marks))}</div></div>\n'
        for lane in lanes.lanes
    )
    start, end = (f"<span>{escape(one)}</span>" for one in lanes.ends)
    return f'<div class="lanes">\n{rows}<div class="lane"><b></b><div class="ends">{start}{end}</div></div>\n</div>\n'


WIDTH, HEIGHT = 1_000, 120  # of a drawing, in its own measure


def _curves(curves: Curves) -> str:
    top = max((much for curve in curves.curves for _, much in curve.points), default=0.0) or 1.0
    whole = max(1, curves.to_ms - curves.from_ms)

    def drawn(curve: Curve) -> str:
        points = " ".join(
            f"{WIDTH * (at_ms - curves.from_ms) / whole:.1f},{HEIGHT - (HEIGHT - 4) * much / top - 2:.1f}" for at_ms, much in curve.points
        )
        return f'<polyline class="{curve.tone}" points="{points}"><title>{escape(curve.name)}</title></polyline>'

    names = "".join(f'<span class="{curve.tone}">{escape(curve.name)}</span>' for curve in curves.curves)
    unit = f" {escape(curves.unit)}" if curves.unit else ""
    drawing = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img">{"".join(map(drawn, curves.curves))}</svg>'
    return f'<figure class="curves">{drawing}<figcaption>{names}<span>top: {top:,.0f}{unit}</span></figcaption></figure>\n'


STYLE = """\
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6678; --line: #d9dee7; --paper: #fff; --sheet: #f5f7fa;
  --good: #1d7a46; --warn: #9a6200; --bad: #b3261e; --calm: #47566b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf1; --soft: #9aa7ba; --line: #333d4d; --paper: #141922; --sheet: #1c232f;
  --good: #5dcb8b; --warn: #e0ab4f; --bad: #ff8a80; --calm: #a9b6c9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.25rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.45rem; margin: 0; } h2 { font-size: 1.15rem; margin: 0 0 .4rem; } h3 { font-size: 1rem; margin: 0 0 .3rem; }
header > p { margin: .3rem 0 .8rem; color: var(--soft); }
section { margin: 1.4rem 0; padding: .9rem 1rem; border: 1px solid var(--line); border-radius: 8px; }
section section { margin: .8rem 0; background: var(--sheet); }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--soft); }
p { margin: .3rem 0; } p.good { color: var(--good); } p.warn { color: var(--warn); } p.bad { color: var(--bad); }
.badge { display: inline-block; font-size: .8rem; font-weight: 600; padding: .05rem .55rem; border-radius: 1rem; border: 1px solid;
  vertical-align: middle; }
.badge.good { color: var(--good); } .badge.warn { color: var(--warn); } .badge.bad { color: var(--bad); }
.badge.calm { color: var(--calm); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: .3rem 1.5rem; margin: .5rem 0; }
dl > div { display: flex; gap: .6rem; } dt { color: var(--soft); flex: 0 0 6.5rem; } dd { margin: 0; min-width: 0; }
ol.lines { list-style: none; margin: .4rem 0; padding: .5rem .7rem; background: var(--sheet); border-radius: 6px; }
ol.lines li { font: 13px/1.55 ui-monospace, monospace; } td.number { font-variant-numeric: tabular-nums; }
ol.lines time { color: var(--soft); }
ol.lines .said { white-space: pre-wrap; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: .85rem; } th.number, td.number { text-align: right; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
.lane { display: flex; align-items: center; margin: .3rem 0; } .lane > b { flex: 0 0 5.5rem; font-weight: 600; font-size: .9rem; }
.track { position: relative; flex: 1; height: 1.3rem; background: var(--sheet); border-radius: 4px; overflow: hidden; }
.mark { position: absolute; top: 0; bottom: 0; min-width: 4px; border-radius: 2px; opacity: .85; background: var(--calm); }
.mark.good { background: var(--good); } .mark.warn { background: var(--warn); } .mark.bad { background: var(--bad); }
.ends { flex: 1; display: flex; justify-content: space-between; color: var(--soft); font-size: .8rem; }
.curves { margin: .6rem 0; } .curves svg { width: 100%; height: 7rem; background: var(--sheet); border-radius: 4px; }
.curves polyline { fill: none; stroke: var(--calm); stroke-width: 2; vector-effect: non-scaling-stroke; }
.curves polyline.good { stroke: var(--good); } .curves polyline.warn { stroke: var(--warn); } .curves polyline.bad { stroke: var(--bad); }
.curves figcaption { display: flex; gap: 1.2rem; font-size: .8rem; color: var(--soft); }
.curves .good { color: var(--good); } .curves .warn { color: var(--warn); } .curves .bad { color: var(--bad); }
footer { margin: 2rem 0 0; color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) { body { padding: .8rem; } .lane > b { flex-basis: 3.5rem; } thead { display: none; }
  tr { display: block; padding: .4rem 0; border-bottom: 1px solid var(--line); } td, td.number { display: flex; gap: .6rem; border: 0;
  padding: .1rem 0; text-align: left; } td::before { content: attr(data-heading); color: var(--soft); flex: 0 0 6.5rem; } }
@media print { section { break-inside: avoid; } }
"""
