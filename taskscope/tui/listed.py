"""What the command palette lists: the actions of ours that have a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.screen import Screen

from taskscope.tui.keys import name_of
from taskscope.tui.line_list import LineList
from taskscope.tui.picker import PickerScreen
from taskscope.tui.view import ViewScreen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TEXTUALS = {
    binding.action for node in (App, Screen) for binding in node.BINDINGS if isinstance(binding, Binding)
}


def listed(app: App[Any], screen: Screen[Any]) -> Iterator[SystemCommand]:
    """The actions that are available on ``screen``."""
    ours = (type(app), ViewScreen, PickerScreen)
    for active in screen.active_bindings.values():
        binding = active.binding
        shown = binding.show if isinstance(active.node, LineList) else isinstance(active.node, ours)
        if shown and active.enabled and binding.description and binding.action not in _TEXTUALS:
            yield SystemCommand(binding.description, f"key: {name_of(binding)}", _doing(app, binding.action))


def _doing(app: App[Any], action: str) -> Callable[[], None]:
    def run() -> None:
        app.call_later(app.run_action, action)

    return run
