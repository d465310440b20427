"""A process that runs trio or gevent is told as such: its tasks are none of asyncio's."""

from __future__ import annotations

import importlib.util
import json
import time

import pytest

from tests.integration.children import running, says, taskscope

GEVENT = """
import gevent
from gevent import monkey; monkey.patch_all()
import time
def wait(): time.sleep(3600)
waiting = [gevent.spawn(wait) for _ in range(10)]
print("ready", flush=True)
gevent.joinall(waiting)
"""

ONLY_LOADED = """
import asyncio, gevent, gevent.hub, trio
async def main():
    print("ready", flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


def needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def test_greenlets_are_said_not_to_be_shown() -> None:
    needs("gevent")
    said = "runs gevent: greenlets are not shown; threads are"
    with running(GEVENT, "--name", "green") as child:
        says(child, "ready")
        give_up = time.monotonic() + 20
        while "gevent" not in (taken := taskscope("snapshot", str(child.pid))).stdout:
            assert time.monotonic() < give_up
        assert f"green {said}." in taken.stderr
        assert json.loads(taken.stdout)["process"]["unseen"] == ["gevent"]
        assert "(runs gevent, not shown)\n" in taskscope("ps").stdout
        watched = taskscope("watch", str(child.pid), "--for", "1s")
        assert f"taskscope watch: green {said}\n" in watched.stderr
        assert json.loads(taken.stdout)["threads"]


def test_what_is_only_loaded_is_not_said_to_run() -> None:
    needs("gevent")
    needs("trio")
    with running(ONLY_LOADED) as child:
        says(child, "ready")
        first = taskscope("snapshot", str(child.pid))
        assert json.loads(first.stdout)["process"]["unseen"] == []
