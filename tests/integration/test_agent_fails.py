"""A failing agent leaves the program alone, and its clients are told what happened."""

from __future__ import annotations

import pytest

from taskscope.attach.presence import agent_in
from taskscope.sources.base import TargetGone
from taskscope.sources.live import LiveSource
from tests.integration.children import running
from tests.patience import settled

FAILING = """
import sys, taskscope
def broken(*args, **options): raise RuntimeError("of our own")
sys.stdin.readline()
taskscope._agent.sampler.sample = broken
print("broken", flush=True)
sys.stdin.readline()
print("goes on", flush=True)
sys.stdin.readline()
"""


async def test_clients_of_a_failing_agent_are_told_so_and_the_program_continues() -> None:
    with running(FAILING, "--interval", "100ms", stdin=-1) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        point = agent_in(child.pid)
        assert point is not None
        source = LiveSource(point.path)
        await source.open()
        samples = source.samples()
        await anext(samples)
        child.stdin.write("\n")
        child.stdin.flush()
        with pytest.raises(TargetGone, match=r"the agent failed and has left the process.*'of our own'"):
            async for _ in samples:
                pass
        await source.close()
        child.stdin.write("\n")
        child.stdin.flush()
        assert [child.stdout.readline() for _ in range(2)] == ["broken\n", "goes on\n"]
        settled(lambda: agent_in(child.pid), None)  # clients are told before it takes its socket away
