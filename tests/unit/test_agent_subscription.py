"""A subscriber's first sample is made a slice at a time: what changes meanwhile must reach it too."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.agent import Agent
from taskscope.agent.clients import Client, Work
from taskscope.agent.counts.descriptors import Channel
from taskscope.agent.inspect import walk
from taskscope.agent.inspect.walk import run
from taskscope.checked import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.agent.inspect.walk import Job


def finish(job: Iterator[None]) -> None:
    for _ in job:
        pass


def test_jobs_that_soon_pause_share_a_slice_and_long_ones_do_not() -> None:
    """Where the machine is busy, a pause takes milliseconds: a job that waits would halve our speed."""
    agent = Agent("unstarted", interval=1.0, control=False, version="0")
    done: list[str] = []

    def job(name: str, seconds: float) -> Job[None]:
        while True:
            done.append(name)
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                pass
            yield

    works = [
        Work(None, None, job(*each), False) for each in (("waits", 0), ("walks", walk.SLICE), ("asks", 0))
    ]
    for each in works:
        agent.server._work.add(each)
    agent.server._step()
    assert done == ["waits", "walks"]
    agent.server._step()
    assert done == ["waits", "walks", "asks", "waits", "walks"]


def test_slices_are_longer_where_pauses_are_and_still_short() -> None:
    walk.begin_slice(late=0.0)
    usual = walk.left()
    walk.begin_slice(late=walk.LATE)
    assert usual <= walk.SLICE < walk.left() <= walk.LONGEST < 0.001


def test_a_change_during_the_full_sample_is_sent_after_it() -> None:
    agent = Agent("unstarted", interval=1.0, control=False, version="0")
    frame = model.Frame("/app/a.py", 3, "f")
    record = agent.registry.add(("first",), "task", frame, None, "work", ())
    run(agent.tick())
    near, far = socket.socketpair()
    with near, far:
        client = Client(Channel(near.detach()))
        agent.server._clients[client.channel.number] = client
        agent.server._poll.register(client.channel.number)
        client.watching = True
        agent.server._desk.subscribe(client)
        subscription = agent.server._work.next().job
        walk._end = 0.0  # the slice is used up from the start
        next(subscription)  # so it pauses after the first site
        record.born += 3
        late = agent.registry.add(("second",), "task", frame, None, "later", ())
        late.born += 1
        finish(agent.server._tick())
        finish(subscription)
        far.settimeout(5)
        lines = far.makefile("rb")
        samples = [unpack(model.Sample, json.loads(lines.readline())["params"]) for _ in range(2)]
        lines.close()
        client.channel.close()
    assert [sample.full for sample in samples] == [True, False]
    born = {each.site: each.counts.born for sample in samples for each in sample.sites}
    assert born == {record.id: 3, late.id: 1}
    assert client.subscribed
