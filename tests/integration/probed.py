"""Runs a module as a program and tells a test about it from the inside, with no part of TaskScope.

``python probed.py MODULE ARGS``: for each line on stdin, one line of JSON on stdout: live tasks by
coroutine, threads by name, descriptors, time.  When the program's main coroutine has returned, and before
asyncio cancels what is left, one last line.
"""

import asyncio
import collections
import contextlib
import json
import os
import runpy
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any


def look(loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
    tasks = collections.Counter(
        getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks(loop) if not task.done()
    )
    threads = collections.Counter(thread.name.rstrip("-_0123456789") for thread in threading.enumerate())
    descriptors = os.listdir("/proc/self/fd")
    return {"tasks": tasks, "threads": threads, "fds": len(descriptors), "at": time.monotonic()}


def answer(loop: asyncio.AbstractEventLoop) -> None:
    for line in sys.stdin:
        found: dict[str, Any] = {}
        done = threading.Event()

        def ask(into: dict[str, Any] = found, done: threading.Event = done) -> None:
            into.update(look(loop))
            done.set()

        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(ask)
        done.wait(5)
        print(json.dumps({"asked": line.strip(), **found}), flush=True)


def run(main: Coroutine[Any, Any, Any], **options: Any) -> Any:
    with asyncio.Runner(**options) as runner:
        loop = runner.get_loop()
        threading.Thread(target=answer, args=(loop,), daemon=True, name="probe").start()
        result = runner.run(main)
        print(json.dumps({"asked": "end", **look(loop)}), flush=True)
        return result


if __name__ == "__main__":
    asyncio.run = run
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
