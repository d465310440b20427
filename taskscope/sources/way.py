"""The way to one agent at the far end of ``--via`` (see `reach.Reach`)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from taskscope.attach.outside import Condition
from taskscope.sources.reach import Reached
from taskscope.sources.via import NOBODY, reached

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taskscope.model import Site
    from taskscope.sources.via import Far

    Progress = Callable[[str], None]


class Elsewhere:
    """A process there, as last seen from outside.  Each look has it looked at again."""

    def __init__(self, far: Far, channel: int, pid: int) -> None:
        self.pid = pid
        self._far, self._channel = far, channel
        self._seen = Condition("silent", f"process {pid} is on the other machine and does not answer")

    def look(self) -> Condition:
        """Does not block: what the look before this one saw."""
        self._far.look(self._channel, self._see)
        return self._seen

    def _see(self, condition: Condition) -> None:
        self._seen = condition


class Way:
    """Over the connection that all of ``--via`` share."""

    parting = 3.0

    def __init__(self, far: Far, path: str, target: str) -> None:
        self.path = path
        self._far, self._target = far, target

    @classmethod
    def to(cls, target: str, command: str, *, inject: bool, progress: Progress = NOBODY) -> Way:
        """That to ``target`` at the far end of ``command``.  Raises SourceError; blocks."""
        far = reached(command, progress)
        return cls(far, far.find(target, inject=inject, progress=progress).path, target)

    @property
    def lost(self) -> str:
        return self._far.lost

    @property
    def elsewhere(self) -> str:
        return f"at the far end of {self._far.command!r}"

    async def connect(self) -> Reached:
        connection, channel, pid = await self._far.connect(self.path)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        return Reached(reader, writer, Elsewhere(self._far, channel, pid) if pid else None)

    async def imputed(self, files: Sequence[str], sites: Sequence[Site]) -> Sequence[Site]:
        return await self._far.imputed(self.path, files, sites)

    def again(self) -> Way:
        """Where the same TARGET is now, over a new connection if this one is lost.  Blocks."""
        return Way.to(self._target, self._far.command, inject=bool(self.lost))
