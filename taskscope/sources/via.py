"""The near end of ``--via``: a process of ours that runs ``taskscope relay`` elsewhere, and its answers.

All who use the same command share it.  It lives in a thread with a loop of its own, so that it serves both
those who wait and those who run a loop; a connection to an agent ends in a socket pair, which its user
treats like the agent's own socket.  It ends with our process.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import shlex
import signal
import socket
import threading
from collections import deque
from concurrent.futures import Future, wait
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from taskscope import mux, wire
from taskscope.attach.discover import PythonProcess, is_this
from taskscope.attach.outside import Condition
from taskscope.checked import unpack, unpack_all
from taskscope.endpoint import Endpoint
from taskscope.model import Site
from taskscope.sources import relayed
from taskscope.sources.base import ConnectionLost, SourceError, SourceMisbehaves
from taskscope.sources.link import Link
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from taskscope.attach.diagnosis import Diagnosis

    Progress = Callable[[str], None]

T = TypeVar("T")

SAID_AFTER = 0.5
"""Seconds of waiting after which the user learns for what."""

PARTING = 3.0
"""Seconds for the command to end by itself once its input has ended; then it is told to."""

_NO_PROGRAM = (126, 127)
"""Exit statuses of shells, ssh and docker if the program is not there; that of kubectl may be 1, with the
error that Go makes of it.
"""

NOBODY: Callable[[str], None] = lambda text: None  # noqa: E731

_fars: dict[str, Far] = {}
_one_at_a_time = threading.Lock()


def reached(command: str, progress: Progress = NOBODY) -> Far:
    """The far end of ``command``, connected now or before.  Raises SourceError; blocks."""
    with _one_at_a_time:
        far = _fars.get(command)
        if far is None or far.lost:
            far = _fars[command] = Far(command)
    far.wait(progress)
    return far


@atexit.register
def _leave() -> None:
    for far in _fars.values():
        far.close()


def words_of(command: str) -> list[str]:
    """The command with the relay.  Raises SourceError.

    One that ends in a bundle is whole; ``taskscope`` is added where it is not named already.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SourceError(f"--via {command!r} is no command: {error}") from None
    if not words:
        raise SourceError("--via needs a command, like 'ssh HOST'")
    if words[-1].endswith(".pyz"):
        return words
    return [*words, "relay"] if PurePath(words[-1]).name == "taskscope" else [*words, "taskscope", "relay"]


@dataclass(slots=True)
class _Pending:
    """An answer that somebody waits for."""

    answer: asyncio.Future[Any]
    progress: Progress


class Far:
    """The far end of one command."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.lost = ""
        """Why it is gone, as a sentence; empty while it is there."""
        self._words = words_of(command)
        self._loop = asyncio.new_event_loop()
        self._ready: Future[None] = Future()
        self._link: Link
        self._gate = threading.Lock()
        """Whoever asks before it is lost gets an answer, and nobody asks afterwards."""
        self._pending: dict[int, _Pending] = {}
        self._serials, self._channels = itertools.count(1), itertools.count(1)
        self._said: deque[str] = deque(maxlen=3)
        self._living = self._loop.create_task(self._live())
        self._thread = threading.Thread(target=self._run, name="taskscope-via", daemon=True)
        self._thread.start()

    # -- for any thread ------------------------------------------------------------------------

    def wait(self, progress: Progress) -> None:
        """Returns once it is connected.  Raises SourceError."""
        _awaited(self._ready, f"waiting for {self.command!r}", progress)

    def close(self) -> None:
        """Ends the command and waits until it has ended."""
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._living.cancel)
        self._thread.join(2 * PARTING)

    def find(self, target: str, *, inject: bool, progress: Progress = NOBODY) -> Endpoint:
        """Where the one agent listens that ``target`` means there.  Raises SourceError."""
        asked = relayed.Find(target, inject)
        return self._fit(Endpoint, self._ask(asked, f"looking for {target} there", progress))

    def named(self, name: str) -> tuple[Endpoint, ...]:
        """The agents of that name there."""
        return self._fit_all(Endpoint, self._ask(relayed.Named(name)))

    def processes(self) -> tuple[PythonProcess, ...]:
        """The Python processes there but this one: there may be here."""
        every = self._fit_all(PythonProcess, self._ask(relayed.Processes()))
        return tuple(each for each in every if not is_this(each))

    def parents(self) -> dict[int, int]:
        """The parent of every process there, Python or not."""
        found = self._fit(relayed.Family, self._ask(relayed.Parents()))
        return dict(zip(found.pids, found.parents, strict=False))

    def contained(self, container: str) -> set[int]:
        """The processes of a container there."""
        return set(self._fit(relayed.Pids, self._ask(relayed.Contained(container))).pids)

    def diagnosis(self, target: str) -> Diagnosis:
        """Whether and how ``target`` can be attached to there."""
        return self._fit(relayed.Diagnosed, self._ask(relayed.Doctor(target))).diagnosis

    def detach(self, target: str, progress: Progress, *, only_injected: bool = False) -> None:
        """Removes the agent of a process there."""
        self._ask(relayed.Detach(target, only_injected), f"detaching from {target}", progress)

    def _ask(self, asked: relayed.Asked, doing: str = "", progress: Progress = NOBODY) -> Any:
        return _awaited(self._begun(self._answer(asked, progress)), doing, progress)

    def _begun(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Raises ConnectionLost."""
        with self._gate:
            if not self.lost:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise ConnectionLost(self.lost)

    # -- for any loop --------------------------------------------------------------------------

    async def ask(self, asked: relayed.Asked) -> Any:
        """The answer of the relay, unchecked.  Raises SourceError."""
        return await asyncio.wrap_future(self._begun(self._answer(asked, NOBODY)))

    async def connect(self, path: str) -> tuple[socket.socket, int, int]:
        """A connection to the agent that listens at ``path`` there, its channel, and the agent's pid.

        Raises SourceError.
        """
        ours, theirs = socket.socketpair()
        try:
            opening = self._begun(self._open(path, theirs))
        except ConnectionLost:
            ours.close()
            theirs.close()
            raise
        try:
            return ours, *await asyncio.wrap_future(opening)
        except BaseException:
            ours.close()  # with which the channel ends, if there is one by now
            raise

    async def imputed(self, path: str, files: Sequence[str], sites: Sequence[Site]) -> tuple[Site, ...]:
        """These sites at their likely lines, from the source files there."""
        return self._fit_all(Site, await self.ask(relayed.Impute(path, tuple(files), tuple(sites))))

    def look(self, channel: int, take: Callable[[Condition], None]) -> None:
        """Has the process behind a channel looked at, and passes on what was seen."""

        async def look() -> None:
            with contextlib.suppress(SourceError):
                found = await self._answer(relayed.Look(channel), NOBODY)
                if found is not None:
                    take(self._fit(Condition, found))

        with contextlib.suppress(ConnectionLost):
            self._begun(look())

    # -- in its own thread ---------------------------------------------------------------------

    def _run(self) -> None:
        # Ctrl-C is for us alone: a last report still needs what the command carries.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._living)
        self._loop.run_until_complete(self._rest())
        self._loop.close()

    async def _live(self) -> None:
        try:
            await self._serve()
        except OSError as error:
            self._lose(f"cannot run {self._words[0]!r} of --via: {error.strerror}")
        finally:
            self._lose(f"{self.command!r} was closed")
            if not self._ready.done():
                self._ready.set_exception(SourceError(self.lost))

    def _lose(self, why: str) -> None:
        with self._gate:
            self.lost = self.lost or why

    async def _rest(self) -> None:
        """Those who have asked meanwhile learn that it is lost."""
        await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=PARTING)

    async def _serve(self) -> None:
        """Runs the command and carries connections until either ends.  Raises OSError if it cannot be run."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self._words, stdin=pipe, stdout=pipe, stderr=pipe, limit=mux.MAX_GREETING
        )
        listening = asyncio.create_task(self._listen(process))
        broken, link = "", None
        try:
            link = await self._greeted(process)
            if link is not None:
                self._said.clear()
                self._link = link
                self._ready.set_result(None)
                await link.run()
        except (wire.WireError, mux.MuxError) as error:
            broken = f"the far end of {self.command!r} misbehaves: {error}"
        except OSError:
            pass  # its status and its words say more
        finally:
            status = await _ended(process)
            await asyncio.wait([listening], timeout=SAID_AFTER)
            listening.cancel()
            self._lose(broken or self._ending(status, connected=link is not None))
            for each in self._pending.values():
                each.answer.cancel()
            if link is not None:
                await link.close()

    async def _greeted(self, process: asyncio.subprocess.Process) -> Link | None:
        """The link, once the far end has answered; None if it ends before.  Raises WireError, OSError."""
        reader, writer = process.stdout, process.stdin
        assert reader is not None
        assert writer is not None
        writer.write(mux.greeting())
        for _ in range(mux.MAX_GREETING):
            try:
                line = await reader.readline()
            except ValueError:
                raise wire.WireError("it prints no lines") from None
            about = mux.welcomed(line)
            if about is not None:
                if about["relay"] != mux.RELAY:
                    raise wire.WireError("it is another version of TaskScope: use the same one on both sides")
                return Link(
                    reader, writer, mux.Frames(compressed=about.get("compressed") is True), self._take
                )
            if not line:
                break
        return None

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Keeps the last words of the command."""
        assert process.stderr is not None
        while piece := await process.stderr.read(mux.MAX_FRAME):
            lines = (wire.clean_text(line) for line in piece.decode("utf-8", "replace").splitlines())
            self._said.extend(line for line in lines if line.strip())

    def _ending(self, status: int, *, connected: bool) -> str:
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        said = "; ".join(self._said) or how
        if connected:
            return f"connection lost: {self.command!r} has ended ({said})"
        if status in _NO_PROGRAM or any(f'exec: "{word}": ' in said for word in self._words):
            return (
                f"{self.command!r} finds no taskscope ({said}): put one file there, which runs with its own "
                f"Python 3.11 or later, by `taskscope relay --bundle - | {self.command} sh -c 'cat "
                f">taskscope.pyz'`, and use --via '{self.command} python3 taskscope.pyz'"
            )
        return f"{self.command!r} failed: {said}"

    def _take(self, message: wire.Message) -> None:
        """An answer, or what is under way for one."""
        number = message.params.get("id") if isinstance(message, wire.Request) else message.id
        pending = self._pending.get(number) if type(number) is int else None
        if pending is None:
            return  # its caller gave up
        if isinstance(message, wire.Request):
            pending.progress(str(message.params.get("text", "")))
        elif pending.answer.done():
            return
        elif message.error is not None:
            pending.answer.set_exception(message.error)
        else:
            pending.answer.set_result(message.result)

    async def _answer(self, asked: relayed.Asked, progress: Progress) -> Any:
        if self.lost:
            raise ConnectionLost(self.lost)
        serial = next(self._serials)
        answer = self._loop.create_future()
        self._pending[serial] = _Pending(answer, progress)
        self._link.tell(wire.request(serial, type(asked).__name__.lower(), wire.pack(asked)))
        try:
            return await answer
        except wire.RemoteError as error:
            kinds = {code: kind for kind, code in relayed.CODES.items()}
            raise kinds.get(error.code, SourceError)(error.message) from None
        except asyncio.CancelledError:
            if self.lost:
                raise ConnectionLost(self.lost) from None
            raise
        finally:
            del self._pending[serial]

    async def _open(self, path: str, connection: socket.socket) -> tuple[int, int]:
        """A channel for ``connection``, and the process at its other end.  Raises SourceError."""
        channel = next(self._channels)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        self._link.carry(channel, reader, writer)  # first, as it may end before we see the answer
        try:
            answer = await self._answer(relayed.Open(channel, path), NOBODY)
            return channel, self._fit(relayed.Connected, answer).pid
        except BaseException:
            writer.close()
            raise

    def _fit(self, kind: type[T], answer: Any) -> T:
        """Raises SourceMisbehaves."""
        try:
            return unpack(kind, answer)
        except wire.WireError as error:
            raise SourceMisbehaves(f"the far end of {self.command!r} misbehaves: {error}") from None

    def _fit_all(self, kind: type[T], answers: Any) -> tuple[T, ...]:
        try:
            return unpack_all(kind, answers)
        except wire.WireError as error:
            raise SourceMisbehaves(f"the far end of {self.command!r} misbehaves: {error}") from None


def _awaited(answer: Future[T], doing: str, progress: Progress) -> T:
    """The result; says what is awaited if that takes long."""
    if doing and not wait([answer], SAID_AFTER).done:
        progress(f"{doing}…")
    return answer.result()


async def _ended(process: asyncio.subprocess.Process) -> int:
    """Ends the command; its exit status."""
    assert process.stdin is not None
    process.stdin.close()
    for end in (process.terminate, process.kill):
        try:
            return await asyncio.wait_for(process.wait(), PARTING)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                end()
    return await process.wait()
