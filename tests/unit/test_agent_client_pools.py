"""Which objects are full pools for those that wait in them, and what has become of their members."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.agent.inspect import client_pools, futures, members, stacks
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.walk import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskscope.agent.inspect.walk import Job

kept: list[object] = []
opened: list[asyncio.BaseTransport] = []


class Line:
    """A member: an open connection."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


class Pool:
    def __init__(self, most: int) -> None:
        self.most = most
        self.taken: set[Any] = set()
        self.changed = asyncio.Condition()
        self.closing = asyncio.Event()
        self.turns: list[asyncio.Future[None]] = []

    def is_full(self) -> bool:
        return len(self.taken) >= self.most

    def add(self, line: Any) -> None:
        self.taken.add(line)

    async def by_condition(self) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: not self.is_full())

    async def by_turn(self) -> None:
        if len(self.taken) >= self.most:
            turn = asyncio.get_running_loop().create_future()
            self.turns.append(turn)
            await turn

    async def until_closing(self) -> None:
        """It has to do with the limit, but waits for something else."""
        if self.is_full():
            await self.closing.wait()

    async def with_one(self, line: Any) -> None:
        """It has a member, and waits for what comes next."""
        if self.is_full():
            async with self.changed:
                await self.changed.wait()
        self.add(line)


class Queued:
    """As asyncpg's: each member has its place in a queue."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.members: list[Any] = []
        self.free: asyncio.LifoQueue[Any] = asyncio.LifoQueue(most)

    def add(self, line: Any) -> None:
        self.members.append(line)
        self.free.put_nowait(line)

    async def take(self) -> Any:
        return await self.free.get()


class Guest(asyncio.Protocol):
    """A member that takes itself out of its pool."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def connection_lost(self, error: Exception | None) -> None:
        self.pool.taken.discard(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """The port of a server; what was opened is closed at the end."""
    async with await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        for each in opened:
            each.close()
        opened.clear()


async def connect(pool: Pool | Queued, port: int) -> Line:
    line = Line(await open_to(port, asyncio.Protocol()))
    pool.add(line)
    return line


async def open_to(port: int, protocol: asyncio.BaseProtocol) -> asyncio.BaseTransport:
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, "127.0.0.1", port)
    opened.append(transport)
    return transport


async def take_and_go(pool: Pool | Queued, port: int) -> None:
    await connect(pool, port)


async def take_and_keep(pool: Pool, port: int) -> None:
    kept.append(await connect(pool, port))


async def be_a_guest(pool: Pool, port: int) -> None:
    guest = Guest(pool)
    await open_to(port, guest)
    pool.add(guest)


async def waiting(waiter: Any) -> asyncio.Task[Any]:
    task = asyncio.create_task(waiter)
    while futures.waiter_of(task) is None:
        await asyncio.sleep(0)
    return task


def found(task: asyncio.Task[Any]) -> client_pools.Pool | None:
    return run(search(task))


def search(task: asyncio.Task[Any]) -> Job[client_pools.Pool | None]:
    return client_pools.waited_for(stacks.await_chain(task.get_coro()), futures.waiter_of(task), {})


@pytest.mark.parametrize("way", ["by_condition", "by_turn"])
async def test_a_pool_is_known_by_those_that_wait_for_a_member(way: str) -> None:
    async with serving() as port:
        pool = Pool(2)
        for _ in range(2):
            await take_and_go(pool, port)
        task = await waiting(getattr(pool, way)())
        known = found(task)
        assert known is not None
        assert known.thing is pool
        assert set(known.members) == pool.taken
        task.cancel()


async def test_a_pool_is_known_by_the_queue_into_which_its_members_go() -> None:
    async with serving() as port:
        pool = Queued(2)
        for _ in range(2):
            await take_and_go(pool, port)
            await pool.take()
        task = await waiting(pool.take())
        known = found(task)
        assert known is not None
        assert list(known.members) == pool.members
        task.cancel()


async def test_whoever_waits_for_something_else_does_not_wait_for_a_member() -> None:
    async with serving() as port:
        pool = Pool(1)
        line = await connect(pool, port)
        for waiter in (pool.until_closing(), pool.with_one(line)):
            task = await waiting(waiter)
            assert found(task) is None
            task.cancel()


async def test_what_keeps_no_connections_is_no_pool() -> None:
    pool = Pool(1)
    pool.add(Line)
    task = await waiting(pool.by_turn())
    assert found(task) is None
    task.cancel()


async def test_a_pool_that_is_not_full_gives_a_member_soon() -> None:
    async with serving() as port:
        pool = Pool(1)
        await take_and_go(pool, port)
        task = await waiting(pool.by_turn())
        pool.most = 2
        assert found(task) is None
        task.cancel()


async def fates_of(pool: Pool, *takers: Any) -> tuple[members.Fate, ...]:
    return (await state_of(pool, *takers)).fates


async def state_of(pool: Pool, *takers: Any) -> members.Members:
    """``takers``: take all members and wait for one more."""
    tasks = [asyncio.create_task(each) for each in takers]
    while len(pool.turns) < len(tasks):
        await asyncio.sleep(0)
    tasks.append(await waiting(pool.by_turn()))
    state = run(
        members.fates(lambda: search(tasks[-1]), list(map(OwnRef, tasks)), [asyncio.get_running_loop()])
    )
    for each in tasks:
        each.cancel()
    assert state is not None
    return state


async def test_a_member_that_nobody_has_is_lost() -> None:
    async with serving() as port:
        pool = Pool(2)
        for _ in range(2):
            await take_and_go(pool, port)
        assert await fates_of(pool) == ("lost", "lost")


async def test_it_is_told_how_many_members_are_connections_and_closed() -> None:
    async with serving() as port:
        pool = Pool(3)
        for _ in range(2):
            await take_and_go(pool, port)
        opened[0].close()
        pool.add(Guest(pool))
        state = await state_of(pool)
        assert (state.connected, state.closed) == (2, 1)


async def test_a_member_that_is_kept_anywhere_is_not_lost() -> None:
    async with serving() as port:
        pool = Pool(1)
        await take_and_keep(pool, port)
        assert await fates_of(pool) == ("elsewhere",)
        kept.clear()


async def test_a_member_may_be_had_by_a_task_that_waits_for_another() -> None:
    async def take_two(pool: Pool, port: int) -> None:
        line = await connect(pool, port)
        await pool.by_turn()
        assert line

    async with serving() as port:
        pool = Pool(1)
        assert await fates_of(pool, take_two(pool, port)) == ("waiting",)


async def test_a_member_that_leads_to_the_pool_may_be_given_back_by_its_peer() -> None:
    async with serving() as port:
        pool = Pool(1)
        await be_a_guest(pool, port)
        assert await fates_of(pool) == ("peer",)
