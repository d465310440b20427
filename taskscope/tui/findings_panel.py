"""The worst findings at the top of the overview, a line or two each; one calm line while there are none."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual.message import Message
from textual.widget import Widget

from taskscope import text as fmt
from taskscope.tui import current_findings as found
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events

    from taskscope.model import Finding
    from taskscope.tui.context import Context
    from taskscope.tui.theme import Palette


def most(lines: int) -> int:
    """How many findings show on a terminal of ``lines``."""
    return 1 if lines < 32 else 3 if lines < 50 else 5


Part = tuple[int, tuple[Text, ...]]
"""A rank, and the forms of a text, longest first."""

_GAP = "   "
_WIDE = 120
_PLACE = 46
"""Cells for the place on a wide line, so that the columns after it line up."""


class FindingsPanel(Widget):
    """A line for each of the worst findings, or two if the cause does not fit on one."""

    DEFAULT_CSS = "FindingsPanel { height: 1; text-wrap: nowrap; }"

    class Opened(Message):
        """A click on the line of ``finding``; None: on any other line."""

        def __init__(self, finding: Finding | None) -> None:
            super().__init__()
            self.finding = finding

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.most = 1
        """Most findings listed."""
        self._drawn: tuple[Text, ...] = ()
        self._of_line: tuple[Finding | None, ...] = ()

    def look(self) -> None:
        """Redraws if the text has changed."""
        shown = self._lines()
        self._of_line = tuple(finding for finding, _ in shown)
        lines = tuple(line for _, line in shown)
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
        self.post_message(self.Opened(self._of_line[event.y] if event.y < len(self._of_line) else None))

    def _lines(self) -> list[tuple[Finding | None, Text]]:
        store, colours = self.context.store, palette(self.app.theme_variables)
        top, width = store.findings.top, self.size.width
        if not top:
            said = found.calm(store.findings, self.context)
            calm = textwrap.wrap(said, max(20, width - 2)) or [""]
            style = colours.text if found.noteworthy(store.findings) else colours.dim
            return [(None, Text(f" {line}", style)) for line in calm]
        shown = top[: self.most]
        badges = max(len(found.BADGES[each.level]) for each in shown)
        rest = self._rest(len(top) - len(shown))
        return [
            (each, line)
            for each in shown
            for line in self._told(each, badges, rest if each is shown[-1] else "", width, colours)
        ]

    def _rest(self, more: int) -> str:
        """How many findings are not listed."""
        hidden = len(self.context.store.findings.hidden)
        parts = [
            f"+{fmt.count(more)} more" if more else "",
            f"{fmt.count(hidden)} dismissed" if hidden else "",
        ]
        return ", ".join(part for part in parts if part)

    def _told(self, finding: Finding, badges: int, rest: str, width: int, colours: Palette) -> list[Text]:
        line = Text(" ", no_wrap=True, end="").append_text(found.badge(finding, colours))
        line.append(" " * (badges + len(_GAP) - line.cell_len + 2))
        indent = line.cell_len
        room = width - indent - (cell_len(rest) + len(_GAP) + 1 if rest else 1)
        why = self._why(finding, colours)
        what = self._what(finding, width, room, colours, why)
        split = width < _WIDE and _longest(what + why).cell_len > room
        if split and not finding.counts and _longest(what).cell_len > room:
            why.insert(0, what.pop(1))  # the whole place, and below it the whole sentence
        line.append_text(_fitting(what if split else what + why, room))
        if rest:
            line.append(" " * max(0, width - line.cell_len - cell_len(rest) - 1)).append(rest, colours.dim)
        if not split or not _longest(why):
            return [line]
        return [line, Text(" " * indent, no_wrap=True, end="").append_text(_fitting(why, width - indent - 1))]

    def _what(
        self, finding: Finding, width: int, room: int, colours: Palette, why: Sequence[Part]
    ) -> list[Part]:
        """Place, rate and number, or the sentence of what is not counted; ``why`` is told beside them."""
        since = fmt.since(finding, self.context.store.sample)
        rate = f"{fmt.per_minute(finding.rate_per_min)} since {since}" if finding.counts else finding.text
        then = "at its end" if finding.processes and finding.processes == finding.ended else "live"
        beside: list[Part] = [
            (0, (Text(rate, found.style_of(finding, colours)),)),
            (3, (Text(f"{fmt.count(finding.live)} {then}" if finding.counts else "", colours.text),)),
            (0, tuple(Text(each, colours.strong) for each in fmt.among_shortly(finding))),
        ]
        if width >= _WIDE:
            least = [(rank, spellings[-1:]) for rank, spellings in why]
            left = room - _longest([*beside, *least]).cell_len - len(_GAP)
            place = fmt.shortened(fmt.place(finding), max(_PLACE, left)).ljust(_PLACE)
        else:
            left = room - cell_len(rate) - len(_GAP) if finding.counts else room
            place = fmt.shortened(fmt.place(finding), max(12, left))
        return [(0, (Text(place, colours.strong),)), *beside]

    def _why(self, finding: Finding, colours: Palette) -> list[Part]:
        """The cause, and when a limit is reached."""
        return [
            (1, tuple(Text(each, colours.text) for each in found.causes(finding))),
            (2, (Text(fmt.runs_out(finding.projection), colours.warning),)),
        ]


def _longest(parts: Sequence[Part]) -> Text:
    """The longest forms, joined."""
    return Text(_GAP).join([spellings[0] for _, spellings in parts if spellings and spellings[0]])


def _fitting(parts: Sequence[Part], room: int) -> Text:
    """As much as fits: shorter forms first, then without the parts of the highest rank."""
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
