"""The findings on top of the overview: the worst in a line each, or one calm line while all is well."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual.message import Message
from textual.widget import Widget

from taskscope.tui import findings as found
from taskscope.tui import format as fmt
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events

    from taskscope.model import Finding
    from taskscope.tui.context import Context
    from taskscope.tui.theme import Palette


def most(lines: int) -> int:
    """How many findings a terminal of so many lines lists."""
    return 1 if lines < 32 else 3 if lines < 50 else 5


Part = tuple[int, tuple[Text, ...]]
"""Rank, and its spellings, the longest first."""

_GAP = "   "
_WIDE = 120
_PLACE = 46
"""Cells of the place where there is room: the columns behind it line up."""


class FindingsPanel(Widget):
    """A line for each of the worst findings."""

    DEFAULT_CSS = "FindingsPanel { height: 1; text-wrap: nowrap; }"

    class Opened(Message):
        """A click on the line of ``finding``; None: on another."""

        def __init__(self, finding: Finding | None) -> None:
            super().__init__()
            self.finding = finding

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.most = 1
        """Lines that there may be."""
        self._drawn: tuple[Text, ...] = ()

    def look(self) -> None:
        """Draws again if anything reads otherwise than before."""
        lines = self._lines()
        if lines != self._drawn:
            if len(lines) != len(self._drawn):
                self.styles.height = len(lines)
            self._drawn = lines
            self.refresh()

    def render(self) -> Text:
        return Text("\n", no_wrap=True).join(self._drawn)

    def on_resize(self) -> None:
        self.look()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        top = self.context.store.findings.top
        self.post_message(self.Opened(top[event.y] if event.y < min(len(top), len(self._drawn)) else None))

    def _lines(self) -> tuple[Text, ...]:
        store, colours = self.context.store, palette(self.app.theme_variables)
        top, width = store.findings.top, self.size.width
        if not top:
            calm = textwrap.wrap(found.calm(store.findings, store), max(20, width - 2)) or [""]
            return tuple(Text(f" {line}", colours.dim) for line in calm)
        shown = top[: self.most]
        badges = max(len(found.BADGES[each.level]) for each in shown)
        rest = self._rest(len(top) - len(shown))
        return tuple(
            self._line(each, badges, rest if number == len(shown) - 1 else "", width, colours)
            for number, each in enumerate(shown)
        )

    def _rest(self, more: int) -> str:
        """What the lines leave out."""
        hidden = len(self.context.store.findings.hidden)
        parts = [
            f"+{fmt.count(more)} more" if more else "",
            f"{fmt.count(hidden)} dismissed" if hidden else "",
        ]
        return ", ".join(part for part in parts if part)

    def _line(self, finding: Finding, badges: int, rest: str, width: int, colours: Palette) -> Text:
        line = Text(" ", no_wrap=True, end="").append_text(found.badge(finding, colours))
        line.append(" " * (badges + len(_GAP) - line.cell_len + 2))
        room = width - line.cell_len - (cell_len(rest) + len(_GAP) + 1 if rest else 1)
        line.append_text(_fitting(self._parts(finding, width, room, colours), room))
        if rest:
            line.append(" " * max(0, width - line.cell_len - cell_len(rest) - 1)).append(rest, colours.dim)
        return line

    def _parts(self, finding: Finding, width: int, room: int, colours: Palette) -> list[Part]:
        since = found.since(finding, self.context.store)
        rate = f"{found.rate(finding)} since {since}" if finding.id else finding.text
        least = room - cell_len(rate) - len(_GAP)
        place = fmt.shortened(found.place(finding), _PLACE if width >= _WIDE else max(12, least))
        if width >= _WIDE:
            place = place.ljust(_PLACE)
        cause, pattern = found.cause(finding), found.cause(finding, short=True)
        causes = dict.fromkeys((cause, cause.partition(";")[0], pattern))
        style = found.style_of(finding, colours)
        return [
            (0, (Text(place, colours.strong),)),
            (0, (Text(rate, style),)),
            (3, (Text(f"{fmt.count(finding.live)} live" if finding.id else "", colours.text),)),
            (1, tuple(Text(each, colours.text) for each in causes)),
            (2, (Text(found.ahead(finding.projection), colours.warning),)),
        ]


def _fitting(parts: Sequence[Part], room: int) -> Text:
    """As much as fits: first the shorter spellings are taken, then the parts with the highest rank go."""
    kept = [(rank, [text for text in spellings if text]) for rank, spellings in parts]
    kept = [(rank, spellings) for rank, spellings in kept if spellings]
    while True:
        line = Text(_GAP).join([spellings[0] for _, spellings in kept])
        longer = next((spellings for _, spellings in kept if len(spellings) > 1), None)
        if line.cell_len <= room or len(kept) == 1:
            break
        if longer is not None:
            longer.pop(0)
        elif (last := max(kept, key=lambda part: part[0]))[0]:
            kept.remove(last)
        else:
            break
    line.truncate(room, overflow="ellipsis")
    return line
