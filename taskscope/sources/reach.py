"""How a client gets to an agent: by its socket on this machine, or through a relay (`via`)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from taskscope import endpoint
from taskscope.attach.outside import Outside
from taskscope.model.vocabulary import HALTED
from taskscope.sources.base import SourceError, TargetGone, TargetSilent
from taskscope.sources.impute import guesses
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope import model
    from taskscope.attach.outside import Condition

LOOK_EVERY = 0.5
"""Seconds between looks from outside while something is awaited."""

_ROOT = re.compile(r"/proc/\d+/root")
"""The target's file system root, if it differs from ours (a container)."""


class Looks(Protocol):
    """Looks at a process from outside.  ``look`` does not block."""

    pid: int

    def look(self) -> Condition: ...


@dataclass(frozen=True, slots=True)
class Reached:
    """A connection; ``outside``: None if the process cannot be seen."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    outside: Looks | None


class Reach(Protocol):
    """The way to one agent, which listens at ``path`` on its machine."""

    path: str
    parting: float
    """Seconds within which a process that closed a connection is seen to end, or to exec."""

    @property
    def elsewhere(self) -> str:
        """Where its files are, to end a sentence; empty: where ours are."""

    @property
    def lost(self) -> str:
        """Why no agent can be reached on this way any more; empty while it is open."""

    async def connect(self) -> Reached:
        """A new connection.  Raises SourceError."""

    async def imputed(self, files: Sequence[str], sites: Sequence[model.Site]) -> Sequence[model.Site]:
        """These sites at their likely lines, from the target's source files."""


class Socket:
    """An agent on this machine."""

    lost = ""
    parting = 0.5

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def elsewhere(self) -> str:
        container = _ROOT.match(self.path)
        return f"in the container of process {container[0].split('/')[2]}" if container else ""

    async def connect(self) -> Reached:
        """Raises SourceError: nobody listens, not allowed, stopped."""
        try:
            return await self._connected()
        except (FileNotFoundError, ConnectionRefusedError):
            raise TargetGone(f"nobody listens at {self.path}: the process or its agent has ended") from None
        except PermissionError:
            raise SourceError(f"{self.path} belongs to another user: run as that user or root") from None
        except TimeoutError:
            raise
        except OSError as error:
            raise SourceError(f"cannot connect to {self.path}: {error.strerror or error}") from None

    async def _connected(self) -> Reached:
        """Connects, and retries while the backlog is full.  Raises OSError, SourceError."""
        outside: Outside | None = None
        while True:
            reader, writer = await asyncio.open_unix_connection(self.path)
            connection = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                connection.getpeername()  # fails if the backlog was full
                deceit = endpoint.impostor(connection, self.path)
                if deceit:
                    writer.close()
                    raise SourceError(deceit)
                peer = endpoint.peer_of(connection)
                return Reached(reader, writer, _outside_of(peer.pid if peer is not None else 0))
            writer.close()
            outside = outside or _outside_of(_pid_in(self.path))
            refuse_halted(outside)
            await asyncio.sleep(LOOK_EVERY)

    async def imputed(self, files: Sequence[str], sites: Sequence[model.Site]) -> Sequence[model.Site]:
        root = _ROOT.match(self.path)
        return await asyncio.to_thread(guesses, root[0] if root else "", files, sites)


def refuse_halted(outside: Looks | None) -> None:
    """Raises TargetSilent if the process is stopped and cannot answer until continued."""
    condition = outside.look() if outside is not None else None
    if condition is not None and condition.state in HALTED:
        raise TargetSilent(condition.text)


def _outside_of(pid: int) -> Outside | None:
    return Outside(pid) if pid and Path("/proc/self/stat").exists() else None


def _pid_in(path: str) -> int:
    """The pid in the name of the socket ``path``; 0 if there is none."""
    parts = Path(path).parts
    if parts[:2] == ("/", "proc") and len(parts) > 3 and parts[3] == "root":
        return int(parts[2]) if parts[2].isascii() and parts[2].isdigit() else 0
    number = parts[-1].partition(".")[0] if parts else ""
    return int(number) if number.isascii() and number.isdigit() and len(number) < 11 else 0
