"""A client of an agent in twenty lines, for tests that are about the agent and not about our sources."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Any, Self

from taskscope import wire
from tests.patience import FACTOR


class Refused(Exception):
    """The agent's own words."""


class AgentClient:
    """One connection.  ``ask`` waits for the answer; notifications that come in between are kept."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.notifications: list[dict[str, Any]] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20 * FACTOR)
        self._lines = self._socket.makefile("rb")
        self._id = 0
        try:
            self._socket.connect(path)
            self.hello = self.ask("hello", protocol=wire.PROTOCOL, client="test")
        except BaseException:
            self.close()
            raise

    def ask(self, method: str, **params: Any) -> Any:
        self._id += 1
        self._socket.sendall(wire.request(self._id, method, params))
        while True:
            message = self.next()
            if message.get("id") == self._id:
                if "error" in message:
                    raise Refused(message["error"]["message"])
                return message["result"]
            self.notifications.append(message)

    def next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._lines.readline())
        return message

    def sample(self) -> dict[str, Any]:
        """The first sample: what the agent sees right now."""
        self.ask("subscribe")
        while not self.notifications:
            self.notifications.append(self.next())
        first: dict[str, Any] = self.notifications[0]["params"]
        return first

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def live(self) -> int:
        """Live tasks in the first sample that has any: those older than the agent are counted by and by."""
        live: int = self.sample()["tasks"]["live"]
        deadline = time.monotonic() + 10 * FACTOR
        while not live:
            assert time.monotonic() < deadline, "the agent sees no task"
            live = self.next()["params"]["tasks"]["live"]
        return live

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def detach(self) -> None:
        """Removes the agent and waits until it is gone."""
        self.ask("detach")
        self.close()
        deadline = time.monotonic() + 10
        while os.path.exists(self.path):
            assert time.monotonic() < deadline, "the agent's socket is still there"
            time.sleep(0.002)
