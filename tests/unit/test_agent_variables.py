"""Looking at a function's variables changes nothing for the function."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from taskscope.agent.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Thing:
    pass


def looked_at(function: Callable[[threading.Event, threading.Event], Any]) -> tuple[dict[str, str], Any]:
    """The variables of a function while it waits, and what it returns after that."""
    reached, go = threading.Event(), threading.Event()
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function(reached, go)))
    thread.start()
    reached.wait(5)
    frame = sys._current_frames()[thread.ident or 0]
    while frame.f_code.co_name != function.__name__ and frame.f_back is not None:
        frame = frame.f_back
    found = {name: type(value).__name__ for name, value in variables_of(frame).items()}
    del frame
    go.set()
    thread.join()
    return found, results[0]


def test_nothing_is_kept_alive() -> None:
    def forgets(reached: threading.Event, go: threading.Event) -> bool:
        thing = Thing()
        trace = weakref.ref(thing)
        reached.set()
        go.wait()
        del thing
        return trace() is None

    names, freed = looked_at(forgets)
    assert names["thing"] == "Thing"
    assert freed


def test_what_locals_gave_stays_as_it_was() -> None:
    def asks(reached: threading.Event, go: threading.Event) -> dict[str, Any]:
        number = 1
        kept = locals()
        number = 2
        reached.set()
        go.wait()
        return {"number": kept["number"], "now": number}

    _, kept = looked_at(asks)
    assert kept == {"number": 1, "now": 2}
