"""Our session with the broker: a line out, an acknowledgement in, any number in flight."""

from __future__ import annotations

import asyncio
import itertools


class BrokerSession:
    """One connection for notices and halts."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._unanswered: dict[str, asyncio.Future[None]] = {}

    async def connect(self, address: tuple[str, int]) -> None:
        """Opens the session.  Raises OSError if the broker is unreachable."""
        self._reader, self._writer = await asyncio.open_connection(*address)
        self._answers = asyncio.create_task(self.read_answers(), name="broker answers")

    async def close(self) -> None:
        """Ends the session."""
        self._answers.cancel()
        await asyncio.gather(self._answers, return_exceptions=True)
        self._writer.close()

    async def ask(self, text: str) -> None:
        """Sends a line and waits until the broker acknowledges it."""
        number = str(next(self._numbers))
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unanswered[number] = answer
        try:
            self._writer.write(f"{number} {text}\n".encode())
            await answer
        finally:
            del self._unanswered[number]

    async def read_answers(self) -> None:
        """Resolves the waiter of each acknowledgement."""
        while line := await self._reader.readline():
            answer = self._unanswered.get(line.decode().strip())
            if answer is not None and not answer.done():
                answer.set_result(None)
