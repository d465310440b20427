"""Reads one log stream: a thread in a blocking read, and a task that writes what it reads."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class LogReader:
    """Follows ``stream`` at the container daemon into the file ``path``; calls ``count`` for each line."""

    def __init__(self, stream: str, path: Path, count: Callable[[], None]) -> None:
        self.stream = stream
        self._path = path
        self._count = count
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._read_all = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def open(self, daemon: tuple[str, int]) -> None:
        """Connects and opens the file.  Blocks; raises OSError."""
        self._file = self._path.open("ab", buffering=0)
        try:
            self._socket = socket.create_connection(daemon)
        except OSError:
            self._file.close()
            raise
        self._socket.sendall(f"FOLLOW {self.stream}\n".encode())
        self._lines = self._socket.makefile("rb")

    def start(self) -> None:
        """Starts the thread and the task."""
        threading.Thread(target=self.read, name=f"read {self.stream}", daemon=True).start()
        self.task = asyncio.create_task(self.write())

    def close(self) -> None:
        """Closes the stream and cancels the writer."""
        self._socket.close()
        self.task.cancel()

    def hang_up(self) -> None:
        """Shuts the connection down, so that the blocked read returns."""
        with contextlib.suppress(OSError):  # the daemon closed first
            self._socket.shutdown(socket.SHUT_RDWR)

    def read(self) -> None:
        """Runs in the thread: hands over each line, and an empty one at the end."""
        with contextlib.suppress(RuntimeError, ConnectionError):  # the loop ended, or the daemon disconnected
            try:
                for line in self._lines:
                    self._loop.call_soon_threadsafe(self._queue.put_nowait, line)
            finally:
                self._lines.close()
                self._loop.call_soon_threadsafe(self._end)

    async def write(self) -> None:
        """Writes each line; when cancelled, first what the thread still holds."""
        try:
            while line := await self._queue.get():
                self._write(line)
        except asyncio.CancelledError:
            await self._read_all.wait()
            while line := self._queue.get_nowait():
                self._write(line)
            raise
        finally:
            self._file.close()

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._count()

    def _end(self) -> None:
        self._queue.put_nowait(b"")
        self._read_all.set()
