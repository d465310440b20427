"""Which files hold code that starts tasks on behalf of its callers, and so is never a cause.

One rule for the frames that the agent sees and for the stacks that other sources report.
"""

from __future__ import annotations

LIBRARIES = ("/site-packages/", "/dist-packages/")

_LOOPS: dict[str, tuple[str, ...]] = {
    "stdlib": ("/asyncio/", "/contextlib.py"),
    "library": ("/anyio/", "/trio/", "/uvloop/", "/aiomonitor/monitor.py"),
}
"""Substrings of file names, with a slash prepended.  Libraries may have folders called asyncio."""

STARTS_FOR_OTHERS = {
    "aiohttp",
    "aiojobs",
    "aiomisc",
    "aiotools",
    "asgiref",
    "asyncer",
    "fastapi",
    "gunicorn",
    "hypercorn",
    "quattro",
    "sanic",
    "starlette",
    "tornado",
    "uvicorn",
    "websockets",
}
"""Packages that start tasks for their callers.

The file ``plumbing`` in the user's configuration directory names more, one package per line.
"""


WRAPPERS = {
    "TaskHandle._run_coro",
    "TaskGroup._run_wrapped_task",
    "Monitor._coro_wrapper",
    "run.<locals>.wrapper",
    "_wrap_awaitable",
}
"""Coroutines in which anyio, aiomonitor, uvloop and asyncio wrap the user's."""

CALLERS = {
    "AsyncIOBackend.run_async_from_thread.<locals>.task_wrapper",
    "BlockingPortal._call_func",
    "_run_handler",
}
"""anyio's and trio's coroutines that will call the user's function."""


def is_in_library(file: str) -> bool:
    return any(mark in file for mark in LIBRARIES)


def runs_tasks(file: str, origin: str) -> bool:
    """Whether it belongs to asyncio or to a replacement for it."""
    return any(mark in f"/{file}" for mark in _LOOPS.get(origin, ()))


def package_of(file: str, origin: str) -> str:
    """The top package of a library's file; "" for other files."""
    if origin != "library":
        return ""
    for mark in LIBRARIES:
        _, found, inside = file.rpartition(mark)
        if found:
            return inside.partition("/")[0].removesuffix(".py")
    return file.removeprefix("<sitepkg>/").partition("/")[0]


def starts_for_others(file: str, origin: str) -> bool:
    """Whether a line of it is never the cause: all of the standard library, and some libraries."""
    return origin == "stdlib" or runs_tasks(file, origin) or package_of(file, origin) in STARTS_FOR_OTHERS
