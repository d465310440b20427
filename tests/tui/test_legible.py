"""Everything the app draws is legible, measured on the lines sent to the terminal."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import pytest
from rich.color import Color, ColorSystem, ColorType
from rich.segment import Segment
from rich.style import Style
from textual import color

from taskscope.tui import theme as themes
from taskscope.tui.app import TaskScopeApp
from taskscope.tui.legible import GRAPHIC, PALETTES, TEXT, Legible, contrast, least
from tests.tui.fake_source import FakeSource
from tests.tui.screen_text import until_shown
from tests.tui.test_picker import picking

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.color_triplet import ColorTriplet
    from rich.palette import Palette
    from textual.app import App
    from textual.pilot import Pilot

    from taskscope.tui.legible import System

SYSTEMS: dict[System, dict[str, str]] = {
    "truecolor": {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
    "256": {"TERM": "tmux-256color"},
    "standard": {"TERM": "linux"},
    "none": {"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"},
}
OURS = (themes.LIGHT.name, themes.DARK.name)
VIEWS = {
    "the overview": ((), "record_failure"),
    "a site": (("enter",), "asyncio.sleep"),
    "a task": (("enter",), "awaited by"),
    "threads": (("2",), "worker-3"),
    "ended tasks": (("3",), "no price"),
    "stalls": (("4",), "reprice"),
    "loops": (("5",), "_UnixSelector"),
    "resources": (("6",), "Session"),
    "the CPU": (("7",), "of a core"),
    "trees": (("t",), "respond"),
    "help": (("question_mark",), "Esc closes"),
    "the findings": (("escape", "1", "f"), "cause"),
    "the palette": (("ctrl+p",), "Search"),
}


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> System:
    """The terminal that the app will find."""
    for name in ("COLORTERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    found: System = request.param
    for name, value in SYSTEMS[found].items():
        monkeypatch.setenv(name, value)
    return found


def drawn(app: App[None]) -> Iterator[Segment]:
    """What the driver writes."""
    for strip in app.screen._compositor.render_strips(app.size):
        yield from (each for each in strip if each.style and each.text)


def seen(colour: Color | None, palette: Palette) -> ColorTriplet:
    assert colour is not None
    if colour.type is ColorType.STANDARD:
        assert colour.number is not None
        return palette[colour.number]
    return colour.get_truecolor()


def unreadable(segment: Segment, system: System) -> str:
    """What is wrong with it; empty if it can be read."""
    style, needed = segment.style, least(segment.text)
    assert style is not None
    if system == "none":
        coloured = any(each is not None and not each.is_default for each in (style.color, style.bgcolor))
        return f"{segment.text!r} has a colour: {style}" if coloured else ""
    if not needed:
        return ""
    kinds = {"256": ColorSystem.EIGHT_BIT, "standard": ColorSystem.STANDARD}
    front, back = style.color, style.bgcolor
    assert front is not None
    assert back is not None
    if kind := kinds.get(system):
        front, back = front.downgrade(kind), back.downgrade(kind)
    if system == "standard":
        assert (back.number or 0) < 8, "eight colours have no bright backgrounds"
        assert (front.number or 0) < 8 or style.bold, "eight colours show a bright front as a bold one"
    worst = min(contrast(seen(front, each), seen(back, each)) for each in PALETTES)
    return f"{segment.text!r}: {worst:.2f} ({style})" if worst < needed or style.reverse else ""


async def test_every_view_can_be_read_with_the_cursor_on_the_leak() -> None:
    app = TaskScopeApp(FakeSource(start=250), clock=lambda: 1000.0)
    async with app.run_test(size=(130, 40)) as pilot:
        await until_shown(pilot, "LEAK")
        for name, (keys, shown) in VIEWS.items():
            await pilot.press(*keys)
            await until_shown(pilot, shown)
            await check(pilot, name)


async def test_the_list_of_processes_can_be_read() -> None:
    async with picking() as (_, pilot, _source):
        await until_shown(pilot, "orders --live")
        await check(pilot, "processes")


async def check(pilot: Pilot[None], name: str, wanted: Sequence[str] = OURS) -> None:
    """The lines are drawn once a theme, and made readable for every kind of terminal."""
    app = pilot.app
    assert isinstance(app, TaskScopeApp)
    for theme in wanted:
        app._readable = (theme, Unfiltered())
        app.theme = theme
        await pilot.pause()
        base = color.Color.parse(app.theme_variables["background"])
        segments = list(drawn(app))
        assert segments
        kinds = list({(each.style, least(each.text)): each for each in segments}.values())
        for system in SYSTEMS:
            found = map(partial(unreadable, system=system), Legible(system, base).apply(kinds, base))
            assert not list(filter(None, found)), (name, system, theme)
            if name == "overview":
                assert marked(Legible(system, base).apply(segments, base)), (system, theme)


def marked(segments: Sequence[Segment]) -> bool:
    """Whether the current row looks unlike the others."""
    current, other = (
        next(each.style for each in segments if each.style and text in each.text)
        for text in ("executor.py:231 record_failure   ", "stream.py:88 open_streams")
    )
    return (current.bgcolor, current.reverse) != (other.bgcolor, other.reverse)


class Unfiltered(Legible):
    """Lets everything through."""

    def __init__(self) -> None:
        super().__init__("truecolor", color.Color.parse("black"))

    def apply(self, segments: list[Segment], background: color.Color) -> list[Segment]:
        return segments


async def test_every_theme_can_be_read() -> None:
    app = TaskScopeApp(FakeSource(start=250), clock=lambda: 1000.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "LEAK")
        await check(pilot, "overview", list(app.available_themes))


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_what_the_terminal_gets_is_legible(system: System, theme: str) -> None:
    app = TaskScopeApp(FakeSource(start=250), clock=lambda: 1000.0, theme=theme)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "LEAK")
        assert app.terminal == system
        found = map(partial(unreadable, system=system), drawn(app))
        assert not list(filter(None, found))


async def test_the_leak_outshines_what_is_flat(system: System) -> None:
    app = TaskScopeApp(FakeSource(start=250), clock=lambda: 1000.0)
    async with app.run_test(size=(130, 40)) as pilot:
        await until_shown(pilot, "LEAK")
        await pilot.press("end")
        await pilot.pause()
        trends = [each for each in drawn(app) if "███" in each.text or "▁▂▃" in each.text]
        leak, flat = next(e for e in trends if "▁▂▃" in e.text), next(e for e in trends if "███" in e.text)
        assert leak.style
        assert flat.style
        assert leak.style.bold
        assert not flat.style.bold
        if system in ("truecolor", "256"):
            assert distance(leak) > distance(flat)


def distance(segment: Segment) -> float:
    assert segment.style
    return contrast(seen(segment.style.color, PALETTES[0]), seen(segment.style.bgcolor, PALETTES[0]))


@pytest.mark.parametrize("base", ["#101214", "#fafafa"])
@pytest.mark.parametrize("pairs", [100, pytest.param(10_000, marks=pytest.mark.attack)])
def test_no_pair_of_colours_is_unreadable(system: System, base: str, pairs: int) -> None:
    readable = Legible(system, color.Color.parse(base))
    chance = random.Random(14)
    for _ in range(pairs):
        front, back = (Color.from_rgb(*(chance.randrange(256) for _ in range(3))) for _ in range(2))
        style = Style(color=front, bgcolor=back, reverse=chance.random() < 0.3, dim=chance.random() < 0.3)
        for text, needed in (("held by", TEXT), ("▁▂▃", GRAPHIC)):
            assert least(text) == needed
            [segment] = readable.apply([Segment(text, style)], color.Color.parse(base))
            assert not unreadable(segment, system)
