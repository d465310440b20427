"""The help that ``?`` shows: the current view, its columns and keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.app import ComposeResult
    from textual.binding import BindingType

EVERYWHERE = """\
Everywhere
1 to 7     overview, threads, ended tasks, stalls, loops, resources,
           CPU; t: trees
b          marks a baseline; B clears it; D lists what changed since
M          shows past messages
ctrl+p     lists all commands and themes
ctrl+z     suspends the app; q or F10 quits it; ? or F1: this help"""

LIVE = """\
On a live target
space      pauses the display; the target keeps running
w          saves a snapshot in the working directory
R          starts and stops a recording there
c          opens aiomonitor's console in the target; asks before it starts one
i          changes the sampling interval
K          keeps the agent out of a process that is read from outside
           until it starts, or lets it in"""

RECORDING = """\
The app shows one moment of the recording.  It holds details of the
worst sites only, at most a minute older than that moment; where
something was not recorded, the app says so.  A click on the line
below goes to that moment.
[ and ]    10 seconds back, on; { and }: five minutes
n          goes to where the next finding begins
space      plays, stops; < and >: slower, faster"""

_TERM = re.compile(r"(\S(?:.{0,12}?[^\s.;:,])?) {2,}(\S.*)")
"""A line of a list: a term, two or more spaces, its explanation."""


class HelpScreen(ModalScreen[None]):
    """Help text over the view; Esc and the keys of help and quitting close it."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 106; max-width: 96%; height: auto; max-height: 90%;
        border: round $primary; padding: 1 2; background: $surface;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("escape,question_mark,f1,q,f10", "dismiss", "Close")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._heading = title
        self._text = text

    def compose(self) -> ComposeResult:
        with VerticalScroll() as scroll:
            scroll.border_subtitle = "Esc closes"
            yield Static(flowing(f"{self._heading}\n\n{self._text}"))


def flowing(text: str) -> RenderableType:
    """Reflows paragraphs and lists to the available width; continuation lines of a list are indented."""
    blocks: list[RenderableType] = []
    for number, block in enumerate(text.split("\n\n")):
        if number:
            blocks.append(Text())
        blocks += _block(block.split("\n"), heading=not number)
    return Group(*blocks)


def _block(lines: list[str], *, heading: bool) -> list[RenderableType]:
    terms: list[tuple[str, str]] = []
    prose: list[str] = []
    for line in lines:
        found = _TERM.fullmatch(line)
        if found:
            terms.append((found[1], found[2]))
        elif terms and line.startswith(" "):
            terms[-1] = (terms[-1][0], f"{terms[-1][1]} {line.strip()}")
        else:
            prose.append(line.strip())
    parts: list[RenderableType] = [Text(" ".join(prose), "bold" if heading else "")] if prose else []
    if terms:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column()
        for term, explanation in terms:
            table.add_row(Text(term), Text(explanation))
        parts.append(table)
    return parts
