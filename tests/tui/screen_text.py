"""What is on the screen, as text: taken from the rendered lines, not from widgets' insides."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import App
    from textual.pilot import Pilot


def screen_text(app: App[None]) -> str:
    """All lines of the screen in front."""
    lines = app.screen._compositor.render_strips(app.size)
    return "\n".join(line.text for line in lines)


async def until(pilot: Pilot[None], condition: Callable[[], bool], tries: int = 1_000) -> None:
    """Waits until the condition holds; fails with the screen if it never does."""
    for _ in range(tries):
        if condition():
            return
        await pilot.pause(0.01)
    raise AssertionError(f"never came true; the screen:\n{screen_text(pilot.app)}")


async def until_shown(pilot: Pilot[None], text: str) -> str:
    """Waits until the text is on the screen, and returns the screen."""
    await until(pilot, lambda: text in screen_text(pilot.app))
    return screen_text(pilot.app)
