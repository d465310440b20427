"""`orders` leaks a sleeper for each failed order, and its fixed version does not."""

from __future__ import annotations

import asyncio
import re
import signal

from tests.integration.demo_child import Demo

SLEEPER = "DecayingFailures.decay_after"
STREAM = "MarketStreams.read_stream"


async def place(port: int, *orders: str) -> list[str]:
    """Sends orders as one client and returns the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("".join(f"{order}\n" for order in orders).encode())
    answers = [(await reader.readline()).decode().strip() for _ in orders]
    writer.close()
    await writer.wait_closed()
    return sorted(answers)


async def test_gains_a_sleeper_for_each_failed_order_and_keeps_all_at_shutdown() -> None:
    async with Demo("orders", "--rate", "500") as demo:
        first = await demo.look()
        later = await demo.until(lambda seen: seen.tasks.get(SLEEPER, 0) >= 700)
        gained = later.tasks[SLEEPER] - first.tasks.get(SLEEPER, 0)
        assert abs(gained / (later.at - first.at) - 500) < 75
        assert first.tasks[STREAM] == later.tasks[STREAM] == 50
        left = await demo.end()
        assert left.tasks[STREAM] == 50
        assert left.tasks[SLEEPER] >= later.tasks[SLEEPER]


async def test_levels_off_at_rate_times_sleep() -> None:
    async with Demo("orders", "--rate", "200", "--speed", "300") as demo:
        await demo.until(lambda seen: seen.tasks.get(SLEEPER, 0) > 150)
        counts = [(await demo.look()).tasks[SLEEPER] for _ in range(50)]
        assert max(counts) < 300


async def test_fixed_has_no_task_per_failure_and_leaves_none() -> None:
    async with Demo("orders", "--fixed", "--rate", "500") as demo:
        await demo.until(lambda seen: seen.tasks.get("WindowedFailures.drop_old") == 1)
        answers = await place(demo.port, *(f"{n} BUY BTC 5000" for n in range(300)))
        assert len(answers) == 300
        seen = await demo.look()
        assert SLEEPER not in seen.tasks
        assert sum(seen.tasks.values()) < 150
        assert seen.tasks[STREAM] == 50
        left = await demo.end(signal.SIGINT)
        assert not left.tasks


async def test_answers_orders() -> None:
    async with Demo("orders") as demo:
        answers = await place(demo.port, "1 BUY BTC 10", "2 SELL ETH 5000", "3 HOLD ETH 1", "nonsense")
        assert re.fullmatch(r"1 FILLED \d+\.\d\d", answers[0])
        assert answers[1] == "2 REJECTED margin"
        assert [answer[:11] for answer in answers[2:]] == ["? MALFORMED"] * 2
        left = await demo.end()
        assert SLEEPER in left.tasks
