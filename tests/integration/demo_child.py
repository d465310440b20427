"""A demo service in a real child process, inspected from inside by ``probed.py``."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

PROBED = Path(__file__).with_name("probed.py")


@dataclass(frozen=True)
class Look:
    """What lives in the child: tasks by coroutine, threads by name, descriptors; monotonic time."""

    tasks: dict[str, int]
    threads: dict[str, int]
    fds: int
    asked: str
    at: float


class Demo:
    """``async with Demo("orders", "--fixed") as demo:`` a running service that listens."""

    def __init__(self, name: str, *options: str) -> None:
        self._name = name
        self._command = [sys.executable, "-W", "error", str(PROBED), f"taskscope.demo.{name}", *options]
        self.log = ""

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._child = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, stderr=pipe
        )
        self._listening = asyncio.Event()
        self._reading = asyncio.create_task(self._read_log())
        await asyncio.wait_for(self._listening.wait(), 10)
        assert self._child.returncode is None, self.log
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._child.returncode is None:
            self._child.terminate()  # it has a directory to remove
        try:
            await asyncio.wait_for(self._child.wait(), 5)
        except TimeoutError:
            self._child.kill()
            await self._child.wait()
        await self._reading
        self._child._transport.close()  # type: ignore[attr-defined]

    async def _read_log(self) -> None:
        assert self._child.stderr is not None
        while line := await self._child.stderr.readline():
            self.log += line.decode()
            if b"listening on" in line:
                self._listening.set()
        self._listening.set()

    @property
    def port(self) -> int:
        """The first port that the service says it listens on."""
        found = re.search(r"listening on \S+:(\d+)", self.log)
        assert found, self.log
        return int(found[1])

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    async def look(self) -> Look:
        """What lives there now."""
        assert self._child.stdin is not None
        self._child.stdin.write(b"now\n")
        return await self._answer()

    async def until(self, true: Callable[[Look], Any], within: float = 15) -> Look:
        """Polls until it is as wanted."""
        end = time.monotonic() + within
        while not true(seen := await self.look()):
            assert time.monotonic() < end, f"not within {within} s: {seen}\n{self.log}"
            await asyncio.sleep(0.05)
        return seen

    async def end(self, number: signal.Signals = signal.SIGTERM, within: float = 5) -> Look:
        """Ends it with a signal; returns what was left when its main coroutine had returned."""
        self._child.send_signal(number)
        last = await asyncio.wait_for(self._answer(), within)
        while last.asked != "end":
            last = await asyncio.wait_for(self._answer(), within)
        assert await asyncio.wait_for(self._child.wait(), within) == 0, self.log
        assert "Traceback" not in self.log, self.log
        assert "destroyed" not in self.log, self.log
        return last

    async def _answer(self) -> Look:
        assert self._child.stdout is not None
        return Look(**json.loads(await self._child.stdout.readline()))
