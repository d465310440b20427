"""Thread objects: which exist, what they run, which one is ours."""

from __future__ import annotations

import threading
from typing import Any

from taskscope.agent.inspect.looking import attribute, called, class_name, number
from taskscope.system import system


def known_threads() -> list[Any]:
    """Like ``threading.enumerate``, without its lock, which a program may hold across a fork."""
    state = vars(threading)
    threads = [*state["_active"].values(), *state["_limbo"]]
    return list({id(thread): thread for thread in threads}.values())


def is_known(ident: int, thread: object) -> bool:
    """Whether ``threading`` still has this thread under that id."""
    return thread is not None and vars(threading)["_active"].get(ident) is thread


def ident_of(thread: object) -> int | None:
    """Python's thread id; None: not started."""
    return number(attribute(thread, "_ident"))


def has_ended(thread: object) -> bool:
    """Whether ``threading`` takes it to have ended: so the main thread while ``atexit`` calls functions."""
    handle: Any = attribute(thread, "_handle") or attribute(thread, "_os_thread_handle")  # from 3.13, 3.14 on
    return attribute(thread, "_is_stopped") is True or (
        class_name(handle) == "_ThreadHandle" and handle.is_done()
    )


def target_name(thread: object) -> str:
    """What the thread runs."""
    target = attribute(thread, "_target")
    if target is not None:
        return called(target)
    return "Thread.run" if type(thread) is threading.Thread else f"{class_name(thread)}.run"


def native_id(thread: Any, here: list[int]) -> int:
    """The kernel's id of a thread; 0: unknown.

    Only the forking thread survives in the child, as its first: before 3.13 Python keeps using its id in the
    parent.
    """
    known = number(attribute(thread, "_native_id"))
    if not known:
        return 0
    return known if known in here or not here else system.getpid()


def native_ids() -> list[int]:
    try:
        return sorted(int(entry) for entry in system.listdir("/proc/self/task"))
    except OSError:
        return []


def native_of(ident: int) -> int:
    """The kernel's id of a Python thread; 0: unknown."""
    thread = next((each for each in known_threads() if ident_of(each) == ident), None)
    return native_id(thread, native_ids()) if thread is not None else 0


_agent_natives: dict[int, int] = {}


def register_agent_thread() -> int:
    """Called by the agent's thread as it starts, since ``threading`` does not know it."""
    ident = system.get_ident()
    _agent_natives.clear()
    _agent_natives[ident] = system.get_native_id()
    return ident


def agent_native(ident: int) -> int:
    return _agent_natives.get(ident, 0)
