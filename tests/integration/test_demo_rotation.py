"""`rotation` starts the next reader before the last one has ended; its fixed version waits."""

from __future__ import annotations

import asyncio
import json
import resource
import signal

import pytest

from tests.integration.demo_child import Demo, Look

READER = "LogReader.write"
STREAMS = 171


async def status(port: int) -> dict[str, dict[str, int]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    state: dict[str, dict[str, int]] = json.loads(await reader.read())
    writer.close()
    await writer.wait_closed()
    return state


def reading(seen: Look) -> int:
    return sum(count for name, count in seen.threads.items() if name.startswith("read "))


async def test_each_rotation_leaves_a_task_a_thread_and_three_descriptors() -> None:
    async with Demo("rotation", "--speed", "50") as demo:
        first = await demo.look()
        later = await demo.until(lambda seen: seen.tasks[READER] >= first.tasks[READER] + 50)
        gained = later.tasks[READER] - first.tasks[READER]
        assert 0.75 < gained / (later.at - first.at) / (34.2 / 60 * 50) < 1.25
        assert abs(reading(later) - reading(first) - gained) <= 2
        assert abs(later.fds - first.fds - 3 * gained) <= 8
        left = await demo.end()
        assert left.tasks[READER] >= later.tasks[READER]


async def test_fixed_keeps_one_reader_a_stream_and_leaves_nothing() -> None:
    async with Demo("rotation", "--fixed", "--speed", "50") as demo:
        first = await demo.look()
        while int(str((await status(demo.port))["rotated"])) < 50:
            later = await demo.look()
            assert STREAMS - 1 <= later.tasks[READER] <= STREAMS
        assert abs(later.fds - first.fds) <= 8
        left = await demo.end(signal.SIGINT)
        assert not left.tasks
        assert not reading(left)


@pytest.mark.parametrize("options", [[], ["--fixed"]])
async def test_captures_the_lines_of_every_container(options: list[str]) -> None:
    async with Demo("rotation", *options, "--speed", "10") as demo:
        while len(lines := (await status(demo.port))["lines"]) < 8:
            await asyncio.sleep(0.05)
        assert min(lines.values()) >= 1


async def test_continues_when_the_descriptors_run_out() -> None:
    async with Demo("rotation", "--speed", "200") as demo:
        limit = (await demo.look()).fds + 30
        resource.prlimit(demo.pid, resource.RLIMIT_NOFILE, (limit, limit))
        while "cannot rotate" not in demo.log:
            await asyncio.sleep(0.05)
        assert "Too many open files" in demo.log
