"""Who queued a callback from another thread is named if it can only have been one line."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from taskscope.agent.inspect.queueing import line_that_queued
from taskscope.agent.inspect.walk import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from taskscope.model import Frame

    Target = Callable[[asyncio.AbstractEventLoop, threading.Event, threading.Event], None]

Loop = asyncio.AbstractEventLoop


def refresh() -> None: ...


def reload() -> None: ...


def retire() -> None: ...


def feed(loop: Loop, queued: threading.Event, end: threading.Event) -> None:
    loop.call_soon(refresh)
    queued.set()
    end.wait()


def feed_it_all(loop: Loop, queued: threading.Event, end: threading.Event) -> None:
    loop.call_soon(reload)
    queued.set()
    end.wait()


def feed_again(loop: Loop) -> None:
    loop.call_soon(reload)


def feed_from_two(loop: Loop, queued: threading.Event, end: threading.Event) -> None:
    queued_by_other = threading.Event()
    other = threading.Thread(target=feed_it_all, args=(loop, queued_by_other, end))
    other.start()
    queued_by_other.wait(10)
    loop.call_soon(retire)
    queued.set()
    end.wait()
    other.join()


@contextmanager
def loop_fed_by(target: Target) -> Iterator[Loop]:
    loop, queued, end = asyncio.new_event_loop(), threading.Event(), threading.Event()
    thread = threading.Thread(target=target, args=(loop, queued, end))
    thread.start()
    try:
        assert queued.wait(10)
        yield loop
    finally:
        end.set()
        thread.join(10)
        loop.close()


def found(loop: Loop) -> Frame | None:
    handle = loop._ready[-1]  # type: ignore[attr-defined]
    return run(line_that_queued(handle, threading.get_ident()))


def test_it_is_the_line_of_the_only_function_that_queues_this_and_that_a_thread_stands_in() -> None:
    with loop_fed_by(feed) as loop:
        where = found(loop)
    assert where is not None
    assert (where.file, where.function, where.line) == (__file__, "feed", feed.__code__.co_firstlineno + 1)


@pytest.mark.parametrize("target", [feed_it_all, feed_from_two])
def test_where_it_may_have_been_another_none_is_named(target: Target) -> None:
    """One that has ended its thread, or another that stands in one."""
    with loop_fed_by(target) as loop:
        assert found(loop) is None
