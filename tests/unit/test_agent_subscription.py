"""A subscriber's first sample is made a slice at a time: what changes meanwhile must reach it too."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.agent import Agent
from taskscope.agent.clients import Client
from taskscope.agent.counts.descriptors import Channel
from taskscope.agent.inspect import walk
from taskscope.agent.inspect.walk import run
from taskscope.checked import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator


def finish(job: Iterator[None]) -> None:
    for _ in job:
        pass


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
