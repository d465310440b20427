"""The keys that work in every view, and what their actions need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.binding import Binding

if TYPE_CHECKING:
    from textual.binding import BindingType

BINDINGS: list[BindingType] = [
    Binding("t", "trees", "Trees"),
    Binding("space", "pause", "Pause"),
    Binding("space", "resume", "Resume"),
    Binding("b", "baseline", "Baseline", show=False),
    Binding("B", "unmark", "Clear baseline", show=False),
    Binding("w", "snapshot", "Save"),
    Binding("R", "record", "Record", show=False),
    Binding("c", "console", "Console"),
    Binding("c", "try_console", "Console", show=False),
    Binding("C", "connect", "Connect again", show=False),
    Binding("K", "screen.agent", "Keep the agent out, or let it in", show=False),
    Binding("i", "interval", "Change the interval", show=False),
    Binding("space,w,R,c,i", "not_live", show=False),
    Binding("t,w,R,c,2,3,4,5,6,7", "one_process", show=False),
    Binding("1", "overview", "Overview", show=False),
    Binding("2", "view('threads')", "Threads", show=False),
    Binding("3", "view('ended')", "Ended tasks", show=False),
    Binding("4", "view('stalls')", "Stalls", show=False),
    Binding("5", "view('loops')", "Loops", show=False),
    Binding("6", "view('resources')", "Resources", show=False),
    Binding("7", "view('cpu')", "CPU", show=False),
    Binding("D", "view('changes')", "Changes since the baseline", show=False),
    Binding("M", "messages", "Messages", show=False),
    Binding("question_mark", "screen.explain", "Help"),
    Binding("f1", "screen.explain", show=False),
    Binding("q", "quit", "Quit"),
    Binding("f10", "quit", show=False),
    Binding("ctrl+z", "suspend_process", "Suspend the app", show=False),
]

OF_A_TARGET = frozenset(
    (
        "trees",
        "baseline",
        "unmark",
        "pause",
        "resume",
        "snapshot",
        "record",
        "console",
        "try_console",
        "interval",
        "not_live",
        "one_process",
    )
) | {"overview", "view", "connect"}

_OF_ONE = frozenset(("trees", "snapshot", "record", "console", "try_console"))
"""Actions that a group has no answer to."""

OF_LIVE = frozenset(("pause", "resume", "snapshot", "record", "console", "try_console", "interval"))
"""Actions that a file has no use for: their keys say so there, and are not listed."""


def of_one(action: str, parameters: tuple[object, ...]) -> bool:
    """Whether the action needs one process."""
    return action in _OF_ONE or (action == "view" and parameters != ("changes",))
