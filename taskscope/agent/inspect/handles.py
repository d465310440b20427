"""Objects that stand for open descriptors: what a task waits for in one, and which ones variables lead to."""

from __future__ import annotations

import _socket
import gc
from io import FileIO
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import futures, primitives, stacks, turns
from taskscope.agent.inspect.looking import attribute, is_a, kinds, module_of, native, number, text
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from taskscope.agent.inspect.walk import Job

MAX_OBJECTS = 500
"""Objects searched for descriptors, nearest first."""

_SENDING = ("drain", "sock_sendall", "sock_sendto", "send")
_NUMBERS = ("_sock_fd", "_fileno", "_handle")  # of asyncio's transports, of multiprocessing's connections
_LEADS_NOWHERE = kinds(str, bytes, int, float, bool, ModuleType, FunctionType, BuiltinFunctionType, CodeType)


class Awaited(NamedTuple):
    """The end of a child process, or room in a descriptor."""

    pid: int = 0
    number: int = 0


def of_task(task: object) -> Awaited | None:
    """What a suspended task waits for; None if it is something else."""
    frames = stacks.await_chain(futures.coroutine(task))
    known = stacks.shape_of(frames).known
    if known is None or known.rule.wait not in ("subprocess", "socket"):
        return None
    frame = frames[known.at]
    names = variables_of(frame)
    if known.rule.wait == "subprocess":
        pid = primitives.child_of(names)
        return Awaited(pid=pid) if pid else None
    if text(frame.f_code.co_name) not in _SENDING:
        return None
    here = primitives.descriptor_in(names)
    return Awaited(number=here) if here is not None else None


def reached_by(frames: list[FrameType]) -> Job[set[int]]:
    """The descriptors that the variables of these frames lead to, as far as ``MAX_OBJECTS``."""
    found: set[int] = set()
    for thing in nearest([each for frame in frames for each in variables_of(frame).values()], MAX_OBJECTS):
        found.update(numbers_of(thing))
        if spent():
            yield
    return found


def nearest(things: Iterable[object], most: int, without: Collection[int] = ()) -> Iterator[object]:
    """These and about ``most`` that they lead to, nearest first; none whose ``id`` is in ``without``."""
    queue = [each for each in things if leads_on(each) and id(each) not in without]
    seen = {*without, *map(id, queue)}
    for thing in queue:  # which grows
        yield thing
        if len(queue) < most:
            new = [each for each in gc.get_referents(thing)[:most] if leads_on(each)]
            queue += [each for each in new if id(each) not in seen]
            seen.update(map(id, new))


def leads_on(thing: object) -> bool:
    """Not classes, tasks and loops: those lead to what others use."""
    if thing is None or id(type(thing)) in _LEADS_NOWHERE or is_a(thing, type):
        return False
    return not (is_a(thing, FrameType) or futures.is_task(thing) or turns.is_legible(thing))


def numbers_of(thing: object) -> Iterable[int]:
    """The descriptors that an object stands for."""
    if is_a(thing, _socket.socket):
        return [here for here in [_socket.socket.fileno(thing)] if here >= 0]
    if is_a(thing, FileIO):
        return [here for here in [number(native(thing, "fileno"))] if here is not None]
    if module_of(type(thing)).partition(".")[0] in ("asyncio", "multiprocessing"):
        return [here for each in _NUMBERS if (here := number(attribute(thing, each))) is not None]
    return ()
