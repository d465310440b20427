"""Pools that keep nothing of what they lend: which objects are such, and who has what they lent."""

from __future__ import annotations

import queue
import socket
import sys
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.agent.inspect import client_pools, had, stacks
from taskscope.agent.inspect.walk import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from taskscope.agent.inspect import lending
    from taskscope.model import Frame


opened: list[socket.socket] = []


def connect() -> socket.socket:
    opened.append(socket.socket())
    return opened[-1]


class Line:
    """A member: an open connection that its pool writes itself down in."""

    def __init__(self) -> None:
        self.socket = connect()
        self.pool: Any = None


class Queued:
    """As urllib3's: a queue with a place for each member."""

    def __init__(self, most: int, line: Callable[[], Any] = Line) -> None:
        self.free: queue.LifoQueue[Any] = queue.LifoQueue(most)
        for _ in range(most):
            self.put(line())

    def get(self) -> Any:
        line = self.free.get()
        if line is not None:
            line.pool = self
        return line

    def put(self, line: Any) -> None:
        self.free.put_nowait(line)


class Turn:
    """One that waits for a member."""

    def __init__(self) -> None:
        self.called = threading.Event()


class Counted:
    """As psycopg's: a number that are made, a list of those that are free, and one of those that wait."""

    def __init__(self, most: int, line: Callable[[], Any] = Line) -> None:
        self.most = most
        self.made = 0
        self.line = line
        self.free: deque[Any] = deque()
        self.turns: deque[Turn] = deque()

    def get(self) -> Any:
        while not self.free and not self.grow():
            turn = Turn()
            self.turns.append(turn)
            turn.called.wait()
        line = self.free.popleft()
        line.pool = self
        return line

    def grow(self) -> bool:
        if self.made >= self.most:
            return False
        self.made += 1
        self.free.append(self.line())
        return True

    def put(self, line: Any) -> None:
        self.free.append(line)
        if self.turns:
            self.turns.popleft().called.set()


class Mailbox:
    """Items come and go; its readers have connections, and wait."""

    def __init__(self, most: int) -> None:
        self.items: queue.Queue[object] = queue.Queue(most)

    def attach(self, reader: Reader) -> None:
        reader.mailbox = self

    def get(self) -> object:
        return self.items.get()

    def put(self, item: object) -> None:
        self.items.put_nowait(item)


class Reader:
    def __init__(self, mailbox: Mailbox) -> None:
        self.socket = connect()
        self.mailbox = mailbox
        mailbox.attach(self)

    def read(self) -> None:
        self.mailbox.get()


class Users:
    """Threads that stand in a method of a pool, or hold what they have until the end."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.threads: list[threading.Thread] = []

    def start(self, work: Callable[[], object]) -> int:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.threads.append(thread)
        return thread.ident or 0

    def waits(self, work: Callable[[], object]) -> int:
        """The ident of a thread that has come to wait in a method called ``wait`` or ``get``."""
        ident = self.start(work)
        while not any(each.f_code.co_name == "wait" for each in frames_of(ident)):
            threading.Event().wait(0.001)
        return ident


def frames_of(ident: int) -> list[Any]:
    return stacks.thread_frames(sys._current_frames().get(ident))


@contextmanager
def users(pool: Any) -> Iterator[Users]:
    """Ends all threads: what they wait for is put into the pool."""
    found = Users()
    try:
        yield found
    finally:
        found.end.set()
        while any(each.is_alive() for each in found.threads):
            pool.put(Line())
            for each in found.threads:
                each.join(0.01)
        for end in opened:
            end.close()
        opened.clear()


def lent(ident: int) -> lending.Lends | None:
    found = run(client_pools.waited_for(frames_of(ident), None, {}))
    return found.lends if found is not None else None


def taken(pool: Any, lends: lending.Lends, ident: int) -> list[Frame | None]:
    """The lines at which a thread has taken what it has."""
    return [each.where for each in run(had.had({id(pool): lends}, {}, [], frames_of(ident)))]


def take_and_take(pool: Any, *, closed: bool = False) -> None:
    """Not with ``assert``: rewritten, it hides the variables."""
    line = pool.get()
    if closed:
        line.socket.close()
    pool.get()
    pool.put(line)


POOLS = pytest.mark.parametrize("kind", [Queued, Counted])


@POOLS
def test_a_pool_is_known_by_a_thread_that_waits_for_what_is_lent(kind: Any) -> None:
    pool = kind(2)
    with users(pool) as threads:
        lines = [pool.get(), pool.get()]
        found = lent(threads.waits(pool.get))
        assert found is not None
        assert found.size == len(lines)


@POOLS
def test_who_has_a_member_shows_at_which_line_it_was_taken(kind: Any) -> None:
    pool = kind(1)
    with users(pool) as threads:
        ident = threads.waits(lambda: take_and_take(pool))
        found = lent(ident)
        assert found is not None
        (where,) = taken(pool, found, ident)
        assert where is not None
        assert (where.line, where.function) == (take_and_take.__code__.co_firstlineno + 2, "take_and_take")


@POOLS
def test_whoever_only_waits_has_none(kind: Any) -> None:
    pool = kind(1)
    with users(pool) as threads:
        line = pool.get()
        ident = threads.waits(pool.get)
        found = lent(ident)
        assert found is not None
        assert taken(pool, found, ident) == []
        assert line


@POOLS
def test_a_closed_connection_is_no_member(kind: Any) -> None:
    pool = kind(1)
    with users(pool) as threads:
        ident = threads.waits(lambda: take_and_take(pool, closed=True))
        found = lent(ident)
        assert found is not None
        assert taken(pool, found, ident) == []


def test_a_pool_that_may_grow_is_not_all_lent() -> None:
    pool = Counted(1)
    with users(pool) as threads:
        pool.get()
        ident = threads.waits(pool.get)
        pool.most = 2
        assert lent(ident) is None


def test_whoever_waits_behind_thousands_waits_for_the_pool_as_well() -> None:
    pool = Counted(1)
    with users(pool) as threads:
        pool.get()
        pool.turns.extend(Turn() for _ in range(3_000))
        found = lent(threads.waits(pool.get))
        pool.turns = deque([pool.turns[-1]])
        assert found is not None


def test_readers_of_a_queue_that_have_connections_have_not_taken_them_from_it() -> None:
    mailbox = Mailbox(1)
    with users(mailbox) as threads:
        reader = Reader(mailbox)
        ident = threads.waits(reader.read)
        found = lent(ident)
        assert found is None or taken(mailbox, found, ident) == []
