"""Task errors are kept by site and place, so a rare one shows however many others there are."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.presence import agent_in
from taskscope.model import requests
from taskscope.sources.live import LiveSource
from tests.integration.children import running, says, taskscope
from tests.pythons import require, versions

if TYPE_CHECKING:
    from taskscope.model import SiteDetail

FAILING = """
import asyncio, gc, json, weakref
class Held: pass
class Hostile(Exception):
    def __str__(self): print("asked"); raise SystemExit
    __repr__ = __str__
kept = []
def charge(order):
    held = Held()
    kept.append(weakref.ref(held))
    raise ValueError(f"no such order {order}")
async def handle(order):
    if order == 3: json.loads("{")
    if order == 4: raise Hostile(order)
    charge(order)
async def main():
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    for order in range(4000):
        asyncio.create_task(handle(order))
        if order % 50 == 0: await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    gc.collect()
    print("alive" if any(each() for each in kept) else "gone", flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


async def detail(path: str) -> SiteDetail:
    source = LiveSource(path)
    await source.open()
    sample = await anext(source.samples())
    site = next(each for each in sample.new_sites if each.coroutine == "handle")
    found = await source.ask(requests.Site(site.id))
    await source.close()
    return found


@pytest.mark.parametrize("version", versions("3.11", "3.13", "3.14"))
def test_rare_errors_stay_among_thousands_and_hold_nothing(version: str) -> None:
    with running(FAILING, python=str(require(version))) as child:
        says(child, "gone")
        agent = agent_in(child.pid)
        assert agent is not None
        found = asyncio.run(detail(agent.path))
        saved = json.loads(taskscope("snapshot", str(child.pid), "--no-stacks").stdout)
    assert found.counts.counts.failed == 4000
    kinds = {each.error.partition(":")[0]: each for each in found.failures}
    assert {name: each.count for name, each in kinds.items()} == {
        "ValueError": 3998,
        "JSONDecodeError": 1,
        "Hostile": 1,
    }
    often, rare = kinds["ValueError"], kinds["JSONDecodeError"]
    assert often.error == "ValueError: no such order 3999"
    assert often.raised is not None
    assert often.raised == often.user_frame
    assert (often.raised.line, often.raised.function) == (11, "charge")
    assert rare.raised is not None
    assert rare.user_frame is not None
    assert (rare.raised.function, rare.raised.origin) == ("JSONDecoder.raw_decode", "stdlib")
    assert (rare.user_frame.line, rare.user_frame.function) == (13, "handle")
    assert {(each["error"], each["count"]) for each in saved["failures"]} == {
        (each.error, each.count) for each in found.failures
    }
