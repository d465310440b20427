"""A process out of descriptors, memory, threads or disk space can still be observed and detached from.

Shows: limit reached
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.agent_client import AgentClient, Refused
from tests.integration.children import REPO
from tests.pythons import require

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

WITHOUT_DESCRIPTORS = """
import asyncio, os, resource, socket, sys, taskscope
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
taskscope.start("exhausted", interval=0.1)
path = taskscope._agent.server.listener.path
async def main():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    kept = []
    async def leaks():
        while True:  # takes whatever there is, and whatever comes free
            try: kept.append(os.dup(0))
            except OSError: await asyncio.sleep(0.03)  # sooner, it might win the one we free for a connection
            await asyncio.sleep(0.001)
    leak = asyncio.create_task(leaks())
    while len(os.listdir("/proc/self/fd") if not kept else kept) < 200: await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    print(path, flush=True)
    await reader.readline()
    print("alive", flush=True)
    await reader.readline()
asyncio.run(main())
"""


def child(
    program: str, folder: Path, python: Path | str = sys.executable, *arguments: str
) -> AbstractContextManager[subprocess.Popen[str]]:
    folder.chmod(0o700)
    return subprocess.Popen(
        [python, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPO), "TASKSCOPE_DIR": str(folder), "MALLOC_ARENA_MAX": "1"},
    )


def line(target: subprocess.Popen[str]) -> str:
    assert target.stdout is not None
    return target.stdout.readline().rstrip("\n")


def answer(target: subprocess.Popen[str]) -> str:
    assert target.stdin is not None
    target.stdin.write("\n")
    target.stdin.flush()
    return line(target)


def cpu_of_agent(client: AgentClient) -> float:
    """Share of a core, over some samples."""
    client.ask("subscribe")
    found: list[float] = []
    while len(found) < 8:
        message = client.next()
        if message.get("method") == "sample" and message["params"]["agent_cpu"] is not None:
            found.append(message["params"]["agent_cpu"])
    return sum(found[3:]) / len(found[3:])


@pytest.mark.parametrize("version", ["3.11", "3.14"])
def test_without_descriptors_it_is_watched_read_and_left(version: str, tmp_path: Path) -> None:
    with child(WITHOUT_DESCRIPTORS, tmp_path, require(version)) as target:
        path = line(target)
        with AgentClient(path) as watching:
            first = watching.sample()
            assert first["fds"] >= 250
            assert first["rss"]
            with AgentClient(path) as reading:
                assert "parts" in reading.ask("snapshot", stacks=True)
            for _ in range(5):
                with AgentClient(path) as third:
                    assert third.ask("loops")
        with AgentClient(path) as again:
            assert cpu_of_agent(again) < 0.2
            waiting = [AgentClient(path) for _ in range(4)]  # each takes the place of the idlest
            assert waiting[-1].ask("loops")
            for client in waiting:
                client.close()
        AgentClient(path).detach()
        assert answer(target) == "alive"
        assert os.listdir(tmp_path) == []
        target.kill()


WITHOUT_MEMORY = """
import asyncio, os, resource, taskscope
taskscope.start("hungry", interval=0.1)
agent = taskscope._agent
async def wait(): await asyncio.Event().wait()
async def begin(): return [loop.create_task(wait()) for _ in range(2_000)]
loop = asyncio.new_event_loop()
kept = loop.run_until_complete(begin())
def patiently(call, *arguments):
    while True:
        try: return call(*arguments)
        except MemoryError: pass
os.write(1, agent.server.listener.path.encode() + b"\\n")
os.read(0, 1)
size = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
block, step = [], 1 << 20
while step >= 64:
    try: block.append(bytearray(step))
    except MemoryError: step //= 2
patiently(os.write, 1, b"full\\n")
patiently(os.read, 0, 1)
block.clear()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
os.write(1, b"free\\n")
os.read(0, 1)
print("alive", taskscope._agent is agent, agent.sampler.disarmed, agent.registry.dropped, flush=True)
os.read(0, 1)
os._exit(0)
"""


@pytest.mark.parametrize("version", ["3.11", "3.14"])
def test_without_memory_it_refuses_or_waits_and_continues_afterwards(version: str, tmp_path: Path) -> None:
    with child(WITHOUT_MEMORY, tmp_path, require(version)) as target:
        path = line(target)
        with AgentClient(path) as client:
            client.sample()
            assert answer(target) == "full"
            try:
                for _ in range(5):
                    client.ask("tasks", limit=1_000)
                    client.ask("snapshot")
            except (Refused, ValueError, OSError) as error:
                print(version, "said:", error)
        assert answer(target) == "free"
        with AgentClient(path) as client:
            assert "parts" in client.ask("snapshot")
        said = answer(target)
        print(version, said)
        assert said.startswith("alive True []")
        target.kill()


WITHOUT_THREADS = """
import os, sys, threading, taskscope
threading.stack_size(1 << 44)
before = sorted(os.listdir("/proc/self/fd"))
try: taskscope.start("threadless")
except OSError as error: print(error)
assert sorted(os.listdir("/proc/self/fd")) == before
threading.stack_size(0)
taskscope.start("threadless")
taskscope.stop()
print("alive")
"""


def test_without_threads_it_does_not_start_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    with child(WITHOUT_THREADS, tmp_path) as target:
        said, _ = target.communicate(timeout=20)
    assert said.splitlines() == ["[Errno 11] the process cannot start another thread", "alive"]
    assert os.listdir(tmp_path) == []
