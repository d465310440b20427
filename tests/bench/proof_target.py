"""A service with a heap of so many objects and tasks that nothing can wake, or that something may.

``python proof_target.py OBJECTS``.  First it prints what a walk over references costs, by slices; then for
each line on stdin the lateness of its loop, in seconds, since the line before.
"""

import asyncio
import gc
import json
import os
import sys
import time
from functools import partial
from typing import Any

import taskscope
from taskscope.agent.answers import proofs
from taskscope.agent.inspect import keepers, stuck, walk
from taskscope.agent.inspect.island import OwnRef

EVERY = 0.001
proofs.KEEP = proofs.SHARE = 0  # each question is worked out anew
KEPT: dict[str, list[asyncio.Task[None]]] = {}
"""The tasks, where the search for who holds them finds them."""


class Row:
    def __init__(self, number: int) -> None:
        self.columns = [number, str(number)]
        self.names = {"number": number}


class Hub:
    def __init__(self, objects: int) -> None:
        self.books = [
            [[Row(number) for number in range(100)] for _ in range(20)] for _ in range(objects // 6_000)
        ]
        self.pending: dict[int, asyncio.Event] = {}

    async def answer(self, event: asyncio.Event) -> None:
        await event.wait()

    def ask(self, number: int, *, known: bool) -> asyncio.Task[None]:
        event = asyncio.Event()
        if known:
            self.pending[number] = event
        return asyncio.create_task(self.answer(event))


def slices(job: Any) -> tuple[list[float], Any]:
    found: list[float] = []
    while True:
        walk.begin_slice()
        began = time.thread_time()
        try:
            next(job)
        except StopIteration as end:
            return sorted(found), end.value
        finally:
            found.append(time.thread_time() - began)


async def probe(late: list[float]) -> None:
    while True:
        due = time.perf_counter() + EVERY
        await asyncio.sleep(EVERY)
        late.append(time.perf_counter() - due)


async def main(objects: int) -> None:
    taskscope.start("proof", interval=60)
    hub = Hub(objects)
    KEPT["stuck"] = [hub.ask(0, known=False) for _ in range(20)]
    KEPT["may wake"] = [hub.ask(number, known=True) for number in range(20)]
    await asyncio.sleep(0.2)
    gc.collect()
    gc.freeze()
    loops: list[object] = [asyncio.get_running_loop()]
    agent: Any = taskscope._agent
    costs = []

    def cost(name: str, job: Any) -> Any:
        found, answer = slices(job)
        costs.append([name, sum(found), found[-1], found[int(len(found) * 0.99)]])
        return answer

    for name, tasks in KEPT.items():
        answer = cost(name, stuck.wakings([OwnRef(task) for task in tasks], loops))
        assert {each.fate for each in answer.values()} == {name}
    sites = [record for record in agent.registry.task_records() if record.live > 2]
    for record in sites:
        is_wanted = partial(proofs._is_task_of, record)
        assert cost("what keeps them", keepers.keeper_of(is_wanted, [], loops)) is not None
    sites = [record.id for record in sites]
    print(json.dumps({"costs": costs, "sites": sites, "agent": agent.server.listener.path}), flush=True)
    late: list[float] = []
    probing = asyncio.create_task(probe(late))
    for _ in range(4):
        await asyncio.to_thread(sys.stdin.readline)
        print(json.dumps(late), flush=True)
        late.clear()
    probing.cancel()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
