"""Who is ahead of tasks that wait, and which threads read from sockets that are closed already."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from taskscope.agent.inspect import closed, stacks
from tests.unit.test_agent_facts import Watched, run, settle, watched  # noqa: F401  (a fixture)

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_holder_of_a_lock_is_told_with_what_it_waits_for(watched: Watched) -> None:  # noqa: F811
    async def main() -> None:
        lock, answer = asyncio.Lock(), asyncio.get_running_loop().create_future()

        async def ask() -> None:
            await answer

        async def halt() -> None:
            async with lock:
                await ask()

        halting = [asyncio.create_task(halt()) for _ in range(4)]
        await settle()
        facts = watched.facts("halt")
        assert facts.holder is not None
        assert (facts.holder.wait, facts.holder.frame.function.rpartition(".")[2]) == ("future", "ask")
        assert facts.things == 2
        answer.set_result(None)
        await asyncio.gather(*halting)

    run(main)


def test_of_cancelled_tasks_it_is_told_which_threads_can_end_their_cleanup(watched: Watched) -> None:  # noqa: F811
    class Reader:
        def __init__(self) -> None:
            self.done, self.go = asyncio.Event(), threading.Event()

        def read(self) -> None:
            self.go.wait()

        async def write(self) -> None:
            try:
                await asyncio.sleep(300)
            except asyncio.CancelledError:
                await self.done.wait()

    async def main() -> None:
        readers = [Reader() for _ in range(3)]
        threads = [threading.Thread(target=each.read, daemon=True) for each in readers]
        for thread in threads:
            thread.start()
        tasks = [asyncio.create_task(each.write()) for each in readers]
        await settle()
        assert watched.facts("Reader.write").setter is None
        for task in tasks[:2]:
            task.cancel()
        await settle()
        facts = watched.facts("Reader.write")
        assert facts.setter is not None
        assert facts.setter.file == __file__
        assert [(each.wait, each.live, each.cancelling) for each in facts.groups] == [
            ("event", 2, 2),
            ("sleep", 1, 0),
        ]
        for each in readers:
            each.done.set()
            each.go.set()
        for thread in threads:
            thread.join()
        await asyncio.gather(*tasks[:2])

    run(main)


class Hub:
    def __init__(self) -> None:
        self.leaving: asyncio.Queue[int] = asyncio.Queue(1)
        self.closing = asyncio.Event()

    async def run(self) -> None:
        await self.closing.wait()
        self.leaving.get_nowait()

    async def leave(self) -> None:
        await self.leaving.put(1)


class PolledHub(Hub):
    def poll(self) -> None:
        self.leaving.get_nowait()


@pytest.mark.parametrize(("kind", "gone"), [(Hub, "Hub.run"), (PolledHub, "")])
def test_a_full_queue_names_the_method_that_nobody_runs_any_more(
    watched: Watched,  # noqa: F811
    kind: type[Hub],
    gone: str,
) -> None:
    async def main() -> None:
        hub, other = kind(), kind()
        runs = [asyncio.create_task(each.run()) for each in (hub, other)]
        leaving = [asyncio.create_task(hub.leave()) for _ in range(3)]
        await settle()
        assert watched.facts("Hub.leave").taker == ""
        hub.closing.set()
        await runs[0]
        leaving += [asyncio.create_task(hub.leave()) for _ in range(3)]
        await settle()
        assert watched.facts("Hub.leave").taker.endswith(gone)
        for task in (*leaving, *runs):
            task.cancel()

    run(main)


class Connection:
    def __init__(self) -> None:
        self.socket, self.other = socket.socketpair()
        self.lines = self.socket.makefile("rb")

    def read_lines(self) -> None:
        self.lines.readline()

    def receive(self) -> None:
        self.socket.recv(1)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = threading.Event()
    for _ in range(200):
        if condition():
            return
        deadline.wait(0.01)
    raise AssertionError


@pytest.mark.parametrize("how", ["read_lines", "receive"])
def test_a_thread_that_reads_a_closed_socket_is_told_from_one_in_use(how: str) -> None:
    connection = Connection()
    thread = threading.Thread(target=getattr(connection, how), daemon=True)
    thread.start()

    def reads_closed() -> bool:
        return closed.reads_closed(stacks.thread_frames(sys._current_frames().get(thread.ident or 0)))

    def is_reading() -> bool:
        frames = stacks.thread_frames(sys._current_frames().get(thread.ident or 0))
        return any(each.f_code.co_name == how for each in frames)

    wait_for(is_reading)
    assert not reads_closed()
    connection.socket.close()
    assert reads_closed()
    connection.other.send(b"\n")
    thread.join()
    connection.lines.close()
    connection.other.close()
