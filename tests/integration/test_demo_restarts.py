"""`restarts` starts its loops again at each restart, and its fixed version does not."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from taskscope.demo.restarts.controller import GuardedController
from tests.integration.demo_child import Demo

LOOP = "ChaosController.run"


async def ask(port: int, word: str) -> dict[str, object]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{word}\n".encode())
    answer: dict[str, object] = json.loads(await reader.read())
    writer.close()
    await writer.wait_closed()
    return answer


async def test_grows_in_steps_of_fifty_a_zone() -> None:
    async with Demo("restarts", "--speed", "300") as demo:
        assert (await demo.look()).tasks[LOOP] == 1600
        await demo.until(lambda seen: seen.tasks[LOOP] == 3200)
        await demo.until(lambda seen: seen.tasks[LOOP] == 4800)
        left = await demo.end()
        assert left.tasks[LOOP] >= 1600 * 2  # stop() knows the last loop of each only


async def test_fixed_does_not_grow_and_leaves_no_task() -> None:
    async with Demo("restarts", "--fixed", "--speed", "300") as demo:
        seen = await demo.until(lambda _seen: demo.log.count("chaos: restart") >= 2)
        assert seen.tasks[LOOP] == 1600
        left = await demo.end(signal.SIGINT)
        assert not left.tasks


async def test_a_guarded_controller_runs_once_and_can_be_restarted() -> None:
    before = asyncio.all_tasks()
    controller = GuardedController("node", lambda _report: None)
    for _ in range(2):
        controller.start()
        controller.start()
        assert len(asyncio.all_tasks() - before) == 1
        await controller.stop()
        assert asyncio.all_tasks() == before


@pytest.mark.parametrize("options", [[], ["--fixed"]])
async def test_tells_what_its_nodes_report(options: list[str]) -> None:
    async with Demo("restarts", *options) as demo:
        while len(nodes := await ask(demo.port, "nodes")) < 10:
            await asyncio.sleep(0.05)
        assert all(str(state).endswith(("up", "down")) for state in nodes.values())
        assert set(await ask(demo.port, "zones")) <= {f"zone{n:02}" for n in range(32)}
        assert "ask for zones or nodes" in str((await ask(demo.port, "cats"))["error"])
