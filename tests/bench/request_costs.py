"""Makes tasks as told, then every request of the app, a slice at a time; prints a line of JSON for each.

``python request_costs.py KIND SIZE``: ``shared futures`` (ten for all tasks), ``one task`` (that all await),
``1,500 sites``.
"""

import asyncio
import gc
import json
import os
import sys
import threading
import time
from typing import Any

import taskscope
from taskscope.agent.inspect import walk
from taskscope.agent.reply import encoded
from taskscope.model import requests

SITES = 1_500
LOCK = threading.Lock()


async def wait(awaited: Any) -> None:
    await awaited


def make(kind: str, size: int) -> list[Any]:
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(10)]
    if kind == "shared futures":
        return [loop.create_task(wait(futures[number % 10])) for number in range(size)]
    if kind == "one task":
        first = loop.create_task(wait(futures[0]))
        return [first, *(loop.create_task(wait(first)) for _ in range(size))]
    kept = []
    for number in range(SITES):
        names: dict[str, Any] = {}
        text = "def make(loop, coro): return loop.create_task(coro)"
        exec(compile(text, f"/app/module_{number}.py", "exec"), names)
        kept += [names["make"](loop, wait(loop.create_future())) for _ in range(size // SITES)]
    return kept


def cost(name: str, job: Any) -> None:
    slices = []
    while True:
        walk.begin_slice()
        began = time.thread_time()
        try:
            next(job)
        except StopIteration:
            break
        finally:
            slices.append(time.thread_time() - began)
    slices.sort()
    usual = slices[int(len(slices) * 0.99)]
    print(json.dumps({"name": name, "seconds": sum(slices), "longest": slices[-1], "usual": usual}))


async def main(kind: str, size: int) -> None:
    taskscope.start("costs", interval=60)
    kept = make(kind, size)
    await asyncio.sleep(0.2)
    agents = (each for each in gc.get_objects() if type(each).__name__ == "Agent")
    agent = next(each for each in agents if type(each).__module__ == "taskscope.agent.agent")
    actions = agent._actions(lambda data: None)

    def ask(request: requests.Request[Any]) -> Any:
        answer = yield from actions[type(request)](request)
        return (yield from encoded(lambda value: {"result": value}, answer))

    gc.collect()
    gc.freeze()
    records = agent.registry.task_records()
    site = max(records, key=lambda record: record.live).id
    serial = max(records, key=lambda record: record.live).chunks[0]
    cost("ages", ask(requests.Ages()))
    cost("a page, oldest", ask(requests.Tasks(limit=200)))
    cost("a page, newest", ask(requests.Tasks(limit=200, order="newest")))
    cost("a page, midway", ask(requests.Tasks(limit=200, after=size // 2)))
    cost("a page of a site", ask(requests.Tasks(sites=(site,), limit=200)))
    cost("tasks of one place", ask(requests.Tasks(parked="x", limit=200)))
    cost("parked at", ask(requests.Parked()))
    cost("groups by parked at", ask(requests.Groups(by="parked")))
    cost("groups by parent", ask(requests.Groups(by="parent")))
    cost("tree by await", ask(requests.Tree(by="await")))
    cost("tree by parent", ask(requests.Tree(by="parent")))
    cost("facts of a site", ask(requests.Facts(site=site)))
    cost("facts, proof and keeper remembered", ask(requests.Facts(site=site)))
    cost("looks", ask(requests.Looks(sites=(site,))))
    LOCK.acquire()  # what a thread waits for may be held by any task: all are searched
    threading.Thread(target=LOCK.acquire, daemon=True).start()
    cost("waits, first look", ask(requests.Waits()))
    await asyncio.sleep(0.2)
    cost("waits", ask(requests.Waits()))
    cost("mishaps", ask(requests.Mishaps()))
    cost("timers", ask(requests.Timers()))
    cost("timers, what they hold", ask(requests.Timers(keeps=1)))
    cost("resources", ask(requests.Resources()))
    cost("what renews itself", ask(requests.Renewal(site=site)))
    cost("turns", ask(requests.Turns()))
    cost("a task", ask(requests.Task(serial=next(iter(serial)))))
    cost("the site", ask(requests.Site(site=site)))
    cost("history", ask(requests.History(seconds=600)))
    cost("history of a site", ask(requests.SiteHistory(sites=(site,), seconds=600)))
    cost("loops", ask(requests.Loops()))
    cost("threads", ask(requests.Threads()))
    cost("a thread", ask(requests.Thread(ident=threading.get_ident())))
    cost("stalls", ask(requests.Stalls()))
    cost("ended", ask(requests.Ended()))
    cost("source", ask(requests.Source(file=__file__, line=20)))
    cost("modules", ask(requests.Modules()))
    cost("a full sample", agent.sampler.full(1.0))
    cost("a sample", agent.tick())
    cost("a snapshot", ask(requests.Snapshot()))
    del kept
    sys.stdout.flush()
    os._exit(0)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
