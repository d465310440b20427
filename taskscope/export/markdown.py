"""A page as Markdown, for a ticket, a chat or a coding agent: text from the program is never markup."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from taskscope.export.page import Chart, Code, Heading, Items, Paragraph, Table
from taskscope.text import sparkline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskscope.export.page import Block

_MARKUP = re.compile(r"([\\`*\[\]<|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^[#>+=-])")
"""An underscore within a word is text; so are signs that mean something at the start of a line only."""
_POINTS = 40


def markdown(blocks: Iterable[Block]) -> str:
    """The whole text."""
    return "\n".join(line for block in blocks for line in _block(block))


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading(level, text, badge):
            yield f"{'#' * level} {f'{badge} ' if badge else ''}{plain(text)}\n"
        case Paragraph(text, lead):
            yield f"{f'**{plain(lead)}:** ' if lead else ''}{plain(text)}\n"
        case Items(texts):
            yield from (f"- {plain(text)}" for text in texts)
            yield ""
        case Code():
            yield from _code(block)
        case Table():
            yield from _table(block)
        case Chart():
            yield from _chart(block)


def plain(text: str) -> str:
    """``text`` with everything that Markdown could take for markup escaped."""
    return _MARKUP.sub(r"\\\1", text)


def _code(code: Code) -> Iterator[str]:
    ticks = [len(run) for text in code.lines for run in re.findall("`+", text)]
    fence = "`" * max(3, *(length + 1 for length in ticks), 0)
    yield f"{plain(code.title)}\n"
    yield fence
    for number, text in enumerate(code.lines, code.first):
        yield f"{'>' if number == code.marked else ' '}{number:>5}  {text}"
    yield f"{fence}\n"


def _table(table: Table) -> Iterator[str]:
    yield f"| {' | '.join(map(plain, table.head))} |"
    yield f"|{'|'.join('---' if at < table.texts else '--:' for at in range(len(table.head)))}|"
    yield from (f"| {' | '.join(map(plain, row))} |" for row in table.rows)
    yield f"\n{plain(table.note)}\n" if table.note else ""


def _chart(chart: Chart) -> Iterator[str]:
    step = max(1, -(-len(chart.values) // _POINTS))
    line = sparkline(chart.values[::-1][::step][::-1], min(_POINTS, len(chart.values))).strip()
    yield f"- {plain(chart.title)}: {plain(chart.last)}, highest {plain(chart.highest)}  "
    yield f"  {line} ({plain(chart.ends[0])} to {plain(chart.ends[1])})\n"
