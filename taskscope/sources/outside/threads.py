"""Threads seen from outside, as model values: Python stacks, the kernel's view, and who has the GIL."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.wire import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.attach.reading.frames import ThreadStack
    from taskscope.attach.reading.kernel_threads import KernelThread
    from taskscope.model.vocabulary import DescriptorKind, ThreadState, Wait
    from taskscope.sources.outside.look import Look
    from taskscope.sources.outside.tally import Tally

_KINDS: dict[str, DescriptorKind] = {"socket": "socket", "pipe": "pipe", "[eventpoll]": "epoll"}
_KINDS |= {"[eventfd]": "eventfd", "[timerfd]": "timer", "[signalfd]": "signals", "[pidfd]": "process"}

_WAITS: dict[str, tuple[Wait, str]] = {
    "futex": ("lock", "waits for a lock or condition"),
    "clock_nanosleep": ("sleep", "sleeps"),
    "nanosleep": ("sleep", "sleeps"),
    "pause": ("signal", "waits for a signal"),
    "wait4": ("subprocess", "waits for a child process"),
    "waitid": ("subprocess", "waits for a child process"),
    **dict.fromkeys(("poll", "ppoll", "select", "pselect6"), ("descriptors", "waits for descriptors")),
    **dict.fromkeys(("epoll_wait", "epoll_pwait", "epoll_pwait2"), ("descriptors", "waits for descriptors")),
    **dict.fromkeys(("accept", "accept4", "connect"), ("socket", "waits for a connection")),
    **dict.fromkeys(("recvfrom", "recvmsg", "sendto", "sendmsg"), ("socket", "waits for a socket")),
    **dict.fromkeys(("read", "write", "pread64"), ("file", "waits for a file or pipe")),
}
"""By system call."""


def threads(look: Look, tally: Tally) -> Iterator[tuple[model.Thread, tuple[model.Frame, ...]]]:
    """Every thread with its stack, innermost first; the main thread first."""
    stacks = {each.native: each for each in look.stacks.threads}
    for inner, kernel in look.threads.items():
        yield _thread(look, tally, kernel, stacks.get(inner))


def _thread(
    look: Look, tally: Tally, kernel: KernelThread, python: ThreadStack | None
) -> tuple[model.Thread, tuple[model.Frame, ...]]:
    frames = python.frames if python is not None else ()
    state, wait, text = _does(kernel, python)
    detail = ""
    if look.held is not None and look.held.tid == kernel.tid:
        detail = f"holds the GIL for {look.held.doing}"
    elif look.stacks.holder == kernel.inner:
        detail = "has the GIL"
    known = tally.threads.get(kernel.inner)
    told = look.names.get(python.ident, "") if python is not None else ""
    of_kernel = "MainThread" if kernel.tid == look.pid else kernel.name
    thread = model.Thread(
        ident=python.ident if python is not None else -kernel.inner,
        native_id=kernel.inner,
        name=told or of_kernel or f"thread {kernel.inner}",
        daemon=False,
        python=python is not None,
        site=known.site if known is not None else None,
        parent=None,
        birth=look.monotonic - (look.uptime - kernel.started),
        cpu=kernel.cpu,
        state=state,
        text=text,
        loop=None,
        executor=None,
        frame=model.user_line(frames) or model.library_line(frames),
        wait=wait,
        detail=detail,
        system_call=kernel.call,
        descriptors=_descriptors(look.pid, kernel),
    )
    return thread, frames


def _does(kernel: KernelThread, python: ThreadStack | None) -> tuple[ThreadState, Wait, str]:
    if not kernel.waits:
        where = f"in {python.frames[0].function}" if python is not None and python.frames else "runs"
        return "running", "running", where
    wait, text = _WAITS.get(kernel.call, ("unknown", f"in {kernel.call}" if kernel.call else "waits"))
    if wait == "descriptors" and python is not None and python.runs_loop:
        return "idle", wait, "idle in event loop"
    return "waiting", wait, text


def _descriptors(pid: int, kernel: KernelThread) -> tuple[model.Descriptor, ...]:
    """The one that a thread waits on, if its system call names one."""
    if kernel.descriptor is None:
        return ()
    try:
        target = os.readlink(f"/proc/{pid}/fd/{kernel.descriptor}")  # noqa: PTH115 (a path object is half the cost)
    except OSError:
        return ()
    if target.startswith("/"):
        return (model.Descriptor(kernel.descriptor, "file", clean_text(target)),)
    kind = target.removeprefix("anon_inode:").partition(":")[0]
    return (model.Descriptor(kernel.descriptor, _KINDS.get(kind, "unknown")),)
