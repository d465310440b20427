"""The terminal of the app: once it is gone, so is whoever could quit."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App

LOOK_EVERY = 1.0


def ends_with_terminal(app: App[Any]) -> None:
    """Has ``app`` exit when its terminal is gone; SIGHUP does not tell whoever ignores it."""
    terminal = select.poll()
    with contextlib.suppress(OSError, ValueError):  # stdin is closed, or no file
        if sys.__stdin__ is not None and os.isatty(number := sys.__stdin__.fileno()):
            terminal.register(number, 0)

    def look() -> None:
        if any(what & select.POLLHUP for _, what in terminal.poll(0)):
            app.exit()

    app.set_interval(LOOK_EVERY, look)
