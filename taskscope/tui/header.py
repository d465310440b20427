"""The two top lines of every view: target and connection; totals and their growth."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual.widget import Widget

from taskscope import text as fmt
from taskscope.analysis.growth import is_rising
from taskscope.analysis.plateau import BAND
from taskscope.export.members import count
from taskscope.tui.context import State
from taskscope.tui.theme import Palette, palette

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taskscope.model import Sample
    from taskscope.model.vocabulary import Resource
    from taskscope.tui.context import Context
    from taskscope.tui.store import Baseline, Store

Part = tuple[int, Text]
"""Rank and text: a narrow line drops the parts with the highest rank first."""

NEAR, ALL_BUT_MET = 0.8, 0.95
"""Shares of a limit from which its value shows in the warning and the alarm colour."""

_PYTHONS = {"cpython": "CPython", "pypy": "PyPy"}

_GAP = "   "
_SIGNS = {
    State.CONNECTING: "◌",
    State.LIVE: "●",
    State.SAVED: "▣",
    State.ENDED: "■",
    State.LOST: "✕",
    State.FAILED: "✕",
}


class Header(Widget):
    """Redraws every second for the sample's age, and when the store changes."""

    DEFAULT_CSS = "Header { height: 2; background: $surface; }"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context

    def on_mount(self) -> None:
        self.set_interval(1.0, self.refresh)

    def render(self) -> Text:
        colours = palette(self.app.theme_variables)
        width = self.size.width
        who = line(_identity(self.context, colours), _connection(self.context, colours), width)
        return Text("\n", no_wrap=True).join([who, line(_amounts(self.context, colours), [], width)])


def line(left: Sequence[Part], right: Sequence[Part], width: int) -> Text:
    """``left`` and ``right`` parts at the ends of a line, as many as fit."""
    parts = [(rank, side, text) for side, half in enumerate((left, right)) for rank, text in half]
    while len(parts) > 1 and sum(cell_len(text.plain) + len(_GAP) for _, _, text in parts) > width:
        parts.remove(max(parts, key=lambda part: part[0]))
    halves = [Text(_GAP).join([text for _, at, text in parts if at == side]) for side in (0, 1)]
    room = width - 2 - sum(cell_len(half.plain) for half in halves)
    result = Text(" ", no_wrap=True, overflow="ellipsis", end="")
    return result.append_text(halves[0]).append(" " * max(0, room)).append_text(halves[1])


def _identity(context: Context, colours: Palette) -> list[Part]:
    parts = [(5, Text("taskscope", colours.dim))]
    hello = context.store.hello
    if hello is None:
        return parts
    process = hello.process
    parts.append((0, Text(process.name, colours.strong)))
    group = context.group
    who = _pair("pid", str(process.pid), colours)
    parts.append((1, Text(count(group.members(), group.left), colours.text) if group is not None else who))
    parts.append(
        (
            4,
            Text(
                f"{_PYTHONS.get(process.implementation, process.implementation)} {process.python}",
                colours.text,
            ),
        )
    )
    parts += [(2, Text(f"+ {each}", colours.warning)) for each in process.unseen]
    parts.append((3, _pair("up", fmt.age(context.store.uptime()), colours)))
    return parts


def _connection(context: Context, colours: Palette) -> list[Part]:
    store, sample = context.store, context.store.sample
    parts = [(0, _state(context, colours))]
    if context.state is State.SAVED and sample is not None:
        ago = fmt.age(time.time() - sample.wall)
        parts.append((2, Text(f"{fmt.moment(sample.wall)}, {ago} ago", colours.text)))
    if (capture := context.capture) is not None:
        amount = f"{fmt.age(capture.seconds)} {fmt.bytes(capture.written)}"
        parts.insert(0, (1, Text(f"▶ rec {amount}", colours.warning)))
    age = store.shown_age()
    if sample is None or age is None:
        return parts
    if context.state is State.LIVE:
        parts.append((2, Text(f"{fmt.age(age)} ago", colours.warning if store.paused else colours.dim)))
    if sample.agent_cpu is not None:
        parts.append((6, _pair("agent", f"{fmt.percent(sample.agent_cpu)} cpu", colours)))
    if store.hello is not None and store.hello.arrived == "outside":
        parts.append((1, Text("read-only", colours.accent)))
    elif store.hello is not None and store.hello.arrived != "started":
        parts.append((8, Text(store.hello.arrived, colours.dim)))
    if sample.agent_memory is not None:
        parts.append((7, Text(fmt.bytes(sample.agent_memory), colours.text)))
    return parts


def _state(context: Context, colours: Palette) -> Text:
    if context.store.paused:
        return Text("‖ paused", colours.warning)
    if context.stale:
        return Text("○ stale", colours.warning)
    if context.playback is not None and context.state is State.SAVED:
        return Text(f"{_SIGNS[State.SAVED]} recording", colours.accent)
    state = context.state
    style = colours.accent if state in (State.LIVE, State.SAVED) else colours.warning
    return Text(f"{_SIGNS[state]} {state.value}", style)


def _counts_tasks(store: Store) -> bool:
    return store.hello is None or store.hello.counts_tasks


def _amounts(context: Context, colours: Palette) -> list[Part]:
    store, sample = context.store, context.store.sample
    if sample is None:
        return [(0, Text("waiting for the first sample", colours.dim))]
    process = store.hello.process if store.hello else None
    limits = (process.fd_limit, process.thread_limit, process.memory_limit) if process else (None,) * 3
    parts = [
        (
            0,
            _pair("tasks", fmt.count(sample.tasks.live if _counts_tasks(store) else None), colours)
            + (_flat(store, colours) or _slope(store, "tasks", fmt.count, colours)),
        ),
        _limited(3, store, "threads", limits[1], fmt.count, colours),
        _limited(2, store, "fds", limits[0], fmt.count, colours),
        _limited(1, store, "rss", limits[2], fmt.bytes, colours),
        (5, _pair("cpu", fmt.percent(sample.cpu), colours)),
        (4, _pair("loop p99", fmt.latency(sample.loop_latency), colours)),
    ]
    if store.baseline is not None:
        parts.append((1, Text(_since(store.baseline, sample), colours.accent)))
    return parts


def _since(baseline: Baseline, sample: Sample) -> str:
    change = f"{fmt.change(sample.tasks.live - baseline.side.sample.tasks.live)} tasks"
    if baseline.name:
        return f"against {baseline.name} {change}"
    return f"since baseline {change} in {fmt.age(sample.wall - baseline.wall)}"


def _pair(name: str, value: str, colours: Palette) -> Text:
    return Text.assemble((f"{name} ", colours.dim), (value, colours.text))


def _limited(
    rank: int,
    store: Store,
    name: Resource,
    limit: float | None,
    spell: Callable[[float | None], str],
    colours: Palette,
) -> Part:
    """A value with its limit (always for descriptors, otherwise once it is near), and when it is full."""
    value, ahead = store.last(name), store.findings.runs_out(name)
    share = value / limit if value is not None and limit else 0.0
    near = share >= NEAR or ahead is not None
    bound = f"/{spell(limit)}" if limit and value is not None and (name == "fds" or near) else ""
    style = colours.alarm if share >= ALL_BUT_MET else colours.warning if near else colours.text
    text = Text.assemble((f"{name} ", colours.dim), (f"{spell(value)}{bound}", style))
    if ahead is None:
        return rank, text + _slope(store, name, spell, colours)
    return 0, text.append(f", full in {fmt.seconds(ahead.seconds)}" if ahead.seconds else ", full", style)


def _flat(store: Store, colours: Palette) -> Text:
    """Since when the tasks have been flat, if most of them are of a site that grew."""
    tasks = store.last("tasks") or 0
    if abs(store.slope("tasks") or 0) > BAND * tasks:
        return Text()
    for note in store.findings.notes:
        if note.why == "plateau" and note.kind == "task" and note.live > tasks / 2:
            return Text(f", flat since {fmt.since(note, store.sample)}", colours.text)
    return Text()


def _slope(store: Store, column: str, spell: Callable[[float | None], str], colours: Palette) -> Text:
    """The slope, if it is worth a word."""
    slope, now = store.slope(column), store.last(column)
    if slope is None or now is None or not is_rising(abs(slope), now):
        return Text()
    return Text(f" {'▲' if slope > 0 else '▼'} {spell(abs(slope))}/min", colours.accent)
