"""The bottom line: the most useful keys here, as many as fit; and the names of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.app import App
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from textual import events
    from textual.binding import Binding

FIRST = ("enter", "slash", "s", "f")
"""Actions shown first, where they are available."""

LAST = ("question_mark", "q")
"""Always shown."""

_BOLD = Style(bold=True)
_NAMES = {
    "enter": "Enter",
    "escape": "Esc",
    "space": "space",
    "tab": "tab",
    "slash": "/",
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "less_than_sign": "<",
    "greater_than_sign": ">",
}


def name_of(binding: Binding) -> str:
    """The key's label on the keyboard."""
    return _NAMES.get(binding.key, binding.key)


class KeyBar(Widget):
    """Lists the keys available to the focused widget; a click presses one."""

    DEFAULT_CSS = "KeyBar { dock: bottom; height: 1; background: $footer-background; text-wrap: nowrap; }"
    ALLOW_SELECT = False

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh())

    def render(self) -> Text:
        colours = palette(self.app.theme_variables)
        line = Text(" ", no_wrap=True, end="")
        for binding in self._fitting():
            line.append(name_of(binding), colours.accent + _BOLD)
            line.append(f" {binding.description}  ", colours.dim)
        return line

    def on_click(self, event: events.Click) -> None:
        event.stop()
        end = 1
        for binding in self._fitting():
            end += _width(binding)
            if event.x < end:
                self.app.simulate_key(binding.key)
                return

    def _fitting(self) -> list[Binding]:
        shown = self._shown()
        room = self.size.width - 1
        while shown and sum(map(_width, shown)) > room + 2:  # the gap after the last key may be cut
            dispensable = [each for each in shown if each.key not in LAST]
            if not dispensable:
                break
            shown.remove(dispensable[-1])
        return shown

    def _shown(self) -> list[Binding]:
        """Keys of the focused widget come first, then the view's, then the app's."""
        if not self.is_attached:
            return []
        active = [each for each in self.screen.active_bindings.values() if each.binding.show and each.enabled]
        if isinstance(field := self.screen.focused, Input):  # other keys are input
            active = [each for each in active if each.node is field]
        once = {each.binding.action: each for each in active if each.binding.description}
        return [
            each.binding for each in sorted(once.values(), key=lambda each: _rank(each.binding, each.node))
        ]


def _rank(binding: Binding, node: object) -> tuple[int, int, int]:
    first = FIRST.index(binding.key) if binding.key in FIRST else len(FIRST)
    far = 2 if isinstance(node, App) else 1 if isinstance(node, Screen) else 0
    return (binding.key in LAST, first, far)


def _width(binding: Binding) -> int:
    return cell_len(name_of(binding)) + cell_len(binding.description) + 3
