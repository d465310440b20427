"""A command in a pseudo-terminal of its own, as a person would run it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import struct
import termios
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP[^\x1b]*\x1b\\|\x1b.")
KEPT = 1 << 20
"""Bytes of output remembered."""


class Terminal:
    """``async with Terminal(command) as terminal:`` it runs; what it draws is read all the time."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 120,
        lines: int = 36,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._size = struct.pack("HHHH", lines, columns, 0, 0)
        ours = {"TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none", "COLORTERM": "truecolor"}
        self._environment = {**os.environ, **ours, **(environment or {})}
        for size in "COLUMNS", "LINES":  # would be believed more than the terminal
            self._environment.pop(size, None)
        self.output = bytearray()
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, self._size)
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self._environment,
            start_new_session=True,
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 1 << 16)
        except BlockingIOError:
            return
        except OSError:  # the other end is closed
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
        self.output += data
        del self.output[:-KEPT]
        self._news.set()

    @property
    def pid(self) -> int:
        """The process id of the command."""
        return self._process.pid

    @property
    def text(self) -> str:
        """Everything drawn so far, without the control sequences."""
        return _CONTROL.sub(b"", bytes(self.output)).decode(errors="replace")

    def press(self, keys: str) -> None:
        """Types."""
        os.write(self._master, keys.encode())

    async def pressed(self, keys: str, within: float = 5.0) -> None:
        """Types, and waits for the next output."""
        self.press(keys)
        await self.news(within)

    async def news(self, within: float = 5.0) -> None:
        """Waits for the next output."""
        self._news.clear()
        await asyncio.wait_for(self._news.wait(), within)

    async def until(self, wanted: str, within: float = 20.0) -> None:
        """Waits until that text has been drawn."""
        end = time.monotonic() + within
        while wanted not in self.text:
            assert time.monotonic() < end, f"{wanted!r} not drawn within {within} s:\n{self.text[-2000:]}"
            assert self._process.returncode is None or not self._news.is_set(), (
                f"it ended:\n{self.text[-2000:]}"
            )
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), 0.5)

    async def quiet(self, pause: float = 0.3) -> None:
        """Waits until nothing has been drawn for a while (or for ten of them: a live view never rests)."""
        for _ in range(10):
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), pause)
            except TimeoutError:
                return

    async def kill(self) -> None:
        """Ends it at once, without a chance to say goodbye."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def ended(self, within: float = 10.0) -> int:
        """Its exit status, once it has ended."""
        return await asyncio.wait_for(self._process.wait(), within)
