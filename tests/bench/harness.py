"""What the measurements share: targets as child processes, CPU time by the kernel's books, tables.

Other processes use the machine at the same time, so every figure is a median over repetitions in which the
variants take turns, and what is asserted are ratios and differences within one run.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import socket
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from taskscope.sources.live import LiveSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

ROOT = Path(__file__).parents[2]
TARGET = Path(__file__).with_name("target.py")
HAS_AIOMONITOR = importlib.util.find_spec("aiomonitor") is not None


class Child:
    """``async with Child("agent") as child:`` the target, ready for commands."""

    def __init__(self, mode: str, python: str | Path = sys.executable, program: Path = TARGET) -> None:
        self.mode = mode
        self.name = f"bench-{os.getpid()}-{mode}" if not mode.startswith("aiomonitor") else str(free_ports())
        self._command = [str(python), str(program), mode, self.name]

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, env=environment
        )
        self.pid: int = (await self._line())["ready"]
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._process._transport.close()  # type: ignore[attr-defined]

    async def do(self, name: str, **given: object) -> dict[str, Any]:
        """One command and its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": name, **given}).encode() + b"\n")
        return await self._line()

    async def lateness(self, seconds: float) -> dict[str, float]:
        """The probe for so long."""
        await self.do("probe_start")
        await asyncio.sleep(seconds)
        return await self.do("probe_stop")

    async def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, f"the target ({self.mode}) has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


def socket_of(pid: int) -> str:
    """Where the agent of that process listens."""
    from taskscope import endpoint

    return next(point.path for point in endpoint.listing() if point.pid == pid)


@contextlib.asynccontextmanager
async def subscribed(pid: int) -> AsyncIterator[LiveSource]:
    """A client that takes every sample, as the app does."""
    source = LiveSource(socket_of(pid), patience=120)
    await source.open()
    first = asyncio.Event()

    async def take() -> None:
        async for _ in source.samples():
            first.set()

    taking = asyncio.create_task(take())
    await first.wait()
    try:
        yield source
    finally:
        taking.cancel()
        await asyncio.wait([taking])
        await source.close()


def free_ports() -> int:
    """The first of three ports in a row that are free now."""
    for _ in range(50):
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if port > 65_000:
                continue
            try:
                for offset in (1, 2):
                    with socket.socket() as other:
                        other.bind(("127.0.0.1", port + offset))
            except OSError:
                continue
            return port
    raise RuntimeError("no three free ports in a row")


def cpu_seconds(pid: int, *, but_main: bool = False) -> float:
    """Seconds of CPU time of a process by the scheduler's count: of all its threads, or all but the first."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            if not but_main or task.name != str(pid):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print(f"\n\n{title}")
    for number, line in enumerate(lines):
        first, *rest = (
            cell.ljust(w) if not i else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        print("  " + "  ".join((first, *rest)))
        if not number:
            print("  " + "  ".join("-" * width for width in widths))
