"""A page as one HTML file: no script, nothing from elsewhere, everything escaped."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.export.page import Chart, Code, Heading, Items, Paragraph, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskscope.export.page import Block

WIDTH, HEIGHT = 640, 120
"""Of a chart, in its own units."""

STYLE = Path(__file__).with_name("report.css")

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def html(title: str, blocks: Iterable[Block]) -> str:
    """The whole file."""
    return "".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{escape(title)}</title>\n<style>\n{STYLE.read_text()}</style>\n</head>\n<body>\n<main>\n",
            *(piece for block in blocks for piece in _block(block)),
            "</main>\n</body>\n</html>\n",
        ]
    )


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading(level, text, badge):
            word = re.sub("[^a-z]", "", badge.lower())
            sign = f'<span class="badge {word}">{escape(badge)}</span>' if badge else ""
            yield f"<h{level}>{sign}{escape(text)}</h{level}>\n"
        case Paragraph(text, lead):
            begin = f'<span class="lead">{escape(lead)}:</span> ' if lead else ""
            yield f"<p>{begin}{escape(text)}</p>\n"
        case Items(texts):
            yield "<ul>\n"
            yield from (f"<li>{escape(text)}</li>\n" for text in texts)
            yield "</ul>\n"
        case Code():
            yield from _code(block)
        case Table():
            yield from _table(block)
        case Chart():
            yield from _chart(block)


def _code(code: Code) -> Iterator[str]:
    yield f'<figure><figcaption>{escape(code.title)}</figcaption><div class="wide"><pre>'
    for number, text in enumerate(code.lines, code.first):
        line = f"{'>' if number == code.marked else ' '}{number:>5}  {escape(text)}"
        yield f'<span class="marked">{line}</span>\n' if number == code.marked else f"{line}\n"
    yield "</pre></div></figure>\n"


def _table(table: Table) -> Iterator[str]:
    kinds = [' class="text"' if number < table.texts else "" for number in range(len(table.head))]
    yield '<figure><div class="wide"><table>\n<thead><tr>'
    yield from (f"<th{kind}>{escape(text)}</th>" for kind, text in zip(kinds, table.head, strict=True))
    yield "</tr></thead>\n<tbody>\n"
    for row in table.rows:
        cells = (f"<td{kind}>{escape(text)}</td>" for kind, text in zip(kinds, row, strict=True))
        yield f"<tr>{''.join(cells)}</tr>\n"
    yield "</tbody></table></div>"
    yield f"<figcaption>{escape(table.note)}</figcaption>" if table.note else ""
    yield "</figure>\n"


def _chart(chart: Chart) -> Iterator[str]:
    spoken = f"{chart.title}: {chart.last} now, at most {chart.highest}"
    yield f"<figure><figcaption>{escape(chart.title)}: {escape(chart.last)} "
    yield f"(highest {escape(chart.highest)})</figcaption>"
    yield f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
    yield f'aria-label="{escape(spoken)}">'
    yield f'<line class="grid" x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}"/>'
    yield from (f'<polyline class="line" points="{points}"/>' for points in _lines(chart))
    first, last = map(escape, chart.ends)
    yield f'</svg><div class="ends"><span>{first}</span><span>{last}</span></div></figure>\n'


def _lines(chart: Chart) -> Iterator[str]:
    """The points of its parts: where a value is unknown, the line has a gap."""
    known = [value for value in chart.values if value is not None]
    if len(known) < 2 or chart.times[-1] <= chart.times[0]:
        return
    top, begin = max(*known, 1e-9), chart.times[0]
    wide, high = WIDTH / (chart.times[-1] - begin), (HEIGHT - 4) / top
    part: list[str] = []
    for time, value in zip(chart.times, chart.values, strict=True):
        if value is not None:
            part.append(f"{(time - begin) * wide:.1f},{HEIGHT - 2 - value * high:.1f}")
        elif part:
            yield " ".join(part)
            part = []
    if part:
        yield " ".join(part)
