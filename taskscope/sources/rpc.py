"""The connection to one agent: requests and answers over its socket, and why an answer is late.

While a request is pending the target is observed from outside, so the caller learns the reason for a delay
within two seconds, and never waits for a stopped target.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast, get_args, get_origin

from taskscope import wire
from taskscope.checked import unpack, unpack_all
from taskscope.model import requests
from taskscope.sources.base import (
    AgentGone,
    ConnectionLost,
    NotAvailable,
    SourceError,
    SourceMisbehaves,
    TargetExited,
    TargetGone,
    TargetReplaced,
    TargetSilent,
)
from taskscope.sources.reach import LOOK_EVERY, refuse_halted

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.attach.outside import Condition
    from taskscope.model.requests import Request
    from taskscope.sources.reach import Looks, Reach

    Progress = Callable[[str], None]

T = TypeVar("T")

SAID_AFTER = 1.5
"""Seconds without an answer before the reason is reported."""

SAID_AGAIN = 10.0
"""Seconds between such reports."""

SAT_OUT = {"hello", "snapshot", "detach"}
"""Requests a person waits for; others run beside samples, whose absence is reported anyway."""

_CHUNK = 1 << 18
_REFUSALS = {wire.NOT_FOUND, wire.FORBIDDEN, wire.NO_METHOD}


class RpcClient:
    """The connection to the agent at the end of ``reach``.

    ``patience``: timeout per answer in seconds.  ``receive`` gets the agent's notifications; a SourceError it
    raises ends the connection.  ``ended`` is called when the connection ends.  ``progress`` gets sentences
    for the user who waits.
    """

    def __init__(
        self,
        reach: Reach,
        patience: float,
        receive: Callable[[wire.Request], None],
        ended: Callable[[], None],
        progress: Progress,
    ) -> None:
        self._reach = reach
        self._progress = progress
        self.over: SourceError | None = TargetGone("not connected yet")
        """Why the connection is over; None while it is open."""
        self.farewell = ""
        self.exits = False
        """Whether the agent has said that the process exits."""
        """The agent's reason if it left on purpose."""
        self.received = 0
        """Bytes received so far."""
        self._patience = patience
        self._receive = receive
        self._ended = ended
        self._serial = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._progressed = 0.0
        self._said = 0.0
        self.outside: Looks | None = None
        """What looks at the process; None: it cannot be seen, or was never connected to."""
        self._reading: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connects.  Raises SourceError: nobody listens, not allowed, stopped."""
        try:
            async with asyncio.timeout(self._patience):
                reached = await self._reach.connect()
        except TimeoutError:
            raise TargetSilent(f"no connection to {self._reach.path} within {self._patience:g} s") from None
        self.over = None
        self._writer, self.outside = reached.writer, reached.outside
        self._reading = asyncio.create_task(self._read(reached.reader), name="taskscope-reader")

    async def close(self) -> None:
        """Closes the connection; idempotent."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
        self.end(TargetGone("the connection is closed"))

    async def ask(self, request: Request[T]) -> T:
        """The answer to a request, of its declared type.  Raises SourceError."""
        answer = await self.send(request)
        return self.fits(lambda: unpacked(type(request), answer), request)

    async def send(self, request: Request[Any]) -> Any:
        """The raw answer.  Times out ``patience`` seconds after the request or the last ``progressed``."""
        if self.over is not None:
            raise type(self.over)(str(self.over))
        assert self._writer is not None
        self._serial += 1
        serial = self._serial
        answer = self._answers[serial] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(wire.request(serial, request.method, requests.params(request)))
            await self._wait(request.method, answer)
            return answer.result()
        except wire.RemoteError as error:
            _refused(error)
        finally:
            self._answers.pop(serial, None)
            if not answer.done():
                answer.cancel()
                if self.over is None:
                    abandon = requests.Abandon(serial)
                    self._writer.write(wire.request(None, abandon.method, requests.params(abandon)))
            elif not answer.cancelled():
                answer.exception()  # retrieve it: a cancelled caller will not

    def progressed(self) -> None:
        """Part of an answer has arrived."""
        self._progressed = time.monotonic()

    def condition(self) -> Condition | None:
        """The state of the process as seen from outside; None if it is not on this machine."""
        return None if self.outside is None else self.outside.look()

    def end(self, reason: SourceError) -> None:
        """Ends the connection and fails pending requests with ``reason``."""
        if self.over is None:
            self.over = reason
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(type(self.over)(str(self.over)))
        if self._writer is not None:
            self._writer.close()
        self._ended()

    async def _wait(self, method: str, answer: asyncio.Future[Any]) -> None:
        """Waits for the answer.  Raises TargetSilent."""
        begun = time.monotonic()
        while True:
            await asyncio.wait([answer], timeout=min(LOOK_EVERY, self._patience))
            if answer.done():
                return
            refuse_halted(self.outside)
            condition, now = self.condition(), time.monotonic()
            waited = now - max(begun, self._progressed)
            if waited >= self._patience:
                reason = f": {condition.text}" if condition is not None else ""
                raise TargetSilent(
                    f"the agent has not answered {method!r} within {self._patience:g} s{reason}"
                )
            if condition is None or method not in SAT_OUT:
                continue
            if waited >= SAID_AFTER and now - self._said >= SAID_AGAIN:
                self._said = now
                self._progress(f"no answer for {waited:.0f} s: {condition.text}; still waiting")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Dispatches messages until the connection ends."""
        decoder = wire.Decoder(wire.MAX_MESSAGE)
        reason: SourceError = TargetGone("the connection is closed")
        try:
            while data := await reader.read(_CHUNK):
                self.received += len(data)
                for message in decoder.feed(data):
                    self._take(message)
            reason = await self._parted()
        except wire.WireError as error:
            reason = self.misbehaves(f"its message violates the protocol: {error}")
        except SourceError as error:
            reason = error
        except ConnectionError:  # a process that is killed may reset it
            reason = await self._parted()
        except OSError as error:
            why = self._reach.lost
            broke = TargetGone(f"the connection broke: {error.strerror or error}")
            reason = ConnectionLost(why) if why else broke
        finally:
            self.end(reason)

    def _take(self, message: wire.Message) -> None:
        if isinstance(message, wire.Request):
            self._receive(message)
            return
        answer = self._answers.get(message.id or 0)
        if answer is None or answer.done():
            return  # its caller gave up
        if message.error is not None:
            answer.set_exception(message.error)
        else:
            answer.set_result(message.result)

    async def _parted(self) -> SourceError:
        """Why the connection ended: the process ended, runs another program, or lost its agent."""
        if self.farewell:
            return TargetGone(self.farewell)
        if self._reach.lost:
            return ConnectionLost(self._reach.lost)
        deadline = time.monotonic() + self._reach.parting
        condition = self.condition()
        while condition is not None and time.monotonic() < deadline:
            if condition.state in ("ended", "replaced"):
                break
            await asyncio.sleep(0.02)
            condition = self.condition()
        if condition is None or self.outside is None or condition.state == "ended":
            return (TargetExited if self.exits else TargetGone)("the target has ended")
        if self.exits:
            return TargetExited("the target is ending")
        if condition.state == "replaced":
            return TargetReplaced(condition.text)
        return AgentGone(f"process {self.outside.pid} still runs, but its agent has closed the connection")

    def fits(self, make: Callable[[], T], request: Request[Any]) -> T:
        """The result of ``make``, which unpacks the answer.  Raises SourceMisbehaves if it does not fit."""
        try:
            return make()
        except wire.WireError as error:
            raise self.misbehaves(f"its answer to {request.method!r} does not fit: {error}") from None

    def misbehaves(self, what: str) -> SourceMisbehaves:
        """The error for an agent that violates the protocol."""
        who = f"of process {self.outside.pid}" if self.outside is not None else f"at {self._reach.path}"
        return SourceMisbehaves(f"the agent {who} misbehaves: {what}")


def result_of(kind: type[Request[Any]]) -> Any:
    """The answer type of a request."""
    return get_args(kind.__orig_bases__[0])[0]  # type: ignore[attr-defined]


def unpacked(kind: type[Request[T]], answer: Any) -> T:
    """The answer to a request, from JSON values.  Raises WireError if it does not fit."""
    gives = result_of(kind)
    found: Any = None
    if get_origin(gives) is tuple:
        found = unpack_all(get_args(gives)[0], answer)
    elif gives is not type(None):
        found = unpack(gives, answer)
    return cast("T", found)


def _refused(error: wire.RemoteError) -> NoReturn:
    raise (NotAvailable if error.code in _REFUSALS else SourceError)(error.message) from None
