"""The HTTP client for aiomonitor: one connection, one request at a time, rate-limited.

aiomonitor builds its list inside the target, in competition with the program.  So each request is followed
by a pause that keeps its cost at ``SHARE`` of the time or less.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from taskscope.attach.peers import is_console
from taskscope.sources.aiomonitor import api
from taskscope.sources.aiomonitor.tally import Look
from taskscope.sources.base import SourceError, TargetGone

if TYPE_CHECKING:
    import aiohttp

    from taskscope.model.vocabulary import Outcome

SCHEME = "aiomonitor://"
DEFAULT_PORT = 20102

SHARE = 0.1
"""Largest share of its time the target may spend on answers."""

PATIENCE = 60.0
"""Timeout per answer in seconds: a list of 100,000 tasks takes about four."""

_FORM = {"filter": "", "persistent": "false"}


class NoSuchTask(SourceError):
    """It has no task of that id (any more), or fails to show it."""


class Unanswered(SourceError):
    """It failed to answer; the next attempt may succeed."""


def address(target: str) -> tuple[str, int]:
    """Host and port of ``aiomonitor://HOST[:PORT]``.  Raises SourceError."""
    parts = urlsplit(target)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.hostname is None or port == 0 or parts.path not in {"", "/"}:
        raise SourceError(f"{target} is not an address like {SCHEME}127.0.0.1:{DEFAULT_PORT}")
    return parts.hostname, port or DEFAULT_PORT


class Client:
    """aiomonitor's web API at ``host`` and ``port``.  Create it in a running loop, and close it."""

    def __init__(self, host: str, port: int) -> None:
        try:
            import aiohttp
        except ImportError:
            raise SourceError("reading an aiomonitor needs aiohttp: pip install aiohttp") from None
        self.name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._host, self._port = host, port
        self._http = aiohttp
        self._one_at_a_time = asyncio.Lock()
        self._session = self._connect(keep=True)
        self.spent = 0.0
        """Seconds spent on answers since the last pause."""

    def _connect(self, *, keep: bool) -> aiohttp.ClientSession:
        """``keep``: use one connection, hence one process even if several share the port."""
        connector = (
            self._http.TCPConnector(limit=1, keepalive_timeout=120)
            if keep
            else self._http.TCPConnector(limit=1, force_close=True)
        )
        return self._http.ClientSession(
            f"http://{self.name}", connector=connector, timeout=self._http.ClientTimeout(total=PATIENCE)
        )

    async def close(self) -> None:
        await self._session.close()

    async def reconnect(self) -> None:
        """Sends the next request over a new connection, to whichever process accepts it."""
        await self._session.close()
        self._session = self._connect(keep=True)

    async def version(self) -> str:
        """Its version.  Raises SourceError if something else answers there."""
        try:
            if await asyncio.to_thread(is_console, self._host, self._port):
                raise NoSuchTask("telnet")
            return api.version(await self._ask("GET", "/api/version"))
        except (api.ApiError, NoSuchTask):
            raise SourceError(
                f"{self.name} is not the web port of an aiomonitor, which is {DEFAULT_PORT} unless "
                "start_monitor was given another webui_port"
            ) from None

    async def look(self, *, fresh: bool = False) -> Look:
        """Both lists.  ``fresh``: over a new connection, which another process may answer."""
        session = self._connect(keep=False) if fresh else self._session
        asked = time.monotonic()
        try:
            live = await self._read(api.live_tasks, "/api/live-tasks", session)
            answered = time.monotonic()
            ended = await self._read(api.ended_tasks, "/api/terminated-tasks", session)
        finally:
            if fresh:
                await session.close()
        return Look(asked, answered, time.monotonic(), live, ended)

    async def trace(self, task_id: str) -> api.Trace:
        """The page of a live task.  Raises NoSuchTask."""
        try:
            return api.trace(await self._ask("GET", "/trace-running", params={"task_id": task_id}))
        except api.ApiError as problem:
            raise NoSuchTask(f"{self.name}: {problem}") from None

    async def outcome(self, trace_id: str) -> tuple[Outcome, str]:
        """How a task ended, and its error's type.  Raises NoSuchTask, also for tasks it fails to show."""
        return api.outcome(await self._ask("GET", "/trace-terminated", params={"task_id": trace_id}))

    async def pause(self, interval: float) -> float:
        """Waits ``interval`` seconds, or longer after expensive answers; returns how long."""
        seconds = max(interval, self.spent * (1 / SHARE - 1))
        self.spent = 0.0
        await asyncio.sleep(seconds)
        return seconds

    async def _read(self, parse: Any, path: str, session: aiohttp.ClientSession) -> Any:
        try:
            text = await self._ask("POST", path, session, data=_FORM)
            return await asyncio.to_thread(
                parse, text
            )  # 100,000 tasks take a second: keep off the app's loop
        except (api.ApiError, NoSuchTask) as problem:
            raise Unanswered(f"{self.name} does not answer as an aiomonitor: {problem}") from None

    async def _ask(
        self, method: str, path: str, session: aiohttp.ClientSession | None = None, **more: Any
    ) -> str:
        http = self._http
        async with self._one_at_a_time:
            began = time.monotonic()
            try:
                async with (session or self._session).request(method, path, **more) as answer:
                    text = await answer.text(errors="replace")
            except TimeoutError:
                raise SourceError(f"{self.name} has not answered within {PATIENCE:g} s") from None
            except (http.ClientConnectorError, http.ClientOSError, http.ServerDisconnectedError) as error:
                raise TargetGone(f"nobody answers at {self.name} ({_reason(error)})") from None
            except (http.ClientError, ValueError) as error:
                raise NoSuchTask(f"{self.name} does not speak HTTP ({type(error).__name__})") from None
            finally:
                self.spent += time.monotonic() - began
        if answer.status != 200:
            raise NoSuchTask(f"{self.name} answered {answer.status} to {path}")
        return text


def _reason(error: OSError | Exception) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else "the connection was closed"
