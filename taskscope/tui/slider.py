"""The line below a recording: where its moment lies, how fast it plays; and the keys that move it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text
from textual.binding import Binding
from textual.widget import Widget

from taskscope import text as fmt
from taskscope.tui.playback import LEAP, STEP, clock
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from textual import events

    from taskscope.tui.context import Context
    from taskscope.tui.playback import Playback

KEYS = (
    Binding("space", "playback('toggle')", "Play/stop"),
    Binding("left_square_bracket", f"playback('step', {-STEP})", "Back 10 s"),
    Binding("right_square_bracket", f"playback('step', {STEP})", "On 10 s"),
    Binding("left_curly_bracket", f"playback('step', {-LEAP})", "Back 5 min", show=False),
    Binding("right_curly_bracket", f"playback('step', {LEAP})", "On 5 min", show=False),
    Binding("n", "playback('next_finding')", "Next finding"),
    Binding("less_than_sign", "playback('faster', -1)", "Play slower", show=False),
    Binding("greater_than_sign", "playback('faster', 1)", "Play faster", show=False),
)
"""Available while the app shows a recording."""


class Slider(Widget):
    """Hidden unless the app shows a recording; a click goes to that moment."""

    DEFAULT_CSS = "Slider { height: 1; background: $surface; display: none; text-wrap: nowrap; }"
    ALLOW_SELECT = False

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.display = context.playback is not None
        self._bar = (0, 1)

    def render(self) -> Text:
        playback = self.context.playback
        if playback is None or self.context.store.sample is None:
            return Text()  # it is being read
        colours = palette(self.app.theme_variables)
        line = Text(f" {'▶' if playback.playing else '‖'} ", colours.accent, no_wrap=True, end="")
        line.append(f"{_moment(playback)} ", colours.strong)
        after = f" {clock(playback.source.end)}  {playback.speed}x "
        room = max(0, self.size.width - line.cell_len - len(after))
        self._bar = (line.cell_len, max(1, room))
        at = round(_share(playback) * (room - 1))
        line.append("━" * at, colours.accent)
        line.append("●" if room else "", colours.strong)
        line.append("─" * (room - at - 1), colours.border)
        return line.append(after, colours.dim)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        playback, (begin, width) = self.context.playback, self._bar
        if playback is not None and begin <= event.x < begin + width:
            source = playback.source
            share = (event.x - begin) / max(1, width - 1)
            playback.go(source.begin + share * (source.end - source.begin))


def _share(playback: Playback) -> float:
    source = playback.source
    length = source.end - source.begin
    return min(max((playback.position - source.begin) / length, 0.0), 1.0) if length > 0 else 1.0


def _moment(playback: Playback) -> str:
    """The date and time shown, and how long after the beginning."""
    moment = playback.position
    date = time.strftime("%d %b", time.localtime(moment))
    return f"{date} {clock(moment)} +{fmt.age(moment - playback.source.begin)}"
