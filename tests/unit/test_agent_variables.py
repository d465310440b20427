"""Looking at a function's variables changes nothing for the function."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from taskscope.agent.inspect.looking import attributes_of
from taskscope.agent.inspect.variables import variables_of

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


def test_a_debugger_that_stands_at_the_entry_of_a_function_does_not_lose_its_arguments() -> None:
    def doubled(number: int) -> int:
        return 2 * number

    def traced(reached: threading.Event, go: threading.Event) -> int:
        def stands(frame: Any, event: str, _: object) -> None:
            if event == "call" and frame.f_code is doubled.__code__:
                reached.set()
                go.wait()

        sys.settrace(stands)
        try:
            return doubled(21)
        finally:
            sys.settrace(None)

    reached, go = threading.Event(), threading.Event()
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(traced(reached, go)))
    thread.start()
    reached.wait(5)
    frame: Any = sys._current_frames()[thread.ident or 0]
    while frame.f_code is not doubled.__code__:
        frame = frame.f_back
    variables_of(frame)
    del frame
    go.set()
    thread.join()
    assert results == [42]


def test_a_proxy_is_not_asked_for_its_target() -> None:
    class Proxy:
        @property
        def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
            raise RuntimeError("working outside of request context")

    thing = Thing()
    thing.name = "x"  # type: ignore[attr-defined]
    assert attributes_of(Proxy()) == {}
    assert attributes_of(thing) == {"name": "x"}
    assert attributes_of(threading)["Thread"] is threading.Thread
