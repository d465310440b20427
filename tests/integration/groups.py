"""Services of several processes, as they run for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from taskscope.attach.family import below, parents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORKERS = """
import asyncio, multiprocessing, sys
async def forgotten(): await asyncio.sleep(3600)
async def handle(): await asyncio.sleep(0.05)
async def main(leaks, ready):
    kept = []
    ready.release()
    while True:
        if leaks: kept.append(asyncio.create_task(forgotten()))
        await asyncio.create_task(handle())
def work(leaks, ready): asyncio.run(main(leaks, ready))
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    ready = context.Semaphore(0)
    workers = [context.Process(target=work, args=(n == 1, ready)) for n in range(int(sys.argv[2]))]
    for each in workers: each.start()
    for each in workers: ready.acquire()
    print(*[each.pid for each in workers], flush=True)
    says = sys.stdin.readline()
    workers[0].terminate()
    for each in workers: each.join()
"""
"""So many workers, the second of which leaks; their pids are printed.  A line on stdin ends the first."""


class Workers:
    """The parent and its workers."""

    def __init__(self, parent: subprocess.Popen[str], pids: list[int]) -> None:
        self.parent = parent
        self.pids = pids

    @property
    def leaking(self) -> int:
        return self.pids[1]

    def end_first(self) -> None:
        assert self.parent.stdin is not None
        self.parent.stdin.write("\n")
        self.parent.stdin.flush()


@contextmanager
def workers(folder: Path, method: str = "fork", *options: str, count: int = 4) -> Iterator[Workers]:
    """``WORKERS``, with ``options`` under ``taskscope run``."""
    (program := folder / "workers.py").write_text(WORKERS)
    run = ["-m", "taskscope", "run", *options] if options else []
    command = [sys.executable, *run, str(program), method, str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield Workers(child, [int(word) for word in child.stdout.readline().split()])
        finally:
            for pid in below(child.pid, parents()):
                os.kill(pid, signal.SIGKILL)
